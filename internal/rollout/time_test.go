package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Deadlines, backoff, crashes that last, and a fleet or a proxy that does not answer.

// failUntil lets the effect of kind k fail until the phase changes, and returns the
// waits in between.
func (w *world) failUntil(k EffectKind, r Result, stop func() bool) []time.Duration {
	w.t.Helper()
	var waits []time.Duration
	for range 2000 {
		if stop() {
			return waits
		}
		wait := w.turn(func(e Effect) Result {
			if e.Kind == k {
				return r
			}
			return OK
		})
		if wait != nil {
			waits = append(waits, wait.Until.Sub(w.now))
			w.now = wait.Until
		}
	}
	w.fatalf("%s fails for ever", k)
	return nil
}

func (w *world) phase(p Phase) func() bool { return func() bool { return w.state.Phase() == p } }

func TestPullsBackOffFromSecondsToMinutes(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Preparing, nil)
	n := 0
	waits := w.failUntil(Prepare, Retryable, func() bool { n++; return n > 60 })
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		if waits[i] != want*time.Second {
			t.Errorf("wait %d is %v, want %v", i, waits[i], want*time.Second)
		}
	}
}

func TestWaitingForPeopleIsNoLackOfProgress(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Waiting, nil)
	w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
	w.turn(func(Effect) Result { return OK })
	w.later(3 * time.Hour).fleet.Frozen = nil
	w.until(Baking, nil)
	if n := w.state.Deploy.Attempts; n > 0 {
		t.Errorf("it was dropped %d times on the way", n)
	}
}

func TestProgressDeadline(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Checking, nil)
	began := w.now
	w.failUntil(Check, Retryable, w.phase(Reverting))
	d := w.state.Deploy
	if d.Why != release.ProgressDeadline || d.Back.Bad || w.now.Sub(began) < ProgressDeadline || w.now.Sub(began) > ProgressDeadline+retryMax {
		t.Errorf("went back after %v: %s bad %v", w.now.Sub(began), d.Why, d.Back.Bad)
	}
	w.until(Blocked, nil)
	first := w.state.Deploy.Retry.Until.Sub(w.now)
	w.failUntil(Check, Retryable, w.phase(Reverting))
	w.until(Blocked, nil)
	if second := w.state.Deploy.Retry.Until.Sub(w.now); first != BlockedRecheck || second != 2*BlockedRecheck {
		t.Errorf("tried again after %v and %v", first, second)
	}
}

func TestConfirmIsAskedAgainWithTheSameNameAfterAnyCrash(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Confirming, nil)
	w.turn(func(Effect) Result { return Interrupted })
	first := w.records[len(w.records)-2].Record.Intent.Request
	w.later(3 * time.Hour)
	a, ok := Next(w.input(), w.now).(Act)
	if !ok || a.Effect.Kind != Confirm || a.Effect.Request != first || first == "" {
		t.Fatalf("after the crash: %+v, first asked as %q", a, first)
	}
	// A dropped attempt is another question.
	w.failUntil(Confirm, Retryable, w.phase(Reverting))
	if w.state.Deploy.Why != release.ConfirmUnanswered {
		t.Errorf("went back for %s", w.state.Deploy.Why)
	}
	w.until(Confirming, nil)
	if a := Next(w.input(), w.now).(Act); a.Effect.Request == first {
		t.Errorf("the second attempt asks as %q again", first)
	}
}

func TestConfirmAsksTrustAgain(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Confirming, nil)
	in := w.input()
	in.Again = nil
	if s, ok := Next(in, w.now).(Wait); !ok || s.Why != release.ShelfUnreadable || s.Until.IsZero() {
		t.Errorf("confirms although trust does not answer: %+v", Next(in, w.now))
	}
	if got := say(Next(in, w.now.Add(ConfirmDeadline+1))); got != "→ reverting: stored_release_unreadable" {
		t.Errorf("then: %s", got)
	}
}

func TestASwitchWithoutAnswerGoesBack(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Switching, nil)
	began := w.now
	w.deaf = true
	w.failUntil(SwitchTo, Retryable, w.phase(Reverting))
	if took := w.now.Sub(began); took < SwitchDeadline || took > 2*SwitchDeadline || w.state.Deploy.Back.Bad {
		t.Errorf("after %v, bad %v", took, w.state.Deploy.Back.Bad)
	}
	// Nobody knows who serves: neither set is stopped until the proxy was told.
	green := w.state.Deploy.To.ID
	for range 40 {
		if wait := w.turn(func(e Effect) Result {
			if e.Kind != SwitchTo && e.Kind != EndTurn {
				w.fatalf("%s while the proxy is silent", e.Kind)
			}
			return NeedsPerson
		}); wait != nil {
			w.now = wait.Until
		}
		if w.state.Settled() {
			break
		}
	}
	if !w.state.Settled() || !w.state.doubts(green) || w.running[green]["backend"] != Running {
		t.Errorf("in %s, doubtful %v, green %v", w.state.Phase(), w.state.Doubtful, w.running[green])
	}
	for range 5 { // the clean-up spares it too
		if wait := w.turn(func(Effect) Result { return OK }); wait != nil {
			w.now = w.now.Add(time.Minute)
		}
	}
	if w.running[green]["backend"] != Running {
		t.Errorf("the clean-up stopped what may have the traffic: %v", w.running[green])
	}
	// Nor does a newer release take its place.
	w.push(2, true)
	w.until(Preparing, nil)
	if got := w.next(); got != "waits for a time: proxy_unreachable" {
		t.Errorf("the newer release does: %s", got)
	}
	w.push(0, true)
	w.deaf = false
	w.calm()
	w.atRest()
	if w.state.Live.Version != "v1.0.0" || w.state.Doubtful != nil {
		t.Errorf("%s serves, doubtful %v", w.state.Live.Version, w.state.Doubtful)
	}
}

func TestAFirstSwitchIsTriedForAsLongAsItTakes(t *testing.T) {
	w := scripted(t)
	w.push(0, true)
	w.until(Switching, nil)
	w.deaf = true
	until := w.now.Add(time.Hour)
	for _, wait := range w.failUntil(SwitchTo, Retryable, func() bool { return w.now.After(until) }) {
		if wait > retryMax {
			t.Errorf("waits %v", wait)
		}
	}
	w.deaf = false
	if wait := w.calm(); wait.Why != release.Converged {
		t.Errorf("then %+v", wait)
	}
	w.atRest()
}

// The proxy took the first switch, the agent never learned of it, and now a person is
// needed: what may serve stays.
func TestAFirstReleaseThatMayServeStays(t *testing.T) {
	w := scripted(t)
	w.push(0, true)
	w.until(Switching, nil)
	w.interrupt, w.interruptDone = func(Effect) bool { return true }, true
	w.turn(nil)
	w.interrupt = nil
	w.turn(func(Effect) Result { return NeedsPerson })
	if wait := w.calm(); wait.Why != release.NoProven {
		t.Errorf("waits %+v", wait)
	}
	w.hurt = true // its worker was never handed over and is put back
	w.atRest()
	if !w.state.Live.is(w.live) || w.running[w.live]["backend"] != Running {
		t.Errorf("live %+v, containers %v", w.state.Live, w.running)
	}
}

func TestARollbacksSwitchIsTriedForAsLongAsItTakes(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.calm()
	w.order(OrderRollback, "")
	w.until(Switching, nil)
	w.deaf = true
	until := w.now.Add(time.Hour)
	w.failUntil(SwitchTo, Retryable, func() bool { return w.now.After(until) })
	w.deaf = false
	if wait := w.calm(); wait.Why != release.RolledBack || w.state.Live.Version != "v1.0.0" {
		t.Errorf("then %+v, %s serves", wait, w.state.Live.Version)
	}
	w.atRest()
}

func TestAStaleGenerationIsPassedAtOnce(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Switching, nil)
	w.turn(func(Effect) Result { return "" })
	e := *w.flight
	w.flight = nil
	w.record(Record{Kind: RecOutcome, Outcome: &Outcome{Effect: e.ID, Kind: SwitchTo, Result: Retryable, Code: release.StaleGeneration, Generation: 40}})
	a, ok := Next(w.input(), w.now).(Act)
	if !ok || a.Effect.Generation != 41 {
		t.Fatalf("then %+v", Next(w.input(), w.now))
	}
	// A crash in the second try repeats the very same request.
	w.turn(func(Effect) Result { return Interrupted })
	if b := Next(w.input(), w.now).(Act); b.Effect.Generation != 41 || b.Effect.Kind != SwitchTo {
		t.Errorf("after the crash %+v", b.Effect)
	}
}

func TestALongCrashInTheHandoverIsNotTheReleasesFault(t *testing.T) {
	for _, k := range []EffectKind{HandStop, HandStart} {
		w := scripted(t).liveZero()
		w.push(1, true)
		w.until(Handover, func(s State) bool { return k == HandStop || s.Deploy.Hand.Stopped })
		w.turn(func(Effect) Result { return Interrupted })
		w.later(time.Hour)
		w.until(Baking, nil)
	}
}

func TestAnEngineThatDoesNotHandOverIsNotTheReleasesFault(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Handover, nil)
	w.failUntil(HandStop, Retryable, w.phase(Reverting))
	if d := w.state.Deploy; d.Back.Bad || d.Why != release.HandoverFailed {
		t.Errorf("%s, bad %v", d.Why, d.Back.Bad)
	}
	w.calm()
	w.atRest()
	if len(w.fleet.Quarantine) > 0 || w.state.Hold == nil {
		t.Errorf("quarantine %v, hold %v", w.fleet.Quarantine, w.state.Hold)
	}
}

// Without quorum a bake begins, a revert ends, and what the fleet was not told is told later.
func TestWithoutQuorum(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Handover, nil)
	silent := func(e Effect) Result {
		if e.Kind == EndTurn || e.Kind == Report {
			return Retryable
		}
		return OK
	}
	turns := func(stop func() bool) {
		t.Helper()
		for range 200 {
			if stop() {
				return
			}
			if wait := w.turn(silent); wait != nil {
				w.now = wait.Until
			}
		}
		w.fatalf("stuck without quorum")
	}
	turns(w.phase(Baking))
	w.kill(w.live, "worker")
	bad := w.now
	turns(func() bool { return w.state.Settled() })
	if w.state.Last.FlippedAt.Sub(bad) > time.Second || w.now.Sub(bad) > 3*ReportDeadline {
		t.Errorf("flipped after %v, over after %v", w.state.Last.FlippedAt.Sub(bad), w.now.Sub(bad))
	}
	if len(w.state.Owed) != 2 {
		t.Errorf("owed: %+v", w.state.Owed)
	}
	// Meanwhile this host knows by itself what is bad.
	w.order(OrderResume, "")
	same := wantN(2, true)
	same.Set.Content = "c1"
	for want, code := range map[*Want]release.Code{ptr(wantN(1, true)): release.Quarantined, &same: release.SameAsQuarantined} {
		in := w.input()
		in.Want = *want
		if _, got := in.quarantined(want.Set); got != code {
			t.Errorf("%s: %q", want.Set.Version, got)
		}
	}
	w.calm()
	w.atRest()
	if len(w.fleet.Quarantine) != 1 {
		t.Errorf("the fleet was told %v", w.fleet.Quarantine)
	}
}

func ptr[T any](v T) *T { return &v }

func TestAReportThatIsNotTakenDoesNotKeepTheOldColour(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Retiring, nil)
	began := w.now
	w.failUntil(Report, Retryable, func() bool { return w.state.Settled() })
	if w.state.Last.Phase != Live || w.now.Sub(began) > 2*ReportDeadline || w.running[w.state.Old[0].ID]["backend"] == Running {
		t.Errorf("%s after %v, the old colour is %v", w.state.Last.Phase, w.now.Sub(began), w.running[w.state.Old[0].ID])
	}
	w.calm()
	w.atRest()
}

func TestAnOldColourThatDoesNotStopIsStoppedLater(t *testing.T) {
	w := scripted(t).liveZero()
	w.push(1, true)
	w.until(Retiring, nil)
	w.failUntil(Retire, Retryable, func() bool { return w.state.Settled() })
	if w.state.Last.Phase != Live {
		t.Fatalf("ends %s", w.state.Last.Phase)
	}
	w.calm()
	w.atRest()
}

func TestGoingBackGivesUpOnEachStepButTheFlip(t *testing.T) {
	for _, k := range []EffectKind{HandStop, HandStart, Report, FrontDoor, Retire} {
		for _, r := range []Result{Retryable, Bad, NeedsPerson} {
			w := scripted(t)
			bakingOne(w)
			w.burstNow(1) // nobody is hurt: the world sees that workers never run side by side
			w.until(Reverting, nil)
			began := w.now
			w.failUntil(k, r, func() bool { return w.state.Settled() })
			if took := w.now.Sub(began); took > 3*RevertDeadline+2*time.Minute {
				t.Errorf("%s %s: over after %v", k, r, took)
			}
			if !w.state.Live.is(w.state.Proven.ID) || w.state.Hold == nil {
				t.Errorf("%s %s: %+v serves, hold %v", k, r, w.state.Live.ID, w.state.Hold)
			}
			w.calm()
			w.atRest()
		}
	}
	w := scripted(t)
	bakingOne(w)
	w.kill(w.live, "backend")
	w.until(Reverting, nil)
	until := w.now.Add(time.Hour)
	for _, wait := range w.failUntil(SwitchTo, Retryable, func() bool { return w.now.After(until) }) {
		if wait > backRetryMax {
			t.Errorf("the flip is tried again only after %v", wait)
		}
	}
}

// The set that served before, unproven, still has its workers when the newer one fails
// in the handover: they stop before those of the proven set start.
func TestWorkersOfTheSupersededSetStopToo(t *testing.T) {
	w := scripted(t)
	bakingOne(w)
	w.push(2, true)
	w.until(Handover, func(s State) bool { return s.Deploy.To.Version == "v1.2.0" })
	between := w.state.Deploy.From.ID
	w.turn(func(Effect) Result { return Bad })
	w.until(Reverting, func(s State) bool { return s.Deploy.Back.Handed })
	if w.running[between]["worker"] == Running || w.running[w.live]["worker"] != Running {
		t.Errorf("superseded %v, live %v", w.running[between], w.running[w.live])
	}
	w.calm()
	w.atRest()
}

func TestACrashInTheRevertStillBringsTheWorkersBack(t *testing.T) {
	w := scripted(t)
	bakingOne(w)
	w.kill(w.live, "backend")
	w.until(Reverting, func(s State) bool { return s.Deploy.Back.Stopped })
	w.turn(func(Effect) Result { return Interrupted })
	w.later(time.Hour)
	w.calm()
	w.atRest()
	if w.state.Last.Phase != Reverted {
		t.Errorf("ends %s: %s", w.state.Last.Phase, w.state.Last.Why)
	}
}

// Upkeep that fails backs off, and no other upkeep and no release waits for it.
func TestUpkeepBacksOffEachForItself(t *testing.T) {
	w := scripted(t).liveZero()
	for n := 1; n <= 2; n++ {
		w.push(n, true)
		w.until(Retiring, nil)
		for !w.state.Settled() {
			w.turn(func(Effect) Result { return OK })
		}
	}
	if len(w.state.Garbage) == 0 {
		t.Fatal("nothing to clean up")
	}
	w.turn(func(e Effect) Result { return NeedsPerson }) // the drop fails
	if wait := w.turn(func(Effect) Result { return OK }); wait == nil || wait.Why != release.Converged || wait.Until.IsZero() {
		t.Errorf("after the failed clean-up: %+v", wait)
	}
	w.kill(w.live, "backend")
	if got := w.next(); !strings.HasPrefix(got, "restore") {
		t.Errorf("a failed clean-up delays the repair: %s", got)
	}
	w.turn(func(Effect) Result { return Retryable })
	if wait := w.turn(func(Effect) Result { return OK }); wait == nil || wait.Why != release.Drift || wait.Until.IsZero() {
		t.Errorf("while the repair backs off: %+v", wait)
	}
	w.push(3, true)
	if got := w.next(); got != "begins release of v1.3.0 in green" {
		t.Errorf("a failed repair delays the release: %s", got)
	}
}

func TestWhatIsOwedIsTriedAgainAlsoWhenNothingServes(t *testing.T) {
	w := scripted(t)
	w.push(0, true)
	w.until(Checking, nil)
	for !w.state.Settled() || len(w.state.Owed) == 0 || len(w.state.Care) == 0 {
		if wait := w.turn(func(e Effect) Result {
			switch e.Kind {
			case Check:
				return Bad
			case EndTurn:
				return Retryable
			}
			return OK
		}); wait != nil {
			w.now = wait.Until
		}
	}
	if wait := w.turn(nil); wait == nil || wait.Until.IsZero() {
		t.Errorf("%+v", wait)
	}
}

func TestRepairsFlapAndSaySo(t *testing.T) {
	w := scripted(t).liveZero()
	for range FlapLimit {
		w.kill(w.live, "backend")
		if w.turn(func(Effect) Result { return OK }) != nil {
			w.fatalf("not put back")
		}
	}
	w.kill(w.live, "backend")
	wait := w.turn(func(Effect) Result { return OK })
	if wait == nil || wait.Why != release.Flapping || wait.Until.Sub(w.now) > FlapWindow+time.Second {
		t.Fatalf("flaps: %+v", wait)
	}
	w.now = wait.Until
	if got := w.next(); got != "restore blue: drift" {
		t.Errorf("after the window: %s", got)
	}
}
