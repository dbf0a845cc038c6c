package release

// Reasons 6xxx: control socket and command line.
const (
	NotAuthorised Code = "not_authorised"
	BadRequest    Code = "bad_request"
	UnknownApp    Code = "unknown_app"
	NoSuchRelease Code = "no_such_release"
	AgentRunning  Code = "agent_running"
	ConfigInvalid Code = "config_invalid"

	// What tealctl itself ends with.
	CommandLine        Code = "command_line"
	AgentUnreachable   Code = "agent_unreachable"
	WaitTimeout        Code = "wait_timeout"
	Interrupted        Code = "interrupted"
	NotConfirmed       Code = "not_confirmed"
	ConfirmationNeeded Code = "confirmation_needed"
	Refused            Code = "refused"
	CommandFailed      Code = "command_failed"
	OtherHost          Code = "other_host"
)

var controlReasons = []Reason{
	{Number: 6001, Code: NotAuthorised, Summary: "The peer on the control socket has no role that may do this.", Next: "Ask an operator, or have root add you to the group that the message names."},
	{Number: 6002, Code: BadRequest, Summary: "The request is not one the agent understands.", Next: "Use a tealctl of the agent's version."},
	{Number: 6003, Code: UnknownApp, Summary: "The agent knows no app of that name.", Next: "Run tealctl status for the names."},
	{Number: 6004, Code: NoSuchRelease, Summary: "No release of that version or digest is known here.", Next: "Run tealctl history for what is."},
	{Number: 6005, Code: AgentRunning, Summary: "Another agent runs on the same state directory.", Next: "Stop it first, or give this one a state directory of its own."},
	{Number: 6006, Code: ConfigInvalid, Summary: "The agent's configuration is not acceptable.", Next: "Run teal-agent -check and mend what it names."},
	{Number: 6007, Code: CommandLine, Summary: "The command line is not one that tealctl understands; nothing was done.", Next: "Read the command's --help, which ends with examples."},
	{Number: 6008, Code: AgentUnreachable, Summary: "The agent does not answer on its control socket; what it deployed goes on serving.", Next: "Check systemctl status teal-agent, and --socket or TEAL_SOCKET when the agent has a socket of its own."},
	{Number: 6009, Code: WaitTimeout, Summary: "tealctl waited as long as --timeout allows; what it waited for goes on.", Next: "Look with tealctl status -w, or wait again with a longer --timeout."},
	{Number: 6010, Code: Interrupted, Summary: "tealctl was interrupted; an agent goes on with what it was doing.", Next: "Look with tealctl status -w; go back with tealctl rollback."},
	{Number: 6011, Code: NotConfirmed, Summary: "The question was not answered with yes; nothing was done.", Next: "Run the command again and answer y, or pass --yes."},
	{Number: 6012, Code: ConfirmationNeeded, Summary: "The command asks before it acts, and stdin is no terminal; nothing was done.", Next: "Run the same line with --yes."},
	{Number: 6013, Code: Refused, Summary: "tealctl refused to do it, because a right, a key or evidence is wrong.", Next: "Correct what the message names and run the command again."},
	{Number: 6014, Code: CommandFailed, Summary: "The command could not be carried out, for the reason that the message gives.", Next: "Correct what the message names and run the command again."},
	{Number: 6015, Code: OtherHost, Summary: "tealctl asks the agent of the host that it runs on, and --host names another; nothing was done.", Next: "Run the same line on that host, over ssh."},
}
