package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/proxy/h1"
)

// line is a client's connection on the fast path: plain HTTP/1.1, one goroutine, which
// holds a buffer only while there is a request. What is out of the ordinary goes to
// net/http with all that was read, before anything was sent anywhere; the line is
// net/http's from then on.
type line struct {
	front *frontDoor
	proxy *Proxy
	conn  net.Conn // as it was accepted
	tcp   *net.TCPConn
	raw   syscall.RawConn
	from  string // the client's address, as X-Forwarded-For says it

	// Of the line's own goroutine.
	*desk    // nil while the line is idle
	first    func(fd uintptr) bool
	firstErr error
	timedOut bool
	now      flying // the request that runs
	both     [2][]byte
	pieces   net.Buffers

	// deadline is when the line has waited for long enough, in the clock's nanoseconds;
	// 0 is never, overdue that frontDoor has ended the wait.
	deadline atomic.Int64
	// waits is since when the line waits for a target, 0 when it does not.
	waits atomic.Int64
	// taking is true while the client takes an answer: then what it has taken counts,
	// not the time alone.
	taking atomic.Bool
	// bodyDeadline is the deadline of a body that is passed on as it comes.
	bodyDeadline atomic.Int64

	mu     sync.Mutex // guards the rest
	set    *set       // that the request runs on, nil between two
	target *targetConn
	cut    bool    // by Drain
	gone   bool    // the client left, or the proxy does
	idle   bool    // no byte of a request has come
	acked  uint64  // what the client had taken when its wait was last prolonged
	body   bodyEnd // of a body that is passed on as it comes
	asking bool    // the answer has not begun: progress of the body puts the deadline off
}

const overdue = -1

// desk is what a line needs while a request is there.
type desk struct {
	in   []byte // what came and is not yet done with
	room []byte // the memory of in
	out  []byte
	req  h1.Request
	resp h1.Response
}

const (
	smallRoom = 4 << 10
	largeRoom = maxHead
	bodyStep  = 4 << 10 // of a short body must come within the patience
)

var (
	desks = sync.Pool{New: func() any { return &desk{room: make([]byte, smallRoom), out: make([]byte, 0, smallRoom)} }}
	rooms = sync.Pool{New: func() any { return new([largeRoom]byte) }}
)

var (
	errPartly  = errors.New("not all was written at once")
	errStale   = errors.New("the idle connection was closed")
	errUnasked = errors.New("bytes came that nobody asked for")
	errTimeout = os.ErrDeadlineExceeded
	longAgo    = time.Unix(1, 0)
)

// serve runs the line until it ends or is handed over.
func (l *line) serve() {
	defer l.salvage()
	for l.next() {
	}
}

// salvage ends a panic: a mistake costs one connection, not all of them.
func (l *line) salvage() {
	broken := recover()
	if broken == nil {
		return
	}
	l.report(broken)
	l.mu.Lock()
	flying := l.set != nil
	if l.target != nil {
		l.target.close()
	}
	l.mu.Unlock()
	if flying {
		l.land()
	}
	l.close()
}

func (l *line) report(broken any) {
	l.proxy.log.Error("a request broke the proxy's code; its connection ends", "panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
}

// next serves one request. It is false when the line is done with.
func (l *line) next() bool {
	if l.desk != nil && len(l.in) > 0 { // sent without waiting for the answer before
		l.until(headTime)
	} else if !l.begin() {
		l.close()
		return false
	}
	end, err := l.readHead()
	if err == nil && end == 0 { // left in the middle of a head
		l.close()
		return false
	}
	if err == nil {
		err = h1.ReadRequest(l.in[:end], &l.req)
	}
	if err != nil {
		l.refuseHead(err)
		return false
	}
	if l.proxy.slow || !l.usual() {
		l.handOver()
		return false
	}
	switch l.exchange(end) {
	case lineKept:
		return true
	case lineHanded:
		l.handOver()
	case lineEnded:
		l.linger()
	}
	return false
}

// refuseHead ends a line whose request has no head.
func (l *line) refuseHead(err error) {
	if malformed := (*h1.Error)(nil); errors.As(err, &malformed) {
		l.refuse(malformed.Status, malformed.Text)
	} else {
		l.close()
	}
}

// begin waits for the first bytes of a request. Meanwhile the line has no desk.
func (l *line) begin() bool {
	l.until(clientIdle)
	if l.desk != nil {
		l.leaveDesk()
	}
	l.firstErr = nil
	l.rests(true)
	err := l.raw.Read(l.first)
	l.rests(false)
	if err != nil || l.firstErr != nil || l.desk == nil {
		return false
	}
	l.until(headTime)
	return !l.timedOut
}

// rests notes whether the line may be closed without a word.
func (l *line) rests(idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle = idle; !idle && l.desk != nil && l.deadline.Load() != overdue && !l.gone {
		_ = l.tcp.SetReadDeadline(time.Time{}) // rest came as the request did
	}
}

// rest closes the line if no byte of a request has come.
func (l *line) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle {
		_ = l.tcp.SetReadDeadline(longAgo)
	}
}

// take makes bytes that were read elsewhere the next to be read.
func (l *line) take(b []byte) {
	if len(b) > len(l.room) {
		l.room = rooms.Get().(*[largeRoom]byte)[:]
	}
	l.in = l.room[:copy(l.room, b)]
}

// readFirst is what the poller calls until the first bytes are there.
func (l *line) readFirst(fd uintptr) bool {
	d := desks.Get().(*desk)
	n, err := ignoringEINTR(unix.Read, int(fd), d.room)
	if n <= 0 {
		desks.Put(d)
		if err == unix.EAGAIN {
			return false
		}
		l.firstErr = err // nil: the end
		return true
	}
	l.desk = d
	l.in = d.room[:n]
	return true
}

func (l *line) leaveDesk() {
	d := l.desk
	l.desk = nil
	if len(d.room) == largeRoom {
		rooms.Put((*[largeRoom]byte)(d.room))
		d.room = make([]byte, smallRoom)
	}
	if cap(d.out) > smallRoom {
		d.out = make([]byte, 0, smallRoom)
	}
	d.in, d.out = nil, d.out[:0]
	desks.Put(d)
}

// readHead reads until a head is whole. end is 0 when the client closed before that.
func (l *line) readHead() (end int, err error) {
	// One empty line before a request is skipped (RFC 9112, 2.2): old clients send one
	// behind a body.
	skip := true
	from := 0
	for {
		if skip && len(l.in) >= 2 {
			skip = false
			if l.in[0] == '\r' && l.in[1] == '\n' {
				if l.in = l.in[2:]; len(l.in) == 0 {
					if !l.more() {
						return 0, nil
					}
				}
			}
		}
		if end, from, err = h1.HeadEnd(l.in, from, true); err != nil || end > 0 {
			return end, err
		}
		if len(l.in) >= maxHead {
			return 0, &h1.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Text: "the head is too large"}
		}
		if !l.more() {
			if l.timedOut {
				return 0, &h1.Error{Status: http.StatusRequestTimeout, Text: "the head of the request stopped coming"}
			}
			return 0, nil
		}
	}
}

// more reads on behind what is there, in the large room if need be. It is false at the
// end, an error or a timeout.
func (l *line) more() bool {
	used := len(l.in)
	if used > 0 && &l.in[0] != &l.room[0] || used == 0 {
		copy(l.room, l.in)
		l.in = l.room[:used]
	}
	if used == len(l.room) {
		if used == largeRoom {
			return false
		}
		room := rooms.Get().(*[largeRoom]byte)[:]
		copy(room, l.in)
		l.room, l.in = room, room[:used]
	}
	n, err := l.tcp.Read(l.room[used:])
	l.in = l.room[:used+n]
	if err != nil {
		l.see()
	}
	return n > 0
}

// usual reports whether the fast path does the request itself.
func (l *line) usual() bool {
	r := &l.req
	if r.Minor != 1 || r.Special || r.Nominated || r.Target[0] != '/' || len(r.Target) > maxTarget {
		return false
	}
	switch string(r.Method) {
	case http.MethodConnect, http.MethodTrace:
		return false
	}
	if health := l.proxy.opt.HealthPath; health != "" && strings.HasPrefix(string(r.Target), health) {
		return false
	}
	return true
}

// short reports whether the request's body is read whole before its target is chosen.
// Others are passed on as they come.
func (l *line) short(end int) bool {
	return !l.req.Chunked && !l.req.Expect && int64(end)+l.req.Length <= largeRoom
}

// readBody reads a short body whole.
func (l *line) readBody(end int) (whole bool) {
	need := end + int(max(l.req.Length, 0))
	if len(l.in) >= need {
		return true
	}
	l.until(l.proxy.patience.body)
	for mark := len(l.in); len(l.in) < need; {
		if len(l.in)-mark >= bodyStep {
			l.until(l.proxy.patience.body)
			mark = len(l.in)
		}
		if !l.more() {
			return false
		}
	}
	return h1.ReadRequest(l.in[:end], &l.req) == nil // its slices are of the memory where the head is now
}

// until begins a wait of at most d.
func (l *line) until(d time.Duration) {
	if l.deadline.Swap(l.front.clock.Load()+int64(d)) == overdue {
		l.timedOut = true
	}
}

// see notes whether the wait was ended for its length.
func (l *line) see() {
	if l.deadline.Load() == overdue {
		l.timedOut = true
	}
}

// expire ends a wait that is over. The line's own goroutine sees it.
func (l *line) expire(deadline int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taking.Load() && l.takes() {
		l.deadline.CompareAndSwap(deadline, l.front.clock.Load()+int64(l.proxy.patience.answer))
		return
	}
	if l.deadline.CompareAndSwap(deadline, overdue) {
		l.interrupt()
	}
}

// takes reports whether the client has taken something since the last time, or has
// taken all that there is and waits for the target. It is called with mu.
func (l *line) takes() bool {
	waiting, acked := 0, uint64(0)
	err := l.raw.Control(func(fd uintptr) {
		waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			acked = info.Bytes_acked
		}
	})
	moved := acked != l.acked
	l.acked = acked
	return err == nil && (moved || waiting == 0)
}

// interrupt ends whatever the line waits for. It is called with mu.
func (l *line) interrupt() {
	_ = l.tcp.SetDeadline(longAgo)
	if l.target != nil {
		_ = l.target.tcp.SetDeadline(longAgo)
	}
}

// revive makes the client's side usable again after an interrupt, for a last word.
func (l *line) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline.Store(0)
	_ = l.tcp.SetDeadline(time.Time{})
}

// look asks whether the client has left while its request runs, and if so ends that.
func (l *line) look(since int64) {
	if !l.left() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.target != nil && l.waits.Load() == since {
		l.gone = true
		_ = l.target.tcp.SetDeadline(longAgo)
	}
}

// left asks the kernel whether the client has closed its side.
func (l *line) left() (left bool) {
	err := l.raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 0)
		left = err == nil && n > 0
	})
	return left || err != nil
}

// refuse says why nothing comes, and ends the line.
func (l *line) refuse(status int, text string) {
	l.revive()
	l.until(lingerTime)
	l.out = appendRefusal(l.out[:0], status, text)
	if _, err := l.tcp.Write(l.out); err != nil {
		l.close()
		return
	}
	l.linger()
}

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// linger ends the line so that the client still gets what was sent: a socket that is
// closed with bytes unread is reset, and what is on its way is lost with it.
func (l *line) linger() {
	defer l.close()
	if l.tcp.CloseWrite() != nil {
		return
	}
	l.until(lingerTime)
	for left := lingerBytes; left > 0; {
		n, err := l.tcp.Read(l.room)
		if err != nil {
			return
		}
		left -= n
	}
}

// close ends the line.
func (l *line) close() {
	l.front.forget(l)
	_ = l.conn.Close()
	if l.desk != nil {
		l.leaveDesk()
	}
}

// handOver gives the connection to net/http, with what was read of it.
func (l *line) handOver() {
	read := append([]byte(nil), l.in...)
	l.mu.Lock()
	late := l.deadline.Swap(0) == overdue
	l.mu.Unlock()
	if late {
		l.close()
		return
	}
	l.leaveDesk()
	l.front.unusual.Add(1)
	defer l.front.forget(l) // not before net/http counts it
	l.front.general.give(&replayed{Conn: l.conn, tcp: l.tcp, early: read})
}
