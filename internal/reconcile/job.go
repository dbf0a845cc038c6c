package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Jobs runs one-off containers.
type Jobs interface {
	// RunOnce runs a container to its end. Its name is the run's identity: one that is
	// there is adopted, and one that has ended answers with what it left. tail is the end
	// of its log, fit for a terminal.
	RunOnce(ctx context.Context, spec release.ContainerSpec) (exit int, tail string, err error)
}

// stopGrace bounds the stop of a job that takes too long, past its own grace.
const stopGrace = 15 * time.Second

// runJob runs one job of a set to its end. What it fails for is the release's doing.
func (l *loop) runJob(ctx context.Context, e rollout.Effect) error {
	_, spec, err := l.plan(e.Set, e.Token)
	if err != nil {
		return err
	}
	for _, c := range spec.Jobs {
		if c.Service == release.JobService(e.Job) {
			return l.runOnce(ctx, e, c)
		}
	}
	return &rollout.EffectError{Fault: rollout.FaultHold, Code: release.Broken, Detail: "the stored release has no job " + e.Job}
}

func (l *loop) runOnce(ctx context.Context, e rollout.Effect, c release.ContainerSpec) error {
	failed := func(format string, args ...any) error {
		return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.JobFailed, Detail: "job " + e.Job + ": " + fmt.Sprintf(format, args...)}
	}
	exit, tail, err := l.Containers.RunOnce(ctx, c)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.StopGrace+stopGrace)
		defer cancel()
		if err := l.Containers.Stop(ctx, l.named(e.Set), e.Set.ID, []string{c.Service}); err != nil {
			l.log.Warn("a job that took too long was not stopped", "job", e.Job, "err", err)
		}
		return failed("it took longer than %s and was stopped", deadline(e))
	case err != nil:
		return err
	case exit != 0 && tail != "":
		return failed("it ended with exit code %d; it said: %s", exit, tail)
	case exit != 0:
		return failed("it ended with exit code %d", exit)
	}
	return nil
}

// jobServices are the service labels of a set's jobs.
func jobServices(spec release.SetSpec) []string {
	var names []string
	for _, c := range spec.Jobs {
		names = append(names, c.Service)
	}
	return names
}
