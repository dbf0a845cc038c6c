package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/fleet"
	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/health"
	"github.com/tealops/teal/internal/hostcare"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
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

// fileStore keeps the fleet's state in one file, with a reserve beside it for the
// commands that lead back.
type fileStore struct {
	path    string
	reserve hostcare.Reserve
}

const (
	fleetFile     = "fleet.json"
	maxFleetState = 64 << 20
	fleetReserve  = 512 << 10
)

func newFileStore(dir string) fileStore {
	return fileStore{filepath.Join(dir, fleetFile), hostcare.Reserve{Dir: dir, Name: "fleet-reserve", Size: fleetReserve}}
}

// begin writes the state of a new fleet. Where the journal knows apps already, a missing
// one is lost, not new: its quarantines and freezes must not be forgotten silently.
func (f fileStore) begin(known bool) error {
	_, err := os.Stat(f.path)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the fleet's state: %w", err)
	case known:
		return configError{fmt.Errorf("%s is gone, and with it quarantines and freezes; restore it from a backup, or run tealctl state init --new-fleet as root to begin without them", f.path)}
	}
	data, err := json.Marshal(fleet.State{Feature: fleet.FeatureLevel})
	if err != nil {
		return err
	}
	return f.Save(data, false)
}

func (f fileStore) Load() ([]byte, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFleetState {
		return nil, fmt.Errorf("%s is %d bytes long", f.path, info.Size())
	}
	return os.ReadFile(f.path)
}

func (f fileStore) Save(data []byte, back bool) error {
	err := journal.WriteFile(f.path, data, 0o600)
	if !errors.Is(err, syscall.ENOSPC) || !back {
		return err
	}
	if ferr := f.reserve.Free(); ferr != nil {
		return errors.Join(err, ferr)
	}
	return journal.WriteFile(f.path, data, 0o600)
}

// repository shows accepted commits to the desk.
type repository struct{ *gitops.Repo }

func (r repository) Desired() ([]reconcile.Ref, release.Code, string) {
	var out []reconcile.Ref
	for _, ref := range r.Repo.Desired() {
		out = append(out, reconcile.Ref{Name: ref.Name, Commit: commit{ref.Snapshot}, Seen: ref.Seen})
	}
	if len(out) > 0 {
		return out, "", ""
	}
	code, detail := r.without(true)
	return nil, code, detail
}

func (r repository) Evidence() (reconcile.Commit, release.Code, string) {
	if snap, ok := r.EvidenceHead(); ok {
		return commit{snap}, "", ""
	}
	code, detail := r.without(false)
	return nil, code, detail
}

// without is why there is no accepted commit of what is desired, or of the evidence.
func (r repository) without(desired bool) (release.Code, string) {
	s := r.Status()
	for _, ref := range s.Refs {
		if ref.Code != "" && ref.Head == "" && ref.Desired == desired {
			return ref.Code, ref.Detail
		}
	}
	if s.Code != "" {
		return s.Code, s.Detail
	}
	return release.NoCommitYet, ""
}

type commit struct{ gitops.Snapshot }

func (c commit) ID() string { return c.Commit() }

func (c commit) Sub(dir string) (fs.FS, error) { return c.Snapshot.Sub(dir) }

func (c commit) Tree(dir string) (string, bool) { return c.Snapshot.Tree(dir) }

func (c commit) Changes(ctx context.Context, dir, since string) (trust.Changes, error) {
	return c.Snapshot.Changes(ctx, dir, since)
}

// hostPlatform is what the engine beside the agent runs.
const hostPlatform = "linux/" + runtime.GOARCH

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
	done, err := s.Client.Put(ctx, app, body, c.Instead...)
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
	if errors.Is(err, proxy.ErrUnknownApp) { // nothing of it is left to drain
		return 0, nil
	}
	return done.Cut, err
}

func (s *switcher) Withdraw(ctx context.Context, app string) error { return s.Remove(ctx, app) }

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
