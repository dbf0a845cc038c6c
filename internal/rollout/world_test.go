package rollout

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// world is a host that carries out effects at once, for the planner's properties:
// what runs, what the proxy serves, what was checked.
type world struct {
	t       *rapid.T
	state   State
	now     time.Time
	want    Want
	again   *trust.Verdict
	fleet   FleetView
	orders  []Order
	running map[release.SetID]map[string]bool
	made    map[release.SetID]bool
	started map[release.SetID]bool // started since it was made
	checked map[release.SetID]bool
	proxy   SwitchView
	live    release.SetID // what the proxy's targets are
	served  bool          // there was a live set once
	burst   *Burst
	index   uint64
	trace   []string
}

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func newWorld(t *rapid.T) *world {
	return &world{t: t, now: t0, state: State{App: "shop"}, want: Want{Unknown: release.NoCommitYet},
		running: map[release.SetID]map[string]bool{}, made: map[release.SetID]bool{}, started: map[release.SetID]bool{}, checked: map[release.SetID]bool{}}
}

func digestN(n int) release.Digest { return release.Digest(fmt.Sprintf("%064x", n+1)) }

func wantN(n int, accepted bool) Want {
	w := Want{Commit: fmt.Sprintf("%040x", n), Shared: map[string]string{"store": "s1"}, Set: Set{
		ID:      release.SetID{Target: release.Target{Digest: digestN(n), Inputs: "i"}},
		Version: fmt.Sprintf("v1.%d.0", n), Sequence: int64(n + 1), Content: release.Digest(fmt.Sprintf("c%d", n)),
		Routed: []string{"backend"}, Workers: []string{"worker"},
		Bake: release.Bake{For: 5 * time.Minute, Every: 30 * time.Second, Failures: 2}, Drain: release.Drain{HTTP: time.Second}, Keep: 3,
		Crash: map[string]int{"backend": 3, "worker": 3},
	}}
	w.Verdict = trust.Verdict{Accepted: accepted}
	if !accepted {
		w.Verdict.Reasons = []trust.Finding{{Code: release.ApprovalThreshold, Detail: "1 of 2", Waits: true}}
	}
	return w
}

func (w *world) input() Input {
	in := Input{Want: w.want, Again: w.again, Past: w.state, Fleet: w.fleet, Orders: w.orders}
	in.Seen.Switch = w.proxy
	in.Seen.Switch.Reachable = true
	in.Seen.Switch.Matches = w.state.Live != nil && w.state.Live.ID == w.live
	in.Seen.Burst = w.burst
	for _, set := range w.state.Sets() {
		if !w.made[set.ID] {
			continue
		}
		for _, service := range append(append([]string{}, set.Routed...), set.Workers...) {
			c := Container{Name: string(set.ID.Colour) + "-" + service, App: "shop", Service: service, Set: set.ID, Status: Created}
			if w.running[set.ID][service] {
				c.Status = Running
			} else if w.started[set.ID] {
				c.Status = Exited
			}
			in.Seen.Containers = append(in.Seen.Containers, c)
		}
	}
	for name := range w.state.Shared {
		in.Seen.Containers = append(in.Seen.Containers, Container{Name: name, Service: name, Status: Running})
	}
	return in
}

// turn takes one step; fail draws how an effect ends. It returns the wait, if any.
func (w *world) turn(fail func(e Effect) Result) *Wait {
	in := w.input()
	step := Next(in, w.now)
	if again := Next(in, w.now); !reflect.DeepEqual(again, step) {
		w.t.Fatalf("Next is not deterministic:\n%+v\n%+v", step, again)
	}
	switch s := step.(type) {
	case Wait:
		if s.Why == "" {
			w.t.Fatalf("a wait without a reason in phase %s", w.state.Phase())
		}
		if _, ok := release.Lookup(s.Why); !ok {
			w.t.Fatalf("wait reason %q is not in the table", s.Why)
		}
		return &s
	case Note:
		w.record(s.Record)
	case Act:
		w.act(s.Effect, fail(s.Effect))
	case Cancel:
		w.t.Fatalf("cancel with nothing in flight: %+v", s)
	}
	return nil
}

func (w *world) record(r Record) {
	before := w.state.Phase()
	w.state = w.state.Apply(r, w.now)
	w.trace = append(w.trace, fmt.Sprintf("%s %s: %s -> %s %s", w.now.Format("15:04:05"), r.Kind, before, w.state.Phase(), note(r)))
}

func note(r Record) string {
	switch {
	case r.Enter != nil:
		return string(r.Enter.Why) + " " + r.Enter.Detail
	case r.Settle != nil:
		return string(r.Settle.Why)
	case r.Intent != nil:
		return fmt.Sprintf("%s %s %s", r.Intent.ID, r.Intent.Kind, r.Intent.Set.ID.Colour)
	case r.Outcome != nil:
		return fmt.Sprintf("%s %s", r.Outcome.Kind, r.Outcome.Result)
	}
	return ""
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
}

func (w *world) act(e Effect, result Result) {
	// Promises that every intent keeps.
	switch e.Kind {
	case Prepare, Start, Check, Confirm, SwitchTo, HandStart:
		if d := w.state.Deploy; d != nil && d.Kind == KindRelease && e.Set.ID == d.To.ID && w.state.Accepted.Digest != d.To.ID.Digest && w.state.Accepted.Sequence < d.To.Sequence {
			w.fatalf("%s of a release that was never accepted", e.Kind)
		}
	}
	if e.Kind == SwitchTo {
		proven := w.state.Proven != nil && w.state.Proven.ID == e.Set.ID
		if !w.checked[e.Set.ID] && !proven && !(w.state.Live != nil && w.state.Live.ID == e.Set.ID) {
			w.fatalf("switch to a set that is neither checked nor proven: %+v", e.Set.ID)
		}
		if !w.running[e.Set.ID]["backend"] {
			w.fatalf("switch to a set that does not run")
		}
		if e.Generation < w.proxy.Generation {
			w.fatalf("generation went back: %d after %d", e.Generation, w.proxy.Generation)
		}
	}
	if (e.Kind == Retire || e.Kind == Drop) && w.served && e.Set.ID == w.live {
		w.fatalf("%s of the set that gets the traffic", e.Kind)
	}
	w.record(Record{Kind: RecIntent, Intent: &e})
	done := result == OK
	if result == Interrupted { // a crash before or after the effect: both must be fine
		done = rapid.Bool().Draw(w.t, "effect happened before the crash")
	}
	o := Outcome{Effect: e.ID, Kind: e.Kind, Result: result, At: w.now}
	if result != OK && result != Interrupted {
		o.Code, o.Detail = release.EffectFailed, "drawn"
	}
	if done {
		w.happen(e, &o)
	}
	w.record(Record{Kind: RecOutcome, Outcome: &o})
}

func (w *world) happen(e Effect, o *Outcome) {
	id := e.Set.ID
	run := func(services []string, up bool) {
		if w.running[id] == nil {
			w.running[id] = map[string]bool{}
		}
		for _, s := range services {
			w.running[id][s] = up
		}
	}
	switch e.Kind {
	case Prepare:
		w.made[id] = true
		if e.Set.Addresses == nil {
			e.Set.Addresses = map[string]netip.Addr{"backend/1": netip.MustParseAddr("10.0.0.9")}
		}
	case AskTurn:
		w.index++
		o.Token = Token{1, w.index}
	case Start:
		run(e.Services, true)
		w.started[id] = true
	case HandStart:
		run(e.Services, true)
	case HandStop:
		run(e.Services, false)
		if e.Other != nil {
			for _, s := range e.Other.Workers {
				w.running[e.Other.ID][s] = false
			}
		}
	case Check:
		w.checked[id] = true
	case SwitchTo:
		w.proxy = SwitchView{Known: true, Generation: e.Generation, Live: id.Colour}
		w.live, w.served = id, true
	case Retire:
		run([]string{"backend", "worker"}, false)
	case Drop:
		delete(w.running, id)
		delete(w.made, id)
		delete(w.started, id)
		delete(w.checked, id)
	case Restore:
		w.made[id], w.started[id] = true, true
		run(e.Services, true)
	case Report:
		if e.Bad {
			w.fleet.Quarantine = append(w.fleet.Quarantine, Quarantine{App: "shop", Digest: id.Digest, Inputs: "*", Host: "*", Content: e.Set.Content, Why: e.Why})
		}
	case TakeSample:
		if o.Sample == nil {
			o.Sample = &Sample{At: w.now, Rules: []RuleSample{{Rule: "probe:backend", Result: Pass}, {Rule: RuleErrorRate, Result: NoData}}}
		}
	}
	if w.served && !w.running[w.live]["backend"] {
		w.fatalf("after %s of %v nothing serves", e.Kind, id)
	}
}

// calm lets everything succeed until the app settles and waits.
func (w *world) calm() *Wait {
	for range 500 {
		wait := w.turn(func(Effect) Result { return OK })
		if wait == nil {
			continue
		}
		if w.state.Settled() || wait.Until.IsZero() {
			return wait
		}
		if !wait.Until.After(w.now) {
			w.fatalf("waits for a time that is past: %+v at %v", wait, w.now)
		}
		w.now = wait.Until
	}
	w.fatalf("does not settle in 500 steps, phase %s", w.state.Phase())
	return nil
}

// atRest checks what must hold whenever an app is settled and nothing fails.
func (w *world) atRest() {
	s := w.state
	if s.Deploy != nil {
		if s.Deploy.Phase == Blocked {
			return
		}
		w.fatalf("settled but a deployment is in %s", s.Deploy.Phase)
	}
	if w.served {
		if s.Live == nil || s.Live.ID != w.live {
			w.fatalf("journal says %+v is live, proxy serves %+v", s.Live, w.live)
		}
		if !w.running[w.live]["worker"] && s.Hold == nil {
			w.fatalf("live set runs without its worker")
		}
	}
	known := map[release.SetID]bool{}
	for _, set := range s.Sets() {
		known[set.ID] = true
	}
	for id := range w.made {
		if !known[id] {
			w.fatalf("orphan: %+v has containers and the journal does not know it", id)
		}
	}
	for id, services := range w.running {
		if id != w.live && services["worker"] {
			w.fatalf("a worker of a set that is not live runs: %+v", id)
		}
	}
}

func TestFirstReleaseThenSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.want = wantN(0, true)
		if wait := w.calm(); wait.Why != release.Converged {
			w.fatalf("first release: %+v", wait)
		}
		w.atRest()
		w.want = wantN(1, true)
		if wait := w.calm(); wait.Why != release.Converged {
			w.fatalf("second release: %+v", wait)
		}
		w.atRest()
		if w.state.Live.ID.Colour != release.Green || len(w.state.Old) != 1 {
			w.fatalf("live %+v old %+v", w.state.Live, w.state.Old)
		}
		w.index++
		w.orders = append(w.orders, Order{Index: w.index, Kind: OrderRollback, App: "shop", Actor: "ann"})
		if wait := w.calm(); wait.Why != release.RolledBack {
			w.fatalf("rollback: %+v", wait)
		}
		w.atRest()
		if w.state.Live.Version != "v1.0.0" {
			w.fatalf("rolled back to %+v", w.state.Live)
		}
	})
}

// TestAnythingConverges draws a life: releases, refusals, failures of every effect at
// every point, crashes, bursts, orders, freezes. After calm returns, the promises hold.
func TestAnythingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		results := rapid.SampledFrom([]Result{OK, OK, OK, OK, OK, Interrupted, Retryable, Bad, NeedsPerson})
		n := 0
		w.want = wantN(0, true)
		for i := range rapid.IntRange(5, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 30).Draw(t, fmt.Sprintf("event %d", i)) {
			case 0:
				n++
				w.want = wantN(n, rapid.Bool().Draw(t, "accepted"))
			case 1:
				w.want = wantN(n, true)
			case 2:
				w.index++
				w.orders = append(w.orders, Order{Index: w.index, Kind: rapid.SampledFrom([]OrderKind{OrderRollback, OrderResume, OrderRetry}).Draw(t, "order"), App: "shop", Actor: "ann", At: w.now})
			case 3:
				if d := w.state.Deploy; d != nil && d.Crossed {
					w.burst = &Burst{Seq: uint64(i + 1), Generation: d.Generation, Errors: 20, Requests: 25}
				}
			case 4:
				if s := w.state; s.Live != nil && s.Deploy != nil && s.Live.ID == s.Deploy.To.ID { // green's worker dies in the bake
					if w.running[s.Live.ID] != nil {
						w.running[s.Live.ID]["worker"] = false
					}
				}
			case 5:
				if w.state.Live != nil && w.state.Proven != nil && n > 0 { // git revert
					for k := range n {
						if digestN(k) == w.state.Proven.ID.Digest {
							w.want = wantN(k, true)
						}
					}
				}
			}
			wait := w.turn(func(e Effect) Result {
				r := results.Draw(t, "result of "+string(e.Kind))
				if e.Kind == EndTurn || e.Kind == Report || e.Kind == Drop || e.Kind == Retire || e.Kind == FrontDoor || e.Kind == SwitchTo || e.Kind == HandStop || e.Kind == TakeSample || e.Kind == Restore {
					if r == Bad || r == NeedsPerson {
						return Retryable
					}
				}
				return r
			})
			if wait != nil {
				step := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, time.Minute}).Draw(t, "pause")
				if !wait.Until.IsZero() && rapid.Bool().Draw(t, "until") && wait.Until.After(w.now) {
					w.now = wait.Until
				} else {
					w.now = w.now.Add(step)
				}
			}
		}
		w.burst = nil
		wait := w.calm()
		w.atRest()
		_ = wait
	})
}
