package rollout

import (
	"fmt"
	"time"

	"github.com/tealops/teal/internal/release"
)

// bake watches the switched release: samples, and the verdict when its time is over
// (DESIGN 4.4). What ends it early is found by tend.
//
// Worst time to go back by samples: every × failures, plus one sample's own time; by
// a burst: the time of the last `requests` answers plus one probe of the old colour;
// by a container's exit: at once. Time to live: for, plus once more when there was
// no evidence.
func bake(in Input, now time.Time) Step {
	d := in.Past.Deploy
	rules, tally := d.To.Bake, d.Bake
	ends := d.Since.Add(rules.For)
	sampled := tally.LastAt.After(d.Since)
	if sampled && !tally.LastAt.Before(ends) || tally.ErrorsInRow >= MaxErrorsInRow {
		return bakeVerdict(d, tally, rules)
	}
	due := d.Since.Add(rules.Every)
	if sampled {
		due = tally.LastAt.Add(rules.Every)
	}
	if due = soonest(due, ends); !now.Before(due) {
		return act(in, Effect{Kind: TakeSample, Set: d.To, Baseline: d.Baseline})
	}
	if failing(d, SwitchTo) { // the proxy is told again before the next sample
		due = soonest(due, d.Retry.Until)
	}
	return Wait{Why: release.StillBaking, Detail: fmt.Sprintf("%d samples, %d failed", tally.Samples, tally.Failed), Until: due}
}

// bakeVerdict closes the bake: pass, extend once, or hold.
func bakeVerdict(d *Deployment, t Tally, rules release.Bake) Step {
	why, detail := release.Code(""), ""
	switch {
	case t.ErrorsInRow >= MaxErrorsInRow:
		why = release.BakeUnmeasured
	case t.Proof == 0:
		why = release.BakeNoEvidence
	case t.unproven() != "":
		why, detail = release.BakeNoEvidence, "never passed: "+t.unproven()
	case rules.RequireTraffic && t.TrafficProof == 0:
		why = release.BakeNoTraffic
	}
	switch {
	case why == "":
		return enter(d, Retiring, "", "")
	case !t.Extended:
		return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Baking, Was: Baking, Why: why, Detail: detail, Extend: true}}}
	}
	return settleHeld(d, release.Inconclusive, text(why, detail))
}

// suspicion is a traffic rule that asks to revert and was not answered yet. The old
// colour is asked first: an outage that both share is nobody's release.
func suspicion(in Input) (why release.Code, detail string, burst uint64) {
	d := in.Past.Deploy
	if d.Kind == KindRollback {
		return "", "", 0
	}
	if b := in.Seen.Burst; b != nil && b.Generation == d.Generation && d.unanswered(*b) {
		return release.BakeBurst, b.String(), b.Seq
	}
	return d.Bake.Suspect, d.Bake.SuspectDetail, 0
}

// unanswered reports whether a burst is news: of this watch, not yet asked about, and
// not of the time that a shared outage is left to the samples. A proxy that was
// started again counts from one; then the time alone says what is new.
func (d *Deployment) unanswered(b Burst) bool {
	t := d.Bake
	if b.At.IsZero() {
		return b.Seq > t.BurstSeen
	}
	return !b.At.Before(d.Began) && !b.At.Before(t.SharedUntil) && (b.Seq > t.BurstSeen || t.SharedCause > 0)
}

// suspect asks the old colour once and goes back unless it fails as well. Nil: there
// is no suspicion.
func suspect(in Input) Step {
	d := in.Past.Deploy
	why, detail, burst := suspicion(in)
	if why == "" {
		return nil
	}
	w := warm(in.Past)
	asked := burst == 0 && d.Last != nil && d.Last.Kind == ProbeWarm && d.Last.Result != Interrupted && d.Last.Result != Cancelled
	if asked || w == nil || !isWarm(in, w) {
		return goBack(d, why, detail, true)
	}
	return act(in, Effect{Kind: ProbeWarm, Set: *w, Why: why, Detail: detail, Burst: burst})
}

// sick says whether the switched release must go back now. It is asked in every
// phase after the switch, also while an effect runs.
func sick(in Input) (release.Code, string) {
	d := in.Past.Deploy
	if d.Kind == KindRollback {
		return "", ""
	}
	if why, detail := hardFailure(in); why != "" {
		return why, detail
	}
	if t := d.Bake; t.Suspect == "" && t.Failed >= max(1, d.To.Bake.Failures) {
		return release.BakeFailed, t.Failing
	}
	return "", ""
}

// hardFailure finds a container of the switched set that ended, was killed for
// memory, is gone, or restarts in a loop. When the old colour fell as well, the
// engine is the likelier cause: the engine restarts both, and the samples decide.
func hardFailure(in Input) (release.Code, string) {
	d := in.Past.Deploy
	if in.Seen.EngineDown {
		return "", ""
	}
	expected := append([]string(nil), d.To.Routed...)
	if d.Phase == Baking {
		expected = append(expected, d.To.Workers...)
	}
	began := d.SwitchedAt
	if began.IsZero() {
		began = d.Began
	}
	why, detail := release.Code(""), ""
	for _, service := range expected {
		found := 0
		for _, c := range in.Seen.of(&d.To) {
			if c.Service != service {
				continue
			}
			found++
			limit := d.To.Crash[service]
			switch {
			case c.OOM:
				return release.ContainerOOM, fmt.Sprintf("%s was killed for memory", c.Name)
			case c.Restarts > 0 && c.Restarts >= limit && (c.StartedAt.IsZero() || c.StartedAt.After(began)):
				return release.CrashLoop, fmt.Sprintf("%s ended %d times, the limit is %d", c.Name, c.Restarts, limit)
			case c.Status == Exited || c.Status == Dead:
				why, detail = release.ContainerExited, fmt.Sprintf("%s ended with exit code %d", c.Name, c.ExitCode)
			case c.Status == Created:
				why, detail = release.ContainerExited, c.Name+" does not run"
			}
		}
		if n := replicas(&d.To, service); found < n && why == "" {
			why, detail = release.ContainerGone, fmt.Sprintf("%s has %d of %d containers", service, found, n)
		}
	}
	if why != "" && fell(in, began) {
		return "", ""
	}
	return why, detail
}

// fell reports whether the old colour has ended too since the watch began.
func fell(in Input, began time.Time) bool {
	from := in.Past.Deploy.From
	if from.is(in.Past.Deploy.To.ID) || anyRunning(in.Seen, from) {
		return false
	}
	for _, c := range in.Seen.of(from) {
		if c.EndedAt.IsZero() || c.EndedAt.After(began) {
			return true
		}
	}
	return false
}

// superseding ends a bake early because Git wants something else that is accepted:
// back to the proven release when a sample failed or Git itself went back, else
// green stays live and the newer release takes the other colour. A freeze lets the
// bake finish.
func superseding(in Input, now time.Time) Step {
	d, w := in.Past.Deploy, in.Want
	if d.Phase != Baking || d.Kind == KindRollback || !w.names() {
		return nil
	}
	if d.From != nil && d.From.ID != d.To.ID && w.Set.ID.Target == d.From.ID.Target && w.Set.ID.Target != d.To.ID.Target {
		return goBack(d, release.RevertedInGit, "", false)
	}
	if !supersedes(in, now, d.To) {
		return nil
	}
	if d.Bake.Failed > 0 && warm(in.Past) != nil {
		return goBack(d, release.NewerRelease, w.Set.Version+", and a sample had failed: "+d.Bake.Failing, false)
	}
	return settleAs(Superseded, release.NewerRelease, w.Set.Version)
}
