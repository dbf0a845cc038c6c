package trust

import (
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// TestHostAccessOfRenamed: volumes and shared services of the name that the host's journal
// says are the app's own; those of any other name are not.
func TestHostAccessOfRenamed(t *testing.T) {
	for origin, want := range map[string][]release.Code{
		"store": nil,
		"":      {release.ManifestInvalid},
		"other": {release.ManifestInvalid},
	} {
		s := newScene(t).approved("ed25519/ann", "p256/bob")
		s.sets = func(sets []release.SetSpec) {
			move := func(text *string) {
				if !strings.Contains(*text, "green") {
					*text = strings.Replace(*text, "t1-shop", "t1-store", 1)
				}
			}
			for i := range sets {
				if sets[i].ID.Colour == release.Shared {
					sets[i].App = "store"
				}
				move(&sets[i].Project)
				for n := range sets[i].Networks {
					move(&sets[i].Networks[n].Name)
				}
				for n := range sets[i].Volumes {
					move(&sets[i].Volumes[n].Name)
				}
				for n := range sets[i].Containers {
					c := &sets[i].Containers[n]
					c.Endpoints, c.Mounts = slices.Clone(c.Endpoints), slices.Clone(c.Mounts)
					for e := range c.Endpoints {
						move(&c.Endpoints[e].Network)
					}
					for m := range c.Mounts {
						move(&c.Mounts[m].Source)
					}
				}
			}
		}
		in := s.input()
		in.Origin = origin
		if got := codes(Evaluate(in).Reasons); !slices.Equal(got, want) {
			t.Errorf("origin %q: %v, want %v", origin, got, want)
		}
		if denied := judgeHost(in); (len(denied) == 0) != (origin == "store") {
			t.Errorf("origin %q: %v", origin, denied)
		}
	}
}

// TestFloorOfFormerName: who takes a place takes the host's floor with it.
func TestFloorOfFormerName(t *testing.T) {
	s := newScene(t).approved("ed25519/ann", "p256/bob")
	s.swapPolicy("{shop: 7}", "{store: 43}")
	if v := s.judge(); !v.Accepted {
		t.Fatalf("%+v", v.Reasons)
	}
	s.release.Formerly = "store"
	if got := codes(s.judge().Reasons); !slices.Equal(got, []release.Code{release.SequenceRollback}) {
		t.Errorf("below the floor of the former name: %v", got)
	}
}
