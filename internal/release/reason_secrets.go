package release

// Reasons x05x and 408x: secrets, and what a host adds to a release.
const (
	SecretNotSealed  Code = "secret_not_sealed"
	SecretMissing    Code = "secret_missing"
	SecretEmpty      Code = "secret_empty"
	SecretTooLarge   Code = "secret_too_large"
	SecretUnreadable Code = "secret_unreadable"
	SecretMisplaced  Code = "secret_misplaced"
	SecretUnopened   Code = "secret_unopened"
	IdentityMissing  Code = "identity_missing"
	HostLabelMissing Code = "host_label_missing"
	InputsLost       Code = "inputs_lost"
	InputsDiffer     Code = "inputs_differ"
	InputsChanged    Code = "inputs_changed"
	InputsSame       Code = "inputs_same"
)

var secretReasons = []Reason{
	{Number: 1050, Code: SecretNotSealed, Summary: "The manifest names a file as a secret that is not an age file: its value would lie in Git for everybody.", Next: "Seal it with tealctl secrets encrypt, remove the plain file from the history, and change the secret: it is known now."},
	{Number: 2050, Code: SecretMissing, Summary: "This host has no value for a secret that the release names.", Next: "Write secrets: {<app>: {<name>: {file: /path}}} in agent.yaml and put the file there; the release goes on by itself."},
	{Number: 2051, Code: SecretEmpty, Summary: "A secret is empty: a program that reads it would run without one.", Next: "Write its value; the release goes on by itself."},
	{Number: 2052, Code: SecretTooLarge, Summary: "A secret is larger than 256 KiB.", Next: "Mount a volume for large data; a secret is a key or a password."},
	{Number: 2053, Code: SecretUnreadable, Summary: "The source of a secret could not be read.", Next: "Correct the rights or the path that the detail names; the release goes on by itself."},
	{Number: 2054, Code: SecretMisplaced, Summary: "An age file was sealed for another environment, app or name than the one that uses it.", Next: "Seal the value for this place: tealctl secrets encrypt --env ENV --app APP --name NAME."},
	{Number: 2055, Code: SecretUnopened, Summary: "An age file could not be opened: it is damaged, or this host's identity is none of its recipients.", Next: "Add this host's recipient to environments/<env>/recipients.txt and seal the secret again."},
	{Number: 2056, Code: IdentityMissing, Summary: "The release has sealed secrets and this host has no age identity to open them with.", Next: "Write identity: /etc/teal/identity.txt in agent.yaml (age-keygen makes one, mode 0400) and start the agent again."},
	{Number: 2057, Code: HostLabelMissing, Summary: "The release takes a value from a label that this host does not have.", Next: "Write the label under labels: in agent.yaml and start the agent again, or correct hostEnv in the manifest."},
	{Number: 2058, Code: InputsLost, Summary: "What the host added to a stored release is missing or damaged.", Next: "Restore the state directory from a backup, or commit a newer release; what runs goes on serving."},
	{Number: 4080, Code: InputsDiffer, Summary: "Secrets or host values of this host differ from those that the live release runs with.", Next: "Run tealctl secrets rotate APP to swap the release with the new ones, or set autoRotate: true in agent.yaml.", Waits: true},
	{Number: 4081, Code: InputsChanged, Summary: "The same release is swapped again because secrets or host values of this host changed.", Next: "Nothing to do: it is watched as any release, and goes back by itself when it is bad."},
	{Number: 4082, Code: InputsSame, Summary: "The live release runs with the host's secrets and values as they are now.", Next: "Change the secret at its source first; tealctl secrets status shows where each comes from."},
}
