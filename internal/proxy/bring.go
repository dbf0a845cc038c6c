package proxy

import (
	"net/http"

	"github.com/tealops/teal/internal/proxy/h1"
)

const (
	maxAnswerHead = 256 << 10
	maxHints      = 8 // interim answers before the one that counts
	splicePiece   = 64 << 10
	splicePieces  = 1 << 20
)

// bring reads the answer's head, whose first n bytes are in buf, and passes the answer
// on.
func (l *line) bring(t *targetConn, buf *[]byte, n int) (kept bool) {
	var large []byte // a head that does not fit into buf
	defer func() {
		if buf != nil {
			answerPool.Put(buf)
		}
	}()
	got := (*buf)[:n]
	from := 0
	for hints := 0; ; {
		end, next, err := h1.HeadEnd(got, from, false)
		if end == 0 && err == nil {
			from = next
			if len(got) >= maxAnswerHead {
				return l.broken(t, errHead)
			}
			if large == nil {
				large = append(make([]byte, 0, 2*len(*buf)), got...)
			}
			if len(large) == cap(large) {
				large = append(make([]byte, 0, 2*cap(large)), large...)
			}
			l.waits.Store(l.front.clock.Load())
			m, err := t.tcp.Read(large[len(large):cap(large)])
			l.waits.Store(0)
			if m == 0 {
				return l.broken(t, err)
			}
			large = large[:len(large)+m]
			got = large
			continue
		}
		if err == nil {
			err = h1.ReadResponse(got[:end], &l.resp)
		}
		if err != nil {
			return l.broken(t, err)
		}
		rest := got[end:]
		if l.resp.Status >= 200 {
			return l.pass(t, rest)
		}
		// An interim answer (RFC 9110, 15.2). Nobody asked to switch protocols or to be
		// told to go on.
		if hints++; l.resp.Status == http.StatusSwitchingProtocols || hints > maxHints {
			return l.broken(t, errHead)
		}
		if l.resp.Status != http.StatusContinue || l.req.Expect {
			l.out = appendHint(l.out[:0], &l.resp)
			if !l.write(l.out) {
				l.now.set.counters.aborted.Add(1)
				l.now.dirty = true
				l.drop(t)
				return false
			}
		}
		got, from, large = rest, 0, nil
		l.until(l.proxy.opt.AnswerTimeout)
		if len(got) == 0 {
			answerPool.Put(buf)
			buf = nil
			if buf, n, err = l.await(t); n == 0 {
				return l.broken(t, err)
			}
			got = (*buf)[:n]
		}
	}
}

var errHead = &h1.Error{Status: http.StatusBadGateway, Text: "the head of the app's answer is malformed"}

// broken gives up an answer that has not begun.
func (l *line) broken(t *targetConn, err error) bool {
	l.drop(t)
	return l.answerFor(err)
}

// pass sends the answer's head and body to the client; rest is what came behind the
// head.
func (l *line) pass(t *targetConn, rest []byte) (kept bool) {
	f, r := &l.now, &l.resp
	bodiless := string(l.req.Method) == http.MethodHead || r.Bodiless()
	wrap := !bodiless && !r.Chunked && r.Length < 0 // ends with the connection
	kept = !l.req.Close && !l.proxy.leaving.Load() && l.bodySent()
	l.out = l.appendResponse(l.out[:0], bodiless, wrap, kept)
	l.proxy.count(f.gen, f.set, r.Status, false)
	var ok bool
	switch {
	case bodiless:
		// One that must have no body and says that it has may still send it.
		l.release(t, len(rest) == 0 && (r.Status != http.StatusNoContent || r.Length <= 0 && !r.Chunked))
		ok = l.write(l.out)
		f.head()
	case r.Chunked:
		ok = l.passChunks(t, rest)
	case wrap:
		ok = l.passToEnd(t, rest)
	default:
		ok = l.passLength(t, rest)
	}
	if !ok {
		f.dirty = true
	}
	if !f.released {
		l.release(t, false)
	}
	return kept && ok
}

// release ends the target's part in the request; clean is true when its connection
// stands at the end of the answer. That is before the client has the last of it, whose
// next request finds the connection kept and the replica free.
func (l *line) release(t *targetConn, clean bool) {
	f := &l.now
	f.free()
	f.released = true
	if !clean || !f.pooled || l.resp.Close {
		l.drop(t)
		return
	}
	l.mu.Lock()
	l.target = nil
	ended := l.cut || l.gone || l.deadline.Load() == overdue
	l.mu.Unlock()
	if ended { // its deadline may be over
		t.close()
		return
	}
	f.replica.pool.put(t, l.front.clock.Load())
}

// write sends to the client. It is false when the client has gone.
func (l *line) write(b []byte) bool {
	l.until(l.proxy.patience.answer)
	if l.timedOut {
		return false
	}
	l.taking.Store(true)
	_, err := l.tcp.Write(b)
	l.taking.Store(false)
	return err == nil
}

// passLength passes a body of known length on.
func (l *line) passLength(t *targetConn, rest []byte) (ok bool) {
	left := l.resp.Length
	clean := int64(len(rest)) <= left
	if !clean {
		rest = rest[:left]
	}
	if left -= int64(len(rest)); left == 0 {
		l.release(t, clean)
	}
	ok = l.writeHead(rest)
	for piece := int64(splicePiece); ok && left > 0; {
		// The kernel moves it from socket to socket. A piece is what the client must
		// take within its patience, so it begins small.
		l.until(l.proxy.patience.answer)
		began := l.front.clock.Load()
		l.waits.Store(began)
		l.taking.Store(true)
		n, err := l.front.move(l.tcp, t.tcp, min(piece, left))
		l.taking.Store(false)
		l.waits.Store(0)
		left -= n
		if err != nil || n < min(piece, left+n) {
			l.brokenOff()
			return false
		}
		if left == 0 {
			l.release(t, true)
		}
		piece = nextPiece(piece, l.front.clock.Load()-began)
	}
	return ok
}

// writeHead sends the head that stands in out with the first bytes of the body, in one
// piece when they are few.
func (l *line) writeHead(body []byte) bool {
	defer l.now.head()
	if len(l.out)+len(body) <= smallRoom {
		l.out = append(l.out, body...)
		return l.write(l.out)
	}
	l.until(l.proxy.patience.answer)
	if l.timedOut {
		return false
	}
	l.both = [2][]byte{l.out, body}
	l.pieces = l.both[:]
	l.taking.Store(true)
	_, err := l.pieces.WriteTo(l.tcp) // one call for both
	l.taking.Store(false)
	l.both = [2][]byte{}
	return err == nil
}

// passChunks passes a chunked body on as it comes, and follows it to its end.
func (l *line) passChunks(t *targetConn, rest []byte) (ok bool) {
	var chunks h1.Chunks
	n, done, err := chunks.Scan(rest)
	if done {
		l.release(t, n == len(rest))
	}
	if !l.writeHead(rest[:n]) {
		return false
	}
	for err == nil && !done {
		buf, got, _ := l.readOn(t) // an error is an end too early
		if got == 0 {
			break
		}
		n, done, err = chunks.Scan((*buf)[:got])
		if done {
			l.release(t, n == got)
		}
		ok := l.write((*buf)[:n])
		answerPool.Put(buf)
		if !ok {
			return false
		}
	}
	if !done {
		l.brokenOff()
		return false
	}
	return true
}

// readOn waits for more of a body. The target may be silent for as long as it likes.
func (l *line) readOn(t *targetConn) (*[]byte, int, error) {
	if l.deadline.Swap(0) == overdue {
		l.timedOut = true
	}
	return l.await(t)
}

// passToEnd passes on a body that ends with its connection, in chunks.
func (l *line) passToEnd(t *targetConn, rest []byte) (ok bool) {
	ok = l.write(l.out)
	l.now.head()
	if ok && len(rest) > 0 {
		l.out = appendChunk(l.out[:0], rest)
		ok = l.write(l.out)
	}
	for ok {
		buf, n, err := l.readOn(t)
		if n == 0 {
			if err != nil || l.stopped() {
				l.brokenOff()
				return false
			}
			return l.write(lastChunk)
		}
		l.out = appendChunk(l.out[:0], (*buf)[:n])
		answerPool.Put(buf)
		ok = l.write(l.out)
	}
	return ok
}

var lastChunk = []byte("0\r\n\r\n")

// brokenOff counts an answer that the target ended in its middle, unless it was ended
// from this side.
func (l *line) brokenOff() {
	if l.stopped() || l.left() {
		return
	}
	c := &l.now.set.counters
	c.broken.Add(1)
	c.errors.Add(1)
}
