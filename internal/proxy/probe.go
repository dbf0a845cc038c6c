package proxy

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	probeTimeout = 2 * time.Second
	probesAtOnce = 16
)

// probe connects once to every live target after a start and says which take no
// connection. It changes nothing: the live colour is served as the state says, since a
// target that is slow to come up is still the right one.
func (p *Proxy) probe(ctx context.Context) {
	t := p.table.Load()
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		g := t.apps[name]
		if g.live == nil {
			continue
		}
		dead := unreachable(ctx, g.live)
		if len(dead) == 0 || ctx.Err() != nil {
			continue
		}
		text := fmt.Sprintf("targets of the live colour %s take no connection after the start: %v", g.live.colour, dead)
		p.log.Warn("targets unreachable", "app", name, "colour", string(g.live.colour), "targets", dead)
		p.alarm(name, text)
	}
}

// unreachable is the addresses of a set that take no connection.
func unreachable(ctx context.Context, s *set) []string {
	var (
		mu   sync.Mutex // guards dead
		dead []string
		all  sync.WaitGroup
	)
	slots := make(chan struct{}, probesAtOnce)
	dialer := net.Dialer{Timeout: probeTimeout}
	for _, svc := range s.services {
		for _, r := range svc.replicas {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				c, err := dialer.DialContext(ctx, "tcp", r.address)
				if err == nil {
					c.Close()
					return
				}
				mu.Lock()
				defer mu.Unlock()
				dead = append(dead, r.address)
			})
		}
	}
	all.Wait()
	slices.Sort(dead)
	return dead
}
