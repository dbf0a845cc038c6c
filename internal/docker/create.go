package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// Create makes a set's networks, volumes and containers, in that order, and starts
// nothing. The images must be there (Pull). restart is the restart policy of the
// containers it makes: "no" until switched, "unless-stopped" when what serves is put
// back; a stopped container that was there already gets it too, a running one keeps
// its own.
//
// It can be repeated: what is there with our labels and the same teal.spec is
// already so, and a container that misses a network is put on it. One of ours that
// does not run and has another specification is made again. Faults: name_taken and
// object_in_use hold; create_failed is the release's doing; image_missing,
// external_missing, disk_full and the engine's own errors are to be tried again.
func (e *Engine) Create(ctx context.Context, set release.SetSpec, restart string) error {
	for _, n := range set.Networks {
		if err := e.ensureNetwork(ctx, n); err != nil {
			return err
		}
	}
	if err := e.networksFor(ctx, set); err != nil {
		return err
	}
	for _, v := range set.Volumes {
		if err := e.ensureVolume(ctx, v); err != nil {
			return err
		}
	}
	for _, c := range set.Containers {
		if _, err := e.ensureContainer(ctx, c, restart); err != nil {
			return err
		}
	}
	return nil
}

// networksFor sees that the networks which the containers are on but the set does
// not bring are there: engines take a container on a network that does not exist and
// fail at its start. The edge network is ours and is made again, should somebody have
// pruned it.
func (e *Engine) networksFor(ctx context.Context, set release.SetSpec) error {
	known := map[string]bool{}
	for _, n := range set.Networks {
		known[n.Name] = true
	}
	for _, c := range set.Containers {
		for _, p := range c.Endpoints {
			if known[p.Network] {
				continue
			}
			known[p.Network] = true
			found, err := e.networksNamed(ctx, p.Network)
			if err != nil {
				return classify(ctx, "look for network "+p.Network, err)
			}
			if len(found) > 0 {
				continue
			}
			if p.Network != e.cfg.EdgeNetwork {
				return retry(release.ExternalMissing, "create "+c.Name, fmt.Errorf("network %s does not exist", p.Network))
			}
			if err := e.EnsureEdge(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensureContainer returns the container of that specification, made now or found.
func (e *Engine) ensureContainer(ctx context.Context, spec release.ContainerSpec, restart string) (container.InspectResponse, error) {
	what := "create " + spec.Name
	none := container.InspectResponse{}
	// More than once: what is in the way may have to go first, and a container that
	// appears between looking and making is looked at again.
	for range 3 {
		have, err := e.inspect(ctx, spec.Name)
		if errdefs.IsNotFound(err) {
			id, err := e.makeContainer(ctx, spec, restart)
			if errdefs.IsConflict(err) {
				continue
			}
			if err != nil {
				return none, e.classifyCreate(ctx, what, err)
			}
			if err := e.complete(ctx, id, spec, nil); err != nil {
				return none, e.classifyCreate(ctx, what, err)
			}
			have, err = e.inspect(ctx, id)
			return have, classify(ctx, what, err)
		}
		if err != nil {
			return none, classify(ctx, what, err)
		}
		keep, err := e.judge(have, spec)
		if err != nil {
			return none, err
		}
		if keep {
			return have, e.adopt(ctx, have, spec, restart)
		}
		if err := e.removeContainer(ctx, have.ID); err != nil {
			return none, classify(ctx, what, err)
		}
	}
	return none, retry(release.EngineRefused, what, errors.New("another container of that name keeps coming back"))
}

// judge says whether a container that has the wanted name is the wanted one. One of
// ours that is not, and does not run, may be replaced.
func (e *Engine) judge(have container.InspectResponse, want release.ContainerSpec) (keep bool, err error) {
	if err := e.ours("container", want.Name, have.Config.Labels); err != nil {
		return false, err
	}
	if app := have.Config.Labels[release.LabelApp]; app != want.Labels[release.LabelApp] {
		return false, hold(release.NameTaken, "use container "+want.Name, told("it belongs to the app %s", clip(escape(app), 64)))
	}
	if sameSpec(have.Config.Labels, want) && have.State.Status != container.StateDead && have.State.Status != container.StateRemoving {
		return true, nil
	}
	if active(have) {
		return false, hold(release.ObjectInUse, "create "+want.Name, errors.New("a container of that name runs with another specification"))
	}
	return false, nil
}

// sameSpec reports whether a container was made from that specification, for that
// release and colour.
func sameSpec(labels map[string]string, want release.ContainerSpec) bool {
	same := labels[release.LabelSpec] == want.Labels[release.LabelSpec] && labels[release.LabelApp] == want.Labels[release.LabelApp] &&
		labels[release.LabelService] == want.Labels[release.LabelService]
	if want.Class != release.ClassShared {
		// A shared container stays through releases that do not change it.
		for _, key := range []string{release.LabelColour, release.LabelRelease, release.LabelInputs} {
			same = same && labels[key] == want.Labels[key]
		}
	}
	return same
}

// active reports whether a container runs or is about to.
func active(c container.InspectResponse) bool {
	return c.State.Running || c.State.Paused || c.State.Restarting
}

func (e *Engine) makeContainer(ctx context.Context, spec release.ContainerSpec, restart string) (id string, err error) {
	options, err := createOptions(spec, restart, e.api.ClientVersion())
	if err != nil {
		return "", revert(release.CreateFailed, "create "+spec.Name, err)
	}
	made, err := ask(ctx, slowCall, func(ctx context.Context) (client.ContainerCreateResult, error) {
		return e.api.ContainerCreate(ctx, options)
	})
	for _, w := range made.Warnings {
		e.log.Warn("the engine warns about a container", "container", spec.Name, "warning", clip(escape(w), maxErrorText))
	}
	return made.ID, err
}

// adopt makes a container that was there what a new one would be: on all its
// networks and, unless it runs, with the restart policy asked for.
func (e *Engine) adopt(ctx context.Context, have container.InspectResponse, spec release.ContainerSpec, restart string) error {
	what := "create " + spec.Name
	on := map[string]bool{}
	for name, p := range have.NetworkSettings.Networks {
		if !slices.ContainsFunc(spec.Endpoints, func(e release.Endpoint) bool { return e.Network == name }) {
			continue
		}
		off, err := e.offNetwork(ctx, have, name, p)
		if err != nil {
			return classify(ctx, what, err)
		}
		on[name] = !off
		if !off {
			continue
		}
		if err := e.disconnect(ctx, have.ID, name); err != nil {
			return classify(ctx, what, err)
		}
	}
	if err := e.complete(ctx, have.ID, spec, on); err != nil {
		return e.classifyCreate(ctx, what, err)
	}
	if active(have) || string(have.HostConfig.RestartPolicy.Name) == restart {
		return nil
	}
	return classify(ctx, what, e.updateRestart(ctx, have.ID, restart))
}

// offNetwork reports whether a container is not on a network that it lists.
//
// One that runs lists a network without an endpoint when the engine could not put it
// back there. One that is stopped may list a network by an id that is no more:
// `docker network prune` takes the networks of stopped containers away, and the engine
// would not start it on the network that was made again under the same name.
func (e *Engine) offNetwork(ctx context.Context, c container.InspectResponse, name string, p *network.EndpointSettings) (bool, error) {
	switch {
	case p == nil || !active(c) && p.NetworkID == "":
		return false, nil
	case c.State.Running && !c.State.Restarting:
		return p.EndpointID == "", nil
	case active(c):
		return false, nil
	}
	found, err := e.networksNamed(ctx, name)
	return len(found) > 0 && !slices.ContainsFunc(found, func(n network.Network) bool { return n.ID == p.NetworkID }), err
}

// complete attaches a container to those of its networks that it is not on. nil
// stands for a new container, which is on the first of them.
func (e *Engine) complete(ctx context.Context, id string, spec release.ContainerSpec, on map[string]bool) error {
	for i, p := range spec.Endpoints {
		if on[p.Network] || (on == nil && i == 0) {
			continue
		}
		if err := e.connect(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}

// outsideSubnet is what engines say of a fixed address that its network cannot have;
// older ones say it at the start.
var outsideSubnet = []string{"does not belong to any of this network's subnets", "user configured subnets", "user specified ip address"}

// addressTaken is what engines say of a fixed address that somebody else has: at the
// start, or when a running container is put on the network again.
const addressTaken = "address already in use"

// classifyCreate knows what an engine's refusal to create a container means.
func (e *Engine) classifyCreate(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return classify(ctx, what, err)
	case errdefs.IsNotFound(err) && says(err, "no such image"):
		return retry(release.ImageMissing, what, err)
	case says(err, outsideSubnet...):
		return hold(release.EdgeNetworkMismatch, what, err)
	case says(err, addressTaken):
		return retry(release.AddressTaken, what, err)
	case errdefs.IsNotFound(err):
		return classify(ctx, what, err)
	}
	return refused(ctx, what, err)
}

// inspect asks for one container by name or id.
func (e *Engine) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	r, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerInspectResult, error) {
		return e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	})
	if err != nil {
		return container.InspectResponse{}, err
	}
	c := r.Container
	if c.State == nil || c.Config == nil || c.HostConfig == nil || c.NetworkSettings == nil {
		return container.InspectResponse{}, fmt.Errorf("the engine's answer about container %s is incomplete", id)
	}
	return c, nil
}

// updateRestart sets the engine's restart policy. A container that ends in that moment,
// as one in a crash loop does often, makes the engine refuse; it is asked again.
func (e *Engine) updateRestart(ctx context.Context, id, policy string) error {
	for again := 0; ; again++ {
		_, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerUpdateResult, error) {
			return e.api.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{
				RestartPolicy: &container.RestartPolicy{Name: container.RestartPolicyMode(policy)},
			})
		})
		if again == 5 || !says(err, "container not running", "process already finished", "no such process", "cgroup has been removed") {
			return err
		}
		select {
		case <-time.After(firstLook << again):
		case <-ctx.Done():
			return err
		}
	}
}

// removeContainer removes a container, running or not; gone is fine. Its anonymous
// volumes stay: what is in them may be somebody's data.
func (e *Engine) removeContainer(ctx context.Context, id string) error {
	_, err := ask(ctx, slowCall, func(ctx context.Context) (client.ContainerRemoveResult, error) {
		return e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	})
	if errdefs.IsNotFound(err) || (errdefs.IsConflict(err) && says(err, "is already in progress")) {
		return nil
	}
	return err
}
