package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// asideSuffix names the container that a replacement took the place of, until the new
// one is known to run.
const asideSuffix = "-replaced"

// replaceSettle is how long a replacement without health check must run.
const replaceSettle = 3 * time.Second

// Replace puts each container of the set in the place of the one that has its name:
// stop first, for both may not have the data at once. The one before is kept aside, and
// when the new one does not start or does not become healthy it is put back and started,
// and the error is replace_failed (revert). It can be repeated: what has the wanted
// specification and runs is already so, and what a crash left half done is finished.
//
// The set's networks and volumes are made where they are missing; the images must be
// there. A replacement that ends with the caller's patience is undone too.
func (e *Engine) Replace(ctx context.Context, set release.SetSpec) error {
	bare := set
	bare.Containers = nil
	if err := e.Create(ctx, bare, string(container.RestartPolicyDisabled)); err != nil {
		return err
	}
	if err := e.networksFor(ctx, set); err != nil {
		return err
	}
	for _, spec := range set.Containers {
		if err := e.replace(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) replace(ctx context.Context, spec release.ContainerSpec) error {
	what := "replace " + spec.Name
	if err := e.setAside(ctx, spec); err != nil {
		return err
	}
	err := e.comesUp(ctx, spec)
	var fault *rollout.EffectError
	bad := errors.As(err, &fault) && fault.Fault == rollout.FaultRevert
	if err != nil && !bad && ctx.Err() == nil {
		return err // the engine's trouble: the next try goes on from here
	}
	if err != nil {
		if !bad && errors.Is(ctx.Err(), context.DeadlineExceeded) { // in the middle of a call
			err = fmt.Errorf("it took too long: %w", context.Cause(ctx))
		}
		// Whoever gave up on the new one still gets the old one back.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute+spec.StopGrace)
		defer cancel()
		if undo := e.putBack(back, spec); undo != nil {
			return hold(release.ReplaceFailed, what, fmt.Errorf("%w; and the one before could not be put back: %v", err, undo))
		}
		return revert(release.ReplaceFailed, what, fmt.Errorf("%w; the one before runs again", err))
	}
	aside, err := e.inspect(ctx, spec.Name+asideSuffix)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return classify(ctx, what, err)
	}
	return classify(ctx, what, e.removeContainer(ctx, aside.ID))
}

// setAside stops the container that has the name, if it is another one than wanted, and
// gives it another name.
func (e *Engine) setAside(ctx context.Context, spec release.ContainerSpec) error {
	what := "replace " + spec.Name
	have, err := e.inspect(ctx, spec.Name)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return classify(ctx, what, err)
	}
	if err := e.ours("container", spec.Name, have.Config.Labels); err != nil {
		return err
	}
	if app := have.Config.Labels[release.LabelApp]; app != spec.Labels[release.LabelApp] {
		return hold(release.NameTaken, what, told("it belongs to the app %s", clip(escape(app), 64)))
	}
	if sameSpec(have.Config.Labels, spec) {
		return nil
	}
	if err := e.stop(ctx, have); err != nil {
		return err
	}
	// A container that is aside already is what ran; this one never came up.
	if aside, err := e.inspect(ctx, spec.Name+asideSuffix); err == nil {
		if err := e.ours("container", aside.Name, aside.Config.Labels); err != nil {
			return err
		}
		return classify(ctx, what, e.removeContainer(ctx, have.ID))
	} else if !errdefs.IsNotFound(err) {
		return classify(ctx, what, err)
	}
	return classify(ctx, what, e.rename(ctx, have.ID, spec.Name+asideSuffix))
}

func (e *Engine) rename(ctx context.Context, id, name string) error {
	_, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerRenameResult, error) {
		return e.api.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
	})
	return err
}

// comesUp makes and starts the wanted container and sees it healthy, or running for a
// while, and keeps it across reboots.
func (e *Engine) comesUp(ctx context.Context, spec release.ContainerSpec) error {
	what := "replace " + spec.Name
	if _, err := e.ensureContainer(ctx, spec, string(container.RestartPolicyDisabled)); err != nil {
		return err
	}
	if err := e.start(ctx, spec, false); err != nil {
		return err
	}
	began := time.Now()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		have, err := e.inspect(ctx, spec.Name)
		if err != nil {
			return classify(ctx, what, err)
		}
		if ended := e.ended(ctx, have, false); ended != nil {
			return revert(release.ReplaceFailed, what, ended)
		}
		switch h := have.State.Health; {
		case h == nil || h.Status == container.NoHealthcheck:
			if time.Since(began) >= replaceSettle {
				return classify(ctx, what, e.updateRestart(ctx, have.ID, string(container.RestartPolicyUnlessStopped)))
			}
		case h.Status == container.Healthy:
			return classify(ctx, what, e.updateRestart(ctx, have.ID, string(container.RestartPolicyUnlessStopped)))
		case h.Status == container.Unhealthy:
			return revert(release.ReplaceFailed, what, told("it is unhealthy%s", lastCheck(h)))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return revert(release.ReplaceFailed, what, fmt.Errorf("it took too long: %w", context.Cause(ctx)))
			}
			return classify(ctx, what, ctx.Err())
		}
	}
}

// putBack gives the place back to the container that is aside, and starts it.
func (e *Engine) putBack(ctx context.Context, spec release.ContainerSpec) error {
	aside, err := e.inspect(ctx, spec.Name+asideSuffix)
	if errdefs.IsNotFound(err) {
		return nil // there was none before
	}
	if err != nil {
		return err
	}
	switch have, err := e.inspect(ctx, spec.Name); {
	case errdefs.IsNotFound(err):
	case err != nil:
		return err
	default:
		if err := e.stop(ctx, have); err != nil {
			return err
		}
		if err := e.removeContainer(ctx, have.ID); err != nil {
			return err
		}
	}
	if err := e.rename(ctx, aside.ID, spec.Name); err != nil {
		return err
	}
	if _, err := ask(ctx, slowCall, func(ctx context.Context) (client.ContainerStartResult, error) {
		return e.api.ContainerStart(ctx, aside.ID, client.ContainerStartOptions{})
	}); err != nil {
		return err
	}
	return e.updateRestart(ctx, aside.ID, string(container.RestartPolicyUnlessStopped))
}
