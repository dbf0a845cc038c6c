package reconcile

import (
	"context"
	"slices"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// withdraw takes the app's routes away. A route that the app had is free then: another
// app that waits for it is looked at again.
func (l *loop) withdraw(ctx context.Context) error {
	for _, name := range l.names() {
		if err := l.Switch.Withdraw(ctx, name); err != nil {
			return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.ProxyUnreachable, Detail: "withdraw the routes", Err: err}
		}
	}
	return nil
}

// remove takes everything of the app off the engine: containers and networks of both
// colours and of the shared services, whatever the journal knows of them, then the files
// that they mounted and the volumes to purge. What the app's other volumes hold stays.
func (l *loop) remove(ctx context.Context, e rollout.Effect) error {
	found, err := l.look(ctx)
	if err != nil {
		return err
	}
	type made struct {
		app string
		id  release.SetID
	}
	var sets []made
	for _, c := range found {
		if m := (made{c.App, c.Set}); !slices.Contains(sets, m) {
			sets = append(sets, m)
		}
	}
	// The shared services last: what uses them is gone by then. The zero targets are for
	// the networks of colours that have no containers any more.
	slices.SortStableFunc(sets, func(a, b made) int { return rank(a.id) - rank(b.id) })
	for _, colour := range []release.Colour{release.Blue, release.Green, release.Shared} {
		for _, name := range l.called() {
			sets = append(sets, made{name, release.SetID{Colour: colour}})
		}
	}
	for _, set := range sets {
		if err := l.Containers.Remove(ctx, set.app, set.id, nil); err != nil {
			return err
		}
	}
	if l.Files != nil {
		for _, name := range l.names() {
			if err := l.Files.Clear(name); err != nil {
				l.log.Warn("files of a removed app are left", "app", name, "err", err)
			}
		}
	}
	if len(e.Set.Purge) == 0 {
		return nil
	}
	return l.Containers.Purge(ctx, l.origin(), e.Set.Purge)
}

func rank(id release.SetID) int {
	if id.Colour == release.Shared {
		return 1
	}
	return 0
}
