package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/proxy/h1"
)

// bodyEnd is how a body that is passed on as it comes has ended.
type bodyEnd uint8

const (
	bodyComing  bodyEnd = iota
	bodySent            // whole
	bodyBroken          // the client broke it off, or its chunks are malformed
	bodyLate            // the client was silent for too long
	bodyRefused         // the target takes no more of it; it may answer all the same
)

// stream sends the head that stands in out, begins the body and brings the answer. It is
// for a body that does not fit into memory, whose length nobody knows, or which the
// client holds back until it is asked for: a goroutine passes it on while the answer may
// already come.
func (l *line) stream(t *targetConn, early []byte) (kept bool) {
	f := &l.now
	if l.until(l.proxy.opt.AnswerTimeout); l.timedOut {
		return l.broken(t, errTimeout)
	}
	if _, err := t.tcp.Write(l.out); err != nil {
		return l.broken(t, err)
	}
	// The memory of the head is the sender's to give away from here on.
	f.ownID = bytes.Clone(f.ownID)
	f.sent = make(chan struct{})
	l.mu.Lock()
	l.asking = true
	l.mu.Unlock()
	go func() {
		defer close(f.sent)
		end := bodyBroken
		func() {
			defer func() {
				if broken := recover(); broken != nil {
					l.report(broken)
				}
			}()
			end = l.send(t, early)
		}()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.bodyDeadline.Swap(0) == overdue && end == bodySent && l.deadline.Load() != overdue && !l.cut && !l.gone {
			_ = l.tcp.SetReadDeadline(time.Time{}) // it ended just as its time did
		}
		l.body = end
		if end == bodyBroken || end == bodyLate { // what comes of a half request is no answer
			_ = t.tcp.SetDeadline(longAgo)
		}
	}()
	defer l.endSender(t)
	buf, n, err := ended(l.await(t))
	if err != nil {
		l.waitVerdict()
		return l.broken(t, err)
	}
	return l.bring(t, buf, n)
}

// waitVerdict gives the sender a moment to say why there is no answer.
func (l *line) waitVerdict() {
	select {
	case <-l.now.sent:
	case <-time.After(senderMoment):
	}
}

const senderMoment = 5 * time.Millisecond

// bodySent reports whether the request's body is behind us, so that another request may
// come. An app that has read all of it may answer before the sender has noted its end.
func (l *line) bodySent() bool {
	l.mu.Lock()
	l.asking = false
	l.mu.Unlock()
	if l.now.sent == nil {
		return true
	}
	l.waitVerdict()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.body == bodySent
}

// endSender waits for the sender, and ends it when the answer is done before the body.
func (l *line) endSender(t *targetConn) {
	f := &l.now
	l.mu.Lock()
	l.asking = false
	coming := l.body == bodyComing
	if coming {
		_ = l.tcp.SetReadDeadline(longAgo)
	}
	l.mu.Unlock()
	t.close() // carries one request
	<-f.sent
	if coming {
		l.revive()
	}
}

// expireBody ends the wait for a body that stands still.
func (l *line) expireBody(deadline int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.targetLags() {
		l.bodyDeadline.CompareAndSwap(deadline, l.front.clock.Load()+int64(l.proxy.patience.body))
		return
	}
	if l.bodyDeadline.CompareAndSwap(deadline, overdue) {
		_ = l.tcp.SetReadDeadline(longAgo)
	}
}

// targetLags reports whether it is the target that keeps a body waiting: it has not
// taken all of it that it was sent, or more has come. It is called with mu.
func (l *line) targetLags() bool {
	unsent, unread := 0, 0
	if l.target != nil {
		_ = l.target.raw.Control(func(fd uintptr) { unsent, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	}
	_ = l.raw.Control(func(fd uintptr) { unread, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return unsent > 0 || unread > 0
}

// untilBody begins the wait for a piece of the body, and puts off that for the answer.
func (l *line) untilBody() {
	now := l.front.clock.Load()
	if was := l.bodyDeadline.Load(); was == overdue || !l.bodyDeadline.CompareAndSwap(was, now+int64(l.proxy.patience.body)) {
		return
	}
	l.mu.Lock()
	if l.asking && l.deadline.Load() > 0 {
		l.deadline.Store(now + int64(l.proxy.opt.AnswerTimeout))
	}
	l.mu.Unlock()
}

// send passes the body on. early is what came with the head.
func (l *line) send(t *targetConn, early []byte) bodyEnd {
	if l.req.Chunked {
		return l.sendChunks(t, early)
	}
	left := max(l.req.Length, 0)
	if int64(len(early)) > left {
		l.now.behind = append([]byte(nil), early[left:]...)
		early = early[:left]
	}
	l.untilBody()
	if len(early) > 0 {
		if _, err := t.tcp.Write(early); err != nil {
			return bodyRefused
		}
		left -= int64(len(early))
	}
	for piece := int64(splicePiece); left > 0; {
		l.untilBody()
		began := l.front.clock.Load()
		want := min(piece, left)
		n, err := l.front.move(t.tcp, l.tcp, want)
		left -= n
		switch {
		case err != nil:
			return l.whoFailed(err)
		case n < want:
			return bodyBroken
		}
		piece = nextPiece(piece, l.front.clock.Load()-began)
	}
	return bodySent
}

// nextPiece is how much is moved at once: little when that took long, since a piece
// must be done within somebody's patience.
func nextPiece(piece, took int64) int64 {
	if took < int64(time.Second) {
		return min(2*piece, splicePieces)
	}
	return max(piece/2, 16<<10)
}

// whoFailed tells whose end an error in the middle of a body is.
func (l *line) whoFailed(err error) bodyEnd {
	switch {
	case l.bodyDeadline.Load() == overdue:
		return bodyLate
	case errors.Is(err, errTimeout): // ended from outside
		return bodyRefused
	case l.left():
		return bodyBroken
	}
	return bodyRefused
}

// sendChunks passes a chunked body on and follows it to its end.
func (l *line) sendChunks(t *targetConn, early []byte) bodyEnd {
	chunks := h1.Chunks{Plain: true}
	buf := answerPool.Get().(*[]byte)
	defer answerPool.Put(buf)
	for piece := early; ; {
		n, done, err := chunks.Scan(piece)
		if err != nil {
			return bodyBroken // what was sound of it is not sent on alone
		}
		if n > 0 {
			if _, err := t.tcp.Write(piece[:n]); err != nil {
				return bodyRefused
			}
		}
		if done {
			if n < len(piece) {
				l.now.behind = append([]byte(nil), piece[n:]...)
			}
			return bodySent
		}
		l.untilBody()
		got, err := l.tcp.Read(*buf)
		switch {
		case got > 0:
			piece = (*buf)[:got]
		case errors.Is(err, io.EOF):
			return bodyBroken
		default:
			return l.whoFailed(err)
		}
	}
}
