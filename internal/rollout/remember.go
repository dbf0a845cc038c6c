package rollout

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// maxScans bounds State.Scans: enough for five scanners of a hundred images.
const maxScans = 512

// remembers is what the wanted release's evidence teaches that the state does not hold yet;
// nil when there is nothing new.
func remembers(in Input) *Remember {
	w := in.Want
	if w.Unknown != "" || w.Absent {
		return nil
	}
	var l Remember
	for key, at := range w.Verdict.Seen {
		if at.After(in.Past.Scans[key]) {
			if l.Scans == nil {
				l.Scans = map[string]time.Time{}
			}
			l.Scans[key] = at
		}
	}
	if len(in.Past.Scans) >= maxScans { // the oldest gave way: they are not learned again
		oldest := slices.MinFunc(slices.Collect(maps.Values(in.Past.Scans)), time.Time.Compare)
		maps.DeleteFunc(l.Scans, func(_ string, at time.Time) bool { return !at.After(oldest) })
	}
	if w.Verdict.Accepted && w.Verdict.Emergency == nil && in.Past.debt(w.Set.ID.Digest) != nil {
		l.Settled = w.Set.ID.Digest
	}
	if len(l.Scans) == 0 && l.Settled == "" {
		return nil
	}
	return &l
}

// mayRemember reports whether a step may wait for a record of what was learned: waits, and
// what takes a release forward. Going back never waits for it, and neither does
// what is urgent: on a full disk the record may not succeed.
func mayRemember(s Step) bool {
	switch s := s.(type) {
	case Wait:
		return true
	case Note:
		return s.Record.Begin != nil && s.Record.Begin.Kind == KindRelease || s.Record.Enter != nil && s.Record.Enter.Phase == Preparing
	}
	return false
}

// remember applies a Remember.
func (s *State) remember(l Remember, at time.Time) {
	if len(l.Scans) > 0 {
		s.Scans = maps.Clone(s.Scans)
		if s.Scans == nil {
			s.Scans = map[string]time.Time{}
		}
		for key, seen := range l.Scans {
			if seen.After(s.Scans[key]) {
				s.Scans[key] = seen
			}
		}
		keys := slices.SortedFunc(maps.Keys(s.Scans), func(a, b string) int {
			if c := s.Scans[b].Compare(s.Scans[a]); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		for _, key := range keys[min(len(keys), maxScans):] {
			delete(s.Scans, key)
		}
	}
	if l.Settled != "" {
		s.Emergencies = slices.Clone(s.Emergencies)
		for i := range s.Emergencies {
			if m := &s.Emergencies[i]; m.Digest == l.Settled && m.Settled.IsZero() {
				m.Settled = at
			}
		}
	}
}

// accept enters preparing with what the verdict's emergency, if any, leaves to remember.
func accept(in Input, now time.Time) Step {
	d := in.Past.Deploy
	e := Enter{Phase: Preparing, Was: d.Phase}
	if u := in.Want.Verdict.Emergency; u != nil && d.Kind == KindRelease {
		e.Urgent = u.Passes(trust.WaiveFreeze)
		if !slices.ContainsFunc(in.Past.Emergencies, func(m trust.EmergencyMark) bool { return m.Digest == d.To.ID.Digest }) {
			e.Emergency = &trust.EmergencyMark{Digest: d.To.ID.Digest, Incident: u.Incident, At: now, FollowUpBy: u.FollowUpBy}
		}
	}
	return Note{Record{Kind: RecEnter, Enter: &e}}
}

// accept raises the mark against replay, and remembers an emergency.
func (s *State) accept(e Enter, at time.Time) {
	d := s.Deploy
	mark := Mark{Sequence: d.To.Sequence, Digest: d.To.ID.Digest, At: at, Commit: d.To.Commit, Since: s.Accepted.Commit}
	if s.Accepted.Digest == mark.Digest { // the same once more: what made it stays
		mark.Commit, mark.Since = s.Accepted.Commit, s.Accepted.Since
		mark.Fresh = s.Accepted.FreshAt()
	}
	s.Accepted, s.Rotate = mark, nil
	d.To.Urgent = e.Urgent
	if e.Emergency != nil {
		kept := slices.DeleteFunc(slices.Clone(s.Emergencies), func(m trust.EmergencyMark) bool {
			return !m.Settled.IsZero() && at.Sub(m.At) > 24*time.Hour
		})
		s.Emergencies = append(kept, *e.Emergency)
	}
}

// debt is the unsettled emergency that accepted the digest; nil: none.
func (s State) debt(digest release.Digest) *trust.EmergencyMark {
	for i, m := range s.Emergencies {
		if m.Digest == digest && m.Settled.IsZero() {
			return &s.Emergencies[i]
		}
	}
	return nil
}

// Debt is the emergency behind what is live, until a normal approval follows; nil: none.
func (s State) Debt() *trust.EmergencyMark {
	if s.Live == nil {
		return nil
	}
	return s.debt(s.Live.ID.Digest)
}
