package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

var (
	addrA = netip.MustParseAddrPort("192.0.2.1:80")
	addrB = netip.MustParseAddrPort("192.0.2.2:80")
)

// script answers the probes of each address in order: . passes, x fails, - hangs,
// ! is a connection this host cannot make; the last one goes on for ever.
type script map[string]string

func (s script) client() client {
	var mu sync.Mutex
	at := map[string]int{}
	next := func(address string) byte {
		mu.Lock()
		defer mu.Unlock()
		line := s[address]
		c := line[min(at[address], len(line)-1)]
		at[address]++
		return c
	}
	return client{dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		what := next(address)
		if what == '!' {
			return nil, syscall.EMFILE
		}
		q := &pipes{answer: func(_ int, _ string, c net.Conn) {
			switch what {
			case '.':
				says(c, "200 OK", "")
			case 'x':
				says(c, "503 Service Unavailable", "db down")
			default:
				hangs(c)
			}
		}}
		return q.client().dial(ctx, network, address)
	}}
}

func TestAwaitPasses(t *testing.T) {
	probe := release.Probe{Path: "/up", Every: time.Second, Timeout: 2 * time.Second, Passes: 3, Deadline: 10 * time.Second}
	once := probe
	once.Passes = 1
	patient := probe
	patient.Timeout = 3 * time.Second
	slow := probe
	slow.Every, slow.Deadline = 4*time.Second, 30*time.Second
	for name, c := range map[string]struct {
		script script
		b      release.Probe
		after  time.Duration
		fault  rollout.Fault // "": it passes
		says   string
	}{
		"at once":               {script{"A": ".", "B": "."}, probe, 2 * time.Second, "", ""},
		"in a row":              {script{"A": "..x..x...", "B": "."}, probe, 8 * time.Second, "", ""},
		"one is slower":         {script{"A": ".", "B": "xx..."}, slow, 16 * time.Second, "", ""},
		"one pass is enough":    {script{"A": "...", "B": "xxxx."}, once, 4 * time.Second, "", ""},
		"errors do not count":   {script{"A": "..!...", "B": "."}, probe, 5 * time.Second, "", ""},
		"never":                 {script{"A": ".", "B": "x"}, probe, 10 * time.Second, rollout.FaultRevert, "web-b at 192.0.2.2:80/up did not pass its probe within 10s: answered 503, not 200-299: db down"},
		"hangs":                 {script{"A": ".", "B": "-"}, patient, 10 * time.Second, rollout.FaultRevert, "no answer in time"},
		"never three":           {script{"A": ".", "B": "..x..x..x.."}, probe, 10 * time.Second, rollout.FaultRevert, "503"},
		"too late":              {script{"A": ".", "B": "xxxxxxxx.."}, probe, 10 * time.Second, rollout.FaultRevert, "it had passed 2 of 3 times in a row"},
		"cannot ask":            {script{"A": ".", "B": "!"}, probe, 10 * time.Second, rollout.FaultRetry, "could not ask"},
		"cannot ask any more":   {script{"A": ".", "B": "x!"}, probe, 10 * time.Second, rollout.FaultRevert, "could not ask"},
		"a deadline of its own": {script{"A": "xxxxxxx...", "B": "x"}, release.Probe{Every: time.Second, Deadline: 3 * time.Second}, 3 * time.Second, rollout.FaultRevert, "within 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := script{addrA.String(): c.script["A"], addrB.String(): c.script["B"]}.client()
				begin := time.Now()
				var mu sync.Mutex
				told := map[string][]rollout.ProbeResult{}
				err := from.awaitAll(t.Context(), []Target{{"web-a", addrA, probe}, {"web-b", addrB, c.b}}, func(to Target, r rollout.ProbeResult, _ string) {
					mu.Lock()
					defer mu.Unlock()
					told[to.Service] = append(told[to.Service], r)
				})
				if d := time.Since(begin); d != c.after {
					t.Errorf("after %v, want %v", d, c.after)
				}
				if len(told["web-a"]) == 0 || len(told["web-b"]) == 0 {
					t.Errorf("told %v", told)
				}
				if c.fault == "" {
					if err != nil {
						t.Errorf("await: %v", err)
					}
					for s, results := range told {
						if n := len(results); n < 1 || !slices.Contains(results, rollout.Pass) || results[n-1] != rollout.Pass {
							t.Errorf("%s told %v", s, results)
						}
					}
					return
				}
				var e *rollout.EffectError
				if !errors.As(err, &e) || e.Fault != c.fault || !strings.Contains(e.Error(), c.says) {
					t.Fatalf("await: %v %+v, want %s %q", err, e, c.fault, c.says)
				}
				if (e.Code == release.ProbeFailed) != (e.Fault == rollout.FaultRevert) {
					t.Errorf("code %s with fault %s", e.Code, e.Fault)
				}
			})
		})
	}
}

func TestAwaitNothing(t *testing.T) {
	if err := AwaitPasses(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	died := errors.New("the container died")
	for name, answers := range map[string]string{"between probes": "x", "in a probe": "-"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(2500*time.Millisecond, func() { cancel(died) })
				begin := time.Now()
				err := script{addrA.String(): answers}.client().awaitAll(ctx, []Target{{Service: "web", Address: addrA}}, nil)
				if err != died || time.Since(begin) != 2500*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
			})
		})
	}
}

// What the whole wait does on real sockets: an app that comes up after a while.
func TestAwaitARealApp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	up := make(chan net.Listener, 1)
	var first sync.Once
	p := release.Probe{Every: 10 * time.Millisecond, Passes: 3, Deadline: 30 * time.Second}
	err = AwaitPasses(t.Context(), []Target{target(a, p)}, func(_ Target, r rollout.ProbeResult, _ string) {
		first.Do(func() { // refused once; now the app starts to listen
			if r != rollout.Fail {
				t.Errorf("nobody listens: %s", r)
			}
			l, err := net.Listen("tcp", a.String())
			if err != nil {
				t.Error(err)
				return
			}
			up <- l
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					says(c, "200 OK", "")
					c.Close()
				}
			}()
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	(<-up).Close()
}
