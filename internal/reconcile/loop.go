package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// errCancelled is the cause of a context that the planner's Cancel ended.
var errCancelled = errors.New("cancelled by the planner")

// maxCare is how many failures in a row of one kind of upkeep may use the reserve.
const maxCare = 3

// idle is how long a loop with nothing to do sleeps before it looks for drift; events
// wake it earlier.
const idle = 10 * time.Minute

// loop reconciles one app. One goroutine runs it; effects run beside it, one at a time.
type loop struct {
	*Edges
	app string
	log *slog.Logger

	wake      chan struct{} // buffered 1: something changed
	done      chan rollout.Outcome
	addr      *addresses
	restarts  map[string]int                    // container id → restarts already counted in a sample
	counted   map[release.SetID]rollout.Traffic // traffic at the last sample
	inFlight  *rollout.Effect
	cancel    context.CancelCauseFunc
	asked     bool                   // cancellation was asked for
	hung      bool                   // the engine did not answer the last look in time
	others    func()                 // wakes every loop
	peer      func(app string) *loop // another app's, nil when there is none
	turning   sync.Mutex             // held while turns are taken: whoever has it sees the loop at rest
	pending   *rollout.Outcome       // an outcome the journal could not take yet
	recording *sync.RWMutex          // of the Runner
	meter     meter

	mu      sync.Mutex // guards what others read
	state   rollout.State
	want    rollout.Want
	burst   *rollout.Burst
	waiting rollout.Wait
	seen    rollout.Seen
}

func newLoop(e *Edges, app string, s rollout.State, addr *addresses, recording *sync.RWMutex) *loop {
	s.App = app
	return &loop{Edges: e, app: app, log: e.Log.With("app", app), state: s, addr: addr, recording: recording,
		wake: make(chan struct{}, 1), done: make(chan rollout.Outcome, 1),
		restarts: map[string]int{}, counted: map[release.SetID]rollout.Traffic{}}
}

// nudge wakes the loop; many nudges are one.
func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run turns until ctx ends. What is in flight then is cancelled and awaited: its
// intent stays without an outcome, as after a crash.
func (l *loop) run(ctx context.Context) error {
	defer l.stopEffect()
	l.turning.Lock()
	err := l.recover(ctx)
	l.turning.Unlock()
	if err != nil {
		return err
	}
	for {
		l.turning.Lock()
		until := l.settle(ctx)
		l.turning.Unlock()
		timer := time.NewTimer(until)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.wake:
		case o := <-l.done:
			l.turning.Lock()
			l.inFlight, l.asked = nil, false
			l.pending = &o
			l.turning.Unlock()
		case <-timer.C:
		}
		timer.Stop()
	}
}

// recover records an effect that a crash interrupted.
func (l *loop) recover(ctx context.Context) error {
	l.addr.hold(l.app, l.state)
	e := l.state.Effect
	if e == nil {
		if l.state.Last != nil && l.state.Deploy == nil { // the crash may have come right after it settled
			l.forget(release.SetID{})
		}
		return nil
	}
	l.pending = &rollout.Outcome{Effect: e.ID, Kind: e.Kind, Result: rollout.Interrupted}
	return nil
}

// settle takes turns until one of them waits, and says for how long.
func (l *loop) settle(ctx context.Context) time.Duration {
	for range 1000 { // a planner that never waits is broken; say so instead of spinning
		if ctx.Err() != nil {
			return idle
		}
		if l.pending != nil {
			if err := l.write(rollout.Record{Kind: rollout.RecOutcome, Outcome: l.pending}, true); err != nil {
				return l.refused(err)
			}
			l.pending = nil
		}
		wait, err := l.turn(ctx)
		if err != nil {
			return l.refused(err)
		}
		if wait == nil {
			continue
		}
		l.waits(*wait)
		if wait.Until.IsZero() {
			return idle
		}
		return min(max(time.Until(wait.Until), 0)+time.Millisecond, idle)
	}
	l.log.Error("planner does not settle", "phase", l.state.Phase())
	l.waits(rollout.Wait{Why: release.Broken, Detail: "the planner does not settle"})
	return time.Minute
}

// refused is a turn that could not be taken: the journal's disk is full, say. Nothing
// was done; it is tried again.
func (l *loop) refused(err error) time.Duration {
	l.log.Error("turn not taken", "err", err)
	code := release.EffectFailed
	var ee *rollout.EffectError
	if errors.As(err, &ee) {
		code = ee.Code
	}
	l.waits(rollout.Wait{Why: code, Detail: err.Error()})
	return 5 * time.Second
}

func (l *loop) waits(w rollout.Wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.Why != w.Why {
		l.log.Info("waits", "why", string(w.Why), "detail", w.Detail, "phase", string(l.state.Phase()))
	}
	l.waiting = w
}

// turn is one look and one step: observe, plan, record, act. It returns the Wait, or
// nil when there is more to do at once.
func (l *loop) turn(ctx context.Context) (*rollout.Wait, error) {
	now := time.Now().UTC()
	seen := l.observe(ctx)
	want := l.Desk.Want(l.app, l.state, now)
	l.mu.Lock()
	l.want, l.seen = want, seen
	l.mu.Unlock()
	step := rollout.Next(rollout.Input{Want: want, Again: l.Desk.Again(l.app, l.state, now), Past: l.state, Seen: seen,
		Fleet: l.Fleet.View(), Orders: l.Fleet.Orders(l.app)}, now)
	switch step := step.(type) {
	case rollout.Wait:
		return &step, nil
	case rollout.Note:
		if step.Record.TakeOver != nil {
			return l.takeOver(step.Record, *want.Former)
		}
		return nil, l.write(step.Record, l.goingBack(step.Record))
	case rollout.Cancel:
		l.log.Info("cancels", "effect", step.Effect, "why", string(step.Why))
		l.asked = true
		l.cancel(errCancelled)
		return nil, nil
	case rollout.Act:
		e, err := l.fill(step.Effect)
		if err != nil {
			return nil, err
		}
		if err := l.write(rollout.Record{Kind: rollout.RecIntent, Intent: &e}, l.reserved(e)); err != nil {
			return nil, err
		}
		l.begin(ctx, e)
	}
	return nil, nil
}

// fill gives a set the addresses it needs before it is created. They are recorded
// with the intent.
func (l *loop) fill(e rollout.Effect) (rollout.Effect, error) {
	if e.Kind != rollout.Prepare {
		return e, nil
	}
	rel, err := l.releaseOf(e.Set)
	if err != nil || rel == nil {
		return e, err
	}
	given, err := l.addr.give(l.app, rel, e.Set.Addresses)
	e.Set.Addresses = given
	return e, err
}

// releaseOf is the parsed release of a set: from the shelf, or from Git before it is
// stored there.
func (l *loop) releaseOf(set rollout.Set) (*release.Release, error) {
	if p, err := l.Desk.stored(l.named(set), set.ID.Digest); err == nil && p.rel != nil {
		return p.with(set.Here)
	}
	from, code, detail := l.Desk.chosenOf(l.app)
	if code != "" {
		return nil, &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail}
	}
	if from.tree == "" {
		return nil, &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.NotInRepository}
	}
	p, err := l.Desk.wanted(l.app, from.tree, from.ref.Commit)
	if err != nil {
		return nil, err
	}
	if p.digest != set.ID.Digest {
		return nil, &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.NewerRelease, Detail: "the repository has moved on"}
	}
	if p.rel == nil {
		return nil, nil
	}
	return p.with(set.Here)
}

// reserved reports whether the effect's intent may use the journal's reserve: what
// goes back, what has switched, and the looks that going back is decided on. Upkeep
// that fails again and again may not use it up.
func (l *loop) reserved(e rollout.Effect) bool {
	if e.Deploy == "" && l.state.Care[e.Kind].Count > maxCare {
		return false
	}
	return e.Back || l.crossed() || e.Kind == rollout.TakeSample || e.Kind == rollout.ProbeWarm
}

// crossed reports whether traffic may be on a release that has not ended its bake: it
// must be able to finish or to go back, whatever the disk says.
func (l *loop) crossed() bool { return l.state.Deploy != nil && l.state.Deploy.Crossed }

func (l *loop) goingBack(r rollout.Record) bool {
	switch {
	case l.crossed():
		return true
	case r.Enter != nil:
		return r.Enter.Phase == rollout.Reverting
	case r.Settle != nil, r.Order != nil, r.Hold != nil:
		return true
	case r.Begin != nil:
		return r.Begin.Kind == rollout.KindRollback
	}
	return l.state.Deploy != nil && l.state.Deploy.Kind == rollout.KindRollback
}

// write makes a record durable and then true.
func (l *loop) write(r rollout.Record, back bool) error {
	before := l.state.Phase()
	next, err := l.record(r, back)
	if err != nil {
		return err
	}
	l.addr.hold(l.app, next)
	if after := next.Phase(); after != before || r.Settle != nil {
		l.timeline(before, next)
	}
	if o := r.Outcome; o != nil && o.Result != rollout.OK && o.Result != rollout.Interrupted && o.Result != rollout.Cancelled {
		l.log.Warn("effect failed", "effect", o.Effect, "kind", string(o.Kind), "result", string(o.Result), "code", string(o.Code), "err", o.Detail)
	}
	l.Changed(l.app)
	if r.Settle != nil {
		l.forget(release.SetID{}) // what was given up before it ran keeps nothing
	}
	if r.Settle != nil && r.Settle.Phase == rollout.Absent && l.others != nil {
		l.others() // its routes are free for an app that waits for one
	}
	return nil
}

// record is the part of write that no checkpoint may come between.
func (l *loop) record(r rollout.Record, back bool) (rollout.State, error) {
	l.recording.RLock()
	defer l.recording.RUnlock()
	at, err := l.Journal.Append(l.app, r, back)
	if err != nil {
		return rollout.State{}, err
	}
	next := l.state.Apply(r, at)
	next.App = l.app
	l.mu.Lock()
	l.state = next
	l.mu.Unlock()
	return next, nil
}

// timeline logs a change of phase as a person would write it.
func (l *loop) timeline(before rollout.Phase, s rollout.State) {
	args := []any{"phase", string(s.Phase()), "was", string(before)}
	if d := s.Deploy; d != nil {
		args = append(args, "deployment", d.ID, "version", d.To.Version, "colour", string(d.To.ID.Colour))
		if d.Order != nil && d.Order.Trace != "" {
			args = append(args, "trace_id", d.Order.Trace)
		}
		if d.Why != "" {
			args = append(args, "why", string(d.Why), "detail", d.Detail)
		}
	} else if s.Last != nil {
		args = append(args, "deployment", s.Last.ID, "version", s.Last.Version)
		if s.Last.Trace != "" {
			args = append(args, "trace_id", s.Last.Trace)
		}
		if s.Last.Why != "" {
			args = append(args, "why", string(s.Last.Why), "detail", s.Last.Detail)
		}
	}
	l.log.Info("phase", args...)
}

// begin starts an effect beside the loop. Its outcome comes back on done.
func (l *loop) begin(ctx context.Context, e rollout.Effect) {
	ctx, cancel := context.WithCancelCause(ctx)
	l.inFlight, l.cancel, l.asked = &e, cancel, false
	if e.Kind == rollout.SwitchTo || e.Kind == rollout.Start { // a new life: count from nothing
		delete(l.counted, e.Set.ID)
	}
	go func() {
		o := l.perform(ctx, e)
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errCancelled) {
			o.Result = rollout.Interrupted // the agent stops: as after a crash
		}
		cancel(nil)
		l.done <- o
	}()
}

// stopEffect cancels what is in flight and waits for it.
func (l *loop) stopEffect() {
	l.turning.Lock()
	defer l.turning.Unlock()
	if l.inFlight != nil {
		l.cancel(context.Canceled)
		<-l.done
		l.inFlight = nil
	}
}

func (l *loop) lastVerdict() trust.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want.Verdict
}
