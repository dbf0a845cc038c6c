package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/fleet"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// versionOf is the version that a stored release says; w.mu is held.
func (w *World) versionOf(d release.Digest) string {
	dir := w.shelf[d]
	if dir == nil {
		return ""
	}
	data, err := fs.ReadFile(dir, "release.yaml")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "version: "); ok {
			return v
		}
	}
	return ""
}

// proxy is the switch in memory.
type proxy struct{ *Agent }

func (p proxy) Put(_ context.Context, app string, c reconcile.SwitchConfig) (done reconcile.Switched, err error) {
	err = p.edge("switch", "put", func() error {
		have := p.world.proxy[app]
		if c.Generation < have.Generation {
			return &reconcile.StaleGeneration{Current: have.Generation}
		}
		for _, name := range c.Instead {
			if other, ok := p.world.proxy[name]; ok && c.Generation <= other.Generation {
				return &reconcile.StaleGeneration{Current: other.Generation}
			}
		}
		instead := c.Instead
		c.Instead = nil
		if c.Generation == have.Generation && fmt.Sprint(c) != fmt.Sprint(have) {
			return &reconcile.StaleGeneration{Current: have.Generation}
		}
		if c.Live != have.Live {
			p.world.burst[app] = 0
		}
		p.world.proxy[app] = c
		for _, name := range instead {
			delete(p.world.proxy, name)
		}
		done = reconcile.Switched{At: time.Now().UTC(), Durable: true}
		return nil
	})
	return done, err
}

func (p proxy) Withdraw(_ context.Context, app string) error {
	return p.edge("switch", "withdraw", func() error {
		delete(p.world.proxy, app)
		return nil
	})
}

func (p proxy) View(_ context.Context, app string) (s reconcile.SwitchState, err error) {
	err = p.edge("switch", "view", func() error {
		s.Config, s.Known = p.world.proxy[app]
		s.Traffic = maps.Clone(p.world.counters[app])
		return nil
	})
	return s, err
}

func (p proxy) Drain(ctx context.Context, _ string, _ release.Colour, _ release.Drain) (int, error) {
	if err := sleep(ctx, time.Second); err != nil {
		return 0, err
	}
	return 0, p.edge("switch", "drain", func() error { return nil })
}

// turn is the fleet's permission, through the real state machine.
type turn struct {
	*Agent
	local *fleet.Local
}

func (t turn) AskTurn(ctx context.Context, app string, set rollout.Set) (rollout.Token, error) {
	return t.local.AskTurn(ctx, app, set)
}

func (t turn) ConfirmTurn(ctx context.Context, app string, token rollout.Token, request string) error {
	return t.local.ConfirmTurn(ctx, app, token, request)
}

func (t turn) EndTurn(ctx context.Context, app string, token rollout.Token) error {
	return t.local.EndTurn(ctx, app, token)
}

func (t turn) Report(ctx context.Context, app string, set rollout.Set, good bool, why release.Code, detail string) error {
	return t.local.Report(ctx, app, set, good, why, detail)
}

// fleetStore is where the fleet's state is durable: each save is one turn edge.
type fleetStore struct{ *Agent }

func (s fleetStore) Load() ([]byte, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if s.world.store == nil {
		return nil, fs.ErrNotExist
	}
	return s.world.store, nil
}

func (s fleetStore) Save(data []byte, _ bool) error {
	return s.edge("turn", "save", func() error {
		s.world.store = slices.Clone(data)
		return nil
	})
}

// journal is where records are durable: each append is one fsync edge.
type journal struct{ *Agent }

func (j journal) Append(app string, r rollout.Record, back bool) (at time.Time, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return at, err
	}
	at = time.Now().UTC()
	return at, j.edge("fsync", string(r.Kind), func() error {
		if j.world.full && !back {
			return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.JournalFull, Detail: "append to the journal"}
		}
		j.world.journal = append(j.world.journal, entry{App: app, Rec: data, At: at})
		reconcile.Replay(j.world.states, app, r, at)
		return nil
	})
}

// shelf keeps accepted releases.
type shelf struct{ *Agent }

func (s shelf) Put(d release.Digest, dir fs.FS, v trust.Verdict) error {
	return s.edge("fsync", "shelf", func() error {
		s.world.shelf[d], s.world.verdicts[d] = dir, v
		return nil
	})
}

func (s shelf) Dir(d release.Digest) (fs.FS, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if dir := s.world.shelf[d]; dir != nil {
		return dir, nil
	}
	return nil, fs.ErrNotExist
}

// health measures the containers' behaviour.
type health struct{ *Agent }

func (h health) ask(ip netip.Addr) (rollout.ProbeResult, string) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	c := h.world.answers(ip)
	switch {
	case c == nil:
		return rollout.Fail, "refused"
	case !h.world.healthy(c):
		return rollout.Fail, "500"
	}
	return rollout.Pass, ""
}

func (h health) Await(ctx context.Context, targets []reconcile.Target) error {
	passes := 0
	began := time.Now()
	for passes < 3 {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		passes++
		for _, t := range targets {
			result, detail := h.ask(t.Address.Addr())
			if result != rollout.Pass {
				passes = 0
			}
			if result != rollout.Pass && time.Since(began) > 60*time.Second {
				return &rollout.EffectError{Fault: rollout.FaultRevert, Code: release.ProbeFailed, Detail: t.Service + ": " + detail}
			}
		}
	}
	return nil
}

func (h health) Probe(_ context.Context, t reconcile.Target) (rollout.ProbeResult, string) {
	return h.ask(t.Address.Addr())
}

func (h health) Smoke(context.Context, release.Smoke, netip.AddrPort) (rollout.ProbeResult, string) {
	return rollout.Pass, ""
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// repository is the Git side in memory.
type repository struct{ *Agent }

func (r repository) Desired() ([]reconcile.Ref, release.Code, string) {
	c, code, detail := r.Evidence()
	if code != "" {
		return nil, code, detail
	}
	refs := []reconcile.Ref{{Name: "refs/heads/main", Commit: c}}
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.world.refs)) {
		ref := r.world.refs[name]
		refs = append(refs, reconcile.Ref{Name: name, Commit: commit{id: fmt.Sprintf("%040x", ref.commit), files: ref.files},
			Seen: func(string) uint64 { return ref.seen }})
	}
	return refs, "", ""
}

func (r repository) Evidence() (reconcile.Commit, release.Code, string) {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	if r.world.commit == 0 {
		return nil, release.NoCommitYet, ""
	}
	return commit{id: fmt.Sprintf("%040x", r.world.commit), files: r.world.files}, "", ""
}

func (r repository) Changed() <-chan struct{} { return r.world.changed }

type commit struct {
	id    string
	files fs.FS
}

func (c commit) ID() string { return c.id }

func (c commit) Sub(dir string) (fs.FS, error) {
	if _, err := fs.Stat(c.files, dir); err != nil {
		return nil, err
	}
	return fs.Sub(c.files, dir)
}

func (c commit) Tree(dir string) (string, bool) {
	sub, err := fs.Sub(c.files, dir)
	if err != nil {
		return "", false
	}
	if entries, err := fs.ReadDir(sub, "."); err != nil || len(entries) == 0 {
		return "", false
	}
	d, err := release.DigestOf(sub)
	return string(d), err == nil
}

// Changes: the simulated repository has no signed history.
func (c commit) Changes(context.Context, string, string) (trust.Changes, error) {
	return trust.Changes{}, nil
}

func (c commit) Apps(env string) ([]string, error) {
	entries, err := fs.ReadDir(c.files, "environments/"+env)
	var apps []string
	for _, e := range entries {
		if e.IsDir() {
			apps = append(apps, e.Name())
		}
	}
	return apps, err
}
