package rollout

import (
	"fmt"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// settled looks after an app with no deployment in progress.
func settled(in Input, now time.Time) Step {
	if in.Past.Rollback != nil {
		return rollback(in)
	}
	if in.Past.Removal != nil {
		return beginRemoval(in)
	}
	if step := upkeep(in, now); step != nil {
		return step
	}
	return trouble(in, now, desire(in, now))
}

// desire compares what serves with what Git wants.
func desire(in Input, now time.Time) Step {
	s, w := in.Past, in.Want
	known := w.names()
	if step := takes(in, now); step != nil {
		return step
	}
	if rotates(in) && in.Past.Rotate != nil {
		if q, code := in.quarantined(w.Set); code != "" && w.Verdict.Accepted {
			return Wait{Why: code, Detail: quarantineText(q)}
		}
		return begin(in, KindRelease, w.Set)
	}
	unproven := s.Live != nil && !s.Proven.is(s.Live.ID)
	// Git went back to the proven release while another one serves unproven.
	if known && unproven && s.Proven != nil && w.Set.ID.Target == s.Proven.ID.Target && (s.Hold == nil || s.Hold.Why != release.RevertFailed) {
		return begin(in, KindRebake, *s.Live) // its first look goes back
	}
	watch := unproven && (s.Hold == nil || s.Hold.Digest != s.Live.ID.Digest)
	if watch && !supersedes(in, now, *s.Live) {
		return begin(in, KindRebake, *s.Live)
	}
	switch {
	case !known && s.Hold != nil:
		return Wait{Why: s.Hold.Why, Detail: s.Hold.Detail}
	case w.Unknown != "":
		return Wait{Why: w.Unknown, Detail: w.Detail}
	case !known:
		why, detail := w.nothing()
		return Wait{Why: why, Detail: detail}
	case s.Live != nil && w.Set.ID.Target == s.Live.ID.Target:
		switch {
		case s.Hold == nil && w.differ:
			return Wait{Why: differWhy(w), Detail: differDetail(w, s.App)}
		case s.Hold == nil:
			return Wait{Why: release.Converged}
		case s.Hold.Digest != s.Live.ID.Digest:
			return Note{Record{Kind: RecLift, Lift: &Lift{Why: release.RevertedInGit}}}
		}
		return Wait{Why: s.Hold.Why, Detail: s.Hold.Detail}
	case s.Hold != nil && (w.Set.ID.Digest == s.Hold.Digest || w.Set.Sequence <= s.Hold.Sequence) && !w.Verdict.Emergency.Passes(trust.WaiveHold):
		return Wait{Why: s.Hold.Why, Detail: s.Hold.Detail}
	}
	if s.goneFrom(w.Set) {
		return Wait{Why: release.Removed, Detail: "by release " + w.Set.Version}
	}
	if q, code := in.quarantined(w.Set); code != "" && w.Verdict.Accepted {
		return Wait{Why: code, Detail: quarantineText(q)}
	}
	return begin(in, KindRelease, w.Set)
}

// supersedes reports whether Git wants a newer release than x that may go forward
// now. One that may not ends no watch.
func supersedes(in Input, now time.Time, x Set) bool {
	w := in.Want
	if !w.names() || !w.Verdict.Accepted || w.Set.ID.Target == x.ID.Target || w.Set.Sequence <= x.Sequence {
		return false
	}
	if h := in.Past.Hold; h != nil && !w.Verdict.Emergency.Passes(trust.WaiveHold) && (w.Set.ID.Digest == h.Digest || w.Set.Sequence <= h.Sequence) {
		return false
	}
	_, bad := in.quarantined(w.Set)
	_, frozen := in.frozen(now)
	frozen = frozen && !w.Verdict.Emergency.Passes(trust.WaiveFreeze)
	return bad == "" && !frozen && (w.Set.Absent || sharedChange(in.Past.Shared, w) == "")
}

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
		d.Phase, d.Touched, d.Crossed, d.HandedOver = Baking, true, true, true
		d.Hand = Hand{Stopped: true, Started: true}
		d.Generation, d.Baseline, d.From = s.Generation, s.Baseline, s.Proven
	case KindRollback:
		o := *s.Rollback
		d.Order, d.Phase, d.NewShared = &o, Preparing, s.again()
		d.place(s)
	case KindRelease:
		d.place(s)
		if s.foreign() && !set.Absent {
			d.Cause = release.TakesOver
		}
		if d.renews() {
			d.Cause = release.InputsChanged
			if s.Rotate != nil {
				o := *s.Rotate
				d.Order = &o
			}
		}
		for name, spec := range in.Want.Shared {
			if was, have := s.Shared[name]; have && was != spec {
				if d.Replace == nil {
					d.Replace = map[string]string{}
				}
				d.Replace[name] = spec
			} else if !have {
				if d.NewShared == nil {
					d.NewShared = map[string]string{}
				}
				d.NewShared[name] = spec
			}
		}
	}
	return Note{Record{Kind: RecBegin, Begin: &d}}
}

// place puts the new set into the colour that is not live, with the addresses of the
// containers that are there already.
func (d *Deployment) place(s State) {
	d.To.ID.Colour, d.To.Addresses = release.Blue, nil
	if s.Live != nil {
		d.To.ID.Colour = s.Live.ID.Colour.Other()
	}
	for _, known := range s.Sets() {
		if known.ID == d.To.ID {
			d.To.Addresses = known.Addresses
		}
	}
}

// trouble adds to a wait what is wrong with what serves: a settled app is converged
// only when its containers and the proxy are as they should be.
func trouble(in Input, now time.Time, step Step) Step {
	s := in.Past
	w, ok := step.(Wait)
	if !ok {
		return step
	}
	for _, k := range EffectKinds() { // upkeep that failed is tried again
		w.Until = soonest(w.Until, future(s.Care[k].Until, now))
	}
	if s.Live == nil {
		return w
	}
	bad := Wait{}
	note := func(why release.Code, detail string, until time.Time) {
		if bad.Why == "" {
			bad.Why, bad.Detail = why, detail
		}
		bad.Until = soonest(bad.Until, until)
	}
	drifted := drift(in)
	switch past := recent(s.Redirects, now); {
	case !in.Seen.Switch.Reachable:
		note(release.ProxyUnreachable, "", now.Add(BlockedRecheck))
	case in.Seen.Switch.Matches:
	case len(past) >= FlapLimit:
		note(release.Flapping, fmt.Sprintf("the proxy was told %d times in %s", len(past), FlapWindow), past[0].Add(FlapWindow+1))
	default:
		note(release.ProxyDrift, string(s.Care[SwitchTo].Code), s.Care[SwitchTo].Until)
	}
	switch past := recent(s.Restores, now); {
	case in.Seen.EngineDown:
		note(release.EngineUnreachable, "", now.Add(BlockedRecheck))
	case len(drifted) == 0:
	case len(past) >= FlapLimit:
		note(release.Flapping, fmt.Sprintf("%v ended again after %d repairs in %s", drifted, len(past), FlapWindow), past[0].Add(FlapWindow+1))
	default:
		note(release.Drift, fmt.Sprintf("%v: %s", drifted, s.Care[Restore].Code), s.Care[Restore].Until)
	}
	w.Until = soonest(w.Until, future(bad.Until, now))
	if (w.Why == release.Converged || w.Why == release.InputsDiffer) && bad.Why != "" {
		w.Why, w.Detail = bad.Why, bad.Detail
	}
	return w
}

// future is t unless it is past.
func future(t, now time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}
