package rollout

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// back carries out going back. Before the switch that is dropping green; after it,
// the flip comes first, then the workers, then the report and the clean-up. It is
// itself never reverted: what cannot be done is held for a person.
//
// The flip is tried for as long as it takes, for there is nothing better to do; every
// other step gives up after RevertDeadline and says so.
func back(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	if !d.Crossed {
		return dropGreen(in, now)
	}
	target := warm(in.Past)
	if target == nil {
		return stay(in, now)
	}
	if !b.Flipped {
		if step := flipBack(in, now, target); step != nil {
			return step
		}
		if step := tell(in, now); step != nil {
			return step
		}
		return settleHeld(d, release.RevertFailed, stuck(in, now))
	}
	if step := serving(in, now); step != nil {
		return step
	}
	late := now.Sub(d.Since) > RevertDeadline
	stops := len(d.To.Workers) > 0 || leaves(d, target)
	starts := len(target.Workers) > 0
	hurry := hurries(in)
	switch {
	case stops && !b.Stopped && !b.hopeless(HandStop, late):
		e := Effect{Kind: HandStop, Set: d.To, Services: d.To.Workers, Back: true}
		if leaves(d, target) {
			e.Other = d.From
		}
		return retrying(in, now, e)
	case starts && !b.Handed && (b.Stopped || !stops) && !b.hopeless(HandStart, late): // never beside those of the other colour
		return retrying(in, now, Effect{Kind: HandStart, Set: *target, Services: target.Workers, Back: true})
	}
	if !hurry {
		if step := tell(in, now); step != nil {
			return step
		}
		drain := d.To.Drain.HTTP + d.To.Drain.WebSocket
		switch {
		case !b.Smoked && !b.hopeless(FrontDoor, late):
			return retrying(in, now, Effect{Kind: FrontDoor, Set: *target, Back: true})
		case d.Kind == KindRelease && !b.Retired && undo(in, now, &d.To) != nil:
			return undo(in, now, &d.To)
		case !b.Retired && !(b.Failures[Retire] > 0 && now.Sub(d.Since) > 2*RevertDeadline+drain):
			return retrying(in, now, Effect{Kind: Retire, Set: d.To, Shared: d.NewShared, Back: true})
		}
	}
	switch {
	case starts && !b.Handed:
		return settleHeld(d, release.RevertFailed, "traffic is back, but the services without route did not change over")
	case b.Unhealthy != "":
		return settleHeld(d, release.RevertedUnhealthy, b.Unhealthy)
	case movedOn(d.Why):
		return settleAs(Superseded, d.Why, undone(d))
	case d.Kind == KindRollback:
		return rollbackFailed(in)
	}
	return settleHold(d, Reverted, d.Why, undone(d))
}

// undone is the detail of what was gone back from, with what its jobs left undone.
func undone(d *Deployment) string {
	text := ""
	if d.Kind == KindRelease && (d.Crossed || d.JobBegan) {
		text = undoText(d, &d.To)
	}
	switch {
	case text == "":
		return d.Detail
	case d.Detail == "":
		return text
	}
	return d.Detail + "; " + text
}

// hopeless reports whether a step of going back has failed often enough, and for long
// enough, to go on without it.
func (b *Back) hopeless(k EffectKind, late bool) bool {
	return late && b.Failures[k] >= backTries
}

// hurries reports whether an operator waits for a rollback to something older than
// what is being gone back to: then the rest is left to the upkeep.
func hurries(in Input) bool {
	target := warm(in.Past)
	return in.Past.Rollback != nil && target != nil && !in.Past.Rollback.names(target.ID.Target)
}

// leaves reports whether the set that was live at the beginning is neither what is
// left nor what is gone back to: its workers must stop too.
func leaves(d *Deployment, target *Set) bool {
	return d.From != nil && d.From.ID != d.To.ID && d.From.ID != target.ID && len(d.From.Workers) > 0
}

// warm is the set that going back would flip to.
func warm(s State) *Set {
	d := s.Deploy
	if s.Proven != nil && s.Proven.ID != d.To.ID {
		return s.Proven
	}
	if d.From != nil && d.From.ID != d.To.ID {
		return d.From
	}
	return nil
}

// isWarm reports whether the set runs, as far as can be seen: while the engine does
// not answer, whatever was not stopped on purpose is taken to run.
func isWarm(in Input, set *Set) bool {
	if in.Seen.EngineDown {
		return !(in.Past.ProvenCold && in.Past.Proven.is(set.ID))
	}
	return in.Seen.running(set, set.Routed)
}

// flipBack points the traffic at the proven set: at once when it is warm, after a
// start and a check when it is not. Nil: it cannot be brought up.
func flipBack(in Input, now time.Time, target *Set) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	if stuck(in, now) != "" {
		return nil
	}
	if (b.Started || !isWarm(in, target)) && !b.Checked {
		e := Effect{Kind: Check, Set: *target, Services: target.Routed, Back: true}
		switch {
		case !b.Prepared:
			e = Effect{Kind: Prepare, Set: *target, Local: true, Back: true}
		case !b.Started:
			e.Kind = Start
		}
		return retrying(in, now, e)
	}
	e := Effect{Kind: SwitchTo, Set: *target, Other: &d.To, Generation: in.Past.Generation + 1, Back: true}
	if last := d.Last; last != nil && last.Kind == SwitchTo && last.Result != OK && last.Code != release.StaleGeneration {
		e.Generation = d.Generation
	}
	return retrying(in, now, e)
}

// stuck says why the set to go back to cannot be brought up; "" while there is hope.
func stuck(in Input, now time.Time) string {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	late := now.Sub(d.Since) > RevertDeadline
	if b.Stuck != "" {
		return b.Stuck
	}
	for _, k := range []EffectKind{Prepare, Start, Check} {
		if b.hopeless(k, late) {
			return "the proven release did not come up: " + string(k)
		}
	}
	return ""
}

// stay is going back with nothing to go back to: a first release keeps serving, held.
func stay(in Input, now time.Time) Step {
	if step := tell(in, now); step != nil {
		return step
	}
	d := in.Past.Deploy
	return settleHeld(d, release.NoProven, text(d.Why, d.Detail))
}

// tell reports a bad release and gives the turn back. A fleet that does not answer is
// told later. Nil: it is done, or owed.
func tell(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	late := now.Sub(d.Since) > ReportDeadline
	switch {
	case b.Bad && d.Kind != KindRollback && !b.Reported && !(late && b.Failures[Report] > 0):
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Bad: true, Why: d.Why, Detail: d.Detail, Token: d.Token, Back: true})
	case !d.Token.Zero() && !(late && b.Failures[EndTurn] > 0):
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token, Back: true})
	}
	return nil
}

// dropGreen undoes a deployment that never got traffic. What stood here before it
// began, a set to roll back to, is not removed.
func dropGreen(in Input, now time.Time) Step {
	d, b := in.Past.Deploy, in.Past.Deploy.Back
	late := now.Sub(d.Since) > RevertDeadline
	if d.Kind == KindRelease {
		if step := repair(in, now); step != nil {
			return step
		}
	}
	if d.JobBegan && d.Kind == KindRelease && !b.Dropped {
		if step := undo(in, now, &d.To); step != nil {
			return step
		}
	}
	if d.Touched && !b.Dropped && !stood(in.Past) && !in.Past.doubts(d.To.ID) && !b.hopeless(Drop, late) {
		return retrying(in, now, Effect{Kind: Drop, Set: d.To, Shared: d.NewShared, Back: true})
	}
	if step := tell(in, now); step != nil {
		return step
	}
	switch {
	case movedOn(d.Why):
		return settleAs(Superseded, d.Why, undone(d))
	case d.Kind == KindRollback:
		return rollbackFailed(in)
	case b.Person:
		return settleHeld(d, d.Why, d.Detail)
	case b.Bad && d.From == nil:
		return settleHold(d, Failed, d.Why, undone(d))
	case b.Bad:
		return settleHold(d, Reverted, d.Why, undone(d))
	}
	return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Blocked, Was: d.Phase, Why: d.Why, Detail: d.Detail,
		Until: now.Add(backoff(d.Attempts+1, BlockedRecheck, blockedMax)), Dropped: b.Dropped || !d.Touched}}}
}

// stood reports whether a rollback's target had its containers before.
func stood(s State) bool {
	d := s.Deploy
	return d.Kind == KindRollback && s.Gone == nil && (s.serves(d.To.ID) || len(s.Old) > 0 && s.Old[0].ID == d.To.ID)
}

// movedOn reports whether a deployment ended because something else is wanted.
func movedOn(why release.Code) bool {
	switch why {
	case release.NewerRelease, release.RevertedInGit, release.NotInRepository, release.NotPlaced, release.RollbackOrdered, release.InputsChanged:
		return true
	}
	return false
}

func settleHeld(d *Deployment, why release.Code, detail string) Step {
	return settleHold(d, Held, why, detail)
}

func settleHold(d *Deployment, p Phase, why release.Code, detail string) Step {
	return Note{Record{Kind: RecSettle, Settle: &Settle{Phase: p, Why: why, Detail: detail,
		Hold: &Hold{Why: why, Detail: detail, At: d.Since, Digest: d.To.ID.Digest, Sequence: d.To.Sequence}}}}
}

// rollbackFailed holds what still serves: the operator wanted off it, so no older
// wish of Git makes it right again.
func rollbackFailed(in Input) Step {
	d := in.Past.Deploy
	step := settleHeld(d, release.RollbackFailed, text(d.Why, d.Detail))
	hold := step.(Note).Record.Settle.Hold
	if d.From != nil {
		hold.Digest, hold.Sequence = d.From.ID.Digest, max(hold.Sequence, d.From.Sequence)
	}
	if o := d.Order; o != nil {
		hold.Sequence, hold.Actor, hold.Reason, hold.Trace = max(hold.Sequence, o.Above), o.Actor, o.Reason, o.Trace
	}
	return step
}

func text(why release.Code, detail string) string {
	if detail == "" {
		return string(why)
	}
	return string(why) + ": " + detail
}
