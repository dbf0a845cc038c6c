package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// script is a target that answers each request of a connection with the next text, and
// closes behind the last one. It tells what it was asked.
func script(t *testing.T, answers ...string) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var heads []string
	address = serveRaw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for _, answer := range answers {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			mu.Lock()
			heads = append(heads, req.Method+" "+req.RequestURI)
			mu.Unlock()
			for i, part := range strings.Split(answer, "|") { // a bar is a pause
				if i > 0 {
					time.Sleep(20 * time.Millisecond)
				}
				if _, err := io.WriteString(c, part); err != nil {
					return
				}
			}
		}
	})
	return address, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), heads...)
	}
}

const ask = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"

// answersTo reads n answers from a connection and gives status and body of each, "cut"
// for one that does not end.
func answersTo(t *testing.T, c net.Conn, method string, n int) (all []string) {
	t.Helper()
	r := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return append(all, "none")
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		text := fmt.Sprintf("%d %s", resp.StatusCode, body)
		if err != nil {
			text = fmt.Sprintf("%d cut", resp.StatusCode)
		}
		if len(resp.Trailer) > 0 {
			text += fmt.Sprint(resp.Trailer)
		}
		all = append(all, text)
	}
	return all
}

// TestAnswersOfEveryFraming arrive whole, and the connection to the target is kept when
// and only when it stands at an answer's end.
func TestAnswersOfEveryFraming(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         string
		kept, broken bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello", true, false},
		{"length in pieces", "HTTP/1.1 2|00 OK\r\nContent-|Length: 5\r\n\r\nh|ello", "200 hello", true, false},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", "204 ", true, false},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "304 ", true, false},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200 hello", true, false},
		{"chunked in pieces", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5|\r\nhel|lo\r\n0|\r\n\r|\n", "200 hello", true, false},
		{"chunked with a trailer", "HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 7\r\n\r\n", "200 hellomap[Sum:[7]]", true, false},
		{"close", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "200 hello", false, false},
		{"to the end", "HTTP/1.1 200 OK\r\n\r\nhel|lo", "200 hello", false, false},
		{"nothing to the end", "HTTP/1.1 200 OK\r\n\r\n", "200 ", false, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello", false, false},
		{"hints first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello", true, false},
		{"an unasked 100", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello", true, false},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "200 hello", true, false},
		{"too much", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", "200 hello", false, false},
		{"too much behind chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200 hello", false, false},
		{"too short", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "200 cut", false, true},
		{"chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "200 cut", false, true},
		{"bad chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x0\r\n\r\n", "200 cut", false, true},
		{"two framings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "502 502 the app does not answer\n", false, false},
		{"a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "502 502 the app does not answer\n", false, false},
		{"no HTTP", "220 smtp.example.com\r\n\r\n", "502 502 the app does not answer\n", false, false},
		{"half a head", "HTTP/1.1 200 OK\r\nConte", "502 502 the app does not answer\n", false, false},
		{"hints without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20), "502 502 the app does not answer\n", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, nil)
			to, asked := script(t, c.answer)
			f.put("shop", config(1, vocab.Blue, blue(to)))
			conn := f.dial()
			if _, err := io.WriteString(conn, ask); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			hinted := strings.HasPrefix(c.name, "hints")
			for hinted {
				head, _ := r.Peek(len("HTTP/1.1 103"))
				if hinted = strings.HasSuffix(string(head), "103"); hinted {
					if _, err := http.ReadResponse(r, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			got := fmt.Sprintf("%d %s", resp.StatusCode, body)
			if err != nil {
				got = fmt.Sprintf("%d cut", resp.StatusCode)
			}
			if len(resp.Trailer) > 0 {
				got += fmt.Sprint(resp.Trailer)
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			eventually(t, "the request is counted out", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
			f.Proxy.mu.Lock()
			idle := len(f.Proxy.table.Load().apps["shop"].live.services["web"].replicas[0].pool.idle)
			f.Proxy.mu.Unlock()
			if (idle == 1) != c.kept {
				t.Errorf("%d idle connections, kept %t", idle, c.kept)
			}
			if n := f.counters("shop", vocab.Blue).Broken; (n == 1) != c.broken {
				t.Errorf("%d broken, want %t", n, c.broken)
			}
			if n := len(asked()); n != 1 {
				t.Errorf("the target was asked %d times", n)
			}
			if n := f.Proxy.front.unusual.Load(); n != 0 {
				t.Errorf("%d lines went to the general path", n)
			}
		})
	}
}

// TestBytesThatNobodyAskedForAreNoAnswer: what a target sends on an idle connection
// must not be taken for the answer to whoever comes next.
func TestBytesThatNobodyAskedForAreNoAnswer(t *testing.T) {
	f := start(t, nil)
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	to, asked := script(t, answer+"|HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", answer)
	f.put("shop", config(1, vocab.Blue, blue(to)))
	conn := f.dial()
	for range 3 {
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		if got := answersTo(t, conn, "GET", 1); got[0] != "200 good" {
			t.Fatalf("%q", got)
		}
		time.Sleep(60 * time.Millisecond) // the forged one is there now
	}
	if n := len(asked()); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// TestRequestsInOnePiece are answered one after the other, in their order.
func TestRequestsInOnePiece(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	}))))
	conn := f.dial()
	long := strings.Repeat("x", 20_000)
	text := "\r\nGET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc\r\n" +
		"GET /3 HTTP/1.1\r\nHost: a.test\r\nX-Long: " + long + "\r\n\r\n" +
		"PUT /4 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n" + long +
		"GET /5 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\nGET /6 HTTP/1.1\r\nHost: a.test\r\n\r\n"
	go func() {
		for len(text) > 0 { // in pieces that respect nothing
			n := min(len(text), 1777)
			if _, err := io.WriteString(conn, text[:n]); err != nil {
				return
			}
			text = text[n:]
		}
	}()
	got := answersTo(t, conn, "GET", 6)
	want := []string{"200 GET /1 0", "200 POST /2 3", "200 GET /3 0", "200 PUT /4 20000", "200 GET /5 0", "none"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := f.Proxy.front.unusual.Load(); n != 0 {
		t.Errorf("%d lines went to the general path", n)
	}
}

// TestALineGoesOnOnTheGeneralPath with the request that was too unusual, and with what
// was sent behind it.
func TestALineGoesOnOnTheGeneralPath(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, mirror))))
	conn := f.dial()
	if _, err := io.WriteString(conn, ask+"GET /y HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"+ask); err != nil {
		t.Fatal(err)
	}
	got := answersTo(t, conn, "GET", 3)
	if len(got) != 3 || !strings.Contains(got[1], `"uri":"/y"`) || strings.Contains(got[1], "X-Hop") || !strings.Contains(got[2], `"uri":"/x"`) {
		t.Errorf("%q", got)
	}
	if n := f.Proxy.front.unusual.Load(); n != 1 {
		t.Errorf("%d lines went to the general path", n)
	}
}

// TestLargeBodiesMoveThroughTheKernel and arrive as they were, also when the client
// takes them slowly.
func TestLargeBodiesMoveThroughTheKernel(t *testing.T) {
	f := start(t, nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	}))))
	conn := f.dial()
	for range 3 {
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for piece := int64(1); got.Len() < len(body); piece = min(2*piece, 1<<20) {
			if _, err := io.CopyN(&got, resp.Body, min(piece, int64(len(body)-got.Len()))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if !bytes.Equal(got.Bytes(), body) {
			t.Fatal("another body")
		}
	}
	if c := f.counters("shop", vocab.Blue); c.Broken != 0 || c.Requests != 3 {
		t.Errorf("%+v", c)
	}
}

// breaks panics when the proxy says a certain thing, once: a mistake in its code.
type breaks struct {
	slog.Handler
	at   string
	done atomic.Bool
}

func (h *breaks) Enabled(context.Context, slog.Level) bool { return true }

func (h *breaks) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.at && !h.done.Swap(true) {
		panic("a mistake")
	}
	return nil
}

// TestAHeadThatComesByteByByte is served, and costs no more than its bytes.
func TestAHeadThatComesByteByByte(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, says("blue")))))
	conn := f.dial()
	for i := range ask {
		if _, err := io.WriteString(conn, ask[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got := answersTo(t, conn, "GET", 1); got[0] != "200 blue" {
		t.Errorf("%q", got)
	}
}

// TestAUsualRequestAllocatesNothing: the collector has no work with them.
func TestAUsualRequestAllocatesNothing(t *testing.T) {
	for _, size := range []int{5, 3000, 12_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { allocations(t, strings.Repeat("x", size)) })
	}
}

func allocations(t *testing.T, body string) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := start(t, func(opt *Options, _ *Proxy) { opt.Expose = false })
	answer := []byte("HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body)
	address := serveRaw(t, func(c net.Conn) {
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	app := config(1, vocab.Blue, blue(address))
	app.Burst = &Burst{Errors: 0.5, Requests: 25}
	f.put("shop", app)
	conn := f.dial()
	out := []byte("GET /some/path?and=query HTTP/1.1\r\nHost: a.test\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n")
	in := make([]byte, 64<<10)
	var failed atomic.Value
	once := func() {
		if _, err := conn.Write(out); err != nil {
			failed.Store(err)
		}
		for have := 0; ; {
			n, err := conn.Read(in[have:])
			have += n
			if err != nil {
				failed.Store(err)
				return
			}
			if end := bytes.Index(in[:have], []byte("\r\n\r\n")); end > 0 && have-end-4 >= len(body) {
				return
			}
		}
	}
	for range 200 {
		once()
	}
	var before, after runtime.MemStats
	const requests = 2000
	runtime.ReadMemStats(&before)
	for range requests {
		once()
	}
	runtime.ReadMemStats(&after)
	if err := failed.Load(); err != nil {
		t.Fatal(err)
	}
	// Something else in the process may allocate now and then; a request may not.
	if per := float64(after.Mallocs-before.Mallocs) / requests; per > 0.5 {
		t.Errorf("%.2f allocations a request", per)
	}
}

// TestWhatIsSentBehindALongBody is served too, however much it is.
func TestWhatIsSentBehindALongBody(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, summed))))
	conn := f.dial()
	long := strings.Repeat("y", 20_000)
	send := func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		}
	}
	send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	time.Sleep(50 * time.Millisecond)
	send("0\r\n\r\nPOST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n" + long[:10_000])
	time.Sleep(50 * time.Millisecond)
	send(long[10_000:])
	got := answersTo(t, conn, "GET", 2)
	if want := []string{"200 " + sumOf("hello") + " map[]", "200 " + sumOf(long) + " map[]"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestHintsInPieces: an interim head and the one that counts may be cut anywhere.
func TestHintsInPieces(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 103 Early Hints\r\nLink: </a|>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-|Length: 5\r\n\r\nhello",
		"HTTP/1.1 103 Early Hints\r\nLink: </" + strings.Repeat("a", 20_000) + ">\r\n\r\nHTTP/1.1 200 O|K\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 103 Early Hints\r\n\r|\nHTTP/1.1 103 Early Hints\r\n|\r\n|HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r|\nhello",
	} {
		f := start(t, nil)
		to, _ := script(t, answer)
		f.put("shop", config(1, vocab.Blue, blue(to)))
		resp, body := f.get("/")
		if resp.StatusCode != 200 || body != "hello" {
			t.Errorf("%.60q: %s %q", answer, resp.Status, body)
		}
	}
}

// TestNobodyNominatesTheFraming: an answer whose length is taken away would swallow the
// next one.
func TestNobodyNominatesTheFraming(t *testing.T) {
	f := start(t, nil)
	answer := "HTTP/1.1 200 OK\r\nConnection: content-length, x-a\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"
	to, _ := script(t, answer, answer)
	f.put("shop", config(1, vocab.Blue, blue(to)))
	conn := f.dial()
	if _, err := io.WriteString(conn, ask+ask); err != nil {
		t.Fatal(err)
	}
	if got := answersTo(t, conn, "GET", 2); fmt.Sprint(got) != "[200 hello 200 hello]" {
		t.Errorf("%q", got)
	}
}
