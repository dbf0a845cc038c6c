package reconcile

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// sample looks once at every rule of the bake.
func (l *loop) sample(ctx context.Context, e rollout.Effect) *rollout.Sample {
	s := &rollout.Sample{}
	add := func(rule string, result rollout.ProbeResult, detail string) {
		s.Rules = append(s.Rules, rollout.RuleSample{Rule: rule, Result: result, Detail: detail})
	}
	rel, err := l.stored(e.Set)
	if err != nil {
		add("release", rollout.Error, err.Error())
		s.At = time.Now().UTC()
		return s
	}
	for _, t := range targets(rel, e.Set, e.Set.Routed) {
		result, detail := l.Health.Probe(ctx, t)
		for range 2 { // one lost probe is no failed sample
			if result != rollout.Fail {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(min(t.Probe.Every, time.Second)):
			}
			result, detail = l.Health.Probe(ctx, t)
		}
		add("probe:"+t.Service, result, detail)
	}
	if seen, err := l.look(ctx); err != nil {
		add("container", rollout.Error, err.Error())
	} else {
		for _, c := range seen {
			if c.Set != e.Set.ID || !slices.Contains(e.Set.Routed, c.Service) && !slices.Contains(e.Set.Workers, c.Service) {
				continue
			}
			switch {
			case c.Status != rollout.Running, c.Health == rollout.HealthUnhealthy, c.Restarts > l.restarts[c.ID]:
				add("container:"+c.Service, rollout.Fail, fmt.Sprintf("%s is %s %s, ended %d times", c.Name, c.Status, c.Health, c.Restarts))
				l.restarts[c.ID] = c.Restarts
			default:
				add("container:"+c.Service, rollout.Pass, "")
			}
		}
	}
	for i, smoke := range rel.Smoke {
		result, detail := l.Health.Smoke(ctx, smoke, netip.AddrPort{})
		add(fmt.Sprintf("smoke:%d", i+1), result, detail)
	}
	s.Rules = append(s.Rules, l.errorRate(ctx, e, rel.Bake))
	s.At = time.Now().UTC()
	return s
}

// errorRate compares the share of 5xx since the last sample with the old colour's.
func (l *loop) errorRate(ctx context.Context, e rollout.Effect, rules release.Bake) rollout.RuleSample {
	r := rollout.RuleSample{Rule: rollout.RuleErrorRate}
	view, _, err := l.view(ctx)
	if err != nil {
		r.Result, r.Detail = rollout.Error, err.Error()
		return r
	}
	now := view.Traffic[e.Set.ID.Colour]
	before := l.counted[e.Set.ID]
	l.counted[e.Set.ID] = now
	return rollout.ErrorRate(before, now, e.Baseline, rules)
}

// probeWarm asks the old colour once: OK when it answers well, Bad when it fails too.
func (l *loop) probeWarm(ctx context.Context, e rollout.Effect, o *rollout.Outcome) error {
	rel, err := l.stored(e.Set)
	if err != nil {
		return err
	}
	for _, t := range targets(rel, e.Set, e.Set.Routed) {
		if result, detail := l.Health.Probe(ctx, t); result != rollout.Pass {
			o.Result, o.Code, o.Detail = rollout.Bad, release.SharedCause, t.Service+" of the old colour: "+detail
			return nil
		}
	}
	return nil
}

// frontDoor asks through the proxy after traffic went back.
func (l *loop) frontDoor(ctx context.Context, e rollout.Effect) error {
	rel, err := l.stored(e.Set)
	if err != nil {
		return err
	}
	for i, s := range rel.Smoke {
		if result, detail := l.Health.Smoke(ctx, s, netip.AddrPort{}); result == rollout.Fail {
			return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.SmokeFailed, Detail: fmt.Sprintf("smoke %d (%s %s) through the front door: %s", i+1, s.Method, s.Path, detail)}
		}
	}
	for _, t := range targets(rel, e.Set, e.Set.Routed) {
		if result, detail := l.Health.Probe(ctx, t); result == rollout.Fail {
			return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ProbeFailed, Detail: t.Service + ": " + detail}
		}
	}
	return nil
}
