package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// front is a whole proxy on loopback: clients' side, control socket, client of it.
type front struct {
	*Proxy
	*Client
	t    *testing.T
	addr string
	stop func() error // ends it and waits
}

func start(t *testing.T, change func(*Options, *Proxy)) *front {
	t.Helper()
	opt := Options{StateDir: t.TempDir(), Expose: true, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opt, nil)
	}
	p, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&opt, p)
	}
	return startProxy(t, p, 0)
}

func startProxy(t *testing.T, p *Proxy, maxClients int) *front {
	t.Helper()
	all, err := Listen([]string{"127.0.0.1:0"}, false)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "c.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	s := &Server{Proxy: p, Listeners: all, Control: socket, Group: NoGroup, MaxClients: maxClients, Ready: func() { close(ready) }}
	go func() { done <- s.Run(ctx) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	f := &front{Proxy: p, Client: Dial(socket), t: t, addr: all[0].Addr().String()}
	stopped := false
	f.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Errorf("the server ends with %v", err)
		}
	})
	return f
}

// put puts a config over the control socket, and expects success.
func (f *front) put(app string, a App) Switched {
	f.t.Helper()
	done, err := f.Client.Put(f.t.Context(), app, a)
	if err != nil {
		f.t.Fatalf("put %s: %v", app, err)
	}
	return done
}

func (f *front) counters(app string, colour vocab.Colour) Counters {
	f.t.Helper()
	st, err := f.Client.App(f.t.Context(), app)
	if err != nil {
		f.t.Fatal(err)
	}
	return st.Colours[colour]
}

// settled is the counters once so many requests are in flight: a client may have its
// answer a moment before it is counted out.
func (f *front) settled(app string, colour vocab.Colour, inFlight int64) (c Counters) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d in flight on %s's %s", inFlight, app, colour), func() bool {
		c = f.counters(app, colour)
		return c.InFlight == inFlight
	})
	return c
}

// request makes a request for the host a.test; it may be changed before it is sent.
func (f *front) request(method, path string, body io.Reader) *http.Request {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.addr+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Host = "a.test"
	return req
}

// client is one that never sends anything twice.
func client(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// do sends a request and reads the answer whole.
func (f *front) do(req *http.Request) (*http.Response, string) {
	f.t.Helper()
	resp, err := client(f.t).Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(body)
}

func (f *front) get(path string) (*http.Response, string) {
	f.t.Helper()
	return f.do(f.request(http.MethodGet, path, nil))
}

// raw sends bytes on a connection of its own and reads until the proxy closes it.
func (f *front) raw(text string) string {
	f.t.Helper()
	c := f.dial()
	if _, err := io.WriteString(c, text); err != nil {
		f.t.Fatal(err)
	}
	data, _ := io.ReadAll(c) // a reset after the answer is an end too
	return string(data)
}

func (f *front) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// target starts an app's replica and returns its address.
func target(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// says answers with a word.
func says(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, word)
	}
}

// config is an app with the service web on a.test/.
func config(generation uint64, live vocab.Colour, targets map[vocab.Colour][]string) App {
	a := App{Generation: generation, Live: live, State: StateServe, Targets: map[vocab.Colour]map[string][]string{},
		Routes: []Route{{Host: "a.test", Path: "/", Service: "web"}}}
	for colour, addresses := range targets {
		a.Targets[colour] = map[string][]string{"web": addresses}
	}
	return a
}

func blue(addresses ...string) map[vocab.Colour][]string {
	return map[vocab.Colour][]string{vocab.Blue: addresses}
}

// serveRaw gives each connection to do, which need not close it, and returns the address.
func serveRaw(t testing.TB, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	return l.Addr().String()
}

// refused is an address that nobody listens on.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: not within 10 s", what)
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error does not say %q: %v", p, err)
		}
	}
}

var errDisk = errors.New("no space left on device")
