package lab

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is an OCI registry in this process, on 127.0.0.1 without TLS (engines
// take loopback so), that can be made to misbehave. What was pushed stays in memory
// until Close, through Down and Up.
type Registry struct {
	addr    string
	handler http.Handler

	mu       sync.Mutex // guards all below
	server   *http.Server
	requests int
	user     string
	password string
	refuse   int // status
	swap     map[string]string
	corrupt  bool
	pace     int // bytes a second; 0: as fast as can be
	stalled  chan struct{}
}

// NewRegistry starts a registry on a free port.
func NewRegistry() (*Registry, error) {
	quiet := log.New(io.Discard, "", 0)
	r := &Registry{addr: "127.0.0.1:0", handler: registry.New(registry.Logger(quiet)), swap: map[string]string{}}
	return r, r.Up()
}

// Addr is host:port; it stays the same through Down and Up.
func (r *Registry) Addr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// Up listens again after Down.
func (r *Registry) Up() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp4", r.addr)
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	r.addr = listener.Addr().String()
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go r.server.Serve(listener) // ends with Close
	return nil
}

// Down cuts every connection and refuses new ones.
func (r *Registry) Down() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return nil
	}
	err := r.server.Close()
	r.server = nil
	return err
}

// Close is Down, and lets go of stalled requests.
func (r *Registry) Close() error {
	r.Stall(false)
	return r.Down()
}

// Behave makes it an ordinary registry again.
func (r *Registry) Behave() error {
	r.mu.Lock()
	r.user, r.password, r.refuse, r.corrupt, r.pace, r.swap = "", "", 0, false, 0, map[string]string{}
	r.mu.Unlock()
	r.Stall(false)
	return r.Up()
}

// RequireLogin answers 401 to whoever does not send this user and password.
func (r *Registry) RequireLogin(user, password string) {
	r.set(func() { r.user, r.password = user, password })
}

// Refuse answers every request with that status, for example 403 or 500; 0 ends it.
func (r *Registry) Refuse(status int) { r.set(func() { r.refuse = status }) }

// SwapManifest answers with another manifest when that digest is asked for, and
// claims that it is the one: the lie of somebody who sits in the way.
func (r *Registry) SwapManifest(asked, answered string) { r.set(func() { r.swap[asked] = answered }) }

// CorruptBlobs flips one bit in every blob it sends.
func (r *Registry) CorruptBlobs(on bool) { r.set(func() { r.corrupt = on }) }

// Pace sends blobs at that many bytes a second; 0 as fast as can be.
func (r *Registry) Pace(bytesPerSecond int) { r.set(func() { r.pace = bytesPerSecond }) }

// Stall sends the first half of each blob and then nothing, until it is called with
// false.
func (r *Registry) Stall(on bool) {
	r.set(func() {
		if on && r.stalled == nil {
			r.stalled = make(chan struct{})
		} else if !on && r.stalled != nil {
			close(r.stalled)
			r.stalled = nil
		}
	})
}

// Requests is how many it was asked since it began.
func (r *Registry) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

func (r *Registry) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *Registry) login() (user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.user, r.password
}

// ServeHTTP puts the knobs before the registry.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.requests++
	user, password, refuse, corrupt, pace, stalled := r.user, r.password, r.refuse, r.corrupt, r.pace, r.stalled
	asked := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
	answered, swapped := r.swap[asked]
	r.mu.Unlock()

	if refuse != 0 {
		http.Error(w, `{"errors":[{"code":"DENIED","message":"refused by the test"}]}`, refuse)
		return
	}
	if user != "" && !sent(q, user, password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	blob := strings.Contains(q.URL.Path, "/blobs/sha256:") && q.Method == http.MethodGet
	if !swapped && !(blob && (corrupt || pace > 0 || stalled != nil)) {
		r.handler.ServeHTTP(w, q)
		return
	}
	if swapped {
		q.URL.Path = strings.TrimSuffix(q.URL.Path, asked) + answered
	}
	answer := httptest.NewRecorder()
	r.handler.ServeHTTP(answer, q)
	body := answer.Body.Bytes()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	if swapped {
		w.Header().Set("Docker-Content-Digest", asked)
	}
	if blob && corrupt && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	w.WriteHeader(answer.Code)
	if q.Method == http.MethodHead {
		return
	}
	if blob && stalled != nil {
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		select {
		case <-stalled:
		case <-q.Context().Done():
			return
		}
		body = body[len(body)/2:]
	}
	paced(w, q, body, pace)
}

// paced writes in ten portions a second.
func paced(w http.ResponseWriter, q *http.Request, body []byte, bytesPerSecond int) {
	portion := max(1, bytesPerSecond/10)
	for bytesPerSecond > 0 && len(body) > portion {
		w.Write(body[:portion])
		w.(http.Flusher).Flush()
		body = body[portion:]
		select {
		case <-time.After(100 * time.Millisecond):
		case <-q.Context().Done():
			return
		}
	}
	w.Write(body)
}

func sent(q *http.Request, user, password string) bool {
	u, p, ok := q.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(u), []byte(user)) == 1 && subtle.ConstantTimeCompare([]byte(p), []byte(password)) == 1
}
