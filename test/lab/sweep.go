package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// sweepStale removes what labs of processes that are gone left behind.
func (l *Lab) sweepStale(ctx context.Context) error {
	return l.sweep(ctx, dead)
}

// sweep removes every object whose lab id is chosen: containers first, then what
// they used. Volumes and networks that somebody else uses by now stay, with an error.
func (l *Lab) sweep(ctx context.Context, chosen func(id string) bool) error {
	mine := func(labels map[string]string, names ...string) bool {
		if id := idOf(labels[LabelTest]); id != "" && chosen(id) {
			return true
		}
		for _, n := range names {
			if id := idOf(n); id != "" && chosen(id) {
				return true
			}
		}
		return false
	}
	var errs []error
	note := func(what string, err error) {
		if err != nil && !errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "already in progress") {
			errs = append(errs, fmt.Errorf("sweep %s: %w", what, err))
		}
	}

	containers, err := l.API.ContainerList(ctx, client.ContainerListOptions{All: true})
	note("containers", err)
	for _, c := range containers.Items {
		if mine(c.Labels, c.Names...) {
			_, err := l.API.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			note("container "+c.ID, err)
		}
	}
	networks, err := l.API.NetworkList(ctx, client.NetworkListOptions{})
	note("networks", err)
	for _, n := range networks.Items {
		if mine(n.Labels, n.Name) {
			_, err := l.API.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			note("network "+n.Name, err)
		}
	}
	volumes, err := l.API.VolumeList(ctx, client.VolumeListOptions{})
	note("volumes", err)
	for _, v := range volumes.Items {
		if mine(v.Labels, v.Name) {
			_, err := l.API.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
			note("volume "+v.Name, err)
		}
	}
	images, err := l.API.ImageList(ctx, client.ImageListOptions{All: true, Filters: make(client.Filters).Add("label", LabelTest)})
	note("images", err)
	for _, i := range images.Items {
		if mine(i.Labels) {
			_, err := l.API.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
			note("image "+i.ID, err)
		}
	}
	return errors.Join(errs...)
}
