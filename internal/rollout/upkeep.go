package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
)

// upkeep repairs what drifted, tells the fleet what it is owed, and removes what is
// left over. Each kind of effect backs off for itself: a clean-up that fails delays no
// repair, and no repair that fails delays a newer release. Nil: nothing to do now.
func upkeep(in Input, now time.Time) Step {
	s := in.Past
	if step := repair(in, now); step != nil {
		return step
	}
	for _, e := range s.Owed {
		if !now.Before(s.Care[e.Kind].Until) {
			return care(in, e)
		}
	}
	if in.Seen.EngineDown || now.Before(s.Care[Drop].Until) {
		return nil
	}
	if orphan := unknown(in); orphan != nil {
		return care(in, Effect{Kind: Drop, Set: *orphan, Why: release.CleanUp, Detail: "the journal does not know it"})
	}
	for _, g := range s.Garbage {
		if (s.Deploy == nil || s.Deploy.To.ID != g.ID) && !s.doubts(g.ID) {
			return care(in, Effect{Kind: Drop, Set: g, Why: release.CleanUp})
		}
	}
	return nil
}

// unknown is a set on the engine that the journal does not know: what a lost or older
// state left. It is removed once the proxy surely serves the live set.
func unknown(in Input) *Set {
	s := in.Past
	if s.Live == nil || !in.Seen.Switch.Matches || !in.Seen.Switch.Reachable {
		return nil
	}
	known := map[release.SetID]bool{}
	for _, x := range s.Sets() {
		known[x.ID] = true
	}
	for _, c := range in.Seen.Containers {
		if c.Set.Colour != release.Shared && !known[c.Set] {
			return s.orphan(c)
		}
	}
	return nil
}

// repair puts back what serves: first the traffic, then it stops sets that run although
// they should not, then it restores the live containers. Nil: all is as it should be, or is tried later.
func repair(in Input, now time.Time) Step {
	s := in.Past
	if step := retell(in, now); step != nil {
		return step
	}
	if s.Live == nil || in.Seen.EngineDown {
		return nil
	}
	for _, x := range s.Sets() {
		e := Effect{Kind: Retire, Set: x, Why: release.CleanUp}
		switch {
		case s.Live.is(x.ID) || !anyRunning(in.Seen, &x):
			continue
		case s.mayRun(x.ID): // workers belong to the live set alone
			if !slices.ContainsFunc(x.Workers, func(name string) bool { return in.Seen.runs(&x, name) }) {
				continue
			}
			e.Kind, e.Services = HandStop, x.Workers
		case x.ID.Colour == s.Live.ID.Colour: // draining is by colour, and this colour serves
			e.Kind, e.Services = HandStop, slices.Concat(x.Routed, x.Workers)
		}
		if !now.Before(s.Care[e.Kind].Until) {
			return care(in, e)
		}
	}
	return restore(in, now, drift(in))
}

// serving is repair after a switch: traffic and the services that get it, no more.
func serving(in Input, now time.Time) Step {
	s := in.Past
	if step := retell(in, now); step != nil || s.Live == nil {
		return step
	}
	return restore(in, now, slices.DeleteFunc(drift(in), func(name string) bool { return !slices.Contains(s.Live.Routed, name) }))
}

// retell says to the proxy again who is live: it serves something else, or a switch
// to another set was never answered.
func retell(in Input, now time.Time) Step {
	s := in.Past
	doubt := in.Seen.Switch.Reachable && s.Doubtful != nil
	if s.Live == nil || !doubt && !drifts(in, now) || now.Before(s.Care[SwitchTo].Until) {
		return nil
	}
	if in.Seen.Switch.Known && !doubt && !in.Seen.EngineDown && !in.Seen.running(s.Live, s.Live.Routed) {
		return nil // what the proxy has may serve: the live set is put back first
	}
	return care(in, Effect{Kind: SwitchTo, Set: *s.Live, Generation: max(s.Generation, in.Seen.Switch.Generation) + 1,
		Baseline: s.Baseline, Why: release.ProxyDrift, Back: true})
}

func restore(in Input, now time.Time, drifted []string) Step {
	s := in.Past
	if len(drifted) == 0 || len(recent(s.Restores, now)) >= FlapLimit || now.Before(s.Care[Restore].Until) {
		return nil
	}
	return care(in, Effect{Kind: Restore, Set: *s.Live, Services: drifted, Shared: s.Shared, SharedOf: s.SharedOf, Why: release.Drift, Back: true})
}

// mayRun reports whether containers of the set may run while no switch is under way:
// the live set, the warm one while another serves unproven, and what is being deployed.
func (s State) mayRun(id release.SetID) bool {
	if d := s.Deploy; d != nil && (d.To.ID == id || d.From.is(id)) {
		return true
	}
	return s.Live.is(id) || s.doubts(id) || s.Proven.is(id) && !s.ProvenCold
}

func (s State) doubts(id release.SetID) bool { return s.Doubtful != nil && *s.Doubtful == id }

// drifts reports whether the proxy must be told again what is live.
func drifts(in Input, now time.Time) bool {
	return in.Seen.Switch.Reachable && !in.Seen.Switch.Matches && len(recent(in.Past.Redirects, now)) < FlapLimit
}

// redirect tells the proxy again while the new colour is being watched.
func redirect(in Input, now time.Time) Step {
	s, d := in.Past, in.Past.Deploy
	if !s.Live.is(d.To.ID) || !drifts(in, now) || failing(d, SwitchTo) && now.Before(d.Retry.Until) {
		return nil
	}
	return act(in, Effect{Kind: SwitchTo, Set: d.To, Other: d.From, Generation: max(s.Generation, in.Seen.Switch.Generation) + 1,
		Baseline: d.Baseline, Why: release.ProxyDrift, Back: true})
}

// drift names the live services and shared services that do not run although they
// should; a container that the engine is restarting is left to it. A worker that still
// runs in another set is not started beside it.
func drift(in Input) []string {
	s := in.Past
	if in.Seen.EngineDown || s.Live == nil {
		return nil
	}
	up, elsewhere := map[string]int{}, map[string]bool{}
	for _, c := range in.Seen.Containers {
		runs := c.Status == Running || c.Status == Restarting || c.Status == Paused
		switch {
		case c.Set == s.Live.ID, c.Set.Colour == release.Shared:
			if !runs || s.Deploy == nil && c.Restart == "no" { // it would not survive a reboot
				up[c.Service] -= 1000
			}
			up[c.Service]++
		case runs:
			elsewhere[c.Service] = true
		}
	}
	down := map[string]bool{}
	for _, name := range s.Live.Routed {
		down[name] = up[name] < replicas(s.Live, name)
	}
	for _, name := range s.Live.Workers {
		down[name] = up[name] < 1 && !elsewhere[name]
	}
	for name := range s.Shared {
		down[name] = up[name] < 1
	}
	maps.DeleteFunc(down, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(down))
}

// care is an effect that belongs to no deployment.
func care(in Input, e Effect) Step {
	e.Deploy, e.Started = "", time.Time{}
	e.ID = fmt.Sprintf("upkeep/%d", in.Past.Effects+1)
	return Act{e}
}
