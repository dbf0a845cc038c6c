package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// fakeAgent is a control socket of the real server with a host behind it that the test moves.
type fakeAgent struct {
	t      *testing.T
	socket string

	mu      sync.Mutex // guards all below
	st      api.Status
	explain api.Explanation
	plan    api.Plan
	secrets string // state of every secret; "": as it runs
	events  []api.Event
	fails   error                            // what every request but status says
	did     []string                         // orders carried out
	traces  []string                         // of each of them
	until   time.Time                        // of the last order
	since   time.Time                        // that history was asked for
	onOrder func(verb string, c api.Command) // called after an order
	stop    func()
}

func meta(kind string) api.Meta { return api.Meta{APIVersion: api.Version, Kind: kind} }

func set(version string, colour release.Colour, sequence int64) *rollout.Set {
	digest := release.Digest(strings.Repeat(fmt.Sprintf("%02x", sequence), 32))
	return &rollout.Set{ID: release.SetID{Colour: colour, Target: release.Target{Digest: digest}}, Version: version, Sequence: sequence,
		Routed: []string{"backend"}, Workers: []string{"worker"}, ProvenAt: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
}

// liveApp is an app that is well.
func liveApp(name string) api.AppStatus {
	s := set("v1.2.3", release.Blue, 3)
	return api.AppStatus{App: name, State: string(rollout.Live), Healthy: true, Live: s, Desired: s, Proven: s, Old: []rollout.Set{*set("v1.2.2", release.Green, 2)},
		Wait: api.Wait{Why: release.Converged}, Since: time.Now().Add(-2 * time.Hour), Last: &rollout.Ended{ID: "d-3", Phase: rollout.Live, Version: "v1.2.3"}}
}

// deploying is the same app on its way to v1.3.0.
func deploying(name string, phase rollout.Phase) api.AppStatus {
	a := liveApp(name)
	to := set("v1.3.0", release.Green, 4)
	a.State, a.Healthy, a.Desired, a.Wait = string(phase), false, to, api.Wait{Why: release.Working}
	a.Deploy = &api.Deployment{ID: "d-4", Kind: rollout.KindRelease, Phase: phase, Since: time.Now().Add(-15 * time.Second), Began: time.Now().Add(-time.Minute), To: *to, From: a.Live}
	return a
}

func heldApp(name string, why release.Code) api.AppStatus {
	a := liveApp(name)
	a.State, a.Healthy = string(rollout.Held), false
	a.Hold = &rollout.Hold{Why: why, At: time.Now(), Sequence: 4}
	a.Wait = api.Wait{Why: why}
	return a
}

// startAgent serves until the test ends.
func startAgent(t *testing.T, apps ...api.AppStatus) *fakeAgent {
	t.Helper()
	dir, err := os.MkdirTemp("", "teal-ctl-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := &fakeAgent{t: t, socket: filepath.Join(dir, "agent.sock")}
	a.st = api.Status{Meta: meta("Status"), Environment: "production", Host: "web-1", Instance: "one", Repository: api.RepositoryStatus{Head: strings.Repeat("9f", 20), LastSuccess: time.Now()},
		Proxy: api.PartStatus{Reachable: true}, Engine: api.PartStatus{Reachable: true}, Apps: append([]api.AppStatus{}, apps...)}
	a.explain = api.Explanation{Meta: meta("Explanation"), App: "shop", Version: "v1.2.3", Code: release.Converged, ID: "TEAL-4001", Summary: "shop v1.2.3 is live and is what Git wants",
		Gates: []trust.Gate{{Name: trust.GateManifest, State: trust.GatePass}}}
	a.plan = api.Plan{Meta: meta("Plan"), App: "shop", From: "v1.2.3", To: "v1.3.0", Different: true, Steps: []string{"switch all routes at once"}}
	a.events = []api.Event{{Seq: 1, Time: time.Now(), App: "shop", Kind: "record", Text: "queued"}, {Seq: 2, Time: time.Now(), App: "shop", Kind: "record", Text: "live"}}
	a.start()
	t.Cleanup(func() { a.end() })
	return a
}

// start serves, again after end: an agent that was restarted.
func (a *fakeAgent) start() {
	a.t.Helper()
	server := &api.Server{Path: a.socket, Roles: api.Roles{Operators: uint32(os.Getgid()), Viewers: api.NoGroup}, Backend: a, Version: "v9", Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Errorf("serve: %v", err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("unix", a.socket); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatal("the server does not come up")
		}
	}
}

func (a *fakeAgent) end() { a.stop() }

// show puts other apps in place.
func (a *fakeAgent) show(apps ...api.AppStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.st.Apps = apps
}

func (a *fakeAgent) orders() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.did...)
}

// ctl runs tealctl against the agent.
func (a *fakeAgent) ctl(args ...string) (out, errs string, code int) {
	return a.ctlIn(a.t.Context(), args...)
}

func (a *fakeAgent) ctlIn(ctx context.Context, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(ctx, append(args, "--socket", a.socket), strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

func (a *fakeAgent) Status() api.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.st
	st.Now = time.Now().UTC()
	return st
}

func (a *fakeAgent) knows(app string) error {
	for _, s := range a.st.Apps {
		if s.App == app {
			return a.fails
		}
	}
	return api.Fail(http.StatusNotFound, release.UnknownApp, fmt.Sprintf("no app %q here; there are: shop", app))
}

func (a *fakeAgent) Explain(app string) (api.Explanation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.explain, a.knows(app)
}

func (a *fakeAgent) History(_ string, _ int, since time.Time) (api.History, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = since
	now := time.Now()
	return api.History{Meta: meta("History"), Entries: []api.HistoryEntry{{App: "shop", ID: "d-3", Version: "v1.2.3", Result: rollout.Live, Began: now.Add(-time.Hour), Ended: now}}}, a.fails
}

func (a *fakeAgent) Plan(app string) (api.Plan, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plan, a.knows(app)
}

func (a *fakeAgent) Events(ctx context.Context, _ string, seq uint64, follow bool, yield func(api.Event) error) error {
	for {
		a.mu.Lock()
		events, err := append([]api.Event(nil), a.events...), a.fails
		a.mu.Unlock()
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Seq > seq {
				if err := yield(e); err != nil {
					return err
				}
				seq = e.Seq
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (a *fakeAgent) Logs(_ context.Context, q api.LogQuery, w io.Writer) error {
	a.mu.Lock()
	err := a.knows(q.App)
	a.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "first line\nsecond line")
	return err
}

func (a *fakeAgent) order(verb string, c api.Command) (api.Done, error) {
	a.mu.Lock()
	if c.App != "" {
		if err := a.knows(c.App); err != nil {
			a.mu.Unlock()
			return api.Done{}, err
		}
	}
	if a.fails != nil {
		defer a.mu.Unlock()
		return api.Done{}, a.fails
	}
	if c.DryRun {
		defer a.mu.Unlock()
		return api.Done{Text: "would do: " + verb + " " + c.App, Plan: []string{"v1.2.3 → v1.2.2"}}, nil
	}
	a.did, a.traces = append(a.did, verb+" "+c.App), append(a.traces, c.Trace)
	a.until = c.Until
	then := a.onOrder
	a.mu.Unlock()
	if then != nil {
		then(verb, c)
	}
	return api.Done{Text: verb + " " + c.App + " is done", Commit: "9f9f9f9"}, nil
}

func (a *fakeAgent) Rollback(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("rollback", c)
}

func (a *fakeAgent) Resume(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("resume", c)
}

func (a *fakeAgent) Retry(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("retry", c)
}

func (a *fakeAgent) Remove(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("remove", c)
}

func (a *fakeAgent) Freeze(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("freeze", c)
}

func (a *fakeAgent) Unfreeze(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("unfreeze", c)
}

func (a *fakeAgent) Sync(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("sync", c)
}

func (a *fakeAgent) Rotate(_ context.Context, _ string, c api.Command) (api.Done, error) {
	return a.order("rotate", c)
}

func (a *fakeAgent) Secrets(app string) (api.Secrets, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := a.secrets
	if state == "" {
		state = "same"
	}
	return api.Secrets{Meta: meta("Secrets"), Host: "web-1", Apps: []api.AppSecrets{{App: app, Version: "v1.2.3", State: state,
		Items: []api.GivenStatus{{Name: "api-key", Kind: "secret", Source: "file /etc/teal/secrets/api-key", State: state}}}}}, a.knows(app)
}

func (a *fakeAgent) Refused(string, string) {}
