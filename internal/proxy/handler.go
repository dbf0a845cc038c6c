package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	pauseWait = 10 * time.Second // how long a request is held by a pause
	maxHeld   = 4096             // requests held at once, over all apps
	maxTarget = 16 << 10         // bytes of a path, which takes time to judge
	retrySoon = "5"              // Retry-After of a pause or an incomplete proxy, in seconds
	retryPage = "30"             // of a maintenance page
)

// ServeHTTP answers one request of a client.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // that of the request before on this connection
	if p.leaving.Load() {
		w.Header().Set("Connection", "close")
		if r.Header.Get("Upgrade") != "" { // it would be cut at once
			refuse(w, http.StatusServiceUnavailable, "the proxy is leaving", retrySoon)
			return
		}
	}
	if p.opt.HealthPath != "" && r.URL.Path == p.opt.HealthPath {
		p.answerHealth(w, r)
		return
	}
	id := requestID(r)
	no := func(e *noAnswer) {
		w.Header().Set("X-Request-Id", id)
		refuse(w, e.status, e.text, e.retry)
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		no(errMethod)
		return
	}
	if len(r.URL.Path) > maxTarget {
		no(errLong)
		return
	}
	if err := checkPath(r.URL); err != nil {
		no(&noAnswer{status: http.StatusBadRequest, text: err.Error()})
		return
	}
	f, err := p.choose(r, id)
	var why *noAnswer
	switch {
	case errors.As(err, &why):
		no(why)
	case err != nil: // the client left
		panic(http.ErrAbortHandler)
	default:
		p.forward(w, rc, r, f)
	}
}

// noAnswer is why a request goes nowhere.
type noAnswer struct {
	status int
	text   string
	retry  string // Retry-After
}

func (e *noAnswer) Error() string { return e.text }

var (
	errMethod      = &noAnswer{http.StatusMethodNotAllowed, "this method is not passed on", ""}
	errLong        = &noAnswer{http.StatusRequestURITooLong, "the path is too long", ""}
	errHost        = &noAnswer{http.StatusBadRequest, "the Host header is not a host with a port", ""}
	errNoRoute     = &noAnswer{http.StatusNotFound, "no app has this host and path", ""}
	errIncomplete  = &noAnswer{http.StatusServiceUnavailable, "the proxy does not know all of its apps yet", retrySoon}
	errMaintenance = &noAnswer{http.StatusServiceUnavailable, "down for maintenance", retryPage}
	errPaused      = &noAnswer{http.StatusServiceUnavailable, "paused for longer than a request waits", retrySoon}
	errManyHeld    = &noAnswer{http.StatusServiceUnavailable, "paused, and too many requests wait", retrySoon}
)

// choose gives the request to the generation that serves now, and counts it in there.
func (p *Proxy) choose(r *http.Request, id string) (*flight, error) {
	host, ok := hostOf(r.Host)
	if !ok {
		return nil, errHost
	}
	var until *time.Timer // set while the request is held
	for {
		t := p.table.Load()
		e, err := t.choose(host, r.URL)
		if err != nil {
			return nil, &noAnswer{status: http.StatusBadRequest, text: err.Error()}
		}
		switch {
		case e == nil && p.incomplete:
			return nil, errIncomplete
		case e == nil:
			return nil, errNoRoute
		case e.gen.config.State == StateMaintenance:
			return nil, errMaintenance
		case e.gen.config.State == StatePause:
			if until == nil {
				until = time.NewTimer(p.opt.PauseWait)
				defer until.Stop()
			}
			if err := p.hold(r.Context(), e.gen, t.changed, until.C); err != nil {
				return nil, err
			}
			continue
		}
		if chosen, ok := p.join(t, e.gen); ok {
			return &flight{gen: e.gen, set: e.gen.live, route: e.Route, id: id, chosen: chosen}, nil
		}
	}
}

// join counts a request in on a generation of a table. ok is false when the table no
// longer served by then; then nothing is counted. The order is what a switch relies on:
// count in, take the time, look again.
func (p *Proxy) join(t *table, g *generation) (chosen time.Time, ok bool) {
	g.enter()
	chosen = time.Now()
	if p.table.Load() != t {
		g.leave()
		return time.Time{}, false
	}
	return chosen, true
}

// hold waits for another table, for the end of the patience, or for the client's end.
func (p *Proxy) hold(ctx context.Context, g *generation, changed <-chan struct{}, until <-chan time.Time) error {
	if p.held.Add(1) > maxHeld {
		p.held.Add(-1)
		return errManyHeld
	}
	g.held.Add(1)
	defer p.held.Add(-1)
	defer g.held.Add(-1)
	select {
	case <-changed:
		return nil
	case <-until:
		return errPaused
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answerHealth is for a load balancer in front of the host.
func (p *Proxy) answerHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "ask with GET or HEAD", "")
		return
	}
	if p.leaving.Load() {
		refuse(w, http.StatusServiceUnavailable, "leaving", "")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client may be gone
}

// refuse answers in the proxy's own name. Nothing of the request stands in it.
func refuse(w http.ResponseWriter, status int, text, retry string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if retry != "" {
		h.Set("Retry-After", retry)
	}
	body := strconv.Itoa(status) + " " + text + "\n"
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone
}

const maxRequestID = 128

// requestID is the client's own when it is sane, else a new one.
func requestID(r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && saneID(ids[0]) {
		return ids[0]
	}
	var id [26]byte
	newID(&id)
	return string(id[:])
}

func saneID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("-_.:/+=@", c) < 0 {
			return false
		}
	}
	return true
}
