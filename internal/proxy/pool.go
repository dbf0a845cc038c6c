package proxy

import (
	"context"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pool is the idle connections to a replica, the one used last on top. It belongs to
// one set of targets, so a connection of an earlier colour can never carry a request
// of a later one.
type pool struct {
	mu      sync.Mutex // guards the rest; held for a move of pointers
	idle    []*targetConn
	retired bool // nothing is kept: the set gets no requests
}

// get is the connection that was used last, nil when none is idle.
func (p *pool) get() *targetConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	t := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return t
}

// put keeps a connection, or closes it when the set is retired or has enough.
func (p *pool) put(t *targetConn, now int64) {
	t.reused, t.idleSince = true, now
	p.mu.Lock()
	keep := !p.retired && len(p.idle) < idlePool
	if keep {
		p.idle = append(p.idle, t)
	}
	p.mu.Unlock()
	if !keep {
		t.close()
	}
}

// serve says whether the set gets requests. When it does not, what is idle closes.
func (p *pool) serve(live bool) {
	p.mu.Lock()
	p.retired = !live
	var gone []*targetConn
	if !live {
		gone, p.idle = p.idle, nil
	}
	p.mu.Unlock()
	for _, t := range gone {
		t.close()
	}
}

// reap closes what was idle since before then, in the clock's nanoseconds.
func (p *pool) reap(then int64) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince < then { // the oldest lie at the bottom
		n++
	}
	gone := append([]*targetConn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	p.mu.Unlock()
	for _, t := range gone {
		t.close()
	}
}

// targetConn is a connection to a replica. It carries one request at a time; between
// two it has no goroutine and no buffer.
type targetConn struct {
	tcp       *net.TCPConn
	raw       syscall.RawConn
	reused    bool
	idleSince int64

	// Of one call of ask or read. turn is made once, so that a call allocates nothing.
	turn func(fd uintptr) bool
	step askStep
	out  []byte
	sent int
	into *[]byte // set when something was read
	n    int
	err  error
	byte [1]byte
}

type askStep uint8

const (
	askProbe askStep = iota // is the connection clean?
	askWrite
	askRead
)

// dialTarget connects to a replica.
func dialTarget(ctx context.Context, address string, once bool) (*targetConn, error) {
	how := dial
	if once {
		how = dialOnce
	}
	c, err := how(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		tcp.Close()
		return nil, &dialError{err}
	}
	t := &targetConn{tcp: tcp, raw: raw}
	t.turn = t.once
	return t, nil
}

func (t *targetConn) close() { _ = t.tcp.Close() } // nothing is lost with it

// ask sends out and waits for the first bytes of the answer. The buffer is from
// answerPool and the caller's to give back; it is nil when n is 0, which with a nil err
// means that the target closed.
//
// All of it happens within one wait for the poller: it begins to listen before the
// request goes out, so there is no need to try a read that cannot succeed yet. In its
// place the connection is tried for bytes that nobody asked for: they would be taken for
// the answer to this request.
func (t *targetConn) ask(out []byte) (buf *[]byte, n int, err error) {
	t.step = askProbe
	t.out, t.sent = out, 0
	return t.run()
}

// read waits for more of an answer.
func (t *targetConn) read() (buf *[]byte, n int, err error) {
	t.step = askRead
	return t.run()
}

func (t *targetConn) run() (*[]byte, int, error) {
	t.into, t.n, t.err = nil, 0, nil
	err := t.raw.Read(t.turn)
	if err == nil && t.err == errPartly { // more than the socket takes at once
		if _, err = t.tcp.Write(t.out[t.sent:]); err == nil {
			t.step, t.err = askRead, nil
			err = t.raw.Read(t.turn)
		}
	}
	t.out = nil
	if err == nil {
		err = t.err
	}
	if err != nil && t.into != nil {
		answerPool.Put(t.into)
		t.into = nil
	}
	return t.into, t.n, err
}

// once is what the poller calls, first at once and then whenever the socket may have
// become readable; true ends the wait.
func (t *targetConn) once(fd uintptr) bool {
	switch t.step {
	case askProbe:
		n, err := ignoringEINTR(unix.Read, int(fd), t.byte[:])
		if err != unix.EAGAIN {
			t.err = errStale
			if n > 0 {
				t.err = errUnasked
			}
			return true
		}
		t.step = askWrite
		fallthrough
	case askWrite:
		n, err := ignoringEINTR(unix.Write, int(fd), t.out)
		t.sent = max(n, 0)
		switch {
		case err == unix.EAGAIN || err == nil && n < len(t.out):
			t.err = errPartly
			return true
		case err != nil:
			t.err = err
			return true
		}
		t.step = askRead
		return false
	default:
		buf := answerPool.Get().(*[]byte)
		n, err := ignoringEINTR(unix.Read, int(fd), *buf)
		if n > 0 {
			t.into, t.n = buf, n
			return true
		}
		answerPool.Put(buf)
		if err == unix.EAGAIN {
			return false
		}
		t.err = err // nil with n of 0: the end
		return true
	}
}

func ignoringEINTR(do func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		n, err := do(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// answerPool has the buffers that answers are read into.
var answerPool = sync.Pool{New: func() any {
	b := make([]byte, 16<<10)
	return &b
}}

// reapIdle closes connections that nobody used for a while.
func (p *Proxy) reapIdle(now int64) {
	p.mu.Lock()
	sets := append([]*set(nil), p.sets...)
	p.mu.Unlock()
	for _, s := range sets {
		for _, svc := range s.services {
			for _, r := range svc.replicas {
				r.pool.reap(now - int64(idleFor))
			}
		}
	}
}
