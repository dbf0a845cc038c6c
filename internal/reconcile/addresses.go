package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// addresses hands out fixed IPv4 addresses of the edge network. What an app holds is
// in its journal; this is the view over all apps, so that two never get the same.
type addresses struct {
	prefix netip.Prefix

	mu   sync.Mutex // guards the rest
	used map[netip.Addr]string
	seen map[string][]netip.Addr // by app: of every container on the engine, whatever the journal knows
}

func newAddresses(prefix netip.Prefix) *addresses {
	return &addresses{prefix: prefix.Masked(), used: map[netip.Addr]string{}, seen: map[string][]netip.Addr{}}
}

// observed notes the addresses that an app's containers have on the engine: one that
// the journal does not know must not be given again.
func (a *addresses) observed(app string, containers []rollout.Container) {
	var all []netip.Addr
	for _, c := range containers {
		if c.Address.IsValid() {
			all = append(all, c.Address)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[app] = all
}

// taken reports whether an address may not be given; a.mu is held.
func (a *addresses) taken(ip netip.Addr) bool {
	if a.used[ip] != "" {
		return true
	}
	for _, all := range a.seen {
		if slices.Contains(all, ip) {
			return true
		}
	}
	return false
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
			for a.taken(next) {
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
