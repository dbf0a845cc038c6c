package release

// gitPages explains 5xxx.
var gitPages = map[Code]page{
	RepoUnreachable:  {byRoot, "A fetch failed on the network, on TLS or on the server. The last accepted commit stays in use, and what runs goes on.", "git ls-remote https://git.example.com/releases.git"},
	HistoryRewritten: {byRepo, "A force push, or a server that shows an old state: the new head does not contain the commit that was accepted before, so an approval could be undone.", "git push --force-with-lease origin 1f0c2a9:main   # put the accepted commit back"},
	BranchMissing:    {byRepo, "The branch that agent.yaml names was deleted or renamed, or the address is another repository.", "git push origin HEAD:main"},
	RepoIDMismatch:   {byRepo, "Hosts pin the repository by the id in its teal.yaml, so that nobody points them at a look-alike with approvals of its own.", "git show HEAD:teal.yaml; grep repoId /etc/teal/agent.yaml"},
	GitStateLost:     {byRoot, "The agent remembers the last accepted commit so that history only moves forward; without that it would have to trust whatever the server shows.", "tealctl state init --sequence shop=41"},
	UnsafeEntry:      {byRepo, "A link, a submodule or an executable in a release directory can mean another thing on another host, so only plain files are read.", "git ls-tree -r HEAD environments/production/shop"},
	UnsafePath:       {byRepo, "Names with spaces, control characters or dots alone can be read in two ways; what is approved must read in one.", "git mv 'environments/production/shop/my file' environments/production/shop/my-file"},
	EntryTooLarge:    {byRepo, "Everything that comes from outside is read within a limit, so that nobody can fill a host's memory through a commit.", "git ls-tree -r -l HEAD environments/production/shop"},
	RepoAuthRefused:  {byRoot, "The server said no to the token, password or key of this host, or the file that holds it cannot be read by the agent.", "ls -l /etc/teal/git-token; git ls-remote https://git.example.com/releases.git"},
	RepoTooLarge:     {byRepo, "The server sent more than the limits of this host allow: a large file in the history, or a server that does not stop sending.", "git count-objects -vH"},
	RepoStale:        {byRepo, "A server that shows yesterday's state looks like a quiet day; a signed heartbeat in Git tells them apart, and it is overdue.", "git log -1 --format=%cd -- trust/heartbeat.json"},

	MirrorBehind: {byNobody, "The first address does not answer, and this mirror still shows an older commit than the one that was accepted. Going back to it would be a rewrite, so nothing is taken.", "git ls-remote https://mirror.example.com/releases.git main"},
	MirrorInUse:  {byRepo, "The first address of agent.yaml does not answer; what runs and what is released goes on over the mirror.", "tealctl status -o json"},

	"repo_host_key": {byRoot, "The server showed another key than the pinned one: it was rebuilt, or somebody stands between it and this host.", "ssh-keyscan git.example.com | ssh-keygen -lf -"},
	"too_many_refs": {byRepo, "Each followed ref is fetched and compared each time, so their number is bounded.", "git push origin --delete phase-1/done"},
}
