package webhook

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// remote is a connection that says to come from somewhere.
type remote struct {
	net.Conn
	from string
}

func (c remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// crowd is a listener with connections from given places, in their order.
type crowd struct {
	from chan string
	made chan net.Conn // the clients' ends
}

func (l crowd) Accept() (net.Conn, error) {
	from, ok := <-l.from
	if !ok {
		return nil, net.ErrClosed
	}
	ours, theirs := net.Pipe()
	l.made <- theirs
	return remote{ours, from}, nil
}
func (crowd) Close() error   { return nil }
func (crowd) Addr() net.Addr { return &net.TCPAddr{} }

// One source holds so many connections and no more, whatever address of its own network it
// writes; others come in, and what it closes it may open again.
func TestConnectionsOfOneSource(t *testing.T) {
	l := crowd{make(chan string, 200), make(chan net.Conn, 200)}
	p := &perSource{Listener: l}
	for n := range 100 {
		l.from <- fmt.Sprintf("[2001:db8::%x]:1000", n+1)
	}
	for n := range 100 {
		l.from <- fmt.Sprintf("127.0.0.1:%d", n+1) // a proxy here
	}
	var held []net.Conn
	accept := func(want string) net.Conn {
		t.Helper()
		c, err := p.Accept()
		if err != nil || !strings.HasPrefix(c.RemoteAddr().String(), want) {
			t.Fatalf("%v, %v; want one of %s", c, err, want)
		}
		return c
	}
	for range connectionsSource {
		held = append(held, accept("[2001:db8::"))
	}
	for range 100 {
		accept("127.0.0.1")
	}
	refused := 0
	for n := range 100 {
		theirs := <-l.made
		if n < connectionsSource {
			continue
		}
		if _, err := theirs.Read(make([]byte, 1)); err == io.EOF {
			refused++
		}
	}
	if refused != 100-connectionsSource {
		t.Errorf("%d were closed", refused)
	}
	for range 2 { // closed twice, as net/http does, counts once
		_ = held[0].Close()
	}
	for _, from := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"} {
		l.from <- from
	}
	accept("[2001:db8::1]")
	accept("[2001:db8:0:1::1]")
	for _, c := range held[1:] {
		_ = c.Close()
	}
	close(l.from)
	if _, err := p.Accept(); err != net.ErrClosed {
		t.Error(err)
	}
	if n := p.open[netip.MustParsePrefix("2001:db8::/64")]; n != 1 {
		t.Errorf("%d are counted, one is open", n)
	}
}
