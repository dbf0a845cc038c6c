package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tealops/teal/internal/rollout"
)

// Edges is everything the loops act through.
type Edges struct {
	Containers Containers
	Switch     Switch
	Turn       Turn
	Fleet      Fleet
	Journal    Journal
	Shelf      Shelf
	Files      Files
	Health     Health
	Preflight  Preflight // optional
	Reserve    Reserve   // optional
	Desk       *Desk
	Edge       netip.Prefix
	Log        *slog.Logger
	// Ready is closed when the engine was seen once: apps that the journal does not know
	// begin only then. Nil: at once. Lost says of such an app that its containers run
	// although the journal does not know it; it begins nothing.
	Ready <-chan struct{}
	Lost  func(app string) bool
	// Changed is told of every record, after it is durable.
	Changed func(app string)
}

// maxApps bounds the apps of one host.
const maxApps = 200

// Runner runs one loop per app.
type Runner struct {
	// recording is held shared while a record becomes durable and then true, and whole
	// while a checkpoint is taken: a checkpoint holds every record before it.
	recording sync.RWMutex

	edges *Edges
	addr  *addresses

	mu    sync.Mutex // guards loops
	loops map[string]*loop
	group *errgroup.Group
	ctx   context.Context
	early map[string]rollout.State
}

// NewRunner takes the states that the journal's replay gave.
func NewRunner(e Edges, states map[string]rollout.State) *Runner {
	if e.Changed == nil {
		e.Changed = func(string) {}
	}
	r := &Runner{edges: &e, addr: newAddresses(e.Edge), loops: map[string]*loop{}, early: states}
	for app, s := range states {
		r.addr.hold(app, s)
	}
	e.Desk.live, e.Desk.known, e.Desk.lost = r.live, r.state, e.Lost
	if e.Desk.Parsed == nil {
		e.Desk.Parsed = &Parsed{}
	}
	return r
}

// Run reconciles every app that the journal or the repository knows until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	r.mu.Lock()
	r.group, r.ctx = g, ctx
	r.mu.Unlock()
	for app, s := range r.early {
		r.add(app, s)
	}
	g.Go(func() error { return r.discover(ctx) })
	g.Go(func() error { return r.edges.Desk.Read(ctx, r.Wake) })
	return g.Wait()
}

// discover starts a loop for each app that appears in the repository, and wakes all
// when the repository or the fleet changes.
func (r *Runner) discover(ctx context.Context) error {
	if r.edges.Ready != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-r.edges.Ready:
		}
	}
	for {
		fleet := r.edges.Fleet.Changed()
		if refs, code, _ := r.edges.Desk.Repo.Desired(); code == "" {
			apps, err := r.edges.Desk.apps(refs)
			if err != nil {
				r.edges.Log.Warn("list apps", "err", err)
			}
			if len(apps) > maxApps {
				r.edges.Log.Error("too many apps in the repository; the rest is not looked at", "apps", len(apps), "most", maxApps)
				apps = apps[:maxApps]
			}
			for _, app := range apps {
				if r.edges.Lost == nil || !r.edges.Lost(app) {
					r.add(app, rollout.State{})
				}
			}
		}
		r.Wake("")
		select {
		case <-ctx.Done():
			return nil
		case <-r.edges.Desk.Repo.Changed():
		case <-fleet:
		}
	}
}

func (r *Runner) add(app string, s rollout.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loops[app] != nil || r.ctx.Err() != nil {
		return
	}
	l := newLoop(r.edges, app, s, r.addr, &r.recording)
	l.others, l.peer = func() { r.Wake("") }, r.loop
	r.loops[app] = l
	ctx := r.ctx
	r.group.Go(func() error { return l.run(ctx) })
}

// Wake makes the loop of app look again; "" wakes all. What is told of a name that was
// given away goes to the app that has its place.
func (r *Runner) Wake(app string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	app = r.named(app)
	for name, l := range r.loops {
		if app == "" || app == name {
			l.nudge()
		}
	}
}

// Burst tells an app's loop that the proxy saw a burst of errors.
func (r *Runner) Burst(app string, b rollout.Burst) {
	r.mu.Lock()
	l := r.loops[r.named(app)]
	r.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.burst = &b
	l.mu.Unlock()
	l.nudge()
}

// Status is one app as it stands.
type Status struct {
	App   string
	State rollout.State
	Want  rollout.Want
	Wait  rollout.Wait
	Seen  rollout.Seen
}

// Status lists every app, by name.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Status
	for _, app := range slices.Sorted(maps.Keys(r.loops)) {
		l := r.loops[app]
		l.mu.Lock()
		all = append(all, Status{App: app, State: l.state, Want: l.want, Wait: l.waiting, Seen: l.seen})
		l.mu.Unlock()
	}
	return all
}

// live is the set that each app serves.
func (r *Runner) live() map[string]rollout.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]rollout.Set{}
	for app, l := range r.loops {
		l.mu.Lock()
		if l.state.Live != nil {
			out[app] = *l.state.Live
		}
		l.mu.Unlock()
	}
	return out
}

// Checkpoint gives save the state of every app, while no record is written.
func (r *Runner) Checkpoint(save func(map[string]rollout.State) error) error {
	r.recording.Lock()
	defer r.recording.Unlock()
	states := maps.Clone(r.early) // those whose loop has not begun
	if states == nil {
		states = map[string]rollout.State{}
	}
	for _, s := range r.Status() {
		states[s.App] = s.State
	}
	return save(states)
}

// Replay folds journal records into states.
func Replay(states map[string]rollout.State, app string, rec rollout.Record, at time.Time) {
	s := states[app]
	s.App = app
	if t := rec.TakeOver; t != nil {
		from := states[t.From]
		from.App = t.From
		states[app], states[t.From] = s.TakeOver(*t, from, at)
		return
	}
	states[app] = s.Apply(rec, at)
}
