package release

// Reasons 2xxx: the host, its engine, its registry or its disk.
const (
	PullFailed          Code = "pull_failed"
	DiskFull            Code = "disk_full"
	NameTaken           Code = "name_taken"
	EngineUnreachable   Code = "engine_unreachable"
	RegistryDenied      Code = "registry_denied"
	ImageMissing        Code = "image_missing"
	ImageDigestMismatch Code = "image_digest_mismatch"
	CreateFailed        Code = "create_failed"
	StartFailed         Code = "start_failed"
	ObjectInUse         Code = "object_in_use"
	AddressTaken        Code = "address_taken"
	ExternalMissing     Code = "external_missing"
	EdgeNetworkMismatch Code = "edge_network_mismatch"
	ContainerMissing    Code = "container_missing"
	EngineRefused       Code = "engine_refused"
	FileNotWritten      Code = "file_not_written"
)

var hostReasons = []Reason{
	{Number: 2001, Code: PullFailed, Summary: "An image could not be pulled; nothing live was touched.", Next: "Check the registry and its credentials; teal tries again by itself."},
	{Number: 2002, Code: DiskFull, Summary: "The disk has too little room to go forward; going back stays possible.", Next: "Free space on the named filesystem; teal goes on by itself."},
	{Number: 2003, Code: NameTaken, Summary: "A container, network or volume of that name belongs to another agent or to nobody.", Next: "Remove or rename the foreign object, or set another prefix in agent.yaml."},
	{Number: 2004, Code: EngineUnreachable, Summary: "The container engine does not answer.", Next: "Check systemctl status docker; what runs goes on serving."},
	{Number: 2005, Code: RegistryDenied, Summary: "The registry refused the host's credentials, or there are none for it.", Next: "Run docker login for the named registry as the agent's user, or correct the credential helper; teal tries again by itself."},
	{Number: 2006, Code: ImageMissing, Summary: "The registry does not hold the image under that digest.", Next: "Push the image again under the same digest, or release a digest that exists; teal tries again by itself."},
	{Number: 2007, Code: ImageDigestMismatch, Summary: "The registry sent bytes that do not have the digest that was asked for; they were refused.", Next: "Find out who changed the registry or the way to it before anything else; then run tealctl resume."},
	{Number: 2008, Code: CreateFailed, Summary: "The engine refused to create a container, network or volume of the release.", Next: "Correct what the message names in the manifest and release again."},
	{Number: 2009, Code: StartFailed, Summary: "A container of the release did not start, or ended at once.", Next: "Read the log lines in the message, correct the release and release again."},
	{Number: 2010, Code: ObjectInUse, Summary: "An object of that name is in use with another specification, so it cannot be replaced.", Next: "Stop what uses the named object, or give the new one another name; then run tealctl resume."},
	{Number: 2011, Code: AddressTaken, Summary: "The fixed address of a container on the edge network is in use by another container.", Next: "Remove the foreign container from the edge network; teal tries again by itself."},
	{Number: 2012, Code: ExternalMissing, Summary: "The release names an external network or volume that this host does not have.", Next: "Create the named network or volume on the host; teal tries again by itself."},
	{Number: 2013, Code: EdgeNetworkMismatch, Summary: "The edge network exists with another subnet or with traffic between containers on.", Next: "Set edge.subnet in agent.yaml to the network's subnet, or remove the network while nothing is attached."},
	{Number: 2014, Code: ContainerMissing, Summary: "A container that should exist is gone.", Next: "Nothing to do at first: teal puts it back; look for who removed it if it happens again."},
	{Number: 2015, Code: EngineRefused, Summary: "The container engine answered with an error that is not the release's doing.", Next: "Read the message and the engine's log (journalctl -u docker); teal tries again by itself."},
	{Number: 2016, Code: FileNotWritten, Summary: "A config or secret could not be written to the agent's state directory, so its containers cannot be made.", Next: "Read the message: room, rights and owner of the state directory; teal tries again by itself."},
}
