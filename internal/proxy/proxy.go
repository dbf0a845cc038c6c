package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// Options shape a Proxy.
type Options struct {
	StateDir string // exists; the proxy's alone
	// AcceptEmpty starts without routes although there was a state that cannot be
	// read. Hosts that no app has claimed yet are answered 503, not 404.
	AcceptEmpty bool
	// Expose adds the headers Teal-App, Teal-Release, Teal-Colour, Teal-Generation and
	// Teal-Chosen (unix nanoseconds) to answers.
	Expose bool
	// HealthPath is answered by the proxy itself, for a load balancer in front of the
	// host; empty: none.
	HealthPath string
	// AnswerTimeout is how long a target may think before its answer begins; zero
	// means DefaultAnswerTimeout.
	AnswerTimeout time.Duration
	// PauseWait is how long a request is held by a pause; zero means 10 s.
	PauseWait time.Duration
	Log       *slog.Logger
}

// DefaultAnswerTimeout is long: answers of language models and reports take minutes.
const DefaultAnswerTimeout = 5 * time.Minute

// Proxy is the routes, and what runs on them. It is the http.Handler of the clients'
// side; the control socket calls the rest.
type Proxy struct {
	opt      Options
	log      *slog.Logger
	reverse  *httputil.ReverseProxy
	events   *events
	patience patience
	slow     bool // no fast path: tests compare the two

	// Of every request. Nothing here is behind a lock.
	table      atomic.Pointer[table]
	leaving    atomic.Bool
	held       atomic.Int64
	incomplete bool // routes may be missing; does not change after New

	mu      sync.Mutex // guards the rest, and is held by control calls alone
	front   *frontDoor // set while a Server runs it
	sets    []*set     // in a generation, or not yet empty
	store   *store
	durable bool // the state on disk is what serves
}

// New reads the state and serves what it says. It starts nothing.
func New(opt Options) (*Proxy, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.AnswerTimeout <= 0 {
		opt.AnswerTimeout = DefaultAnswerTimeout
	}
	if opt.PauseWait <= 0 {
		opt.PauseWait = pauseWait
	}
	p := &Proxy{opt: opt, log: opt.Log, reverse: newReverse(opt.Log), patience: usualPatience, store: newStore(opt.StateDir)}
	saved, note, err := p.store.load()
	if err != nil {
		if !opt.AcceptEmpty || saved.newer {
			return nil, err
		}
		if serr := p.store.setAside(time.Now()); serr != nil {
			return nil, serr
		}
		p.incomplete, note = true, "starts without routes, as -accept-empty says: "+err.Error()
	}
	p.events = newEvents(time.Now(), saved.Seq)
	apps := map[string]*generation{}
	for name, config := range saved.Apps {
		apps[name] = p.generation(name, config, nil)
		apps[name].switchedAt = time.Now().UTC()
	}
	t, err := newTable(apps)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	p.table.Store(t)
	p.mark(t)
	p.durable = true
	if note != "" {
		p.log.Error("state not as it should be", "detail", note)
		p.alarm("", note)
	}
	return p, nil
}

// generation makes an app's next one. Sets that stay what they are go on in it.
func (p *Proxy) generation(app string, config App, before *generation) *generation {
	g := &generation{app: app, config: config, sets: map[vocab.Colour]*set{}, window: newWindow(config.Burst)}
	for colour, targets := range config.Targets {
		if before != nil && before.sets[colour] != nil && before.sets[colour].same(config.Releases[colour], targets) {
			g.sets[colour] = before.sets[colour]
			continue
		}
		g.sets[colour] = newSet(app, colour, config.Releases[colour], targets, p.opt.AnswerTimeout)
	}
	if g.live = g.sets[config.Live]; g.live == nil && config.State != StateMaintenance {
		// An app without routes needs no target; nothing can choose it.
		g.live = newSet(app, config.Live, "", nil, p.opt.AnswerTimeout)
	}
	return g
}

// Put makes config the app's configuration: durable first, then for every request
// from now on. It waits until what chose the one before has its head. The apps that
// instead names are taken out with the same swap: this one has their place.
func (p *Proxy) Put(ctx context.Context, app string, config App, instead ...string) (Switched, error) {
	config = config.normal()
	if err := errors.Join(config.validate(app), validInstead(app, instead)); err != nil {
		return Switched{}, &invalidError{err}
	}
	done, before, err := p.replace(app, &config, instead)
	for _, g := range before {
		done.Unfinished += g.awaitHeads(ctx)
	}
	return done, err
}

// Remove takes the app's routes away; what runs on them goes on.
func (p *Proxy) Remove(ctx context.Context, app string) (Switched, error) {
	done, before, err := p.replace(app, nil, nil)
	for _, g := range before {
		done.Unfinished += g.awaitHeads(ctx)
	}
	return done, err
}

// invalidError is a configuration that makes no sense, whoever asks.
type invalidError struct{ error }

func (e *invalidError) Unwrap() error { return e.error }

// replace is the switch. ended are the generations that it ended, none when nothing
// changed.
func (p *Proxy) replace(app string, config *App, instead []string) (_ Switched, ended []*generation, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.table.Load()
	before := old.apps[app]
	if before != nil {
		ended = append(ended, before)
	}
	// An app that goes leaves what runs on its targets to the first that had none: the sets
	// go on in it, with what is in flight.
	var gone []string
	for _, name := range instead {
		other := old.apps[name]
		if other == nil {
			continue
		}
		if current := other.config.Generation; config.Generation <= current {
			return Switched{}, nil, &StaleError{Current: current}
		}
		gone, ended = append(gone, name), append(ended, other)
		if before == nil {
			before = other
		}
	}
	var next *generation
	event := Event{Kind: EventSwitched, App: app, Text: "removed"}
	if config == nil {
		if before == nil {
			return Switched{}, nil, ErrUnknownApp
		}
	} else {
		if before != nil && before.app == app {
			switch current := before.config.Generation; {
			case config.Generation < current:
				return Switched{}, nil, &StaleError{Current: current}
			case config.Generation == current && !before.config.equal(*config):
				return Switched{}, nil, &StaleError{Current: current, Different: true}
			case config.Generation == current && len(gone) == 0:
				if !p.durable {
					p.save(old)
				}
				return Switched{SwitchedAt: before.switchedAt, Durable: p.durable}, nil, nil
			}
		} else if before == nil && len(old.apps) >= maxApps {
			return Switched{}, nil, &invalidError{fmt.Errorf("the proxy has %d apps already", maxApps)}
		}
		next = p.generation(app, *config, before)
		event.Generation, event.Colour, event.Text = config.Generation, config.Live, string(config.State)
	}
	t, err := old.with(app, next, gone...)
	if err != nil {
		return Switched{}, nil, err
	}
	for _, s := range p.sets { // draining is by name
		if slices.Contains(gone, s.app) {
			s.app = app
		}
	}
	p.save(t)
	p.table.Store(t)
	now := time.Now().UTC()
	close(old.changed)
	if next != nil {
		next.switchedAt = now
	}
	p.mark(t)
	event.Time = now
	p.events.publish(event)
	if len(gone) > 0 {
		p.log.Info("takes the place of other apps", "app", app, "instead", gone)
	}
	p.log.Info("switched", "app", app, "generation", event.Generation, "live", string(event.Colour), "state", event.Text, "durable", p.durable)
	return Switched{SwitchedAt: now, Durable: p.durable}, ended, nil
}

// mark notes which sets get requests, closes the idle connections of the others, and
// forgets sets that nothing is on any more.
func (p *Proxy) mark(t *table) {
	keep := map[*set]bool{}
	live := map[*set]bool{}
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		g := t.apps[name]
		for _, colour := range []vocab.Colour{vocab.Blue, vocab.Green} {
			if s := g.sets[colour]; s != nil {
				keep[s] = true
				if !slices.Contains(p.sets, s) {
					p.sets = append(p.sets, s)
				}
			}
		}
		if g.live != nil && g.config.State != StateMaintenance {
			live[g.live] = true
		}
	}
	p.sets = slices.DeleteFunc(p.sets, func(s *set) bool {
		if s.live = live[s]; !s.live {
			s.pooled.CloseIdleConnections()
		}
		for _, svc := range s.services {
			for _, r := range svc.replicas {
				r.pool.serve(s.live)
			}
		}
		return !keep[s] && s.counters.inFlight.Load() == 0
	})
}

// App is what the proxy serves for an app, and what it has counted.
func (p *Proxy) App(app string) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.table.Load().apps[app]
	if g == nil {
		return Status{}, ErrUnknownApp
	}
	return p.status(g), nil
}

// Apps is the status of every app.
func (p *Proxy) Apps() map[string]Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]Status{}
	for name, g := range p.table.Load().apps {
		out[name] = p.status(g)
	}
	return out
}

func (p *Proxy) status(g *generation) Status {
	st := Status{App: g.config, SwitchedAt: g.switchedAt, Durable: p.durable, Held: g.held.Load(), Colours: map[vocab.Colour]Counters{}}
	for colour, s := range g.sets {
		st.Colours[colour] = s.counters.snapshot()
	}
	return st
}

// alarm asks for a person.
func (p *Proxy) alarm(app, text string) {
	p.events.publish(Event{Kind: EventAlarm, App: app, Text: text})
}
