package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// settleTime is how long a service without probe and health check must run without
// an exit to pass (DESIGN 3.3).
const settleTime = 10 * time.Second

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
		seen, err := l.look(ctx)
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
		seen, err := l.look(ctx)
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
