package rollout

import (
	"fmt"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// story is a life whose end is known.
type story struct {
	name string
	acts []event
}

// event is something that happens: when the app is at rest, or in the middle of what
// the act before began.
type event struct {
	middle bool
	do     func(w *world)
}

func then(do func(w *world)) event      { return event{false, do} }
func meanwhile(do func(w *world)) event { return event{true, do} }

func stories() []story {
	push := func(n int) event { return then(func(w *world) { w.push(n, true) }) }
	order := func(k OrderKind) event { return then(func(w *world) { w.order(k, "") }) }
	bad := func(version string) event { // a worker ends in its bake
		return meanwhile(func(w *world) {
			w.until(Baking, func(s State) bool { return s.Deploy.To.Version == version })
			w.kill(w.live, "worker")
		})
	}
	newer := func(p Phase, n int) event {
		return meanwhile(func(w *world) { w.until(p, nil); w.push(n, true) })
	}
	return []story{
		{"two releases and a rollback", []event{push(0), push(1), push(2), order(OrderRollback)}},
		{"a bad release", []event{push(0), push(1), bad("v1.1.0"), push(2)}},
		{"a burst", []event{push(0), push(1), meanwhile(func(w *world) { w.until(Handover, nil); w.burstNow(9) })}},
		{"superseded, then bad", []event{push(0), push(1), newer(Baking, 2), bad("v1.2.0")}},
		{"jobs, and a rollback that undoes them", []event{push(0), push(4), order(OrderRollback)}},
		{"a shared service is replaced, then bad", []event{push(0), push(3), bad("v1.3.0")}},
		{"a shared service is replaced, superseded meanwhile", []event{push(0), push(3), newer(Migrating, 4)}},
		{"jobs, then bad", []event{push(0), push(4), bad("v1.4.0")}},
		{"dropped before the switch", []event{push(0), push(1), newer(Checking, 2)}},
		{"a rollback in the bake, further back", []event{push(0), push(1), push(2), meanwhile(func(w *world) { w.until(Baking, nil); w.order(OrderRollback, digestN(0)) })}},
		{"removed, and released again", []event{push(0), then(func(w *world) { w.pushRemoval(1, true) }), push(2)}},
		{"removed, and rolled back", []event{push(0), then(func(w *world) { w.pushRemoval(1, true) }), order(OrderRollback)}},
		{"removed by order, and released again", []event{push(0), then(func(w *world) { w.elsewhere(); w.order(OrderRemove, "") }), push(2)}},
		{"drift", []event{push(0), push(1), then(func(w *world) { w.kill(w.live, "backend"); w.store = Exited }), then(func(w *world) { w.live = release.SetID{} })}},
		{"resume", []event{push(0), push(1), meanwhile(func(w *world) {
			w.until(Baking, nil)
			samples(w, RuleSample{Rule: "probe:backend", Result: Error})
			w.calm()
			w.sample = nil
		}), order(OrderResume)}},
	}
}

// crash ends the nth effect of a life as a crash does, before or after it happened.
type crash struct {
	at   int
	done bool
}

// run lives the story and returns the effect that was crashed.
func (s story) run(t *testing.T, c crash) (*world, Effect) {
	t.Helper()
	w := scripted(t)
	n, hit := 0, Effect{}
	w.interrupt = func(e Effect) bool {
		n++
		if n == c.at {
			hit = e
		}
		return n == c.at
	}
	w.interruptDone = c.done
	for _, a := range s.acts {
		if !a.middle {
			w.calm()
		}
		a.do(w)
	}
	w.calm()
	w.atRest()
	return w, hit
}

func (w *world) summary() string {
	s := w.state
	hold := "free"
	if s.Hold != nil {
		hold = string(s.Hold.Why)
	}
	var old []string
	for _, x := range s.Old {
		old = append(old, x.Version)
	}
	return fmt.Sprintf("%s in %s, proven %s, %s, rollback targets %v, shared %v", s.Live.Version, s.Live.ID.Colour, s.Proven.Version, hold, old, s.Shared)
}

// TestCrashOfEveryEffect interrupts each effect of each story once before and once
// after it happened. The end is the same, and no kind of effect goes without a crash.
func TestCrashOfEveryEffect(t *testing.T) {
	crashed := map[EffectKind][2]int{}
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			calm, _ := s.run(t, crash{})
			total := 0
			for _, n := range calm.effects {
				total += n
			}
			for at := 1; at <= total; at++ {
				for i, done := range []bool{false, true} {
					w, e := s.run(t, crash{at, done})
					n := crashed[e.Kind]
					n[i]++
					crashed[e.Kind] = n
					if w.summary() != calm.summary() {
						w.fatalf("crash of effect %d (%s, happened: %v):\n got %s\nwant %s", at, e.Kind, done, w.summary(), calm.summary())
					}
				}
			}
		})
	}
	for _, k := range EffectKinds() {
		if n := crashed[k]; n[0] == 0 || n[1] == 0 {
			t.Errorf("%s was crashed %d times before and %d times after", k, n[0], n[1])
		}
	}
}
