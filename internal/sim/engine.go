package sim

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// host is the engine in memory. It keeps the contract of internal/docker/contract,
// which the real one keeps too. Each container that is touched is an edge call of its
// own: a crash can come between any two.
type host struct{ *Agent }

// container is one container and what its program does.
type container struct {
	c       rollout.Container
	spec    release.ContainerSpec
	version string
	ended   bool // by itself: what users see of that is the app's own doing
}

// Programs of the contract's containers, as commands.
const (
	programExits = "exit" // ends at once with the code that follows
	programDeaf  = "deaf" // does not react to the stop signal
)

// exits says whether the program ends at once, and with which code.
func (c *container) exits() (code int, yes bool) {
	if len(c.spec.Command) == 2 && c.spec.Command[0] == programExits {
		code, _ = strconv.Atoi(c.spec.Command[1])
		return code, true
	}
	return 0, false
}

func (c *container) deaf() bool { return slices.Equal(c.spec.Command, []string{programDeaf}) }

// begin starts the program.
func (c *container) begin() {
	c.c.Status, c.c.StartedAt, c.c.EndedAt, c.c.ExitCode, c.ended = rollout.Running, time.Now(), time.Time{}, 0, false
	if c.spec.Health != nil {
		c.c.Health = rollout.HealthStarting
	}
}

// end is the program's end by itself or by a signal from outside; the engine starts
// what it is told to keep up.
func (c *container) end(code int) {
	if c.c.Restart == reconcile.RestartAlways {
		c.begin()
		c.c.Restarts++
		return
	}
	c.c.Status, c.c.ExitCode, c.c.EndedAt, c.ended = rollout.Exited, code, time.Now(), true
}

func missing(what string) error {
	return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.ContainerMissing, Detail: what + ": no such container"}
}

func (h host) Observe(ctx context.Context, app string) (out []rollout.Container, err error) {
	if err := h.world.hangs(ctx); err != nil {
		return nil, err
	}
	err = h.edge("container", "observe", func() error {
		for _, name := range slices.Sorted(maps.Keys(h.world.containers)) {
			if c := h.world.containers[name]; c.c.App == app {
				out = append(out, c.c)
			}
		}
		return nil
	})
	return out, err
}

func (h host) Pull(context.Context, string, func(int64, int64)) error {
	return h.edge("container", "pull", func() error { return nil })
}

func (h host) Create(_ context.Context, set release.SetSpec, restart string) error {
	h.world.mu.Lock()
	for _, v := range set.Volumes {
		if !v.External {
			h.world.volumes[v.Name] = true
		}
	}
	h.world.mu.Unlock()
	for _, spec := range set.Containers {
		err := h.edge("container", "create", func() error {
			have := h.world.containers[spec.Name]
			switch {
			case have != nil && have.c.Spec == spec.Labels[release.LabelSpec]:
				return nil
			case have != nil && have.c.Status == rollout.Running:
				return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ObjectInUse, Detail: "create " + spec.Name}
			}
			h.world.created++
			h.world.containers[spec.Name] = &container{spec: spec, version: h.world.versionOf(set.ID.Digest), c: rollout.Container{
				ID: fmt.Sprintf("%s#%d", spec.Name, h.world.created), Name: spec.Name, Instance: spec.Labels[release.LabelInstance], App: set.App, Service: spec.Service, Set: set.ID,
				Status: rollout.Created, Address: spec.Address(), Spec: spec.Labels[release.LabelSpec], Restart: restart}}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h host) Start(ctx context.Context, set release.SetSpec, services []string) error {
	if err := h.world.hangs(ctx); err != nil {
		return err
	}
	var begun []string
	for _, spec := range set.Containers {
		if services != nil && !slices.Contains(services, spec.Service) {
			continue
		}
		err := h.edge("container", "start", func() error {
			if what := h.waits(set, spec); what != "" {
				return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.StartFailed, Detail: "start " + spec.Name + ": wait for " + what}
			}
			c := h.world.containers[spec.Name]
			if c == nil || c.c.Spec != spec.Labels[release.LabelSpec] {
				return missing("start " + spec.Name)
			}
			if c.c.Status == rollout.Exited && c.c.ExitCode == 0 && mayComplete(set, spec.Service) {
				return nil
			}
			if c.c.Status != rollout.Running {
				c.c.Restarts = 0
				c.begin()
				h.world.look()
				begun = append(begun, spec.Name)
				if code, yes := c.exits(); yes {
					c.end(code)
					h.world.runs[c.c.ID]++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(begun) == 0 {
		return nil
	}
	if err := sleep(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	return h.edge("container", "look", func() error {
		for _, name := range begun {
			if c := h.world.containers[name]; c != nil && c.c.Status == rollout.Exited && !(c.c.ExitCode == 0 && mayComplete(set, c.c.Service)) {
				return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.StartFailed, Detail: fmt.Sprintf("start %s: it ended at once with code %d", name, c.c.ExitCode)}
			}
		}
		return nil
	})
}

// mayComplete reports whether some service of the set waits for this one to complete.
func mayComplete(set release.SetSpec, service string) bool {
	return slices.ContainsFunc(set.Containers, func(c release.ContainerSpec) bool {
		return slices.ContainsFunc(c.DependsOn, func(d release.Dependency) bool { return d.Service == service && d.Condition == "completed" })
	})
}

// waits says which service has not completed although the container waits for it; w.mu
// is held.
func (h host) waits(set release.SetSpec, spec release.ContainerSpec) string {
	for _, d := range spec.DependsOn {
		for _, s := range set.Containers {
			if s.Service != d.Service || d.Condition != "completed" {
				continue
			}
			if c := h.world.containers[s.Name]; c == nil || c.c.Status != rollout.Exited || c.c.ExitCode != 0 {
				return d.Service
			}
		}
	}
	return ""
}

// each makes one edge call per container of the set, in the order of their names.
func (h host) each(op, app string, set release.SetID, services []string, do func(*container)) (found []string, err error) {
	h.world.mu.Lock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(h.world.containers)) {
		c := h.world.containers[name]
		same := c.c.Set == set || set.Colour == release.Shared && c.c.Set.Colour == release.Shared
		if c.c.App == app && same && (services == nil || slices.Contains(services, c.c.Service)) {
			names = append(names, name)
			found = append(found, c.c.Service)
		}
	}
	h.world.mu.Unlock()
	for _, name := range names {
		err := h.edge("container", op, func() error {
			if c := h.world.containers[name]; c != nil {
				do(c)
			}
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

func (h host) Stop(ctx context.Context, app string, set release.SetID, services []string) error {
	if err := h.world.hangs(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	_, err := h.each("stop", app, set, services, func(c *container) {
		c.c.Restart = reconcile.RestartNo
		if c.c.Status != rollout.Running {
			return
		}
		c.end(0)
		c.ended = false
		if c.deaf() {
			c.c.ExitCode = 137
		}
	})
	return err
}

func (h host) SetRestart(ctx context.Context, app string, set release.SetID, services []string, policy string) error {
	if err := h.world.hangs(ctx); err != nil {
		return err
	}
	found, err := h.each("restart_policy", app, set, services, func(c *container) { c.c.Restart = policy })
	if err != nil || policy == reconcile.RestartNo {
		return err
	}
	for _, name := range services {
		if !slices.Contains(found, name) {
			return missing("keep " + name + " up")
		}
	}
	if len(found) == 0 {
		return missing("keep the set up")
	}
	return nil
}

func (h host) Remove(_ context.Context, app string, set release.SetID, services []string) error {
	_, err := h.each("remove", app, set, services, func(c *container) { delete(h.world.containers, c.c.Name) })
	return err
}

// Replace stops what has the name of each container and starts the one specified.
func (h host) Replace(ctx context.Context, set release.SetSpec) error {
	if err := h.world.hangs(ctx); err != nil {
		return err
	}
	for _, spec := range set.Containers {
		same := func() bool {
			c := h.world.containers[spec.Name]
			return c != nil && c.c.Spec == spec.Labels[release.LabelSpec]
		}
		err := h.edge("container", "stop", func() error {
			if c := h.world.containers[spec.Name]; c != nil && !same() {
				c.c.Restart = reconcile.RestartNo
				c.c.Status, c.c.ExitCode, c.c.EndedAt = rollout.Exited, 0, time.Now()
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		err = h.edge("container", "replace", func() error {
			if !same() {
				h.world.created++
				h.world.containers[spec.Name] = &container{spec: spec, version: h.world.versionOf(set.ID.Digest), c: rollout.Container{
					ID: fmt.Sprintf("%s#%d", spec.Name, h.world.created), Name: spec.Name, Instance: spec.Labels[release.LabelInstance], App: set.App,
					Service: spec.Service, Set: release.SetID{Target: set.ID.Target}, Spec: spec.Labels[release.LabelSpec]}}
			}
			c := h.world.containers[spec.Name]
			if c.c.Status != rollout.Running {
				c.begin()
			}
			c.c.Restart = reconcile.RestartAlways
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// jobTime is how long a job takes here.
const jobTime = 2 * time.Second

// RunOnce runs a job; its program is that of the contract's containers.
func (h host) RunOnce(ctx context.Context, spec release.ContainerSpec) (exit int, tail string, err error) {
	if err := h.world.hangs(ctx); err != nil {
		return 0, "", err
	}
	err = h.edge("container", "run_once", func() error {
		if h.world.containers[spec.Name] != nil {
			return nil
		}
		h.world.created++
		l := spec.Labels
		c := &container{spec: spec, c: rollout.Container{ID: fmt.Sprintf("%s#%d", spec.Name, h.world.created), Name: spec.Name,
			Instance: l[release.LabelInstance], App: l[release.LabelApp], Service: spec.Service, Spec: l[release.LabelSpec], Restart: reconcile.RestartNo,
			Set: release.SetID{Colour: release.Colour(l[release.LabelColour]), Target: release.Target{Digest: release.Digest(l[release.LabelRelease]), Inputs: l[release.LabelInputs]}}}}
		c.begin()
		h.world.containers[spec.Name] = c
		h.world.runs[c.c.ID]++
		h.world.ran[spec.Service]++
		return nil
	})
	if err != nil {
		return 0, "", err
	}
	for {
		if err := sleep(ctx, jobTime); err != nil {
			return 0, "", err
		}
		ended := false
		err := h.edge("container", "run_once", func() error {
			c := h.world.containers[spec.Name]
			if c == nil {
				return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.ContainerMissing, Detail: "run " + spec.Name}
			}
			if code, yes := c.exits(); yes && c.c.Status == rollout.Running {
				c.end(code)
			}
			ended, exit = c.c.Status == rollout.Exited, c.c.ExitCode
			return nil
		})
		if err != nil || ended {
			return exit, "", err
		}
	}
}

// answers is the container that answers at an address, nil if none; w.mu is held.
func (w *World) answers(ip netip.Addr) *container {
	for _, c := range w.containers {
		if c.c.Address == ip && c.c.Status == rollout.Running {
			return c
		}
	}
	return nil
}

// Purge removes volumes with their data.
func (h host) Purge(_ context.Context, app string, volumes []string) error {
	for _, name := range volumes {
		err := h.edge("container", "purge", func() error {
			delete(h.world.volumes, app+"_"+name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
