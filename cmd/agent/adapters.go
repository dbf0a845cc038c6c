package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/health"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// recordKind is the journal's kind of an app's records; operator marks what a peer
// asked for.
const (
	recordKind   = "record"
	operatorKind = "operator"
)

// records writes an app's records to the journal.
type records struct{ *journal.Journal }

func (r records) Append(app string, rec rollout.Record, back bool) (time.Time, error) {
	going := journal.Forward
	if back {
		going = journal.Back
	}
	e, err := r.Journal.Append(app, recordKind, rec, going)
	if errors.Is(err, journal.ErrFull) {
		return e.Time, &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.JournalFull, Err: err}
	}
	return e.Time, err
}

// fileStore keeps the fleet's state in one file.
type fileStore string

const maxFleetState = 64 << 20

func (f fileStore) Load() ([]byte, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFleetState {
		return nil, fmt.Errorf("%s is %d bytes long", string(f), info.Size())
	}
	return os.ReadFile(string(f))
}

func (f fileStore) Save(data []byte) error {
	return journal.WriteFile(string(f), data, 0o600)
}

// repository shows accepted commits to the desk.
type repository struct{ *gitops.Repo }

func (r repository) Desired() (reconcile.Commit, release.Code, string) {
	return commitOf(r.Repo, r.Repo.Head)
}

func (r repository) Evidence() (reconcile.Commit, release.Code, string) {
	return commitOf(r.Repo, r.Repo.EvidenceHead)
}

func commitOf(repo *gitops.Repo, head func() (gitops.Snapshot, bool)) (reconcile.Commit, release.Code, string) {
	snap, ok := head()
	if ok {
		return commit{snap}, "", ""
	}
	if s := repo.Status(); s.Code != "" {
		return nil, s.Code, s.Detail
	}
	return nil, release.NoCommitYet, ""
}

type commit struct{ gitops.Snapshot }

func (c commit) ID() string { return c.Commit() }

func (c commit) Sub(dir string) (fs.FS, error) { return c.Snapshot.Sub(dir) }

func (c commit) Tree(dir string) (string, bool) { return c.Snapshot.Tree(dir) }

func (c commit) Apps(env string) ([]string, error) { return c.Snapshot.Apps(env) }

// switcher is the proxy's control side.
type switcher struct{ *proxy.Client }

func (s *switcher) Put(ctx context.Context, app string, c reconcile.SwitchConfig) (reconcile.Switched, error) {
	body := proxy.App{Generation: c.Generation, Live: c.Live, State: proxy.StateServe, Releases: c.Releases,
		Targets: map[release.Colour]map[string][]string{},
		Burst:   &proxy.Burst{Errors: c.Burst.Errors, Requests: c.Burst.Requests, Baseline: c.Baseline}}
	for _, r := range c.Routes {
		body.Routes = append(body.Routes, proxy.Route{Host: r.Host, Path: r.Path, StripPath: r.StripPath, Service: r.Service})
	}
	for colour, services := range c.Targets {
		body.Targets[colour] = map[string][]string{}
		for name, addresses := range services {
			for _, a := range addresses {
				body.Targets[colour][name] = append(body.Targets[colour][name], a.String())
			}
		}
	}
	done, err := s.Client.Put(ctx, app, body)
	var stale *proxy.StaleError
	if errors.As(err, &stale) {
		return reconcile.Switched{}, &reconcile.StaleGeneration{Current: stale.Current}
	}
	if err != nil {
		return reconcile.Switched{}, err
	}
	return reconcile.Switched{At: done.SwitchedAt, Unfinished: done.Unfinished, Durable: done.Durable}, nil
}

func (s *switcher) View(ctx context.Context, app string) (reconcile.SwitchState, error) {
	st, err := s.App(ctx, app)
	if errors.Is(err, proxy.ErrUnknownApp) {
		return reconcile.SwitchState{}, nil
	}
	if err != nil {
		return reconcile.SwitchState{}, err
	}
	v := reconcile.SwitchState{Known: true, Traffic: map[release.Colour]rollout.Traffic{},
		Config: reconcile.SwitchConfig{Generation: st.Generation, Live: st.Live, Targets: map[release.Colour]map[string][]netip.AddrPort{}}}
	for _, r := range st.Routes {
		v.Config.Routes = append(v.Config.Routes, release.RouteOf{Service: r.Service, Route: release.Route{Host: r.Host, Path: r.Path, StripPath: r.StripPath}})
	}
	for colour, services := range st.Targets {
		v.Config.Targets[colour] = map[string][]netip.AddrPort{}
		for name, addresses := range services {
			for _, text := range addresses {
				a, err := netip.ParseAddrPort(text)
				if err != nil {
					return v, fmt.Errorf("read the proxy's targets: %w", err)
				}
				v.Config.Targets[colour][name] = append(v.Config.Targets[colour][name], a)
			}
		}
	}
	for colour, c := range st.Colours {
		v.Traffic[colour] = rollout.Traffic{Requests: c.Requests, Errors: c.Errors}
	}
	return v, nil
}

func (s *switcher) Drain(ctx context.Context, app string, colour release.Colour, d release.Drain) (int, error) {
	done, err := s.Client.Drain(ctx, app, colour, d.HTTP, d.WebSocket)
	return done.Cut, err
}

// prober measures through the health room.
type prober struct{ frontDoor string }

func (p prober) Await(ctx context.Context, targets []reconcile.Target) error {
	if len(targets) == 0 {
		return nil
	}
	list := make([]health.Target, len(targets))
	for i, t := range targets {
		list[i] = health.Target(t)
	}
	return health.AwaitPasses(ctx, list, nil)
}

func (p prober) Probe(ctx context.Context, t reconcile.Target) (rollout.ProbeResult, string) {
	return health.Probe(ctx, health.Target(t))
}

func (p prober) Smoke(ctx context.Context, s release.Smoke, address netip.AddrPort) (rollout.ProbeResult, string) {
	to := p.frontDoor
	if address.IsValid() {
		to = address.String()
	}
	return health.RunSmoke(ctx, s, to)
}
