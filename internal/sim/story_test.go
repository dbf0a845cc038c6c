package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

const policyText = `apiVersion: teal/v1
kind: Trust
repoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11
environment: staging
policy:
  people: {}
  environments: {staging: {approvals: []}}
hostAccess: {shop: {routes: [shop.example.test]}, shop2: {routes: [shop.example.test]}, shop3: {routes: [shop.example.test]}}
`

func policy(t *testing.T) *trust.Policy {
	t.Helper()
	p, err := trust.ParsePolicy("trust.yaml", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const image = "registry.example.test/shop@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

// manifest is a shop of two routed services, a worker and a shared store.
func manifest(version string, sequence int) map[string]string {
	return manifestWith(version, sequence, "")
}

// orders is a service without route, and the preparation that it and nothing else waits
// for; overlap as it says.
func orders(overlap bool) string {
	return fmt.Sprintf(`  orders:
    image: %s
    depends_on: {init: {condition: service_completed_successfully}}
    x-teal: {overlap: %v}
  init:
    image: %[1]s
    command: [exit, "0"]
`, image, overlap)
}

// jobs are one-off runs as the last key of x-teal; the one before the switch ends with a code.
func jobs(before int) string {
	return fmt.Sprintf(`  jobs:
    - {name: collect, service: backend, command: [exit, "%d"], when: before-switch}
    - {name: warm, service: ai-gateway, command: [exit, "0"], when: after-switch}
    - {name: undo, service: backend, command: [exit, "1"], when: on-revert}
`, before)
}

// commitStore has another store, which may be replaced.
func commitStore(version string, sequence int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		files := manifest(version, sequence)
		for name, text := range files {
			files[name] = strings.Replace(text, "x-teal: {shared: true}", "environment: {STORE: new}\n    x-teal: {shared: true, replace: stop-first}", 1)
		}
		w.Commit(files)
		return nil
	}
}

func commitJobs(version string, sequence, before int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		files := manifest(version, sequence)
		for name := range files {
			files[name] += jobs(before)
		}
		w.Commit(files)
		return nil
	}
}

// manifestWith is manifest with more services.
func manifestWith(version string, sequence int, services string) map[string]string {
	return map[string]string{"environments/staging/shop/release.yaml": fmt.Sprintf(`name: shop
services:
%[4]s  backend:
    image: %[1]s
    environment: {SHOP_VERSION: %[2]s}
    x-teal: {route: {host: shop.example.test, path: /, port: 8000}, probe: {path: /health/}}
  ai-gateway:
    image: %[1]s
    environment: {SHOP_VERSION: %[2]s}
    x-teal: {route: {host: shop.example.test, path: /ai/, port: 9000}, probe: {path: /healthz}}
  worker:
    image: %[1]s
    environment: {SHOP_VERSION: %[2]s}
    healthcheck: {test: [CMD, /app, check]}
  store:
    image: %[1]s
    x-teal: {shared: true}
x-teal:
  version: %[2]s
  sequence: %[3]d
  preparedBy: ci-bot
  drain: {http: 5s, websocket: 5s}
  bake: {for: 20s, every: 5s, failures: 2}
`, image, version, sequence, services)}
}

// story is one course of events with a known end. Each step is done, and repeated if
// the agent died under it, until its condition holds.
type story struct {
	name    string
	behave  map[string]Behaviour
	steps   []step
	live    string        // version that serves in the end
	ends    rollout.Phase // of the last deployment
	why     release.Code  // of the hold; "" for none; several are alternatives
	refused string        // version that must be quarantined
	also    []string      // services that run in the end besides the usual ones
	beside  []string      // services that must have run in both colours at once; no other may
	ran     []string      // jobs that must have run; no other may
	labels  map[string]string
	up      []string // services that run in the end; nil: all
	volumes []string // that there are in the end; nil: none is asked for

	finds map[string]string // in the end, by service and path: what its containers find there; set: the host has secrets
}

type step struct {
	do    func(*World, *Agent) error
	until func(rollout.State) bool
}

func commit1(version string, sequence int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.Commit(manifest(version, sequence))
		return nil
	}
}

// placed commits a release of hosts with a label.
func placed(version string, sequence int, label string) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		files := manifest(version, sequence)
		for name, text := range files {
			files[name] = text + "  placement: {" + label + "}\n"
		}
		w.Commit(files)
		return nil
	}
}

func commitWith(version string, sequence int, services string) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.Commit(manifestWith(version, sequence, services))
		return nil
	}
}

// single commits a release whose worker runs on one host of the fleet.
func single(version string, sequence int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		files := manifest(version, sequence)
		for name, text := range files {
			files[name] = strings.Replace(text, "check]}\n", "check]}\n    x-teal: {singleton: true, placement: {beat: yes}}\n", 1)
		}
		w.Commit(files)
		return nil
	}
}

// relabel changes the host's labels and starts the agent again.
func relabel(labels map[string]string) func(*World, *Agent) error {
	return func(w *World, a *Agent) error {
		w.SetLabels(labels)
		a.Stop()
		return nil
	}
}

// absent commits the removal of the app.
func absent(version string, sequence int, more string) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.Commit(map[string]string{"environments/staging/shop/release.yaml": fmt.Sprintf("name: shop\nx-teal:\n  version: %s\n  sequence: %d\n  preparedBy: ci-bot\n  absent: true\n%s", version, sequence, more)})
		return nil
	}
}

// remove orders the app off the host.
func remove(_ *World, a *Agent) error {
	if len(a.Fleet.Orders("shop")) > 0 {
		return nil // it was durable before the crash
	}
	_, err := a.Fleet.Order(context.Background(), rollout.Order{Kind: rollout.OrderRemove, App: "shop", Actor: "ann (uid 1000)", Reason: "moved"})
	return err
}

func gone(s rollout.State) bool {
	return s.Deploy == nil && s.Effect == nil && s.Last != nil && s.Last.Phase == rollout.Absent
}

// runsHere says that the service is one of the live set, which is at rest.
func runsHere(service string) func(rollout.State) bool {
	return func(s rollout.State) bool {
		return atRest(s) && s.Live != nil && slices.Contains(s.Live.Workers, service)
	}
}

// ordered reports whether an order of the kind is durable already: it was before the crash.
func ordered(a *Agent, kind rollout.OrderKind) bool {
	return slices.ContainsFunc(a.Fleet.Orders("shop"), func(o rollout.Order) bool { return o.Kind == kind })
}

func rollback(w *World, a *Agent) error {
	if ordered(a, rollout.OrderRollback) {
		return nil
	}
	_, err := a.Fleet.Order(context.Background(), rollout.Order{Kind: rollout.OrderRollback, App: "shop", Actor: "ann (uid 1000)", Reason: "checkout errors"})
	return err
}

func freeze(_ *World, a *Agent) error {
	return a.Fleet.Freeze(context.Background(), rollout.Freeze{Reason: "sale", Actor: "ann (uid 1000)"})
}

// atRest says that nothing is going on and nothing is left to clean up.
func atRest(s rollout.State) bool {
	return s.Deploy == nil && s.Effect == nil && s.Rollback == nil && len(s.Garbage) == 0 && s.Last != nil
}

func ended(version string) func(rollout.State) bool {
	return func(s rollout.State) bool { return atRest(s) && s.Last.Version == version }
}

func in(p rollout.Phase, version string) func(rollout.State) bool {
	return func(s rollout.State) bool {
		return s.Deploy != nil && s.Deploy.Phase == p && s.Deploy.To.Version == version
	}
}

func either(a, b func(rollout.State) bool) func(rollout.State) bool {
	return func(s rollout.State) bool { return a(s) || b(s) }
}

func stories() []story { return append(plainStories(), secretStories()...) }

func plainStories() []story {
	v1 := step{commit1("v1.0.0", 1), ended("v1.0.0")}
	v2 := step{commit1("v2.0.0", 2), ended("v2.0.0")}
	renamed, _ := formerlyStories()
	return append(renamed, []story{
		{name: "swap", steps: []step{v1, v2}, live: "v2.0.0", ends: rollout.Live},
		{name: "errors after the switch", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 9 * time.Second}}, steps: []step{v1, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: release.BakeBurst + "|" + release.BakeFailed, refused: "v2.0.0"},
		{name: "never ready", behave: map[string]Behaviour{"v2.0.0": {NeverReady: true}}, steps: []step{v1, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: release.ProbeFailed, refused: "v2.0.0"},
		{name: "worker ends in handover", behave: map[string]Behaviour{"v2.0.0": {WorkerExits: true}}, steps: []step{v1, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: release.ContainerExited + "|" + release.StartFailed, refused: "v2.0.0"},
		{name: "ends in the bake", behave: map[string]Behaviour{"v2.0.0": {ExitAfter: 8 * time.Second}}, steps: []step{v1, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: release.ContainerExited + "|" + release.BakeFailed + "|" + release.CrashLoop, refused: "v2.0.0"},
		{name: "rollback", steps: []step{v1, v2, {rollback, func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack},
		{name: "superseded in the bake", steps: []step{v1, {commit1("v2.0.0", 2), either(in(rollout.Baking, "v2.0.0"), ended("v2.0.0"))}, {commit1("v3.0.0", 3), ended("v3.0.0")}},
			live: "v3.0.0", ends: rollout.Live},
		{name: "superseded, then bad", behave: map[string]Behaviour{"v3.0.0": {ErrorsAfter: 9 * time.Second}},
			steps: []step{v1, {commit1("v2.0.0", 2), either(in(rollout.Baking, "v2.0.0"), ended("v2.0.0"))}, {commit1("v3.0.0", 3), ended("v3.0.0")}},
			live:  "v1.0.0|v2.0.0", ends: rollout.Reverted, refused: "v3.0.0", why: release.BakeBurst + "|" + release.BakeFailed},
		{name: "the journal's disk fills after the switch", steps: []step{v1,
			{commit1("v2.0.0", 2), either(either(in(rollout.Handover, "v2.0.0"), in(rollout.Baking, "v2.0.0")), ended("v2.0.0"))},
			{func(w *World, _ *Agent) error { w.SetFull(true); return nil }, ended("v2.0.0")},
			{func(w *World, _ *Agent) error { w.SetFull(false); return nil }, atRest}},
			live: "v2.0.0", ends: rollout.Live},
		{name: "beside the old colour, then errors", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 16 * time.Second}},
			steps: []step{{commitWith("v1.0.0", 1, orders(true)), ended("v1.0.0")}, {commitWith("v2.0.0", 2, orders(true)), ended("v2.0.0")}},
			live:  "v1.0.0", ends: rollout.Reverted, why: release.BakeBurst + "|" + release.BakeFailed + "|" + release.ProbeFailed, refused: "v2.0.0", also: []string{"orders"}, beside: []string{"orders"}},
		{name: "one that was handed over now overlaps", steps: []step{{commitWith("v1.0.0", 1, orders(false)), ended("v1.0.0")}, {commitWith("v2.0.0", 2, orders(true)), ended("v2.0.0")}},
			live: "v2.0.0", ends: rollout.Live, also: []string{"orders"}},
		{name: "a shared service is replaced, then errors", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 9 * time.Second}},
			steps: []step{v1, {commitStore("v2.0.0", 2), ended("v2.0.0")}},
			live:  "v1.0.0", ends: rollout.Reverted, why: release.BakeBurst + "|" + release.BakeFailed + "|" + release.ProbeFailed, refused: "v2.0.0"},
		{name: "jobs, then errors", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 20 * time.Second}},
			steps: []step{v1, {commitJobs("v2.0.0", 2, 0), ended("v2.0.0")}},
			live:  "v1.0.0", ends: rollout.Reverted, why: release.BakeBurst + "|" + release.BakeFailed + "|" + release.ProbeFailed, refused: "v2.0.0", ran: []string{"collect", "warm", "undo"}},
		{name: "a job fails before the switch", steps: []step{v1, {commitJobs("v2.0.0", 2, 3), ended("v2.0.0")}},
			live: "v1.0.0", ends: rollout.Reverted, why: release.JobFailed, refused: "v2.0.0", ran: []string{"collect", "undo"}},
		{name: "jobs, then a rollback", steps: []step{v1, {commitJobs("v2.0.0", 2, 0), ended("v2.0.0")}, {rollback, func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack, ran: []string{"collect", "warm", "undo"}},
		{name: "bad first release", behave: map[string]Behaviour{"v1.0.0": {ExitAfter: 8 * time.Second}}, steps: []step{v1},
			live: "v1.0.0", ends: rollout.Held, why: release.NoProven, refused: "v1.0.0"},
		{name: "refused, then corrected", steps: []step{v1,
			{func(w *World, _ *Agent) error {
				bad := manifest("v2.0.0", 2)
				for name, text := range bad {
					bad[name] = strings.Replace(text, "host: shop.example.test, path: /ai/", "host: other.example.test, path: /ai/", 1)
				}
				w.Commit(bad)
				return nil
			}, in(rollout.Blocked, "v2.0.0")},
			{commit1("v2.0.1", 3), ended("v2.0.1")}}, live: "v2.0.1", ends: rollout.Live},
		{name: "removed", steps: []step{v1, v2, {absent("v3.0.0", 3, ""), gone}}, ends: rollout.Absent},
		{name: "removed in the bake", steps: []step{v1, {commit1("v2.0.0", 2), either(in(rollout.Baking, "v2.0.0"), ended("v2.0.0"))}, {absent("v3.0.0", 3, ""), gone}}, ends: rollout.Absent},
		{name: "removed, then released again", steps: []step{v1, {absent("v2.0.0", 2, "  purge: [data]\n"), gone}, {commit1("v3.0.0", 3), ended("v3.0.0")}}, live: "v3.0.0", ends: rollout.Live},
		{name: "removed, then rolled back", steps: []step{v1, {absent("v2.0.0", 2, ""), gone}, {rollback, func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack},
		{name: "removed by order", labels: map[string]string{"zone": "a"}, steps: []step{v1, {placed("v2.0.0", 2, "zone: b"), atRest}, {remove, gone}}, ends: rollout.Absent},
		{name: "placed on another host while it runs", labels: map[string]string{"zone": "a"}, steps: []step{v1, {placed("v2.0.0", 2, "zone: b"), atRest}},
			live: "v1.0.0", ends: rollout.Live},
		{name: "placed on another host before the switch", labels: map[string]string{"zone": "a"}, steps: []step{v1,
			{commit1("v2.0.0", 2), either(in(rollout.Checking, "v2.0.0"), ended("v2.0.0"))}, {placed("v3.0.0", 3, "zone: b"), atRest}},
			live: "v1.0.0|v2.0.0", ends: rollout.Superseded + "|" + rollout.Live},
		{name: "a label brings a singleton", labels: map[string]string{"zone": "a"}, steps: []step{
			{single("v1.0.0", 1), ended("v1.0.0")}, {single("v2.0.0", 2), ended("v2.0.0")}, {relabel(map[string]string{"beat": "yes"}), runsHere("worker")},
			{single("v3.0.0", 3), ended("v3.0.0")}}, live: "v3.0.0", ends: rollout.Live},
		{name: "a label takes a service away", labels: map[string]string{"beat": "yes"}, steps: []step{
			{single("v1.0.0", 1), ended("v1.0.0")}, {relabel(nil), func(s rollout.State) bool { return atRest(s) && s.Live != nil && len(s.Live.Workers) == 0 }},
			{single("v2.0.0", 2), ended("v2.0.0")}}, live: "v2.0.0", ends: rollout.Live, up: []string{"backend", "ai-gateway", "store"}},
		{name: "frozen, then lifted by superseding in Git", steps: []step{v1, {freeze, atRest}, {commit1("v2.0.0", 2), in(rollout.Waiting, "v2.0.0")},
			{commit1("v1.0.0", 1), func(s rollout.State) bool { return atRest(s) && s.Last.Phase == rollout.Superseded }}}, live: "v1.0.0", ends: rollout.Superseded},
	}...)
}

// run plays the story on a new host. crashAt 0 lets it live; else the agent dies right
// before or after that call, and is started again a second later.
func (s story) run(t *testing.T, crashAt int, before bool) (w *World) {
	t.Helper()
	return s.play(t, crashAt, nil, before)
}

// play is run with the crash point given by number, or by edge and phase.
func (s story) play(t *testing.T, crashAt int, crashIn *Call, before bool) (w *World) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = NewWorld()
		w.CrashAt, w.CrashIn, w.CrashBefore = crashAt, crashIn, before
		w.SetLabels(s.labels)
		if s.finds != nil {
			giveSecrets(t, w)
		}
		for version, b := range s.behave {
			w.Behave(version, b)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		traffic := make(chan struct{})
		go func() {
			defer close(traffic)
			w.Traffic(ctx, "shop", 200*time.Millisecond)
		}()
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		agent, err := w.Start(policy(t), log)
		if err != nil {
			t.Fatal(err)
		}
		revive := func() {
			select {
			case <-agent.Ended():
				time.Sleep(time.Second)
				if agent, err = w.Start(policy(t), log); err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		for i, step := range s.steps {
			for done := false; !done; {
				revive()
				if err := step.do(w, agent); err == nil {
					done = true
				} else {
					time.Sleep(100 * time.Millisecond)
				}
			}
			deadline := time.Now().Add(30 * time.Minute)
			for !step.until(w.Now("shop")) {
				if time.Now().After(deadline) {
					st := w.Now("shop")
					t.Errorf("step %d was not reached in 30 minutes: phase %s, deploy %+v, last %+v, wait %+v", i+1, st.Phase(), st.Deploy, st.Last, agent.Status())
					break
				}
				time.Sleep(50 * time.Millisecond)
				revive()
			}
			if t.Failed() {
				break
			}
		}
		time.Sleep(30 * time.Second) // nothing more may happen
		for range 20 {               // a run may be some looks shorter than the recorded one
			if crashAt == 0 && crashIn == nil || w.Crashed() != nil {
				break
			}
			agent.runner.Wake("")
			time.Sleep(time.Second)
		}
		revive()
		time.Sleep(time.Second)
		agent.Stop()
		cancel()
		<-traffic
		if !t.Failed() {
			s.check(t, w)
		}
		if t.Failed() {
			t.Logf("crash at call %d, before %v: %+v\nthe journal:\n%s", crashAt, before, w.Crashed(), w.Journal())
		}
	})
	return w
}

// check is what must hold at the end of every story, crashed or not.
func (s story) check(t *testing.T, w *World) {
	t.Helper()
	st := w.Now("shop")
	if !atRest(st) {
		t.Errorf("not at rest: %+v", st)
		return
	}
	if s.ends == rollout.Absent {
		s.checkGone(t, w, st)
		return
	}
	if st.Live == nil || !strings.Contains("|"+s.live+"|", "|"+st.Live.Version+"|") {
		t.Errorf("live is %+v, want %s", st.Live, s.live)
		return
	}
	if !strings.Contains("|"+string(s.ends)+"|", "|"+string(st.Last.Phase)+"|") {
		t.Errorf("the last deployment ended %s (%s %s), want %s", st.Last.Phase, st.Last.Why, st.Last.Detail, s.ends)
	}
	switch {
	case s.why == "" && st.Hold != nil:
		t.Errorf("held: %+v", st.Hold)
	case s.why != "" && st.Hold == nil:
		t.Errorf("not held, want %s", s.why)
	case s.why != "" && !strings.Contains("|"+string(s.why)+"|", "|"+string(st.Hold.Why)+"|"):
		t.Errorf("held for %s (%s), want %s", st.Hold.Why, st.Hold.Detail, s.why)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Failed > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", w.Failed, w.Failed+w.Served, w.FirstFailure)
	}
	if w.Served == 0 {
		t.Error("no request was served")
	}
	serves := w.proxy[w.front("shop")]
	if len(w.proxy) != 1 {
		t.Errorf("the proxy serves %v", slices.Sorted(maps.Keys(w.proxy)))
	}
	if made := slices.Sorted(maps.Keys(w.volumes)); s.volumes != nil && !slices.Equal(made, s.volumes) {
		t.Errorf("the volumes are %v, want %v", made, s.volumes)
	}
	if serves.Live != st.Live.ID.Colour {
		t.Errorf("the proxy serves %s, the journal says %s", serves.Live, st.Live.ID.Colour)
	}
	if s.finds != nil {
		s.checkSecrets(t, w, st)
	}
	known := map[release.SetID]bool{}
	for _, set := range st.Sets() {
		known[set.ID] = true
	}
	up := map[string]bool{}
	addresses := map[string]string{}
	for _, c := range w.containers {
		running := c.c.Status == rollout.Running
		if c.c.Address.IsValid() && running {
			if other := addresses[c.c.Address.String()]; other != "" {
				t.Errorf("%s and %s have one address", other, c.c.Name)
			}
			addresses[c.c.Address.String()] = c.c.Name
		}
		switch {
		case c.c.Set.Colour == release.Shared:
			if spec, ours := st.Shared[c.c.Service]; !ours || spec != c.c.Spec {
				t.Errorf("orphan: shared %s, not what the journal says", c.c.Name)
			}
		case !known[c.c.Set]:
			t.Errorf("orphan: %s of a set that the journal does not know", c.c.Name)
		case running && c.c.Set != st.Live.ID:
			t.Errorf("%s runs and is not live", c.c.Name)
		}
		if running {
			up[c.c.Service] = true
			if c.c.Restart != "unless-stopped" {
				t.Errorf("%s would not survive a reboot: restart policy %q", c.c.Name, c.c.Restart)
			}
		} else if c.c.Restart == "unless-stopped" {
			t.Errorf("%s is stopped and would come back at a reboot", c.c.Name)
		}
	}
	want := s.up
	if want == nil {
		want = []string{"backend", "ai-gateway", "worker", "store"}
	}
	want = append(slices.Clone(want), s.also...)
	for _, service := range want {
		if !up[service] {
			t.Errorf("%s does not run", service)
		}
	}
	if len(up) != len(want) {
		t.Errorf("%v run, want %v", up, want)
	}
	for service := range w.beside {
		if !slices.Contains(s.beside, service) {
			t.Errorf("%s ran in both colours at once", service)
		}
	}
	for _, service := range s.beside {
		if !w.beside[service] {
			t.Errorf("%s never ran beside the old colour's", service)
		}
	}
	for job := range w.ran {
		if !slices.Contains(s.ran, strings.TrimPrefix(job, "job:")) {
			t.Errorf("%s ran", job)
		}
	}
	for _, job := range s.ran {
		if w.ran["job:"+job] == 0 {
			t.Errorf("job %s never ran", job)
		}
	}
	for name, n := range w.runs {
		if n > 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
	bad := 0
	for _, q := range w.agent.Fleet.View().Quarantine {
		if q.Version == s.refused {
			bad++
		} else {
			t.Errorf("quarantined: %s (%s)", q.Version, q.Why)
		}
	}
	if s.refused != "" && bad == 0 {
		t.Errorf("%s is not quarantined", s.refused)
	}
}

// checkGone is what must hold when the app was removed: nothing of it is left, and users
// got what an unknown host gets, never an address where nothing runs.
func (s story) checkGone(t *testing.T, w *World, st rollout.State) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.Live != nil || st.Proven != nil || len(st.Shared) > 0 || len(st.Addresses()) > 0 || st.Last.Phase != rollout.Absent || st.Hold != nil {
		t.Errorf("the journal says more than that it is gone: %+v", st)
	}
	if s.volumes != nil && len(w.volumes) > 0 {
		t.Errorf("left: %v", w.volumes)
	}
	if len(w.containers) > 0 || len(w.proxy) > 0 {
		t.Errorf("left: %v, routes %v", w.containers, w.proxy)
	}
	if w.Failed > 0 || w.Served == 0 {
		t.Errorf("%d of %d requests failed, the first: %s", w.Failed, w.Failed+w.Served, w.FirstFailure)
	}
	if s.finds != nil {
		s.checkSecrets(t, w, st)
	}
	if st.Accepted.Sequence < 2 && s.labels == nil {
		t.Errorf("the mark is %+v", st.Accepted)
	}
}
