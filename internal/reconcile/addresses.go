package reconcile

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// addresses hands out fixed IPv4 addresses of the edge network. What an app holds is
// in its journal; this is the view over all apps, so that two never get the same.
type addresses struct {
	prefix netip.Prefix

	mu   sync.Mutex // guards used
	used map[netip.Addr]string
}

func newAddresses(prefix netip.Prefix) *addresses {
	return &addresses{prefix: prefix.Masked(), used: map[netip.Addr]string{}}
}

// hold replaces what an app holds by the addresses of its state.
func (a *addresses) hold(app string, s rollout.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ip, holder := range a.used {
		if holder == app {
			delete(a.used, ip)
		}
	}
	for _, ip := range s.Addresses() {
		a.used[ip] = app
	}
}

// give returns addresses for every replica of every routed service that has none
// yet, keeping those it has. Network, gateway (first) and broadcast are left out.
func (a *addresses) give(app string, rel *release.Release, have map[string]netip.Addr) (map[string]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]netip.Addr{}
	next := a.prefix.Addr().Next().Next()
	for _, s := range rel.Services {
		if s.Class() != release.ClassRouted {
			continue
		}
		for n := 1; n <= max(1, s.Replicas); n++ {
			key := replica(s.Name, n)
			if ip, ok := have[key]; ok {
				out[key] = ip
				continue
			}
			for a.used[next] != "" {
				next = next.Next()
			}
			if !a.prefix.Contains(next) || !a.prefix.Contains(next.Next()) {
				return nil, &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.EdgeFull,
					Detail: fmt.Sprintf("the edge network %s has no free address", a.prefix)}
			}
			out[key] = next
			a.used[next] = app
		}
	}
	return out, nil
}

func replica(service string, n int) string { return fmt.Sprintf("%s/%d", service, n) }
