package release

// Digest names a release: 64 lower-case hex digits of the SHA-256 over the
// app's release directory (DESIGN 3.4). The zero value means "no release".
type Digest string

// Short is the first 12 digits, for people.
func (d Digest) Short() string {
	if len(d) < 12 {
		return string(d)
	}
	return string(d[:12])
}
