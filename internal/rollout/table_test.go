package rollout

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// moment is a place that an app can stand in, with no effect in flight.
type moment struct {
	name string
	set  func(w *world)
}

// moments are every phase of a release, of going back and of a rollback, and the
// settled states.
func moments() []moment {
	second := func(p Phase) func(w *world) {
		return func(w *world) {
			w.liveZero().push(1, true)
			w.until(p, nil)
		}
	}
	withJobs := func(p Phase) func(w *world) { // v1.4.0 is being deployed, and has jobs
		return func(w *world) {
			w.liveZero().push(4, true)
			w.until(p, nil)
		}
	}
	reverted := func(w *world) { // v1.1.0 was bad
		second(Baking)(w)
		w.kill(w.state.Live.ID, "backend")
		w.hurt = false
		w.calm()
	}
	chain := func(w *world) { // v1.1.0 was superseded in its bake, v1.2.0 bakes: the proven set is cold
		second(Baking)(w)
		w.push(2, true)
		w.until(Baking, func(s State) bool { return s.Deploy.To.Version == "v1.2.0" })
	}
	rollback := func(p Phase) func(w *world) {
		return func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.order(OrderRollback, "")
			w.until(p, nil)
		}
	}
	var all []moment
	all = append(all, moment{"never deployed", func(w *world) { w.push(0, true) }})
	for _, p := range Phases() {
		switch p {
		case Blocked:
			all = append(all, moment{"blocked", func(w *world) {
				w.liveZero().push(1, false)
				w.until(Blocked, nil)
			}})
		case Reverting:
			all = append(all,
				moment{"reverting, before the switch", func(w *world) {
					second(Checking)(w)
					w.play(map[EffectKind]Result{Check: Bad}, func() bool { return w.state.Phase() == Reverting })
				}},
				moment{"reverting, after the switch", func(w *world) {
					second(Baking)(w)
					w.kill(w.state.Live.ID, "backend")
					w.until(Reverting, nil)
				}},
				moment{"reverting, to a cold set", func(w *world) {
					chain(w)
					w.kill(w.state.Live.ID, "backend")
					w.until(Reverting, nil)
				}},
				moment{"reverting, a first release", func(w *world) {
					w.push(0, true)
					w.until(Baking, nil)
					w.kill(w.state.Live.ID, "backend")
					w.until(Reverting, nil)
				}})
		default:
			all = append(all, moment{string(p), second(p)})
		}
	}
	for _, p := range []Phase{Preparing, Starting, Checking, Switching, Handover, Retiring} {
		all = append(all, moment{"rollback, " + string(p), rollback(p)})
	}
	removal := func(p Phase) func(w *world) {
		return func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.until(p, nil)
		}
	}
	for _, p := range []Phase{Blocked, Preparing, Waiting, Migrating, Confirming, Switching, Retiring} {
		set := removal(p)
		if p == Blocked {
			set = func(w *world) {
				w.liveZero().pushRemoval(1, false)
				w.until(Blocked, nil)
			}
		}
		all = append(all, moment{"removal, " + string(p), set})
	}
	all = append(all,
		moment{"absent", func(w *world) { w.liveZero().pushRemoval(1, true); w.calm() }},
		moment{"ordered removal, switching", func(w *world) {
			w.liveZero().elsewhere()
			w.order(OrderRemove, "")
			w.until(Switching, nil)
		}})
	return append(all,
		moment{"another name, never deployed", func(w *world) { w.liveZero().renamed().push(1, true) }},
		moment{"another name, the former one is deploying", func(w *world) {
			second(Baking)(w)
			w.renamed().push(2, true)
		}},
		moment{"another name, its place taken", func(w *world) {
			w.liveZero().renamed().push(1, true)
			w.play(nil, func() bool { return w.former == nil })
		}},
		moment{"given away", func(w *world) {
			w.state = State{App: "shop", Renamed: &Renamed{To: "shop2", At: w.now}, Accepted: Mark{Sequence: 2, Digest: digestN(1)}}
			w.push(1, true)
		}},
		moment{"migrating, a shared service is replaced", func(w *world) {
			w.liveZero().push(3, true)
			w.until(Migrating, nil)
		}},
		moment{"migrating, the replacement was cut short", func(w *world) {
			w.liveZero().push(3, true)
			w.until(Migrating, nil)
			w.turn(func(Effect) Result { return Interrupted })
		}},
		moment{"checking, with jobs", withJobs(Checking)},
		moment{"handover, with jobs", withJobs(Handover)},
		moment{"reverting before the switch, a job began", func(w *world) {
			withJobs(Checking)(w)
			w.play(map[EffectKind]Result{RunJob: Bad}, func() bool { return w.state.Phase() == Reverting })
		}},
		moment{"reverting after the switch, with jobs", func(w *world) {
			withJobs(Baking)(w)
			w.kill(w.state.Live.ID, "backend")
			w.until(Reverting, nil)
		}},
		moment{"rollback, retiring what has jobs", func(w *world) {
			withJobs(Baking)(w)
			w.calm()
			w.order(OrderRollback, "")
			w.until(Retiring, nil)
		}},
		moment{"baking, after a superseded release", chain},
		moment{"handover, under suspicion", func(w *world) {
			second(Handover)(w)
			w.burst = &Burst{Seq: 5, Errors: 20, Requests: 25, At: w.now, Generation: w.proxy.Generation}
		}},
		moment{"baking, under suspicion", func(w *world) {
			second(Baking)(w)
			w.burst = &Burst{Seq: 5, Errors: 20, Requests: 25, At: w.now, Generation: w.proxy.Generation}
		}},
		moment{"live", func(w *world) { w.liveZero() }},
		moment{"live, a container was removed", func(w *world) {
			w.liveZero()
			delete(w.running[w.live], "backend")
			w.hurt = true
		}},
		moment{"live, an old set is left over", func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.push(2, true)
			w.until(Retiring, nil)
			w.play(nil, func() bool { return w.state.Settled() })
		}},
		moment{"reverted, held", reverted},
		moment{"rolled back, held", func(w *world) { rollback(Retiring)(w); w.calm() }},
		moment{"held, inconclusive", func(w *world) {
			w.liveZero().push(1, true)
			w.sample = func() *Sample { return &Sample{At: w.now, Rules: []RuleSample{{Rule: "probe:backend", Result: Error}}} }
			w.calm()
			w.sample = nil
		}},
		moment{"held, no proven", func(w *world) {
			w.push(0, true)
			w.until(Baking, nil)
			w.kill(w.state.Live.ID, "backend")
			w.calm()
			w.hurt = false
		}},
	)
}

// happening is something that can come from outside.
type happening struct {
	name string
	do   func(w *world)
}

func happenings() []happening {
	target := func(w *world) Set {
		if d := w.state.Deploy; d != nil {
			return d.To
		}
		return w.want.Set
	}
	end := func(w *world, id release.SetID, service string) {
		if _, made := w.running[id][service]; made {
			w.kill(id, service)
		}
	}
	return []happening{
		{"nothing", func(*world) {}},
		{"a newer accepted release", func(w *world) { w.push(7, true) }},
		{"a newer refused release", func(w *world) { w.push(7, false) }},
		{"Git goes back", func(w *world) { w.push(0, true) }},
		{"the release is removed from Git", func(w *world) { w.want = Want{Absent: true} }},
		{"an approved removal", func(w *world) { w.pushRemoval(7, true) }},
		{"a refused removal", func(w *world) { w.pushRemoval(7, false) }},
		{"the newest release runs on other hosts", func(w *world) { w.push(7, true); w.elsewhere() }},
		{"a refused one runs on other hosts", func(w *world) { w.push(7, false); w.elsewhere() }},
		{"a singleton of the release fits two hosts", func(w *world) { w.ambiguous() }},
		{"Git cannot be read", func(w *world) { w.want = Want{Unknown: release.NoCommitYet} }},
		{"the verdict is withdrawn", func(w *world) {
			w.trusted[target(w).ID.Digest] = false
			w.want.Verdict = wantN(0, false).Verdict
		}},
		{"a quarantine arrives", func(w *world) {
			w.fleet.Quarantine = append(w.fleet.Quarantine, Quarantine{App: "shop", Digest: target(w).ID.Digest, Inputs: "*", Host: "*", Why: release.BakeBurst})
		}},
		{"a freeze", func(w *world) { w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}} }},
		{"an order to roll back", func(w *world) { w.order(OrderRollback, "") }},
		{"an order to remove the app", func(w *world) { w.order(OrderRemove, "") }},
		{"an order to remove what runs on other hosts", func(w *world) { w.elsewhere(); w.order(OrderRemove, "") }},
		{"an order to resume", func(w *world) { w.order(OrderResume, "") }},
		{"an order to retry", func(w *world) { w.order(OrderRetry, "") }},
		{"a burst of errors", func(w *world) {
			w.burst = &Burst{Seq: 99, Errors: 20, Requests: 25, At: w.now, Generation: w.proxy.Generation}
		}},
		{"a routed container of the new set ends", func(w *world) { end(w, target(w).ID, "backend") }},
		{"a worker of the new set ends", func(w *world) { end(w, target(w).ID, "worker") }},
		{"a routed container of the other set ends", func(w *world) {
			for id := range w.running {
				if id != target(w).ID {
					end(w, id, "backend")
				}
			}
		}},
		{"the engine does not answer", func(w *world) { w.dead = true }},
		{"the proxy does not answer", func(w *world) { w.deaf = true }},
		{"the proxy serves something else", func(w *world) { w.live, w.hurt = release.SetID{}, true }},
		{"16 minutes pass", func(w *world) { w.later(16 * time.Minute) }},
	}
}

var results = []Result{OK, Retryable, Bad, NeedsPerson, Cancelled, Interrupted}

// TestEveryPhaseMeetsEveryEvent writes the table of what follows on what, and fails on
// an empty cell, on a phase or an effect that is not in it, and on any difference to
// the published one.
func TestEveryPhaseMeetsEveryEvent(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprint(&out, `# Every state meets every event

What the planner does next (rollout.Next), by where the app stands and what happens. v1.0.0 is live and
proven, v1.1.0 is being deployed; a rollback goes from v1.1.0 to v1.0.0. "While X runs" is the same event
with the effect X in flight; the second table of a state says what follows on each end of an effect:
ok · retry (not the release's doing) · revert (the release is bad) · hold (a person must look) ·
cancelled · interrupted (the agent died in between).

"→ p" enters phase p; "ends e" ends the deployment; "waits for a time" looks again by itself; other words
are effects and reason codes. This file is written by a test of package rollout and compared by it.
`)
	phases, kinds := map[Phase]bool{}, map[EffectKind]bool{}
	for _, m := range moments() {
		w := scripted(t)
		m.set(w)
		phases[w.state.Phase()] = true
		acts := actsWithin(w)
		for _, a := range acts {
			kinds[a.flight.Kind] = true
		}
		writeMoment(t, &out, m.name, w, acts)
	}
	for _, p := range append(Phases(), Live, Reverted, Held, Absent) {
		if !phases[p] {
			t.Errorf("the table has no %s", p)
		}
	}
	for _, k := range EffectKinds() {
		if !kinds[k] {
			t.Errorf("no state of the table runs %s", k)
		}
	}
	golden(t, "table.golden", out.Bytes())
	published, err := os.ReadFile("../../docs/states.md")
	if err != nil || !bytes.Equal(published, out.Bytes()) {
		t.Errorf("docs/states.md is not this table (%v); copy testdata/table.golden there", err)
	}
}

// actsWithin plays on until the app stands elsewhere, and returns a fork for each kind
// of effect on the way, with that effect in flight.
func actsWithin(w *world) []*world {
	w = w.fork()
	phase, seen := w.state.Phase(), map[EffectKind]bool{}
	var forks []*world
	for range 60 {
		if w.state.Phase() != phase {
			break
		}
		step := Next(w.input(), w.now)
		if a, ok := step.(Act); ok && !seen[a.Effect.Kind] {
			seen[a.Effect.Kind] = true
			f := w.fork()
			f.turn(func(Effect) Result { return "" })
			forks = append(forks, f)
		}
		wait := w.turn(func(Effect) Result { return OK })
		if wait != nil && wait.Until.IsZero() {
			break
		}
		if wait != nil {
			w.now = wait.Until
		}
	}
	return forks
}

func writeMoment(t *testing.T, out *bytes.Buffer, name string, w *world, acts []*world) {
	cell := func(text string, where ...any) string {
		if strings.TrimSpace(text) == "" {
			t.Errorf("empty cell: %s", fmt.Sprint(where...))
		}
		return text
	}
	fmt.Fprintf(out, "\n## %s\n\n| event | at rest |", name)
	for _, a := range acts {
		fmt.Fprintf(out, " while %s runs |", a.flight.Kind)
	}
	fmt.Fprintf(out, "\n|%s\n", strings.Repeat("---|", 2+len(acts)))
	for _, h := range happenings() {
		fmt.Fprintf(out, "| %s |", h.name)
		for _, at := range append([]*world{w}, acts...) {
			f := at.fork()
			h.do(f)
			fmt.Fprintf(out, " %s |", cell(f.next(), name, h.name))
		}
		fmt.Fprintln(out)
	}
	if len(acts) == 0 {
		return
	}
	fmt.Fprint(out, "\n| effect |")
	for _, r := range results {
		fmt.Fprintf(out, " %s |", r)
	}
	fmt.Fprintf(out, "\n|%s\n", strings.Repeat("---|", 1+len(results)))
	for _, a := range acts {
		fmt.Fprintf(out, "| %s |", a.flight.Kind)
		for _, r := range results {
			f := a.fork()
			f.end(*f.flight, r, r == OK)
			fmt.Fprintf(out, " %s |", cell(f.next(), name, a.flight.Kind, r))
		}
		fmt.Fprintln(out)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read the golden file (write it with -update): %v", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); look at each line, then -update:\n%s", name, diff)
	}
}

// TestStateWords keeps the lists of phases and effects complete: the table and the
// journal's readers go by them.
func TestStateWords(t *testing.T) {
	seen := map[Phase]bool{}
	for _, p := range slices.Concat(Phases(), Ends()) {
		if seen[p] || p == "" {
			t.Errorf("phase %q twice", p)
		}
		seen[p] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d phases", len(seen))
	}
}
