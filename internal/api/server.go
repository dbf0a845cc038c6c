package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/release"
)

// Backend answers what the server is asked. An error that is a *Failure is passed on
// as it is.
type Backend interface {
	Status() Status
	Explain(app string) (Explanation, error)
	// History lists deployments, newest first; a since that is not zero leaves out those
	// that had ended by then.
	History(app string, n int, since time.Time) (History, error)
	Plan(app string) (Plan, error)
	// Events yields journal records after seq; with follow it goes on until ctx ends.
	Events(ctx context.Context, app string, seq uint64, follow bool, yield func(Event) error) error
	// Logs copies container logs to w.
	Logs(ctx context.Context, q LogQuery, w io.Writer) error

	Rollback(ctx context.Context, actor string, c Command) (Done, error)
	Resume(ctx context.Context, actor string, c Command) (Done, error)
	Retry(ctx context.Context, actor string, c Command) (Done, error)
	// Remove takes an app off this host that Git does not want on it; volumes stay.
	Remove(ctx context.Context, actor string, c Command) (Done, error)
	Freeze(ctx context.Context, actor string, c Command) (Done, error)
	Unfreeze(ctx context.Context, actor string, c Command) (Done, error)
	Sync(ctx context.Context, actor string, c Command) (Done, error)
	Rotate(ctx context.Context, actor string, c Command) (Done, error)
	// Secrets lists what the host adds to an app, or to all with "".
	Secrets(app string) (Secrets, error)
	// Refused records that a peer asked for what it may not do.
	Refused(actor, verb string)
}

// LogQuery says which container logs are wanted.
type LogQuery struct {
	App, Service string
	Colour       release.Colour // empty: the live one
	Tail         int
	Follow       bool
}

// Server is the control socket.
type Server struct {
	Path    string // of the socket; its directory exists
	Roles   Roles
	Backend Backend
	Version string
	Log     *slog.Logger

	limits limits // zero: defaultLimits
}

const maxCommand = 64 << 10

// Serve listens until ctx ends. The socket is open to every local user; each request
// is judged by the peer's role.
func (s *Server) Serve(ctx context.Context) error {
	unlock, err := s.claim()
	if err != nil {
		return err
	}
	defer unlock()
	l, err := net.Listen("unix", s.Path)
	if err != nil {
		return fmt.Errorf("listen on the control socket: %w", err)
	}
	if err := os.Chmod(s.Path, 0o666); err != nil {
		l.Close()
		return fmt.Errorf("open the control socket to its peers: %w", err)
	}
	streams, stop := context.WithCancel(context.Background())
	server := &http.Server{Handler: s.within().bounded(s.handler()), ConnContext: withPeer, BaseContext: func(net.Listener) context.Context { return streams },
		ReadHeaderTimeout: s.within().head, IdleTimeout: s.within().idle, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(&perPeer{UnixListener: l.(*net.UnixListener), roles: s.Roles, open: map[uint32]int{}})
	}()
	select {
	case err := <-done:
		stop()
		return fmt.Errorf("serve the control socket: %w", err)
	case <-ctx.Done():
	}
	stop() // ends streams that would never end by themselves
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err = server.Shutdown(grace)
	<-done
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// claim takes the lock beside the socket and removes what a crash left. A socket whose
// server lives is left alone.
func (s *Server) claim() (unlock func(), err error) {
	lock, err := os.OpenFile(s.Path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the control socket: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another agent serves the control socket %s; stop it first, or give this one a socket of its own: %w", s.Path, err)
	}
	if err := os.Remove(s.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		lock.Close()
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	return func() { lock.Close() }, nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	read := func(pattern string, h func(r *http.Request) (any, error)) {
		mux.Handle("GET "+pattern, s.as(Viewer, pattern, func(w http.ResponseWriter, r *http.Request) error {
			reply, err := h(r)
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusOK, reply)
		}))
	}
	read("/v1/status", func(*http.Request) (any, error) { return s.Backend.Status(), nil })
	read("/v1/explain", func(r *http.Request) (any, error) { return s.Backend.Explain(r.FormValue("app")) })
	read("/v1/secrets", func(r *http.Request) (any, error) { return s.Backend.Secrets(r.FormValue("app")) })
	read("/v1/plan", func(r *http.Request) (any, error) { return s.Backend.Plan(r.FormValue("app")) })
	read("/v1/history", func(r *http.Request) (any, error) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n <= 0 || n > 10000 {
			n = 20
		}
		var since time.Time
		if text := r.FormValue("since"); text != "" {
			if since, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, Fail(http.StatusBadRequest, release.BadRequest, "since must be a time (RFC 3339)")
			}
		}
		return s.Backend.History(r.FormValue("app"), n, since)
	})
	read("/v1/version", func(r *http.Request) (any, error) {
		p, _ := peerFrom(r.Context())
		st := s.Backend.Status()
		return About{Meta: meta("Version"), Version: s.Version, Go: runtime.Version(), Actor: p.Actor(), Role: s.Roles.Role(p),
			Instance: st.Instance, Host: st.Host, Environment: st.Environment}, nil
	})
	mux.Handle("GET /v1/events", s.as(Viewer, "/v1/events", s.events))
	mux.Handle("GET /v1/logs", s.as(Viewer, "/v1/logs", s.logs))

	for verb, do := range map[string]func(context.Context, string, Command) (Done, error){
		"rollback": s.Backend.Rollback, "resume": s.Backend.Resume, "retry": s.Backend.Retry, "remove": s.Backend.Remove,
		"freeze": s.Backend.Freeze, "unfreeze": s.Backend.Unfreeze, "sync": s.Backend.Sync, "rotate": s.Backend.Rotate,
	} {
		mux.Handle("POST /v1/"+verb, s.as(Operator, verb, func(w http.ResponseWriter, r *http.Request) error {
			var c Command
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
			d.DisallowUnknownFields()
			if err := d.Decode(&c); err != nil {
				return Fail(http.StatusBadRequest, release.BadRequest, "read the command: "+err.Error())
			}
			if _, err := d.Token(); err != io.EOF {
				return Fail(http.StatusBadRequest, release.BadRequest, "read the command: more than one value")
			}
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // all is read; from here the peer only waits
			p, _ := peerFrom(r.Context())
			c.Trace = traceOf(r)
			done, err := do(r.Context(), p.Actor(), c)
			if !c.DryRun {
				s.ordered(verb, p.Actor(), c, err)
			}
			// What the command did took its own time: that of the reply begins now.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.within().reply))
			if err != nil {
				return err
			}
			done.Meta, done.Actor, done.Trace = meta("Done"), p.Actor(), c.Trace
			return writeJSON(w, http.StatusOK, done)
		}))
	}
	return mux
}

// ordered logs a command that was carried out, or not.
func (s *Server) ordered(verb, actor string, c Command, err error) {
	log := s.Log.With("verb", verb, "app", c.App, "actor", actor)
	if c.Trace != "" {
		log = log.With("trace_id", c.Trace)
	}
	if err != nil {
		log.Warn("order refused", "err", err)
		return
	}
	log.Info("order taken") // its reason stands in the journal
}

// traceOf is the request's trace id. One that is none is no reason to refuse a request
// (W3C Trace Context 3.2.2.3): there is none then.
func traceOf(r *http.Request) string {
	text := r.Header.Get(traceHeader)
	if !parentForm.MatchString(text) {
		return ""
	}
	id, _ := ParseTrace(text)
	return id
}

// as lets a request through when the peer's role suffices.
func (s *Server) as(need Role, verb string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, known := peerFrom(r.Context())
		role, actor := Nobody, "an unknown peer" // the zero Peer would be root
		if known {
			role, actor = s.Roles.Role(p), p.Actor()
		}
		if role != Operator && (role != need || role == Nobody) {
			args := []any{"verb", verb, "actor", actor, "role", string(role), "needs", string(need)}
			if id := traceOf(r); id != "" {
				args = append(args, "trace_id", id)
			}
			s.Log.Warn("request refused", args...)
			s.Backend.Refused(actor, verb)
			w.Header().Set("Connection", "close") // who may not ask holds no connection either
			group := "teal-viewers or teal-operators"
			if need == Operator {
				group = "teal-operators"
			}
			fail(w, Fail(http.StatusForbidden, release.NotAuthorised, fmt.Sprintf("%s may not %s: it needs the group %s", actor, verb, group)))
			return
		}
		if err := h(w, r); err != nil {
			fail(w, err)
		}
	})
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	since, err := strconv.ParseUint(r.FormValue("since"), 10, 64)
	if err != nil && r.FormValue("since") != "" {
		return Fail(http.StatusBadRequest, release.BadRequest, "since must be a number")
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(paced{w, s.within().stream})
	begun := false
	err = s.Backend.Events(r.Context(), r.FormValue("app"), since, r.FormValue("follow") == "1", func(e Event) error {
		begun = true
		return enc.Encode(e)
	})
	if r.Context().Err() != nil {
		return nil
	}
	if begun && err != nil { // the head is sent: the failure is the stream's last line
		return enc.Encode(failure(err))
	}
	return err
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) error {
	tail, err := strconv.Atoi(r.FormValue("tail"))
	if err != nil || tail < 0 || tail > 100000 {
		tail = 100
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	err = s.Backend.Logs(r.Context(), LogQuery{App: r.FormValue("app"), Service: r.FormValue("service"),
		Colour: release.Colour(r.FormValue("colour")), Tail: tail, Follow: r.FormValue("follow") == "1"}, paced{w, s.within().stream})
	if r.Context().Err() != nil {
		return nil
	}
	return err
}

// Fail makes an error reply; its ID and Next come from the table of reasons.
func Fail(status int, code release.Code, text string) *Failure {
	f := &Failure{Meta: meta("Error"), Status: status, Code: code, Text: text}
	if r, ok := release.Lookup(code); ok {
		f.ID, f.Next = r.ID(), r.Next
	}
	return f
}

// failure is an error as a reply.
func failure(err error) *Failure {
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{Meta: meta("Error"), Status: http.StatusInternalServerError, Code: release.Broken, Text: err.Error()}
	}
	return f
}

func fail(w http.ResponseWriter, err error) {
	f := failure(err)
	_ = writeJSON(w, f.Status, f) // the peer is gone if this fails
}

// Error is the failure's text for people, with its stable number.
func (f *Failure) Error() string {
	text := f.Text
	if f.ID != "" {
		text += " (" + f.ID + ")"
	}
	return text
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the reply: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(data, '\n'))
	return err
}
