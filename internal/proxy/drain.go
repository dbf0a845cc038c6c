package proxy

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

var errColourLive = errors.New("the colour gets the traffic; switch first")

const (
	drainPoll = 5 * time.Millisecond
	drainTail = 2 * farewell // for what was cut to be gone
)

// Drain waits until the app's colour has nothing in flight: requests at most for http,
// upgraded connections at most for websocket. Then it cuts what is left and counts it.
// Ending ctx stops the waiting and cuts nothing. A colour that becomes live meanwhile
// is let alone.
func (p *Proxy) Drain(ctx context.Context, app string, colour vocab.Colour, http, websocket time.Duration) (Drained, error) {
	begin := time.Now()
	var done Drained
	var ends time.Time // after everything was cut
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		sets, err := p.draining(app, colour)
		if err != nil {
			return done, err
		}
		busy := slices.ContainsFunc(sets, func(s *set) bool { return s.counters.inFlight.Load() > 0 })
		waited := time.Since(begin)
		if !busy || !ends.IsZero() && time.Now().After(ends) {
			return done, p.drained(app, colour)
		}
		if waited >= min(http, websocket) {
			n, err := p.cut(app, colour, waited >= http, waited >= websocket)
			done.Cut += n
			if err != nil {
				return done, err
			}
		}
		if ends.IsZero() && waited >= max(http, websocket) {
			ends = time.Now().Add(drainTail)
		}
		select {
		case <-ctx.Done():
			return done, ctx.Err()
		case <-tick.C:
		}
	}
}

// draining is the sets of a colour, those before the present one included.
func (p *Proxy) draining(app string, colour vocab.Colour) ([]*set, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ofColour(app, colour)
}

func (p *Proxy) ofColour(app string, colour vocab.Colour) (sets []*set, err error) {
	known := p.table.Load().apps[app] != nil
	for _, s := range p.sets {
		if s.app != app {
			continue
		}
		known = true
		if s.colour != colour {
			continue
		}
		if s.live {
			return nil, errColourLive
		}
		sets = append(sets, s)
	}
	if !known {
		return nil, ErrUnknownApp
	}
	return sets, nil
}

// cut ends what is left on a colour: requests, upgraded connections, or both. No switch
// can come in between, so nothing that chose a live set is hit.
func (p *Proxy) cut(app string, colour vocab.Colour, requests, upgraded bool) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sets, err := p.ofColour(app, colour)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range sets {
		n += s.cut(requests, upgraded)
		if requests && p.front != nil {
			n += p.front.cut(s)
		}
	}
	return n, nil
}

func (s *set) cut(requests, upgraded bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for f := range s.flights {
		if f.cut || f.upgrade == nil && !requests || f.upgrade != nil && !upgraded {
			continue
		}
		f.cut = true
		s.counters.cut.Add(1)
		n++
		f.finish()
	}
	return n
}

// drained notes the end of a colour's sets: what comes next on their addresses counts
// anew.
func (p *Proxy) drained(app string, colour vocab.Colour) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sets, err := p.ofColour(app, colour)
	for _, s := range sets {
		s.drained = true
	}
	return err
}

// finish ends a flight: a request at once, a WebSocket with a close frame and a moment
// for the client's answer to it.
func (f *flight) finish() {
	if f.upgrade == nil {
		f.cancel(errCut)
		return
	}
	go func(u *upgrade) {
		u.goAway()
		time.AfterFunc(farewell, func() { f.cancel(errCut) })
	}(f.upgrade)
}

// leave ends every upgraded connection, when the proxy itself goes.
func (p *Proxy) leave() {
	p.leaving.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sets {
		s.cut(false, true)
	}
}

// idle reports whether nothing is in flight.
func (p *Proxy) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.sets, func(s *set) bool { return s.counters.inFlight.Load() > 0 })
}
