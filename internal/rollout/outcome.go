package rollout

import (
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
)

// intend notes what is about to be done.
func (s *State) intend(e Effect, at time.Time) {
	e.Started = at
	s.Effect = &e
	s.Effects++
	s.Generation = max(s.Generation, e.Generation)
	if e.Kind == Prepare {
		s.address(e.Set.ID, e.Set.Addresses)
	}
	if id := e.Set.ID; e.Kind == SwitchTo && !s.Live.is(id) {
		s.Doubtful = &id
	}
	if e.Kind == Retire && s.Proven.is(e.Set.ID) && !s.Live.is(e.Set.ID) {
		s.ProvenCold = true
	}
	d := s.Deploy
	if d == nil || e.Deploy != d.ID {
		return
	}
	switch e.Kind {
	case Prepare:
		d.Touched = d.Touched || e.Set.ID == d.To.ID
	case Confirm:
		d.Request = e.Request
	case SwitchTo:
		d.Generation = e.Generation
		if e.Set.ID == d.To.ID && d.Phase != Reverting {
			d.Crossed, d.Baseline = true, e.Baseline
		}
	case HandStop:
		if d.Phase == Handover {
			d.HandedOver = true
		}
	case ReplaceShared:
		d.Replacing = true
	case RunJob:
		d.JobBegan = d.JobBegan || !e.Back
	case ProbeWarm:
		d.Bake.Suspect, d.Bake.SuspectDetail = e.Why, e.Detail
	}
}

// outcome notes how it ended.
func (s *State) outcome(o Outcome, at time.Time) {
	e := s.Effect
	if e == nil || e.ID != o.Effect {
		return
	}
	s.Effect = nil
	s.learn(*e, o, at)
	d := s.Deploy
	if d == nil || e.Deploy != d.ID {
		s.cared(*e, o, at)
		return
	}
	last := o
	last.Sample = nil
	d.Last = &last
	if o.Kind != TakeSample && o.Kind != ProbeWarm {
		first, most := retryFirst, retryMax
		switch {
		case d.Phase == Reverting:
			most = backRetryMax
		case o.Kind == Prepare:
			first, most = pullRetryFirst, pullRetryMax
		}
		d.Retry = nextRetry(d.Retry, o, at, first, most)
	}
	done := o.Result == OK
	switch o.Kind {
	case AskTurn:
		if done {
			d.Token = o.Token
		}
	case EndTurn:
		if done {
			d.Token = Token{}
		}
	case SwitchTo:
		if done && e.Set.ID == d.To.ID && d.SwitchedAt.IsZero() {
			d.SwitchedAt = o.At
			if o.At.IsZero() {
				d.SwitchedAt = at
			}
		}
	case Check:
		d.Checked = d.Checked || done && d.Phase == Checking
	case RunJob:
		d.jobEnded(*e, o)
	case ReplaceShared:
		d.Replacing = o.Result == Interrupted || o.Result == Retryable || o.Result == Cancelled
		if done {
			s.replaced(*e)
		}
	case HandStop:
		d.Hand.Stopped = d.Hand.Stopped || done && d.Phase == Handover
	case HandStart:
		d.Hand.Started = d.Hand.Started || done && d.Phase == Handover
	case Report:
		d.Reported = d.Reported || done && d.Phase == Retiring
	case Remove:
		d.Removed = d.Removed || done
	case TakeSample:
		d.Bake.take(o, d.To.Bake, at)
	case ProbeWarm:
		d.Bake.answer(o, e.Burst, at.Add(d.To.Bake.Every))
	}
	if d.Back != nil {
		d.Back.progress(*e, o, d, at)
	}
}

// learn takes from an outcome what holds whoever asked for it.
func (s *State) learn(e Effect, o Outcome, at time.Time) {
	switch o.Kind {
	case SwitchTo:
		s.Generation = max(s.Generation, o.Generation)
		if o.Result == OK {
			live := e.Set
			s.Live, s.Baseline, s.Doubtful, s.Gone = &live, e.Baseline, nil, nil
			if e.Why == release.ProxyDrift {
				s.Redirects = append(recent(s.Redirects, at), at)
			}
		}
	case Withdraw:
		if o.Result == OK {
			s.Live, s.Doubtful = nil, nil
		}
	case Start:
		if o.Result == OK && s.Proven.is(e.Set.ID) {
			s.ProvenCold = false
		}
	case Drop:
		if o.Result == OK {
			s.Garbage = slices.DeleteFunc(s.Garbage, func(g Set) bool { return g.ID == e.Set.ID })
			s.address(e.Set.ID, nil)
		}
	}
}

// cared notes the end of an effect that belongs to no deployment.
func (s *State) cared(e Effect, o Outcome, at time.Time) {
	if r := nextRetry(s.Care[o.Kind], o, at, retryFirst, retryMax); r == (Retry{}) {
		delete(s.Care, o.Kind)
	} else {
		if s.Care == nil {
			s.Care = map[EffectKind]Retry{}
		}
		s.Care[o.Kind] = r
	}
	switch {
	case o.Kind == Restore && o.Result != Interrupted:
		s.Restores = append(recent(s.Restores, at), at)
	case (o.Kind == Report || o.Kind == EndTurn) && o.Result == OK:
		s.Owed = slices.DeleteFunc(s.Owed, func(x Effect) bool {
			return x.Kind == e.Kind && x.Set.ID == e.Set.ID && x.Token == e.Token && x.Bad == e.Bad
		})
	}
}

func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) > FlapWindow })
}

// nextRetry backs off from anything but success and what was cut short.
func nextRetry(r Retry, o Outcome, at time.Time, first, most time.Duration) Retry {
	switch o.Result {
	case OK, Interrupted, Cancelled:
		return Retry{}
	}
	n := r.Count + 1
	next := Retry{Count: n, Until: at.Add(backoff(n, first, most)), Code: o.Code}
	if next.Code == "" {
		next.Code = release.EffectFailed
	}
	if o.Code == release.StaleGeneration && n == 1 {
		next.Until = at // the proxy said which generation it is at
	}
	return next
}

// progress marks what is done of going back.
func (b *Back) progress(e Effect, o Outcome, d *Deployment, at time.Time) {
	switch o.Result {
	case Interrupted, Cancelled:
		return
	case OK:
		delete(b.Failures, o.Kind)
	default:
		if b.Failures == nil {
			b.Failures = map[EffectKind]int{}
		}
		b.Failures[o.Kind]++
	}
	done := o.Result == OK
	broken := o.Result == Bad || o.Result == NeedsPerson
	switch o.Kind {
	case Prepare, Start, Check:
		if broken {
			b.Stuck = string(o.Code) + " " + o.Detail
		}
		b.Prepared = b.Prepared || done && o.Kind == Prepare
		b.Started = b.Started || done && o.Kind == Start
		b.Checked = b.Checked || done && o.Kind == Check
	case SwitchTo:
		if broken {
			b.Stuck = string(o.Code) + " " + o.Detail
		}
		if done && e.Set.ID != d.To.ID {
			b.Flipped, b.FlippedAt = true, o.At
			if o.At.IsZero() {
				b.FlippedAt = at
			}
		}
	case HandStop:
		b.Stopped = b.Stopped || done
	case HandStart:
		b.Handed = b.Handed || done
	case Report:
		b.Reported = b.Reported || done
	case EndTurn:
		b.Ended = b.Ended || done
	case FrontDoor:
		b.Smoked = b.Smoked || done || broken
		if broken {
			b.Unhealthy = "the front door does not answer well: " + o.Detail
		}
	case Retire:
		b.Retired = b.Retired || done
	case Drop:
		b.Dropped = b.Dropped || done && e.Set.ID == d.To.ID
	}
}
