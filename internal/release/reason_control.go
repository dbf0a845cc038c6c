package release

// Reasons 6xxx: control socket and command line.
const (
	NotAuthorised Code = "not_authorised"
	BadRequest    Code = "bad_request"
	UnknownApp    Code = "unknown_app"
	NoSuchRelease Code = "no_such_release"
	AgentRunning  Code = "agent_running"
	ConfigInvalid Code = "config_invalid"
)

var controlReasons = []Reason{
	{Number: 6001, Code: NotAuthorised, Summary: "The peer on the control socket has no role that may do this.", Next: "Ask an operator, or have root add you to the group that the message names."},
	{Number: 6002, Code: BadRequest, Summary: "The request is not one the agent understands.", Next: "Use a tealctl of the agent's version."},
	{Number: 6003, Code: UnknownApp, Summary: "The agent knows no app of that name.", Next: "Run tealctl status for the names."},
	{Number: 6004, Code: NoSuchRelease, Summary: "No release of that version or digest is known here.", Next: "Run tealctl history for what is."},
	{Number: 6005, Code: AgentRunning, Summary: "Another agent runs on the same state directory.", Next: "Stop it first, or give this one a state directory of its own."},
	{Number: 6006, Code: ConfigInvalid, Summary: "The agent's configuration is not acceptable.", Next: "Run teal-agent -check and mend what it names."},
}
