package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// ensureVolume makes one volume, or finds that it is already there. A volume is
// never changed and never removed: it holds the app's data.
func (e *Engine) ensureVolume(ctx context.Context, spec release.VolumeSpec) error {
	what := "make volume " + spec.Name
	have, err := ask(ctx, quickCall, func(ctx context.Context) (client.VolumeInspectResult, error) {
		return e.api.VolumeInspect(ctx, spec.Name, client.VolumeInspectOptions{})
	})
	missing := errdefs.IsNotFound(err)
	if err != nil && !missing {
		return classify(ctx, what, err)
	}
	if spec.External {
		if missing {
			return retry(release.ExternalMissing, what, fmt.Errorf("external volume %s does not exist; run `docker volume create %s`", spec.Name, spec.Name))
		}
		return nil
	}
	volume := have.Volume
	driver := cmp.Or(spec.Driver, "local")
	if missing {
		// The engine answers with an existing volume if someone was faster; its labels
		// are looked at like any other's.
		made, err := ask(ctx, slowCall, func(ctx context.Context) (client.VolumeCreateResult, error) {
			return e.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: spec.Name, Driver: driver, DriverOpts: spec.Options, Labels: spec.Labels})
		})
		if err != nil {
			return refused(ctx, what, err)
		}
		volume = made.Volume
	}
	if err := e.ours("volume", spec.Name, volume.Labels); err != nil {
		return err
	}
	if volume.Driver != driver {
		return hold(release.ObjectInUse, what, fmt.Errorf("it exists with driver %s, the release wants %s; a volume is never replaced, give the new one another name", volume.Driver, driver))
	}
	if !maps.Equal(volume.Options, spec.Options) {
		return hold(release.ObjectInUse, what, fmt.Errorf("it exists with driver options %q, the release wants %q; a volume is never replaced, give the new one another name", volume.Options, spec.Options))
	}
	return nil
}

// Purge removes volumes of an app with their data, by the names under which its manifest
// declared them. Only what this agent made for the app is found: an external volume, or
// one of another instance, has not the labels. Gone is fine; one that a container still
// mounts is tried again later.
func (e *Engine) Purge(ctx context.Context, app string, volumes []string) error {
	for _, name := range volumes {
		what := "purge volume " + name
		found, err := ask(ctx, quickCall, func(ctx context.Context) (client.VolumeListResult, error) {
			return e.api.VolumeList(ctx, client.VolumeListOptions{
				Filters: make(client.Filters).Add("label", label(release.LabelApp, app), e.mine(), label("com.docker.compose.volume", name))})
		})
		if err != nil {
			return classify(ctx, what, err)
		}
		for _, v := range found.Items {
			_, err := ask(ctx, slowCall, func(ctx context.Context) (client.VolumeRemoveResult, error) {
				return e.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			})
			switch {
			case errdefs.IsNotFound(err):
			case errdefs.IsConflict(err):
				return retry(release.ObjectInUse, what, err)
			case err != nil:
				return classify(ctx, what, err)
			}
		}
	}
	return nil
}
