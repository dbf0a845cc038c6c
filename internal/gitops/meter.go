package gitops

import (
	"errors"
	"io"
	"net"
	"sync"
)

// meter is a connection that reads a bounded number of bytes, and remembers what ended
// it: the layers above turn every end into "end of file".
type meter struct {
	net.Conn
	mu          sync.Mutex // guards the rest
	what        string
	left, limit int64
	err         error // the first error of a read
}

// allow sets what may be read from here on.
func (m *meter) allow(what string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.what, m.left, m.limit = what, bytes, bytes
}

func (m *meter) Read(p []byte) (int, error) {
	m.mu.Lock()
	room := m.left
	if room <= 0 {
		if m.err == nil {
			m.err = &tooLargeError{m.what, m.limit}
		}
		defer m.mu.Unlock()
		return 0, m.err
	}
	m.mu.Unlock()
	n, err := m.Conn.Read(p[:min(int64(len(p)), room)])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left -= int64(n)
	if err != nil && m.err == nil {
		m.err = err
	}
	return n, err
}

// fault is what ended the connection from outside, or nil.
func (m *meter) fault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(m.err, io.EOF) || errors.Is(m.err, net.ErrClosed) {
		return nil
	}
	return m.err
}
