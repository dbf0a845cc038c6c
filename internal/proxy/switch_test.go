package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/proxy/h1"
	"github.com/tealops/teal/internal/vocab"
)

// TestSwitchUnderLoad moves an app to and fro while requests of all sorts run. No
// request may fail, and none may be stamped as having chosen a generation after the
// Put that ended it had returned.
func TestSwitchUnderLoad(t *testing.T) {
	f := start(t, nil)
	app := func(name string) string {
		return target(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/slow" {
				time.Sleep(60 * time.Millisecond)
			}
			fmt.Fprintf(w, "%s %s %d", name, r.Method, n)
		})
	}
	at := map[vocab.Colour][]string{vocab.Blue: {app("blue"), app("blue")}, vocab.Green: {app("green"), app("green")}}
	put := func(generation uint64) {
		a := config(generation, vocab.Blue, at)
		if generation%2 == 0 {
			a.Live = vocab.Green
		}
		// Another prefix of the same app moves with it.
		a.Routes = append(a.Routes, Route{Host: "a.test", Path: "/ai/", Service: "web", StripPath: true})
		f.put("shop", a)
	}
	put(1)

	type choice struct {
		generation uint64
		chosen     time.Time
	}
	var (
		mu      sync.Mutex // guards choices
		choices []choice
		failed  atomic.Int64
		all     sync.WaitGroup
		stop    = make(chan struct{})
	)
	load := func(n int, method, path string, size int) {
		for range n {
			c := client(t)
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					var body io.Reader
					if size > 0 {
						body = strings.NewReader(strings.Repeat("x", size))
					}
					req := f.request(method, path, body)
					req.GetBody = nil
					resp, err := c.Do(req)
					if err != nil {
						failed.Add(1)
						t.Errorf("%s %s: %v", method, path, err)
						return
					}
					text, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					colour := resp.Header.Get("Teal-Colour")
					if want := fmt.Sprintf("%s %s %d", colour, method, size); err != nil || resp.StatusCode != 200 || string(text) != want {
						failed.Add(1)
						t.Errorf("%s %s: %s %q %v, want %q", method, path, resp.Status, text, err, want)
						return
					}
					generation, err1 := strconv.ParseUint(resp.Header.Get("Teal-Generation"), 10, 64)
					nanos, err2 := strconv.ParseInt(resp.Header.Get("Teal-Chosen"), 10, 64)
					if err1 != nil || err2 != nil {
						t.Errorf("headers %v", resp.Header)
						return
					}
					mu.Lock()
					choices = append(choices, choice{generation, time.Unix(0, nanos)})
					mu.Unlock()
				}
			})
		}
	}
	load(8, "GET", "/", 0)
	load(4, "GET", "/ai/x", 0)
	load(4, "POST", "/", 2000)
	load(8, "GET", "/slow", 0)

	returned := map[uint64]time.Time{} // when the Put that ended the generation returned
	for generation := uint64(2); generation <= 16; generation++ {
		time.Sleep(15 * time.Millisecond)
		put(generation)
		returned[generation-1] = time.Now()
	}
	close(stop)
	all.Wait()
	late, perGeneration := 0, map[uint64]int{}
	for _, c := range choices {
		perGeneration[c.generation]++
		if end, over := returned[c.generation]; over && c.chosen.After(end) {
			late++
		}
	}
	if late != 0 || failed.Load() != 0 {
		t.Errorf("of %d requests %d failed and %d chose an old generation late", len(choices), failed.Load(), late)
	}
	if len(perGeneration) < 12 {
		t.Errorf("only %d generations had requests: the test does not test", len(perGeneration))
	}
	var counted uint64
	for _, c := range []vocab.Colour{vocab.Blue, vocab.Green} {
		n := f.settled("shop", c, 0)
		counted += n.Requests
		if n.Errors != 0 {
			t.Errorf("%s counts %+v", c, n)
		}
	}
	if counted != uint64(len(choices)) {
		t.Errorf("the proxy counts %d requests, the clients %d", counted, len(choices))
	}
	for _, s := range f.Proxy.sets {
		for _, svc := range s.services {
			for _, r := range svc.replicas {
				if n := r.inFlight.Load(); n != 0 {
					t.Errorf("%s has %d in flight for ever", r.address, n)
				}
			}
		}
	}
	t.Logf("%d requests over %d generations", len(choices), len(perGeneration))
}

// TestChoiceIsCountedBeforeItIsMade drives the choice itself as hard as it goes: once
// the table is replaced and nobody is counted in, nobody may come in. Each path has its
// own choice.
func TestChoiceIsCountedBeforeItIsMade(t *testing.T) {
	t.Run("general", func(t *testing.T) {
		choiceIsCounted(t, func(p *Proxy) func() (*generation, error) {
			req, err := http.NewRequest(http.MethodGet, "http://a.test/", nil)
			return func() (*generation, error) {
				if err != nil {
					return nil, err
				}
				f, err := p.choose(req, "id")
				if err != nil {
					return nil, err
				}
				return f.gen, nil
			}
		})
	})
	t.Run("fast", func(t *testing.T) {
		choiceIsCounted(t, func(p *Proxy) func() (*generation, error) {
			l := &line{front: newFrontDoor(p, new(connections)), proxy: p, desk: new(desk)}
			err := h1.ReadRequest([]byte(ask), &l.req)
			return func() (*generation, error) {
				if err == nil && !l.choose() {
					err = errors.New("not chosen")
				}
				return l.now.gen, err
			}
		})
	})
}

func choiceIsCounted(t *testing.T, chooser func(*Proxy) func() (*generation, error)) {
	p, err := New(Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p.store.write = func(file string, data []byte) error { return nil } // as fast as it can be
	at := map[vocab.Colour][]string{vocab.Blue: {"127.0.0.1:1"}, vocab.Green: {"127.0.0.1:2"}}
	app := func(generation uint64) App {
		a := config(generation, vocab.Blue, at)
		if generation%2 == 0 {
			a.Live = vocab.Green
		}
		return a
	}
	mustPut(t, p, "shop", app(1))
	const threads = 4
	var over atomic.Uint64 // generations up to this one have ended
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range threads {
		all.Go(func() {
			choose := chooser(p)
			for {
				select {
				case <-stop:
					return
				default:
				}
				ended := over.Load()
				gen, err := choose()
				if err != nil {
					t.Error(err)
					return
				}
				if gen.config.Generation <= ended {
					t.Errorf("chose generation %d after %d had ended", gen.config.Generation, ended)
					return
				}
				// It is counted in, so the Put that ends its generation is waiting for it.
				if gen.config.Generation <= over.Load() {
					t.Errorf("generation %d ended with this request on it", gen.config.Generation)
					return
				}
				gen.leave()
			}
		})
	}
	for generation, end := uint64(2), time.Now().Add(500*time.Millisecond); time.Now().Before(end) && !t.Failed(); generation++ {
		done, err := p.Put(t.Context(), "shop", app(generation))
		if err != nil || done.Unfinished != 0 {
			t.Fatalf("generation %d: %+v %v", generation, done, err)
		}
		over.Store(generation - 1)
		if n := p.sets[0].counters.inFlight.Load() + p.sets[1].counters.inFlight.Load(); n > threads {
			t.Fatalf("%d in flight of %d", n, threads)
		}
	}
	close(stop)
	all.Wait()
	if len(p.sets) != 2 {
		t.Errorf("%d sets are kept, want blue and green", len(p.sets))
	}
}

// A request that looked at a table before a switch, and comes to count itself in after
// it, must look again.
func TestALateChoiceIsMadeAnew(t *testing.T) {
	p, err := New(Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, p, "shop", config(1, vocab.Blue, blue("127.0.0.1:1")))
	old := p.table.Load()
	g := old.apps["shop"]
	if _, ok := p.join(old, g); !ok || g.headless.Load() != 1 || g.live.counters.inFlight.Load() != 1 {
		t.Errorf("before the switch: %v, %d counted in", ok, g.headless.Load())
	}
	g.leave()
	mustPut(t, p, "shop", config(2, vocab.Blue, blue("127.0.0.1:2")))
	if _, ok := p.join(old, g); ok {
		t.Error("a generation that has ended is chosen")
	}
	if g.headless.Load() != 0 || g.live.counters.inFlight.Load() != 0 {
		t.Errorf("the late one stays counted in: %d, %d", g.headless.Load(), g.live.counters.inFlight.Load())
	}
}

// What still runs at a switch leaves no connection to the old colour behind.
func TestNothingIsKeptOfAnOldColour(t *testing.T) {
	f := start(t, nil)
	come, leave := make(chan bool), make(chan bool)
	slow := target(t, func(w http.ResponseWriter, r *http.Request) {
		come <- true
		<-leave
	})
	f.put("shop", config(1, vocab.Blue, blue(slow)))
	old := f.Proxy.table.Load().apps["shop"].live
	conn := f.dial()
	if _, err := io.WriteString(conn, ask); err != nil {
		t.Fatal(err)
	}
	<-come
	both := config(2, vocab.Green, map[vocab.Colour][]string{vocab.Blue: {slow}, vocab.Green: {target(t, says("green"))}})
	f.put("shop", both)
	leave <- true
	if got := answersTo(t, conn, "GET", 1); got[0] != "200 " {
		t.Errorf("%q", got)
	}
	f.settled("shop", vocab.Blue, 0)
	pool := &old.services["web"].replicas[0].pool
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if len(pool.idle) != 0 {
		t.Errorf("%d connections are kept", len(pool.idle))
	}
}

func TestSwitchClosesIdleConnectionsOfTheOldColour(t *testing.T) {
	f := start(t, nil)
	var open atomic.Int64
	one := targetWithState(t, says("one"), func(s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	})
	two := target(t, says("two"))
	f.put("shop", both(1, vocab.Blue, one, two))
	for range 5 {
		f.get("/")
	}
	if n := open.Load(); n != 1 {
		t.Errorf("%d connections for requests one after the other, want a kept one", n)
	}
	f.put("shop", both(2, vocab.Green, one, two))
	eventually(t, "the old colour's idle connection closes", func() bool { return open.Load() == 0 })
}
