package proxy

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is the client's side of a flight. It counts the answer when its head comes,
// and bounds how long the client may take nothing of it.
type answer struct {
	http.ResponseWriter
	rc     *http.ResponseController
	flight *flight
	proxy  *Proxy
	own    bool // it is the proxy's, not the target's
	wrote  bool
	gone   bool // hijacked
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status < 200 || a.wrote {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.begins(status)
	a.patience()
	a.ResponseWriter.WriteHeader(status)
	a.flight.head()
}

// begins counts the answer and adds what the proxy says itself.
func (a *answer) begins(status int) {
	a.wrote = true
	f := a.flight
	h := a.Header()
	if a.proxy.leaving.Load() && status != http.StatusSwitchingProtocols {
		h.Set("Connection", "close")
	}
	if _, told := h["Content-Type"]; !told {
		h["Content-Type"] = nil // net/http would guess one
	}
	if len(h["X-Request-Id"]) != 1 { // ours and the app's own: one is enough
		h.Set("X-Request-Id", f.id)
	}
	if a.proxy.opt.Expose {
		h.Set("Teal-App", f.gen.app)
		h.Set("Teal-Release", f.gen.config.Releases[f.set.colour])
		h.Set("Teal-Colour", string(f.set.colour))
		h.Set("Teal-Generation", strconv.FormatUint(f.gen.config.Generation, 10))
		h.Set("Teal-Chosen", strconv.FormatInt(f.chosen.UnixNano(), 10))
	}
	a.proxy.count(f.gen, f.set, status, a.own)
}

func (a *answer) Write(b []byte) (int, error) {
	if !a.wrote {
		a.WriteHeader(http.StatusOK)
	}
	a.patience()
	return a.ResponseWriter.Write(b)
}

// FlushError sends what is buffered.
func (a *answer) FlushError() error {
	if !a.wrote {
		a.WriteHeader(http.StatusOK)
	}
	a.patience()
	return a.rc.Flush()
}

// Hijack gives the connection away at an upgrade.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := a.rc.Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.gone = true
	a.begins(http.StatusSwitchingProtocols)
	u := &upgrade{Conn: c, early: rw.Reader}
	a.flight.upgradedTo(u)
	a.flight.head()
	return u, rw, nil
}

// patience begins the time that the client has to take the next piece.
func (a *answer) patience() { _ = a.rc.SetWriteDeadline(time.Now().Add(a.proxy.patience.answer)) }

// done leaves time for what the server still has to send.
func (a *answer) done() {
	if !a.gone {
		a.patience()
	}
}

// count counts one answer and reports a burst.
func (p *Proxy) count(g *generation, s *set, status int, own bool) {
	c := &s.counters
	bad := status >= 500
	c.requests.Add(1)
	c.classes[min(status/100, 5)].Add(1)
	if bad {
		c.errors.Add(1)
		if own {
			c.own.Add(1)
		}
	}
	if g.window == nil {
		return
	}
	errors, requests, burst := g.window.add(bad, time.Now())
	if burst && p.table.Load().apps[g.app] == g {
		p.events.publish(Event{Kind: EventBurst, App: g.app, Generation: g.config.Generation, Colour: s.colour, Errors: errors, Requests: requests})
	}
}
