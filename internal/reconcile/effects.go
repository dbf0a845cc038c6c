package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// settleTime is how long a service without probe and health check must run without
// an exit to pass (DESIGN 3.3).
const settleTime = 10 * time.Second

// perform carries out one effect and says how it ended. Every branch can be repeated:
// what is already so is success.
func (l *loop) perform(ctx context.Context, e rollout.Effect) rollout.Outcome {
	o := rollout.Outcome{Effect: e.ID, Kind: e.Kind, Result: rollout.OK}
	ctx, cancel := context.WithTimeoutCause(ctx, deadline(e), fmt.Errorf("%s took longer than %s", e.Kind, deadline(e)))
	defer cancel()
	err := l.dispatch(ctx, e, &o)
	var full *rollout.EffectError
	if e.Back && l.Reserve != nil && errors.As(err, &full) && full.Code == release.DiskFull {
		// A cold start that goes back must not fail for want of room.
		l.log.Warn("frees the reserve to go back", "effect", e.ID, "err", err)
		if ferr := l.Reserve.Free(); ferr != nil {
			l.log.Error("reserve not freed", "err", ferr)
		}
		err = l.dispatch(ctx, e, &o)
	}
	if err != nil {
		classify(&o, err, ctx)
	}
	return o
}

// deadline bounds one run of an effect. Longer waits are the planner's.
func deadline(e rollout.Effect) time.Duration {
	switch e.Kind {
	case rollout.Prepare:
		return 10 * time.Minute
	case rollout.HandStop:
		grace := e.Set.Grace
		if e.Other != nil {
			grace = max(grace, e.Other.Grace)
		}
		return rollout.StartDeadline + grace
	case rollout.Start, rollout.HandStart:
		return rollout.StartDeadline
	case rollout.Check:
		return 5 * time.Minute // each probe has its own deadline; this bounds their sum
	case rollout.Retire, rollout.Drop:
		return time.Minute + e.Set.Drain.HTTP + e.Set.Drain.WebSocket + e.Set.Grace
	case rollout.TakeSample:
		return 30 * time.Second
	case rollout.ProbeWarm:
		return rollout.ProbeWarmTimeout
	}
	return 30 * time.Second
}

// classify turns an edge's error into an outcome. An edge says by *EffectError what
// may be done; anything else is retried. A cancelled context means that the planner
// asked for it, or that the agent stops: neither blames the release.
func classify(o *rollout.Outcome, err error, ctx context.Context) {
	var ee *rollout.EffectError
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errCancelled):
		o.Result, o.Code, o.Detail = rollout.Cancelled, release.Working, err.Error()
	case errors.As(err, &ee):
		o.Result, o.Code, o.Detail = rollout.Result(ee.Fault), ee.Code, ee.Error()
	case cause != nil && !errors.Is(cause, context.Canceled):
		o.Result, o.Code, o.Detail = rollout.Retryable, release.EffectTimeout, cause.Error()
	default:
		o.Result, o.Code, o.Detail = rollout.Retryable, release.EffectFailed, err.Error()
	}
	if len(o.Detail) > 4096 {
		o.Detail = o.Detail[:4096]
	}
}

func (l *loop) dispatch(ctx context.Context, e rollout.Effect, o *rollout.Outcome) error {
	switch e.Kind {
	case rollout.Prepare:
		return l.prepare(ctx, e)
	case rollout.AskTurn:
		token, err := l.Turn.AskTurn(ctx, l.app, e.Set)
		o.Token = token
		return err
	case rollout.Confirm:
		return l.Turn.ConfirmTurn(ctx, l.app, e.Token, e.Request)
	case rollout.EndTurn:
		return l.Turn.EndTurn(ctx, l.app, e.Token)
	case rollout.Report:
		return l.Turn.Report(ctx, l.app, e.Set, !e.Bad, e.Why, e.Detail)
	case rollout.Start:
		return l.start(ctx, e)
	case rollout.Check:
		return l.check(ctx, e)
	case rollout.SwitchTo:
		return l.switchTo(ctx, e, o)
	case rollout.HandStop:
		return l.handStop(ctx, e)
	case rollout.HandStart:
		return l.handStart(ctx, e)
	case rollout.TakeSample:
		o.Sample = l.sample(ctx, e)
		return nil
	case rollout.ProbeWarm:
		return l.probeWarm(ctx, e, o)
	case rollout.FrontDoor:
		return l.frontDoor(ctx, e)
	case rollout.Retire:
		return l.retire(ctx, e, o)
	case rollout.Drop:
		return l.drop(ctx, e)
	case rollout.Restore:
		return l.restore(ctx, e)
	}
	return fmt.Errorf("unknown effect %q", e.Kind)
}

// stored is the release of a set, from the shelf.
func (l *loop) stored(set rollout.Set) (*release.Release, error) {
	p, err := l.Desk.stored(l.app, set.ID.Digest)
	if err != nil {
		return nil, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ShelfUnreadable, Detail: "read the stored release " + set.ID.Digest.Short(), Err: err}
	}
	if p.rel == nil || len(p.problems) > 0 || p.digest != set.ID.Digest {
		return nil, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ShelfUnreadable,
			Detail: "the stored release " + set.ID.Digest.Short() + " is not what was accepted", Err: p.problems.Err()}
	}
	return p.rel, nil
}

// plan is the exact specification of a set.
func (l *loop) plan(set rollout.Set, token rollout.Token) (*release.Release, release.SetSpec, error) {
	rel, err := l.stored(set)
	if err != nil {
		return nil, release.SetSpec{}, err
	}
	spec, err := release.Plan(rel, l.Desk.Host, set.ID.Colour, set.ID.Target, tokenText(token), func(service string, n int) netip.Addr {
		return set.Addresses[replica(service, n)]
	})
	if err != nil {
		return nil, release.SetSpec{}, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ManifestInvalid, Detail: "plan " + set.ID.Digest.Short(), Err: err}
	}
	return rel, spec, nil
}

func tokenText(t rollout.Token) string {
	if t.Zero() {
		return ""
	}
	return fmt.Sprintf("%d.%d", t.Epoch, t.Index)
}

// sharedPlan is the specification of the shared services that are named.
func (l *loop) sharedPlan(rel *release.Release, set rollout.Set, only map[string]string) (release.SetSpec, []string, error) {
	spec, err := release.PlanShared(rel, l.Desk.Host, set.ID.Target)
	if err != nil {
		return spec, nil, err
	}
	var names []string
	spec.Containers = slices.DeleteFunc(slices.Clone(spec.Containers), func(c release.ContainerSpec) bool { _, ok := only[c.Service]; return !ok })
	for _, c := range spec.Containers {
		if !slices.Contains(names, c.Service) {
			names = append(names, c.Service)
		}
	}
	return spec, names, nil
}

// prepare stores the release, pulls every image and creates everything. Nothing that
// serves is touched.
func (l *loop) prepare(ctx context.Context, e rollout.Effect) error {
	if !e.Local {
		if l.Preflight != nil {
			if err := l.Preflight.Room(ctx); err != nil {
				return err
			}
		}
		if err := l.shelve(e.Set); err != nil {
			return err
		}
	}
	rel, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	shared, names, err := l.sharedPlan(rel, e.Set, e.Shared)
	if err != nil {
		return err
	}
	if !e.Local {
		for _, image := range rel.Images() {
			if err := l.Containers.Pull(ctx, image, func(int64, int64) {}); err != nil {
				return err
			}
		}
	}
	if len(names) > 0 {
		if err := l.Containers.Create(ctx, shared, RestartNo); err != nil {
			return err
		}
	}
	return l.Containers.Create(ctx, spec, RestartNo)
}

// shelve keeps the release directory of the commit it was accepted from.
func (l *loop) shelve(set rollout.Set) error {
	if _, err := l.Shelf.Dir(set.ID.Digest); err == nil {
		return nil
	}
	commit, code, detail := l.Desk.Repo.Desired()
	if code != "" {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail}
	}
	dir, err := commit.Sub(l.Desk.dir(l.app))
	if err != nil {
		return fmt.Errorf("read the release directory: %w", err)
	}
	digest, err := release.DigestOf(dir)
	if err != nil {
		return fmt.Errorf("hash the release directory: %w", err)
	}
	if digest != set.ID.Digest {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.NewerRelease, Detail: "the repository has moved on"}
	}
	verdict := l.lastVerdict()
	if err := l.Shelf.Put(digest, dir, verdict); err != nil {
		code := release.EffectFailed
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			code = release.DiskFull
		}
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: "store the release", Err: err}
	}
	return nil
}

func (l *loop) start(ctx context.Context, e rollout.Effect) error {
	rel, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	shared, names, err := l.sharedPlan(rel, e.Set, e.Shared)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := l.Containers.Start(ctx, shared, names); err != nil {
			return err
		}
		if err := l.Containers.SetRestart(ctx, l.app, shared.ID, names, RestartAlways); err != nil {
			return err
		}
	}
	if len(e.Services) == 0 {
		return nil
	}
	return l.Containers.Start(ctx, spec, e.Services)
}

// targets are the replicas of the named services that have a probe.
func targets(rel *release.Release, set rollout.Set, services []string) []Target {
	var out []Target
	for _, s := range rel.Services {
		if !slices.Contains(services, s.Name) || s.Probe == nil {
			continue
		}
		for n := 1; n <= max(1, s.Replicas); n++ {
			if ip, ok := set.Addresses[replica(s.Name, n)]; ok {
				out = append(out, Target{Service: s.Name, Address: netip.AddrPortFrom(ip, uint16(s.Probe.Port)), Probe: *s.Probe})
			}
		}
	}
	return out
}

// check proves green before any traffic: probes in a row, container health or ten
// seconds without exit where there is no probe, then smoke on its own address.
func (l *loop) check(ctx context.Context, e rollout.Effect) error {
	rel, err := l.stored(e.Set)
	if err != nil {
		return err
	}
	probed := targets(rel, e.Set, e.Services)
	watch, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	fell := make(chan error, 1)
	go func() { // a container that ends needs no deadline to be bad
		err := l.watchAlive(watch, e.Set, e.Services)
		if err != nil {
			stop(err)
		}
		fell <- err
	}()
	err = l.Health.Await(watch, probed)
	if err == nil {
		var quiet []string
		for _, s := range rel.Services {
			if slices.Contains(e.Services, s.Name) && s.Probe == nil {
				quiet = append(quiet, s.Name)
			}
		}
		err = l.stays(watch, e.Set, quiet)
	}
	stop(nil)
	if died := <-fell; died != nil {
		return died
	}
	if err != nil {
		return err
	}
	for i, s := range rel.Smoke {
		address, ok := smokeAddress(rel, e.Set, s)
		if !ok {
			continue
		}
		if result, detail := l.Health.Smoke(ctx, s, address); result != rollout.Pass {
			return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.SmokeFailed, Detail: fmt.Sprintf("smoke %d (%s %s): %s", i+1, s.Method, s.Path, detail)}
		}
	}
	return nil
}

// watchAlive returns an error as soon as one of the services' containers has ended.
func (l *loop) watchAlive(ctx context.Context, set rollout.Set, services []string) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		seen, err := l.Containers.Observe(ctx, l.app)
		if err != nil {
			continue // the probes decide
		}
		for _, c := range seen {
			if c.Set == set.ID && slices.Contains(services, c.Service) && (c.Status == rollout.Exited || c.Status == rollout.Dead) {
				return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ContainerExited,
					Detail: fmt.Sprintf("%s ended with exit code %d before it passed its probe", c.Name, c.ExitCode)}
			}
		}
	}
}

// stays waits until services without probe are healthy by their own check, or ran
// settleTime without an exit.
func (l *loop) stays(ctx context.Context, set rollout.Set, services []string) error {
	if len(services) == 0 {
		return nil
	}
	began := time.Now()
	for {
		seen, err := l.Containers.Observe(ctx, l.app)
		if err != nil {
			return err
		}
		waiting := map[string]string{}
		for _, name := range services {
			waiting[name] = "no container"
		}
		ready := map[string]bool{}
		for _, c := range seen {
			if c.Set != set.ID || !slices.Contains(services, c.Service) {
				continue
			}
			ok, fact, bad := steady(c, time.Since(began))
			if bad {
				return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ContainerExited, Detail: fact}
			}
			if was, again := ready[c.Service]; again {
				ok = ok && was
			}
			ready[c.Service], waiting[c.Service] = ok, fact
		}
		for name, ok := range ready {
			if ok {
				delete(waiting, name)
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ProbeFailed, Detail: fmt.Sprintf("not ready: %v", waiting), Err: context.Cause(ctx)}
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func steady(c rollout.Container, watched time.Duration) (ready bool, fact string, bad bool) {
	switch {
	case c.Status == rollout.Exited || c.Status == rollout.Dead || c.Restarts > 0:
		return false, fmt.Sprintf("%s ended with exit code %d", c.Name, c.ExitCode), true
	case c.Status != rollout.Running:
		return false, c.Name + " is " + string(c.Status), false
	case c.Health == rollout.HealthHealthy:
		return true, "", false
	case c.Health != "":
		return false, c.Name + " is " + string(c.Health), false
	}
	return watched >= settleTime, c.Name + " runs, watched for " + watched.Round(time.Second).String(), false
}

// smokeAddress is the address of the service that the request would reach.
func smokeAddress(rel *release.Release, set rollout.Set, s release.Smoke) (netip.AddrPort, bool) {
	path, _, _ := strings.Cut(s.Path, "?")
	for _, r := range rel.Routes() { // longest prefix first
		if !r.Covers(cmp.Or(s.Host, r.Host), path) {
			continue
		}
		ip, ok := set.Addresses[replica(r.Service, 1)]
		return netip.AddrPortFrom(ip, uint16(r.Port)), ok
	}
	return netip.AddrPort{}, false
}

// switchTo makes the set survive a reboot and then moves the traffic. In that order:
// a reboot in between brings up both colours and the proxy still knows the old one.
func (l *loop) switchTo(ctx context.Context, e rollout.Effect, o *rollout.Outcome) error {
	config, err := l.switchConfig(e)
	if err != nil {
		return err
	}
	bound := ctx
	if e.Back { // going back must not wait for an engine that hangs
		var cancel context.CancelFunc
		bound, cancel = context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
	}
	if err := l.Containers.SetRestart(bound, l.app, e.Set.ID, e.Set.Routed, RestartAlways); err != nil {
		if !e.Back {
			return err
		}
		l.log.Warn("restart policy not set before the switch back", "set", e.Set.ID.Colour, "err", err)
	}
	done, err := l.Switch.Put(ctx, l.app, config)
	var stale *StaleGeneration
	if errors.As(err, &stale) {
		o.Generation = stale.Current
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.StaleGeneration, Detail: fmt.Sprintf("the proxy is at generation %d", stale.Current)}
	}
	if err != nil {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.ProxyUnreachable, Detail: "switch the proxy", Err: err}
	}
	o.At, o.Returned, o.Unfinished = done.At, time.Now().UTC(), done.Unfinished
	if !done.Durable {
		o.Detail = "the proxy could not write its state"
	}
	return nil
}

// StaleGeneration is Put's answer to a generation that the proxy is past.
type StaleGeneration struct{ Current uint64 }

func (s *StaleGeneration) Error() string {
	return fmt.Sprintf("the proxy is at generation %d already", s.Current)
}

func (l *loop) switchConfig(e rollout.Effect) (SwitchConfig, error) {
	rel, err := l.stored(e.Set)
	if err != nil {
		return SwitchConfig{}, err
	}
	c := SwitchConfig{Generation: e.Generation, Live: e.Set.ID.Colour, Routes: rel.Routes(), Burst: rel.Bake.Burst, Baseline: e.Baseline,
		Targets:  map[release.Colour]map[string][]netip.AddrPort{e.Set.ID.Colour: upstreams(rel, e.Set)},
		Releases: map[release.Colour]string{e.Set.ID.Colour: e.Set.Version}}
	for i := range c.Routes {
		c.Routes[i].Port = 0 // the targets carry it
	}
	if e.Other != nil && e.Other.ID.Colour != e.Set.ID.Colour {
		if other, err := l.Desk.stored(l.app, e.Other.ID.Digest); err == nil && other.rel != nil {
			c.Targets[e.Other.ID.Colour] = upstreams(other.rel, *e.Other)
			c.Releases[e.Other.ID.Colour] = e.Other.Version
		}
	}
	return c, nil
}

func upstreams(rel *release.Release, set rollout.Set) map[string][]netip.AddrPort {
	out := map[string][]netip.AddrPort{}
	for _, s := range rel.Services {
		if s.Route == nil {
			continue
		}
		for n := 1; n <= max(1, s.Replicas); n++ {
			if ip, ok := set.Addresses[replica(s.Name, n)]; ok {
				out[s.Name] = append(out[s.Name], netip.AddrPortFrom(ip, uint16(s.Route.Port)))
			}
		}
	}
	return out
}

func (l *loop) handStop(ctx context.Context, e rollout.Effect) error {
	if len(e.Services) > 0 {
		if err := l.Containers.Stop(ctx, l.app, e.Set.ID, e.Services); err != nil {
			return err
		}
	}
	if e.Other != nil && len(e.Other.Workers) > 0 {
		return l.Containers.Stop(ctx, l.app, e.Other.ID, e.Other.Workers)
	}
	return nil
}

// handStart starts services without route and sees them stay before it makes them
// survive a reboot.
func (l *loop) handStart(ctx context.Context, e rollout.Effect) error {
	_, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	if err := l.Containers.Start(ctx, spec, e.Services); err != nil {
		return err
	}
	if !e.Back { // workers that ran before need no new proof; they must run now
		if err := l.stays(ctx, e.Set, e.Services); err != nil {
			return err
		}
	}
	return l.Containers.SetRestart(ctx, l.app, e.Set.ID, e.Services, RestartAlways)
}

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
	if seen, err := l.Containers.Observe(ctx, l.app); err != nil {
		add("container", rollout.Error, err.Error())
	} else {
		for _, c := range seen {
			if c.Set != e.Set.ID {
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
	view, err := l.Switch.View(ctx, l.app)
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

// retire lets a set finish what it began and stops it; its containers stay.
func (l *loop) retire(ctx context.Context, e rollout.Effect, o *rollout.Outcome) error {
	view, err := l.Switch.View(ctx, l.app)
	if err == nil && view.Known && view.Config.Live == e.Set.ID.Colour && l.serves(view.Config, e.Set) {
		return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "asked to stop the colour that gets the traffic"}
	}
	if err == nil && view.Known && view.Config.Live != e.Set.ID.Colour { // draining is by colour
		if o.Cut, err = l.Switch.Drain(ctx, l.app, e.Set.ID.Colour, e.Set.Drain); err != nil {
			l.log.Warn("drain not finished", "colour", e.Set.ID.Colour, "err", err)
		}
	}
	if err := l.Containers.Stop(ctx, l.app, e.Set.ID, nil); err != nil {
		return err
	}
	return l.removeShared(ctx, e)
}

// serves reports whether the proxy's live targets are this set's addresses.
func (l *loop) serves(c SwitchConfig, set rollout.Set) bool {
	for _, addresses := range c.Targets[c.Live] {
		for _, a := range addresses {
			for _, ip := range set.Addresses {
				if a.Addr() == ip {
					return true
				}
			}
		}
	}
	return false
}

func (l *loop) removeShared(ctx context.Context, e rollout.Effect) error {
	if len(e.Shared) == 0 {
		return nil
	}
	names := make([]string, 0, len(e.Shared))
	for name := range e.Shared {
		names = append(names, name)
	}
	slices.Sort(names)
	return l.Containers.Remove(ctx, l.app, release.SetID{Target: e.Set.ID.Target}, names)
}

func (l *loop) drop(ctx context.Context, e rollout.Effect) error {
	if err := l.Containers.Remove(ctx, l.app, e.Set.ID, nil); err != nil {
		return err
	}
	return l.removeShared(ctx, e)
}

// restore makes what is missing of the live set again and starts it.
func (l *loop) restore(ctx context.Context, e rollout.Effect) error {
	rel, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	shared, names, err := l.sharedPlan(rel, e.Set, e.Shared)
	if err != nil {
		return err
	}
	down := func(name string) bool { return !slices.Contains(e.Services, name) }
	names = slices.DeleteFunc(names, down)
	if len(names) > 0 {
		if err := l.Containers.Create(ctx, shared, RestartNo); err != nil {
			return err
		}
		if err := l.Containers.Start(ctx, shared, names); err != nil {
			return err
		}
		if err := l.Containers.SetRestart(ctx, l.app, shared.ID, names, RestartAlways); err != nil {
			return err
		}
	}
	swapped := slices.DeleteFunc(append(slices.Clone(e.Set.Routed), e.Set.Workers...), down)
	if len(swapped) == 0 {
		return nil
	}
	if err := l.Containers.Create(ctx, spec, RestartNo); err != nil {
		return err
	}
	if err := l.Containers.Start(ctx, spec, swapped); err != nil {
		return err
	}
	return l.Containers.SetRestart(ctx, l.app, e.Set.ID, swapped, RestartAlways)
}
