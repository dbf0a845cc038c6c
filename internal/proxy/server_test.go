package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

func TestLeavingFinishesWhatRuns(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fast" {
			fmt.Fprint(w, "fast")
			return
		}
		g.ServeHTTP(w, r)
	}))))
	slow := f.async("/slow")
	<-g.arrived
	kept := client(t) // a client with a kept connection, which it goes on to use
	ask := func() *http.Response {
		resp, err := kept.Do(f.request(http.MethodGet, "/fast", nil))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	if resp := ask(); resp.Close {
		t.Error("a connection is not kept before the end")
	}
	ended := make(chan error, 1)
	go func() { ended <- f.stop() }()
	eventually(t, "leaving", f.Proxy.leaving.Load)
	if resp := ask(); !resp.Close || resp.StatusCode != 200 {
		t.Errorf("on a kept connection: %s, told to close: %v", resp.Status, resp.Close)
	}
	if c, err := net.Dial("tcp", f.addr); err == nil {
		c.Close()
		t.Error("takes new connections")
	}
	if err := f.Client.Health(t.Context()); err != nil {
		t.Errorf("cannot be steered while leaving: %v", err)
	}
	close(g.open)
	if got := <-slow; got != "200 finished" {
		t.Errorf("%q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLeavingSaysGoodbyeToWebSockets(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(socketTarget(t, "one"))))
	c, in := f.socket("/", "one")
	ended := make(chan error, 1)
	begin := time.Now()
	go func() { ended <- f.stop() }()
	got := make([]byte, len(closeFrame))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != string(closeFrame) {
		t.Errorf("%q %v", got, err)
	}
	c.Close()
	if err := <-ended; err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

func TestLeavingEndsAWebSocketThatIsJustBegun(t *testing.T) {
	f := start(t, nil)
	arrived, open := make(chan struct{}), make(chan struct{})
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-open
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, rw)
	}))))
	c := f.dial()
	if _, err := io.WriteString(c, "GET /"+handshake); err != nil {
		t.Fatal(err)
	}
	<-arrived
	begin := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- f.stop() }()
	eventually(t, "leaving", f.Proxy.leaving.Load)
	time.Sleep(50 * time.Millisecond)
	close(open)
	data, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(data), "HTTP/1.1 101") || !strings.HasSuffix(string(data), string(closeFrame)) {
		t.Errorf("%q", data)
	}
	if err := <-ended; err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("the second: %v", err)
	}
	first.Close()
	again, err := Lock(path)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	again.Close()
}

func TestTwoMayShareAPortOnlyWhenBothSaySo(t *testing.T) {
	one, err := Listen([]string{"127.0.0.1:0"}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer one[0].Close()
	address := []string{one[0].Addr().String()}
	two, err := Listen(address, true)
	if err != nil {
		t.Fatalf("both: %v", err)
	}
	two[0].Close()
	if _, err := Listen(address, false); err == nil {
		t.Error("one that does not share takes the port")
	}
	if _, err := Listen([]string{"127.0.0.1:0", "nonsense"}, false); err == nil {
		t.Error("nonsense is listened on")
	}
}

func TestAFloodOfClientsWaitsAndTheProxyCanBeSteered(t *testing.T) {
	f := startProxy(t, reopen(t, t.TempDir()), 3)
	f.put("shop", config(1, vocab.Blue, blue(socketTarget(t, "one"))))
	var flood []net.Conn
	for range 2 {
		c := f.dial()
		if _, err := io.WriteString(c, "GET /none"); err != nil {
			t.Fatal(err)
		}
		flood = append(flood, c)
	}
	c, _ := f.socket("/", "one") // an upgraded connection keeps its slot
	flood = append(flood, c)
	waits := f.async("/")
	select {
	case got := <-waits:
		t.Errorf("a fourth connection is served: %s", got)
	case <-time.After(100 * time.Millisecond):
	}
	f.put("shop", config(2, vocab.Blue, blue(target(t, says("two")))))
	for i, c := range flood { // each gives a slot back, the upgraded one too; who comes next keeps it
		if i > 0 {
			waits = f.async("/")
		}
		c.Close()
		if got := <-waits; got != "200 two" {
			t.Errorf("after one has left: %s", got)
		}
	}
}

// pipes is a listener of connections in memory, for a clock of the test's own.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial is a client's connection.
func (p *pipes) dial() net.Conn {
	server, c := net.Pipe()
	p.conns <- server
	return c
}

func TestSlowAndIdleClientsAreLeft(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Options{StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		s := newClientServer(p, nil)
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()

		begin := time.Now()
		slow := l.dial()
		go func() { // a letter a second, for ever
			for _, c := range "GET / HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("x", 1000) {
				time.Sleep(time.Second)
				if _, err := fmt.Fprintf(slow, "%c", c); err != nil {
					return
				}
			}
		}()
		if _, err := io.ReadAll(slow); err != nil {
			t.Error(err)
		}
		if got := time.Since(begin); got != headTime {
			t.Errorf("a slow head is waited for %s, want %s", got, headTime)
		}

		idle := l.dial()
		if _, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(idle)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 404 {
			t.Fatalf("%v %v", resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		begin = time.Now()
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("an idle connection ends with %v", err)
		}
		if got := time.Since(begin); got != clientIdle {
			t.Errorf("an idle connection is kept %s, want %s", got, clientIdle)
		}
		s.Close()
		<-done
	})
}

func TestUnreachableTargetsAreReportedAndServedAllTheSame(t *testing.T) {
	dir := t.TempDir()
	p := reopen(t, dir)
	good := target(t, says("late but right"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	late := l.Addr().String()
	l.Close()
	mustPut(t, p, "shop", config(1, vocab.Blue, blue(late)))
	other := config(1, vocab.Blue, blue(good))
	other.Routes[0].Host = "b.test"
	mustPut(t, p, "blog", other)

	f := startProxy(t, reopen(t, dir), 0)
	eventually(t, "an alarm", func() bool {
		all, _ := f.Proxy.events.after(0)
		return len(all) == 1 && all[0].Kind == EventAlarm && all[0].App == "shop" && strings.Contains(all[0].Text, late)
	})
	l, err = net.Listen("tcp", late)
	if err != nil {
		t.Skip(err) // somebody else took the port meanwhile
	}
	s := &http.Server{Handler: says("late but right")}
	go s.Serve(l)
	defer s.Close()
	if _, body := f.get("/"); body != "late but right" {
		t.Errorf("%q", body)
	}
}
