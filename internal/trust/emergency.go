package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// emergency says whether the statement is an emergency approval, and what is against it.
// A valid one waives what it names and nothing else: signatures, images, sequence, host
// access and secrets are judged as ever.
type emergency struct {
	statement *Statement
	rule      *EmergencyRule
	valid     bool
}

// waives reports whether a valid emergency lets something pass.
func (e emergency) waives(what string) bool {
	return e.valid && slices.Contains(e.statement.Waives, what)
}

// emergency judges the emergency statement, if it is one.
func (j *judgement) emergency(count tally, now time.Time) (emergency, gateResult) {
	s, err := j.parsed()
	if err != nil || s == nil || s.Kind != KindEmergency {
		return emergency{}, skipped("no emergency")
	}
	e := emergency{statement: s, rule: j.policy.Rules().Emergency}
	var reasons []Finding
	no := func(code release.Code, format string, args ...any) {
		reasons = append(reasons, found(code, fmt.Sprintf(format, args...), ""))
	}
	if e.rule == nil && !j.asks() {
		return emergency{}, skipped("no approval is needed")
	}
	if e.rule == nil {
		return e, fails(release.EmergencyInvalid, "the policy of %s has no emergency path", j.policy.Environment)
	}
	if !e.rule.IncidentOK(s.Incident) {
		no(release.EmergencyInvalid, "incident \"%s\" is not of the form %s", Escape(s.Incident), Escape(e.rule.IncidentPattern))
	}
	ttl := e.rule.MaxTTL
	if floor := j.policy.Minimums.EmergencyTTL; floor > 0 && (ttl == 0 || floor < ttl) {
		ttl = floor
	}
	if life := s.ExpiresAt.Sub(s.IssuedAt); life > ttl {
		no(release.EmergencyInvalid, "it holds for %s, at most %s is allowed", life, ttl)
	}
	for _, what := range s.Waives {
		if !slices.Contains(e.rule.MayWaive, what) {
			no(release.EmergencyInvalid, "it waives %s, which the policy does not allow", Escape(what))
		}
	}
	members := j.policy.Members(e.rule.Role)
	var have []string
	for _, person := range count.persons {
		if slices.Contains(members, person) {
			have = append(have, person)
		}
	}
	if len(have) < e.rule.Threshold {
		line := fmt.Sprintf("%d of %d of role %s%s for emergency %s", len(have), e.rule.Threshold, e.rule.Role, inBrackets(have), Escape(s.Incident))
		if len(count.signers) == 0 && len(count.observations) == 0 { // nobody signed yet: nothing is wrong
			reasons = append(reasons, found(release.ApprovalThreshold, line, fmt.Sprintf("A member of %s runs: tealctl approve %s --env %s --emergency", e.rule.Role, j.in.Release.App, j.in.Release.Environment)))
		} else {
			no(release.EmergencyInvalid, "%s", line)
		}
	}
	if used := j.emergencies(now); e.rule.MaxPer24h > 0 && used >= e.rule.MaxPer24h {
		no(release.EmergencyLimit, "%d in 24 hours, at most %d", used, e.rule.MaxPer24h)
	}
	switch {
	case len(reasons) > 0 && !j.asks(): // nothing to waive: a planted one stops nobody
		return emergency{}, skipped("no approval is needed")
	case len(reasons) > 0:
		return e, refuse(reasons...)
	}
	e.valid = true
	g := pass("%s: %s; waives %s, until %s", Escape(s.Incident), Escape(s.Reason), strings.Join(s.Waives, ", "), s.ExpiresAt.Format(timeForm))
	g.who = have
	return e, g
}

// emergencies counts those accepted in the last 24 hours, this release's own apart.
func (j *judgement) emergencies(now time.Time) int {
	n := 0
	for _, m := range j.in.Marks.Emergencies {
		if m.Digest != j.in.Release.Digest && m.At.After(now.Add(-24*time.Hour)) {
			n++
		}
	}
	return n
}

// EmergencyUse says by which emergency a release was accepted.
type EmergencyUse struct {
	Incident string    `json:"incident"`
	Reason   string    `json:"reason"`
	Waives   []string  `json:"waives,omitempty"`
	By       []string  `json:"by"`
	Until    time.Time `json:"until"`
	// FollowUpBy is when a normal approval is overdue.
	FollowUpBy time.Time `json:"followUpBy,omitzero"`
}

// Passes reports whether the emergency waives something for the rollout: "freeze" or
// "hold". nil waives nothing.
func (e *EmergencyUse) Passes(what string) bool { return e != nil && slices.Contains(e.Waives, what) }

// use is what the verdict says of a valid emergency.
func (e emergency) use(g gateResult, now time.Time) *EmergencyUse {
	if !e.valid {
		return nil
	}
	u := &EmergencyUse{Incident: Escape(e.statement.Incident), Reason: Escape(e.statement.Reason), Waives: e.statement.Waives, By: g.who, Until: e.statement.ExpiresAt}
	if e.rule.FollowUpWithin > 0 {
		u.FollowUpBy = now.Add(e.rule.FollowUpWithin)
	}
	return u
}

// windows refuses outside the policy's windows. An emergency passes always.
func (j *judgement) windows(now time.Time, e emergency) (gateResult, time.Time) {
	windows := j.policy.Rules().Windows
	switch {
	case len(windows) == 0:
		return skipped("the policy has no windows"), time.Time{}
	case e.valid:
		return pass("an emergency passes"), time.Time{}
	case j.in.Begun:
		return pass("begun in its window"), time.Time{}
	}
	for _, w := range windows {
		if w.Open(now) {
			return pass("open: %s %s for %s", w.Cron, w.Zone, w.For), time.Time{}
		}
	}
	next := NextOpen(windows, now)
	return refuse(found(release.OutsideWindow, "the next window opens at "+next.UTC().Format(timeForm), "")), next
}

// expired refuses when a policy of the chain has come to its end.
func (j *judgement) expired(now time.Time) gateResult {
	p := j.policy
	switch {
	case p.Root != nil && p.Version == 0:
		return fails(release.PolicyInvalid, "no policy of the chain was accepted yet")
	case p.Chain != nil && (p.Chain.Code == release.PolicyRollback || p.Chain.Code == release.PolicyEquivocation):
		return refuse(*p.Chain)
	case p.Version == 0:
		return pass("inline, %.12s", p.Fingerprint())
	case !p.ExpiresAt.IsZero() && !now.Before(p.ExpiresAt):
		return fails(release.PolicyExpired, "version %d expired at %s", p.Version, p.ExpiresAt.UTC().Format(timeForm))
	}
	return pass("version %d of the chain, until %s", p.Version, p.ExpiresAt.UTC().Format(timeForm))
}

// provenance asks every image for the commit and builder that it came from.
func (j *judgement) provenance(now time.Time) gateResult {
	if !j.policy.Rules().RequireProvenance {
		return skipped("the policy does not ask for it")
	}
	var reasons []Finding
	for _, image := range j.images() {
		why := "none"
		ok := slices.ContainsFunc(j.attested(), func(a Attestation) bool {
			if a.Provenance == nil || !a.about(image, j.in.Evidence.Images[image]) {
				return false
			}
			if detail := j.mayState(a.Key, "provenance", now); detail != "" {
				why = Escape(a.File.Name) + ": " + detail
				return false
			}
			if a.Provenance.Commit != j.in.Release.Source.Commit {
				why = fmt.Sprintf("%s says commit %.12s, the release %.12s", Escape(a.File.Name), Escape(a.Provenance.Commit), Escape(j.in.Release.Source.Commit))
				return false
			}
			return true
		})
		if !ok {
			reasons = append(reasons, found(release.ProvenanceMissing, fmt.Sprintf("image %.12s: %s", image, why), ""))
		}
	}
	if len(reasons) > 0 {
		return refuse(reasons...)
	}
	return pass("%d images from commit %.12s", len(j.images()), Escape(j.in.Release.Source.Commit))
}

// mayState says why a key's statement of another kind than a scan does not count now;
// "" when it does.
func (j *judgement) mayState(k Key, statement string, now time.Time) string {
	if !j.policy.MayState(k, statement, j.in.Release.App) {
		return fmt.Sprintf("key %s of %s may not state %s for %s", k.ID, k.Service, statement, j.in.Release.App)
	}
	if reason, gone := j.policy.RevokedKey(k); gone {
		return fmt.Sprintf("key %s is revoked (%s)", k.ID, Escape(reason))
	}
	_, detail := k.ValidAt(now)
	return detail
}
