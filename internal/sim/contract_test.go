package sim

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/tealops/teal/internal/docker/contract"
	"github.com/tealops/teal/internal/release"
)

// TestContract keeps the engine in memory honest: the real one passes the same cases
// (internal/docker).
func TestContract(t *testing.T) {
	contract.RunIn(t, synctest.Test, func(t *testing.T) contract.World {
		w := NewWorld()
		with := func(name string, do func(*container)) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if c := w.containers[name]; c != nil {
				do(c)
			}
		}
		return contract.World{
			Containers: host{&Agent{world: w, cancel: func() {}}},
			Host:       release.Host{Name: "h1", Instance: "sim", EdgeNetwork: "teal-edge", Files: "/files"},
			Program: func(b contract.Behaviour) (string, []string) {
				switch {
				case b.Exits:
					return "sim", []string{programExits, strconv.Itoa(b.Code)}
				case b.Deaf:
					return "sim", []string{programDeaf}
				}
				return "sim", nil
			},
			Address: func(n int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.9.0.%d", n+1)) },
			Answers: func(ip netip.Addr) string {
				w.mu.Lock()
				defer w.mu.Unlock()
				if c := w.answers(ip); c != nil {
					return c.spec.Hostname
				}
				return ""
			},
			Kill:   func(name string) { with(name, func(c *container) { c.end(137) }) },
			Vanish: func(name string) { with(name, func(*container) { delete(w.containers, name) }) },
		}
	})
}
