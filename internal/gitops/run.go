package gitops

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Waits after a look that failed: the first, doubled each time up to the last.
const (
	retryFirst = 5 * time.Second
	retryLast  = 5 * time.Minute
)

// settleTime is how long a push to a local repository may go on after its first sign:
// one look instead of several.
const settleTime = 30 * time.Millisecond

// Run follows the repository until ctx ends, whose cause it returns. It looks at once,
// then every Poll, after an error with growing waits, and early when a local
// repository's references change or a damaged object was read. Errors of a look are
// in Status, never returned.
func (r *Repo) Run(ctx context.Context) error {
	w := newWatcher(r)
	defer w.close()
	for _, p := range r.places {
		if h, ok := p.source.(*httpSource); ok {
			defer h.idle()
		}
	}
	for {
		w.refresh()
		_, err := r.Sync(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// A directory of branches that came while we looked has to be watched, and may hold
		// more by now than was seen.
		if w.refresh() {
			poke(w.hit)
		}
		wait := r.pause(err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		case <-r.wake:
		case <-w.hit:
			// More of the same push is on its way.
			select {
			case <-time.After(settleTime):
			case <-ctx.Done():
			}
		}
		timer.Stop()
	}
}

// Kick makes Run look soon: at once, or after the look that is under way. Any number of
// calls while it waits are one look.
func (r *Repo) Kick() { poke(r.wake) }

// Follows reports whether a ref, by full name, is one that is looked at.
func (r *Repo) Follows(ref string) bool {
	return r.cfg.desired(ref) || ref == branchRef(r.cfg.Evidence)
}

// pause is the wait before the next look, written into Status.
func (r *Repo) pause(err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := jitter(r.cfg.Poll, rand.Float64())
	if err != nil && r.status.Failures > 0 && r.status.Code != release.GitStateLost {
		wait = backoff(r.status.Failures)
		if r.local != "" {
			// Looking again costs nobody anything: a push that was met half-way is seen soon.
			wait = min(wait, r.cfg.Poll)
		}
		wait = jitter(wait, rand.Float64())
	}
	r.status.Next = r.now().Add(wait)
	return wait
}

// backoff is the wait after a number of failures in a row.
func backoff(failures int) time.Duration {
	wait := retryFirst
	for range failures - 1 {
		if wait *= 2; wait >= retryLast {
			return retryLast
		}
	}
	return wait
}

// jitter spreads a wait over ±20 %, so that a fleet does not come all at once. x is in
// [0, 1).
func jitter(d time.Duration, x float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*x))
}
