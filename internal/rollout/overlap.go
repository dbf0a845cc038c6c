package rollout

import (
	"slices"
	"time"
)

// reclassed is x with each of its overlap services where it belongs beside other: among
// Routed, which run in both colours at once, or among Workers, which do not, because the
// other set has a service of that name that must not run beside another. A service runs
// beside the other colour's only when both releases say that it may.
func reclassed(x, other *Set) *Set {
	if x == nil || other == nil || x.ID == other.ID || len(x.Overlap) == 0 {
		return x
	}
	y := *x
	alone := func(name string) bool {
		return slices.Contains(other.Workers, name) && !slices.Contains(other.Overlap, name)
	}
	is := func(name string) bool { return slices.Contains(x.Overlap, name) }
	y.Routed = slices.DeleteFunc(slices.Clone(x.Routed), is)
	y.Workers = slices.DeleteFunc(slices.Clone(x.Workers), is)
	for _, name := range x.Overlap {
		if alone(name) {
			y.Workers = append(y.Workers, name)
		} else {
			y.Routed = append(y.Routed, name)
		}
	}
	slices.Sort(y.Routed)
	slices.Sort(y.Workers)
	return &y
}

// addressed reports whether any of the set's containers has a fixed address while it
// stands.
func (s *Set) addressed() bool {
	return slices.ContainsFunc(s.Routed, func(name string) bool { return !slices.Contains(s.Overlap, name) })
}

// StartDeadline is how long the set may take to start: longer when services run to their
// end before others start.
func (s Set) StartDeadline() time.Duration {
	if len(s.Once) > 0 {
		return OnceDeadline
	}
	return StartDeadline
}
