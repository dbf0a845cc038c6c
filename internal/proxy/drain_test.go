package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// gate is a target whose answers wait until they are let go.
type gate struct {
	open    chan struct{}
	arrived chan string // path of each request
	left    chan string // path of each request whose client went away
}

func newGate() *gate {
	return &gate{open: make(chan struct{}), arrived: make(chan string, 1000), left: make(chan string, 1000)}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/begun" {
		fmt.Fprint(w, "begun, ")
		_ = http.NewResponseController(w).Flush()
	}
	g.arrived <- r.URL.Path
	select {
	case <-g.open:
		fmt.Fprint(w, "finished")
	case <-r.Context().Done():
		g.left <- r.URL.Path
	}
}

// async sends a GET and delivers status and body, or an error, later.
func (f *front) async(path string) <-chan string {
	out := make(chan string, 1)
	req := f.request(http.MethodGet, path, nil)
	c := client(f.t)
	go func() {
		resp, err := c.Do(req)
		if err != nil {
			out <- "error " + err.Error()
			return
		}
		defer resp.Body.Close()
		var b strings.Builder
		buf := make([]byte, 512)
		for {
			n, err := resp.Body.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				if err.Error() != "EOF" {
					b.WriteString(" error")
				}
				break
			}
		}
		out <- fmt.Sprintf("%d %s", resp.StatusCode, b.String())
	}()
	return out
}

func TestRunningRequestsEndOnTheOldColour(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	old, next := target(t, g.ServeHTTP), target(t, says("new"))
	f.put("shop", both(1, vocab.Blue, old, next))
	slow, begun := f.async("/slow"), f.async("/begun")
	<-g.arrived
	<-g.arrived
	done := f.put("shop", both(2, vocab.Green, old, next))
	if done.Unfinished != 1 {
		t.Errorf("%d unfinished, want the one whose head is not there", done.Unfinished)
	}
	if _, body := f.get("/"); body != "new" {
		t.Errorf("a new request gets %q", body)
	}
	ended := make(chan error, 1)
	go func() {
		d, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, time.Minute, time.Minute)
		if err == nil && d.Cut != 0 {
			err = fmt.Errorf("cut %d", d.Cut)
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("the drain does not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	if got := <-slow; got != "200 finished" {
		t.Errorf("slow: %q", got)
	}
	if got := <-begun; got != "200 begun, finished" {
		t.Errorf("begun: %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	old, next := target(t, g.ServeHTTP), target(t, says("new"))
	f.put("shop", both(1, vocab.Blue, old, next))
	slow, begun := f.async("/slow"), f.async("/begun")
	<-g.arrived
	<-g.arrived
	if _, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); err == nil || !strings.Contains(err.Error(), "gets the traffic") {
		t.Errorf("draining the live colour: %v", err)
	}
	f.put("shop", both(2, vocab.Green, old, next))
	done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 20*time.Millisecond, time.Hour)
	if err != nil || done.Cut != 2 {
		t.Errorf("drained %+v %v", done, err)
	}
	if got := <-slow; !strings.HasPrefix(got, "504 504 the app did not finish") {
		t.Errorf("without a head: %q", got)
	}
	if got := <-begun; got != "200 begun,  error" {
		t.Errorf("in the middle: %q", got)
	}
	<-g.left // the target sees that nobody waits
	<-g.left
	if n := f.settled("shop", vocab.Blue, 0); n.Cut != 2 || n.Errors != 1 || n.Broken != 0 {
		t.Errorf("counted %+v", n)
	}
	if done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, time.Hour, time.Hour); err != nil || done.Cut != 0 {
		t.Errorf("again: %+v %v", done, err)
	}
}

func TestEndingADrainCutsNothing(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	old, next := target(t, g.ServeHTTP), target(t, says("new"))
	f.put("shop", both(1, vocab.Blue, old, next))
	slow := f.async("/slow")
	<-g.arrived
	f.put("shop", both(2, vocab.Green, old, next))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := f.Client.Drain(ctx, "shop", vocab.Blue, time.Hour, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	time.Sleep(100 * time.Millisecond) // the proxy has seen that the caller left
	if n := f.settled("shop", vocab.Blue, 1); n.Cut != 0 {
		t.Errorf("counted %+v", n)
	}
	close(g.open)
	if got := <-slow; got != "200 finished" {
		t.Errorf("%q", got)
	}
}

func TestADrainStopsWhenItsColourGetsTheTrafficAgain(t *testing.T) {
	f := start(t, nil)
	g := newGate()
	old, next := target(t, g.ServeHTTP), target(t, says("new"))
	f.put("shop", both(1, vocab.Blue, old, next))
	slow := f.async("/slow")
	<-g.arrived
	f.put("shop", both(2, vocab.Green, old, next))
	ended := make(chan error, 1)
	go func() {
		_, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 300*time.Millisecond, 300*time.Millisecond)
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond)
	f.put("shop", both(3, vocab.Blue, old, next))
	wantError(t, <-ended, "gets the traffic")
	time.Sleep(400 * time.Millisecond)
	close(g.open)
	if got := <-slow; got != "200 finished" {
		t.Errorf("it was cut: %q", got)
	}
}

func TestDrainOfWhatIsGone(t *testing.T) {
	f := start(t, nil)
	if _, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); !errors.Is(err, ErrUnknownApp) {
		t.Errorf("an unknown app: %v", err)
	}
	g := newGate()
	f.put("shop", config(1, vocab.Blue, blue(target(t, g.ServeHTTP))))
	slow := f.async("/slow")
	<-g.arrived
	if err := f.Client.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); err != nil || done.Cut != 1 {
		t.Errorf("a removed app's requests: %+v %v", done, err)
	}
	if got := <-slow; !strings.HasPrefix(got, "504") {
		t.Errorf("%q", got)
	}
	for _, colour := range []vocab.Colour{"", "red"} {
		if _, err := f.Client.Drain(t.Context(), "shop", colour, 0, 0); err == nil || !strings.Contains(err.Error(), "blue or green") {
			t.Errorf("colour %q: %v", colour, err)
		}
	}
}

func TestPauseHoldsRequestsAndMaintenanceAnswersThem(t *testing.T) {
	f := start(t, func(opt *Options, _ *Proxy) { opt.PauseWait = 300 * time.Millisecond })
	at := target(t, says("served"))
	app := func(generation uint64, s State) App {
		a := config(generation, vocab.Blue, blue(at))
		a.State = s
		return a
	}
	f.put("shop", app(1, StatePause))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := <-f.async("/"); got != "200 served" {
				t.Errorf("held and let go: %q", got)
			}
		})
	}
	eventually(t, "20 held", func() bool {
		st, err := f.Client.App(t.Context(), "shop")
		return err == nil && st.Held == 20
	})
	f.put("shop", app(2, StateServe))
	all.Wait()
	f.put("shop", app(3, StatePause))
	if resp, body := f.get("/"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "paused") {
		t.Errorf("held for too long: %s %q", resp.Status, body)
	}
	f.put("shop", app(4, StateMaintenance))
	if resp, body := f.get("/"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != retryPage || !strings.Contains(body, "maintenance") {
		t.Errorf("maintenance: %s %q", resp.Status, body)
	}
	f.put("shop", app(5, StateServe))
	if _, body := f.get("/"); body != "served" {
		t.Errorf("after maintenance: %q", body)
	}
	if n := f.counters("shop", vocab.Blue); n.Requests != 21 || n.Errors != 0 {
		t.Errorf("the colour counts what it did not answer: %+v", n)
	}
	if n := f.Proxy.held.Load(); n != 0 {
		t.Errorf("%d are held", n)
	}
}
