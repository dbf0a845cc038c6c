package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

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
		return e.Set.StartDeadline()
	case rollout.RunJob:
		return e.Set.Timeout(e.Job)
	case rollout.ReplaceShared:
		return 2*rollout.StartDeadline + e.Set.Grace
	case rollout.Check:
		return 5 * time.Minute // each probe has its own deadline; this bounds their sum
	case rollout.Retire, rollout.Drop, rollout.Remove:
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
		return l.Turn.EndTurn(ctx, l.named(e.Set), e.Token)
	case rollout.Report:
		return l.Turn.Report(ctx, l.named(e.Set), e.Set, !e.Bad, e.Why, e.Detail)
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
	case rollout.Withdraw:
		return l.withdraw(ctx)
	case rollout.Remove:
		return l.remove(ctx, e)
	case rollout.Drop:
		return l.drop(ctx, e)
	case rollout.Restore:
		return l.restore(ctx, e)
	case rollout.RunJob:
		return l.runJob(ctx, e)
	case rollout.ReplaceShared:
		return l.replaceShared(ctx, e)
	}
	return fmt.Errorf("unknown effect %q", e.Kind)
}

// stored is the release of a set, from the shelf, with the services that the set has.
func (l *loop) stored(set rollout.Set) (*release.Release, error) {
	p, err := l.Desk.stored(l.named(set), set.ID.Digest)
	if err != nil {
		return nil, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ShelfUnreadable, Detail: "read the stored release " + set.ID.Digest.Short(), Err: err}
	}
	if p.rel == nil || len(p.problems) > 0 || p.digest != set.ID.Digest {
		return nil, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ShelfUnreadable,
			Detail: "the stored release " + set.ID.Digest.Short() + " is not what was accepted", Err: p.problems.Err()}
	}
	rel, err := p.with(set.Here)
	if err != nil {
		return nil, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ManifestInvalid, Detail: "plan " + set.ID.Digest.Short(), Err: err}
	}
	return rel, nil
}

// plan is the exact specification of a set; the files that it mounts are there.
func (l *loop) plan(set rollout.Set, token rollout.Token) (*release.Release, release.SetSpec, error) {
	rel, err := l.stored(set)
	if err != nil {
		return nil, release.SetSpec{}, err
	}
	host, err := l.Desk.hostFor(rel, set.ID.Target, l.origin())
	if err != nil {
		return nil, release.SetSpec{}, err
	}
	spec, err := release.Plan(rel, host, set.ID.Colour, set.ID.Target, tokenText(token), func(service string, n int) netip.Addr {
		return set.Addresses[replica(service, n)]
	})
	if err != nil {
		return nil, release.SetSpec{}, &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ManifestInvalid, Detail: "plan " + set.ID.Digest.Short(), Err: err}
	}
	return rel, spec, l.writeFiles(spec)
}

func tokenText(t rollout.Token) string {
	if t.Zero() {
		return ""
	}
	return fmt.Sprintf("%d.%d", t.Epoch, t.Index)
}

// sharedPlan is the specification of the shared services that are named.
func (l *loop) sharedPlan(rel *release.Release, set rollout.Set, only map[string]string) (release.SetSpec, []string, error) {
	host, err := l.Desk.hostFor(rel, set.ID.Target, l.origin())
	if err != nil {
		return release.SetSpec{}, nil, err
	}
	spec, err := release.PlanShared(rel, host, set.ID.Target)
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
	if len(names) == 0 {
		return spec, nil, nil
	}
	return spec, names, l.writeFiles(spec)
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
		if err := l.keep(e.Set); err != nil {
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
	if len(spec.Jobs) > 0 && !e.Local { // an earlier attempt's answers are not this one's
		if err := l.Containers.Remove(ctx, l.named(e.Set), e.Set.ID, jobServices(spec)); err != nil {
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
	from, code, detail := l.Desk.chosenOf(l.app)
	if code != "" {
		return &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail}
	}
	dir, err := from.ref.Commit.Sub(l.Desk.dir(l.app))
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
		if err := l.Containers.SetRestart(ctx, shared.App, shared.ID, names, RestartAlways); err != nil {
			return err
		}
	}
	if len(e.Services) == 0 {
		return nil
	}
	return l.Containers.Start(ctx, spec, withOnce(rel, e.Services))
}

// withOnce adds the services that must complete before the given ones start. One that
// completed in this set is not run again.
func withOnce(rel *release.Release, services []string) []string {
	return append(slices.Clone(services), rel.Once(services)...)
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
	if err := l.Containers.SetRestart(bound, l.named(e.Set), e.Set.ID, e.Set.Routed, RestartAlways); err != nil {
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
	c.Instead = l.names()[1:]
	if e.Other != nil && e.Other.ID.Colour != e.Set.ID.Colour {
		if other, err := l.stored(*e.Other); err == nil {
			c.Targets[e.Other.ID.Colour] = upstreams(other, *e.Other)
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
		if err := l.Containers.Stop(ctx, l.named(e.Set), e.Set.ID, e.Services); err != nil {
			return err
		}
	}
	if e.Other != nil && len(e.Other.Workers) > 0 {
		return l.Containers.Stop(ctx, l.named(*e.Other), e.Other.ID, e.Other.Workers)
	}
	return nil
}

// handStart starts services without route and sees them stay before it makes them
// survive a reboot.
func (l *loop) handStart(ctx context.Context, e rollout.Effect) error {
	rel, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	if err := l.Containers.Start(ctx, spec, withOnce(rel, e.Services)); err != nil {
		return err
	}
	if !e.Back { // workers that ran before need no new proof; they must run now
		if err := l.stays(ctx, e.Set, e.Services); err != nil {
			return err
		}
	}
	return l.Containers.SetRestart(ctx, l.named(e.Set), e.Set.ID, e.Services, RestartAlways)
}

// retire lets a set finish what it began and stops it; its containers stay.
func (l *loop) retire(ctx context.Context, e rollout.Effect, o *rollout.Outcome) error {
	view, front, err := l.view(ctx)
	if err == nil && view.Known && view.Config.Live == e.Set.ID.Colour && l.serves(view.Config, e.Set) {
		return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "asked to stop the colour that gets the traffic"}
	}
	if err == nil && (!view.Known || view.Config.Live != e.Set.ID.Colour) { // draining is by colour
		if o.Cut, err = l.Switch.Drain(ctx, front, e.Set.ID.Colour, e.Set.Drain); err != nil {
			l.log.Warn("drain not finished", "colour", e.Set.ID.Colour, "err", err)
		}
	}
	if err := l.Containers.Stop(ctx, l.named(e.Set), e.Set.ID, nil); err != nil {
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
	return l.Containers.Remove(ctx, l.origin(), release.SetID{Target: e.Set.ID.Target}, names)
}

func (l *loop) drop(ctx context.Context, e rollout.Effect) error {
	if err := l.Containers.Remove(ctx, l.named(e.Set), e.Set.ID, nil); err != nil {
		return err
	}
	l.removeFiles(e.Set)
	return l.removeShared(ctx, e)
}

// replaceShared puts the successors of shared services in their places.
func (l *loop) replaceShared(ctx context.Context, e rollout.Effect) error {
	rel, err := l.stored(e.Set)
	if err != nil {
		return err
	}
	shared, _, err := l.sharedPlan(rel, e.Set, e.Shared)
	if err != nil {
		return err
	}
	return l.Containers.Replace(ctx, shared)
}

// restoreShared makes the named shared services again, each as the release that it is of
// describes it.
func (l *loop) restoreShared(ctx context.Context, e rollout.Effect, down func(string) bool) error {
	of := map[release.Digest]map[string]string{}
	for name, spec := range e.Shared {
		digest := e.Set.ID.Digest
		if other, is := e.SharedOf[name]; is {
			digest = other
		}
		if down(name) {
			if of[digest] == nil {
				of[digest] = map[string]string{}
			}
			of[digest][name] = spec
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(of)) {
		set := e.Set
		set.ID.Digest = digest
		if set.App = l.appOf(digest); set.App == l.app {
			set.App = ""
		}
		rel, err := l.stored(set)
		if err != nil {
			return err
		}
		shared, names, err := l.sharedPlan(rel, set, of[digest])
		if err != nil {
			return err
		}
		if len(names) == 0 {
			continue
		}
		if err := l.Containers.Create(ctx, shared, RestartNo); err != nil {
			return err
		}
		if err := l.Containers.Start(ctx, shared, names); err != nil {
			return err
		}
		if err := l.Containers.SetRestart(ctx, shared.App, shared.ID, names, RestartAlways); err != nil {
			return err
		}
	}
	return nil
}

// restore makes what is missing of the live set again and starts it.
func (l *loop) restore(ctx context.Context, e rollout.Effect) error {
	rel, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	if err := l.restoreShared(ctx, e, func(name string) bool { return slices.Contains(e.Services, name) }); err != nil {
		return err
	}
	swapped := slices.DeleteFunc(append(slices.Clone(e.Set.Routed), e.Set.Workers...), func(name string) bool { return !slices.Contains(e.Services, name) })
	if len(swapped) == 0 {
		return nil
	}
	if err := l.Containers.Create(ctx, spec, RestartNo); err != nil {
		return err
	}
	if err := l.Containers.Start(ctx, spec, withOnce(rel, swapped)); err != nil {
		return err
	}
	return l.Containers.SetRestart(ctx, l.named(e.Set), e.Set.ID, swapped, RestartAlways)
}
