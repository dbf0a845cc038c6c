package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Next names the single step that brings the host closer to in.Want. It is pure:
// equal arguments give equal steps, and now is the only clock it knows.
//
// The rules, in order:
//  1. an effect in flight is waited for, or cancelled when it no longer serves;
//  2. an operator's new order is taken up;
//  3. a deployment in progress goes on, or goes back (deploy, back);
//  4. a settled app repairs drift, carries out a rollback, begins what Git wants,
//     or waits and says why (settled).
func Next(in Input, now time.Time) Step {
	if in.Seen.Running != nil {
		return inFlight(in, now)
	}
	for _, o := range in.Orders {
		if o.Index > in.Past.OrdersSeen {
			return takeOrder(in, o)
		}
	}
	if in.Past.Deploy != nil {
		return deploy(in, now)
	}
	return settled(in, now)
}

// inFlight waits for the effect that runs, unless there is a reason to stop it: a
// newer release or an order before the switch, a sick green after it.
func inFlight(in Input, now time.Time) Step {
	e := in.Seen.Running
	wait := Wait{Why: release.Working, Detail: string(e.Kind)}
	d := in.Past.Deploy
	if in.Seen.Cancelling || d == nil || e.Deploy != d.ID || d.Phase == Reverting {
		return wait
	}
	switch e.Kind {
	case Prepare, AskTurn, Start, Check, Confirm:
		if why, _, stop := turnedAway(in, now); stop {
			return Cancel{Effect: e.ID, Why: why}
		}
	case HandStart, TakeSample, Retire:
		if d.Phase == Retiring {
			return wait // the verdict is in; the old colour is on its way out
		}
		if why, _ := sick(in); why != "" {
			return Cancel{Effect: e.ID, Why: why}
		}
	}
	return wait
}

// takeOrder records an order: taken up, or refused with a reason.
func takeOrder(in Input, o Order) Step {
	taken := OrderTaken{Order: o}
	if o.Kind == OrderRollback {
		if target, code, detail := rollbackTarget(in.Past, o); target == nil {
			taken.Refused, taken.Detail = code, detail
		} else {
			taken.Order.To = target.ID.Digest
		}
	}
	return Note{Record{Kind: RecOrder, Order: &taken}}
}

// rollbackTarget resolves what an order goes back to: the named digest, or the last
// proven release that is not the one being left.
func rollbackTarget(s State, o Order) (*Set, release.Code, string) {
	candidates := rollbackTargets(s)
	leaving := release.Digest("")
	if s.Deploy != nil && s.Deploy.Kind == KindRelease {
		leaving = s.Deploy.To.ID.Digest
	} else if s.Live != nil {
		leaving = s.Live.ID.Digest
	}
	for i := range candidates {
		if o.To == "" && candidates[i].ID.Digest != leaving || o.To != "" && candidates[i].ID.Digest == o.To {
			return &candidates[i], "", ""
		}
	}
	var have []string
	for _, c := range candidates {
		have = append(have, c.Version+" ("+c.ID.Digest.Short()+")")
	}
	return nil, release.RollbackNoTarget, "kept on this host: " + orNone(strings.Join(have, ", "))
}

// rollbackTargets are the proven sets this host can go back to, nearest first.
func rollbackTargets(s State) []Set {
	var all []Set
	for _, c := range []*Set{s.Proven, s.Live} {
		if c != nil && !c.ProvenAt.IsZero() {
			all = append(all, *c)
		}
	}
	for _, c := range s.Old {
		if !slices.ContainsFunc(all, func(x Set) bool { return x.ID.Target == c.ID.Target }) {
			all = append(all, c)
		}
	}
	return all
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// deploy moves the deployment in progress on.
func deploy(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.Phase == Reverting {
		return back(in, now)
	}
	if why, detail, stop := turnedAway(in, now); stop {
		if d.idle() {
			return settleAs(Superseded, why, detail)
		}
		return goBack(why, detail, why == release.Quarantined)
	}
	if d.Crossed && d.Phase != Retiring && d.Phase != Switching {
		if why, detail := sick(in); why != "" {
			return goBack(why, detail, true)
		}
		if step := superseding(in); step != nil {
			return step
		}
	}
	if !d.Moving.IsZero() && now.Sub(d.Moving) > ProgressDeadline && d.Phase.beforeConfirm() && d.Phase != Waiting {
		return goBack(release.ProgressDeadline, fmt.Sprintf("no progress past %s in %s", d.Phase, ProgressDeadline), false)
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
	case Migrating: // the migrate issue fills this in; without a migration it passes
		return enter(d, Starting, "", "")
	case Starting:
		return try(in, now, StartDeadline, Effect{Kind: Start, Set: d.To, Services: d.To.Routed, Shared: d.NewShared}, Checking)
	case Checking:
		next := Confirming
		if d.Kind == KindRollback {
			next = Switching
		}
		return try(in, now, 0, Effect{Kind: Check, Set: d.To, Services: d.To.Routed}, next)
	case Confirming:
		return confirm(in, now)
	case Switching:
		return switchOver(in, now)
	case Handover:
		return handover(in, now)
	case Baking:
		return bake(in, now)
	case Retiring:
		return retire(in, now)
	}
	return Wait{Why: release.Broken, Detail: "unknown phase " + string(d.Phase)}
}

// turnedAway says whether the deployment must not go on although nothing is wrong
// with green: before the switch a newer accepted release, an order, a quarantine or
// a withdrawn verdict; in the bake an order.
func turnedAway(in Input, now time.Time) (release.Code, string, bool) {
	d, past := in.Past.Deploy, in.Past
	if d.Kind == KindRollback && !d.Phase.beforeConfirm() {
		return "", "", false
	}
	if past.Rollback != nil && d.Phase != Retiring && d.Phase != Switching {
		return release.RollbackOrdered, by(*past.Rollback), true
	}
	if d.Kind != KindRelease || d.Crossed || d.Phase == Switching {
		return "", "", false
	}
	if _, code := in.Fleet.quarantined(past.App, d.To); code != "" && !d.idle() {
		return code, "", true
	}
	wanted := in.Want
	if wanted.Unknown == "" {
		switch {
		case wanted.Absent:
			return release.NotInRepository, "", true
		case d.From != nil && wanted.Set.ID.Target == d.From.ID.Target:
			return release.RevertedInGit, "", true
		case wanted.Set.ID.Target != d.To.ID.Target && (d.idle() || wanted.Verdict.Accepted && wanted.Set.Sequence > d.To.Sequence):
			return release.NewerRelease, wanted.Set.Version, true
		}
	}
	if !d.idle() && in.Again != nil && !in.Again.Accepted {
		why, detail := firstReason(in.Again.Reasons)
		return why, detail, true
	}
	return "", "", false
}

func by(o Order) string {
	if o.Reason == "" {
		return "by " + o.Actor
	}
	return "by " + o.Actor + ": " + o.Reason
}

// verify lets the deployment pass, or blocks it with the first reason.
func verify(in Input, now time.Time) Step {
	d := in.Past.Deploy
	why, detail := release.Code(""), ""
	verdict := in.Want.Verdict
	until := time.Time{}
	switch {
	case d.Kind == KindRollback:
		return enter(d, Preparing, "", "")
	case in.Want.Unknown != "":
		why, detail = in.Want.Unknown, in.Want.Detail
	case !verdict.Accepted:
		why, detail = firstReason(verdict.Reasons)
		until = verdict.Until
	default:
		if q, code := in.Fleet.quarantined(in.Past.App, d.To); code != "" {
			why, detail = code, quarantineText(q)
		} else if changed := sharedChange(in.Past.Shared, in.Want.Shared); changed != "" {
			why, detail = release.SharedChanged, changed
		}
	}
	if why == "" {
		if d.Phase == Blocked && now.Before(d.Retry.Until) && d.Why == d.Retry.Code && !trustCode(in, d.Why) {
			return Wait{Why: d.Why, Detail: d.Detail, Until: d.Retry.Until}
		}
		return enter(d, Preparing, "", "")
	}
	if d.Phase == Blocked && d.Why == why && d.Detail == detail {
		return Wait{Why: why, Detail: detail, Until: until}
	}
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Blocked, Was: d.Phase, Why: why, Detail: detail}}}
}

// trustCode reports whether a block was for a reason that has just gone away by
// itself (a verdict), so that no backoff applies.
func trustCode(in Input, why release.Code) bool {
	r, ok := release.Lookup(why)
	return ok && r.Number >= 3000 && r.Number < 4000
}

// sharedChange names the shared services whose specification the release changes.
func sharedChange(have, want map[string]string) string {
	var changed []string
	for name, spec := range have {
		if got, ok := want[name]; !ok {
			changed = append(changed, name+" is no longer in the manifest")
		} else if got != spec {
			changed = append(changed, name+" has another specification")
		}
	}
	slices.Sort(changed)
	return strings.Join(changed, ", ")
}

func prepare(in Input, now time.Time) Step {
	d := in.Past.Deploy
	// The other colour may still hold the proven set of a superseded deployment:
	// it is stopped, not removed, before this one moves in.
	if p := in.Past.Proven; p != nil && !in.Past.Live.is(p.ID) && p.ID != d.To.ID && p.ID.Colour == d.To.ID.Colour && anyRunning(in.Seen, p) {
		return act(in, Effect{Kind: Retire, Set: *p})
	}
	if last := d.Last; last != nil && last.Kind == Prepare && last.Result == Retryable {
		return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Blocked, Was: d.Phase, Why: last.Code, Detail: last.Detail, Until: d.Retry.Until}}}
	}
	e := Effect{Kind: Prepare, Set: d.To, Shared: d.NewShared, Local: d.Kind == KindRollback, Back: d.Kind == KindRollback}
	next := Waiting
	if d.Kind == KindRollback {
		next = Starting
	}
	return try(in, now, 0, e, next)
}

func anyRunning(seen Seen, set *Set) bool {
	return slices.ContainsFunc(seen.of(set), func(c Container) bool { return c.Status == Running || c.Status == Restarting })
}

func askTurn(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if last := d.Last; last != nil && last.Result == Retryable && now.Before(d.Retry.Until) {
		if z, frozen := in.Fleet.frozen(in.Past.App, now); frozen {
			return Wait{Why: release.Frozen, Detail: freezeText(z), Until: soonest(z.Until, d.Retry.Until)}
		}
		if last.Code == release.Frozen { // it was, and is no more: ask again at once
			return act(in, Effect{Kind: AskTurn, Set: d.To})
		}
	}
	return try(in, now, 0, Effect{Kind: AskTurn, Set: d.To}, Migrating)
}

func confirm(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if now.Sub(d.Since) > ConfirmDeadline {
		return goBack(release.ConfirmUnanswered, "the fleet did not confirm within "+ConfirmDeadline.String(), false)
	}
	request := d.Request
	if request == "" {
		request = in.Past.App + "/" + d.ID + "/confirm/" + d.To.ID.Digest.Short()
	}
	return try(in, now, ConfirmDeadline, Effect{Kind: Confirm, Set: d.To, Token: d.Token, Request: request}, Switching)
}

// switchOver moves the traffic. The generation of an intent whose outcome is unknown
// is used again: an equal and identical request is "already so".
func switchOver(in Input, now time.Time) Step {
	d := in.Past.Deploy
	e := Effect{Kind: SwitchTo, Set: d.To, Other: d.From, Generation: in.Past.Generation + 1, Baseline: in.Seen.Baseline, Back: d.Kind == KindRollback}
	if last := d.Last; d.Crossed && (last == nil || last.Code != release.StaleGeneration) {
		e.Generation, e.Baseline = d.Generation, d.Baseline
	}
	return try(in, now, 0, e, Handover)
}

// handover stops the old workers and starts the new ones, then gives the turn back.
func handover(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if now.Sub(d.Since) > HandoverDeadline && (d.Last == nil || d.Last.Kind != EndTurn) && (len(d.To.Workers) > 0) && d.Last != nil && d.Last.Result != OK {
		return goBack(release.HandoverFailed, "the services without route did not change over within "+HandoverDeadline.String(), true)
	}
	next := Baking
	if d.Kind == KindRollback {
		next = Retiring
	}
	last, ok := EffectKind(""), false
	if d.Last != nil {
		last, ok = d.Last.Kind, d.Last.Result == OK
	}
	// What was reached is not done again because the step after it failed.
	stopped := d.From == nil || len(d.From.Workers) == 0 || last == HandStop && ok || last == HandStart || last == EndTurn
	started := stopped && (len(d.To.Workers) == 0 || last == HandStart && ok || last == EndTurn)
	switch {
	case !stopped:
		return try(in, now, HandoverDeadline, Effect{Kind: HandStop, Set: *d.From, Services: d.From.Workers}, "")
	case !started:
		return try(in, now, HandoverDeadline, Effect{Kind: HandStart, Set: d.To, Services: d.To.Workers}, "")
	case !d.Token.Zero():
		return try(in, now, 0, Effect{Kind: EndTurn, Set: d.To, Token: d.Token}, next)
	}
	return enter(d, next, "", "")
}

// retire reports the good release and lets the old colour finish and stop.
func retire(in Input, now time.Time) Step {
	d := in.Past.Deploy
	last := d.Last
	switch {
	case last == nil, last.Kind == Report && last.Result != OK && last.Result != NeedsPerson:
		if d.Kind == KindRollback {
			break
		}
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Token: d.Token})
	case last.Kind == Retire && last.Result == OK:
		return settleLive(d, last)
	}
	if d.From == nil || d.From.ID == d.To.ID || !present(in.Seen, d.From) {
		return settleLive(d, nil)
	}
	if now.Sub(d.Since) > RevertDeadline+d.From.Drain.HTTP+d.From.Drain.WebSocket {
		return settleLive(d, nil) // clean-up never fails a release; the garbage is tried again
	}
	return retrying(in, now, Effect{Kind: Retire, Set: *d.From})
}

func settleLive(d *Deployment, last *Outcome) Step {
	s := Settle{Phase: Live}
	if d.Bake.TrafficProof == 0 && d.Kind != KindRollback {
		s.Why = release.UnprovenByTraffic
	}
	if d.Kind == KindRollback {
		s.Why = release.RolledBack
		o := Order{}
		if d.Order != nil {
			o = *d.Order
		}
		seq := d.To.Sequence
		held := release.Digest("")
		if d.From != nil {
			seq, held = max(seq, d.From.Sequence), d.From.ID.Digest
		}
		s.Hold = &Hold{Why: release.RolledBack, Detail: by(o), At: d.Since, Digest: held, Sequence: seq, Actor: o.Actor, Reason: o.Reason}
		s.Detail = by(o)
	}
	if last != nil && last.Cut > 0 {
		s.Detail = strings.TrimSpace(s.Detail + fmt.Sprintf(" %d requests or connections were cut at the end of the drain", last.Cut))
	}
	return Note{Record{Kind: RecSettle, Settle: &s}}
}

func present(seen Seen, set *Set) bool { return seen.EngineDown || len(seen.of(set)) > 0 }

// try runs one effect of the present phase and says what follows from its outcome:
// ok enters next (when next is not ""), retry waits and repeats until the deadline
// (0: until the progress deadline), anything else goes back.
func try(in Input, now time.Time, deadline time.Duration, e Effect, next Phase) Step {
	d := in.Past.Deploy
	last := d.Last
	if last == nil || last.Kind != e.Kind || next == "" && last.Result == OK {
		return act(in, e)
	}
	switch last.Result {
	case OK:
		return enter(d, next, "", "")
	case Interrupted, Cancelled:
		return act(in, e)
	case Retryable:
		if deadline > 0 && now.Sub(d.Since) > deadline {
			return goBack(last.Code, last.Detail, false)
		}
		if now.Before(d.Retry.Until) {
			return Wait{Why: last.Code, Detail: last.Detail, Until: d.Retry.Until}
		}
		return act(in, e)
	}
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Reverting, Was: d.Phase, Why: last.Code, Detail: last.Detail,
		Bad: last.Result == Bad, Person: last.Result == NeedsPerson}}}
}

// retrying repeats an effect with backoff whatever its outcome: for steps that have
// no way back.
func retrying(in Input, now time.Time, e Effect) Step {
	if r := in.Past.Deploy.Retry; now.Before(r.Until) {
		return Wait{Why: r.Code, Until: r.Until}
	}
	return act(in, e)
}

func act(in Input, e Effect) Step {
	if d := in.Past.Deploy; d != nil {
		e.Deploy = d.ID
	}
	name := e.Deploy
	if name == "" {
		name = "upkeep"
	}
	e.ID = fmt.Sprintf("%s/%d", name, in.Past.Effects+1)
	return Act{e}
}

func enter(d *Deployment, p Phase, why release.Code, detail string) Step {
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: p, Was: d.Phase, Why: why, Detail: detail}}}
}

func goBack(why release.Code, detail string, bad bool) Step {
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Reverting, Why: why, Detail: detail, Bad: bad}}}
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

func freezeText(z Freeze) string {
	text := "by " + z.Actor
	if z.Reason != "" {
		text += ": " + z.Reason
	}
	return text
}

func quarantineText(q Quarantine) string {
	return fmt.Sprintf("%s %s was found bad on %s: %s", q.Version, q.Digest.Short(), q.Host, q.Why)
}

// Targets are the proven sets that this host can roll back to, nearest first.
func Targets(s State) []Set { return rollbackTargets(s) }
