package docker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// ensureNetwork makes one network of a set, or finds that it is already so.
func (e *Engine) ensureNetwork(ctx context.Context, spec release.NetworkSpec) error {
	what := "make network " + spec.Name
	e.making.Lock()
	defer e.making.Unlock()
	if spec.External {
		found, err := e.networksNamed(ctx, spec.Name)
		if err != nil {
			return classify(ctx, what, err)
		}
		if len(found) == 0 {
			return retry(release.ExternalMissing, what, fmt.Errorf("external network %s does not exist; run `docker network create %s`", spec.Name, spec.Name))
		}
		return nil
	}
	options := client.NetworkCreateOptions{
		Driver: cmp.Or(spec.Driver, "bridge"), Options: spec.Options, Internal: spec.Internal, Labels: spec.Labels,
	}
	if spec.IPv6 {
		on := true
		options.EnableIPv6 = &on
	}
	have, err := e.makeNetwork(ctx, spec.Name, options)
	if err != nil {
		return refused(ctx, what, err)
	}
	if err := e.ours("network", spec.Name, have.Labels); err != nil {
		return err
	}
	if sameNetwork(have, options) {
		return nil
	}
	// It is ours with another shape, left by an older release of the colour.
	users, err := e.networkUsers(ctx, have)
	if err != nil {
		return classify(ctx, what, err)
	}
	if len(users) > 0 {
		return hold(release.ObjectInUse, what, fmt.Errorf("it exists with other settings and %s is on it", users[0]))
	}
	if err := e.removeNetwork(ctx, have.ID); err != nil {
		return classify(ctx, what, err)
	}
	if _, err := e.makeNetwork(ctx, spec.Name, options); err != nil {
		return refused(ctx, what, err)
	}
	return nil
}

// makeNetwork returns the network of that name, made now if there was none. The
// engine lets two networks have one name, so afterwards the oldest of the name is
// the one and a younger one that we just made is taken away again.
func (e *Engine) makeNetwork(ctx context.Context, name string, options client.NetworkCreateOptions) (network.Network, error) {
	found, err := e.networksNamed(ctx, name)
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	made, err := ask(ctx, quickCall, func(ctx context.Context) (client.NetworkCreateResult, error) {
		return e.api.NetworkCreate(ctx, name, options)
	})
	if err != nil {
		return network.Network{}, err
	}
	found, err = e.networksNamed(ctx, name)
	if err != nil {
		return network.Network{}, err
	}
	if len(found) == 0 {
		return network.Network{}, fmt.Errorf("network %s was removed while it was made", name)
	}
	if found[0].ID != made.ID {
		if err := e.removeNetwork(ctx, made.ID); err != nil {
			return network.Network{}, err
		}
	}
	return found[0], nil
}

func first(found []network.Network) network.Network {
	if len(found) == 0 {
		return network.Network{}
	}
	return found[0]
}

// networksNamed lists the networks of exactly that name, the oldest first.
func (e *Engine) networksNamed(ctx context.Context, name string) ([]network.Network, error) {
	all, err := e.networks(ctx, make(client.Filters).Add("name", name))
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(all, func(n network.Network) bool { return n.Name != name })
	slices.SortFunc(found, func(a, b network.Network) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

func (e *Engine) networks(ctx context.Context, f client.Filters) ([]network.Network, error) {
	r, err := ask(ctx, quickCall, func(ctx context.Context) (client.NetworkListResult, error) {
		return e.api.NetworkList(ctx, client.NetworkListOptions{Filters: f})
	})
	if err != nil {
		return nil, err
	}
	out := make([]network.Network, 0, len(r.Items))
	for _, n := range r.Items {
		out = append(out, n.Network)
	}
	return out, nil
}

// sameNetwork reports whether what is there is what is wanted. Options that the
// engine adds by itself do not count.
func sameNetwork(have network.Network, want client.NetworkCreateOptions) bool {
	if have.Driver != want.Driver || have.Internal != want.Internal || have.EnableIPv6 != (want.EnableIPv6 != nil) {
		return false
	}
	for k, v := range want.Options {
		if have.Options[k] != v {
			return false
		}
	}
	return true
}

// networkUsers names the containers that are configured to be on the network,
// stopped ones included: the engine itself only counts running ones, and a stopped
// proven set could not be started again without its network.
func (e *Engine) networkUsers(ctx context.Context, n network.Network) ([]string, error) {
	r, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerListResult, error) {
		return e.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	})
	if err != nil {
		return nil, err
	}
	var users []string
	for _, c := range r.Items {
		if c.NetworkSettings == nil {
			continue
		}
		for name, endpoint := range c.NetworkSettings.Networks {
			if name == n.Name || (endpoint != nil && endpoint.NetworkID == n.ID) {
				users = append(users, containerName(c.Names, c.ID))
				break
			}
		}
	}
	slices.Sort(users)
	return users, nil
}

// removeNetwork removes a network by id; gone is fine.
func (e *Engine) removeNetwork(ctx context.Context, id string) error {
	_, err := ask(ctx, slowCall, func(ctx context.Context) (client.NetworkRemoveResult, error) {
		return e.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// connect puts a container on a network; being on it already is fine.
func (e *Engine) connect(ctx context.Context, id string, p release.Endpoint) error {
	_, err := ask(ctx, quickCall, func(ctx context.Context) (client.NetworkConnectResult, error) {
		return e.api.NetworkConnect(ctx, p.Network, client.NetworkConnectOptions{Container: id, EndpointConfig: endpoint(p)})
	})
	if errdefs.IsPermissionDenied(err) && says(err, "already exists in network") {
		return nil
	}
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("network %s is gone: %w", p.Network, err)
	}
	return err
}

// disconnect takes a stopped container off a network; not being on it is fine.
func (e *Engine) disconnect(ctx context.Context, id, name string) error {
	_, err := ask(ctx, quickCall, func(ctx context.Context) (client.NetworkDisconnectResult, error) {
		return e.api.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: id, Force: true})
	})
	if says(err, "is not connected to") {
		return nil
	}
	return err
}
