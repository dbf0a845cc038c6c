package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// mine is a server that takes this process for an operator, whoever runs the tests.
func mine(t *testing.T) *served {
	return serve(t, Roles{Operators: uint32(os.Getegid()), Viewers: NoGroup})
}

func TestBadRequests(t *testing.T) {
	s := mine(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"unknown field":      {"POST", "/v1/rollback", `{"app": "shop", "force": true}`, 400, "unknown field"},
		"not JSON":           {"POST", "/v1/rollback", "app=shop", 400, "read the command"},
		"nothing":            {"POST", "/v1/rollback", "", 400, "read the command"},
		"a list":             {"POST", "/v1/rollback", "[]", 400, "read the command"},
		"a wrong type":       {"POST", "/v1/rollback", `{"app": 7}`, 400, "read the command"},
		"a bad time":         {"POST", "/v1/freeze", `{"until": "tomorrow"}`, 400, "read the command"},
		"too long":           {"POST", "/v1/rollback", `{"reason": "` + strings.Repeat("x", maxCommand) + `"}`, 400, "too large"},
		"too long, of blank": {"POST", "/v1/rollback", strings.Repeat(" ", maxCommand+1) + "{}", 400, "too large"},
		"since":              {"GET", "/v1/events?since=x", "", 400, "since must be a number"},
		"since of history":   {"GET", "/v1/history?since=yesterday", "", 400, "since must be a time"},
		"since below zero":   {"GET", "/v1/events?since=-1", "", 400, "since must be a number"},
		"no such verb":       {"POST", "/v1/destroy", "{}", 404, ""},
		"no such version":    {"GET", "/v2/status", "", 404, ""},
		"reading by POST":    {"POST", "/v1/status", "{}", 405, ""},
		"changing by GET":    {"GET", "/v1/rollback", "", 405, ""},
		"changing by PUT":    {"PUT", "/v1/sync", "{}", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := s.raw(t, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Fatalf("%d %s, want %d %q", status, body, c.status, c.says)
			}
			if status == 400 {
				var f Failure
				if err := json.Unmarshal([]byte(body), &f); err != nil || f.Code != release.BadRequest || f.Kind != "Error" || f.APIVersion != Version {
					t.Errorf("%v %+v", err, f)
				}
			}
			if calls := s.take(); len(calls) > 0 {
				t.Errorf("the backend was asked: %q", calls)
			}
		})
	}
	if status, _ := s.raw(t, "POST", "/v1/rollback", `{"reason": "`+strings.Repeat("x", maxCommand-20)+`"}`); status != 200 {
		t.Errorf("a command just within the bound: %d", status)
	}
	if status, _, err := request(s.socket, "GET", "/v1/plan?app="+strings.Repeat("x", 64<<10), ""); err == nil && status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("an endless request line: %d", status)
	}
}

func TestQueriesAreBounded(t *testing.T) {
	s := mine(t)
	for path, want := range map[string]string{
		"/v1/history?app=shop&n=7":                       "history shop 7",
		"/v1/history":                                    "history  20",
		"/v1/history?since=2026-11-23T00:00:00Z":         "history  20 since 2026-11-23T00:00:00Z",
		"/v1/history?n=0":                                "history  20",
		"/v1/history?n=-3":                               "history  20",
		"/v1/history?n=10001":                            "history  20",
		"/v1/history?n=x":                                "history  20",
		"/v1/logs?app=shop&tail=7":                       "logs {App:shop Service: Colour: Tail:7 Follow:false}",
		"/v1/logs?tail=100001":                           "logs {App: Service: Colour: Tail:100 Follow:false}",
		"/v1/logs?tail=-1":                               "logs {App: Service: Colour: Tail:100 Follow:false}",
		"/v1/logs?service=w&colour=blue&tail=0":          "logs {App: Service:w Colour:blue Tail:0 Follow:false}",
		"/v1/events":                                     "events  0 false",
		"/v1/events?app=shop&since=18446744073709551615": "events shop 18446744073709551615 false",
	} {
		status, body := s.raw(t, "GET", path, "")
		if calls := s.take(); status != 200 || len(calls) != 1 || calls[0] != want {
			t.Errorf("%s: %d %s, asked %q, want %q", path, status, body, calls, want)
		}
	}
}

func TestFailuresReachTheClient(t *testing.T) {
	s := mine(t)
	c := NewClient(s.socket)
	_, err := c.Plan(t.Context(), "nobody")
	var f *Failure
	if !errors.As(err, &f) || f.Status != 404 || f.Code != release.UnknownApp || f.ID == "" || f.Next == "" || f.Text != `no app "nobody" here` || err.Error() != f.Text+" ("+f.ID+")" {
		t.Errorf("%v %+v", err, f)
	}
	if _, err = c.Plan(t.Context(), "broken"); !errors.As(err, &f) || f.Status != 500 || f.Code != release.Broken || !strings.Contains(f.Text, "on fire") {
		t.Errorf("%v %+v", err, f)
	}
	s.fails = Fail(http.StatusConflict, release.NotFrozen, "shop is not frozen")
	if _, err = c.Do(t.Context(), "unfreeze", Command{App: "shop"}); !errors.As(err, &f) || f.Status != 409 || f.Code != release.NotFrozen {
		t.Errorf("%v %+v", err, f)
	}
}

func TestClientAsksEverything(t *testing.T) {
	s := mine(t)
	c := NewClient(s.socket)
	ctx := t.Context()
	var lines strings.Builder
	var seqs []uint64
	_, e1 := c.Status(ctx)
	_, e2 := c.Explain(ctx, "shop")
	_, e3 := c.History(ctx, "shop", 3, time.Time{})
	_, e4 := c.Plan(ctx, "shop")
	about, e5 := c.Version(ctx)
	e6 := c.Events(ctx, "shop", 41, false, func(e Event) error { seqs = append(seqs, e.Seq); return nil })
	e7 := c.Logs(ctx, LogQuery{App: "shop", Service: "web", Colour: release.Green, Tail: 5}, &lines)
	done, e8 := c.Do(ctx, "freeze", Command{Reason: "holidays", Until: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
	if err := errors.Join(e1, e2, e3, e4, e5, e6, e7, e8); err != nil {
		t.Fatal(err)
	}
	if about.Role != Operator || done.Text != "freeze" || done.Actor != about.Actor || done.Kind != "Done" || lines.String() != "a line\n" || len(seqs) != 1 || seqs[0] != 42 {
		t.Errorf("%+v %+v %q %v", about, done, lines.String(), seqs)
	}
	want := []string{"status", "explain shop", "history shop 3", "plan shop", "status", "events shop 41 false",
		"logs {App:shop Service:web Colour:green Tail:5 Follow:false}", "freeze  by " + about.Actor}
	if got := s.take(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestFollowingIsLiveAndEndsWithTheServer(t *testing.T) {
	s := mine(t)
	c := NewClient(s.socket)
	got := make(chan uint64)
	ended := make(chan error, 2)
	go func() {
		ended <- c.Events(t.Context(), "", 0, true, func(e Event) error { got <- e.Seq; return nil })
	}()
	pipe, logs := net.Pipe()
	go func() { ended <- c.Logs(t.Context(), LogQuery{App: "shop", Follow: true}, logs) }()
	line := make([]byte, 7)
	if _, err := pipe.Read(line); err != nil || string(line) != "a line\n" {
		t.Fatalf("%q %v", line, err)
	}
	for seq := range uint64(3) {
		if seq > 0 {
			s.events <- Event{Seq: seq + 1}
		}
		if n := <-got; n != seq+1 { // each comes before the next is sent
			t.Fatalf("event %d, want %d", n, seq+1)
		}
	}
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if d := time.Since(begin); d > 2500*time.Millisecond {
		t.Errorf("followers held the server up for %v", d)
	}
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, ErrUnreachable) && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("a follower ended with %v", err)
		}
	}
}

func TestFollowerEndsItself(t *testing.T) {
	s := mine(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := NewClient(s.socket).Events(ctx, "", 0, true, func(Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("follow: %v", err)
	}
	enough := errors.New("enough")
	if err := NewClient(s.socket).Events(t.Context(), "", 0, true, func(Event) error { return enough }); err != enough {
		t.Errorf("follow: %v", err)
	}
}

// A crash leaves the socket's file; it is no reason not to start.
func TestDeadSocketIsReplaced(t *testing.T) {
	s := mine(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Stat(s.socket); err != nil {
		t.Fatalf("no dead socket to test with: %v", err)
	}
	s.start(t, Roles{Operators: uint32(os.Getegid()), Viewers: NoGroup})
	if _, err := NewClient(s.socket).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	_, err := NewClient(dir + "/none.sock").Status(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "systemctl status teal-agent") {
		t.Errorf("no socket: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(dir + "/none.sock").Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// What is no teal agent, or a broken one, is said and not believed.
func TestClientOfAnotherServer(t *testing.T) {
	for name, c := range map[string]struct{ answer, says string }{
		"not JSON":         {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "read the agent's reply"},
		"cut":              {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"apps\":", "read the agent's reply"},
		"an error page":    {"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n<html>", "the agent answered 502"},
		"an error of none": {"HTTP/1.1 500 no\r\nConnection: close\r\n\r\n{}", "the agent answered 500"},
		"a redirect":       {"HTTP/1.1 302 Found\r\nConnection: close\r\n\r\n", "302"},
		"a hang-up":        {"", "the agent does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := t.TempDir() + "/s"
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					buf := make([]byte, 4096)
					_, _ = conn.Read(buf)
					_, _ = conn.Write([]byte(c.answer))
					conn.Close()
				}
			}()
			if _, err := NewClient(socket).Status(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
