package rollout

import (
	"maps"
	"slices"
	"time"
)

// Apply folds one record into the state. It is pure and total: a record that does
// not fit the state leaves it as it is, so that a later version's extra records
// never stop an older one (the journal's feature level guards meaning).
func (s State) Apply(r Record, at time.Time) State {
	s = s.clone()
	switch {
	case r.Begin != nil:
		s.begin(*r.Begin, at)
	case r.Enter != nil && s.Deploy != nil:
		s.enter(*r.Enter, at)
	case r.Intent != nil:
		s.intend(*r.Intent, at)
	case r.Outcome != nil:
		s.outcome(*r.Outcome, at)
	case r.Settle != nil && s.Deploy != nil:
		s.settle(*r.Settle, at)
	case r.Order != nil:
		s.OrdersSeen = max(s.OrdersSeen, r.Order.Order.Index)
		if r.Order.Refused == "" {
			switch o := r.Order.Order; o.Kind {
			case OrderRollback:
				s.Rollback, s.Removal = &o, nil
			case OrderRemove:
				s.Removal, s.Rollback = &o, nil
			case OrderResume, OrderRetry:
				s.Hold = nil
			case OrderRotate:
				s.rotate(o)
			}
		}
	case r.Lift != nil:
		s.Hold = nil
	case r.Remember != nil:
		s.remember(*r.Remember, at)
	case r.Hold != nil:
		h := *r.Hold
		s.Hold = &h
		s.Rollback = nil
	}
	return s
}

func (s *State) begin(d Deployment, at time.Time) {
	d.Began, d.Since = at, at
	switch d.Phase {
	case Preparing:
		d.Moving = at
	case Reverting: // no planner begins one so
		d.Back = &Back{}
	}
	s.Serial++
	d.From = reclassed(d.From, &d.To)
	d.To = *reclassed(&d.To, d.From)
	s.Live, s.Proven = reclassed(s.Live, &d.To), reclassed(s.Proven, &d.To)
	s.Deploy = &d
	if s.Kept != nil { // if it is the new target as well, the clean-up spares it
		s.discard(*s.Kept)
		s.Kept = nil
	}
	s.tidy()
	if d.Kind == KindRollback {
		s.Rollback, s.Hold = nil, nil
	}
	if d.Kind == KindRemoval {
		s.Removal = nil
	}
}

func (s *State) enter(e Enter, at time.Time) {
	d := s.Deploy
	was, since := d.Phase, d.Since
	d.Phase, d.Since, d.Why, d.Detail = e.Phase, at, e.Why, e.Detail
	d.Last = nil
	switch {
	case e.Phase == Blocked:
		d.Retry = Retry{Count: d.Retry.Count, Until: e.Until, Code: e.Why}
	case was == Blocked: // the backoff of an effect that fails each time goes on growing
		d.Retry = Retry{Count: d.Retry.Count}
	default:
		d.Retry = Retry{}
	}
	switch e.Phase {
	case Preparing:
		if d.Moving.IsZero() {
			d.Moving = at
		}
		if (was == Verifying || was == Blocked) && d.Kind == KindRelease && d.To.Sequence >= s.Accepted.Sequence {
			s.accept(e, at)
		}
	case Migrating:
		if was == Waiting { // waiting for a turn or for people is not lack of progress
			d.Moving = d.Moving.Add(at.Sub(since))
		}
	case Blocked:
		d.Moving = time.Time{}
		if was == Reverting {
			d.Back, d.Token, d.Request = nil, Token{}, ""
			d.Attempts++
		}
		if e.Dropped { // it starts from nothing again
			d.To.Addresses, d.Touched = nil, false
			d.Ran, d.JobBegan, d.Undone, d.UndoFailed = nil, false, nil, ""
		}
	case Checking:
		d.Checked = false
	case Reverting:
		d.Back = &Back{Bad: e.Bad, Person: e.Person}
	case Baking:
		if e.Extend {
			d.Bake.Extended, d.Bake.ErrorsInRow, d.Bake.Failed = true, 0, 0
		}
	case Retiring:
		if !d.To.Absent {
			s.prove(at)
		}
	}
}

// prove makes what the deployment switched to the set to go back to, and the one
// before it the first rollback target.
func (s *State) prove(at time.Time) {
	d, was := s.Deploy, s.Proven
	proven := d.To
	if d.Kind != KindRollback || proven.ProvenAt.IsZero() {
		proven.ProvenAt = at
	}
	s.Proven, s.ProvenCold = &proven, false
	s.keepShared(d)
	if s.Live.is(proven.ID) {
		live := proven
		s.Live = &live
	}
	if !was.is(proven.ID) {
		s.archive(was)
	}
	s.tidy()
}

// keepShared makes the deployment's new shared services the app's.
func (s *State) keepShared(d *Deployment) {
	for name, spec := range d.NewShared {
		if s.Shared == nil {
			s.Shared = map[string]string{}
		}
		s.Shared[name] = spec
	}
}

func (s *State) settle(e Settle, at time.Time) {
	d := s.Deploy
	s.Last = &Ended{ID: d.ID, Kind: d.Kind, Phase: e.Phase, Cause: d.Cause, Why: e.Why, Detail: e.Detail, At: at, Began: d.Began,
		Version: d.To.Version, Digest: d.To.ID.Digest, Sequence: d.To.Sequence, SwitchedAt: d.SwitchedAt}
	if d.Order != nil {
		s.Last.Actor, s.Last.Trace = d.Order.Actor, d.Order.Trace
	}
	if d.Back != nil {
		s.Last.FlippedAt = d.Back.FlippedAt
	}
	if e.Phase == Absent {
		s.part(at)
		s.owe(e, at)
		s.Deploy = nil
		return
	}
	if s.Live == nil && d.Crossed {
		// A first release whose switch was never answered may serve: it stays.
		live := d.To
		s.Live = &live
	}
	switch {
	case s.Live.is(d.To.ID) && s.Proven.is(d.To.ID):
		if d.Kind == KindRelease {
			s.Hold = nil // the newer release ends an older hold
		}
	case s.Live.is(d.To.ID):
		s.keepShared(d) // it serves unproven: superseded or held
	case d.Back != nil && d.Back.Retired:
		kept := d.To
		s.Kept = &kept
	case d.Touched && (d.Back == nil || !d.Back.Dropped):
		s.discard(d.To)
	}
	// A set that served unproven and does so no more has no use.
	if d.From != nil && d.From.ID != d.To.ID {
		s.discard(*d.From)
	}
	if e.Hold != nil {
		h := *e.Hold
		if s.Hold != nil { // what was held off stays so
			h.Sequence = max(h.Sequence, s.Hold.Sequence)
		}
		s.Hold = &h
	}
	if e.Phase != Superseded { // an order outlives what it was ordered on only to be begun anew
		s.Rotate = nil
	}
	s.owe(e, at)
	s.Deploy = nil
	s.tidy()
}

// owe notes what the fleet still has to be told of the deployment that ends.
func (s *State) owe(e Settle, at time.Time) {
	d := s.Deploy
	tell := func(owed Effect) {
		owed.Started = at
		s.Owed = append(s.Owed, owed)
		s.Owed = s.Owed[max(0, len(s.Owed)-maxOwed):]
	}
	report := Effect{Kind: Report, Set: d.To, Token: d.Token, Back: true}
	switch {
	case d.Kind == KindRollback:
	case d.Kind == KindRemoval:
	case (e.Phase == Live || e.Phase == Absent) && !d.Reported:
		tell(report)
	case d.Back != nil && d.Back.Bad && !d.Back.Reported:
		report.Bad, report.Why, report.Detail = true, d.Why, d.Detail
		tell(report)
	}
	if !d.Token.Zero() {
		tell(Effect{Kind: EndTurn, Set: d.To, Token: d.Token, Back: true})
	}
}

func (s State) clone() State {
	if s.Deploy != nil {
		d := *s.Deploy
		if d.Back != nil {
			b := *d.Back
			b.Failures = maps.Clone(b.Failures)
			d.Back = &b
		}
		d.Bake.Passed = maps.Clone(d.Bake.Passed)
		s.Deploy = &d
	}
	s.Old = slices.Clone(s.Old)
	s.Garbage = slices.Clone(s.Garbage)
	s.Owed = slices.Clone(s.Owed)
	s.Shared = maps.Clone(s.Shared)
	s.SharedOf = maps.Clone(s.SharedOf)
	s.Care = maps.Clone(s.Care)
	s.Restores = slices.Clone(s.Restores)
	s.Redirects = slices.Clone(s.Redirects)
	return s
}
