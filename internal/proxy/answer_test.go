package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

func TestHeadOfAnAnswerHasNoBody(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		if r.Method != http.MethodHead {
			fmt.Fprint(w, "hello")
		}
	}))))
	got := f.raw("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "Content-Length: 5") != 2 || strings.Count(got, "hello") != 1 || !strings.HasSuffix(got, "hello") {
		t.Errorf("HEAD and GET on one connection: %q", got)
	}
}

func TestExpectContinueIsAnsweredByTheTarget(t *testing.T) {
	f := start(t, nil)
	var read atomic.Int64
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		read.Add(n)
	}))))
	for path, want := range map[string]string{"/take": "HTTP/1.1 100 Continue", "/refuse": "HTTP/1.1 413"} {
		c := f.dial()
		if _, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("%s: %q %v, want %q", path, line, err, want)
		}
		if path == "/refuse" {
			continue
		}
		if _, err := io.WriteString(c, "body"); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatalf("after 100 comes %q %v", line, err)
		}
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
	if read.Load() != 4 {
		t.Errorf("the target read %d bytes", read.Load())
	}
}

func TestHintsAndTrailersPass(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "Checksum")
		fmt.Fprint(w, "body")
		w.Header().Set("Checksum", "42")
	}))))
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints && h.Get("Link") != "" {
			hints++
		}
		return nil
	}})
	resp, body := f.do(f.request(http.MethodGet, "/", nil).WithContext(ctx))
	if hints != 1 || body != "body" || resp.Trailer.Get("Checksum") != "42" {
		t.Errorf("%d hints, body %q, trailer %v", hints, body, resp.Trailer)
	}
	if n := f.counters("shop", vocab.Blue); n.Requests != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestTheTargetSeesThatTheClientLeft(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	f.put("shop", config(1, vocab.Blue, blue(target(t, g.ServeHTTP))))
	for _, path := range []string{"/slow", "/begun"} {
		ctx, cancel := context.WithCancel(t.Context())
		req := f.request(http.MethodGet, path, nil).WithContext(ctx)
		headed, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			if resp, err := client(t).Do(req); err == nil {
				close(headed)
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
		<-g.arrived
		if path == "/begun" {
			<-headed
		}
		cancel()
		<-ended
		if got := <-g.left; got != path {
			t.Errorf("%s left", got)
		}
	}
	eventually(t, "nothing in flight", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
	if n := f.counters("shop", vocab.Blue); n.Errors != 0 || n.Aborted != 1 || n.Requests != 1 || n.Broken != 0 {
		t.Errorf("a client's leaving counts as %+v", n)
	}
}

func TestABrokenAnswerIsAnError(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "short")
	}))))
	if resp, err := client(t).Do(f.request(http.MethodGet, "/", nil)); err == nil { // the head may be lost with the rest
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the client takes a short answer for a whole one")
		}
		resp.Body.Close()
	}
	eventually(t, "counted", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
	if n := f.counters("shop", vocab.Blue); n.Errors != 1 || n.Broken != 1 || n.Requests != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestATargetThatThinksForTooLong(t *testing.T) {
	f := start(t, func(opt *Options, _ *Proxy) { opt.AnswerTimeout = 50 * time.Millisecond })
	g := newGate()
	f.put("shop", config(1, vocab.Blue, blue(target(t, g.ServeHTTP))))
	if resp, body := f.get("/slow"); resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "in time") {
		t.Errorf("%s %q", resp.Status, body)
	}
	close(g.open)
	if n := f.counters("shop", vocab.Blue); n.Own != 1 || n.Errors != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestAClientsBrokenBodyIsNotTheAppsError(t *testing.T) {
	f := start(t, func(_ *Options, p *Proxy) {
		if p != nil {
			p.patience.body = 100 * time.Millisecond
		}
	})
	f.put("shop", config(1, vocab.Blue, blue(target(t, says("ok")))))
	const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
	if got := f.raw(head + "zz\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a broken chunk: %q", got)
	}
	begin := time.Now()
	if got := f.raw(head + "5\r\nab"); !strings.HasPrefix(got, "HTTP/1.1 408") {
		t.Errorf("a body that stops: %q after %s", got, time.Since(begin))
	}
	if n := f.counters("shop", vocab.Blue); n.Errors != 0 || n.Classes["4xx"] != 2 {
		t.Errorf("counted %+v", n)
	}
	// A body that comes slowly, but comes, may take its time.
	c := f.dial()
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		time.Sleep(30 * time.Millisecond)
		if _, err := io.WriteString(c, "1\r\nx\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("a slow body: %v %v", resp, err)
	}
}

func TestAClientThatTakesNothingIsLeft(t *testing.T) {
	f := start(t, func(_ *Options, p *Proxy) {
		if p != nil {
			p.patience.answer = 100 * time.Millisecond
		}
	})
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" { // pauses for longer than the patience with the client
			fmt.Fprint(w, "a")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(250 * time.Millisecond)
			if r.URL.Path == "/more" {
				fmt.Fprint(w, "b")
			}
			return
		}
		_, _ = io.CopyN(w, zeros{}, 1<<30)
	}))))
	c := f.dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stuck answer ends", func() bool {
		n := f.counters("shop", vocab.Blue)
		return n.Requests == 1 && n.InFlight == 0
	})
	if n := f.counters("shop", vocab.Blue); n.Errors != 0 {
		t.Errorf("it counts as the app's: %+v", n)
	}
	for path, want := range map[string]string{"/more": "ab", "/ends": "a"} {
		if _, body := f.get(path); body != want {
			t.Errorf("%s: a slow app is taken for a slow client: %q", path, body)
		}
	}
}

func TestAnswersAreFlushedAsTheyCome(t *testing.T) {
	f := start(t, nil)
	next := make(chan string, 1)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for text := range next {
			if text == "end" {
				return
			}
			fmt.Fprint(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	}))))
	for _, path := range []string{"/events", "/stream"} {
		next <- "one"
		resp, err := client(t).Do(f.request(http.MethodGet, path, nil))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := resp.Body.Read(buf); string(buf[:n]) != "one" {
			t.Errorf("%s: first %q %v", path, buf[:n], err)
		}
		next <- "two"
		if n, err := resp.Body.Read(buf); string(buf[:n]) != "two" {
			t.Errorf("%s: then %q %v", path, buf[:n], err)
		}
		next <- "end"
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("%s: at last %q %v", path, rest, err)
		}
		resp.Body.Close()
	}
}
