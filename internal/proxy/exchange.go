package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tealops/teal/internal/proxy/h1"
	"github.com/tealops/teal/internal/vocab"
)

// flying is the request that a line carries.
type flying struct {
	gen      *generation
	set      *set
	route    Route
	replica  *replica
	busy     bool // counted at replica
	pooled   bool // its connection may be kept
	released bool // the target is done with, and its connection no longer the line's
	chosen   time.Time
	id       [26]byte // X-Request-Id, when the client sent none that is sane
	ownID    []byte   // the client's
	path     string   // the target as it is sent on, when it is not as it came
	prefix   string   // what was stripped off it
	headed   bool
	dirty    bool // the answer's framing is not at its end: nothing more may follow

	// Of a body that is passed on as it comes.
	sent   chan struct{} // closed when its sender has ended; nil when there is none
	behind []byte        // what the client sent behind the body
}

// requestID is the request's, as both sides get it.
func (f *flying) requestID() []byte {
	if f.ownID != nil {
		return f.ownID
	}
	return f.id[:]
}

type lineEnd uint8

const (
	lineKept   lineEnd = iota
	lineHanded         // to net/http, since nothing was done yet
	lineEnded          // after its last answer
	lineGone           // closed
)

// exchange carries one request, whose head has end bytes, to its target and the answer
// back.
func (l *line) exchange(end int) lineEnd {
	short := l.short(end)
	if short && !l.readBody(end) {
		if l.see(); l.timedOut {
			l.refuse(http.StatusRequestTimeout, "the request's body stopped coming")
		} else {
			l.close()
		}
		return lineGone
	}
	if l.deadline.Swap(0) == overdue { // its socket is of no use any more
		l.close()
		return lineGone
	}
	if !l.choose() {
		return lineHanded
	}
	size := len(l.in) // a body that is passed on as it comes takes all that is here
	if short {
		size = end + int(max(l.req.Length, 0))
	}
	kept := l.carry(l.in[end:size], !short)
	if ended := l.land(); ended || l.now.dirty {
		l.close()
		return lineGone
	}
	if l.in = l.in[size:]; l.now.behind != nil {
		l.take(l.now.behind)
	}
	if !kept {
		return lineEnded
	}
	return lineKept
}

// choose gives the request to the generation that serves now, and counts it in there.
// It is false, and nothing is counted, when the request wants another look than that.
func (l *line) choose() bool {
	r, p := &l.req, l.proxy
	path, query := r.Target, []byte(nil)
	for i, c := range path {
		if c == '?' {
			path, query = path[:i], path[i:]
			break
		}
	}
	for _, c := range query {
		if c == '#' || c >= 0x80 {
			return false
		}
	}
	l.now = flying{}
	f := &l.now
	if f.ownID = ownID(r.Fields); f.ownID == nil {
		newID(&f.id)
	}
	var u *url.URL
	if !plainPath(path) {
		var err error
		if u, err = url.ParseRequestURI(string(r.Target)); err != nil || checkPath(u) != nil {
			return false
		}
	}
	for {
		t := p.table.Load()
		e := l.find(t, path, u)
		if e == nil || e.gen.config.State != StateServe {
			return false
		}
		chosen, ok := p.join(t, e.gen)
		if !ok {
			continue
		}
		f.gen, f.set, f.route, f.chosen = e.gen, e.gen.live, e.Route, chosen
		l.mu.Lock()
		l.set, l.cut, l.body = f.set, false, bodyComing
		l.mu.Unlock()
		if f.route.StripPath {
			f.prefix = strings.TrimSuffix(f.route.Path, "/")
		}
		switch {
		case u != nil:
			if f.route.StripPath {
				strip(u, f.route.Path)
			}
			f.path = u.EscapedPath()
			if u.RawQuery != "" || u.ForceQuery {
				f.path += "?" + u.RawQuery
			}
		case f.prefix != "":
			f.path = rooted(string(r.Target[len(f.prefix):]))
		}
		return true
	}
}

// find is table.choose for what is on the wire.
func (l *line) find(t *table, path []byte, u *url.URL) *entry {
	if u != nil {
		host, ok := hostOf(string(l.req.Host))
		if !ok {
			return nil
		}
		e, err := t.choose(host, u)
		if err != nil {
			return nil
		}
		return e
	}
	entries, ok := t.hosts[string(l.req.Host)]
	if !ok {
		host, valid := hostOf(string(l.req.Host))
		if !valid {
			return nil
		}
		entries = t.hosts[host]
	}
	for i := range entries {
		if vocab.Covers(entries[i].Path, path) {
			return &entries[i]
		}
	}
	return nil
}

// plain marks the bytes of a path that every reader reads alike. The semicolon is not
// among them, nor is the percent sign.
var plain = func() (t [256]bool) {
	for _, c := range "/-._~!$&'()*+,=:@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

// plainPath reports whether a path needs no closer look: nothing in it is encoded, no
// segment is empty or begins with a dot.
func plainPath(path []byte) bool {
	after := byte(0)
	for _, c := range path {
		if !plain[c] || after == '/' && (c == '/' || c == '.') {
			return false
		}
		after = c
	}
	return true
}

// ownID is the client's id of its request when it is sane.
func ownID(fields []h1.Field) (id []byte) {
	ids := 0
	for i := range fields {
		if fields[i].Kind == h1.RequestID {
			id = fields[i].Value
			ids++
		}
	}
	if ids != 1 || !saneID(id) {
		return nil
	}
	return id
}

const idLetters = "abcdefghijklmnopqrstuvwxyz234567"

// newID makes an id of 128 random bits. The runtime's generator is ChaCha8, which
// nobody who sees some of its ids can follow.
func newID(id *[26]byte) {
	a, b := rand.Uint64(), rand.Uint64()
	for i := range 13 {
		id[i] = idLetters[a&31]
		id[13+i] = idLetters[b&31]
		a, b = a>>5, b>>5
	}
}

// repeatable reports whether a request may go out twice.
func repeatable(r *h1.Request) bool {
	switch string(r.Method) {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Length <= 0
	}
	return false
}

// carry asks the target and brings its answer. body is all of it or, with stream, what
// came with the head of one that is passed on as it comes. It is true when another
// request may come on the line.
func (l *line) carry(body []byte, stream bool) (kept bool) {
	f := &l.now
	svc := f.set.services[f.route.Service]
	f.pooled = !stream && repeatable(&l.req)
	out := l.appendRequest(l.out[:0], !f.pooled)
	if !stream && len(out)+len(body) <= smallRoom {
		out, body = append(out, body...), nil
	}
	l.out = out
	var tried *replica
	fresh := !f.pooled
	for {
		to := svc.least(tried, f.chosen)
		f.on(to)
		t, err := l.connect(to, fresh, !f.pooled)
		if err == nil {
			if stream {
				return l.stream(t, body)
			}
			var buf *[]byte
			var n int
			if buf, n, err = l.ask(t, out, body); err == nil {
				return l.bring(t, buf, n)
			}
			l.drop(t)
			if t.reused && !l.stopped() { // pooled, so it may go out twice
				fresh = true
				continue
			}
		}
		var dial *dialError
		if errors.As(err, &dial) && !l.stopped() {
			to.avoid.Store(time.Now().Add(avoidFor).UnixNano())
			if tried == nil && len(svc.replicas) > 1 {
				tried = to
				continue
			}
		}
		return l.answerFor(err)
	}
}

// connect takes an idle connection to a replica, or makes one.
func (l *line) connect(to *replica, fresh, once bool) (*targetConn, error) {
	var t *targetConn
	if !fresh {
		t = to.pool.get()
	}
	if t == nil {
		var err error
		if t, err = dialTarget(context.Background(), to.address, once); err != nil { // at most dialTimeout
			return nil, err
		}
	}
	l.mu.Lock()
	l.target = t
	stop := l.cut || l.gone
	l.mu.Unlock()
	if stop {
		l.drop(t)
		return nil, errCut
	}
	return t, nil
}

// drop closes the connection to the target.
func (l *line) drop(t *targetConn) {
	l.mu.Lock()
	l.target = nil
	l.mu.Unlock()
	t.close()
}

// ask sends the request and waits for the first bytes of the answer.
func (l *line) ask(t *targetConn, out, body []byte) (buf *[]byte, n int, err error) {
	if l.until(l.proxy.opt.AnswerTimeout); l.timedOut {
		return nil, 0, errTimeout
	}
	l.waits.Store(l.front.clock.Load())
	if len(body) == 0 {
		buf, n, err = t.ask(out)
	} else if _, err = (&net.Buffers{out, body}).WriteTo(t.tcp); err == nil {
		buf, n, err = t.read() // not ask: the answer may have come while this was sent
	}
	l.waits.Store(0)
	return ended(buf, n, err)
}

// await waits for bytes of the target.
func (l *line) await(t *targetConn) (buf *[]byte, n int, err error) {
	l.waits.Store(l.front.clock.Load())
	buf, n, err = t.read()
	l.waits.Store(0)
	return buf, n, err
}

// ended makes an error of an end that is no answer.
func ended(buf *[]byte, n int, err error) (*[]byte, int, error) {
	if err == nil && n == 0 {
		err = errStale
	}
	return buf, n, err
}

// stopped reports whether the request was ended from outside.
func (l *line) stopped() bool {
	l.see()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut || l.gone || l.timedOut
}

// answerFor answers for a target that did not.
func (l *line) answerFor(err error) (kept bool) {
	f := &l.now
	l.mu.Lock()
	cut, gone, body := l.cut, l.gone, l.body
	l.mu.Unlock()
	status, text := http.StatusBadGateway, "the app does not answer"
	switch {
	case gone:
		f.set.counters.aborted.Add(1)
		return false
	case cut:
		status, text = http.StatusGatewayTimeout, "the app did not finish before it was stopped"
	case body == bodyLate:
		status, text = http.StatusRequestTimeout, "the request's body stopped coming"
	case body == bodyBroken:
		status, text = http.StatusBadRequest, "the request's body is broken"
	case l.timedOut, errors.Is(err, errTimeout):
		status, text = http.StatusGatewayTimeout, "the app does not answer in time"
	}
	l.proxy.log.Debug("request not answered by the app", "app", f.gen.app, "colour", f.set.colour, "service", f.route.Service, "status", status, "request_id", string(f.requestID()), "err", err)
	l.revive()
	l.timedOut = false
	l.proxy.count(f.gen, f.set, status, true)
	l.out = l.appendOwn(l.out[:0], status, text)
	l.until(l.proxy.patience.answer)
	if _, err := l.tcp.Write(l.out); err != nil {
		f.dirty = true
	}
	f.head()
	return false
}

// head notes that the answer has begun, or will not.
func (f *flying) head() {
	if !f.headed {
		f.headed = true
		f.gen.headless.Add(-1)
	}
}

// on moves the request to a replica.
func (f *flying) on(r *replica) {
	f.free()
	if f.replica = r; r != nil {
		r.inFlight.Add(1)
		f.busy = true
	}
}

// free counts the request out at its replica, which is done with it. That is before the
// client has the last of the answer: its next request finds the replica free.
func (f *flying) free() {
	if f.busy {
		f.busy = false
		f.replica.inFlight.Add(-1)
	}
}

// land counts the request out. ended is true when the line was ended meanwhile: its
// socket may be past its time.
func (l *line) land() (ended bool) {
	f := &l.now
	f.head()
	f.on(nil)
	l.mu.Lock()
	l.set, l.target = nil, nil
	ended = l.cut || l.gone
	l.mu.Unlock()
	f.set.counters.inFlight.Add(-1)
	return ended
}

// cutOn ends the line's request when it runs on a set that is drained.
func (l *line) cutOn(s *set) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set != s || l.cut {
		return false
	}
	l.cut = true
	l.interrupt()
	return true
}
