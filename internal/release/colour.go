package release

import "github.com/tealops/teal/internal/vocab"

// Colour is one of the two complete sets of an app's containers on a host.
// The zero value is the colourless project of the shared services.
type Colour = vocab.Colour

const (
	Shared = vocab.Shared
	Blue   = vocab.Blue
	Green  = vocab.Green
)

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
