package rollout

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// back carries out going back. Before the switch that is dropping green; after it,
// the flip comes first, then the workers, then the report and the clean-up. It is
// itself never reverted: what cannot be done is held for a person.
func back(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	if !d.Crossed {
		return dropGreen(in, now)
	}
	target := warm(in.Past)
	if target == nil {
		return stay(in, now)
	}
	late := now.Sub(d.Since) > RevertDeadline
	switch {
	case !b.Flipped:
		return flipBack(in, now, target, late)
	case !b.Stopped && (len(d.To.Workers) > 0 || leaves(d, target)):
		e := Effect{Kind: HandStop, Set: d.To, Services: d.To.Workers, Back: true}
		if leaves(d, target) {
			e.Other = d.From
		}
		return retrying(in, now, e)
	case !b.Handed && len(target.Workers) > 0 && !late:
		return retrying(in, now, Effect{Kind: HandStart, Set: *target, Services: target.Workers, Back: true})
	case b.Bad && !b.Reported:
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Bad: true, Why: d.Why, Detail: d.Detail, Token: d.Token, Back: true})
	case !d.Token.Zero() && !b.Ended:
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token, Back: true})
	case !b.Smoked && !late:
		return retrying(in, now, Effect{Kind: FrontDoor, Set: *target, Back: true})
	case !b.Retired && !(late && now.Sub(d.Since) > 2*RevertDeadline+d.To.Drain.HTTP+d.To.Drain.WebSocket):
		return retrying(in, now, Effect{Kind: Retire, Set: d.To, Shared: d.NewShared, Back: true})
	}
	return settleBack(d, b, target, len(target.Workers) > 0 && !b.Handed)
}

// leaves reports whether the set that was live at the beginning is neither what is
// left nor what is gone back to: its workers must stop too.
func leaves(d *Deployment, target *Set) bool {
	return d.From != nil && d.From.ID != d.To.ID && d.From.ID != target.ID && len(d.From.Workers) > 0
}

// flipBack points the traffic at the proven set: at once when it is warm, after a
// start and a check when it is not.
func flipBack(in Input, now time.Time, target *Set, late bool) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	last := d.Last
	isWarm := in.Seen.EngineDown || in.Seen.running(target, target.Routed)
	if (!isWarm || b.Started) && !b.Checked {
		if last != nil && (last.Result == Bad || last.Result == NeedsPerson || last.Result == Retryable && late) &&
			(last.Kind == Prepare || last.Kind == Start || last.Kind == Check) {
			return settleHeld(d, release.RevertFailed, last.Detail)
		}
		switch {
		case !b.Prepared:
			return retrying(in, now, Effect{Kind: Prepare, Set: *target, Local: true, Back: true})
		case !b.Started:
			return retrying(in, now, Effect{Kind: Start, Set: *target, Services: target.Routed, Back: true})
		}
		return retrying(in, now, Effect{Kind: Check, Set: *target, Services: target.Routed, Back: true})
	}
	e := Effect{Kind: SwitchTo, Set: *target, Other: &d.To, Generation: in.Past.Generation + 1, Back: true}
	if last != nil && last.Kind == SwitchTo && last.Result != OK && last.Code != release.StaleGeneration {
		e.Generation = d.Generation
	}
	return retrying(in, now, e)
}

// stay is going back with nothing to go back to: a first release keeps serving, held.
func stay(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	switch {
	case b.Bad && !b.Reported:
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Bad: true, Why: d.Why, Detail: d.Detail, Token: d.Token, Back: true})
	case !d.Token.Zero() && !b.Ended:
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token, Back: true})
	}
	return settleHeld(d, release.NoProven, string(d.Why)+" "+d.Detail)
}

// dropGreen undoes a deployment that never got traffic.
func dropGreen(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	switch {
	case !b.Dropped && d.Kind != KindRebake:
		return retrying(in, now, Effect{Kind: Drop, Set: d.To, Shared: d.NewShared, Back: true})
	case b.Bad && !b.Reported && d.Kind == KindRelease:
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Bad: true, Why: d.Why, Detail: d.Detail, Token: d.Token, Back: true})
	case !d.Token.Zero() && !b.Ended:
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token, Back: true})
	}
	switch {
	case d.Kind == KindRollback:
		return settleHeld(d, release.RollbackFailed, string(d.Why)+" "+d.Detail)
	case b.Person:
		return settleHeld(d, d.Why, d.Detail)
	case b.Bad && d.From == nil:
		return settleWith(d, Failed, d.Why, d.Detail)
	case b.Bad:
		return settleWith(d, Reverted, d.Why, d.Detail)
	case movedOn(d.Why):
		return settleAs(Superseded, d.Why, d.Detail)
	}
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Blocked, Was: Reverting, Why: d.Why, Detail: d.Detail,
		Until: now.Add(BlockedRecheck), Dropped: true}}}
}

// movedOn reports whether a deployment ended because something else is wanted.
func movedOn(why release.Code) bool {
	switch why {
	case release.NewerRelease, release.RevertedInGit, release.NotInRepository, release.RollbackOrdered:
		return true
	}
	return false
}

func settleBack(d *Deployment, b *Back, target *Set, workersDown bool) Step {
	switch {
	case workersDown:
		return settleHeld(d, release.RevertFailed, "traffic is back, but the services without route did not start")
	case b.Unhealthy != "":
		return settleHeld(d, release.RevertedUnhealthy, b.Unhealthy)
	case movedOn(d.Why):
		return settleAs(Superseded, d.Why, d.Detail)
	}
	return settleWith(d, Reverted, d.Why, d.Detail)
}

func settleHeld(d *Deployment, why release.Code, detail string) Step {
	return settleHold(d, Held, why, detail)
}

func settleWith(d *Deployment, p Phase, why release.Code, detail string) Step {
	return settleHold(d, p, why, detail)
}

func settleHold(d *Deployment, p Phase, why release.Code, detail string) Step {
	return Note{Record{Kind: RecSettle, Settle: &Settle{Phase: p, Why: why, Detail: detail,
		Hold: &Hold{Why: why, Detail: detail, At: d.Since, Digest: d.To.ID.Digest, Sequence: d.To.Sequence}}}}
}
