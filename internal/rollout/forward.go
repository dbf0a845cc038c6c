package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// The phases up to the switch.

// verify lets the deployment pass, or blocks it with the first reason.
func verify(in Input, now time.Time) Step {
	d := in.Past.Deploy
	why, detail := release.Code(""), ""
	until := time.Time{}
	switch verdict := in.Want.Verdict; {
	case in.Want.Unknown != "":
		why, detail = in.Want.Unknown, in.Want.Detail
	case !verdict.Accepted:
		why, detail = firstReason(verdict.Reasons)
		until = verdict.Until
	default:
		if q, code := in.quarantined(d.To); code != "" {
			why, detail = code, quarantineText(q)
		} else if changed := sharedChange(in.Past.Shared, in.Want); changed != "" && !d.To.Absent {
			why, detail = release.SharedChanged, changed
		} else if ambiguous := in.Fleet.Ambiguous(in.Want.Singletons); ambiguous != "" {
			why, detail = release.SingletonAmbiguous, ambiguous
		} else if f := in.Want.Former; f != nil { // accepted: it begins anew in the other's place
			return settleAs(Superseded, release.TakesOver, "the place of "+f.App)
		}
	}
	switch {
	case why == "" && d.Phase == Blocked && d.Why == d.Retry.Code && backsOff(d.Why) && now.Before(d.Retry.Until):
		return Wait{Why: d.Why, Detail: d.Detail, Until: d.Retry.Until}
	case why == "":
		return accept(in, now)
	case d.Phase == Blocked && d.Why == why && d.Detail == detail:
		return Wait{Why: why, Detail: detail, Until: until}
	}
	return enter(d, Blocked, why, detail)
}

// backsOff reports whether a block for the reason waits out its backoff. What a
// verdict, the fleet or Git has taken back needs no time to pass.
func backsOff(why release.Code) bool {
	switch why {
	case release.Quarantined, release.SameAsQuarantined, release.Frozen:
		return false
	}
	r, ok := release.Lookup(why)
	return !ok || r.Number < 3000 || r.Number >= 4000
}

// firstReason is the verdict's first reason, as code and text.
func firstReason(reasons []trust.Finding) (release.Code, string) {
	if len(reasons) == 0 {
		return release.Broken, "the verdict names no reason"
	}
	return reasons[0].Code, reasons[0].Detail
}

// sharedChange names the shared services whose specification the release changes and
// does not replace.
func sharedChange(have map[string]string, want Want) string {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if got, ok := want.Shared[name]; !ok {
			changed = append(changed, name+" is no longer in the manifest")
		} else if got != have[name] && !slices.Contains(want.Replace, name) {
			changed = append(changed, name+" has another specification")
		}
	}
	return strings.Join(changed, ", ")
}

// prepare stores, pulls and creates. What a registry or a full disk refuses is no
// fault of the release: it is blocked and tried again. Going back has no time for
// that and tries at once.
func prepare(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.Kind == KindRollback && in.Past.Doubtful != nil {
		if step := repair(in, now); step != nil {
			return step
		}
	}
	if step := makeRoom(in, now); step != nil {
		return step
	}
	if d.Kind == KindRollback {
		return try(in, now, 0, Effect{Kind: Prepare, Set: d.To, Shared: d.NewShared, Local: true, Back: true}, Starting)
	}
	if last := d.Last; last != nil && last.Kind == Prepare && last.Result == Retryable {
		return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Blocked, Was: d.Phase, Why: d.Retry.Code, Detail: last.Detail, Until: d.Retry.Until}}}
	}
	return try(in, now, 0, Effect{Kind: Prepare, Set: d.To, Shared: d.NewShared}, Waiting)
}

// makeRoom stops another set that still runs in the new one's colour: the proven set
// of a superseded deployment. It is stopped, not removed. Nil: there is room.
func makeRoom(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.To.Absent {
		return nil // it starts nothing
	}
	for _, x := range in.Past.Sets() {
		if x.ID == d.To.ID || x.ID.Colour != d.To.ID.Colour || in.Past.Live.is(x.ID) || !anyRunning(in.Seen, &x) {
			continue
		}
		if in.Past.doubts(x.ID) { // repair says first who is live
			return Wait{Why: release.ProxyUnreachable, Until: now.Add(retryFirst)}
		}
		e := Effect{Kind: Retire, Set: x, Back: d.Kind == KindRollback}
		if last := d.Last; last != nil && last.Kind == Retire && (last.Result == Bad || last.Result == NeedsPerson) {
			return broken(d)
		}
		return retrying(in, now, e)
	}
	return nil
}

// askTurn asks the fleet. While frozen nothing is asked: it waits for a person.
func askTurn(in Input, now time.Time) Step {
	d := in.Past.Deploy
	e := Effect{Kind: AskTurn, Set: d.To}
	if last := d.Last; last == nil || last.Result != OK {
		if z, frozen := in.frozen(now); frozen && !d.To.Urgent {
			return Wait{Why: release.Frozen, Detail: freezeText(z), Until: z.Until}
		}
		if last != nil && last.Code == release.Frozen { // it was, and is no more: ask again at once
			return act(in, e)
		}
	}
	return try(in, now, 0, e, Migrating)
}

func start(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if step := makeRoom(in, now); step != nil {
		return step
	}
	return try(in, now, d.To.StartDeadline(), Effect{Kind: Start, Set: d.To, Services: d.To.Routed, Shared: d.NewShared, Back: d.Kind == KindRollback}, Checking)
}

func check(in Input, now time.Time) Step {
	d := in.Past.Deploy
	next := Confirming
	if d.Kind == KindRollback {
		next = Switching // ordered by a person: the fleet has committed already
	}
	if !d.Checked {
		return try(in, now, 0, Effect{Kind: Check, Set: d.To, Services: d.To.Routed, Back: d.Kind == KindRollback}, next)
	}
	if step := forwardJob(in, now, release.BeforeSwitch); step != nil {
		return step
	}
	return enter(d, next, "", "")
}

// confirm asks the fleet for the point of no return. After a crash it asks again with
// the same request id, however long the crash took; the deadline counts for answers.
func confirm(in Input, now time.Time) Step {
	d := in.Past.Deploy
	late := now.Sub(d.Since) > ConfirmDeadline
	last := d.Last
	z, frozen := in.frozen(now)
	frozen = frozen && !d.To.Urgent
	switch {
	case last != nil && last.Kind == Confirm && last.Result == OK:
		return enter(d, Switching, "", "")
	case d.Kind == KindRelease && in.Again == nil: // trust is asked again here, and must answer
		if late {
			return goBack(d, release.ShelfUnreadable, "the stored release could not be judged again", false)
		}
		return Wait{Why: release.ShelfUnreadable, Detail: "the stored release is judged again before the switch", Until: soonest(now.Add(retryFirst), d.Since.Add(ConfirmDeadline+1))}
	case frozen && late:
		return goBack(d, release.Frozen, freezeText(z), false)
	case frozen:
		return Wait{Why: release.Frozen, Detail: freezeText(z), Until: soonest(z.Until, d.Since.Add(ConfirmDeadline+1))}
	case late && last != nil && last.Result == Retryable:
		why, detail := release.ConfirmUnanswered, fmt.Sprintf("no answer in %s: %s %s", ConfirmDeadline, last.Code, last.Detail)
		if last.Code == release.ConfirmDenied || last.Code == release.Quarantined || last.Code == release.Frozen {
			why, detail = last.Code, last.Detail
		}
		return goBack(d, why, detail, false)
	}
	// The token is part of the name: a deployment that was dropped and tried again
	// must not be answered with what was granted to its first attempt.
	request := fmt.Sprintf("%s/%s/confirm/%s/%d.%d", in.Past.App, d.ID, d.To.ID.Digest.Short(), d.Token.Epoch, d.Token.Index)
	return try(in, now, 0, Effect{Kind: Confirm, Set: d.To, Token: d.Token, Request: request}, Switching)
}

// fallen takes a green back that was checked and does not run any more: traffic only
// reaches what was just seen well. A first release whose switch may have happened has
// nothing to go back to and goes on.
func fallen(in Input) Step {
	d := in.Past.Deploy
	switched := d.Phase == Switching && d.Last != nil && d.Last.Result == OK
	if in.Seen.EngineDown || switched || in.Seen.running(&d.To, d.To.Routed) || d.Crossed && warm(in.Past) == nil {
		return nil
	}
	return goBack(d, release.ContainerExited, "a service of the new colour passed its check and does not run any more", false)
}

// switchOver moves the traffic. The generation of an intent whose outcome is unknown
// is used again: an equal and identical request is "already so".
func switchOver(in Input, now time.Time) Step {
	d := in.Past.Deploy
	e := Effect{Kind: SwitchTo, Set: d.To, Other: d.From, Generation: in.Past.Generation + 1, Baseline: in.Seen.Baseline, Back: d.Kind == KindRollback}
	if last := d.Last; d.Crossed && (last == nil || last.Code != release.StaleGeneration) {
		e.Generation, e.Baseline = d.Generation, d.Baseline
	}
	deadline := SwitchDeadline
	if d.Kind == KindRollback || warm(in.Past) == nil {
		deadline = 0 // nowhere else to go: for as long as the proxy does not answer
	}
	return try(in, now, deadline, e, Handover)
}

func freezeText(z Freeze) string {
	text := "by " + z.Actor
	if z.Reason != "" {
		text += ": " + z.Reason
	}
	return text
}
