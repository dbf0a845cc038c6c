package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// An app whose manifest says x-teal.formerly takes the place of the app under that name:
// one record gives it the other's whole memory, and from then on its next release is an
// ordinary one. Nothing on the host is touched by that. What was made under the former
// name keeps it: volumes and shared services for good (State.Origin), containers until
// they are removed (Set.App), the routes in the proxy until the next switch.

// TakeOver gives the app all that this host has under another name.
type TakeOver struct {
	From string `json:"from"`
	// Origin is the name that volumes and shared services keep.
	Origin   string `json:"origin"`
	Version  string `json:"version,omitempty"`  // of what is live
	Sequence int64  `json:"sequence,omitempty"` // the highest accepted
}

// Renamed says who took an app's place.
type Renamed struct {
	To string    `json:"to"`
	At time.Time `json:"at"`
}

// maxFormer bounds the names that an app remembers.
const maxFormer = 16

// Names are the app's, its own first.
func (s State) Names() []string { return append([]string{s.App}, s.Former...) }

// Was reports whether the app had the name on this host.
func (s State) Was(name string) bool { return slices.Contains(s.Former, name) }

// Called are the names under which the app may have something on the engine.
func (s State) Called() []string {
	out := []string{s.App}
	add := func(name string) {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add(s.Origin)
	for _, x := range s.every() {
		add(x.App)
	}
	return out
}

// lives reports whether the app has, or had, anything here that another cannot take the
// place of.
func (s State) lives() bool {
	return s.here() || len(s.Old) > 0 || s.Gone != nil || s.Generation > 0
}

// Known reports whether there is anything to take over: what runs, what is kept, or the
// mark against replay.
func (s State) Known() bool { return s.lives() || s.Accepted.Sequence > 0 || s.Renamed != nil }

// foreign reports whether all that there is was made under a former name.
func (s State) foreign() bool {
	all := s.every()
	return len(all) > 0 && !slices.ContainsFunc(all, func(x Set) bool { return x.App == "" })
}

// takes is what comes before a release that takes another app's place, and what a name
// that was given away says. Nil: neither.
func takes(in Input, now time.Time) Step {
	s, w := in.Past, in.Want
	f := w.Former
	switch {
	case !w.names() || f == nil:
		if s.Renamed != nil && w.Unknown == "" {
			return Wait{Why: release.AppRenamed, Detail: s.Renamed.text()}
		}
		return nil
	case f.Renamed != nil:
		return Wait{Why: release.FormerConflict, Detail: f.App + " is not in use: " + f.Renamed.text()}
	case s.Renamed != nil && !f.Was(s.App): // the name is that of the app that gave it up
		return Wait{Why: release.AppRenamed, Detail: s.Renamed.text()}
	case s.lives():
		return Wait{Why: release.FormerConflict, Detail: fmt.Sprintf("%s has releases of its own on this host, and so has %s", s.App, f.App)}
	case w.Barred.Why != "":
		return Wait{Why: w.Barred.Why, Detail: w.Barred.Detail}
	case !w.Verdict.Accepted:
		if s.Renamed != nil {
			why, detail := firstReason(w.Verdict.Reasons)
			return Wait{Why: why, Detail: detail}
		}
		return nil // verified, and blocked, like any release
	}
	if h := f.Hold; h != nil && w.Set.Sequence <= h.Sequence && !w.Verdict.Emergency.Passes(trust.WaiveHold) {
		return Wait{Why: h.Why, Detail: h.Detail}
	}
	if q, code := in.quarantined(w.Set); code != "" {
		return Wait{Why: code, Detail: quarantineText(q)}
	}
	if busy := f.busy(); busy != "" {
		return Wait{Why: release.FormerBusy, Detail: f.App + " is " + busy, Until: now.Add(retryFirst)}
	}
	t := TakeOver{From: f.App, Origin: cmp.Or(f.Origin, f.App), Sequence: f.Accepted.Sequence}
	if f.Live != nil {
		t.Version = f.Live.Version
	}
	return Note{Record{Kind: RecTakeOver, TakeOver: &t}}
}

// busy says what keeps the app from giving its place away now; "" when it is at rest.
func (s State) busy() string {
	switch {
	case s.Deploy != nil:
		return string(s.Deploy.Phase)
	case s.Effect != nil:
		return "carrying out " + string(s.Effect.Kind)
	case s.Rollback != nil || s.Removal != nil || s.Rotate != nil:
		return "to carry out an order"
	case s.Doubtful != nil:
		return "not sure which colour serves"
	}
	return ""
}

func (r Renamed) text() string { return "it is named " + r.To + " on this host" }

// TakeOver is the record's meaning for both apps: what the one that takes over has from
// then on, and what is left of the other. It is pure.
func (s State) TakeOver(t TakeOver, from State, at time.Time) (now, was State) {
	now = from.clone()
	now.App = s.App
	now.each(func(x *Set) {
		if x.App = cmp.Or(x.App, from.App); x.App == s.App { // it had this name before
			x.App = ""
		}
	})
	own := func(name string) bool { return name == s.App }
	now.Former = slices.DeleteFunc(append([]string{from.App}, from.Former...), own)
	now.Former = now.Former[:min(len(now.Former), maxFormer)]
	if now.Origin = t.Origin; now.Origin == s.App {
		now.Origin = ""
	}
	if s.Accepted.Sequence > now.Accepted.Sequence {
		now.Accepted = s.Accepted
	}
	now.Generation = max(now.Generation, s.Generation)
	now.OrdersSeen = max(now.OrdersSeen, s.OrdersSeen)
	now.Serial, now.Effects = max(now.Serial, s.Serial), max(now.Effects, s.Effects)
	return now, State{App: from.App, Renamed: &Renamed{To: s.App, At: at}, Accepted: from.Accepted,
		OrdersSeen: from.OrdersSeen, Serial: from.Serial, Effects: from.Effects}
}

// each calls do with every mention of a set; the state is a clone.
func (s *State) each(do func(*Set)) {
	one := func(x *Set) *Set {
		if x == nil {
			return nil
		}
		y := *x
		do(&y)
		return &y
	}
	s.Live, s.Proven, s.Kept = one(s.Live), one(s.Proven), one(s.Kept)
	for _, sets := range [][]Set{s.Old, s.Garbage} {
		for i := range sets {
			do(&sets[i])
		}
	}
	for i := range s.Owed {
		do(&s.Owed[i].Set)
	}
}

// orphan is the set of a container that the journal does not know.
func (s State) orphan(c Container) *Set {
	x := Set{ID: c.Set}
	if c.App != s.App {
		x.App = c.App
	}
	return &x
}

// AppOf is the name under which the release was made, by what the state knows of it.
func (s State) AppOf(digest release.Digest) string {
	for _, x := range s.every() {
		if x.ID.Digest == digest && x.App != "" {
			return x.App
		}
	}
	return s.App
}
