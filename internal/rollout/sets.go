package rollout

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Sets lists every set the state knows, each once: what may have containers, what
// must not be taken for an orphan, whose addresses are taken.
func (s State) Sets() []Set {
	var all []Set
	for _, x := range s.every() {
		i := slices.IndexFunc(all, func(y Set) bool { return y.ID == x.ID })
		switch {
		case i < 0:
			all = append(all, x)
		case len(all[i].Addresses) == 0: // a rollback target whose containers are garbage
			all[i].Addresses = x.Addresses
		}
	}
	return all
}

// every lists each mention of a set, so one set may come several times.
func (s State) every() []Set {
	var all []Set
	add := func(x *Set) {
		if x != nil && !x.ID.Zero() {
			all = append(all, *x)
		}
	}
	add(s.Live)
	add(s.Proven)
	if d := s.Deploy; d != nil {
		add(&d.To)
		add(d.From)
	}
	add(s.Kept)
	for i := range s.Old {
		add(&s.Old[i])
	}
	for i := range s.Garbage {
		add(&s.Garbage[i])
	}
	return all
}

// Addresses lists the edge addresses that the app's sets hold.
func (s State) Addresses() []netip.Addr {
	var all []netip.Addr
	for _, set := range s.every() {
		for _, a := range set.Addresses {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// address writes down a set's addresses wherever the set is mentioned; nil when its
// containers are gone and the addresses are free again.
func (s *State) address(id release.SetID, addresses map[string]netip.Addr) {
	write := func(x *Set) *Set {
		if x == nil || x.ID != id {
			return x
		}
		y := *x
		y.Addresses = maps.Clone(addresses)
		return &y
	}
	s.Live, s.Proven, s.Kept = write(s.Live), write(s.Proven), write(s.Kept)
	if d := s.Deploy; d != nil {
		d.To, d.From = *write(&d.To), write(d.From)
	}
	for _, sets := range [][]Set{s.Old, s.Garbage} {
		for i := range sets {
			sets[i] = *write(&sets[i])
		}
	}
}

// archive puts a set that was proven first among the rollback targets.
func (s *State) archive(was *Set) {
	if was != nil && !was.ProvenAt.IsZero() {
		s.Old = slices.Insert(s.Old, 0, *was)
	}
}

// tidy keeps the rollback targets few and distinct, and what is of no use any more in
// the garbage. Only the first target keeps its containers.
func (s *State) tidy() {
	var old []Set
	for _, x := range s.Old {
		again := s.Proven != nil && s.Proven.ID.Target == x.ID.Target ||
			slices.ContainsFunc(old, func(y Set) bool { return y.ID.Target == x.ID.Target })
		if again || len(old) > 0 {
			if len(x.Addresses) > 0 || !x.addressed() { // else its containers are gone already
				s.discard(x)
			}
			x.Addresses = nil
		}
		if !again {
			old = append(old, x)
		}
	}
	keep := 3
	if s.Live != nil && s.Live.Keep > 0 {
		keep = s.Live.Keep
	}
	s.Old = old[:min(len(old), keep)]
	if k := s.Kept; k != nil && s.serves(k.ID) {
		s.Kept = nil
	}
	s.Garbage = slices.DeleteFunc(s.Garbage, func(g Set) bool {
		return s.serves(g.ID) || s.Kept.is(g.ID) || s.Gone == nil && len(s.Old) > 0 && s.Old[0].ID == g.ID
	})
}

// discard leaves a set's containers to the clean-up.
func (s *State) discard(x Set) {
	if !s.serves(x.ID) && !slices.ContainsFunc(s.Garbage, func(y Set) bool { return y.ID == x.ID }) {
		s.Garbage = append(s.Garbage, x)
	}
}

// serves reports whether the set is live or the one to go back to.
func (s *State) serves(id release.SetID) bool { return s.Live.is(id) || s.Proven.is(id) }

// replicas is how many containers a service of the set has at least.
func replicas(set *Set, service string) int {
	n := 0
	for key := range set.Addresses {
		if name, _, ok := strings.Cut(key, "/"); ok && name == service {
			n++
		}
	}
	return max(n, 1)
}
