package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// upgrade is the client's side of a WebSocket. It reads along what the target sends,
// so that a close frame can be put between two of its frames.
type upgrade struct {
	net.Conn
	early *bufio.Reader // what the client sent before the upgrade was done

	mu     sync.Mutex // guards the rest; held while writing
	frames frames
	away   bool
}

var errAway = errors.New("the connection is being closed")

func (u *upgrade) Read(b []byte) (int, error) {
	if u.early != nil {
		if n := min(u.early.Buffered(), len(b)); n > 0 {
			return u.early.Read(b[:n])
		}
		u.early = nil
	}
	return u.Conn.Read(b)
}

func (u *upgrade) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.away {
		return 0, errAway
	}
	n, err := u.Conn.Write(b)
	u.frames.pass(b[:n])
	return n, err
}

// CloseWrite passes the target's end on.
func (u *upgrade) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return u.Conn.Close()
}

// closeFrame says 1001, going away (RFC 6455, 7.4.1).
var closeFrame = []byte{0x88, 2, 0x03, 0xe9}

const farewell = time.Second // to write the close frame, and again for the client's answer

// goAway sends a close frame when the stream stands between two frames and the target
// has not sent one. What the target still sends is dropped.
func (u *upgrade) goAway() {
	// A client that reads nothing may be blocking Write, which holds the lock.
	_ = u.Conn.SetWriteDeadline(time.Now().Add(farewell))
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.away {
		return
	}
	u.away = true
	if u.frames.between() && !u.frames.closed {
		_, _ = u.Conn.Write(closeFrame) // the connection ends in any case
	}
}

// frames follows a WebSocket stream from frame to frame (RFC 6455, 5.2).
type frames struct {
	head   [14]byte
	have   int    // bytes of the head so far
	left   uint64 // bytes of the payload to come
	closed bool   // a close frame has begun
}

func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have < 2 || f.have < f.size() {
			continue
		}
		f.closed = f.closed || f.head[0]&0x0f == 8
		switch length := f.head[1] & 0x7f; length {
		case 126:
			f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
		case 127:
			f.left = binary.BigEndian.Uint64(f.head[2:])
		default:
			f.left = uint64(length)
		}
		f.have = 0
	}
}

// size is how long the head is, once two bytes of it are there.
func (f *frames) size() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}
