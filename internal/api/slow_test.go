package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// quick are limits that a test can wait out; forever is where it must not.
var (
	quick   = time.Second
	forever = time.Hour
)

func within(t *testing.T, l limits) *served {
	return serveWithin(t, Roles{Operators: uint32(os.Getegid()), Viewers: NoGroup}, l)
}

func dial(t *testing.T, s *served) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // the machine may be slow; the limits are not
		t.Fatal(err)
	}
	return c
}

// TestSlowClients: who is slow in sending or in taking loses the connection. Each case sets
// one limit; with the others alone the connection would stay for an hour.
func TestSlowClients(t *testing.T) {
	huge := strings.Repeat("x", 8<<20) // more than a socket holds
	for name, c := range map[string]struct {
		limits limits
		sends  string
		answer string // that comes before the end
	}{
		"nothing":             {limits{head: quick, body: forever, reply: forever, stream: forever, idle: forever}, "", ""},
		"half a head":         {limits{head: quick, body: forever, reply: forever, stream: forever, idle: forever}, "GET /v1/status HTTP/1.1\r\nHost: teal\r\nX-Slow: ", ""},
		"a command's body":    {limits{head: forever, body: quick, reply: forever, stream: forever, idle: forever}, "POST /v1/rollback HTTP/1.1\r\nHost: teal\r\nContent-Length: 100\r\n\r\n{\"app\":", "400 Bad Request"},
		"a chunked body":      {limits{head: forever, body: quick, reply: forever, stream: forever, idle: forever}, "POST /v1/rollback HTTP/1.1\r\nHost: teal\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"app", "400 Bad Request"},
		"a body of no use":    {limits{head: forever, body: quick, reply: forever, stream: forever, idle: forever}, "GET /v1/status HTTP/1.1\r\nHost: teal\r\nContent-Length: 100\r\n\r\nx", "400 Bad Request"},
		"a body for no path":  {limits{head: forever, body: quick, reply: forever, stream: forever, idle: forever}, "POST /v1/nothing HTTP/1.1\r\nHost: teal\r\nContent-Length: 100\r\n\r\nx", "404 Not Found"},
		"between two":         {limits{head: forever, body: forever, reply: forever, stream: forever, idle: quick}, "GET /v1/history HTTP/1.1\r\nHost: teal\r\n\r\n", "200 OK"},
		"a reply not taken":   {limits{head: forever, body: forever, reply: quick, stream: forever, idle: forever}, "GET /v1/explain?app=huge HTTP/1.1\r\nHost: teal\r\n\r\n", "TAKES NOTHING"},
		"a stream not taken":  {limits{head: forever, body: forever, reply: forever, stream: quick, idle: forever}, "GET /v1/logs?app=huge HTTP/1.1\r\nHost: teal\r\n\r\n", "TAKES NOTHING"},
		"an event not taken":  {limits{head: forever, body: forever, reply: forever, stream: quick, idle: forever}, "GET /v1/events?app=huge&follow=1 HTTP/1.1\r\nHost: teal\r\n\r\n", "TAKES NOTHING"},
		"an order's own time": {limits{head: forever, body: forever, reply: quick, stream: forever, idle: quick}, "POST /v1/sync HTTP/1.1\r\nHost: teal\r\nContent-Length: 14\r\n\r\n{\"app\":\"slow\"}", "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := within(t, c.limits)
			s.huge = huge
			conn := dial(t, s)
			if _, err := io.WriteString(conn, c.sends); err != nil {
				t.Fatal(err)
			}
			if c.answer == "TAKES NOTHING" {
				for end := time.Now().Add(time.Minute); ; time.Sleep(quick / 4) {
					if _, err := io.WriteString(conn, "\r\n"); err != nil {
						return // the agent has hung up
					}
					if time.Now().After(end) {
						t.Fatal("the agent still waits for who takes nothing")
					}
				}
			}
			got, err := io.ReadAll(conn) // ends when the agent hangs up
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the connection is still open; it said %q", got)
			}
			if !strings.Contains(string(got), c.answer) || c.answer == "" && strings.Contains(string(got), "200 OK") {
				t.Errorf("answered %q, want %q", got, c.answer)
			}
		})
	}
}

// TestSlowIsNotRefused: a follower that hears nothing for longer than all other limits, and
// an order that takes longer than a body may, are served.
func TestSlowIsNotRefused(t *testing.T) {
	s := within(t, limits{head: quick, body: quick, reply: quick, stream: time.Minute, idle: quick})
	got := make(chan uint64)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- NewClient(s.socket).Events(ctx, "", 0, true, func(e Event) error { got <- e.Seq; return nil })
	}()
	<-got
	time.Sleep(3 * quick) // a quiet journal
	s.events <- Event{Seq: 2}
	if seq := <-got; seq != 2 {
		t.Errorf("event %d", seq)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the follower ended with %v", err)
	}
	if done, err := NewClient(s.socket).Do(t.Context(), "sync", Command{App: "slow"}); err != nil || done.Text != "sync" {
		t.Errorf("an order that takes its time: %+v %v", done, err)
	}
}

// TestHostileHeads: what is no request, or an endless one, is answered with 4xx and an end
// of the connection, and never reaches the backend.
func TestHostileHeads(t *testing.T) {
	s := mine(t)
	for name, text := range map[string]string{
		"an endless line":      "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: teal\r\n\r\n",
		"an endless header":    "GET /v1/status HTTP/1.1\r\nHost: teal\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"too many headers":     "GET /v1/status HTTP/1.1\r\nHost: teal\r\n" + strings.Repeat("X-A: b\r\n", 16<<10) + "\r\n",
		"two lengths":          "POST /v1/rollback HTTP/1.1\r\nHost: teal\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\n{}",
		"length and chunks":    "POST /v1/rollback HTTP/1.1\r\nHost: teal\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}",
		"a length below zero":  "POST /v1/rollback HTTP/1.1\r\nHost: teal\r\nContent-Length: -1\r\n\r\n",
		"no host":              "GET /v1/status HTTP/1.1\r\n\r\n",
		"no HTTP":              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"another's protocol":   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a body with a GET":    "GET /v1/status HTTP/1.1\r\nHost: teal\r\nContent-Length: 4\r\n\r\nGET ",
		"a hidden second":      "GET /v1/status HTTP/1.1\r\nHost: teal\r\nContent-Length: 57\r\n\r\nPOST /v1/rollback HTTP/1.1\r\nHost: teal\r\n\r\n{\"app\":\"shop\"}",
		"a header with a line": "GET /v1/status HTTP/1.1\r\nHost: teal\r\nX-A: b\x00c\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s)
			go func() { _, _ = io.WriteString(conn, text) }() // the agent may hang up in the middle
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode < 400 || !resp.Close {
					t.Errorf("%s, closes %v", resp.Status, resp.Close)
				}
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is still open: %v", err)
			}
			if calls := s.take(); len(calls) > 0 {
				t.Errorf("the backend was asked: %q", calls)
			}
		})
	}
	if _, err := NewClient(s.socket).Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTraceReachesTheOrder: the trace id of a request is in the command, the reply and the
// log; one that is none is as if it were not there.
func TestTraceReachesTheOrder(t *testing.T) {
	s := mine(t)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	c := NewClient(s.socket)
	c.Trace = id
	var calls []Call
	c.Called = func(call Call) { calls = append(calls, call) }
	done, err := c.Do(t.Context(), "freeze", Command{Reason: "x"})
	if err != nil || done.Trace != id {
		t.Errorf("%+v %v", done, err)
	}
	if got := s.trace(); got != id {
		t.Errorf("the order carries %q", got)
	}
	if text := s.log.String(); !strings.Contains(text, `msg="order taken" verb=freeze`) || !strings.Contains(text, "trace_id="+id) {
		t.Errorf("the log: %s", text)
	}
	if len(calls) != 1 || calls[0].Method != "POST" || calls[0].Path != "/v1/freeze" || calls[0].Status != 200 || calls[0].Took <= 0 {
		t.Errorf("calls %+v", calls)
	}
	s.fails = Fail(http.StatusConflict, release.NotFrozen, "shop is not frozen")
	if _, err := c.Do(t.Context(), "unfreeze", Command{}); err == nil || !strings.Contains(s.log.String(), `msg="order refused" verb=unfreeze`) {
		t.Errorf("%v: %s", err, s.log)
	}
	s.fails = nil
	for _, bad := range []string{"", "x", id, "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-" + id + "-" + strings.Repeat("0", 16) + "-01",
		"ff-" + id + "-00f067aa0ba902b7-01", "00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", "00-" + id + "-00f067aa0ba902b7-01-more", "00-" + id + "-00f067aa0ba902b7-01\nx"} {
		c.Trace = bad
		req, err := http.NewRequest(http.MethodPost, "http://teal/v1/freeze", strings.NewReader(`{"reason": "x"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header[traceHeader] = []string{bad}
		if strings.Contains(bad, "\n") {
			continue // no client sends it
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := s.trace(); resp.StatusCode != 200 || got != "" {
			t.Errorf("%q: %s, the order carries %q", bad, resp.Status, got)
		}
	}
	for text, want := range map[string]string{id: id, "00-" + id + "-00f067aa0ba902b7-01": id, "cc-" + id + "-00f067aa0ba902b7-00-what-comes-later": id} {
		if got, err := ParseTrace(text); got != want || err != nil {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	if a, b := NewTrace(), NewTrace(); a == b || !traceForm.MatchString(a) {
		t.Errorf("%s %s", a, b)
	}
}

// TestClientKeepsItsConnection: a client that asks again and again, as status -w does, has
// one connection: a user has maxPerPeer of them.
func TestClientKeepsItsConnection(t *testing.T) {
	s := mine(t)
	l, err := net.Listen("unix", s.dir+"/counted")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			up, err := net.Dial("unix", s.socket)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(up, c); up.Close() }()
			go func() { _, _ = io.Copy(c, up); c.Close() }()
		}
	}()
	c := NewClient(s.dir + "/counted")
	for range 50 {
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Plan(t.Context(), "nobody"); err == nil {
			t.Fatal("no failure")
		}
	}
	if n := len(accepted); n != 1 {
		t.Errorf("%d connections for 100 requests", n)
	}
}
