package release

// controlPages explains 6xxx.
var controlPages = map[Code]page{
	NotAuthorised:      {byRoot, "The agent knows by the kernel who asks; reading needs the group teal-viewers or teal-operators, changing needs teal-operators.", "usermod -aG teal-operators ann   # then log in anew"},
	BadRequest:         {byAnyone, "tealctl and the agent are of different versions, or something else than tealctl spoke to the socket.", "tealctl version"},
	UnknownApp:         {byAnyone, "The agent serves the apps of its own environment; the name is misspelt, of another environment, or its first commit is not fetched yet.", "tealctl status; tealctl sync"},
	NoSuchRelease:      {byAnyone, "A host can name only the releases that it keeps or that Git wants now.", "tealctl history shop -o wide"},
	AgentRunning:       {byRoot, "The state directory has one owner, or two agents would write one journal.", "systemctl status teal-agent"},
	ConfigInvalid:      {byRoot, "agent.yaml has unknown keys, wrong values or parts that contradict each other; an agent does not start on a guess.", "teal-agent -check -config /etc/teal/agent.yaml"},
	CommandLine:        {byAnyone, "A flag is unknown, an argument is missing or too many, or two flags contradict each other.", "tealctl status --help"},
	AgentUnreachable:   {byRoot, "Nothing listens on the control socket: the agent is stopped, being restarted, or has another socket. Its containers and the proxy go on.", "systemctl status teal-agent; TEAL_SOCKET=/run/teal/blue.sock tealctl status"},
	WaitTimeout:        {byAnyone, "--wait ends after --timeout, whatever the agent does; a bake alone takes five minutes by default.", "tealctl status shop --wait --timeout 20m"},
	Interrupted:        {byAnyone, "tealctl only looks on; Ctrl-C ends the looking, not the deployment.", "tealctl status shop -w"},
	NotConfirmed:       {byAnyone, "The verb shows what it would do and does it only on y.", "tealctl rollback shop --reason \"checkout errors\" --yes"},
	ConfirmationNeeded: {byAnyone, "In a pipe or a job there is nobody to ask, and a dangerous verb does not take silence for yes.", "tealctl freeze --until 4h --reason \"database move\" --yes"},
	Refused:            {byAnyone, "Going on would have written or signed something that hosts refuse, or that this user may not write.", "tealctl verify shop --env production"},
	CommandFailed:      {byAnyone, "Something that the command needs did not work: a file, git, a key, the network; the message gives its words.", "git -C . status"},
	OtherHost:          {byAnyone, "The control socket is a file of one host. --host holds a script to the host that it was written for.", "ssh web-2 tealctl status"},
}
