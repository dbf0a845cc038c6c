package docker

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Observe is the app's containers as the engine has them now, found by our labels
// and sorted by name: every set, stopped ones and one-off runs included. A
// container that vanishes meanwhile is left out.
func (e *Engine) Observe(ctx context.Context, app string) ([]rollout.Container, error) {
	return e.observe(ctx, "observe "+app, label(release.LabelApp, app), e.mine())
}

// ObserveAll is Observe for every app at once.
func (e *Engine) ObserveAll(ctx context.Context) (map[string][]rollout.Container, error) {
	all, err := e.observe(ctx, "observe all apps", release.LabelApp, e.mine())
	if err != nil {
		return nil, err
	}
	byApp := map[string][]rollout.Container{}
	for _, c := range all {
		byApp[c.App] = append(byApp[c.App], c)
	}
	return byApp, nil
}

// Foreign is the containers that carry our label teal.app, but another agent's
// instance or none.
func (e *Engine) Foreign(ctx context.Context) ([]rollout.Container, error) {
	all, err := e.observe(ctx, "look for foreign containers", release.LabelApp)
	return slices.DeleteFunc(all, func(c rollout.Container) bool { return c.Instance == e.cfg.Instance }), err
}

func (e *Engine) mine() string { return label(release.LabelInstance, e.cfg.Instance) }

func label(key, value string) string { return key + "=" + value }

func (e *Engine) observe(ctx context.Context, what string, labels ...string) ([]rollout.Container, error) {
	found, err := e.find(ctx, labels...)
	if err != nil {
		return nil, classify(ctx, what, err)
	}
	var out []rollout.Container
	for _, c := range found {
		out = append(out, e.container(c))
	}
	return out, nil
}

// find lists the containers that carry all the labels, by name, and looks at each.
func (e *Engine) find(ctx context.Context, labels ...string) ([]container.InspectResponse, error) {
	list, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerListResult, error) {
		return e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labels...)})
	})
	if err != nil {
		return nil, err
	}
	var out []container.InspectResponse
	for _, item := range list.Items {
		c, err := e.inspect(ctx, item.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b container.InspectResponse) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// set lists the containers of one set; services nil means all of them. Shared
// services are one set for every release, because an unchanged one stays through
// releases.
func (e *Engine) set(ctx context.Context, app string, id release.SetID, services []string) ([]container.InspectResponse, error) {
	found, err := e.find(ctx, label(release.LabelApp, app), e.mine())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c container.InspectResponse) bool {
		have := setOf(c.Config.Labels)
		if have != id && !(id.Colour == release.Shared && have.Colour == release.Shared) {
			return true
		}
		return services != nil && !slices.Contains(services, c.Config.Labels[release.LabelService])
	}), nil
}

func setOf(labels map[string]string) release.SetID {
	return release.SetID{
		Colour: release.Colour(labels[release.LabelColour]),
		Target: release.Target{Digest: release.Digest(labels[release.LabelRelease]), Inputs: labels[release.LabelInputs]},
	}
}

func (e *Engine) container(c container.InspectResponse) rollout.Container {
	labels := c.Config.Labels
	out := rollout.Container{
		ID:        c.ID,
		Name:      nameOf(c),
		Instance:  labels[release.LabelInstance],
		App:       labels[release.LabelApp],
		Service:   labels[release.LabelService],
		Set:       setOf(labels),
		Status:    rollout.ContainerStatus(c.State.Status),
		ExitCode:  c.State.ExitCode,
		OOM:       c.State.OOMKilled,
		Restarts:  c.RestartCount,
		StartedAt: engineTime(c.State.StartedAt),
		EndedAt:   engineTime(c.State.FinishedAt),
		Address:   e.edgeAddress(c),
		Spec:      labels[release.LabelSpec],
		Restart:   string(c.HostConfig.RestartPolicy.Name),
	}
	if h := c.State.Health; h != nil && h.Status != container.NoHealthcheck {
		out.Health = rollout.HealthStatus(h.Status)
	}
	return out
}

// edgeAddress is the configured address, which holds for stopped containers too.
func (e *Engine) edgeAddress(c container.InspectResponse) netip.Addr {
	p := c.NetworkSettings.Networks[e.cfg.EdgeNetwork]
	if p == nil || p.IPAMConfig == nil {
		return netip.Addr{}
	}
	return p.IPAMConfig.IPv4Address
}

// engineTime is zero for what never happened.
func engineTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

func containerName(names []string, id string) string {
	if len(names) == 0 {
		return id
	}
	return strings.TrimPrefix(names[0], "/")
}

// nameOf is a container's name without the engine's slash.
func nameOf(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }
