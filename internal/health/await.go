package health

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// AwaitPasses probes every target until each has passed as often in a row as its
// probe asks. progress, if not nil, is told of every answer, from several goroutines.
//
// A target that does not get there before its deadline ends the wait for all, with an
// *rollout.EffectError: to be reverted when it was asked and did not answer well, to be
// retried when this host could not ask. When ctx ends first, its cause is returned.
func AwaitPasses(ctx context.Context, targets []Target, progress func(Target, rollout.ProbeResult, string)) error {
	return direct.awaitAll(ctx, targets, progress)
}

func (c client) awaitAll(ctx context.Context, targets []Target, progress func(Target, rollout.ProbeResult, string)) error {
	g, within := errgroup.WithContext(ctx)
	for _, t := range targets {
		g.Go(func() error { return c.await(within, t, progress) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// await probes one target. Between the beginnings of two probes lies Every.
func (c client) await(ctx context.Context, t Target, progress func(Target, rollout.ProbeResult, string)) error {
	p := withDefaults(t.Probe)
	ends := time.Now().Add(p.Deadline)
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	passes, asked := 0, false
	last := ""
	for {
		left := time.Until(ends)
		if left <= 0 {
			return notPassed(t, p, asked, passes, last)
		}
		result, text := c.probe(ctx, t.Address, p, min(p.Timeout, left))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress != nil {
			progress(t, result, text)
		}
		switch result {
		case rollout.Pass:
			if passes++; passes >= p.Passes {
				return nil
			}
		case rollout.Fail:
			passes, asked, last = 0, true, text
		default:
			passes, last = 0, text
		}
		timer := time.NewTimer(time.Until(ends))
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// notPassed is the verdict at the deadline.
func notPassed(t Target, p release.Probe, asked bool, passes int, last string) error {
	e := &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ProbeFailed,
		Detail: fmt.Sprintf("%s at %s%s did not pass its probe within %s", t.Service, t.Address, shown([]byte(p.Path)), p.Deadline)}
	if !asked && passes == 0 { // never measured: not the release's fault
		e.Fault, e.Code = rollout.FaultRetry, release.EffectFailed
	}
	if last != "" {
		e.Detail += ": " + last
	}
	if passes > 0 {
		e.Detail += fmt.Sprintf("; it had passed %d of %d times in a row", passes, p.Passes)
	}
	return e
}
