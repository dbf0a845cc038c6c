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
)

// RunOnce runs a container to its end and returns its exit code and the last lines
// of its log (escaped, bounded). The name in the specification is the run's identity:
// if a container of that name and specification is there, it is adopted, so a crash
// of the agent never makes a second run; one that has ended answers with what it
// left. Who wants it to run again removes it first (Remove).
//
// Its networks and volumes must be there. When ctx ends the container goes on; the
// next call adopts it. An error means that the exit code is not known.
func (e *Engine) RunOnce(ctx context.Context, spec release.ContainerSpec) (exit int, tail string, err error) {
	what := "run " + spec.Name
	if err := e.notAnother(ctx, spec); err != nil {
		return 0, "", err
	}
	have, err := e.ensureContainer(ctx, spec, string(container.RestartPolicyDisabled))
	if err != nil {
		return 0, "", err
	}
	if have.State.Status == container.StateCreated {
		// Also one that the engine could not start before: its program never ran.
		_, err := ask(ctx, slowCall, func(ctx context.Context) (client.ContainerStartResult, error) {
			return e.api.ContainerStart(ctx, have.ID, client.ContainerStartOptions{})
		})
		if err != nil {
			return 0, "", classifyStart(ctx, what, err)
		}
	}
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		have, err := e.inspect(ctx, have.ID)
		switch {
		case errdefs.IsNotFound(err):
			return 0, "", hold(release.ContainerMissing, what, errors.New("it was removed while it ran; how it ended is not known"))
		case err != nil:
			return 0, "", classify(ctx, what, err)
		case have.State.Status == container.StateCreated: // runc could not start it
			return 0, "", revert(release.StartFailed, what, told("it did not start: %s", clip(escape(have.State.Error), maxErrorText)))
		case have.State.Status == container.StateDead:
			return 0, "", hold(release.ContainerMissing, what, errors.New("the engine could not remove it; how it ended is not known"))
		case !active(have):
			return have.State.ExitCode, e.tail(ctx, have.ID), nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, "", classify(ctx, what, ctx.Err())
		}
	}
}

// notAnother refuses to replace a run that began with another specification under
// the same name: it may have done half of what this one would do again.
func (e *Engine) notAnother(ctx context.Context, spec release.ContainerSpec) error {
	what := "run " + spec.Name
	have, err := e.inspect(ctx, spec.Name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return classify(ctx, what, err)
	}
	if keep, err := e.judge(have, spec); err != nil || keep {
		return err
	}
	if engineTime(have.State.StartedAt).IsZero() {
		return nil
	}
	return hold(release.ObjectInUse, what, fmt.Errorf("a run of that name with another specification was started at %s", have.State.StartedAt))
}
