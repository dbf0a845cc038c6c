package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// generation is one configuration of an app, as it serves.
type generation struct {
	app    string
	config App // in normal form
	sets   map[vocab.Colour]*set
	live   *set    // nil when no colour is live
	window *window // nil: bursts are not asked for

	// headless counts the requests that chose this generation and whose answer has
	// not begun.
	headless atomic.Int64
	held     atomic.Int64 // requests that wait for the end of its pause

	switchedAt time.Time // guarded by Proxy.mu
}

// flight is one request on its way through a set.
type flight struct {
	gen    *generation
	set    *set
	route  Route
	id     string // X-Request-Id
	chosen time.Time

	// Of the request's own goroutine.
	headed  bool
	replica *replica

	cancel  context.CancelCauseFunc
	broken  atomic.Bool           // the target broke the answer off
	client  atomic.Pointer[error] // why the client's body could not be read
	upgrade *upgrade              // guarded by set.mu
	cut     bool                  // guarded by set.mu
}

// enter counts a request in, before it is known whether the generation still serves.
func (g *generation) enter() {
	g.headless.Add(1)
	g.live.counters.inFlight.Add(1)
}

// leave takes back what enter did.
func (g *generation) leave() {
	g.headless.Add(-1)
	g.live.counters.inFlight.Add(-1)
}

// head notes that the answer has begun, or will not.
func (f *flight) head() {
	if !f.headed {
		f.headed = true
		f.gen.headless.Add(-1)
	}
}

// begin makes the flight known to Drain.
func (f *flight) begin() {
	f.set.mu.Lock()
	f.set.flights[f] = struct{}{}
	f.set.mu.Unlock()
}

// end forgets the flight.
func (f *flight) end() {
	f.head()
	f.on(nil)
	f.set.mu.Lock()
	delete(f.set.flights, f)
	upgraded, cut := f.upgrade != nil, f.cut
	f.set.mu.Unlock()
	c := &f.set.counters
	if upgraded {
		c.upgraded.Add(-1)
	}
	if f.broken.Load() && !cut {
		c.broken.Add(1)
		c.errors.Add(1)
	}
	c.inFlight.Add(-1)
	f.cancel(nil)
}

// on moves the flight to a replica.
func (f *flight) on(r *replica) {
	if f.replica != nil {
		f.replica.inFlight.Add(-1)
	}
	if f.replica = r; r != nil {
		r.inFlight.Add(1)
	}
}

// upgradedTo notes that the client's connection is no longer HTTP.
func (f *flight) upgradedTo(u *upgrade) {
	f.set.counters.upgraded.Add(1)
	f.set.mu.Lock()
	f.upgrade = u
	f.set.mu.Unlock()
}

// clientError is why the client's body could not be read, nil when it could.
func (f *flight) clientError() error {
	if err := f.client.Load(); err != nil {
		return *err
	}
	return nil
}

const (
	headWait = time.Second // how long Put waits for heads
	headPoll = 200 * time.Microsecond
)

// awaitHeads waits until every request that chose the generation has its head, at
// most headWait. It returns how many have not.
func (g *generation) awaitHeads(ctx context.Context) int {
	deadline := time.Now().Add(headWait)
	for pause := headPoll; ; pause = min(2*pause, 5*time.Millisecond) {
		n := g.headless.Load()
		left := time.Until(deadline)
		if n == 0 || left <= 0 {
			return int(n)
		}
		select {
		case <-ctx.Done():
			return int(n)
		case <-time.After(min(pause, left)):
		}
	}
}
