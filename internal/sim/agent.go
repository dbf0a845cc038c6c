package sim

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/fleet"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// Agent is one life of the process.
type Agent struct {
	world  *World
	dead   bool // guarded by world.mu
	cancel context.CancelFunc
	runner *reconcile.Runner
	Fleet  *fleet.Local
	bursts uint64
	ended  chan struct{}
}

// parsed is shared by all agents there are: what is simulated is not the parser.
var parsed reconcile.Parsed

// Env is the environment that the simulated host belongs to.
const Env = "staging"

// Start begins a life: it replays the journal and runs the reconciler. policy is the
// text of trust.yaml.
func (w *World) Start(policy *trust.Policy, log *slog.Logger) (*Agent, error) {
	ctx, cancel := context.WithCancel(context.Background())
	a := &Agent{world: w, cancel: cancel, ended: make(chan struct{})}
	states := w.Replayed()
	local, err := fleet.OpenLocal("h1", fleetStore{a}, 0)
	if err != nil {
		cancel()
		return nil, err
	}
	a.Fleet = local
	w.mu.Lock()
	labels := w.labels
	w.mu.Unlock()
	local.Declare(labels)
	desk := &reconcile.Desk{Env: Env, Host: release.Host{Name: "h1", Instance: "sim", EdgeNetwork: "teal-edge", Files: w.FilesDir, Labels: labels}, Key: []byte("key"),
		Repo: repository{a}, Shelf: shelf{a}, Parsed: &parsed,
		Policy: func() (*trust.Policy, release.Code, string) { return policy, "", "" }}
	var files reconcile.Files
	if w.OpenVault != nil {
		v, err := w.OpenVault(labels)
		if err == nil {
			err = v.Sweep()
		}
		if err != nil {
			cancel()
			return nil, err
		}
		desk.Inputs, files = vault{a, v}, vault{a, v}
	}
	a.runner = reconcile.NewRunner(reconcile.Edges{Containers: host{a}, Switch: proxy{a}, Turn: turn{a, local}, Fleet: local, Files: files,
		Journal: journal{a}, Shelf: shelf{a}, Health: health{a}, Desk: desk,
		Edge: netip.MustParsePrefix("10.9.0.0/24"), Log: log}, states)
	w.mu.Lock()
	w.agent = a
	w.mu.Unlock()
	go func() {
		defer close(a.ended)
		_ = a.runner.Run(ctx)
	}()
	return a, nil
}

// Stop ends the life politely and waits for its goroutines.
func (a *Agent) Stop() {
	a.cancel()
	<-a.ended
}

// Ended is closed when the life is over.
func (a *Agent) Ended() <-chan struct{} { return a.ended }

// Status is what the agent says of its apps.
func (a *Agent) Status() []reconcile.Status { return a.runner.Status() }

// Traffic sends a request every interval and lets containers live, until ctx ends.
func (w *World) Traffic(ctx context.Context, app string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.live()
			w.Request(app)
		}
	}
}
