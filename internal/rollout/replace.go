package rollout

import (
	"maps"
	"time"

	"github.com/tealops/teal/internal/release"
)

// migrate is what happens between the turn and green's start: shared services that the
// release replaces, each stopped before its successor starts.
func migrate(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if !d.replaces(in.Past) {
		return enter(d, Starting, "", "")
	}
	return try(in, now, 0, Effect{Kind: ReplaceShared, Set: d.To, Shared: d.Replace, Token: d.Token}, Starting)
}

// replaces reports whether the deployment has shared services left to replace.
func (d *Deployment) replaces(s State) bool {
	for name, spec := range d.Replace {
		if d.Kind == KindRelease && s.Shared[name] != spec {
			return true
		}
	}
	return false
}

// replaced makes the successors the app's shared services. They stay, whatever becomes of
// the release: it describes them from now on.
func (s *State) replaced(e Effect) {
	s.Shared, s.SharedOf = maps.Clone(s.Shared), maps.Clone(s.SharedOf)
	if s.SharedOf == nil {
		s.SharedOf = map[string]release.Digest{}
	}
	for name, spec := range e.Shared {
		s.Shared[name], s.SharedOf[name] = spec, e.Set.ID.Digest
	}
}
