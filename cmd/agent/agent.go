package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/docker"
	"github.com/tealops/teal/internal/fleet"
	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/hostcare"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/secrets"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/webhook"
)

// agent is everything wired together.
type agent struct {
	config   Config
	log      *slog.Logger
	identity hostcare.Identity
	policy   *policyFile
	repo     *gitops.Repo
	engine   *docker.Engine
	proxy    *proxy.Client
	journal  *journal.Journal
	fleet    *fleet.Local
	shelf    *gitops.Shelf
	vault    *secrets.Vault
	runner   *reconcile.Runner
	desk     *reconcile.Desk
	attestor *attestor          // nil: only Git is read
	hooks    *webhook.Server    // nil: the repository is only polled
	reserves []hostcare.Reserve // the engine's first
	refusals seldom

	seen  chan struct{} // closed when the engine was seen once
	early map[string]rollout.State

	mu     sync.Mutex      // guards the rest
	lost   map[string]bool // apps that run and that the journal does not know
	absent error           // why the engine was not seen yet
	places hostcare.Room
}

// build opens every edge. It starts nothing.
func build(ctx context.Context, c Config, log *slog.Logger) (_ *agent, err error) {
	a := &agent{config: c, log: log, seen: make(chan struct{})}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := checkDir(c.State); err != nil {
		return nil, configError{err}
	}
	if a.identity, err = hostcare.LoadIdentity(c.State); err != nil {
		return nil, configError{err}
	}
	if a.policy, err = newPolicyFile(c.Trust, c.Environment, c.State, log); err != nil {
		return nil, configError{err}
	}
	if a.policy.repoID() == "" {
		_, _, detail := a.policy.current()
		return nil, configError{errors.New(detail)}
	}
	a.journal, err = journal.Open(filepath.Join(c.State, "journal"), journal.Options{Reserve: c.Reserves.Journal, Log: log})
	if err != nil {
		err = fmt.Errorf("open the journal: %w", err)
		if errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrLocked) || errors.Is(err, fs.ErrPermission) {
			err = configError{err} // a person must look; anything else may pass
		}
		return nil, err
	}
	states, err := replay(a.journal)
	if err != nil {
		return nil, configError{fmt.Errorf("replay the journal: %w", err)}
	}
	store := newFileStore(c.State)
	if err := store.begin(len(states) > 0); err != nil {
		return nil, err
	}
	if a.fleet, err = fleet.OpenLocal(c.Host, store, highest(states)); err != nil {
		return nil, configError{err}
	}
	a.fleet.Declare(c.Labels)
	for app, floor := range a.identity.Floors {
		s := states[app]
		if s.Accepted.Sequence < floor {
			s.App, s.Accepted = app, rollout.Mark{Sequence: floor}
			states[app] = s
		}
	}
	if a.shelf, err = gitops.NewShelf(releasesDir(c)); err != nil {
		return nil, err
	}
	filesDir := filepath.Join(c.State, "files")
	files, err := secrets.NewFiles(filesDir)
	if err != nil {
		return nil, err
	}
	a.vault = secrets.NewVault(vaultConfig(c, a.identity), files)
	if err := a.vault.Sweep(); err != nil {
		log.Warn("files not swept", "err", err)
	}
	if err := a.shelf.Sweep(); err != nil {
		log.Warn("shelf not swept", "err", err)
	}
	follow := c.Repository.gitops()
	follow.Environment, follow.Dir, follow.RepoID, follow.Log = c.Environment, filepath.Join(c.State, "git"), a.policy.repoID(), log
	follow.Moved = a.repositoryMoved
	a.repo, err = gitops.Open(follow)
	if err != nil {
		return nil, configError{fmt.Errorf("open the repository: %w", err)}
	}
	if a.hooks, err = newHooks(c.Webhook, a.repo, log); err != nil {
		return nil, configError{fmt.Errorf("open the webhook: %w", err)}
	}
	subnet := netip.MustParsePrefix(c.Engine.Edge.Subnet) // Validate parsed it
	a.engine, err = docker.New(docker.Config{Host: c.Engine.Host, Instance: a.identity.Instance, EdgeNetwork: c.Prefix + c.Engine.Edge.Network,
		EdgeSubnet: subnet, DockerConfig: c.Engine.DockerConfig, Log: log})
	if err != nil {
		return nil, configError{fmt.Errorf("open the engine: %w", err)}
	}
	a.proxy = proxy.Dial(c.Proxy.Socket)
	a.reserves = []hostcare.Reserve{{Dir: c.Reserves.Dir, Name: "teal-reserve-" + a.identity.Instance, Size: c.Reserves.Engine}, store.reserve}
	a.desk = &reconcile.Desk{Env: c.Environment, Key: a.identity.InputsKey(), Repo: repository{a.repo}, Shelf: a.shelf, Inputs: a.vault, Rotate: c.AutoRotate, Policy: a.currentPolicy, Never: a.never(),
		Host: release.Host{Name: c.Host, Instance: a.identity.Instance, Prefix: c.Prefix, EdgeNetwork: c.Prefix + c.Engine.Edge.Network, Platform: hostPlatform, Files: filesDir, Labels: c.Labels}}
	if c.Attestations.Registry {
		a.attestor = newAttestor(registry.New(registry.Config{DockerConfig: c.Engine.DockerConfig}), func() { a.runner.Wake("") })
		a.desk.Attestor = a.attestor
	}
	a.early = states
	a.runner = reconcile.NewRunner(crashable(reconcile.Edges{
		Containers: a.engine, Reserve: a.reserves[0], Switch: &switcher{a.proxy}, Turn: a.fleet, Fleet: a.fleet, Journal: records{a.journal}, Shelf: a.shelf, Files: a.vault,
		Health: prober{c.Proxy.FrontDoor}, Preflight: room{a}, Desk: a.desk, Edge: subnet, Log: log, Ready: a.seen, Lost: a.isLost}), states)
	return a, nil
}

// currentPolicy is the policy in force with what the newest evidence commit says of it.
func (a *agent) currentPolicy() (*trust.Policy, release.Code, string) {
	if head, ok := a.repo.EvidenceHead(); ok {
		a.policy.follow(head.Commit(), func() (fs.FS, error) { return head.Sub(".") })
	}
	return a.policy.current()
}

// The edges are what reconcile asks for.
var (
	_ reconcile.Containers = (*docker.Engine)(nil)
	_ reconcile.Reserve    = hostcare.Reserve{}
	_ reconcile.Switch     = (*switcher)(nil)
	_ reconcile.Turn       = (*fleet.Local)(nil)
	_ reconcile.Fleet      = (*fleet.Local)(nil)
	_ reconcile.Journal    = records{}
	_ reconcile.Shelf      = (*gitops.Shelf)(nil)
	_ reconcile.Files      = (*secrets.Vault)(nil)
	_ reconcile.Inputs     = (*secrets.Vault)(nil)
	_ reconcile.Health     = prober{}
	_ reconcile.Repository = repository{}
	_ reconcile.Attestor   = (*attestor)(nil)
	_ api.Backend          = (*agent)(nil)
)

// checkDir refuses a state directory that others can read or that is not there.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no such directory; run tealctl state init as root", dir)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s must be a directory that only the agent can open (mode %04o); run chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// never lists the host paths that no manifest may mount, whatever the policy says.
func (a *agent) never() []string {
	paths := []string{a.config.State, filepath.Dir(a.config.Socket), filepath.Dir(a.config.Trust), filepath.Dir(a.config.Proxy.Socket)}
	if socket, ok := unixPath(a.config.Engine.Host); ok {
		paths = append(paths, socket)
	}
	paths = append(paths, a.config.Repository.files()...)
	paths = append(paths, a.config.Webhook.files()...)
	for _, of := range a.config.Secrets {
		for _, s := range of {
			if s.File != "" {
				paths = append(paths, s.File)
			}
		}
	}
	for _, p := range []string{a.config.file, a.config.Identity, os.Getenv(credentialsEnv), a.config.Engine.DockerConfig, a.config.Reserves.Dir} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

func unixPath(host string) (string, bool) {
	const scheme = "unix://"
	if len(host) > len(scheme) && host[:len(scheme)] == scheme {
		return host[len(scheme):], true
	}
	return "", false
}

// room asks for room on the disks; which they are is known when the engine was seen.
type room struct{ *agent }

func (r room) Room(ctx context.Context) error {
	r.mu.Lock()
	places := r.places
	r.mu.Unlock()
	return places.Room(ctx)
}

// findPlaces says where going forward needs room.
func (a *agent) findPlaces(ctx context.Context) {
	places := hostcare.Room{{Name: "the state directory", Dir: a.config.State, MinFree: a.config.Reserves.MinFree / 4, MinInodes: 1000}}
	if space, err := a.engine.Space(ctx); err == nil && space.DataRoot != "" {
		places = append(places, hostcare.Place{Name: "the engine's data root", Dir: space.DataRoot, MinFree: a.config.Reserves.MinFree, MinInodes: 1000})
		if !hostcare.SameFilesystem(a.reserves[0].Dir, space.DataRoot) {
			a.log.Warn("the reserve does not help the engine: it lies on another filesystem; set reserves.dir", "reserve", a.reserves[0].Dir, "engine", space.DataRoot)
		}
	}
	a.mu.Lock()
	a.places = places
	a.mu.Unlock()
}

// run starts everything and waits for the end of it.
func (a *agent) run(ctx context.Context) error {
	a.log.Info("starts", "version", version, "environment", a.config.Environment, "host", a.config.Host, "instance", a.identity.Instance)
	a.fillReserves()
	g, ctx := errgroup.WithContext(ctx)
	server := &api.Server{Path: a.config.Socket, Backend: a, Version: version, Log: a.log,
		Roles: api.Roles{Operators: api.LookupGroup(a.config.Groups.Operators), Viewers: api.LookupGroup(a.config.Groups.Viewers)}}
	g.Go(func() error { return server.Serve(ctx) })
	g.Go(func() error { return a.repo.Run(ctx) })
	if a.hooks != nil {
		g.Go(func() error { return a.hooks.Run(ctx) })
	}
	g.Go(func() error { return a.policy.watch(ctx, a.log, func() { a.runner.Wake("") }) })
	g.Go(func() error { return a.reconcile(ctx) })
	g.Go(func() error { return a.checkpoints(ctx) })
	g.Go(func() error { return a.notices(ctx) })
	g.Go(func() error { return a.secretsWatch(ctx) })
	if a.attestor != nil {
		g.Go(func() error { return a.attestor.Run(ctx) })
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-a.journal.Failed():
			return errors.New("the journal failed: nothing can be recorded any more; see the log, then start the agent again")
		}
	})
	notify(a.log, "READY=1")
	err := g.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		a.checkpoint()
	}
	return err
}

// reconcile runs the loops. Those of apps that the journal knows begin at once: they
// must be able to go back while the engine is away. New apps wait until it was seen.
func (a *agent) reconcile(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runner.Run(ctx) })
	g.Go(func() error { return a.engine.Watch(ctx, a.runner.Wake) })
	g.Go(func() error { return a.bursts(ctx) })
	g.Go(func() error { return a.look(ctx) })
	return g.Wait()
}

// look tries until the engine was seen once.
func (a *agent) look(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := a.ready(ctx)
		a.mu.Lock()
		a.absent = err
		a.mu.Unlock()
		if err == nil {
			close(a.seen)
			a.runner.Wake("")
			return nil
		}
		a.log.Error("the engine cannot be used", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// ready makes the edge network, and finds the apps whose containers run although the
// journal does not know them: their state was lost, and with it their marks against
// replay, so they begin nothing.
func (a *agent) ready(ctx context.Context) error {
	if err := a.engine.Check(ctx); err != nil {
		return err
	}
	if space, err := a.engine.Space(ctx); err != nil {
		return err
	} else if space.DataRoot != "" {
		a.desk.Forbid(space.DataRoot)
	}
	a.findPlaces(ctx)
	if err := a.engine.EnsureEdge(ctx); err != nil {
		return fmt.Errorf("make the edge network: %w", err)
	}
	all, err := a.engine.ObserveAll(ctx)
	if err != nil {
		return fmt.Errorf("observe the engine: %w", err)
	}
	lost := map[string]bool{}
	for app, found := range all {
		if _, known := a.early[app]; !known && len(found) > 0 {
			lost[app] = true
			a.log.Error("state lost", "app", app, "next", lostText(app))
		}
	}
	a.mu.Lock()
	a.lost = lost
	a.mu.Unlock()
	return nil
}

func lostText(app string) string {
	return fmt.Sprintf("containers of %s run, but the journal does not know the app; run tealctl state init --sequence %s=N as root and start the agent again, or restore the state", app, app)
}

func (a *agent) isLost(app string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost[app]
}

// highest is the highest index of the fleet that the journal remembers.
func highest(states map[string]rollout.State) uint64 {
	var n uint64
	for _, s := range states {
		n = max(n, s.OrdersSeen)
		if s.Deploy != nil {
			n = max(n, s.Deploy.Token.Index)
		}
	}
	return n
}

// bursts passes the proxy's bursts to the loops, for as long as the agent lives.
func (a *agent) bursts(ctx context.Context) error {
	for ctx.Err() == nil {
		if a.proxy.Health(ctx) == nil {
			a.runner.Wake("") // it may have come back with less than it knew
		}
		err := a.proxy.Events(ctx, 0, func(e proxy.Event) error {
			if e.Kind == proxy.EventBurst {
				a.runner.Burst(e.App, rollout.Burst{Seq: e.Seq, Generation: e.Generation, Errors: e.Errors, Requests: e.Requests, At: e.Time})
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			a.log.Debug("proxy events end", "err", err)
		}
		a.runner.Wake("")
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// checkpoint writes one. Without it the replay is longer, nothing else.
func (a *agent) checkpoint() {
	err := a.runner.Checkpoint(func(states map[string]rollout.State) error { return a.journal.Checkpoint(states) })
	if err != nil {
		a.log.Warn("no checkpoint", "err", err)
	}
}

// checkpoints keep the replay short: one an hour, and one at a polite end.
func (a *agent) checkpoints(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.fillReserves()
			a.checkpoint()
		}
	}
}

// fillReserves puts back what going back has used. A full disk is tried again later.
func (a *agent) fillReserves() {
	for _, r := range a.reserves {
		if err := r.Fill(); err != nil {
			a.log.Warn("reserve not filled", "dir", r.Dir, "err", err)
		}
	}
}

func (a *agent) close() {
	if a.engine != nil {
		a.engine.Close()
	}
	if a.journal != nil {
		if err := a.journal.Close(); err != nil {
			a.log.Warn("journal not closed", "err", err)
		}
	}
}

// replay folds the journal into states: the newest checkpoint, then what came after.
func replay(j *journal.Journal) (map[string]rollout.State, error) {
	states := map[string]rollout.State{}
	from := uint64(0)
	if c, ok := j.LastCheckpoint(); ok {
		if err := json.Unmarshal(c.Data, &states); err != nil {
			return nil, fmt.Errorf("read the checkpoint %d: %w", c.Seq, err)
		}
		from = c.Seq + 1
	}
	err := j.Replay(from, func(e journal.Entry) error {
		if e.Kind != recordKind {
			return nil
		}
		var r rollout.Record
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return fmt.Errorf("record %d: %w", e.Seq, err)
		}
		reconcile.Replay(states, e.App, r, e.Time)
		return nil
	})
	return states, err
}
