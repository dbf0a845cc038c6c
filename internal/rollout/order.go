package rollout

import (
	"fmt"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// takeOrder records an order: taken up, or refused with a reason.
func takeOrder(in Input, o Order) Step {
	taken := OrderTaken{Order: o}
	switch o.Kind {
	case OrderRollback:
		target, code, detail := rollbackTarget(in, o)
		if target == nil {
			taken.Refused, taken.Detail = code, detail
			break
		}
		taken.Order.To, taken.Order.Inputs = target.ID.Digest, target.ID.Inputs
		taken.Order.Above = highest(in)
	case OrderRotate:
		taken.Refused, taken.Detail = refuseRotate(in)
	case OrderResume, OrderRetry:
	case OrderRemove:
		if why := Removable(in.Past, in.Want); why != "" {
			taken.Refused, taken.Detail = release.NotRemovable, why
		}
	default: // of a later version
		taken.Refused, taken.Detail = release.BadRequest, "unknown order "+string(o.Kind)
	}
	return Note{Record{Kind: RecOrder, Order: &taken}}
}

// highest is the highest sequence that the host knows of: what a rollback holds off.
func highest(in Input) int64 {
	n := in.Past.Accepted.Sequence
	if in.Past.Live != nil {
		n = max(n, in.Past.Live.Sequence)
	}
	if d := in.Past.Deploy; d != nil {
		n = max(n, d.To.Sequence)
	}
	if in.Want.Unknown == "" && !in.Want.Absent {
		n = max(n, in.Want.Set.Sequence)
	}
	return n
}

// rollbackTarget resolves what an order goes back to: the named digest, or the last
// proven release before the one that serves.
func rollbackTarget(in Input, o Order) (*Set, release.Code, string) {
	s := in.Past
	leaving := s.Live
	switch d := s.Deploy; {
	case d != nil && d.Kind == KindRollback: // the same order twice is one order
		leaving = d.From
	case d != nil && d.Crossed:
		leaving = &d.To
	}
	var have []string
	code := release.RollbackNoTarget
	for _, c := range rollbackTargets(s) {
		fits := c.ID.Digest == o.To
		if o.To == "" {
			fits = leaving == nil || c.ID.Target != leaving.ID.Target && c.Sequence <= leaving.Sequence
		}
		q, bad := in.quarantined(c)
		switch {
		case fits && bad != release.Quarantined:
			return &c, "", ""
		case fits && o.To != "":
			return nil, bad, quarantineText(q)
		case bad != release.Quarantined:
			have = append(have, c.Version+" ("+c.ID.Digest.Short()+")")
		}
	}
	if len(have) == 0 {
		have = []string{"none"}
	}
	if s.Gone != nil && len(s.Gone.Purged) > 0 {
		return nil, code, fmt.Sprintf("the removal %s purged the volumes %s, so no older release can come back; commit a newer release", s.Gone.Version, strings.Join(s.Gone.Purged, ", "))
	}
	return nil, code, "kept on this host: " + strings.Join(have, ", ")
}

// Targets are the proven sets that this host can roll back to, nearest first.
func Targets(s State) []Set { return rollbackTargets(s) }

func rollbackTargets(s State) []Set {
	var all []Set
	add := func(c *Set) {
		if c == nil || c.ProvenAt.IsZero() {
			return
		}
		for _, x := range all {
			if x.ID.Target == c.ID.Target {
				return
			}
		}
		all = append(all, *c)
	}
	add(s.Proven)
	add(s.Live)
	for i := range s.Old {
		add(&s.Old[i])
	}
	return all
}

// rollback carries out an operator's order on a settled app.
func rollback(in Input) Step {
	s, o := in.Past, *in.Past.Rollback
	if s.Live != nil && o.names(s.Live.ID.Target) {
		held := release.Digest("")
		if in.Want.Set.ID.Digest != s.Live.ID.Digest {
			held = in.Want.Set.ID.Digest
		}
		return Note{Record{Kind: RecHold, Hold: rolledBack(o, held, s.Live.Sequence)}}
	}
	for _, c := range rollbackTargets(s) {
		if o.names(c.ID.Target) {
			return begin(in, KindRollback, c)
		}
	}
	hold := Hold{Why: release.RollbackNoTarget, Detail: by(o), At: o.At, Sequence: o.Above, Actor: o.Actor, Reason: o.Reason, Trace: o.Trace}
	if s.Live != nil {
		hold.Digest = s.Live.ID.Digest
	}
	return Note{Record{Kind: RecHold, Hold: &hold}}
}

// names reports whether the order, once taken up, asks for the target.
func (o Order) names(t release.Target) bool {
	return t.Digest == o.To && (o.Inputs == "" || o.Inputs == t.Inputs)
}

// rolledBack is the hold after a rollback: no release that was known when it was
// ordered starts by itself.
func rolledBack(o Order, held release.Digest, sequence int64) *Hold {
	return &Hold{Why: release.RolledBack, Detail: by(o), At: o.At, Digest: held, Sequence: max(o.Above, sequence), Actor: o.Actor, Reason: o.Reason, Trace: o.Trace}
}

func by(o Order) string {
	if o.Reason == "" {
		return "by " + o.Actor
	}
	return "by " + o.Actor + ": " + o.Reason
}
