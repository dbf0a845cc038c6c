package rollout

import (
	"fmt"
	"time"

	"github.com/tealops/teal/internal/release"
)

// bake watches the switched release: samples, an early end when it is sick, the
// verdict when its time is over (DESIGN 4.4).
//
// Worst time to go back by samples: every × failures, plus one sample's own time; by
// a burst: the time of the last `requests` answers plus one probe of the old colour;
// by a container's exit: at once. Time to live: for, plus once more when there was
// no evidence.
func bake(in Input, now time.Time) Step {
	d := in.Past.Deploy
	rules, tally := d.To.Bake, d.Bake
	if why, detail, burst := suspicion(in); why != "" {
		if d.From == nil || d.From.ID == d.To.ID || !askable(in) {
			return goBack(why, detail, true)
		}
		return act(in, Effect{Kind: ProbeWarm, Set: *warm(in.Past), Why: why, Detail: detail, Burst: burst})
	}
	ends := d.Since.Add(rules.For)
	due := d.Since.Add(rules.Every)
	if tally.LastAt.After(d.Since) {
		due = tally.LastAt.Add(rules.Every)
	}
	due = soonest(due, ends)
	if tally.LastAt.After(d.Since) && !tally.LastAt.Before(ends) || tally.ErrorsInRow >= MaxErrorsInRow {
		return bakeVerdict(d, tally, rules)
	}
	if !now.Before(due) {
		return act(in, Effect{Kind: TakeSample, Set: d.To, Baseline: d.Baseline})
	}
	return Wait{Why: release.StillBaking, Detail: fmt.Sprintf("%d samples, %d failed", tally.Samples, tally.Failed), Until: due}
}

// bakeVerdict closes the bake: pass, extend once, or hold.
func bakeVerdict(d *Deployment, t Tally, rules release.Bake) Step {
	why := release.Code("")
	switch {
	case t.ErrorsInRow >= MaxErrorsInRow:
		why = release.BakeUnmeasured
	case t.Proof == 0:
		why = release.BakeNoEvidence
	case rules.RequireTraffic && t.TrafficProof == 0:
		why = release.BakeNoTraffic
	}
	switch {
	case why == "":
		return enter(d, Retiring, "", "")
	case !t.Extended:
		return Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Baking, Was: Baking, Why: why, Extend: true}}}
	}
	return Note{Record{Kind: RecSettle, Settle: &Settle{Phase: Held, Why: release.Inconclusive, Detail: string(why),
		Hold: &Hold{Why: release.Inconclusive, Detail: string(why), At: d.Since, Digest: d.To.ID.Digest, Sequence: d.To.Sequence}}}}
}

// suspicion is a traffic rule that asks to revert and was not answered yet. The old
// colour is asked first: an outage that both share is nobody's release.
func suspicion(in Input) (why release.Code, detail string, burst uint64) {
	d := in.Past.Deploy
	if b := in.Seen.Burst; b != nil && b.Generation == d.Generation && b.Seq > d.Bake.BurstSeen {
		return release.BakeBurst, b.String(), b.Seq
	}
	return d.Bake.Suspect, d.Bake.SuspectDetail, 0
}

// askable reports whether there is an old colour that can be probed.
func askable(in Input) bool {
	w := warm(in.Past)
	return w != nil && (in.Seen.EngineDown || in.Seen.running(w, w.Routed))
}

// warm is the colour that going back would flip to.
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

// sick says whether the switched release must go back now. It is asked in every
// phase after the switch, also while an effect runs.
func sick(in Input) (release.Code, string) {
	d := in.Past.Deploy
	if d == nil || !d.Crossed || d.Kind == KindRollback {
		return "", ""
	}
	if why, detail := hardFailure(in); why != "" {
		return why, detail
	}
	t := d.Bake
	if t.Suspect != "" {
		if d.Last != nil && d.Last.Kind == ProbeWarm && d.Last.Result == OK {
			return t.Suspect, t.SuspectDetail
		}
		return "", "" // the old colour is asked first
	}
	if t.Failed >= max(1, d.To.Bake.Failures) {
		return release.BakeFailed, t.Failing
	}
	return "", ""
}

// hardFailure finds a container of the switched set that ended, was killed for
// memory, is gone, or restarts in a loop. When the old colour is down as well, the
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
	why, detail := release.Code(""), ""
	for _, service := range expected {
		found := false
		for _, c := range in.Seen.of(&d.To) {
			if c.Service != service {
				continue
			}
			found = true
			limit := d.To.Crash[service]
			switch {
			case c.OOM:
				why, detail = release.ContainerOOM, fmt.Sprintf("%s was killed for memory", c.Name)
			case c.Status == Exited || c.Status == Dead || c.Status == Created:
				why, detail = release.ContainerExited, fmt.Sprintf("%s ended with exit code %d", c.Name, c.ExitCode)
			case c.Restarts > 0 && c.Restarts >= limit:
				why, detail = release.CrashLoop, fmt.Sprintf("%s ended %d times, the limit is %d", c.Name, c.Restarts, limit)
			}
		}
		if !found {
			why, detail = release.ContainerGone, service+" has no container"
		}
	}
	if why == "" {
		return "", ""
	}
	if w := warm(in.Past); w != nil && why != release.ContainerOOM && why != release.CrashLoop &&
		len(in.Seen.of(w)) > 0 && !anyRunning(in.Seen, w) {
		return "", ""
	}
	return why, detail
}

// superseding ends a bake early because Git wants something else that is accepted:
// back to the proven release when a sample failed or Git itself went back, else
// green stays live and the newer release takes the other colour.
func superseding(in Input) Step {
	d, w := in.Past.Deploy, in.Want
	if d.Phase != Baking || d.Kind == KindRollback || w.Unknown != "" || w.Absent || w.Set.ID.Target == d.To.ID.Target {
		return nil
	}
	if d.From != nil && d.From.ID != d.To.ID && w.Set.ID.Target == d.From.ID.Target {
		return goBack(release.RevertedInGit, "", false)
	}
	if !w.Verdict.Accepted || w.Set.Sequence <= d.To.Sequence {
		return nil
	}
	if _, code := in.Fleet.quarantined(in.Past.App, w.Set); code != "" {
		return nil
	}
	if d.Bake.Failed > 0 {
		return goBack(release.NewerRelease, w.Set.Version+", and a sample had failed: "+d.Bake.Failing, false)
	}
	return settleAs(Superseded, release.NewerRelease, w.Set.Version)
}

// ErrorRate judges the share of 5xx between two counts against the baseline: no_data
// under minRequests, fail when the share above the baseline exceeds errorRate.
func ErrorRate(before, now Traffic, baseline float64, rules release.Bake) RuleSample {
	r := RuleSample{Rule: RuleErrorRate, Result: NoData}
	if now.Requests < before.Requests || now.Errors < before.Errors {
		before = Traffic{} // the proxy began to count anew
	}
	requests, errors := now.Requests-before.Requests, now.Errors-before.Errors
	if requests == 0 || requests < uint64(max(0, rules.MinRequests)) {
		r.Detail = fmt.Sprintf("%d requests, %d needed", requests, rules.MinRequests)
		return r
	}
	share := float64(errors) / float64(requests)
	r.Result = Pass
	r.Detail = fmt.Sprintf("%d of %d answers were errors (%.1f %%), before the switch %.1f %%", errors, requests, 100*share, 100*baseline)
	if share-baseline > rules.ErrorRate {
		r.Result = Fail
	}
	return r
}
