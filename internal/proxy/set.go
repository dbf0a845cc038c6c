package proxy

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// set is the targets of one colour of an app, with their connections, counters and
// whatever is in flight on them. It lives as long as its targets and its release stay
// the same and it is not drained, through any number of generations, and then until
// nothing is in flight. Addresses alone do not tell two releases apart: a later one may
// be given those of one that is gone.
type set struct {
	app      string // guarded by Proxy.mu: another app may take the place
	colour   vocab.Colour
	release  string
	targets  map[string][]string
	services map[string]*service
	pooled   *http.Transport // for requests that may be sent again
	single   *http.Transport // for the others: a connection each
	tunnels  *http.Transport // for what becomes a WebSocket
	counters counters

	live    bool // gets new requests; guarded by Proxy.mu
	drained bool // Drain has ended it; guarded by Proxy.mu

	mu      sync.Mutex // guards flights and their upgrade; held for a map access
	flights map[*flight]struct{}
}

// service is the replicas of one service in a set.
type service struct {
	replicas []*replica
	turn     atomic.Uint32 // breaks ties
}

type replica struct {
	address  string
	inFlight atomic.Int64
	pool     pool
	avoid    atomic.Int64 // until when, in unix nanoseconds: it took no connection
}

// counters of a set. Every field is an atomic of its own: a reader may see a request
// half counted, never twice.
type counters struct {
	requests, errors, own, broken, aborted, cut atomic.Uint64
	classes                                     [6]atomic.Uint64 // by the status's first digit
	inFlight, upgraded                          atomic.Int64
}

const (
	dialTimeout = 3 * time.Second
	avoidFor    = time.Second
	idlePool    = 1024 // connections kept per replica
	idleFor     = 60 * time.Second
)

func newSet(app string, colour vocab.Colour, version string, targets map[string][]string, answerTimeout time.Duration) *set {
	s := &set{app: app, colour: colour, release: version, targets: targets, services: map[string]*service{}, flights: map[*flight]struct{}{}}
	for name, addresses := range targets {
		svc := &service{}
		for _, a := range addresses {
			svc.replicas = append(svc.replicas, &replica{address: a})
		}
		s.services[name] = svc
	}
	s.pooled, s.single, s.tunnels = newTransport(answerTimeout, dial), newTransport(answerTimeout, dialOnce), newTransport(answerTimeout, dial)
	s.pooled.MaxIdleConnsPerHost, s.pooled.IdleConnTimeout = idlePool, idleFor
	s.single.DisableKeepAlives, s.tunnels.DisableKeepAlives = true, true
	return s
}

func newTransport(answerTimeout time.Duration, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		DisableCompression:     true,
		ExpectContinueTimeout:  time.Second,
		ResponseHeaderTimeout:  answerTimeout,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// dial connects to a target.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

// dialOnce connects for one request. Such a connection is reset at its end: closed
// politely it would keep its local port for a minute, and there are some 28,000 to a
// target. Its end comes when the answer is read or nobody wants it any more.
func dialOnce(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dial(ctx, network, address)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the port is only kept for longer
	}
	return c, err
}

// dialError marks a request of which no byte was sent.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// same reports whether the set can go on as the given targets of a release.
func (s *set) same(version string, targets map[string][]string) bool {
	return !s.drained && s.release == version && reflect.DeepEqual(s.targets, targets)
}

// least is the replica with the least in flight, but for the one that was just tried
// and those that took no connection a moment ago. It is nil when there is no other.
func (s *service) least(tried *replica, now time.Time) *replica {
	var best *replica
	var most int64
	first := int(s.turn.Add(1))
	for i := range s.replicas {
		r := s.replicas[(first+i)%len(s.replicas)]
		if r == tried {
			continue
		}
		load := r.inFlight.Load()
		if r.avoid.Load() > now.UnixNano() {
			load += 1 << 40 // only when nobody else is there
		}
		if best == nil || load < most {
			best, most = r, load
		}
	}
	return best
}

// snapshot is the counters for a reader.
func (c *counters) snapshot() Counters {
	// Errors first: a request counted in between must not make them exceed Requests.
	out := Counters{Errors: c.errors.Load(), Own: c.own.Load(), Broken: c.broken.Load(), Cut: c.cut.Load(), Aborted: c.aborted.Load(),
		InFlight: c.inFlight.Load(), Upgraded: c.upgraded.Load()}
	for i, name := range [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if n := c.classes[i].Load(); n > 0 && name != "" {
			if out.Classes == nil {
				out.Classes = map[string]uint64{}
			}
			out.Classes[name] = n
		}
	}
	out.Requests = c.requests.Load()
	return out
}
