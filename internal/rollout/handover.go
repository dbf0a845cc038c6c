package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// handover stops the old workers and starts the new ones, then gives the turn back.
// A fleet that does not answer keeps nobody from watching the new colour: the turn is
// then given back later.
func handover(in Input, now time.Time) Step {
	d := in.Past.Deploy
	job := func() Step { return forwardJob(in, now, release.AfterSwitch) }
	switch {
	case !d.Hand.Stopped && d.From != nil && len(d.From.Workers) > 0:
		return hand(in, now, Effect{Kind: HandStop, Set: *d.From, Services: d.From.Workers, Back: d.Kind == KindRollback})
	case !d.Hand.Started && len(d.To.Workers) > 0:
		return hand(in, now, Effect{Kind: HandStart, Set: d.To, Services: d.To.Workers, Back: d.Kind == KindRollback})
	case job() != nil:
		return job()
	case !d.Token.Zero() && !(failing(d, EndTurn) && now.Sub(d.Since) > HandoverDeadline):
		return retrying(in, now, Effect{Kind: EndTurn, Set: d.To, Token: d.Token})
	case d.Kind == KindRollback:
		return enter(d, Retiring, "", "")
	}
	return enter(d, Baking, "", "")
}

// hand runs one effect of the handover. A release that cannot hand over goes back; a
// rollback stays where it is and says so: it never flips.
func hand(in Input, now time.Time, e Effect) Step {
	d := in.Past.Deploy
	deadline := max(HandoverDeadline, d.To.StartDeadline())
	if d.From != nil {
		deadline += d.From.Grace
	}
	late := now.Sub(d.Since) > deadline
	switch {
	case !failing(d, e.Kind):
		return act(in, e)
	case late && d.Kind == KindRollback:
		return enter(d, Retiring, release.HandoverFailed, d.Last.Detail)
	case d.Kind == KindRollback:
		return retrying(in, now, e)
	case d.Last.Result != Retryable:
		return broken(d)
	case late:
		return goBack(d, release.HandoverFailed, fmt.Sprintf("the services without route did not change over within %s: %s", deadline, d.Last.Detail), false)
	}
	return retrying(in, now, e)
}

// failing reports whether the newest outcome is a failure of that effect.
func failing(d *Deployment, k EffectKind) bool {
	if d.Last == nil || d.Last.Kind != k {
		return false
	}
	switch d.Last.Result {
	case OK, Interrupted, Cancelled:
		return false
	}
	return true
}

// retire reports the good release and lets the old colour finish and stop. Neither
// can fail a release: a report that is not taken is owed, a colour that does not stop
// is stopped by the upkeep, and an operator's rollback waits for neither.
func retire(in Input, now time.Time) Step {
	d, last := in.Past.Deploy, in.Past.Deploy.Last
	age := now.Sub(d.Since)
	retired := last != nil && last.Kind == Retire
	switch {
	case retired && last.Result == OK:
		return settleLive(d, last)
	case in.Past.Rollback != nil:
		return settleLive(d, nil)
	case d.Kind == KindRollback && !retired && undo(in, now, d.From) != nil:
		return undo(in, now, d.From)
	case d.Kind != KindRollback && !d.Reported && !retired && !(failing(d, Report) && age > ReportDeadline):
		return retrying(in, now, Effect{Kind: Report, Set: d.To, Token: d.Token})
	case d.From == nil, d.From.ID.Colour == d.To.ID.Colour, !in.Seen.EngineDown && len(in.Seen.of(d.From)) == 0:
		return settleLive(d, nil)
	case failing(d, Retire) && age > RevertDeadline+d.From.Drain.HTTP+d.From.Drain.WebSocket:
		return settleLive(d, nil)
	case failing(d, Retire):
		return retrying(in, now, Effect{Kind: Retire, Set: *d.From})
	}
	return act(in, Effect{Kind: Retire, Set: *d.From})
}

func settleLive(d *Deployment, last *Outcome) Step {
	s := Settle{Phase: Live}
	var details []string
	switch {
	case d.Kind == KindRollback:
		o := Order{}
		if d.Order != nil {
			o = *d.Order
		}
		held, sequence := release.Digest(""), d.To.Sequence
		if d.From != nil {
			held, sequence = d.From.ID.Digest, max(sequence, d.From.Sequence)
		}
		s.Why, s.Hold = release.RolledBack, rolledBack(o, held, sequence)
		details = append(details, by(o))
		if d.Why == release.HandoverFailed {
			s.Phase, s.Why = Held, release.RevertFailed
			details = append(details, "traffic is back, but the services without route did not change over: "+d.Detail)
			s.Hold.Why, s.Hold.Detail = s.Why, strings.Join(details, "; ")
		}
	case d.Bake.TrafficProof == 0:
		s.Why = release.UnprovenByTraffic
	}
	if d.Kind == KindRollback {
		if text := undoText(d, d.From); text != "" {
			details = append(details, text)
		}
	}
	if last != nil && last.Cut > 0 {
		details = append(details, fmt.Sprintf("%d requests or connections were cut at the end of the drain", last.Cut))
	}
	s.Detail = strings.Join(details, "; ")
	return Note{Record{Kind: RecSettle, Settle: &s}}
}
