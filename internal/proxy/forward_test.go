package proxy

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

func targetWithState(t *testing.T, h http.HandlerFunc, watch func(http.ConnState)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) { watch(state) }
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// mirror answers with what it got.
func mirror(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "host": r.Host, "header": r.Header})
}

type mirrored struct {
	URI    string      `json:"uri"`
	Host   string      `json:"host"`
	Header http.Header `json:"header"`
}

func (f *front) mirrored(req *http.Request) (m mirrored) {
	f.t.Helper()
	resp, body := f.do(req)
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		f.t.Fatalf("%s %q: %v", resp.Status, body, err)
	}
	return m
}

func TestHeadersThatATargetMayTrust(t *testing.T) {
	f := start(t, nil)
	app := config(1, vocab.Blue, blue(target(t, mirror)))
	app.Routes = append(app.Routes, Route{Host: "a.test", Path: "/ai/", Service: "web", StripPath: true})
	f.put("shop", app)
	req := f.request(http.MethodGet, "/ai/x%2fy?a=1;b=%zz&c", nil)
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-User",
		"X-Real-IP", "True-Client-IP", "X-Original-URL", "X-Rewrite-URL", "Proxy"} {
		req.Header[name] = []string{"forged"}
		req.Header[strings.ReplaceAll(name, "-", "_")] = []string{"forged"}
	}
	req.Header["x-forwarded-for"] = []string{"forged"}
	req.Header.Set("Keep", "kept")
	req.Header.Set("Connection", "x-hop")
	req.Header.Set("X-Hop", "for the proxy alone")
	m := f.mirrored(req)
	for name, values := range m.Header {
		if strings.Contains(strings.Join(values, " "), "forged") {
			t.Errorf("%s came through: %q", name, values)
		}
	}
	for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "a.test", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/ai", "Keep": "kept", "X-Hop": ""} {
		if got := strings.Join(m.Header.Values(name), ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if m.URI != "/x%2fy?a=1;b=%zz&c" || m.Host != "a.test" {
		t.Errorf("arrives as %s for %s", m.URI, m.Host)
	}
	if m.Header.Get("Accept-Encoding") != "" || m.Header.Get("User-Agent") != "Go-http-client/1.1" {
		t.Errorf("headers of the proxy's own: %v", m.Header)
	}
	if m := f.mirrored(f.request(http.MethodGet, "/plain", nil)); m.Header.Get("X-Forwarded-Prefix") != "" || m.URI != "/plain" {
		t.Errorf("without stripping: %+v", m)
	}
}

func TestRequestID(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, mirror))))
	for id, kept := range map[string]bool{"abc-123": true, "a b": false, "a\"b": false, "": false, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "<x>": false} {
		req := f.request(http.MethodGet, "/", nil)
		req.Header.Set("X-Request-Id", id)
		resp, body := f.do(req)
		var m mirrored
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatal(err)
		}
		sent, back := m.Header.Get("X-Request-Id"), resp.Header.Get("X-Request-Id")
		if sent != back || len(sent) < 16 && !kept || (sent == id) != kept {
			t.Errorf("%.20q: the target gets %q, the client %q", id, sent, back)
		}
	}
	if a, b := f.mirrored(f.request("GET", "/", nil)), f.mirrored(f.request("GET", "/", nil)); a.Header.Get("X-Request-Id") == b.Header.Get("X-Request-Id") {
		t.Error("two requests have one id")
	}
}

func TestExposeIsOffUnlessAskedFor(t *testing.T) {
	for _, on := range []bool{true, false} {
		f := start(t, func(opt *Options, _ *Proxy) { opt.Expose = on })
		app := config(3, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Teal-App", "forged") })))
		app.Releases = map[vocab.Colour]string{vocab.Blue: "v1.2.3"}
		f.put("shop", app)
		before := time.Now()
		resp, _ := f.get("/")
		want := map[string]string{"Teal-App": "shop", "Teal-Release": "v1.2.3", "Teal-Colour": "blue", "Teal-Generation": "3"}
		if !on {
			want = map[string]string{"Teal-App": "forged", "Teal-Release": "", "Teal-Colour": "", "Teal-Generation": "", "Teal-Chosen": ""}
		}
		for name, value := range want {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("expose %v: %s is %q, want %q", on, name, got, value)
			}
		}
		if on {
			var nanos int64
			if _, err := fmt.Sscan(resp.Header.Get("Teal-Chosen"), &nanos); err != nil || time.Unix(0, nanos).Before(before.Add(-time.Millisecond)) || time.Unix(0, nanos).After(time.Now()) {
				t.Errorf("chosen at %s: %v", resp.Header.Get("Teal-Chosen"), err)
			}
		}
	}
}

// breaker is a target that reads a request and then closes the connection, like an app
// that ends it at the wrong moment.
func breaker(t *testing.T, answersFirst int) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	address = serveRaw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := 0; ; n++ {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			requests.Add(1)
			if n >= answersFirst {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	return address, requests
}

func TestWhatChangesThingsIsSentOnce(t *testing.T) {
	for _, c := range []struct {
		method, body string
		times        int64
	}{
		{http.MethodPost, "x", 1}, {http.MethodPost, "", 1}, {http.MethodPut, "x", 1}, {http.MethodDelete, "", 1}, {http.MethodPatch, "x", 1}, {http.MethodGet, "x", 1},
	} {
		f := start(t, nil)
		at, requests := breaker(t, 0)
		other, others := breaker(t, 0)
		f.put("shop", config(1, vocab.Blue, blue(at, other)))
		req := f.request(c.method, "/", nil)
		if c.body != "" {
			req = f.request(c.method, "/", strings.NewReader(c.body))
		}
		req.Header.Set("Idempotency-Key", "x") // net/http would take it for leave
		resp, _ := f.do(req)
		if resp.StatusCode != http.StatusBadGateway || requests.Load()+others.Load() != c.times {
			t.Errorf("%s %q: %s after %d tries", c.method, c.body, resp.Status, requests.Load()+others.Load())
		}
	}
}

// A kept connection may end just as a request is sent on it, and nobody could tell
// whether the app did what it was asked.
func TestAKeptConnectionCarriesNothingThatChangesThings(t *testing.T) {
	for _, c := range []struct{ method, body string }{{http.MethodPost, "x"}, {http.MethodPost, ""}, {http.MethodPut, "x"}, {http.MethodDelete, ""}, {http.MethodPatch, "x"}, {http.MethodGet, "x"}} {
		f := start(t, nil)
		at, requests := breaker(t, 1)
		f.put("shop", config(1, vocab.Blue, blue(at)))
		f.get("/") // leaves a connection that breaks with its next request
		resp, _ := f.do(f.request(c.method, "/", strings.NewReader(c.body)))
		if n := requests.Load(); resp.StatusCode != http.StatusOK || n != 2 {
			t.Errorf("%s %q: %s, and the app was asked %d times", c.method, c.body, resp.Status, n)
		}
	}
}

// An app may close a kept connection at any moment, without word. Nothing may be lost.
func TestNoRequestIsLostWhenTheAppClosesIdleConnections(t *testing.T) {
	f := start(t, nil)
	at := serveRaw(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		// A whole answer that promises to keep the connection, and its end.
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	f.put("shop", config(1, vocab.Blue, blue(at)))
	c := client(t)
	for i := range 600 {
		req := f.request(http.MethodGet, "/", nil)
		if i%2 == 1 {
			req = f.request(http.MethodPost, "/", strings.NewReader("order"))
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != "ok" {
			t.Fatalf("request %d (%s): %s %q %v", i, req.Method, resp.Status, body, err)
		}
	}
}

func TestConnectionsForOneRequestLeaveNoPortBehind(t *testing.T) {
	f := start(t, nil)
	at := target(t, says("ok"))
	f.put("shop", config(1, vocab.Blue, blue(at)))
	for range 50 {
		f.do(f.request(http.MethodPost, "/", strings.NewReader("x")))
	}
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip(err)
	}
	_, port, _ := net.SplitHostPort(at)
	var n int
	fmt.Sscan(port, &n)
	waiting := 0
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", n)) && fields[3] == "06" { // TIME_WAIT towards the target
			waiting++
		}
	}
	if waiting > 0 {
		t.Errorf("%d ports wait after 50 requests", waiting)
	}
}

func TestARefusedConnectionIsTriedOnAnotherReplica(t *testing.T) {
	f := start(t, nil)
	var hits atomic.Int64
	good := target(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	f.put("shop", config(1, vocab.Blue, blue(refused(t), good)))
	for i := range 20 {
		big := strings.Repeat("x", 100_000)
		if resp, body := f.do(f.request(http.MethodPost, "/", strings.NewReader(big))); resp.StatusCode != 200 || body != "100000" {
			t.Fatalf("request %d: %s %q", i, resp.Status, body)
		}
	}
	if hits.Load() != 20 {
		t.Errorf("%d requests arrived of 20", hits.Load())
	}
	f.put("shop", config(2, vocab.Blue, blue(refused(t), refused(t), refused(t))))
	if resp, _ := f.get("/"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("nobody is there: %s", resp.Status)
	}
}

func TestLeastInFlightGetsTheRequest(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	free := target(t, says("free"))
	f.put("shop", config(1, vocab.Blue, blue(target(t, g.ServeHTTP), free)))
	var slow []<-chan string
	for len(slow) == 0 || len(g.arrived) == 0 { // until the slow one holds one
		slow = append(slow, f.async("/slow"))
		time.Sleep(10 * time.Millisecond)
	}
	for range 20 {
		if _, body := f.get("/"); body != "free" {
			t.Errorf("a request went to the busy one: %q", body)
		}
	}
	close(g.open)
	for _, s := range slow {
		<-s
	}
}

func TestReplicasThatTookNoConnectionComeLast(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := &replica{address: "a"}, &replica{address: "b"}
	svc := &service{replicas: []*replica{a, b}}
	pick := func(tried *replica) string {
		if r := svc.least(tried, now); r != nil {
			return r.address
		}
		return "none"
	}
	a.avoid.Store(now.Add(time.Second).UnixNano())
	b.inFlight.Store(50)
	for range 4 {
		if got := pick(nil); got != "b" {
			t.Errorf("with one that took none: %s", got)
		}
	}
	b.avoid.Store(now.Add(time.Second).UnixNano())
	for range 4 {
		if got := pick(nil); got != "a" {
			t.Errorf("when none took one, the least loaded: %s", got)
		}
		if got := pick(a); got != "b" {
			t.Errorf("after a: %s", got)
		}
	}
	now = now.Add(2 * time.Second)
	if got := pick(nil); got != "a" {
		t.Errorf("after a while: %s", got)
	}
}

func TestBodiesStreamBothWays(t *testing.T) {
	f := start(t, nil)
	const size = 64 << 20
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Sum", fmt.Sprintf("%d %x", n, sum.Sum(nil)))
		_, _ = io.CopyN(w, zeros{}, size)
	}))))
	resp, err := client(t).Do(f.request(http.MethodPost, "/", io.LimitReader(zeros{}, size))) // chunked
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	sum := sha256.New()
	_, _ = io.CopyN(sum, zeros{}, size)
	if want := fmt.Sprintf("%d %x", size, sum.Sum(nil)); err != nil || n != size || resp.Header.Get("Sum") != want {
		t.Errorf("%d bytes back (%v), %q sent, want %q", n, err, resp.Header.Get("Sum"), want)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFramingThatTwoReadersReadDifferently(t *testing.T) {
	f := start(t, nil)
	var hits atomic.Int64
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.URL.Path)
	}))))
	for name, head := range map[string]string{
		"two lengths":         "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"a signed length":     "Content-Length: +5\r\n\r\nhello",
		"two codings":         "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"an unknown coding":   "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a space in a name":   "Content-Length : 5\r\n\r\nhello",
		"a folded header":     "X: a\r\n b\x00c\r\n\r\n",
		"two hosts":           "Host: b.test\r\n\r\n",
		"a line feed for all": "X: a\rb\r\n\r\n",
	} {
		got := f.raw("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n" + head)
		if !strings.HasPrefix(got, "HTTP/1.1 400") && !strings.HasPrefix(got, "HTTP/1.1 501") {
			t.Errorf("%s: %.80q", name, got)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d of them arrived", hits.Load())
	}
	// A length beside chunks must not let the rest pass as another request.
	got := f.raw("POST /one HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /two HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if strings.Contains(got, "/two") || hits.Load() > 1 {
		t.Errorf("a hidden request got through: %q", got)
	}
}

func TestLargeHeadsAreRefused(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, says("ok")))))
	if got := f.raw("GET / HTTP/1.1\r\nHost: a.test\r\nX: " + strings.Repeat("x", maxHead+8192) + "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("%.80q", got)
	}
	if resp, _ := f.get("/" + strings.Repeat("x", maxTarget)); resp.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a long target: %s", resp.Status)
	}
	f.put("shop", config(2, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 300<<10))
	}))))
	if resp, _ := f.get("/"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("an answer with a huge head: %s", resp.Status)
	}
}

func TestUnknownHostsAndPaths(t *testing.T) {
	f := start(t, nil)
	app := config(1, vocab.Blue, blue(target(t, says("ok"))))
	app.Routes[0].Path = "/api/"
	f.put("shop", app)
	for _, c := range []struct{ host, path, want string }{
		{"a.test", "/api/x", "200"}, {"A.TEST.:80", "/api/", "200"}, {"a.test", "/", "404"}, {"b.test", "/api/", "404"}, {"", "/api/", "404"}, {"a.test.evil", "/api/", "404"},
	} {
		got := f.raw("GET " + c.path + " HTTP/1.1\r\nHost: " + c.host + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.want) {
			t.Errorf("%s%s: %.60q, want %s", c.host, c.path, got, c.want)
		}
	}
}

func TestHealthPathIsTheProxysOwn(t *testing.T) {
	f := start(t, func(opt *Options, _ *Proxy) { opt.HealthPath = "/-/health" })
	if resp, body := f.get("/-/health"); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	if resp, _ := f.do(f.request(http.MethodPost, "/-/health", nil)); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	f.Proxy.leaving.Store(true)
	if resp, _ := f.get("/-/health"); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("while leaving: %s, close %v", resp.Status, resp.Close)
	}
}
