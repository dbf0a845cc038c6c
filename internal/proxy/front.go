package proxy

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// frontDoor takes the clients' connections. Each begins as a line on the fast path;
// what the fast path does not do goes on to the general one, which is net/http.
type frontDoor struct {
	proxy   *Proxy
	open    *connections
	general *handed
	began   time.Time
	clock   atomic.Int64 // nanoseconds since began as of the last tick, never 0: no step of the wall clock ends a wait
	splices slots        // transfers by the kernel: each holds two descriptors while it waits
	date    atomic.Pointer[string]
	tick    time.Duration
	unusual atomic.Uint64 // lines that went to the general path

	mu      sync.Mutex // guards the rest
	lines   map[*line]struct{}
	closing bool
	running sync.WaitGroup
}

// frontTick is how exactly waits are bounded. Nothing of a request waits for it.
const frontTick = 250 * time.Millisecond

func newFrontDoor(p *Proxy, open *connections) *frontDoor {
	f := &frontDoor{proxy: p, open: open, general: newHanded(), lines: map[*line]struct{}{}, began: time.Now(), splices: make(slots, spliceLimit()),
		tick: min(frontTick, p.patience.body/4, p.patience.answer/4, p.opt.AnswerTimeout/4)}
	f.time(time.Now())
	return f
}

func (f *frontDoor) time(now time.Time) {
	f.clock.Store(int64(now.Sub(f.began)) + 1)
	if date := now.UTC().Format(http.TimeFormat); f.date.Load() == nil || *f.date.Load() != date {
		f.date.Store(&date)
	}
}

// accept takes connections until the listener is closed.
func (f *frontDoor) accept(listener net.Listener) error {
	for pause := time.Duration(0); ; {
		c, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				// accept(2) also hands on what happened to the new connection.
				f.proxy.log.Warn("no connection accepted", "err", err)
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		l := f.line(c)
		if l == nil || !f.enter(l) {
			c.Close()
			continue
		}
		go func() {
			defer f.running.Done()
			l.serve()
		}()
	}
}

// line makes a connection's line; nil when the connection is gone already.
func (f *frontDoor) line(c net.Conn) *line {
	l := &line{front: f, proxy: f.proxy, conn: c}
	switch c := c.(type) {
	case *limitedConn:
		l.tcp = c.TCPConn
	case *net.TCPConn:
		l.tcp = c
	}
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return nil
	}
	l.raw, l.first = raw, l.readFirst
	l.from, _, _ = net.SplitHostPort(l.tcp.RemoteAddr().String())
	return l
}

// enter makes the line known. It is false when the proxy closes.
func (f *frontDoor) enter(l *line) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return false
	}
	f.lines[l] = struct{}{}
	f.open.open.Add(1)
	f.running.Add(1)
	return true
}

func (f *frontDoor) forget(l *line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.lines[l]; known {
		delete(f.lines, l)
		f.open.open.Add(-1)
	}
}

// watch ends waits that are over and notices clients that left, until ctx ends.
func (f *frontDoor) watch(ctx context.Context) {
	tick := time.NewTicker(f.tick)
	defer tick.Stop()
	reap := time.NewTicker(idleFor / 10)
	defer reap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reap.C:
			go f.proxy.reapIdle(f.clock.Load()) // a control call may hold the lock for the length of an fsync
			continue
		case now := <-tick.C:
			f.time(now)
			f.sweep(f.clock.Load())
		}
	}
}

// sweep looks at every line. Most need no more than a look at two numbers.
func (f *frontDoor) sweep(now int64) {
	type due struct {
		line     *line
		deadline int64
		waits    int64
		body     int64
	}
	var all []due
	f.mu.Lock()
	for l := range f.lines {
		d := due{line: l, deadline: l.deadline.Load(), waits: l.waits.Load(), body: l.bodyDeadline.Load()}
		if d.deadline <= 0 || d.deadline > now {
			d.deadline = 0
		}
		if d.waits == 0 || now-d.waits < int64(f.tick) {
			d.waits = 0
		}
		if d.body <= 0 || d.body > now {
			d.body = 0
		}
		if d.deadline != 0 || d.waits != 0 || d.body != 0 {
			all = append(all, d)
		}
	}
	f.mu.Unlock()
	for _, d := range all {
		switch {
		case d.deadline != 0:
			d.line.expire(d.deadline)
		case d.body != 0:
			d.line.expireBody(d.body)
		default:
			d.line.look(d.waits)
		}
	}
}

// cut ends the requests on a set.
func (f *frontDoor) cut(s *set) (n int) {
	for _, l := range f.all() {
		if l.cutOn(s) {
			s.counters.cut.Add(1)
			n++
		}
	}
	return n
}

// rest closes the lines that carry no request.
func (f *frontDoor) rest() {
	for _, l := range f.all() {
		l.rest()
	}
}

func (f *frontDoor) all() []*line {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.lines))
}

// move copies n bytes from one socket to another: in the kernel, unless so many do that
// already that their pipes would take the descriptors that a switch needs.
func (f *frontDoor) move(to, from *net.TCPConn, n int64) (int64, error) {
	source := &io.LimitedReader{R: from, N: n}
	select {
	case f.splices <- struct{}{}:
		defer func() { <-f.splices }()
		return to.ReadFrom(source)
	default:
	}
	buf := answerPool.Get().(*[]byte)
	defer answerPool.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{to}, source, *buf)
}

// busy reports whether lines are left.
func (f *frontDoor) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) > 0
}

// close ends every line and waits for that.
func (f *frontDoor) close() {
	f.mu.Lock()
	f.closing = true
	for l := range f.lines {
		l.mu.Lock()
		l.gone = true
		l.interrupt()
		l.mu.Unlock()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// handed is the listener of the general path: it accepts what lines hand over.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), done: make(chan struct{})} }

func (h *handed) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close()
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

// replayed is a connection whose first bytes were read already. It does not embed the
// connection's type, whose WriteTo would leave them out.
type replayed struct {
	net.Conn
	tcp   *net.TCPConn
	early []byte
}

func (c *replayed) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.tcp.Read(b)
}

// ReadFrom lets the kernel move an answer's body.
func (c *replayed) ReadFrom(r io.Reader) (int64, error) { return c.tcp.ReadFrom(r) }

// CloseWrite ends the answers' direction.
func (c *replayed) CloseWrite() error { return c.tcp.CloseWrite() }
