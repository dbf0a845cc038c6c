package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// TestWhoIsSlow: a target may take its time with a body in either direction, and a
// client may be slow as long as it takes something.
func TestWhoIsSlow(t *testing.T) {
	patient := func(_ *Options, p *Proxy) {
		if p != nil {
			p.patience = patience{body: 300 * time.Millisecond, answer: 300 * time.Millisecond}
		}
	}
	big := strings.Repeat("0123456789abcdef", 1<<21) // 32 MiB: more than sockets hold
	asks := func(t *testing.T) (*front, net.Conn) {  // for a large answer
		f := start(t, patient)
		f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			_, _ = io.WriteString(w, big)
		}))))
		conn := f.dial()
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		return f, conn
	}
	t.Run("a target that reads late", func(t *testing.T) {
		f := start(t, patient)
		f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(1500 * time.Millisecond)
			summed(w, r)
		}))))
		for _, body := range []io.Reader{strings.NewReader(big), struct{ io.Reader }{strings.NewReader(big)}} {
			if resp, got := f.do(f.request(http.MethodPost, "/", body)); resp.StatusCode != 200 || got != sumOf(big)+" map[]" {
				t.Errorf("%s %.40q", resp.Status, got)
			}
		}
	})
	t.Run("a target that pauses in an answer", func(t *testing.T) {
		f := start(t, patient)
		f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(1500 * time.Millisecond)
			_, _ = io.WriteString(w, "world")
		}))))
		if resp, got := f.get("/"); resp.StatusCode != 200 || got != "helloworld" {
			t.Errorf("%s %q", resp.Status, got)
		}
	})
	t.Run("a client that takes little at a time", func(t *testing.T) {
		_, conn := asks(t)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 15 { // in a time that is several patiences
			if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(big))-15<<20 {
			t.Errorf("%d more, %v", n, err)
		}
	})
	t.Run("a client that takes nothing", func(t *testing.T) {
		f, _ := asks(t)
		eventually(t, "the request runs", func() bool { return f.counters("shop", vocab.Blue).Requests == 1 })
		eventually(t, "it is ended", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
	})
}

// TestLeavingLetsARequestArrive: what has begun to come is in flight.
func TestLeavingLetsARequestArrive(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, summed))))
	conn, idle := f.dial(), f.dial()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- f.stop() }()
	if _, err := io.ReadAll(idle); err != nil { // closed at the end of the lame duck
		t.Errorf("an idle connection ends with %v", err)
	}
	if _, err := io.WriteString(conn, "world"); err != nil {
		t.Fatal(err)
	}
	if got := answersTo(t, conn, "GET", 1); got[0] != "200 "+sumOf("helloworld")+" map[]" {
		t.Errorf("%q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTheEndWaitsForNobodyWhoDials: a request that is about to be sent when the proxy's
// patience ends is not sent any more.
func TestTheEndWaitsForNobodyWhoDials(t *testing.T) {
	f := start(t, nil)
	to, asked := script(t, "|")
	f.put("shop", config(1, vocab.Blue, blue(to)))
	door := f.Proxy.front
	l := door.line(mustDial(t, f.addr))
	for what, set := range map[string]*bool{"the proxy leaves": &l.gone, "the colour is drained": &l.cut} {
		l.mu.Lock()
		*set = true
		l.mu.Unlock()
		if c, err := l.connect(&replica{address: to}, true, true); err == nil {
			t.Errorf("%s: got a connection %v", what, c)
		}
		l.mu.Lock()
		*set = false
		l.mu.Unlock()
	}
	if n := len(asked()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestTransfersByTheKernelAreBounded: what is beyond the bound is copied, and arrives.
func TestTransfersByTheKernelAreBounded(t *testing.T) {
	f := start(t, nil)
	f.Proxy.front.splices = make(slots) // no room at all
	body := strings.Repeat("0123456789abcdef", 1<<16)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.Copy(w, r.Body)
	}))))
	if resp, got := f.do(f.request(http.MethodPost, "/", strings.NewReader(body))); resp.StatusCode != 200 || got != body {
		t.Errorf("%s %d bytes", resp.Status, len(got))
	}
}

// TestAMistakeCostsOneConnection and no count.
func TestAMistakeCostsOneConnection(t *testing.T) {
	h := &breaks{Handler: slog.DiscardHandler, at: "request not answered by the app"}
	f := start(t, func(opt *Options, _ *Proxy) { opt.Log = slog.New(h) })
	f.put("shop", config(1, vocab.Blue, blue(refused(t))))
	conn, other := f.dial(), f.dial()
	if _, err := io.WriteString(conn, ask); err != nil {
		t.Fatal(err)
	}
	if got := answersTo(t, conn, "GET", 1); got[0] != "none" {
		t.Errorf("%q", got)
	}
	if _, err := io.WriteString(other, ask); err != nil {
		t.Fatal(err)
	}
	if got := answersTo(t, other, "GET", 1); got[0] != "502 502 the app does not answer\n" {
		t.Errorf("%q", got)
	}
	eventually(t, "both are counted out", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
	if n := f.Proxy.table.Load().apps["shop"].headless.Load(); !h.done.Load() || n != 0 {
		t.Errorf("broke %t, %d without head", h.done.Load(), n)
	}
}

func mustDial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
