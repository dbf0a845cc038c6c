package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// settle is how long after the last start the containers are looked at once more: a
// program that cannot run at all has ended by then. Whether one that stays is well
// is for the check that follows.
const settle = 100 * time.Millisecond

// Start starts the services' containers of a set that was created, in the set's
// order; nil means all of them. One that runs is left alone. Before a container its
// depends_on conditions are waited for, as long as ctx lasts; a dependency of
// another set (a shared service) is looked up by label.
//
// A container that cannot be started, ends at once, or waits in vain for what it
// depends on is start_failed (revert), with the last lines of its log. One that
// others wait for to complete may end with code 0; it is not run again in this set.
func (e *Engine) Start(ctx context.Context, set release.SetSpec, services []string) error {
	var started []release.ContainerSpec
	for _, spec := range set.Containers {
		if services != nil && !slices.Contains(services, spec.Service) {
			continue
		}
		for _, d := range spec.DependsOn {
			if err := e.await(ctx, set, services, spec, d); err != nil {
				return err
			}
		}
		if err := e.start(ctx, spec, mayComplete(set, spec.Service)); err != nil {
			return err
		}
		started = append(started, spec)
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return classify(ctx, "start "+set.Project, ctx.Err())
	}
	for _, spec := range started {
		have, err := e.inspect(ctx, spec.Name)
		if errdefs.IsNotFound(err) {
			return retry(release.ContainerMissing, "start "+spec.Name, errors.New("it was removed while it started"))
		}
		if err != nil {
			return classify(ctx, "start "+spec.Name, err)
		}
		if ended := e.ended(ctx, have, mayComplete(set, spec.Service)); ended != nil {
			return revert(release.StartFailed, "start "+spec.Name, ended)
		}
	}
	return nil
}

// mayComplete reports whether some service of the set waits for this one to
// complete: then ending is its job.
func mayComplete(set release.SetSpec, service string) bool {
	for _, c := range set.Containers {
		for _, d := range c.DependsOn {
			if d.Service == service && d.Condition == conditionCompleted {
				return true
			}
		}
	}
	return false
}

func (e *Engine) start(ctx context.Context, spec release.ContainerSpec, once bool) error {
	what := "start " + spec.Name
	have, err := e.inspect(ctx, spec.Name)
	if errdefs.IsNotFound(err) {
		return retry(release.ContainerMissing, what, errors.New("there is no such container; it has to be created first"))
	}
	if err != nil {
		return classify(ctx, what, err)
	}
	if err := e.ours("container", spec.Name, have.Config.Labels); err != nil {
		return err
	}
	if have.State.Paused {
		_, err := ask(ctx, quickCall, func(ctx context.Context) (client.ContainerUnpauseResult, error) {
			return e.api.ContainerUnpause(ctx, have.ID, client.ContainerUnpauseOptions{})
		})
		return classify(ctx, what, err)
	}
	if have.State.Running && !have.State.Restarting {
		return nil
	}
	if !sameSpec(have.Config.Labels, spec) {
		// What was judged is what starts, never something else under its name.
		return retry(release.ContainerMissing, what, errors.New("the container of that name was made from another specification; it has to be created first"))
	}
	if once && have.State.Status == container.StateExited && have.State.ExitCode == 0 && !engineTime(have.State.StartedAt).IsZero() {
		return nil // it completed: going back must not run an older release's preparations again
	}
	_, err = ask(ctx, slowCall, func(ctx context.Context) (client.ContainerStartResult, error) {
		return e.api.ContainerStart(ctx, have.ID, client.ContainerStartOptions{})
	})
	if staleTask(err) {
		return e.freeStale(ctx, spec.Name, err)
	}
	return classifyStart(ctx, what, err)
}

// staleTask reports whether the engine lost track of a container's task: it was restarted,
// takes the container for ended, and refuses to start it for ever because its runtime
// still holds the task.
func staleTask(err error) bool {
	return err != nil && says(err, "task ") && says(err, ": already exists")
}

// staleGrace is what the engine gets to finish a start of its own, which looks the same
// for a moment.
const staleGrace = time.Second

// freeStale removes a container that its engine cannot start any more. Its volumes stay;
// whoever wants it running creates it anew.
func (e *Engine) freeStale(ctx context.Context, name string, cause error) error {
	what := "start " + name
	select {
	case <-ctx.Done():
		return classify(ctx, what, ctx.Err())
	case <-time.After(staleGrace):
	}
	have, err := e.inspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
	case err != nil:
		return classify(ctx, what, err)
	case have.State.Running:
		return nil
	default:
		if err := e.removeContainer(ctx, have.ID); err != nil {
			return classify(ctx, what, err)
		}
		e.log.Warn("the engine lost track of a container; it is made anew", "container", name, "err", cause)
	}
	return retry(release.ContainerMissing, what, cause)
}

// classifyStart knows what an engine's refusal to start a container means: what
// runc or the kernel say of the program is the release's doing, the rest is not.
func classifyStart(ctx context.Context, what string, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, diskFull(err):
		return classify(ctx, what, err)
	case says(err, addressTaken):
		return retry(release.AddressTaken, what, err)
	case says(err, outsideSubnet...):
		return hold(release.EdgeNetworkMismatch, what, err)
	case errdefs.IsInvalidArgument(err), says(err, "oci runtime", "executable file not found", "exec format error",
		"error gathering device information", "error while creating mount source path"):
		return revert(release.StartFailed, what, err)
	}
	return classify(ctx, what, err)
}

// ended describes a container that does not run although it was started; nil when it
// runs, or completed as it should.
func (e *Engine) ended(ctx context.Context, c container.InspectResponse, mayComplete bool) error {
	s := c.State
	if s.Running && !s.Restarting {
		return nil
	}
	if mayComplete && s.Status == container.StateExited && s.ExitCode == 0 {
		return nil
	}
	text := fmt.Sprintf("it ended with exit code %d", s.ExitCode)
	switch {
	case s.OOMKilled:
		text = "it was killed because it used up its memory"
	case s.Status == container.StateCreated || s.Status == container.StateRemoving || s.Status == container.StateDead:
		text = "it is " + string(s.Status)
	}
	if s.Error != "" {
		text += " (" + clip(escape(s.Error), maxErrorText) + ")"
	}
	if tail := e.tail(ctx, c.ID); tail != "" {
		text += "; it said: " + tail
	}
	return told("%s", text)
}
