package release

// Reasons 1xxx: the manifest is not acceptable.
const (
	NotSupportedYet Code = "not_supported_yet"
	ManifestInvalid Code = "manifest_invalid"
)

var manifestReasons = []Reason{
	{Number: 1001, Code: ManifestInvalid, Summary: "The release directory does not parse or validate.", Next: "Run tealctl lint on the repository and commit the corrections."},
	{Number: 1002, Code: NotSupportedYet, Summary: "The manifest uses a feature that this version of teal recognises but does not carry out.", Next: "Remove the key, or wait for a version that carries it out."},
}
