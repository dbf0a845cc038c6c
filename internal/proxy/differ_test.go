package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// pair is two proxies before one target: one takes the fast path where it can, the
// other always the general one.
type pair struct {
	fast, general string // addresses

	active atomic.Int64 // requests at the target
	mu     sync.Mutex
	seen   []string // requests as they came to the target
}

func newPair(t testing.TB, to string) *pair {
	t.Helper()
	p := &pair{}
	p.fast, p.general = startPlain(t, to, false), startPlain(t, to, true)
	return p
}

// startPlain runs a proxy that sends a.test to an address.
func startPlain(t testing.TB, to string, slow bool) string {
	t.Helper()
	p, err := New(Options{StateDir: t.TempDir(), AnswerTimeout: 300 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.patience = patience{body: 200 * time.Millisecond, answer: time.Second}
	p.slow = slow
	if _, err := p.Put(context.Background(), "shop", config(1, vocab.Blue, blue(to))); err != nil {
		t.Fatal(err)
	}
	all, err := Listen([]string{"127.0.0.1:0"}, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &Server{Proxy: p, Listeners: all, Control: filepath.Join(t.TempDir(), "c.sock"), Group: NoGroup}
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return all[0].Addr().String()
}

// took is what the target got since the last call.
func (p *pair) took() []string {
	for range 100 { // one that was given up may still be there
		if p.active.Load() == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// record is a target that notes all of a request that means anything to an app.
func (p *pair) record(w http.ResponseWriter, r *http.Request) {
	p.active.Add(1)
	defer p.active.Add(-1)
	body, err := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %d %q", r.Method, r.RequestURI, r.Host, r.ContentLength, body)
	if err != nil {
		return // the target knows that it is no request
	}
	r.Header.Del("X-Request-Id")   // a new one each time
	r.Header.Del("Content-Length") // stands there already
	for _, header := range []http.Header{r.Header, r.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(header)) {
			fmt.Fprintf(&b, " %s=%q", name, header[name])
		}
	}
	p.mu.Lock()
	p.seen = append(p.seen, b.String())
	p.mu.Unlock()
	fmt.Fprintf(w, "%d", len(body))
}

const lastRequest = "GET /end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

// talk sends bytes to a proxy and gives the answers' statuses.
func talk(t testing.TB, address string, data []byte) (statuses []int) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond)) // bytes that ask for more bytes end here
	go func() { _, _ = c.Write(data) }()
	r := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses
		}
		if resp.StatusCode >= 200 {
			statuses = append(statuses, resp.StatusCode)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return statuses
		}
	}
}

// FuzzClientBytes sends the same bytes to both paths. What the fast path passes on, the
// general one passes on too, and alike: the fast one may refuse more, never forward
// another thing.
func FuzzClientBytes(f *testing.F) {
	var p *pair
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.record(w, r) })}
	go func() { _ = server.Serve(l) }()
	f.Cleanup(func() { server.Close() })
	p = newPair(f, l.Addr().String())
	for _, s := range clientSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append(bytes.Clone(data), lastRequest...)
		fastAnswers := talk(t, p.fast, data)
		fast := p.took()
		generalAnswers := talk(t, p.general, data)
		general := p.took()
		for i, request := range fast {
			if i >= len(general) || general[i] != request {
				t.Fatalf("the fast path passes on\n%s\nand the general one\n%s\nanswers %v and %v", strings.Join(fast, "\n"), strings.Join(general, "\n"), fastAnswers, generalAnswers)
			}
		}
		for i, status := range fastAnswers[:min(len(fast), len(fastAnswers), len(generalAnswers))] {
			if generalAnswers[i] != status && status < 400 {
				t.Fatalf("the fast path answers %v, the general one %v", fastAnswers, generalAnswers)
			}
		}
	})
}

var clientSeeds = []string{
	"",
	ask,
	ask + ask,
	"POST /a?b=%20 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nCookie: x\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a.test:80\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: A.test.\r\nTransfer-Encoding: Chunked\r\nTrailer: Sum\r\n\r\n1\r\nx\r\n0\r\nSum: 7\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
	"GET /%2e%2e/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"GET //x;y\\z HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1\r\nX_Real_IP: 2\r\nForwarded: for=3\r\nX-Request-Id: own\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade, x\r\nUpgrade: h2c\r\nX: y\r\nTE: trailers\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
	"GET / HTTP/1.1\nHost: a.test\n\n",
	"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n",
	"DELETE /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
}

// outcome is what a client has of an answer.
func outcome(t testing.TB, address string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, ask); err != nil {
		return "none"
	}
	r := bufio.NewReader(c)
	var b strings.Builder
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
		if err != nil {
			return b.String() + "none"
		}
		for _, name := range []string{"X-Request-Id", "Date", "Connection"} {
			resp.Header.Del(name)
		}
		if resp.StatusCode == http.StatusNotModified {
			resp.Header.Del("Content-Length") // net/http takes it out
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return b.String() + fmt.Sprintf("%d cut", resp.StatusCode)
		}
		if resp.StatusCode == 502 || resp.StatusCode == 504 {
			return b.String() + "bad"
		}
		fmt.Fprintf(&b, "%d %q", resp.StatusCode, body)
		for _, header := range []http.Header{resp.Header, resp.Trailer} {
			for _, name := range slices.Sorted(maps.Keys(header)) {
				fmt.Fprintf(&b, " %s=%q", name, header[name])
			}
		}
		if resp.StatusCode >= 200 {
			return b.String()
		}
		b.WriteByte('\n')
	}
}

// FuzzTargetBytes lets a target answer the same bytes on both paths, and close. What
// the client gets whole over the fast path, it gets over the general one, and alike.
func FuzzTargetBytes(f *testing.F) {
	var answer []byte
	var mu sync.Mutex
	address := serveRaw(f, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		mu.Lock()
		data := answer
		mu.Unlock()
		_, _ = c.Write(data)
	})
	p := newPair(f, address)
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n5\r\nhello\r\n0\r\nSum: 7\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nto the end",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nX-Request-Id: own\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
		"HTTP/1.1 500 x\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: y\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		mu.Lock()
		answer = bytes.Clone(data)
		mu.Unlock()
		fast, general := outcome(t, p.fast), outcome(t, p.general)
		if whole := !strings.HasSuffix(fast, "cut") && !strings.HasSuffix(fast, "none") && !strings.HasSuffix(fast, "bad"); whole && fast != general {
			t.Fatalf("over the fast path\n%s\nover the general one\n%s", fast, general)
		}
	})
}
