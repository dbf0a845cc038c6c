package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// defaultGrace is the engine's own time between the stop signal and SIGKILL.
const defaultGrace = 10 * time.Second

// Stop ends the services' containers of a set, all at the same time: restart policy
// "no" first, then the stop signal, and SIGKILL after each container's own grace
// period. nil services means all; stopped or gone is fine. The containers stay.
func (e *Engine) Stop(ctx context.Context, app string, id release.SetID, services []string) error {
	what := fmt.Sprintf("stop %s %s", app, setName(id))
	found, err := e.set(ctx, app, id, services)
	if err != nil {
		return classify(ctx, what, err)
	}
	errs := make([]error, len(found))
	var wg sync.WaitGroup
	for i, c := range found {
		wg.Go(func() { errs[i] = e.stop(ctx, c) })
	}
	wg.Wait()
	return firstError(errs)
}

func (e *Engine) stop(ctx context.Context, c container.InspectResponse) error {
	what := "stop " + nameOf(c)
	if c.HostConfig.RestartPolicy.Name != container.RestartPolicyDisabled {
		if err := e.updateRestart(ctx, c.ID, string(container.RestartPolicyDisabled)); err != nil && !errdefs.IsNotFound(err) {
			return classify(ctx, what, err)
		}
	}
	if !active(c) {
		return nil
	}
	grace := defaultGrace
	if t := c.Config.StopTimeout; t != nil {
		grace = time.Duration(*t) * time.Second
	}
	_, err := ask(ctx, grace+quickCall, func(ctx context.Context) (client.ContainerStopResult, error) {
		return e.api.ContainerStop(ctx, c.ID, client.ContainerStopOptions{})
	})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return classify(ctx, what, err)
}

// SetRestart sets the engine's restart policy ("no" or "unless-stopped") of the
// services' containers of a set; nil services means all. A service that has no
// container is container_missing (retry) unless the policy is "no": what is gone
// cannot survive a reboot.
func (e *Engine) SetRestart(ctx context.Context, app string, id release.SetID, services []string, policy string) error {
	what := fmt.Sprintf("set restart policy %s on %s %s", policy, app, setName(id))
	found, err := e.set(ctx, app, id, services)
	if err != nil {
		return classify(ctx, what, err)
	}
	var seen []string
	for _, c := range found {
		if string(c.HostConfig.RestartPolicy.Name) != policy {
			if err := e.updateRestart(ctx, c.ID, policy); errdefs.IsNotFound(err) {
				continue
			} else if err != nil {
				return classify(ctx, what, err)
			}
		}
		seen = append(seen, c.Config.Labels[release.LabelService])
	}
	if policy == string(container.RestartPolicyDisabled) {
		return nil
	}
	if services == nil && len(seen) == 0 {
		return retry(release.ContainerMissing, what, errors.New("the set has no container"))
	}
	for _, s := range services {
		if !slices.Contains(seen, s) {
			return retry(release.ContainerMissing, what, fmt.Errorf("service %s has no container", s))
		}
	}
	return nil
}

// setName is how a set reads in messages.
func setName(id release.SetID) string {
	if id.Colour == release.Shared {
		return "shared"
	}
	return string(id.Colour) + " " + id.Digest.Short()
}

// firstError prefers an error that says more than that the caller gave up.
func firstError(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}
