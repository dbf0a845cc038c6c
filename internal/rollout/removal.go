package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// A removal ends an app on this host: routes first, then what runs, then what is left on
// the engine. It is begun by a release with absent: true, through the same gates as any
// other, or by an operator's order. From the withdrawal of the routes on nothing calls it
// back: every step is tried until it is done.

// removing reports whether the deployment takes the app away and is past the point of no
// return.
func (d *Deployment) removing() bool {
	return d.To.Absent && (d.Phase == Switching || d.Phase == Retiring)
}

// here reports whether anything of the app may be on this host.
func (s State) here() bool {
	return s.Live != nil || s.Doubtful != nil || s.Proven != nil || s.Kept != nil || len(s.Garbage) > 0 || len(s.Shared) > 0
}

// Removable says why an operator's order may not remove the app; "" when it may.
func Removable(s State, w Want) string {
	switch {
	case w.Unknown != "":
		return "Git cannot be read: " + string(w.Unknown)
	case w.names():
		return "Git wants " + w.Set.Version + " on this host, so it would come back"
	case !s.here() && s.Deploy == nil:
		return "nothing of it is on this host"
	}
	return ""
}

// beginRemoval carries out an operator's order on a settled app.
func beginRemoval(in Input) Step {
	s := in.Past
	o := *s.Removal
	// No container has this id: it names the removal itself.
	to := Set{Absent: true, ID: release.SetID{Colour: release.Blue, Target: release.Target{Digest: release.Digest(strings.Repeat("0", 64)), Inputs: "removal"}}}
	d := Deployment{ID: fmt.Sprintf("d-%d", s.Serial+1), Kind: KindRemoval, Phase: Switching, Order: &o}
	if s.Live != nil {
		from := *s.Live
		d.From = &from
		to.Version, to.Sequence, to.ID.Colour, to.ID.Digest = from.Version, from.Sequence, from.ID.Colour.Other(), from.ID.Digest
	}
	d.To = to
	return Note{Record{Kind: RecBegin, Begin: &d}}
}

// withdraw takes the routes away: from then on users get what an unknown host gets.
func withdraw(in Input, now time.Time) Step {
	d := in.Past.Deploy
	if d.Last != nil && d.Last.Kind == Withdraw && d.Last.Result == OK {
		return enter(d, Retiring, "", "")
	}
	return retrying(in, now, Effect{Kind: Withdraw, Set: d.To})
}

// dismantle lets each set finish what it began and stops it, removes what is on the
// engine, tells the fleet, and ends.
func dismantle(in Input, now time.Time) Step {
	d := in.Past.Deploy
	age := now.Sub(d.Since)
	if !d.Removed {
		for _, x := range in.Past.Sets() {
			stuck := failing(d, Retire) && age > RevertDeadline+x.Drain.HTTP+x.Drain.WebSocket // removed all the same
			if x.ID != d.To.ID && anyRunning(in.Seen, &x) && !stuck {
				return retrying(in, now, Effect{Kind: Retire, Set: x})
			}
		}
		return retrying(in, now, Effect{Kind: Remove, Set: d.To})
	}
	switch {
	case d.Kind == KindRelease && !d.Reported && !(failing(d, Report) && age > ReportDeadline):
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Token: d.Token})
	case !d.Token.Zero() && !(failing(d, EndTurn) && age > ReportDeadline):
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token})
	}
	detail := ""
	if d.Order != nil {
		detail = by(*d.Order)
	}
	if len(d.To.Purge) > 0 {
		detail = strings.TrimPrefix(detail+"; volumes purged: "+strings.Join(d.To.Purge, ", "), "; ")
	}
	return settleAs(Absent, release.Removed, detail)
}

// goneFrom reports whether the removal that Git wants was carried out.
func (s State) goneFrom(w Set) bool {
	return w.Absent && s.Gone != nil && s.Gone.Digest == w.ID.Digest && s.Live == nil
}

// part takes everything of the app out of the state but what a rollback after the removal
// needs: the proven releases, which are stored, and which shared services ran.
func (s *State) part(at time.Time) {
	d := s.Deploy
	s.Gone = &Gone{Version: d.To.Version, Sequence: d.To.Sequence, At: at, Shared: s.Shared, Purged: d.To.Purge}
	if d.Order != nil {
		s.Gone.Actor = d.Order.Actor
	} else {
		s.Gone.Digest = d.To.ID.Digest
	}
	s.archive(s.Proven)
	var old []Set
	for _, x := range s.Old {
		again := slices.ContainsFunc(old, func(y Set) bool { return y.ID.Target == x.ID.Target })
		if !again && len(old) < 3 && len(d.To.Purge) == 0 { // without its data an older release is not what it was
			x.Addresses = nil
			old = append(old, x)
		}
	}
	s.Old = old
	s.Live, s.Proven, s.ProvenCold, s.Kept, s.Garbage, s.Shared, s.SharedOf, s.Doubtful = nil, nil, false, nil, nil, nil, nil, nil
	s.Hold, s.Removal, s.Restores, s.Redirects, s.Care, s.Baseline = nil, nil, nil, nil, nil, 0
}

// again are the shared services that a rollback after a removal makes again.
func (s State) again() map[string]string {
	if s.Gone == nil {
		return nil
	}
	return maps.Clone(s.Gone.Shared)
}
