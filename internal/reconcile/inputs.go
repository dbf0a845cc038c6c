package reconcile

import (
	"errors"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// resolved is a parsed release with what the host adds to it now. What is missing is said,
// and leaves the target without inputs.
// origin is the name of its volumes and shared services, "" for the app's own.
func (d *Desk) resolved(p *parsed, origin string) (*parsed, *rollout.EffectError) {
	if p.placed == nil || len(p.problems) > 0 || origin == "" && !p.placed.Asks() {
		return p, nil
	}
	q := &parsed{digest: p.digest, rel: p.rel, here: p.here, placed: p.placed, target: release.Target{Digest: p.digest}, specs: p.specs, shared: p.shared}
	host := d.Host
	host.Origin = origin
	if !p.placed.Asks() {
		q.target = p.target
		if err := q.resolve(host); err != nil { // it could be planned under its own name
			return q, &rollout.EffectError{Code: release.Broken, Detail: err.Error()}
		}
		return q, nil
	}
	if d.Inputs == nil {
		return q, &rollout.EffectError{Code: release.SecretMissing, Detail: "this host adds nothing to releases"}
	}
	given, inputs, err := d.Inputs.Resolve(p.placed, p.here)
	if err != nil {
		var missing *rollout.EffectError
		if !errors.As(err, &missing) {
			missing = &rollout.EffectError{Code: release.SecretUnreadable, Detail: err.Error()}
		}
		return q, missing
	}
	host.Given = given
	q.target.Inputs = inputs
	if err := q.resolve(host); err != nil { // it could be planned without
		return q, &rollout.EffectError{Code: release.Broken, Detail: err.Error()}
	}
	return q, nil
}

// withoutInputs is the verdict on a release that the host cannot complete: what is missing
// comes first, and what else is wrong stays.
func withoutInputs(v trust.Verdict, missing *rollout.EffectError) trust.Verdict {
	finding := trust.Finding{Code: missing.Code, Detail: trust.Escape(missing.Error())}
	if r, ok := release.Lookup(missing.Code); ok {
		finding.Next = r.Next
	}
	v.Accepted, v.Emergency = false, nil
	v.Reasons = append([]trust.Finding{finding}, v.Reasons...)
	v.Gates = append(v.Gates, trust.Gate{Name: "inputs", State: trust.GateFail, Detail: finding.Detail})
	return v
}

// hostFor is the host with what it added to a stored release.
func (d *Desk) hostFor(rel *release.Release, target release.Target, origin string) (release.Host, error) {
	host := d.Host
	host.Origin = origin
	if !rel.Asks() {
		return host, nil
	}
	if d.Inputs == nil {
		return host, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "nobody keeps the secrets of " + rel.App}
	}
	given, err := d.Inputs.Kept(target)
	host.Given = given
	return host, err
}

// keep stores what the host adds to a release with it.
func (l *loop) keep(set rollout.Set) error {
	rel, err := l.stored(set)
	if err != nil || !rel.Asks() {
		return err
	}
	if l.Desk.Inputs == nil {
		return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "nobody keeps the secrets of " + rel.App}
	}
	return l.Desk.Inputs.Keep(rel, set.Here, set.ID.Target)
}

// renews reports whether a release is the one that is live, with other inputs: it was
// accepted before and is swapped again only for what the host adds.
func renews(p *parsed, past rollout.State) bool {
	return past.Live != nil && past.Live.ID.Digest == p.digest && past.Live.ID.Inputs != p.target.Inputs && past.Accepted.Digest == p.digest &&
		!past.Accepted.FreshAt().IsZero()
}

// Release is the parsed release that Git wants of the app on this host, nil when there is
// none without problems.
func (d *Desk) Release(app string) (*release.Release, error) {
	from, code, detail := d.chosenOf(app)
	if code != "" {
		return nil, &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail}
	}
	if from.tree == "" {
		return nil, nil
	}
	p, err := d.wanted(app, from.tree, from.ref.Commit)
	if err != nil || len(p.problems) > 0 {
		return nil, err
	}
	return p.placed, nil
}
