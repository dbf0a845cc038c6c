package rollout

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

var record = flag.Bool("record", false, "with -update: live the golden journal anew; only before a version that wrote one is out")

// TestGoldenJournal folds a journal that an earlier version wrote. A later version must
// come to the same state: what is in the file is never rewritten, only added to.
func TestGoldenJournal(t *testing.T) {
	if *record {
		var lines bytes.Buffer
		for _, r := range goldenLife(t).records {
			data, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(data, '\n'))
		}
		if err := os.WriteFile("testdata/records.golden.jsonl", lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile("testdata/records.golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	s := State{App: "shop"}
	kinds, effects, ends := map[RecordKind]bool{}, map[EffectKind]bool{}, map[Phase]bool{}
	in := bufio.NewScanner(bytes.NewReader(data))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r stamped
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, in.Bytes())
		}
		kinds[r.Record.Kind] = true
		if r.Record.Intent != nil {
			effects[r.Record.Intent.Kind] = true
		}
		if r.Record.Settle != nil {
			ends[r.Record.Settle.Phase] = true
		}
		s = s.Apply(r.Record, r.At)
		if r.Record.Settle != nil { // a checkpoint in the middle loses nothing
			s = roundTrip(t, s)
		}
	}
	for _, k := range []RecordKind{RecBegin, RecEnter, RecIntent, RecOutcome, RecSettle, RecOrder, RecLift, RecHold, RecRemember} {
		if !kinds[k] {
			t.Errorf("the journal has no %s", k)
		}
	}
	for _, k := range EffectKinds() {
		if !effects[k] {
			t.Errorf("the journal has no %s", k)
		}
	}
	for _, p := range []Phase{Live, Reverted, Held, Superseded, Absent, Failed} {
		if !ends[p] {
			t.Errorf("nothing in the journal ends %s", p)
		}
	}
	state, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "state.golden.json", append(state, '\n'))
}

// goldenLife passes every kind of record, effect and end.
func goldenLife(t *testing.T) *world {
	w := scripted(t)
	w.push(0, true)
	w.until(Checking, nil)
	w.play(map[EffectKind]Result{Check: Bad}, nil) // failed
	w.order(OrderRetry, "")
	w.calm()
	w.push(1, true)
	w.until(Handover, nil)
	w.turn(func(Effect) Result { return Interrupted })
	w.until(Baking, nil)
	w.burstNow(1)
	w.calm() // reverted
	w.order(OrderResume, "")
	w.push(2, false)
	w.calm()
	w.push(2, true)
	w.until(Baking, nil)
	w.push(3, true) // superseded
	w.calm()
	w.push(4, true)
	w.calm()
	w.order(OrderRollback, "") // rolled back
	w.calm()
	w.push(3, true) // Git agrees: the hold is lifted
	w.calm()
	w.push(5, true)
	w.until(Preparing, nil)
	w.play(map[EffectKind]Result{Prepare: Retryable}, func() bool { return w.state.Phase() == Baking })
	samples(w, RuleSample{Rule: "probe:backend", Result: Error})
	w.calm() // held, inconclusive
	w.sample = nil
	w.order(OrderResume, "")
	w.calm()
	w.push(6, true)
	w.until(Checking, nil)
	w.order(OrderRollback, digestN(5)) // stays where it is, held
	w.calm()
	w.kill(w.live, "worker")
	w.turn(func(Effect) Result { return Retryable })
	w.turn(func(Effect) Result { return OK })
	w.kill(w.live, "backend")
	w.later(time.Second).calm()
	w.push(7, true) // by an emergency, through a freeze; its debt is settled afterwards
	w.want.Verdict.Emergency = &trust.EmergencyUse{Incident: "INC-1", Waives: []string{trust.WaiveFreeze}, FollowUpBy: w.now.Add(72 * time.Hour)}
	w.want.Verdict.Seen = map[string]time.Time{"aa/trivy": w.now}
	w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
	w.until(Baking, nil)
	w.push(7, true)
	w.turn(nil)
	w.calm()
	w.fleet.Frozen = nil
	w.calm()
	w.pushRemoval(8, true) // removed
	w.calm()
	w.push(9, true)
	w.calm()
	return w
}

// TestApplyIsTotal applies records that do not fit: a journal of a later version, or a
// torn one, must not stop the agent.
func TestApplyIsTotal(t *testing.T) {
	states := []State{{}}
	for _, s := range stories() {
		w, _ := s.run(t, crash{})
		s := State{App: "shop"}
		for _, r := range w.records {
			s = s.Apply(r.Record, r.At)
			states = append(states, s)
		}
	}
	var pool []Record
	for _, r := range goldenLife(t).records {
		pool = append(pool, r.Record)
	}
	pool = append(pool, Record{}, Record{Kind: "later"},
		Record{Kind: RecEnter, Enter: &Enter{Phase: "unknown"}}, Record{Kind: RecSettle, Settle: &Settle{Phase: "unknown"}},
		Record{Kind: RecBegin, Begin: &Deployment{}}, Record{Kind: RecIntent, Intent: &Effect{}}, Record{Kind: RecOutcome, Outcome: &Outcome{}},
		Record{Kind: RecIntent, Intent: &Effect{Kind: "later", Set: Set{ID: release.SetID{Colour: "red"}}}})
	for _, p := range append(Phases(), Live, "unknown") {
		for _, k := range []Kind{KindRelease, KindRollback, KindRebake, "later"} {
			pool = append(pool, Record{Kind: RecBegin, Begin: &Deployment{ID: "d-9", Kind: k, Phase: p, To: wantN(2, true).Set, Crossed: p == Baking}})
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(states).Draw(t, "state")
		at := t0
		for range rapid.IntRange(1, 30).Draw(t, "records") {
			at = at.Add(time.Minute)
			s = s.Apply(rapid.SampledFrom(pool).Draw(t, "record"), at)
			same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}
			if diff := cmp.Diff(s, roundTrip(t, s), same); diff != "" {
				t.Fatalf("JSON loses something: %s", diff)
			}
			// Whatever the state, the planner answers, and says why.
			w := world{t: t, state: s, now: at, want: wantN(3, true)}
			in := w.input()
			if text := say(Next(in, at)); text == "" {
				t.Fatalf("no answer for %+v", s)
			}
		}
	})
}

// TestApplyLeavesItsArgumentAlone: readers hold states while the loop goes on.
func TestApplyLeavesItsArgumentAlone(t *testing.T) {
	s := State{App: "shop"}
	for _, r := range goldenLife(t).records {
		before, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		next := s.Apply(r.Record, r.At)
		after, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, after) {
			t.Fatalf("%s changed the state it was given:\n%s", r.Record.Kind, cmp.Diff(string(before), string(after)))
		}
		s = next
	}
}
