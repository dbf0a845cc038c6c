package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func TestProbeJudgesTheStatus(t *testing.T) {
	for _, c := range []struct {
		status int
		want   release.StatusRange
		result rollout.ProbeResult
		says   string
	}{
		{200, release.StatusRange{}, rollout.Pass, ""},
		{299, release.StatusRange{}, rollout.Pass, ""},
		{204, release.StatusRange{From: 204, To: 204}, rollout.Pass, ""},
		{200, release.StatusRange{From: 204, To: 204}, rollout.Fail, "answered 200, not 204: busy"},
		{300, release.StatusRange{}, rollout.Fail, "answered 300, not 200-299"},
		{302, release.StatusRange{From: 200, To: 399}, rollout.Pass, ""},
		{503, release.StatusRange{}, rollout.Fail, "answered 503, not 200-299: busy"},
		{404, release.StatusRange{From: 400, To: 499}, rollout.Pass, ""},
	} {
		a := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			if c.status != 204 {
				fmt.Fprint(w, "busy")
			}
		})
		got, text := Probe(t.Context(), target(a, release.Probe{Status: c.want}))
		result(t, c.result, c.says, got, text)
	}
}

func TestProbeAsksAsTheReleaseSays(t *testing.T) {
	var got atomic.Pointer[http.Request]
	a := serve(t, func(w http.ResponseWriter, r *http.Request) { got.Store(r) })
	r, text := Probe(t.Context(), target(a, release.Probe{Path: "/health/?deep=1", Host: "shop.example.com"}))
	result(t, rollout.Pass, "", r, text)
	if q := got.Load(); q.Method != "GET" || q.RequestURI != "/health/?deep=1" || q.Host != "shop.example.com" || !q.Close {
		t.Errorf("asked %s %s of %s, close %v", q.Method, q.RequestURI, q.Host, q.Close)
	}
	r, text = Probe(t.Context(), target(a, release.Probe{}))
	result(t, rollout.Pass, "", r, text)
	if q := got.Load(); q.RequestURI != "/" || q.Host != a.String() {
		t.Errorf("without path and host asked %s of %s", q.RequestURI, q.Host)
	}
}

func TestProbeFollowsNoRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		http.Redirect(w, r, "http://"+other.String()+"/login", http.StatusMovedPermanently)
	})
	r, text := Probe(t.Context(), target(a, release.Probe{}))
	result(t, rollout.Fail, "answered 301, not 200-299, and sends on to http://"+other.String(), r, text)
	r, text = RunSmoke(t.Context(), release.Smoke{Path: "/"}, a.String())
	result(t, rollout.Fail, "sends on to", r, text)
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests followed the redirect", n)
	}
}

func TestEveryProbeHasItsOwnConnection(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	a := netip.MustParseAddrPort(s.Listener.Addr().String())
	for range 5 {
		r, text := Probe(t.Context(), target(a, release.Probe{}))
		result(t, rollout.Pass, "", r, text)
	}
	if n := conns.Load(); n != 5 {
		t.Errorf("%d connections for 5 probes", n)
	}
}

func TestProbeUsesNoProxyOfTheEnvironment(t *testing.T) {
	if u, err := http.ProxyFromEnvironment(httptest.NewRequest("GET", "http://192.0.2.1:8000/", nil)); err != nil || u == nil {
		t.Fatalf("the environment names no proxy: %v", err) // TestMain sets one
	}
	p := &pipes{answer: func(_ int, _ string, c net.Conn) { says(c, "200 OK", "") }}
	r, text := p.client().probe(t.Context(), netip.MustParseAddrPort("192.0.2.1:8000"), withDefaults(release.Probe{}), time.Second)
	result(t, rollout.Pass, "", r, text)
	if len(p.dialed) != 1 || p.dialed[0] != "192.0.2.1:8000" {
		t.Errorf("dialled %v", p.dialed)
	}
}

func TestProbeOfWhatDoesNotAnswerWell(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(c net.Conn)
		says   string
	}{
		"hangs up":         {func(c net.Conn) { hear(c) }, "the connection ended without an answer"},
		"rubbish":          {func(c net.Conn) { hear(c); fmt.Fprint(c, "\x1b[31mSSH-2.0-x\r\n\r\n") }, `not an HTTP answer: malformed HTTP response "\\x1b[31mSSH`},
		"half a status":    {func(c net.Conn) { hear(c); fmt.Fprint(c, "HTTP/1.1 2") }, `not an HTTP answer: malformed HTTP status code "2"`},
		"endless header":   {func(c net.Conn) { hear(c); endless(c, "HTTP/1.1 200 OK\r\nX: ", "xxxxxxxx") }, "exceed"},
		"endless headers":  {func(c net.Conn) { hear(c); endless(c, "HTTP/1.1 200 OK\r\n", "X: y\r\n") }, "exceed"},
		"endless 1xx":      {func(c net.Conn) { hear(c); endless(c, "", "HTTP/1.1 100 Continue\r\n\r\n") }, "exceeded 65536 bytes"},
		"endless bad body": {func(c net.Conn) { hear(c); endless(c, "HTTP/1.1 500 no\r\n\r\n", "\x1b]0;x\a\n") }, `answered 500, not 200-299: \x1b]0;x\x07\n`},
	} {
		t.Run(name, func(t *testing.T) {
			r, text := Probe(t.Context(), target(raw(t, c.answer), release.Probe{}))
			result(t, rollout.Fail, c.says, r, text)
		})
	}
}

// hear reads the request's head.
func hear(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == "\r\n" {
			return
		}
	}
}

func endless(c net.Conn, first, then string) {
	_, err := c.Write([]byte(first))
	for then := []byte(strings.Repeat(then, 1000)); err == nil; {
		_, err = c.Write(then)
	}
}

func TestProbeOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	r, text := Probe(t.Context(), target(a, release.Probe{}))
	result(t, rollout.Fail, "connection refused", r, text)
}

// Fail is the app's; error is this host's.
func TestWhoseFailure(t *testing.T) {
	for _, c := range []struct {
		err    error
		result rollout.ProbeResult
	}{
		{syscall.ECONNREFUSED, rollout.Fail}, {syscall.ECONNRESET, rollout.Fail}, {syscall.EHOSTUNREACH, rollout.Fail}, {syscall.ETIMEDOUT, rollout.Fail},
		{syscall.EMFILE, rollout.Error}, {syscall.ENFILE, rollout.Error}, {syscall.ENOBUFS, rollout.Error}, {syscall.ENOMEM, rollout.Error},
		{syscall.EADDRNOTAVAIL, rollout.Error}, {syscall.ENETUNREACH, rollout.Error}, {syscall.EPERM, rollout.Error},
	} {
		from := client{dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", c.err)}
		}}
		r, text := from.probe(t.Context(), netip.MustParseAddrPort("192.0.2.1:80"), withDefaults(release.Probe{}), time.Second)
		if r != c.result || text == "" {
			t.Errorf("%v: %s %q, want %s", c.err, r, text, c.result)
		}
	}
	nameless := client{dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "front.example.com", Err: "no such host"}}
	}}
	r, text := nameless.smoke(t.Context(), release.Smoke{Path: "/"}, "front.example.com:80")
	result(t, rollout.Error, "front.example.com", r, text)
}

func TestBadPathsAreNotAsked(t *testing.T) {
	p := &pipes{answer: func(_ int, _ string, c net.Conn) { says(c, "200 OK", "") }}
	for _, path := range []string{"http://evil.example.com/", "no-slash", "/a\r\nX: y", "/%zz"} {
		r, text := p.client().probe(t.Context(), netip.MustParseAddrPort("192.0.2.1:80"), withDefaults(release.Probe{Path: path}), time.Second)
		if r != rollout.Error {
			t.Errorf("%q: %s %q", path, r, text)
		}
	}
	if len(p.dialed) > 0 {
		t.Errorf("dialled %v", p.dialed)
	}
	r, text := p.client().probe(t.Context(), netip.MustParseAddrPort("192.0.2.1:80"), withDefaults(release.Probe{Path: "//evil.example.com/x"}), time.Second)
	result(t, rollout.Pass, "", r, text)
	if len(p.dialed) != 1 || p.dialed[0] != "192.0.2.1:80" {
		t.Errorf("dialled %v", p.dialed)
	}
}

func TestTimes(t *testing.T) {
	a := netip.MustParseAddrPort("192.0.2.1:80")
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &pipes{answer: func(_ int, _ string, c net.Conn) { hangs(c) }}
			begin := time.Now()
			r, text := p.client().probe(t.Context(), a, withDefaults(release.Probe{}), 3*time.Second)
			result(t, rollout.Fail, "no answer in time (3s)", r, text)
			if d := time.Since(begin); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
		})
	})
	t.Run("no connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			from := client{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			begin := time.Now()
			r, text := from.probe(t.Context(), a, withDefaults(release.Probe{}), 3*time.Second)
			result(t, rollout.Fail, "no answer in time (3s)", r, text)
			if d := time.Since(begin); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
		})
	})
	t.Run("a bad answer whose body never comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &pipes{answer: func(_ int, _ string, c net.Conn) { says(c, "500 no", "half"); hangs(c) }}
			begin := time.Now()
			r, text := p.client().probe(t.Context(), a, withDefaults(release.Probe{}), 3*time.Second)
			result(t, rollout.Fail, "answered 500, not 200-299: half", r, text)
			if d := time.Since(begin); d > 3*time.Second {
				t.Errorf("after %v", d)
			}
		})
	})
	t.Run("given up by the caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &pipes{answer: func(_ int, _ string, c net.Conn) { hangs(c) }}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errors.New("a newer release")) })
			r, text := p.client().probe(ctx, a, withDefaults(release.Probe{}), 3*time.Second)
			result(t, rollout.Error, "a newer release", r, text)
			r, text = p.client().probe(ctx, a, withDefaults(release.Probe{}), 3*time.Second)
			result(t, rollout.Error, "not asked: a newer release", r, text)
			if len(p.dialed) != 1 {
				t.Errorf("dialled %d times", len(p.dialed))
			}
		})
	})
}
