package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// settled looks after an app with no deployment in progress.
func settled(in Input, now time.Time) Step {
	s, w := in.Past, in.Want
	if s.Rollback != nil {
		return rollback(in)
	}
	if step := upkeep(in, now); step != nil {
		return step
	}
	unproven := s.Live != nil && !s.Proven.is(s.Live.ID) && s.Hold == nil
	switch {
	case w.Unknown != "":
		return Wait{Why: w.Unknown, Detail: w.Detail}
	case w.Absent:
		if unproven {
			return begin(in, KindRebake, *s.Live)
		}
		return Wait{Why: release.NotInRepository}
	case s.Live != nil && w.Set.ID.Target == s.Live.ID.Target:
		switch {
		case s.Hold != nil && s.Hold.Digest != s.Live.ID.Digest:
			return Note{Record{Kind: RecLift, Lift: &Lift{Why: release.RevertedInGit}}}
		case s.Hold != nil:
			return held(s)
		case unproven:
			return begin(in, KindRebake, *s.Live)
		}
		return Wait{Why: release.Converged}
	case s.Hold != nil && (w.Set.ID.Digest == s.Hold.Digest || w.Set.Sequence <= s.Hold.Sequence):
		return held(s)
	}
	if q, code := in.Fleet.quarantined(s.App, w.Set); code != "" && w.Verdict.Accepted {
		if unproven {
			return begin(in, KindRebake, *s.Live)
		}
		return Wait{Why: code, Detail: quarantineText(q)}
	}
	return begin(in, KindRelease, w.Set)
}

func held(s State) Step { return Wait{Why: s.Hold.Why, Detail: s.Hold.Detail} }

// begin starts a deployment of set in the colour that is not live.
func begin(in Input, kind Kind, set Set) Step {
	s := in.Past
	d := Deployment{ID: fmt.Sprintf("d-%d", s.Serial+1), Kind: kind, To: set, Phase: Queued}
	if s.Live != nil {
		from := *s.Live
		d.From = &from
	}
	switch kind {
	case KindRebake:
		// It serves already: only the watch is missing.
		d.Phase, d.Crossed, d.HandedOver, d.Generation = Baking, true, true, s.Generation
		d.From = s.Proven
	default:
		colour := release.Blue
		if s.Live != nil {
			colour = s.Live.ID.Colour.Other()
		}
		if set.ID.Colour != colour {
			d.To.ID.Colour, d.To.Addresses = colour, nil
		}
		for _, known := range s.Sets() {
			if known.ID == d.To.ID {
				d.To.Addresses = known.Addresses
			}
		}
	}
	if kind == KindRelease {
		for name, spec := range in.Want.Shared {
			if _, have := s.Shared[name]; !have {
				if d.NewShared == nil {
					d.NewShared = map[string]string{}
				}
				d.NewShared[name] = spec
			}
		}
	}
	if kind == KindRollback {
		o := *s.Rollback
		d.Order = &o
		d.Phase = Preparing
	}
	return Note{Record{Kind: RecBegin, Begin: &d}}
}

// rollback carries out an operator's order on a settled app.
func rollback(in Input) Step {
	s, o := in.Past, *in.Past.Rollback
	if s.Live != nil && s.Live.ID.Digest == o.To {
		seq := s.Live.Sequence
		held := release.Digest("")
		if s.Last != nil && s.Last.Sequence > seq {
			seq, held = s.Last.Sequence, s.Last.Digest
		}
		if in.Want.Set.ID.Digest != s.Live.ID.Digest {
			seq = max(seq, in.Want.Set.Sequence)
		}
		return Note{Record{Kind: RecHold, Hold: &Hold{Why: release.RolledBack, Detail: by(o), At: o.At, Digest: held, Sequence: seq, Actor: o.Actor, Reason: o.Reason}}}
	}
	for _, c := range rollbackTargets(s) {
		if c.ID.Digest == o.To {
			return begin(in, KindRollback, c)
		}
	}
	hold := Hold{Why: release.RollbackNoTarget, Detail: by(o), At: o.At, Actor: o.Actor, Reason: o.Reason}
	if s.Live != nil {
		hold.Digest, hold.Sequence = s.Live.ID.Digest, s.Live.Sequence
	}
	return Note{Record{Kind: RecHold, Hold: &hold}}
}

// upkeep puts back what drifted and removes what is left over. Nil: all is well.
func upkeep(in Input, now time.Time) Step {
	s := in.Past
	if now.Before(s.Retry.Until) {
		return nil
	}
	if s.Live != nil && in.Seen.Switch.Reachable && !in.Seen.Switch.Matches {
		return act(in, Effect{Kind: SwitchTo, Set: *s.Live, Generation: max(s.Generation, in.Seen.Switch.Generation) + 1, Why: release.ProxyDrift, Back: true})
	}
	if in.Seen.EngineDown {
		return nil
	}
	if s.Live != nil {
		if drifted := drift(in); len(drifted) > 0 {
			if past := recent(s.Restores, now); len(past) >= FlapLimit {
				return Wait{Why: release.Flapping, Detail: fmt.Sprintf("%v ended again after %d repairs in %s", drifted, len(past), FlapWindow), Until: past[0].Add(FlapWindow)}
			}
			return act(in, Effect{Kind: Restore, Set: *s.Live, Services: drifted, Shared: s.Shared, Why: release.Drift, Back: true})
		}
	}
	if len(s.Garbage) > 0 {
		return act(in, Effect{Kind: Drop, Set: s.Garbage[0], Why: release.CleanUp})
	}
	return nil
}

// drift names the live services and shared services that do not run although they
// should; a container that the engine is restarting is left to it.
func drift(in Input) []string {
	s := in.Past
	down := map[string]bool{}
	for _, name := range append(slices.Clone(s.Live.Routed), s.Live.Workers...) {
		down[name] = true
	}
	ok := map[string]bool{}
	for _, c := range in.Seen.of(s.Live) {
		up := c.Status == Running || c.Status == Restarting || c.Status == Paused
		if was, seen := ok[c.Service]; seen {
			up = up && was
		}
		ok[c.Service] = up
	}
	for name := range s.Shared {
		down[name] = true
	}
	for _, c := range in.Seen.Containers {
		if c.Set.Colour == release.Shared {
			ok[c.Service] = c.Status == Running || c.Status == Restarting || c.Status == Paused
		}
	}
	for name, up := range ok {
		if up {
			delete(down, name)
		}
	}
	return slices.Sorted(maps.Keys(down))
}

// firstReason is the verdict's first reason, as code and text.
func firstReason(reasons []trust.Finding) (release.Code, string) {
	if len(reasons) == 0 {
		return release.Broken, "the verdict names no reason"
	}
	return reasons[0].Code, reasons[0].Detail
}
