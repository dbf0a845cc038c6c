package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// writeFiles sees that what the set's containers mount is there. A release without
// configs and secrets needs nobody to write them.
func (l *loop) writeFiles(spec release.SetSpec) error {
	switch {
	case len(spec.Files) == 0:
		return nil
	case l.Files == nil:
		return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "nobody writes the files of " + spec.Project}
	}
	return l.Files.Write(spec.ID.Target, spec.Files)
}

// removeFiles removes the files of a set whose containers are gone, but for those that
// another set of the app mounts, or a shared service. Not to know is to leave them: a
// file too many is clean-up for another day.
func (l *loop) removeFiles(set rollout.Set) {
	if l.Files == nil {
		return
	}
	l.mu.Lock()
	others := l.state.Sets()
	l.mu.Unlock()
	defer l.forget(set.ID) // last: what is kept says what is mounted
	gone, err := l.mounted(set, false)
	if err != nil || len(gone) == 0 {
		return
	}
	keep, err := l.mounted(set, true)
	for _, other := range others {
		if other.ID == set.ID {
			continue
		}
		for _, shared := range []bool{false, true} {
			files, ferr := l.mounted(other, shared)
			keep, err = append(keep, files...), errors.Join(err, ferr)
		}
	}
	if err != nil {
		l.log.Warn("files of a dropped set are left", "set", set.ID.Digest.Short(), "err", err)
		return
	}
	gone = slices.DeleteFunc(gone, func(f release.FileSpec) bool {
		return slices.ContainsFunc(keep, func(k release.FileSpec) bool { return k.Path == f.Path })
	})
	if err := l.Files.Remove(gone); err != nil {
		l.log.Warn("files of a dropped set are left", "set", set.ID.Digest.Short(), "err", err)
	}
}

// forget removes what was kept for sets that are gone and that nothing can go back to. A
// set that has containers still keeps it: it says which files are theirs. dropped is one
// that has none any more.
func (l *loop) forget(dropped release.SetID) {
	if l.Files == nil {
		return
	}
	l.mu.Lock()
	keep, names := l.state.Reached(), l.state.Names()
	if l.state.Renamed != nil {
		names = nil // what was kept under the name is its successor's
	}
	for _, set := range l.state.Sets() {
		if set.ID != dropped {
			keep = append(keep, set.ID.Target)
		}
	}
	l.mu.Unlock()
	for _, name := range names {
		if err := l.Files.Forget(name, keep); err != nil {
			l.log.Warn("secrets of dropped sets are left", "app", name, "err", err)
		}
	}
}

// mounted are the files of a set, or those of the shared services of its release.
func (l *loop) mounted(set rollout.Set, shared bool) ([]release.FileSpec, error) {
	rel, err := l.stored(set)
	if err != nil {
		return nil, err
	}
	host, err := l.Desk.hostFor(rel, set.ID.Target, l.origin())
	if err != nil {
		return nil, err
	}
	var spec release.SetSpec
	if shared {
		spec, err = release.PlanShared(rel, host, set.ID.Target)
	} else {
		spec, err = release.Plan(rel, host, set.ID.Colour, set.ID.Target, "", func(string, int) netip.Addr { return netip.Addr{} })
	}
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", set.ID.Digest.Short(), err)
	}
	return spec.Files, nil
}
