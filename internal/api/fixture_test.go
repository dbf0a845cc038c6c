package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// TestMain is also the peer with another identity: see as.
func TestMain(m *testing.M) {
	if socket := os.Getenv("TEAL_TEST_PEER"); socket != "" {
		if err := json.NewEncoder(os.Stdout).Encode(tryAll(socket)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// backend notes what it was asked and by whom.
type backend struct {
	mu     sync.Mutex // guards calls
	calls  []string
	events chan Event
	fails  error  // what the verbs that change things say
	huge   string // what is said of the app huge
	traced string // of the last order
}

func (b *backend) trace() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traced
}

func (b *backend) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
}

// take returns the calls so far and forgets them.
func (b *backend) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

func (b *backend) Status() Status {
	b.note("status")
	return Status{Meta: meta("Status"), Environment: "production", Instance: "an-instance", Apps: []AppStatus{}}
}

func (b *backend) Explain(app string) (Explanation, error) {
	b.note("explain %s", app)
	e := Explanation{Meta: meta("Explanation"), App: app, Code: release.Converged}
	if app == "huge" {
		e.Detail = b.huge
	}
	return e, nil
}

func (b *backend) History(app string, n int, since time.Time) (History, error) {
	if !since.IsZero() {
		b.note("history %s %d since %s", app, n, since.Format(time.RFC3339))
	} else {
		b.note("history %s %d", app, n)
	}
	return History{Meta: meta("History"), Entries: []HistoryEntry{}}, nil
}

func (b *backend) Plan(app string) (Plan, error) {
	b.note("plan %s", app)
	if app == "nobody" {
		return Plan{}, Fail(http.StatusNotFound, release.UnknownApp, "no app \"nobody\" here")
	}
	if app == "broken" {
		return Plan{}, errors.New("the disk is on fire")
	}
	return Plan{Meta: meta("Plan"), App: app}, nil
}

func (b *backend) Events(ctx context.Context, app string, seq uint64, follow bool, yield func(Event) error) error {
	b.note("events %s %d %v", app, seq, follow)
	text := "first"
	if app == "huge" {
		text = b.huge
	}
	if err := yield(Event{Seq: seq + 1, Kind: "record", Text: text}); err != nil || !follow {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-b.events:
			if err := yield(e); err != nil {
				return err
			}
		}
	}
}

func (b *backend) Logs(ctx context.Context, q LogQuery, w io.Writer) error {
	b.note("logs %+v", q)
	text := "a line\n"
	if q.App == "huge" {
		text = b.huge
	}
	if _, err := io.WriteString(w, text); err != nil || !q.Follow {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b *backend) verb(name, actor string, c Command) (Done, error) {
	b.note("%s %s by %s", name, c.App, actor)
	b.mu.Lock()
	b.traced = c.Trace
	b.mu.Unlock()
	if c.App == "slow" {
		time.Sleep(3 * quick)
	}
	return Done{Text: name, Actor: "what the backend says of the actor does not count"}, b.fails
}

func (b *backend) Rollback(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("rollback", actor, c)
}

func (b *backend) Resume(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("resume", actor, c)
}

func (b *backend) Retry(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("retry", actor, c)
}

func (b *backend) Remove(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("remove", actor, c)
}

func (b *backend) Freeze(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("freeze", actor, c)
}

func (b *backend) Unfreeze(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("unfreeze", actor, c)
}

func (b *backend) Sync(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("sync", actor, c)
}

func (b *backend) Rotate(_ context.Context, actor string, c Command) (Done, error) {
	return b.verb("rotate", actor, c)
}

func (b *backend) Secrets(app string) (Secrets, error) {
	b.note("secrets %q", app)
	return Secrets{Meta: meta("Secrets"), Host: "h1", Apps: []AppSecrets{}}, nil
}

func (b *backend) Refused(actor, verb string) { b.note("refused %s to %s", verb, actor) }

// served is a server on a socket that every user of the machine can reach.
type served struct {
	*backend
	dir, socket string
	log         *lockedBuffer
	limits      limits
	stop        func() error
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func serve(t *testing.T, roles Roles) *served { return serveWithin(t, roles, limits{}) }

// serveWithin is serve with limits of its own.
func serveWithin(t *testing.T, roles Roles, l limits) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "teal-api-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &served{backend: &backend{events: make(chan Event)}, dir: dir, socket: filepath.Join(dir, "agent.sock"), log: &lockedBuffer{}, limits: l}
	s.start(t, roles)
	return s
}

func (s *served) start(t *testing.T, roles Roles) {
	t.Helper()
	server := &Server{Path: s.socket, Roles: roles, Backend: s.backend, Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(s.log, nil)), limits: s.limits}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(s.socket); err == nil && info.Mode().Perm() == 0o666 {
			if c, err := net.Dial("unix", s.socket); err == nil {
				c.Close()
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not come up")
		}
	}
}

// raw sends one request as it stands and returns status and body.
func (s *served) raw(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	status, text, err := request(s.socket, method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, text
}

func request(socket, method, path, body string) (int, string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://teal"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(data), err
}

// requests are every verb that the server knows: those that read and those that change.
var (
	reading  = []string{"status", "explain", "plan", "history", "version", "events", "logs"}
	changing = []string{"rollback", "resume", "retry", "remove", "freeze", "unfreeze", "sync"}
)

// tried is what one peer was answered, verb by verb.
type tried map[string]answer

type answer struct {
	Status int
	Body   string
}

// tryAll asks for everything once.
func tryAll(socket string) tried {
	got := tried{}
	ask := func(verb, method, body string) {
		status, text, err := request(socket, method, "/v1/"+verb+"?app=shop", body)
		if err != nil {
			text = err.Error()
		}
		got[verb] = answer{status, text}
	}
	for _, verb := range reading {
		ask(verb, http.MethodGet, "")
	}
	for _, verb := range changing {
		ask(verb, http.MethodPost, `{"app": "shop", "reason": "because"}`)
	}
	return got
}
