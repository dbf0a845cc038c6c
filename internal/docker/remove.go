package docker

import (
	"context"
	"fmt"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// Remove takes away the services' containers of a set, running or not; nil services
// means all, and then the colour's networks go too, unless another container of
// whatever state is configured to be on them. Volumes and images stay. Gone is fine.
func (e *Engine) Remove(ctx context.Context, app string, id release.SetID, services []string) error {
	what := fmt.Sprintf("remove %s %s", app, setName(id))
	found, err := e.set(ctx, app, id, services)
	if err != nil {
		return classify(ctx, what, err)
	}
	for _, c := range found {
		if err := e.removeContainer(ctx, c.ID); err != nil {
			return classify(ctx, what, err)
		}
	}
	if services != nil {
		return nil
	}
	return classify(ctx, what, e.removeNetworks(ctx, app, id.Colour))
}

// removeNetworks takes away the networks of one project of the app that nobody uses.
func (e *Engine) removeNetworks(ctx context.Context, app string, colour release.Colour) error {
	e.making.Lock()
	defer e.making.Unlock()
	ours, err := e.networks(ctx, make(client.Filters).Add("label", label(release.LabelApp, app), e.mine()))
	if err != nil {
		return err
	}
	for _, n := range ours {
		if release.Colour(n.Labels[release.LabelColour]) != colour {
			continue
		}
		users, err := e.networkUsers(ctx, n)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			continue
		}
		if err := e.removeNetwork(ctx, n.ID); err != nil {
			return err
		}
	}
	return nil
}
