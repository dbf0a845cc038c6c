package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// ErrCrashed is what every edge call of a dead agent gives.
var ErrCrashed = errors.New("the agent crashed")

// Call is one recorded call to an edge.
type Call struct {
	Edge  string // container, switch, turn, fsync
	Op    string
	Phase rollout.Phase // of the app as the journal had it
}

// Behaviour says what a release's containers do.
type Behaviour struct {
	NeverReady  bool          // probes never pass
	ErrorsAfter time.Duration // after so long of running, every answer is a 500; 0: never
	ExitAfter   time.Duration // the routed container ends after so long; 0: never
	WorkerExits bool          // workers end at once
}

// World is what outlives the agent.
type World struct {
	mu         sync.Mutex
	containers map[string]*container
	created    int // counts containers; it names them
	volumes    map[string]bool
	proxy      map[string]reconcile.SwitchConfig
	counters   map[string]map[release.Colour]rollout.Traffic
	shelf      map[release.Digest]fs.FS
	verdicts   map[release.Digest]trust.Verdict
	journal    []entry
	states     map[string]rollout.State // the fold of journal
	store      []byte
	files      fstest.MapFS
	commit     int
	refs       map[string]simRef // followed beside main, by full name
	changed    chan struct{}
	behave     map[string]Behaviour // by version
	labels     map[string]string    // of the host, as agent.yaml has them at the next start
	full       bool                 // the journal's disk: only going back gets through
	hung       bool                 // the engine takes calls and never answers

	// OpenVault gives a life of the agent what handles secrets, with the host's labels at its
	// start; nil: no release has any. FilesDir is where that writes what containers mount.
	OpenVault func(labels map[string]string) (Vault, error)
	FilesDir  string

	// The crash button.
	CrashAt     int   // 1-based; 0: never
	CrashIn     *Call // instead of a number: the first call of this edge in this phase
	CrashBefore bool
	calls       []Call
	crashed     *Call
	agent       *Agent

	// What users saw.
	Served, Failed, Errors int
	FirstFailure           string
	beside                 map[string]bool // services without route that ran in both colours at once
	runs                   map[string]int  // how often a container that completes began, by name and creation
	ran                    map[string]int  // how often each job began
	burst                  map[string]int
}

type entry struct {
	App string
	Rec json.RawMessage
	At  time.Time
}

// NewWorld is an empty machine.
func NewWorld() *World {
	return &World{containers: map[string]*container{}, volumes: map[string]bool{}, proxy: map[string]reconcile.SwitchConfig{},
		counters: map[string]map[release.Colour]rollout.Traffic{}, shelf: map[release.Digest]fs.FS{}, verdicts: map[release.Digest]trust.Verdict{}, states: map[string]rollout.State{},
		FilesDir: "/files", beside: map[string]bool{}, runs: map[string]int{}, ran: map[string]int{}, files: fstest.MapFS{}, changed: make(chan struct{}, 1), behave: map[string]Behaviour{}, burst: map[string]int{}}
}

// Behave says what containers of a version do.
func (w *World) Behave(version string, b Behaviour) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behave[version] = b
}

// SetFull fills the journal's disk, or frees it.
func (w *World) SetFull(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.full = on
}

// SetLabels writes the host's labels; the next agent reads them.
func (w *World) SetLabels(labels map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.labels = labels
}

// SetHung makes the engine hang, or answer again.
func (w *World) SetHung(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hung = on
}

// hangs blocks as long as the engine hangs and the caller waits.
func (w *World) hangs(ctx context.Context) error {
	w.mu.Lock()
	hung := w.hung
	w.mu.Unlock()
	if !hung {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// simRef is the head of a followed ref.
type simRef struct {
	commit int
	files  fstest.MapFS
	seen   uint64
}

// CommitTo writes files onto what a ref beside main holds and makes a commit of them there;
// a ref that is not there begins with main's. Nil files delete the ref.
func (w *World) CommitTo(name string, files map[string]string) {
	w.mu.Lock()
	ref, had := w.refs[name]
	if !had {
		ref.files = w.files
	}
	next := fstest.MapFS{}
	for path, f := range ref.files {
		next[path] = f
	}
	for path, text := range files {
		next[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	w.commit++
	if w.refs == nil {
		w.refs = map[string]simRef{}
	}
	w.refs[name] = simRef{commit: w.commit, files: next, seen: uint64(w.commit)} //nolint:gosec // small and positive
	if files == nil {
		delete(w.refs, name)
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Commit writes files and makes a commit of them.
func (w *World) Commit(files map[string]string) {
	w.mu.Lock()
	next := fstest.MapFS{}
	for name, f := range w.files {
		next[name] = f
	}
	for name, text := range files {
		if text == "" {
			delete(next, name)
			continue
		}
		next[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	w.files = next
	w.commit++
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// edge is the recording wrapper: every call of an agent to an edge goes through it.
// It is also the crash button.
func (a *Agent) edge(kind, op string, do func() error) error {
	w := a.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.dead {
		return ErrCrashed
	}
	call := Call{Edge: kind, Op: op, Phase: w.phase()}
	w.calls = append(w.calls, call)
	hit := len(w.calls) == w.CrashAt || w.crashed == nil && w.CrashIn != nil && w.CrashIn.Edge == kind && w.CrashIn.Phase == call.Phase
	if hit && w.CrashBefore {
		a.die(call)
		return ErrCrashed
	}
	err := do()
	if hit {
		a.die(call)
		return ErrCrashed
	}
	return err
}

// die ends the agent's life; w.mu is held.
func (a *Agent) die(call Call) {
	a.dead = true
	a.world.crashed = &call
	a.cancel()
}

// phase is the phase of the app that is furthest from rest; w.mu is held.
func (w *World) phase() rollout.Phase {
	var p rollout.Phase
	for _, s := range w.states {
		if s.Deploy != nil || p == "" {
			p = s.Phase()
		}
	}
	return p
}

// State is the app's state as the journal has it.
func (w *World) State(app string) rollout.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[app]
}

// Now is the state of the app that has the name's place, as the journal has it.
func (w *World) Now(app string) rollout.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[w.named(app)]
}

// named is the app that has the name's place; w.mu is held.
func (w *World) named(app string) string {
	for range w.states {
		to := w.states[app].Renamed
		if to == nil {
			break
		}
		app = to.To
	}
	return app
}

// front is the name under which the proxy serves the app; w.mu is held.
func (w *World) front(app string) string {
	now := w.named(app)
	for _, name := range w.states[now].Names() {
		if _, ok := w.proxy[name]; ok {
			return name
		}
	}
	return now
}

// Replayed is what a restarted agent reads: every record decoded from its bytes.
func (w *World) Replayed() map[string]rollout.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	states := map[string]rollout.State{}
	for _, e := range w.journal {
		var r rollout.Record
		if err := json.Unmarshal(e.Rec, &r); err != nil {
			panic(err)
		}
		reconcile.Replay(states, e.App, r, e.At)
	}
	return states
}

// Calls lists the calls so far.
func (w *World) Calls() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Call(nil), w.calls...)
}

// Crashed is the call at which the agent died, nil if it did not.
func (w *World) Crashed() *Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed
}

// endedAt reports whether what should answer at an address ended by itself; w.mu is held.
func (w *World) endedAt(ip netip.Addr) bool {
	for _, c := range w.containers {
		if c.c.Address == ip && c.c.Status == rollout.Exited && c.ended {
			return true
		}
	}
	return false
}

// Journal is the journal's text, for a test that fails.
func (w *World) Journal() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, e := range w.journal {
		text := string(e.Rec)
		fmt.Fprintf(&b, "%s %s\n", e.At.Format("15:04:05.000"), text[:min(len(text), 300)])
	}
	return b.String()
}

// healthy says whether a container answers well now; w.mu is held.
func (w *World) healthy(c *container) bool {
	b := w.behave[c.version]
	return !b.NeverReady && c.takes() && (b.ErrorsAfter == 0 || time.Since(c.c.StartedAt) < b.ErrorsAfter)
}

// Request is one user's request through the proxy. It counts what the user saw.
func (w *World) Request(app string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fail := func(why string) {
		w.Failed++
		if w.FirstFailure == "" {
			w.FirstFailure = why
		}
	}
	now := w.states[w.named(app)]
	renamed := w.states[app].Renamed != nil && now.Gone == nil && (now.Deploy == nil || !now.Deploy.To.Absent)
	app = w.front(app)
	config, ok := w.proxy[app]
	if !ok || config.Live == "" {
		if renamed {
			fail("no routes under any name")
		}
		return // nothing was ever live
	}
	for _, addresses := range config.Targets[config.Live] {
		for _, a := range addresses {
			c := w.answers(a.Addr())
			if c == nil && w.endedAt(a.Addr()) {
				w.Errors++
				continue
			}
			if c == nil {
				fail(fmt.Sprintf("nothing runs at %s, live %s", a, config.Live))
				continue
			}
			if c.c.Set.Colour != config.Live {
				fail(fmt.Sprintf("%s answers for %s", c.c.Name, config.Live))
			}
			t := w.counters[app][config.Live]
			t.Requests++
			w.Served++
			if !w.healthy(c) {
				t.Errors++
				w.Errors++
				w.burst[app]++
				// The proxy says so at the 25th, and again every second while it goes on.
				if n := w.burst[app]; n >= 25 && n%5 == 0 && w.agent != nil && !w.agent.dead && w.agent.runner != nil {
					w.agent.bursts++
					b := rollout.Burst{Seq: w.agent.bursts, Generation: config.Generation, Errors: 25, Requests: 25}
					go w.agent.runner.Burst(app, b)
				}
			} else {
				w.burst[app] = 0
			}
			if w.counters[app] == nil {
				w.counters[app] = map[release.Colour]rollout.Traffic{}
			}
			w.counters[app][config.Live] = t
		}
	}
}

// live lets time do to containers what their behaviour says; called on a tick.
func (w *World) live() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	for _, c := range w.containers {
		b := w.behave[c.version]
		ends := b.ExitAfter > 0 && c.spec.Class == release.ClassRouted && time.Since(c.c.StartedAt) >= b.ExitAfter ||
			b.WorkerExits && c.spec.Class == release.ClassHandover
		if c.c.Status == rollout.Running && c.c.Health == rollout.HealthStarting && time.Since(c.c.StartedAt) > time.Second {
			c.c.Health = rollout.HealthHealthy
		}
		if c.c.Status != rollout.Running || !ends {
			continue
		}
		c.end(1)
		if w.agent != nil && !w.agent.dead && w.agent.runner != nil {
			go w.agent.runner.Wake(c.c.App)
		}
	}
}

// look notes which services without route run in both colours; w.mu is held.
func (w *World) look() {
	first := map[string]release.Colour{}
	for _, c := range w.containers {
		if c.c.Status != rollout.Running || c.spec.Route != nil || c.c.Set.Colour == release.Shared || c.spec.Class == release.ClassJob {
			continue
		}
		if other := first[c.c.Service]; other != "" && other != c.c.Set.Colour {
			w.beside[c.c.Service] = true
		}
		first[c.c.Service] = c.c.Set.Colour
	}
}
