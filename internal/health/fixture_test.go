package health

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// TestMain names a proxy that is not there, before net/http looks for one.
func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", "http://192.0.2.99:3128")
	os.Exit(m.Run())
}

// pipes are the replicas of a bubble: each dial is one net.Pipe, answered by answer.
type pipes struct {
	mu     sync.Mutex // guards dialled
	dialed []string
	answer func(n int, address string, c net.Conn) // n counts the dials from 1
}

func (p *pipes) client() client {
	return client{dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.dialed = append(p.dialed, address)
		n := len(p.dialed)
		p.mu.Unlock()
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			p.answer(n, address, far)
		}()
		return near, nil
	}}
}

// says answers one request with a status and a body.
func says(c net.Conn, status, body string) {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	_, _ = c.Write([]byte("HTTP/1.1 " + status + "\r\nConnection: close\r\n\r\n" + body))
}

// hangs reads the request and says nothing until the other side is gone.
func hangs(c net.Conn) {
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func serve(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// raw serves bytes that no HTTP server would.
func raw(t *testing.T, answer func(c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			busy.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		busy.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func target(a netip.AddrPort, p release.Probe) Target {
	return Target{Service: "web", Address: a, Probe: p}
}

// result checks one measurement; says must occur in its text.
func result(t *testing.T, want rollout.ProbeResult, says string, got rollout.ProbeResult, text string) {
	t.Helper()
	if got != want || !strings.Contains(text, says) || (got == rollout.Pass) != (text == "") {
		t.Errorf("%s %q, want %s and %q", got, text, want, says)
	}
	if len(text) > 1200 || strings.ContainsAny(text, "\n\r\x1b\x00") {
		t.Errorf("not fit for one line: %q", text)
	}
}
