package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// TestReclassed: a service runs beside the other colour's only when both releases say
// that it may.
func TestReclassed(t *testing.T) {
	set := func(colour release.Colour, routed, workers, overlap []string) *Set {
		return &Set{ID: release.SetID{Colour: colour}, Routed: routed, Workers: workers, Overlap: overlap}
	}
	backend := []string{"backend"}
	both := []string{"backend", "orders"}
	orders := []string{"orders"}
	for _, c := range []struct {
		name            string
		x, other        *Set
		routed, workers []string
	}{
		{"both overlap", set(release.Green, both, nil, orders), set(release.Blue, both, nil, orders), both, nil},
		{"the other hands over", set(release.Green, both, nil, orders), set(release.Blue, backend, orders, nil), backend, orders},
		{"the other has none", set(release.Green, both, nil, orders), set(release.Blue, backend, nil, nil), both, nil},
		{"handed over once, beside the next time", set(release.Green, backend, orders, orders), set(release.Blue, both, nil, orders), both, nil},
		{"the other was handed over as well", set(release.Green, backend, orders, orders), set(release.Blue, backend, orders, orders), both, nil},
		{"not overlap", set(release.Green, backend, orders, nil), set(release.Blue, both, nil, orders), backend, orders},
		{"no other", set(release.Green, both, nil, orders), nil, both, nil},
		{"the same set", set(release.Green, backend, orders, orders), set(release.Green, both, nil, orders), backend, orders},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := *c.x
			got := reclassed(c.x, c.other)
			if !slices.Equal(got.Routed, c.routed) || !slices.Equal(got.Workers, c.workers) {
				t.Errorf("%v and %v, want %v and %v", got.Routed, got.Workers, c.routed, c.workers)
			}
			if !slices.Equal(c.x.Routed, before.Routed) || !slices.Equal(c.x.Workers, before.Workers) {
				t.Error("the argument was changed")
			}
		})
	}
}

// TestBeginReclasses: from the beginning on, the set that is left and the set that comes
// agree on what is handed over, also in what the journal knows as live and proven.
func TestBeginReclasses(t *testing.T) {
	blue := Set{ID: release.SetID{Colour: release.Blue}, Routed: []string{"backend", "orders"}, Overlap: []string{"orders"}}
	green := Set{ID: release.SetID{Colour: release.Green}, Routed: []string{"backend"}, Workers: []string{"orders"}}
	from := blue
	s := State{App: "shop", Live: &blue, Proven: &blue}.Apply(Record{Kind: RecBegin, Begin: &Deployment{ID: "d-1", To: green, From: &from}}, time.Unix(1, 0))
	for name, x := range map[string]*Set{"live": s.Live, "proven": s.Proven, "from": s.Deploy.From, "to": &s.Deploy.To} {
		if !slices.Equal(x.Workers, []string{"orders"}) || !slices.Equal(x.Routed, []string{"backend"}) {
			t.Errorf("%s: %v, handed over %v", name, x.Routed, x.Workers)
		}
	}
}
