package proxy

import (
	"context"
	"sync"
	"time"
)

// events keeps the last events for those who ask.
type events struct {
	mu   sync.Mutex // guards the rest
	ring []Event    // oldest first
	seq  uint64
	more chan struct{} // closed when there is a newer one
}

const keptEvents = 1024

// newEvents numbers from the clock, so that numbers grow over restarts too, and above
// floor, so that they do when the clock went back.
func newEvents(now time.Time, floor uint64) *events {
	return &events{seq: max(uint64(max(now.UnixNano(), 0)), floor), more: make(chan struct{})}
}

func (e *events) publish(v Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Time.IsZero() {
		v.Time = time.Now().UTC()
	}
	e.seq = max(e.seq+1, uint64(max(v.Time.UnixNano(), 0)))
	v.Seq = e.seq
	if len(e.ring) == keptEvents {
		e.ring = append(e.ring[:0:0], e.ring[keptEvents/4:]...)
	}
	e.ring = append(e.ring, v)
	close(e.more)
	e.more = make(chan struct{})
}

func (e *events) last() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seq
}

// after is the kept events after seq, and a channel that closes when there are more.
func (e *events) after(seq uint64) ([]Event, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := len(e.ring)
	for i > 0 && e.ring[i-1].Seq > seq {
		i--
	}
	return append([]Event(nil), e.ring[i:]...), e.more
}

// follow calls do for each event after since until ctx ends or do fails, and idle when
// nothing came for a while.
func (e *events) follow(ctx context.Context, since uint64, do func(Event) error, idle func() error) error {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		list, more := e.after(since)
		for _, v := range list {
			if err := do(v); err != nil {
				return err
			}
			since = v.Seq
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		case <-tick.C:
			if err := idle(); err != nil {
				return err
			}
		}
	}
}
