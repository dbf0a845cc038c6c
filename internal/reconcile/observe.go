package reconcile

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// How long a look may take. An engine that hangs must delay no flip: after one look
// that it did not answer, the next ones are short.
const (
	engineTimeout = 5 * time.Second
	hungTimeout   = time.Second
	proxyTimeout  = 3 * time.Second
)

// observe looks at the world: the effect in flight, the engine, the proxy. Neither of
// the two waits for the other.
func (l *loop) observe(ctx context.Context) rollout.Seen {
	seen := rollout.Seen{Running: l.inFlight, Cancelling: l.asked}
	type looked struct {
		view SwitchState
		err  error
	}
	proxy := make(chan looked, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
		defer cancel()
		view, _, err := l.view(ctx)
		proxy <- looked{view, err}
	}()
	bound := engineTimeout
	if l.hung {
		bound = hungTimeout
	}
	engine, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	containers, err := l.look(engine)
	l.hung = err != nil && engine.Err() != nil
	if err != nil {
		seen.EngineDown = true
		l.log.Debug("engine not observed", "err", err)
	} else {
		l.addr.observed(l.app, containers)
	}
	seen.Containers = containers
	l.mu.Lock()
	seen.Burst = l.burst
	l.mu.Unlock()
	p := <-proxy
	if p.err != nil {
		l.log.Debug("proxy not observed", "err", p.err)
		return seen
	}
	seen.Switch = rollout.SwitchView{Reachable: true, Known: p.view.Known, Generation: p.view.Config.Generation, Live: p.view.Config.Live}
	if l.state.Live != nil && p.view.Known {
		seen.Switch.Matches = l.matches(p.view.Config)
		seen.Baseline = l.meter.share(l.state.Live.ID.Colour, p.view.Traffic[l.state.Live.ID.Colour], time.Now())
	}
	return seen
}

// matches compares what the proxy serves with what the journal says is live.
func (l *loop) matches(c SwitchConfig) bool {
	live := *l.state.Live
	if c.Live != live.ID.Colour {
		return false
	}
	want, err := l.switchConfig(rollout.Effect{Set: live})
	if err != nil {
		return true // nothing better is known; the shelf's own error is reported elsewhere
	}
	return slices.Equal(c.Routes, want.Routes) &&
		maps.EqualFunc(c.Targets[c.Live], want.Targets[c.Live], func(a, b []netip.AddrPort) bool { return slices.Equal(a, b) })
}

// meter keeps five minutes of the live colour's traffic for the baseline.
type meter struct {
	colour release.Colour
	points []point
}

type point struct {
	at      time.Time
	traffic rollout.Traffic
}

const baselineWindow = 5 * time.Minute

// share is the part of 5xx answers among those of the last five minutes.
func (m *meter) share(colour release.Colour, now rollout.Traffic, at time.Time) float64 {
	if m.colour != colour || len(m.points) > 0 && m.points[len(m.points)-1].traffic.Requests > now.Requests {
		m.colour, m.points = colour, nil
	}
	m.points = append(m.points, point{at, now})
	first := 0
	for first < len(m.points)-1 && at.Sub(m.points[first+1].at) >= baselineWindow {
		first++
	}
	m.points = m.points[first:]
	if len(m.points) > 600 { // busy loops add many points: keep every second one
		m.points = slices.DeleteFunc(m.points, func() func(point) bool {
			n := 0
			return func(point) bool { n++; return n%2 == 0 && n < 600 }
		}())
	}
	base := m.points[0].traffic
	if now.Requests <= base.Requests {
		return 0
	}
	return float64(now.Errors-base.Errors) / float64(now.Requests-base.Requests)
}
