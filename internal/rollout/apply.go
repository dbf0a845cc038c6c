package rollout

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Apply folds one record into the state. It is pure and total: a record that does
// not fit the state leaves it as it is, so that a later version's extra records
// never stop an older one (the journal's feature level guards meaning).
func (s State) Apply(r Record, at time.Time) State {
	s = s.clone()
	switch {
	case r.Begin != nil:
		d := *r.Begin
		d.Began, d.Since = at, at
		s.Serial++
		if k := s.Kept; k != nil {
			if k.ID == d.To.ID {
				d.To.Addresses = k.Addresses
			} else {
				s.Garbage = appendSet(s.Garbage, *k)
			}
			s.Kept = nil
		}
		s.Deploy = &d
		s.Retry = Retry{}
		if d.Kind == KindRollback {
			s.Rollback = nil
			s.Hold = nil
		}
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
				s.Rollback = &o
			case OrderResume, OrderRetry:
				s.Hold = nil
			}
		}
	case r.Lift != nil:
		s.Hold = nil
	case r.Hold != nil:
		h := *r.Hold
		s.Hold = &h
		s.Rollback = nil
	}
	return s
}

func (s *State) enter(e Enter, at time.Time) {
	d := s.Deploy
	if d.Phase == Verifying || d.Phase == Blocked {
		if e.Phase == Preparing && d.Kind == KindRelease && d.To.Sequence >= s.Accepted.Sequence {
			s.Accepted = Mark{Sequence: d.To.Sequence, Digest: d.To.ID.Digest, At: at}
		}
	}
	d.Phase, d.Since, d.Why, d.Detail = e.Phase, at, e.Why, e.Detail
	d.Last = nil
	if e.Phase != Blocked {
		d.Retry = Retry{}
	}
	switch e.Phase {
	case Preparing:
		if d.Moving.IsZero() {
			d.Moving = at
		}
	case Blocked:
		d.Moving = time.Time{}
		d.Retry = Retry{Count: d.Retry.Count + 1, Until: e.Until, Code: e.Why}
		if e.Dropped { // everything was dropped: it starts from nothing again
			d.Back, d.Token, d.Request = nil, Token{}, ""
			d.To.Addresses, d.Touched = nil, false
		}
	case Reverting:
		d.Back = &Back{Bad: e.Bad, Person: e.Person}
	case Baking:
		if e.Extend {
			d.Bake.Extended, d.Bake.ErrorsInRow, d.Bake.Failed = true, 0, 0
		}
	case Retiring:
		proven := d.To
		proven.ProvenAt = at
		// What was proven before is not always what served before: a release that was
		// superseded in its bake stands between them.
		if was := s.Proven; was != nil && was.ID != proven.ID && !(d.From != nil && d.From.ID == was.ID) {
			s.Old = slices.Insert(s.Old, 0, *was)
		}
		s.Proven = &proven
		s.keepShared(d)
		if s.Live.is(proven.ID) {
			live := proven
			s.Live = &live
		}
	}
}

func (s *State) intend(e Effect, at time.Time) {
	e.Started = at
	s.Effect = &e
	s.Effects++
	s.Generation = max(s.Generation, e.Generation)
	d := s.Deploy
	if d == nil || e.Deploy != d.ID {
		return
	}
	switch e.Kind {
	case Prepare:
		d.Touched = true
		if e.Set.ID == d.To.ID {
			d.To.Addresses = maps.Clone(e.Set.Addresses)
		}
		if d.From != nil && e.Set.ID == d.From.ID {
			d.From.Addresses = maps.Clone(e.Set.Addresses)
		}
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
	case ProbeWarm:
		d.Bake.Suspect, d.Bake.SuspectDetail = e.Why, e.Detail
	}
}

func (s *State) outcome(o Outcome, at time.Time) {
	e := s.Effect
	if e == nil || e.ID != o.Effect {
		return
	}
	s.Effect = nil
	if o.Kind == SwitchTo {
		s.Generation = max(s.Generation, o.Generation)
		if o.Result == OK {
			live := e.Set
			s.Live = &live
		}
	}
	if o.Kind == Restore && o.Result != Interrupted {
		s.Restores = append(recent(s.Restores, at), at)
	}
	if o.Kind == Drop && o.Result == OK {
		s.Garbage = slices.DeleteFunc(s.Garbage, func(g Set) bool { return g.ID == e.Set.ID })
	}
	d := s.Deploy
	if d == nil || e.Deploy != d.ID {
		s.Retry = nextRetry(s.Retry, o, at, retryFirst, retryMax)
		return
	}
	last := o
	last.Sample = nil
	d.Last = &last
	first, most := retryFirst, retryMax
	if o.Kind == Prepare {
		first, most = pullRetryFirst, pullRetryMax
	}
	if o.Kind != TakeSample {
		d.Retry = nextRetry(d.Retry, o, at, first, most)
	}
	switch o.Kind {
	case AskTurn:
		if o.Result == OK {
			d.Token = o.Token
		}
	case EndTurn:
		if o.Result == OK {
			d.Token = Token{}
		}
	case SwitchTo:
		if o.Result == OK && e.Set.ID == d.To.ID && d.Phase != Reverting {
			d.SwitchedAt = o.At
		}
	case TakeSample:
		if o.Sample != nil {
			d.Bake.add(*o.Sample, d.To.Bake)
		}
	case ProbeWarm:
		d.Bake.answer(o, e.Burst)
	}
	if d.Back != nil {
		d.Back.progress(*e, o, d)
	}
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
	s.Last = &Ended{ID: d.ID, Kind: d.Kind, Phase: e.Phase, Why: e.Why, Detail: e.Detail, At: at, Began: d.Began,
		Version: d.To.Version, Digest: d.To.ID.Digest, Sequence: d.To.Sequence, SwitchedAt: d.SwitchedAt}
	if d.Order != nil {
		s.Last.Actor = d.Order.Actor
	}
	if d.Back != nil {
		s.Last.FlippedAt = d.Back.FlippedAt
	}
	if e.Hold != nil {
		h := *e.Hold
		s.Hold = &h
	}
	s.Retry = Retry{}
	live := s.Live != nil && s.Live.ID == d.To.ID
	switch {
	case live && s.Proven.is(d.To.ID):
		// The way it should end: what served before is the first to go back to.
		s.remember(d.From)
		if d.Kind == KindRelease {
			s.Hold = e.Hold
		}
	case live:
		s.keepShared(d)
		// Green serves but never finished its bake: superseded or held. What is
		// proven stays proven; nothing is forgotten.
	case d.Back != nil && d.Back.Dropped, d.idle():
		// Nothing of it is left.
	case d.Back != nil && d.Back.Retired:
		kept := d.To
		s.Kept = &kept
	default:
		s.Garbage = appendSet(s.Garbage, d.To)
	}
	// A set that served unproven and is neither live nor proven any more has no use.
	if d.From != nil && !s.Live.is(d.From.ID) && !s.Proven.is(d.From.ID) &&
		!slices.ContainsFunc(s.Old, func(x Set) bool { return x.ID == d.From.ID }) {
		s.Garbage = appendSet(s.Garbage, *d.From)
	}
	s.Garbage = slices.DeleteFunc(s.Garbage, func(g Set) bool {
		return s.Live.is(g.ID) || s.Proven.is(g.ID) || (len(s.Old) > 0 && s.Old[0].ID == g.ID)
	})
	s.Deploy = nil
}

// remember puts a set that just stopped serving first among the rollback targets.
func (s *State) remember(from *Set) {
	s.Old = slices.DeleteFunc(s.Old, func(x Set) bool { return s.Live.is(x.ID) || (from != nil && x.ID == from.ID) })
	if from != nil && !from.ProvenAt.IsZero() && !s.Live.is(from.ID) {
		s.Old = slices.Insert(s.Old, 0, *from)
	}
	// A set of the same digest in the other colour is the same rollback target twice.
	s.Old = dedupe(s.Old, func(dropped Set) { s.Garbage = appendSet(s.Garbage, dropped) })
	for i, x := range s.Old {
		if i > 0 && len(x.Addresses) > 0 {
			s.Garbage = appendSet(s.Garbage, x)
			s.Old[i].Addresses = nil
		}
	}
	keep := 3
	if s.Live != nil && s.Live.Keep > 0 {
		keep = s.Live.Keep
	}
	if len(s.Old) > keep {
		s.Old = s.Old[:keep]
	}
}

func dedupe(sets []Set, dropped func(Set)) []Set {
	var out []Set
	for _, x := range sets {
		if slices.ContainsFunc(out, func(y Set) bool { return y.ID.Target == x.ID.Target }) {
			dropped(x)
			continue
		}
		out = append(out, x)
	}
	return out
}

func appendSet(sets []Set, x Set) []Set {
	if slices.ContainsFunc(sets, func(y Set) bool { return y.ID == x.ID }) {
		return sets
	}
	return append(sets, x)
}

func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) > FlapWindow })
}

func nextRetry(r Retry, o Outcome, at time.Time, first, most time.Duration) Retry {
	if o.Result != Retryable {
		return Retry{}
	}
	n := r.Count + 1
	return Retry{Count: n, Until: at.Add(backoff(n, first, most)), Code: o.Code}
}

// add counts one sample. A sample fails when any rule fails; it is an error when no
// rule passed or failed and at least one could not be measured.
func (t *Tally) add(sample Sample, rules release.Bake) {
	t.Samples++
	t.LastAt = sample.At
	var failing []string
	proof, errors, suspect := 0, 0, true
	for _, r := range sample.Rules {
		traffic := r.Rule == RuleErrorRate
		switch r.Result {
		case Pass:
			if traffic {
				t.TrafficProof++
			} else if !strings.HasPrefix(r.Rule, "container:") {
				proof++
			}
		case Fail:
			failing = append(failing, ruleText(r))
			suspect = suspect && traffic
		case Error:
			errors++
		}
	}
	switch {
	case len(failing) > 0:
		t.Failed++
		t.ErrorsInRow = 0
		t.Failing = strings.Join(failing, "; ")
		if t.Failed >= max(1, rules.Failures) && suspect {
			t.Suspect, t.SuspectDetail = release.BakeErrorRate, t.Failing
		}
	case errors > 0 && proof == 0:
		t.ErrorsInRow++
	default:
		t.ErrorsInRow = 0
	}
	t.Proof += proof
}

// RuleErrorRate is the name of the traffic rule in samples.
const RuleErrorRate = "error_rate"

func ruleText(r RuleSample) string {
	if r.Detail == "" {
		return r.Rule
	}
	return r.Rule + ": " + r.Detail
}

// answer takes what the old colour said when it was asked about a suspicion.
func (t *Tally) answer(o Outcome, burst uint64) {
	if burst > 0 {
		t.BurstSeen = max(t.BurstSeen, burst)
	}
	switch o.Result {
	case OK: // blue is well: green is to blame, deploy() goes back
	case Bad: // blue fails too
		t.SharedCause++
		t.Suspect, t.SuspectDetail = "", ""
		t.Failed = 0
	}
}

// progress marks what is done of going back.
func (b *Back) progress(e Effect, o Outcome, d *Deployment) {
	if o.Result == Interrupted || o.Result == Cancelled {
		return
	}
	done := o.Result == OK
	switch o.Kind {
	case Prepare:
		b.Prepared = b.Prepared || done
	case Start:
		b.Started = b.Started || done
	case Check:
		b.Checked = b.Checked || done
	case SwitchTo:
		if done && e.Set.ID != d.To.ID {
			b.Flipped, b.FlippedAt = true, o.At
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
		b.Smoked = b.Smoked || o.Result != Retryable
		if o.Result == Bad {
			b.Unhealthy = o.Detail
		}
	case Retire:
		b.Retired = b.Retired || done
	case Drop:
		b.Dropped = b.Dropped || (done && e.Set.ID == d.To.ID)
	}
}

func (s State) clone() State {
	if s.Deploy != nil {
		d := *s.Deploy
		if d.Back != nil {
			b := *d.Back
			d.Back = &b
		}
		if d.From != nil {
			f := *d.From
			d.From = &f
		}
		s.Deploy = &d
	}
	s.Old = slices.Clone(s.Old)
	s.Garbage = slices.Clone(s.Garbage)
	s.Shared = maps.Clone(s.Shared)
	s.Restores = slices.Clone(s.Restores)
	return s
}
