package webhook

import (
	"net"
	"net/netip"
	"sync"
)

// connectionsSource is how many connections one source may hold: one that opens many and
// says nothing must not keep the others out. A proxy on this machine speaks for all.
const connectionsSource = connectionsMax / 4

// perSource is a listener that closes what one source opens beyond connectionsSource.
type perSource struct {
	net.Listener

	mu   sync.Mutex // guards open
	open map[netip.Prefix]int
}

func (l *perSource) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || from.Addr().Unmap().IsLoopback() {
			return c, nil
		}
		if source, ok := sourceOf(from.Addr()); !ok || l.enter(source) {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.leave(source) })}, nil
		}
		_ = c.Close() // it is told nothing
	}
}

func (l *perSource) enter(source netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[source] >= connectionsSource {
		return false
	}
	if l.open == nil {
		l.open = map[netip.Prefix]int{}
	}
	l.open[source]++
	return true
}

func (l *perSource) leave(source netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[source]--; l.open[source] <= 0 {
		delete(l.open, source)
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
