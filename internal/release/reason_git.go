package release

// Reasons 5xxx: the repository.
const (
	RepoUnreachable  Code = "repo_unreachable"
	HistoryRewritten Code = "history_rewritten"
	BranchMissing    Code = "branch_missing"
	RepoIDMismatch   Code = "repo_id_mismatch"
	GitStateLost     Code = "git_state_lost"
	UnsafeEntry      Code = "unsafe_entry"
	UnsafePath       Code = "unsafe_path"
	EntryTooLarge    Code = "entry_too_large"
	RepoAuthRefused  Code = "repo_auth_refused"
	RepoTooLarge     Code = "repo_too_large"
	RepoStale        Code = "repo_stale"
	TooManyRefs      Code = "too_many_refs"
	RepoHostKey      Code = "repo_host_key"
	MirrorBehind     Code = "mirror_behind"
	MirrorInUse      Code = "mirror_in_use"
)

var gitReasons = []Reason{
	{Number: 5001, Code: RepoUnreachable, Summary: "The repository could not be read.", Next: "Check the address, the credentials and the network; teal tries again by itself."},
	{Number: 5002, Code: HistoryRewritten, Summary: "The branch no longer descends from the commit that was last accepted, or a tag was moved.", Next: "Restore the branch, or have root accept the new history with tealctl state init."},
	{Number: 5003, Code: BranchMissing, Summary: "The repository has no branch or tag of that name; what was accepted before stays in use.", Next: "Push it, or correct its name in agent.yaml."},
	{Number: 5004, Code: RepoIDMismatch, Summary: "teal.yaml at the head of the branch does not carry the repoId that this host pins.", Next: "Check that the address is the right repository, and that teal.yaml and agent.yaml name the same repoId."},
	{Number: 5005, Code: GitStateLost, Summary: "The record of the last accepted commit is damaged or gone, so history cannot be checked.", Next: "Restore it from a backup, or have root accept a commit with tealctl state init."},
	{Number: 5006, Code: UnsafeEntry, Summary: "A directory that teal reads holds something other than plain files and directories.", Next: "Replace the named entry by a plain file (mode 100644) and commit."},
	{Number: 5007, Code: UnsafePath, Summary: "A directory that teal reads holds a name that is not allowed.", Next: "Rename the named entry to letters, digits, dot, dash and underscore, and commit."},
	{Number: 5008, Code: EntryTooLarge, Summary: "A file or directory that teal reads is larger than the limit.", Next: "Make it smaller, or move what is not part of the release elsewhere."},
	{Number: 5009, Code: RepoAuthRefused, Summary: "The Git server refused the credentials, or they could not be read.", Next: "Check the token or password file and its rights on the server; teal tries again by itself."},
	{Number: 5010, Code: RepoTooLarge, Summary: "The Git server sent more than the limits allow; nothing of it was used.", Next: "Remove large files from the repository's history, or raise the limit."},
	{Number: 5011, Code: RepoStale, Summary: "The repository's signed heartbeat is missing or too old: somebody may be serving an old state of it.", Next: "Check that the pipeline renews trust/heartbeat.json and that this host reads the right repository; what runs keeps running."},
	{Number: 5012, Code: RepoHostKey, Summary: "The Git server's SSH host key is not one that this host pins, so nothing was asked of it.", Next: "Ask whoever runs the server for the fingerprint of its key; if it was changed on purpose, put the new key into hostKeys or the knownHostsFile."},
	{Number: 5013, Code: MirrorBehind, Summary: "A mirror of the repository has not caught up with the commit that was last accepted; nothing is taken from it.", Next: "Nothing, it will catch up; if it does not, see why it is not updated."},
	{Number: 5014, Code: MirrorInUse, Summary: "The repository does not answer at its first address; a mirror does, held to the same rules.", Next: "See why the first address does not answer; it is tried again by itself."},
	{Number: 5020, Code: TooManyRefs, Summary: "A pattern of agent.yaml matches more branches than may be followed at once; those followed before still are.", Next: "Delete branches that are done, or follow a narrower pattern."},
}
