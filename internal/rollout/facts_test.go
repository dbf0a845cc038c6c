package rollout

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// What single facts mean: containers, samples, counts, orders, sets.

func TestHardFailure(t *testing.T) {
	since := t0.Add(time.Minute)
	set := func(c release.Colour) Set {
		return Set{ID: release.SetID{Colour: c, Target: release.Target{Digest: digestN(int(c[0]))}}, Routed: []string{"web"}, Workers: []string{"mail"},
			Addresses: map[string]netip.Addr{"web/1": netip.MustParseAddr("10.0.0.1"), "web/2": netip.MustParseAddr("10.0.0.2")},
			Crash:     map[string]int{"web": 3, "mail": 0}}
	}
	green, blue := set(release.Green), set(release.Blue)
	well := func() []Container {
		return []Container{
			{Name: "w1", Service: "web", Set: green.ID, Status: Running}, {Name: "w2", Service: "web", Set: green.ID, Status: Running},
			{Name: "m", Service: "mail", Set: green.ID, Status: Running},
			{Name: "b1", Service: "web", Set: blue.ID, Status: Running}, {Name: "b2", Service: "web", Set: blue.ID, Status: Running},
		}
	}
	fall := func(at time.Time) func(c []Container) []Container { // the old colour fell at
		return func(c []Container) []Container {
			c[0].Status = Exited
			for i := 3; i < 5; i++ {
				c[i].Status, c[i].EndedAt = Exited, at
			}
			return c
		}
	}
	for _, c := range []struct {
		name  string
		phase Phase
		do    func(c []Container) []Container
		down  bool
		want  release.Code
	}{
		{name: "all is well", do: func(c []Container) []Container { return c }},
		{name: "a container ended", do: func(c []Container) []Container { c[1].Status = Exited; return c }, want: release.ContainerExited},
		{name: "a container is dead", do: func(c []Container) []Container { c[0].Status = Dead; return c }, want: release.ContainerExited},
		{name: "a worker was never started", do: func(c []Container) []Container { c[2].Status = Created; return c }, want: release.ContainerExited},
		{name: "a worker is not expected before the bake", phase: Handover, do: func(c []Container) []Container { c[2].Status = Created; return c }},
		{name: "killed for memory", do: func(c []Container) []Container { c[1].OOM = true; return c }, want: release.ContainerOOM},
		{name: "restarts below the limit", do: func(c []Container) []Container { c[0].Restarts = 2; return c }},
		{name: "restarts at the limit", do: func(c []Container) []Container { c[0].Restarts = 3; return c }, want: release.CrashLoop},
		{name: "a limit of none", do: func(c []Container) []Container { c[2].Restarts = 1; return c }, want: release.CrashLoop},
		{name: "restarts from before the watch", do: func(c []Container) []Container { c[0].Restarts, c[0].StartedAt = 9, t0; return c }},
		{name: "restarts in the watch", do: func(c []Container) []Container {
			c[0].Restarts, c[0].StartedAt = 9, since.Add(1)
			return c
		}, want: release.CrashLoop},
		{name: "the engine restarts it", do: func(c []Container) []Container { c[0].Status, c[0].Restarts = Restarting, 1; return c }},
		{name: "a replica is gone", do: func(c []Container) []Container { return c[1:] }, want: release.ContainerGone},
		{name: "the engine does not answer", do: func([]Container) []Container { return nil }, down: true},
		{name: "the old colour fell as well", do: fall(since.Add(time.Second))},
		{name: "the old colour was stopped long ago", do: fall(t0), want: release.ContainerExited},
		{name: "killed for memory while the old colour fell", do: func(c []Container) []Container {
			c = fall(since.Add(time.Second))(c)
			c[0].OOM = true
			return c
		}, want: release.ContainerOOM},
	} {
		t.Run(c.name, func(t *testing.T) {
			phase := Baking
			if c.phase != "" {
				phase = c.phase
			}
			in := Input{Past: State{App: "shop", Live: &green, Proven: &blue, Deploy: &Deployment{ID: "d-2", Kind: KindRelease, To: green, From: &blue,
				Phase: phase, Crossed: true, Began: t0, SwitchedAt: since, Since: since}}}
			in.Seen = Seen{Containers: c.do(well()), EngineDown: c.down}
			if got, detail := hardFailure(in); got != c.want {
				t.Errorf("got %q (%s), want %q", got, detail, c.want)
			}
		})
	}
}

func TestTally(t *testing.T) {
	pass, fail := RuleSample{Rule: "probe:web", Result: Pass}, RuleSample{Rule: "probe:web", Result: Fail, Detail: "500"}
	blind := RuleSample{Rule: "probe:web", Result: Error}
	traffic := func(r ProbeResult) RuleSample { return RuleSample{Rule: RuleErrorRate, Result: r} }
	rules := release.Bake{Failures: 2}
	for _, c := range []struct {
		name    string
		samples [][]RuleSample
		want    Tally
	}{
		{"passes are proof", [][]RuleSample{{pass}, {pass, traffic(Pass)}}, Tally{Samples: 2, Proof: 2, TrafficProof: 1, Passed: map[string]int{"probe:web": 2}}},
		{"a container that runs is none", [][]RuleSample{{{Rule: "container:web", Result: Pass}}}, Tally{Samples: 1}},
		{"no data is nothing", [][]RuleSample{{traffic(NoData)}}, Tally{Samples: 1}},
		{"one failure of two rules is one failed sample", [][]RuleSample{{fail, traffic(Fail)}}, Tally{Samples: 1, Failed: 1, Failing: "probe:web: 500; error_rate", Passed: map[string]int{"probe:web": 0}}},
		{"errors in a row", [][]RuleSample{{blind}, {blind}}, Tally{Samples: 2, ErrorsInRow: 2, Passed: map[string]int{"probe:web": 0}}},
		{"a pass ends them", [][]RuleSample{{blind}, {pass}}, Tally{Samples: 2, Proof: 1, Passed: map[string]int{"probe:web": 1}}},
		{"a failure ends them", [][]RuleSample{{blind}, {fail}}, Tally{Samples: 2, Failed: 1, Failing: "probe:web: 500", Passed: map[string]int{"probe:web": 0}}},
		{"one rule in error beside one that passes is no error", [][]RuleSample{{pass, {Rule: "smoke:1", Result: Error}}}, Tally{Samples: 1, Proof: 1, Passed: map[string]int{"probe:web": 1, "smoke:1": 0}}},
		{"traffic alone is a suspicion", [][]RuleSample{{pass, traffic(Fail)}, {pass, traffic(Fail)}},
			Tally{Samples: 2, Failed: 2, Proof: 2, Failing: "error_rate", Suspect: release.BakeErrorRate, SuspectDetail: "error_rate", Passed: map[string]int{"probe:web": 2}}},
		{"with a probe it is none", [][]RuleSample{{pass, traffic(Fail)}, {fail, traffic(Fail)}},
			Tally{Samples: 2, Failed: 2, Proof: 1, Failing: "probe:web: 500; error_rate", Passed: map[string]int{"probe:web": 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Tally
			for _, s := range c.samples {
				got.take(Outcome{Kind: TakeSample, Result: OK, Sample: &Sample{At: t0, Rules: s}}, rules, t0)
			}
			c.want.LastAt = t0
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSamplesThatCouldNotBeTaken(t *testing.T) {
	var got Tally
	bad := &Sample{At: t0, Rules: []RuleSample{{Rule: "probe:web", Result: Fail}}}
	for _, o := range []Outcome{
		{Result: Retryable}, {Result: OK}, // no sample: an error
		{Result: Interrupted, Sample: bad}, {Result: Cancelled, Sample: bad}, // cut short: nothing
	} {
		got.take(o, release.Bake{}, t0)
	}
	if diff := cmp.Diff(Tally{Samples: 2, ErrorsInRow: 2, LastAt: t0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatTheOldColourAnswers(t *testing.T) {
	asked := Tally{Failed: 2, Suspect: release.BakeErrorRate, SuspectDetail: "d", BurstSeen: 3}
	calm := t0.Add(time.Minute)
	stands := asked
	stands.BurstSeen = 8
	for r, want := range map[Result]Tally{
		Bad: {SharedCause: 1, SharedUntil: calm, BurstSeen: 8}, // it fails too
		OK:  stands, Retryable: stands, NeedsPerson: stands,    // the suspicion stands
		Interrupted: asked, Cancelled: asked, // it is asked again
	} {
		got := asked
		got.answer(Outcome{Kind: ProbeWarm, Result: r}, 8, calm)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r, diff)
		}
	}
}

func TestErrorRate(t *testing.T) {
	rules := release.Bake{ErrorRate: 0.01, MinRequests: 20}
	for _, c := range []struct {
		name        string
		before, now Traffic
		baseline    float64
		want        ProbeResult
	}{
		{"no requests", Traffic{}, Traffic{}, 0, NoData},
		{"too few", Traffic{100, 0}, Traffic{119, 19}, 0, NoData},
		{"enough and well", Traffic{100, 0}, Traffic{120, 0}, 0, Pass},
		{"at the limit", Traffic{0, 0}, Traffic{100, 1}, 0, Pass},
		{"above", Traffic{0, 0}, Traffic{100, 2}, 0, Fail},
		{"above, but not above the baseline", Traffic{0, 0}, Traffic{100, 5}, 0.05, Pass},
		{"above the baseline", Traffic{0, 0}, Traffic{100, 7}, 0.05, Fail},
		{"the proxy began anew", Traffic{1000, 500}, Traffic{100, 0}, 0, Pass},
		{"errors fell, requests did not: anew too", Traffic{50, 50}, Traffic{100, 40}, 0, Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ErrorRate(c.before, c.now, c.baseline, rules); got.Result != c.want || got.Rule != RuleErrorRate {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}

func TestDrift(t *testing.T) {
	live := Set{ID: release.SetID{Colour: release.Blue, Target: release.Target{Digest: digestN(0)}}, Routed: []string{"web"}, Workers: []string{"mail"},
		Addresses: map[string]netip.Addr{"web/1": netip.MustParseAddr("10.0.0.1"), "web/2": netip.MustParseAddr("10.0.0.2")}}
	other := release.SetID{Colour: release.Green, Target: release.Target{Digest: digestN(1)}}
	at := func(service string, set release.SetID, s ContainerStatus) Container {
		return Container{Service: service, Set: set, Status: s}
	}
	web, mail, store := at("web", live.ID, Running), at("mail", live.ID, Running), at("store", release.SetID{}, Running)
	for _, c := range []struct {
		name string
		seen []Container
		want []string
	}{
		{"all runs", []Container{web, web, mail, store}, nil},
		{"a replica is gone", []Container{web, mail, store}, []string{"web"}},
		{"a replica ended", []Container{web, web, at("web", live.ID, Exited), mail, store}, []string{"web"}},
		{"left to the engine", []Container{web, at("web", live.ID, Restarting), mail, at("store", release.SetID{}, Paused)}, nil},
		{"a shared service ended", []Container{web, web, mail, at("store", release.SetID{}, Exited)}, []string{"store"}},
		{"a worker is gone", []Container{web, web, store}, []string{"mail"}},
		{"a worker still runs in another set", []Container{web, web, store, at("mail", other, Running)}, nil},
		{"a worker of another set that ended is none", []Container{web, web, store, at("mail", other, Exited)}, []string{"mail"}},
		{"everything is gone", nil, []string{"mail", "store", "web"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Past: State{Live: &live, Shared: map[string]string{"store": "s"}}, Seen: Seen{Containers: c.seen}}
			if diff := cmp.Diff(c.want, drift(in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRollbackTarget(t *testing.T) {
	set := func(n int, inputs string, proven bool) Set {
		s := wantN(n, true).Set
		s.ID.Inputs = inputs
		if proven {
			s.ProvenAt = t0
		}
		return s
	}
	for _, c := range []struct {
		name string
		past State
		to   release.Digest
		bad  []Quarantine
		want string
	}{
		{name: "nothing was ever proven", want: string(release.RollbackNoTarget)},
		{name: "the one before", past: State{Live: ptr(set(2, "i", true)), Proven: ptr(set(2, "i", true)), Old: []Set{set(1, "i", true), set(0, "i", true)}}, want: "v1.1.0 i"},
		{name: "a named one", past: State{Live: ptr(set(2, "i", true)), Proven: ptr(set(2, "i", true)), Old: []Set{set(1, "i", true), set(0, "i", true)}}, to: digestN(0), want: "v1.0.0 i"},
		{name: "one that is not kept", past: State{Live: ptr(set(2, "i", true)), Proven: ptr(set(2, "i", true))}, to: digestN(0), want: string(release.RollbackNoTarget)},
		{name: "from an unproven one to the proven", past: State{Live: ptr(set(2, "i", false)), Proven: ptr(set(1, "i", true))}, want: "v1.1.0 i"},
		{name: "an unproven one is no target", past: State{Live: ptr(set(2, "i", false)), Proven: ptr(set(1, "i", true))}, to: digestN(2), want: string(release.RollbackNoTarget)},
		{name: "after a rollback never forward again", past: State{Live: ptr(set(1, "i", true)), Proven: ptr(set(1, "i", true)), Old: []Set{set(2, "i", true), set(0, "i", true)}}, want: "v1.0.0 i"},
		{name: "from the release that bakes", past: State{Live: ptr(set(2, "i", false)), Proven: ptr(set(1, "i", true)),
			Deploy: &Deployment{Kind: KindRelease, To: set(2, "i", false), Crossed: true}}, want: "v1.1.0 i"},
		{name: "a release that only waits is not what serves", past: State{Live: ptr(set(1, "i", true)), Proven: ptr(set(1, "i", true)), Old: []Set{set(0, "i", true)},
			Deploy: &Deployment{Kind: KindRelease, To: set(2, "i", false), Phase: Blocked}}, want: "v1.0.0 i"},
		{name: "the same order while it is carried out", past: State{Live: ptr(set(1, "i", true)), Proven: ptr(set(2, "i", true)), Old: []Set{set(1, "i", true), set(0, "i", true)},
			Deploy: &Deployment{Kind: KindRollback, To: set(1, "i", true), From: ptr(set(2, "i", true)), Crossed: true}}, want: "v1.1.0 i"},
		{name: "other inputs of the same release", past: State{Live: ptr(set(1, "j", true)), Proven: ptr(set(1, "j", true)), Old: []Set{set(1, "i", true)}}, want: "v1.1.0 i"},
		{name: "past a quarantined one", past: State{Live: ptr(set(2, "i", true)), Proven: ptr(set(2, "i", true)), Old: []Set{set(1, "i", true), set(0, "i", true)}},
			bad: []Quarantine{{App: "shop", Digest: digestN(1), Inputs: "i", Host: "h"}}, want: "v1.0.0 i"},
		{name: "to a quarantined one", past: State{Live: ptr(set(2, "i", true)), Proven: ptr(set(2, "i", true)), Old: []Set{set(1, "i", true)}}, to: digestN(1),
			bad: []Quarantine{{App: "shop", Digest: digestN(1), Inputs: "*", Host: "*"}}, want: string(release.Quarantined)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.past.App = "shop"
			set, code, _ := rollbackTarget(Input{Past: c.past, Fleet: FleetView{Quarantine: c.bad}}, Order{Kind: OrderRollback, To: c.to})
			got := string(code)
			if set != nil {
				got = set.Version + " " + set.ID.Inputs
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOrdersAreTakenUpOnceAndUnknownOnesRefused(t *testing.T) {
	w := scripted(t).liveZero()
	w.order("later", "")
	w.order(OrderResume, "")
	if diff := cmp.Diff([]string{"refuses later: bad_request", "takes up resume", "waits: converged"}, w.play(nil, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.state.OrdersSeen != w.index {
		t.Errorf("seen %d of %d", w.state.OrdersSeen, w.index)
	}
}

func TestWhichBurstsAreNews(t *testing.T) {
	d := Deployment{Began: t0, Bake: Tally{BurstSeen: 7, SharedCause: 1, SharedUntil: t0.Add(time.Minute)}}
	fresh := Deployment{Began: t0}
	for _, c := range []struct {
		name string
		d    Deployment
		b    Burst
		want bool
	}{
		{"the first", fresh, Burst{Seq: 1, At: t0.Add(time.Second)}, true},
		{"without a time", fresh, Burst{Seq: 1}, true},
		{"from before the watch", fresh, Burst{Seq: 1, At: t0.Add(-1)}, false},
		{"answered, without a time", d, Burst{Seq: 7}, false},
		{"in a shared outage", d, Burst{Seq: 8, At: t0.Add(59 * time.Second)}, false},
		{"after it", d, Burst{Seq: 8, At: t0.Add(61 * time.Second)}, true},
		{"after it, from a proxy that counts anew", d, Burst{Seq: 1, At: t0.Add(61 * time.Second)}, true},
	} {
		if got := c.d.unanswered(c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// An order does not wait for the effect in flight, and an upkeep not for its end.
func TestAnOrderIsHeardWhileAnEffectRuns(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.calm()
	w.push(2, true)
	w.until(Checking, nil)
	w.turn(func(Effect) Result { return "" })
	w.order(OrderRollback, "")
	want := []string{"takes up rollback; cancels: rollback_ordered"}
	if diff := cmp.Diff(want, []string{w.next()}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A rollback target that is tried again and removed keeps no address.
func TestARemovedSetHoldsNoAddress(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.calm()
	w.order(OrderRollback, "")
	w.calm()
	w.order(OrderResume, "")
	w.until(Checking, nil)
	w.play(map[EffectKind]Result{Check: Bad}, nil)
	w.atRest()
	if old := w.state.Old; len(old) != 1 || old[0].Version != "v1.1.0" || len(old[0].Addresses) > 0 {
		t.Errorf("rollback targets %+v", old)
	}
}

func TestHoldsAreNeverLowered(t *testing.T) {
	s := State{Hold: &Hold{Why: release.BakeBurst, Sequence: 9}, Deploy: &Deployment{Kind: KindRebake, To: wantN(1, true).Set}}
	s = s.Apply(Record{Settle: &Settle{Phase: Held, Hold: &Hold{Why: release.Inconclusive, Sequence: 2}}}, t0)
	if s.Hold.Why != release.Inconclusive || s.Hold.Sequence != 9 {
		t.Errorf("hold %+v", s.Hold)
	}
}

func TestKeepBoundsTheRollbackTargets(t *testing.T) {
	w := scripted(t)
	for n := range 6 {
		w.push(n, true)
		w.want.Set.Keep = 2
		w.calm()
		w.atRest()
	}
	var have []string
	for _, x := range Targets(w.state) {
		have = append(have, x.Version)
	}
	if diff := cmp.Diff([]string{"v1.5.0", "v1.4.0", "v1.3.0"}, have); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(w.running) != 2 { // the live set and the one before it
		t.Errorf("containers of %d sets are left", len(w.running))
	}
}

func TestAPastTimeDoesNotSpin(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, false)
	w.calm()
	w.want.Verdict.Until = w.now.Add(-time.Hour)
	if s, ok := Next(w.input(), w.now).(Wait); !ok || !s.Until.After(w.now) {
		t.Errorf("%+v", Next(w.input(), w.now))
	}
}

func TestASetIsListedOnceWithItsAddresses(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.7")
	gone := wantN(0, true).Set
	gone.ID.Colour = release.Blue
	garbage := gone
	garbage.Addresses = map[string]netip.Addr{"backend/1": a}
	s := State{Old: []Set{gone}, Garbage: []Set{garbage}}
	if all := s.Sets(); len(all) != 1 || all[0].Addresses["backend/1"] != a {
		t.Errorf("sets %+v", all)
	}
	if all := s.Addresses(); len(all) != 1 || all[0] != a {
		t.Errorf("addresses %v", all)
	}
}
