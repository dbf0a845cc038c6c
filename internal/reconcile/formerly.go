package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// formerAgain is how soon a place is asked for again that could not be given right now.
const formerAgain = 100 * time.Millisecond

// former is what the host knows of the app under the name that its manifest says it had,
// and why its place cannot be taken. Nil: there is nothing, or the app has its place
// already.
func (d *Desk) former(app string, p *parsed, past rollout.State) (*rollout.State, rollout.Barred, error) {
	if p.rel == nil || p.rel.Formerly == "" || past.Was(p.rel.Formerly) || d.known == nil {
		return nil, rollout.Barred{}, nil
	}
	name := p.rel.Formerly
	s, ok := d.known(name)
	if !ok && d.lost != nil && d.lost(name) {
		s.App = name
		return &s, rollout.Barred{Why: release.StateLost, Detail: lostText(name)}, nil
	}
	if !ok || !s.Known() {
		return nil, rollout.Barred{}, nil
	}
	refs, code, detail := d.Repo.Desired()
	if code != "" {
		return nil, rollout.Barred{}, &rollout.EffectError{Fault: rollout.FaultRetry, Code: code, Detail: detail}
	}
	for _, ref := range refs {
		if !d.stands(name, ref.Commit) {
			continue
		}
		return &s, rollout.Barred{Why: release.FormerStands, Detail: d.dir(name) + " is still there, in " + ref.Name}, nil
	}
	others, err := d.apps(refs)
	if err != nil {
		return nil, rollout.Barred{}, err
	}
	for _, other := range others {
		if other == app {
			continue
		}
		c, err := d.choose(other, refs)
		if err != nil {
			return nil, rollout.Barred{}, err
		}
		if c.tree == "" {
			continue
		}
		f, err := d.facts(other, c.tree, c.ref.Commit)
		if err != nil {
			return nil, rollout.Barred{}, err
		}
		if f.formerly == name {
			return &s, rollout.Barred{Why: release.FormerConflict, Detail: other + " asks for the place of " + name + " too"}, nil
		}
	}
	return &s, rollout.Barred{}, nil
}

// stands reports whether the commit has a release directory of the app, or may have one.
func (d *Desk) stands(app string, commit Commit) bool {
	_, ok := commit.Tree(d.dir(app))
	return ok || !d.absent(app, commit)
}

// marks is what a release is judged against: the app's own memory, or that of the app
// whose place it takes.
func marks(past rollout.State, former *rollout.State) rollout.State {
	if former == nil || past.Accepted.Sequence > former.Accepted.Sequence {
		return past
	}
	return *former
}

// originOf is the name that volumes and shared services of the app have, "" for its own.
func originOf(past rollout.State, former *rollout.State) string {
	if former == nil {
		return past.Origin
	}
	if name := cmp.Or(former.Origin, former.App); name != past.App {
		return name
	}
	return ""
}

// given reports whether an app's name was given away on this host: what Git says under it
// keeps nobody from anything.
func (d *Desk) given(app string) bool {
	if d.known == nil {
		return false
	}
	s, ok := d.known(app)
	return ok && s.Renamed != nil
}

// takeOver makes the record that gives this app the place of another, when the other is
// as it was when the step was planned and at rest; else it is asked for again soon.
func (l *loop) takeOver(rec rollout.Record, was rollout.State) (*rollout.Wait, error) {
	later := &rollout.Wait{Why: release.FormerBusy, Detail: rec.TakeOver.From, Until: time.Now().Add(formerAgain)}
	other := l.peer(rec.TakeOver.From)
	if other == nil || !other.turning.TryLock() { // never waited for: it may wait for this one
		return later, nil
	}
	defer other.turning.Unlock()
	other.mu.Lock()
	same := reflect.DeepEqual(other.state, was)
	other.mu.Unlock()
	if !same || other.inFlight != nil || other.pending != nil {
		return later, nil
	}
	if err := l.recordBoth(rec, other); err != nil {
		return nil, err
	}
	l.addr.hold(l.app, l.state) // first: in between its addresses are nobody else's
	l.addr.hold(other.app, other.state)
	l.meter, l.restarts, l.counted = other.meter, maps.Clone(other.restarts), maps.Clone(other.counted)
	l.log.Info("takes the place of another app", "from", other.app, "version", rec.TakeOver.Version, "sequence", rec.TakeOver.Sequence)
	l.Changed(l.app)
	l.Changed(other.app)
	other.nudge()
	return nil, nil
}

// recordBoth is record for two loops; both turns are held.
func (l *loop) recordBoth(rec rollout.Record, other *loop) error {
	l.recording.RLock()
	defer l.recording.RUnlock()
	at, err := l.Journal.Append(l.app, rec, false)
	if err != nil {
		return err
	}
	now, was := l.state.TakeOver(*rec.TakeOver, other.state, at)
	other.mu.Lock()
	other.state = was
	other.mu.Unlock()
	l.mu.Lock()
	l.state = now
	l.mu.Unlock()
	return nil
}

// named is the name that a set was made under.
func (l *loop) named(set rollout.Set) string { return cmp.Or(set.App, l.app) }

// origin is the name that shared services and volumes are made under.
func (l *loop) origin() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.state.Origin, l.app)
}

// called are the names under which the app may have something on the engine.
func (l *loop) called() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Called()
}

// appOf is the name that a release was made under.
func (l *loop) appOf(digest release.Digest) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.AppOf(digest)
}

// look lists the app's containers, under all of its names.
func (l *loop) look(ctx context.Context) ([]rollout.Container, error) {
	var all []rollout.Container
	for _, name := range l.called() {
		found, err := l.Containers.Observe(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// names are those under which the proxy may know the app, its own first: until the next
// switch, or again when it came back with an older state.
func (l *loop) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Names()
}

// view is what the proxy serves for the app, and the name that it knows it by.
func (l *loop) view(ctx context.Context) (view SwitchState, name string, err error) {
	for _, name = range l.names() {
		if view, err = l.Switch.View(ctx, name); err != nil || view.Known {
			return view, name, err
		}
	}
	return view, l.app, nil
}

// named is the app that has the place of the name now; r.mu is held.
func (r *Runner) named(app string) string {
	for range r.loops { // as often as it can have changed hands
		l := r.loops[app]
		if l == nil {
			break
		}
		l.mu.Lock()
		to := l.state.Renamed
		l.mu.Unlock()
		if to == nil {
			break
		}
		app = to.To
	}
	return app
}

// loop is an app's, nil when there is none.
func (r *Runner) loop(app string) *loop {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loops[app]
}

// state is what the journal knows of an app, whether or not its loop has begun.
func (r *Runner) state(app string) (rollout.State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.loops[app]; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.state, true
	}
	s, ok := r.early[app]
	s.App = app
	return s, ok
}

// lostText says why an app takes no place yet.
func lostText(name string) string {
	return fmt.Sprintf("containers of %s run, and this host's state does not know them", name)
}

// changes are the commits that made the release: those of its directory, and those of the
// one that it had under its former name.
func (d *Desk) changes(ctx context.Context, a ask) (trust.Changes, error) {
	all, err := a.commit.Changes(ctx, d.dir(a.app), a.since)
	if err != nil || a.rel.Formerly == "" {
		return all, err
	}
	before, err := a.commit.Changes(ctx, d.dir(a.rel.Formerly), a.since)
	if err != nil {
		return all, err
	}
	for _, c := range before.Commits {
		if !slices.ContainsFunc(all.Commits, func(x trust.Commit) bool { return x.ID == c.ID }) {
			all.Commits = append(all.Commits, c)
		}
	}
	all.Unknown = cmp.Or(all.Unknown, before.Unknown)
	return all, nil
}
