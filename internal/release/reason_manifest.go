package release

// Reasons 1xxx: the manifest is not acceptable.
const (
	ManifestInvalid      Code = "manifest_invalid"
	NotSupportedYet      Code = "not_supported_yet"
	YAMLRefused          Code = "yaml_refused"
	UnknownKey           Code = "unknown_key"
	ImageNotPinned       Code = "image_not_pinned"
	InterpolationRefused Code = "interpolation_refused"
	ComposeNotCarried    Code = "compose_not_carried"
	PortsRefused         Code = "ports_refused"
	RouteConflict        Code = "route_conflict"
	VolumeModeMissing    Code = "volume_mode_missing"
	UnknownReference     Code = "unknown_reference"
	DependencyCycle      Code = "dependency_cycle"
	EnvFileInvalid       Code = "env_file_invalid"
	NameMismatch         Code = "name_mismatch"
	DirectoryUnreadable  Code = "release_unreadable"

	// Warnings of lint: they refuse nothing.
	UncheckedService Code = "unchecked_service"
	ExitIsBad        Code = "exit_is_bad"
)

var manifestReasons = []Reason{
	{Number: 1001, Code: ManifestInvalid, Summary: "The release directory does not parse or validate.", Next: "Run tealctl lint on the repository and commit the corrections."},
	{Number: 1002, Code: NotSupportedYet, Summary: "The manifest uses a feature that this version of teal recognises but does not carry out.", Next: "Remove the key, or wait for a version that carries it out."},
	{Number: 1003, Code: YAMLRefused, Summary: "release.yaml is not YAML, or uses a part of YAML by which a file reads differently from how it looks.", Next: "Correct the named line: UTF-8 without byte order mark, one document, no tags, no duplicate keys."},
	{Number: 1004, Code: UnknownKey, Summary: "The manifest has a key that means nothing there.", Next: "Correct the spelling or remove the key; the message names what it may have been."},
	{Number: 1005, Code: ImageNotPinned, Summary: "An image is named by tag, so what would run could change after the approval.", Next: "Write the image as name@sha256:<64 hex>; tealctl release new does it for you."},
	{Number: 1006, Code: InterpolationRefused, Summary: "The manifest would take a value from somebody's environment.", Next: "Write the value itself, or $$ where a dollar sign is meant."},
	{Number: 1007, Code: ComposeNotCarried, Summary: "The manifest uses a Compose field that teal does not carry out.", Next: "Remove it; the message names another way where there is one."},
	{Number: 1008, Code: PortsRefused, Summary: "A swapped service asks for a port of the host or a fixed container name, which both colours cannot have.", Next: "Remove it and send traffic to the service with x-teal: {route: {host, path, port}}."},
	{Number: 1009, Code: RouteConflict, Summary: "Two services claim the same host and path.", Next: "Give one of them another host or path."},
	{Number: 1010, Code: VolumeModeMissing, Summary: "Both colours may write a volume, and the manifest does not say how they share it.", Next: "Add x-teal: {volumes: {<name>: overlap}} if both may write at once, else exclusive."},
	{Number: 1011, Code: UnknownReference, Summary: "The manifest names a service, network, volume or file that it does not have.", Next: "Declare it or correct the name."},
	{Number: 1012, Code: DependencyCycle, Summary: "Services depend on each other in a circle, or on one that starts later.", Next: "Drop one of the named dependencies."},
	{Number: 1013, Code: EnvFileInvalid, Summary: "An env_file is not readable as NAME=value lines.", Next: "Correct the named line of the file."},
	{Number: 1014, Code: NameMismatch, Summary: "The manifest's name is not that of its directory.", Next: "Write name: as the directory is called, or move the directory."},
	{Number: 1015, Code: DirectoryUnreadable, Summary: "The release directory has no release.yaml, or could not be read.", Next: "Commit environments/<env>/<app>/release.yaml as a plain file."},
	{Number: 1016, Code: UncheckedService, Summary: "Warning: nothing says whether a service works; it passes when it has run for 10 s.", Next: "Write a healthcheck for it, or a route and a probe."},
	{Number: 1017, Code: ExitIsBad, Summary: "Warning: a service with restart: \"no\" that nobody waits for is bad as soon as it ends, whatever its status.", Next: "Make it one of x-teal.jobs, or wait for it with service_completed_successfully, if it ends by itself."},
}
