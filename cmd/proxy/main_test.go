package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/release"
)

// binary builds teal-proxy once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "teal-proxy-test-")
	if err != nil {
		return "", err
	}
	built = dir
	file := filepath.Join(dir, "teal-proxy")
	out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// process is a running teal-proxy.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	client *proxy.Client
	done   chan struct{}
	err    error
	mu     sync.Mutex // guards log
	log    bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// host is what outlives the process.
type host struct {
	t              *testing.T
	state, control string
	front          string
}

func newHost(t *testing.T) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &host{t: t, state: t.TempDir(), control: filepath.Join(t.TempDir(), "main.sock"), front: l.Addr().String()}
}

func (h *host) args(more ...string) []string {
	return append([]string{"-listen", h.front, "-control", h.control, "-state", h.state}, more...)
}

// launch starts the binary and does not wait for it.
func launch(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(file, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if change != nil {
		change(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// end sends a signal and returns the exit code.
func (p *process) end(s syscall.Signal) int {
	_ = p.cmd.Process.Signal(s) // it may have ended
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.t.Fatalf("does not end; it says\n%s", p.said())
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0
	case errors.As(p.err, &exit):
		return exit.ExitCode()
	}
	p.t.Fatal(p.err)
	return -1
}

// start starts the binary on the host and waits until it can be steered.
func (h *host) start(more ...string) *process {
	h.t.Helper()
	p := launch(h.t, nil, h.args(more...)...)
	p.client = proxy.Dial(h.control)
	p.awaitReady()
	return p
}

func (p *process) awaitReady() {
	p.t.Helper()
	for range 1000 {
		if p.client.Health(p.t.Context()) == nil {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("ends: %v\n%s", p.err, p.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.t.Fatalf("does not answer; it says\n%s", p.said())
}

func (h *host) get(path string) (int, string, error) {
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.front+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host, req.Close = "a.test", true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (h *host) wants(status int, body string) {
	h.t.Helper()
	s, b, err := h.get("/")
	if err != nil || s != status || !strings.Contains(b, body) {
		h.t.Errorf("answers %d %q %v, want %d %q", s, b, err, status, body)
	}
}

func says(t *testing.T, word string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, word) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func app(generation uint64, live release.Colour, blue, green string) proxy.App {
	return proxy.App{Generation: generation, Live: live, State: proxy.StateServe, Routes: []proxy.Route{{Host: "a.test", Path: "/", Service: "web"}},
		Targets: map[release.Colour]map[string][]string{release.Blue: {"web": {blue}}, release.Green: {"web": {green}}}}
}

func put(t *testing.T, c *proxy.Client, a proxy.App) {
	t.Helper()
	done, err := c.Put(t.Context(), "shop", a)
	if err != nil || !done.Durable {
		t.Fatalf("%+v %v", done, err)
	}
}

func TestKilledProxyServesTheSameAfterItsRestart(t *testing.T) {
	h := newHost(t)
	blue, green := says(t, "blue"), says(t, "green")
	want := map[release.Colour]string{release.Blue: "blue", release.Green: "green"}
	live := release.Blue
	p := h.start()
	for generation := uint64(1); generation <= 12; generation++ {
		put(t, p.client, app(generation, live, blue, green))
		if code := p.end(syscall.SIGKILL); code != -1 {
			t.Fatalf("killed, and exits with %d", code)
		}
		if _, _, err := h.get("/"); err == nil {
			t.Fatal("answers after its end")
		}
		p = h.start()
		h.wants(200, want[live])
		st, err := p.client.App(t.Context(), "shop")
		if err != nil || st.Generation != generation || st.Live != live {
			t.Fatalf("after a kill: %+v %v", st, err)
		}
		live = live.Other()
	}
}

// A kill at any instant of a switch leaves the state before it or the one after it.
func TestKilledInTheMiddleOfSwitches(t *testing.T) {
	h := newHost(t)
	blue, green := says(t, "blue"), says(t, "green")
	var acknowledged uint64
	for round := range 6 {
		p := h.start()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			for generation := acknowledged + 1; ; generation++ {
				live := release.Blue
				if generation%2 == 0 {
					live = release.Green
				}
				if _, err := p.client.Put(ctx, "shop", app(generation, live, blue, green)); err != nil {
					return
				}
				acknowledged = generation
			}
		})
		time.Sleep(time.Duration(30+17*round) * time.Millisecond)
		p.end(syscall.SIGKILL)
		cancel()
		all.Wait()
		p = h.start()
		st, err := p.client.App(t.Context(), "shop")
		if err != nil || st.Generation != acknowledged && st.Generation != acknowledged+1 {
			t.Fatalf("acknowledged %d, after the kill %+v %v", acknowledged, st, err)
		}
		if strings.Contains(p.said(), "state not as it should be") {
			t.Errorf("a kill damages the state: %s", p.said())
		}
		want := map[release.Colour]string{release.Blue: "blue", release.Green: "green"}[st.Live]
		h.wants(200, want)
		acknowledged = st.Generation
		p.end(syscall.SIGKILL)
	}
	if acknowledged < 10 {
		t.Errorf("only %d switches: the test does not test", acknowledged)
	}
}

func TestTwoOnOneHost(t *testing.T) {
	h := newHost(t)
	p := h.start()
	second := launch(t, nil, h.args()...)
	if code := second.wait(); code != exitConfig || !strings.Contains(second.said(), "another teal-proxy uses it") {
		t.Errorf("the same control socket: exit %d, %s", code, second.said())
	}
	other := newHost(t)
	other.state = h.state
	second = launch(t, nil, other.args()...)
	if code := second.wait(); code != exitConfig || !strings.Contains(second.said(), "-state of its own") {
		t.Errorf("the same state: exit %d, %s", code, second.said())
	}
	other = newHost(t)
	other.front = h.front
	second = launch(t, nil, other.args()...)
	if code := second.wait(); code != exitFailed || !strings.Contains(second.said(), "address already in use") {
		t.Errorf("the same port: exit %d, %s", code, second.said())
	}
	if err := p.client.Health(t.Context()); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
}

func TestDamagedStateNeedsAPerson(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"state.json", "state.json.last"} {
		if err := os.WriteFile(filepath.Join(h.state, name), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := launch(t, nil, h.args()...)
	if code := p.wait(); code != exitConfig || !strings.Contains(p.said(), "restore one of them from a backup") {
		t.Errorf("exit %d, %s", code, p.said())
	}
	p = launch(t, nil, h.args("-accept-empty")...)
	p.client = proxy.Dial(h.control)
	for range 1000 {
		if err := p.client.Health(t.Context()); err != nil && strings.Contains(err.Error(), "without its state") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.wants(503, "does not know all of its apps")
}

func TestPoliteEndFinishesWhatRuns(t *testing.T) {
	h := newHost(t)
	arrived, open := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-open
		fmt.Fprint(w, "finished")
	}))
	defer s.Close()
	p := h.start()
	at := s.Listener.Addr().String()
	put(t, p.client, app(1, release.Blue, at, at))
	answer := make(chan string, 1)
	go func() {
		status, body, err := h.get("/")
		answer <- fmt.Sprint(status, body, err)
	}()
	<-arrived
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
		t.Fatalf("does not wait for what runs: %s", p.said())
	case <-time.After(200 * time.Millisecond):
	}
	close(open)
	if got := <-answer; got != "200finished<nil>" {
		t.Errorf("the running request gets %s", got)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d, %s", code, p.said())
	}
}

// activated starts the binary with a socket as systemd passes it.
func activated(t *testing.T, h *host, l *net.TCPListener) *process {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, func(cmd *exec.Cmd) {
		// LISTEN_PID is the process itself, which only a shell can know beforehand.
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ exec "$0" -control "$1" -state "$2"`, file, h.control, h.state}
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=http")
		cmd.ExtraFiles = []*os.File{f}
	})
	p.client = proxy.Dial(h.control)
	p.awaitReady()
	return p
}

// With socket activation the socket outlives the process: a restart refuses nobody.
func TestActivatedSocketOutlivesARestart(t *testing.T) {
	h := newHost(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h.front = l.Addr().String()
	at := says(t, "served")
	p := activated(t, h, l.(*net.TCPListener))
	put(t, p.client, app(1, release.Blue, at, at))
	h.wants(200, "served")
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, %s", code, p.said())
	}
	answer := make(chan string, 1)
	go func() { // asked while nobody is there
		status, body, err := h.get("/")
		answer <- fmt.Sprint(status, body, err)
	}()
	time.Sleep(50 * time.Millisecond)
	p = activated(t, h, l.(*net.TCPListener))
	if got := <-answer; got != "200served<nil>" {
		t.Errorf("asked during the restart: %s", got)
	}
	p.end(syscall.SIGTERM)
}

// Two that share the port hand over without a gap: the new one knows the apps before
// the old one leaves.
func TestHandOverWithASharedPort(t *testing.T) {
	h := newHost(t)
	at := says(t, "served")
	old := h.start("-share-port")
	put(t, old.client, app(1, release.Blue, at, at))
	next := newHost(t)
	next.front = h.front
	young := next.start("-share-port")
	put(t, young.client, app(1, release.Blue, at, at))
	for range 40 {
		h.wants(200, "served")
	}
	if code := old.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	for range 40 {
		h.wants(200, "served")
	}
}

func TestReadyIsSaidToSystemd(t *testing.T) {
	h := newHost(t)
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := launch(t, func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+name) }, h.args()...)
	read := func() string {
		buf := make([]byte, 100)
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil {
			t.Fatalf("%v; it says\n%s", err, p.said())
		}
		return string(buf[:n])
	}
	if got := read(); got != "READY=1" {
		t.Errorf("%q", got)
	}
	if c, err := net.Dial("tcp", h.front); err != nil {
		t.Errorf("ready, and does not listen: %v", err)
	} else {
		c.Close()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if got := read(); got != "STOPPING=1" {
		t.Errorf("%q", got)
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-version"}, 0, "teal-proxy dev"},
		{[]string{"-help"}, 0, "Usage: teal-proxy"},
		{[]string{"-nonsense"}, exitUsage, "not defined: -nonsense"},
		{[]string{"-listen", "80"}, exitUsage, "missing port"},
		{[]string{"-log-level", "loud", "-health-path", "x", "more"}, exitUsage, "-log-level"},
		{[]string{"-log-level", "loud", "-health-path", "x", "more"}, exitUsage, "-health-path"},
		{[]string{"-log-level", "loud", "-health-path", "x", "more"}, exitUsage, `unexpected argument "more"`},
		{[]string{"-answer-timeout", "0s"}, exitUsage, "-answer-timeout"},
		{[]string{"-state", filepath.Join(dir, "none")}, exitConfig, "no such directory; make it"},
		{[]string{"-state", open}, exitConfig, "run chmod go-w"},
		{[]string{"-state", dir, "-control-group", "no-such-group"}, exitConfig, `no group "no-such-group"`},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"-control", filepath.Join(dir, "c.sock")}, c.args...), &out, &out); code != c.code || !strings.Contains(out.String(), c.text) {
			t.Errorf("%q: exit %d, %s", c.args, code, out.String())
		}
	}
	if c, err := parse([]string{"-listen", "a:1,b:2", "-listen", "c:3"}, io.Discard); err != nil || strings.Join(c.listen, " ") != "a:1 b:2 c:3" {
		t.Errorf("%v %v", c.listen, err)
	}
}
