package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Next names the single step that brings the host closer to in.Want. It is pure:
// equal arguments give equal steps, and now is the only clock it knows.
//
// The rules, in order:
//  1. an operator's new order is taken up;
//  2. an effect in flight is waited for, or cancelled when it no longer serves;
//  3. a deployment in progress goes on, or goes back (deploy, back);
//  4. a settled app carries out a rollback, repairs drift, begins what Git wants,
//     or waits and says why (settled);
//  5. what the evidence teaches is recorded before anything is accepted on it (remembers).
func Next(in Input, now time.Time) Step {
	in = in.steady()
	step := next(in, now)
	if r := remembers(in); r != nil && mayRemember(step) {
		return Note{Record{Kind: RecRemember, Remember: r}}
	}
	if w, ok := step.(Wait); ok && !w.Until.IsZero() && !w.Until.After(now) {
		w.Until = now.Add(retryFirst) // a time that is past must not make the loop spin
		return w
	}
	return step
}

func next(in Input, now time.Time) Step {
	for _, o := range in.Orders {
		if o.Index > in.Past.OrdersSeen {
			return takeOrder(in, o)
		}
	}
	switch d := in.Past.Deploy; {
	case in.Seen.Running != nil:
		return inFlight(in, now)
	case d == nil:
		return settled(in, now)
	case d.Phase.cared():
		return trouble(in, now, deploy(in, now))
	}
	return deploy(in, now)
}

// inFlight waits for the effect that runs, unless there is a reason to stop it.
func inFlight(in Input, now time.Time) Step {
	e := in.Seen.Running
	if !in.Seen.Cancelling {
		if why := cancels(in, now, e); why != "" {
			return Cancel{Effect: e.ID, Why: why}
		}
	}
	return Wait{Why: release.Working, Detail: strings.TrimSpace(string(e.Kind) + " " + e.Job)}
}

// cancels says why an effect in flight must stop: a newer release or an order before
// the switch, a sick green after it, an order when the rest is clean-up, and what
// serves when it has to be put back first.
func cancels(in Input, now time.Time, e *Effect) release.Code {
	d, ordered := in.Past.Deploy, in.Past.Rollback != nil
	switch {
	case d != nil && d.removing():
		return "" // it ends as it began: what is half removed serves nobody
	case e.Kind == SwitchTo || e.Kind == ProbeWarm || e.Kind == ReplaceShared:
		return "" // they end soon, and what a switch or a replacement did must be known
	case d == nil || e.Deploy != d.ID:
		if ordered {
			return release.RollbackOrdered
		}
		if e.Kind == Restore {
			return ""
		}
		return urgent(in, now)
	case d.Phase == Retiring, d.Phase == Reverting && d.Back.Flipped && hurries(in):
		if ordered && (e.Kind == Report || e.Kind == EndTurn || e.Kind == FrontDoor || e.Kind == Retire || e.Kind == RunJob) {
			return release.RollbackOrdered
		}
		return ""
	case d.Phase == Reverting:
		if e.Kind == RunJob && ordered {
			return release.RollbackOrdered
		}
		if (e.Kind == Drop || e.Kind == RunJob) && !d.Crossed && d.Kind == KindRelease {
			return urgent(in, now)
		}
		return ""
	}
	if why, _, stop := turnedAway(in, now); stop {
		return why
	}
	switch {
	case d.Crossed:
		if why, _ := sick(in); why != "" {
			return why
		}
		why, _, _ := suspicion(in)
		return why
	case d.Kind == KindRelease && d.Phase != Confirming && d.Phase != Starting:
		return urgent(in, now)
	}
	return ""
}

// urgent says why the live set must be put back before anything else.
func urgent(in Input, now time.Time) release.Code {
	if a, ok := repair(in, now).(Act); ok && (a.Effect.Kind == SwitchTo || a.Effect.Kind == Restore) {
		return a.Effect.Why
	}
	return ""
}

// deploy moves the deployment in progress on.
func deploy(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.Phase == Reverting {
		return back(in, now)
	}
	if d.Replacing { // there may be no such service right now: only what serves users comes before it
		if step := serving(in, now); step != nil {
			return step
		}
		return migrate(in, now)
	}
	if why, detail, stop := turnedAway(in, now); stop {
		if d.idle() {
			return settleAs(Superseded, why, detail)
		}
		return goBack(d, why, detail, false)
	}
	if step := tend(in, now); step != nil {
		return step
	}
	if !d.Moving.IsZero() && now.Sub(d.Moving) > ProgressDeadline+d.To.jobTime(release.BeforeSwitch) && d.Phase.progresses() {
		return goBack(d, release.ProgressDeadline, fmt.Sprintf("no progress past %s in %s", d.Phase, ProgressDeadline+d.To.jobTime(release.BeforeSwitch)), false)
	}
	switch d.Phase {
	case Queued:
		return enter(d, Verifying, "", "")
	case Verifying, Blocked:
		return verify(in, now)
	case Preparing:
		return prepare(in, now)
	case Waiting:
		return askTurn(in, now)
	case Migrating:
		if d.To.Absent {
			return enter(d, Confirming, "", "")
		}
		return migrate(in, now)
	case Starting:
		return start(in, now)
	case Checking:
		return check(in, now)
	case Confirming:
		return confirm(in, now)
	case Switching:
		if d.To.Absent {
			return withdraw(in, now)
		}
		return switchOver(in, now)
	case Handover:
		return handover(in, now)
	case Baking:
		return bake(in, now)
	case Retiring:
		if d.To.Absent {
			return dismantle(in, now)
		}
		return retire(in, now)
	}
	return Wait{Why: release.Broken, Detail: "unknown phase " + string(d.Phase)}
}

// tend looks after what serves while a deployment is under way: before the switch the
// live set is put back like that of a settled app, after it the new one is watched.
// Nil: nothing to do.
func tend(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.removing() {
		return nil
	}
	switch d.Phase {
	case Queued, Verifying, Blocked, Waiting: // cared
		return upkeep(in, now)
	case Preparing, Migrating, Starting, Checking:
		if d.Kind == KindRollback {
			return nil // what is being left is not worth the time
		}
		return repair(in, now)
	case Confirming, Switching:
		return fallen(in)
	case Retiring:
		return serving(in, now)
	case Handover, Baking:
		if d.Kind == KindRollback {
			return serving(in, now)
		}
		if why, detail := sick(in); why != "" {
			return goBack(d, why, detail, true)
		}
		if step := suspect(in); step != nil {
			return step
		}
		if step := superseding(in, now); step != nil {
			return step
		}
		return redirect(in, now)
	}
	return nil
}

// turnedAway says whether the deployment must not go on although nothing is wrong
// with green: before the switch a newer accepted release, an order, a quarantine or
// a withdrawn verdict; in the bake an order.
func turnedAway(in Input, now time.Time) (release.Code, string, bool) {
	d, past := in.Past.Deploy, in.Past
	if d.removing() {
		return "", "", false
	}
	if o := past.Rollback; o != nil && d.Phase != Retiring && d.Phase != Switching {
		already := d.Kind == KindRollback && (o.names(d.To.ID.Target) || !d.Phase.beforeSwitch())
		if !already {
			return release.RollbackOrdered, by(*o), true
		}
	}
	if d.Kind != KindRelease || d.Crossed || d.Phase == Switching {
		return "", "", false
	}
	if q, code := in.quarantined(d.To); code != "" && !d.idle() {
		return code, quarantineText(q), true
	}
	if w := in.Want; w.Unknown == "" {
		switch {
		case w.Absent:
			return release.NotInRepository, "", true
		case w.Elsewhere != "":
			if d.Phase.idle() || w.Verdict.Accepted && (w.Set.Sequence > d.To.Sequence || w.Set.ID.Digest == d.To.ID.Digest) {
				return release.NotPlaced, w.Elsewhere, true
			}
		case d.From != nil && w.Set.ID.Target == d.From.ID.Target && w.Set.ID.Digest == d.To.ID.Digest:
			return release.InputsChanged, "they are again those of the live set", true
		case d.From != nil && w.Set.ID.Target == d.From.ID.Target:
			return release.RevertedInGit, "", true
		case w.Set.ID.Digest == d.To.ID.Digest && w.Set.ID.Inputs != d.To.ID.Inputs && d.Phase.idle():
			return release.InputsChanged, w.Set.Version, true
		case w.Set.ID.Target != d.To.ID.Target && (d.Phase.idle() || w.Verdict.Accepted && w.Set.Sequence > d.To.Sequence):
			return release.NewerRelease, w.Set.Version, true
		}
	}
	if !d.idle() && in.Again != nil && !in.Again.Accepted {
		why, detail := firstReason(in.Again.Reasons)
		return why, detail, true
	}
	return "", "", false
}

// try runs one effect of the present phase and says what follows from its outcome:
// ok enters next, retry waits and repeats until the deadline (0: until the progress
// deadline), anything else goes back.
func try(in Input, now time.Time, deadline time.Duration, e Effect, next Phase) Step {
	d := in.Past.Deploy
	last := d.Last
	if last == nil || last.Kind != e.Kind {
		return act(in, e)
	}
	switch last.Result {
	case OK:
		return enter(d, next, "", "")
	case Interrupted, Cancelled:
		return act(in, e)
	case Retryable:
		if deadline > 0 && now.Sub(d.Since) > deadline {
			return goBack(d, d.Retry.Code, last.Detail, false)
		}
		return retrying(in, now, e)
	}
	return broken(d)
}

// broken goes back because of what the last effect said. Only what the release itself
// did can make it bad.
func broken(d *Deployment) Step {
	last := d.Last
	code := last.Code
	if code == "" {
		code = release.EffectFailed
	}
	bad := last.Result == Bad && last.Kind != AskTurn && last.Kind != Confirm && last.Kind != Retire && d.Kind != KindRollback
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Reverting, Was: d.Phase, Why: code, Detail: last.Detail,
		Bad: bad, Person: last.Result == NeedsPerson}}}
}

// retrying repeats an effect with backoff whatever its outcome: for steps that have
// no way back.
func retrying(in Input, now time.Time, e Effect) Step {
	d := in.Past.Deploy
	if r := d.Retry; d.Last != nil && d.Last.Kind == e.Kind && now.Before(r.Until) {
		return Wait{Why: r.Code, Detail: d.Last.Detail, Until: r.Until}
	}
	return act(in, e)
}

func act(in Input, e Effect) Step {
	e.Deploy = in.Past.Deploy.ID
	e.ID = fmt.Sprintf("%s/%d", e.Deploy, in.Past.Effects+1)
	return Act{e}
}

func enter(d *Deployment, p Phase, why release.Code, detail string) Step {
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: p, Was: d.Phase, Why: why, Detail: detail}}}
}

func goBack(d *Deployment, why release.Code, detail string, bad bool) Step {
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Reverting, Was: d.Phase, Why: why, Detail: detail, Bad: bad}}}
}

func settleAs(p Phase, why release.Code, detail string) Step {
	return Note{Record{Kind: RecSettle, Settle: &Settle{Phase: p, Why: why, Detail: detail}}}
}

func soonest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
