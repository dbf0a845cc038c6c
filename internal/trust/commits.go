package trust

import "time"

// Commit is one commit that changed the release directory, as its bytes say. Nothing
// of it is believed but what a signature proves.
type Commit struct {
	ID        string // hex
	Committer string // e-mail as written; shown, never trusted
	When      time.Time
	// Signed is the commit object without its signature, Signature the signature as the
	// commit carries it (armoured, SSH or OpenPGP); Signature is empty when unsigned.
	Signed    []byte
	Signature []byte
}

// Changes are the commits that touched the release directory since the release that
// this host accepted last.
type Changes struct {
	Commits []Commit
	// Unknown says why the list is not known to be whole; empty when it is.
	Unknown string
}
