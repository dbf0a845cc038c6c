package release

// Colour is one of the two complete sets of an app's containers on a host.
// The zero value is the colourless project of the shared services.
type Colour string

const (
	Shared Colour = ""
	Blue   Colour = "blue"
	Green  Colour = "green"
)

// Other is the colour that c is swapped with; a first release (Shared) gets Blue.
func (c Colour) Other() Colour {
	if c == Blue {
		return Green
	}
	return Blue
}

// Target is what a host runs of an app: a release and the host's own inputs to it
// (keyed hash of resolved secrets and host values, hex; DESIGN 1).
type Target struct {
	Digest Digest `json:"digest"`
	Inputs string `json:"inputs,omitempty"`
}

// SetID names one complete set of an app's containers on a host: a target in a
// colour. The colour alone is not enough, since a stopped proven set and a newer
// one share a colour while an unproven release is superseded (DESIGN 4.1).
type SetID struct {
	Colour Colour `json:"colour,omitempty"`
	Target
}

// Zero reports whether id names no set.
func (id SetID) Zero() bool { return id.Digest == "" }
