package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/tealops/teal/internal/release"
)

// The conditions of a release.Dependency.
const (
	conditionStarted   = "started"
	conditionHealthy   = "healthy"
	conditionCompleted = "completed"
)

// Between two looks at a dependency: short at first, since most are quick.
const (
	firstLook = 25 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// await waits until one depends_on entry of a container holds. It ends early when it
// can no longer hold.
func (e *Engine) await(ctx context.Context, set release.SetSpec, services []string, spec release.ContainerSpec, d release.Dependency) error {
	what := fmt.Sprintf("start %s: wait for %s to be %s", spec.Name, d.Service, d.Condition)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		found, err := e.dependency(ctx, set, d.Service)
		if err != nil {
			return classify(ctx, what, err)
		}
		if len(found) == 0 {
			if !d.Required {
				return nil
			}
			return revert(release.StartFailed, what, errors.New("there is no such service on this host"))
		}
		met, err := e.met(ctx, found, d.Condition)
		if err != nil {
			if !d.Required {
				e.log.Warn("an optional dependency does not hold", "container", spec.Name, "service", d.Service, "err", err)
				return nil
			}
			return revert(release.StartFailed, what, err)
		}
		if met {
			return nil
		}
		if inSet(set, d.Service) && services != nil && !slices.Contains(services, d.Service) && idle(found) {
			// It belongs to a later step of this swap: waiting would never end.
			if !d.Required {
				return nil
			}
			return revert(release.StartFailed, what, fmt.Errorf("%s does not run and is not started together with %s; give it a route, or drop the dependency", d.Service, spec.Service))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return revert(release.StartFailed, what, fmt.Errorf("it took too long: %w", context.Cause(ctx)))
			}
			return classify(ctx, what, ctx.Err())
		}
	}
}

func inSet(set release.SetSpec, service string) bool {
	return slices.ContainsFunc(set.Containers, func(c release.ContainerSpec) bool { return c.Service == service })
}

func idle(found []container.InspectResponse) bool {
	return !slices.ContainsFunc(found, active)
}

// dependency finds the containers of a service: of this set if it has the service,
// else the app's shared one.
func (e *Engine) dependency(ctx context.Context, set release.SetSpec, service string) ([]container.InspectResponse, error) {
	if !inSet(set, service) {
		return e.set(ctx, set.App, release.SetID{Colour: release.Shared}, []string{service})
	}
	var found []container.InspectResponse
	for _, c := range set.Containers {
		if c.Service != service {
			continue
		}
		have, err := e.inspect(ctx, c.Name)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, have)
	}
	return found, nil
}

// met reports whether every replica fulfils the condition; an error says that one of
// them never will.
func (e *Engine) met(ctx context.Context, found []container.InspectResponse, condition string) (bool, error) {
	all := true
	for _, c := range found {
		s := c.State
		exited := (s.Status == container.StateExited || s.Status == container.StateDead) && !engineTime(s.StartedAt).IsZero()
		if exited && (s.ExitCode != 0 || condition == conditionHealthy) {
			return false, e.ended(ctx, c, false)
		}
		switch condition {
		case conditionStarted:
			all = all && (s.Running || exited)
		case conditionHealthy:
			if s.Running && (s.Health == nil || s.Health.Status == container.NoHealthcheck) {
				return false, errors.New("it has no health check")
			}
			if s.Running && s.Health.Status == container.Unhealthy {
				return false, told("it is unhealthy%s", lastCheck(s.Health))
			}
			all = all && s.Running && s.Health.Status == container.Healthy
		case conditionCompleted:
			all = all && exited
		default:
			return false, fmt.Errorf("condition %q is not known", condition)
		}
	}
	return all, nil
}

// lastCheck is what the container's own health check said last.
func lastCheck(h *container.Health) string {
	if len(h.Log) == 0 || h.Log[len(h.Log)-1] == nil {
		return ""
	}
	last := h.Log[len(h.Log)-1]
	return fmt.Sprintf(": its check ended with code %d: %s", last.ExitCode, clip(escape(strings.TrimSpace(last.Output)), 256))
}
