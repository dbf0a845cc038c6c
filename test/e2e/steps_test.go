package e2e

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/rig"
)

// stepsManifest is a shop with everything that is a step of its own: a preparation that
// completes first, a service beside the old colour's, a worker with a volume of its own,
// jobs, and a shared store that may be replaced.
func stepsManifest(t *testing.T, r *rig.Rig, version string, sequence, collect int, store string) map[string]string {
	t.Helper()
	image, err := r.Image(t.Context(), "shop/backend")
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Text(t.Context(), rig.Manifest{Version: version, Sequence: sequence, Extra: "    depends_on: {seed: {condition: service_completed_successfully}}\n"})
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, "x-teal: {shared: true}", "environment: {STORE_NAME: "+store+"}\n    x-teal: {shared: true, replace: stop-first}", 1)
	text = strings.Replace(text, "  ai-gateway:\n", fmt.Sprintf(`  seed:
    image: %[1]s
    command: [once, seeds, "0"]
    environment: {SHOP_VERSION: %[2]s}
  orders:
    image: %[1]s
    command: [worker]
    environment: {SHOP_VERSION: %[2]s}
    healthcheck: {test: [CMD, /app, check, "http://127.0.0.1:9100/healthz"], interval: 300ms, timeout: 2s, retries: 5}
    x-teal: {overlap: true}
  queue:
    image: %[1]s
    command: [worker]
    environment: {SHOP_VERSION: %[2]s}
    healthcheck: {test: [CMD, /app, check, "http://127.0.0.1:9100/healthz"], interval: 300ms, timeout: 2s, retries: 5}
    volumes: [queue:/queue]
  ai-gateway:
`, image, version), 1)
	text = strings.Replace(text, "x-teal:\n  version", "volumes: {queue: {}}\nx-teal:\n  version", 1)
	text += fmt.Sprintf(`  volumes: {queue: exclusive}
  jobs:
    - {name: collect, service: backend, command: [once, collects, "%d"], when: before-switch, timeout: 1m}
    - {name: warm, service: ai-gateway, command: [once, warms, "0"], when: after-switch, timeout: 1m}
    - {name: undo, service: backend, command: [once, undoes, "0"], when: on-revert, timeout: 1m}
`, collect)
	return map[string]string{r.ManifestPath("shop"): text}
}

// TestSteps takes releases through every step that a manifest can ask for besides the
// swap, on a real engine: what completes first, what runs beside, what is handed over with
// its volume, jobs at their three moments, and a shared service that is replaced.
func TestSteps(t *testing.T) {
	r := open(t, rig.Options{})
	ctx := t.Context()
	if err := r.StartProxy(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAgent(ctx); err != nil {
		t.Fatal(err)
	}
	push := func(version string, sequence, collect int, store string) {
		t.Helper()
		if _, err := r.Commit(ctx, version, stepsManifest(t, r, version, sequence, collect, store)); err != nil {
			t.Fatal(err)
		}
	}
	push("v1.0.0", 1, 0, "first")
	first := await(t, r, "v1.0.0 live", rig.Live("v1.0.0"))
	storeBefore := only(t, r, "store")
	blue := containers(t, r, first.Live)
	for service, state := range map[string]container.ContainerState{"seed": "exited", "orders": "running", "queue": "running", "job:collect": "exited", "job:warm": "exited"} {
		if blue[service].State != state {
			t.Errorf("%s is %q, want %s: %v", service, blue[service].State, state, blue)
		}
	}
	if _, ran := blue["job:undo"]; ran {
		t.Error("undo ran although nothing was gone back from")
	}
	says(t, r, blue["seed"].ID, "seeds for v1.0.0")
	says(t, r, blue["job:collect"].ID, "collects for v1.0.0")
	says(t, r, blue["job:warm"].ID, "warms for v1.0.0")

	// The second release replaces the store, and its orders run beside those of the first.
	push("v1.1.0", 2, 0, "second")
	beside, alone := false, true
	deadline := time.Now().Add(90 * time.Second)
	var second api.AppStatus
	for {
		a, err := r.App(ctx, "shop")
		if err != nil {
			t.Fatal(err)
		}
		old, all := containers(t, r, first.Live), running(t, r)
		beside = beside || old["orders"].State == "running" && all["orders"] == 2
		alone = alone && all["queue"] <= 1 && all["worker"] <= 1
		if rig.Live("v1.1.0")(a) {
			second = a
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("v1.1.0 is not live: %+v", a)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !beside || !alone {
		t.Errorf("orders beside the old colour's: %v; queue and worker one at a time: %v", beside, alone)
	}
	storeAfter := only(t, r, "store")
	if storeAfter.ID == storeBefore.ID || storeAfter.Labels[release.LabelSpec] == storeBefore.Labels[release.LabelSpec] {
		t.Errorf("the store was not replaced: %+v", storeAfter)
	}
	serves(t, r, "v1.1.0")

	// A job that fails takes the release back, after its own undo.
	push("v1.2.0", 3, 3, "second")
	a := await(t, r, "v1.2.0 reverted", func(a api.AppStatus) bool {
		return a.Last != nil && a.Last.Version == "v1.2.0" && a.Last.Phase == rollout.Reverted
	})
	if a.Last.Why != release.JobFailed || !strings.Contains(a.Last.Detail, "collects for v1.2.0") || !strings.Contains(a.Last.Detail, "exit code 3") {
		t.Errorf("ended %s: %s", a.Last.Why, a.Last.Detail)
	}
	serves(t, r, "v1.1.0")
	out, _, _ := r.Ctl(ctx, "events", "shop")
	if !strings.Contains(out, "run_job") || !strings.Contains(out, "replace_shared") {
		t.Errorf("the events do not name the steps:\n%s", out)
	}

	// A rollback undoes what the newer release did; the replaced store stays.
	if _, errs, code := r.Ctl(ctx, "rollback", "shop", "--reason", "checkout errors", "--yes"); code != 0 {
		t.Fatalf("rollback: %d %s", code, errs)
	}
	a = await(t, r, "rolled back to v1.0.0", func(a api.AppStatus) bool {
		return a.Live != nil && a.Live.Version == "v1.0.0" && a.Deploy == nil
	})
	green := containers(t, r, second.Live)
	says(t, r, green["job:undo"].ID, "undoes for v1.1.0")
	serves(t, r, "v1.0.0")
	if c := only(t, r, "store"); c.ID != storeAfter.ID {
		t.Error("the store was replaced again by going back")
	}
	if again := containers(t, r, a.Live); again["seed"].ID != blue["seed"].ID {
		t.Error("going back made the preparation anew")
	}
}

// containers are those of a set, by service.
func containers(t *testing.T, r *rig.Rig, set *rollout.Set) map[string]container.Summary {
	t.Helper()
	all, err := r.Lab.API.ContainerList(t.Context(), client.ContainerListOptions{All: true,
		Filters: make(client.Filters).Add("label", release.LabelRelease+"="+string(set.ID.Digest), release.LabelColour+"="+string(set.ID.Colour))})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]container.Summary{}
	for _, c := range all.Items {
		found[c.Labels[release.LabelService]] = c
	}
	return found
}

// mine lists what the rig's agent made.
func mine(t *testing.T, r *rig.Rig) []container.Summary {
	t.Helper()
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Lab.API.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", release.LabelInstance+"="+st.Instance)})
	if err != nil {
		t.Fatal(err)
	}
	return all.Items
}

func running(t *testing.T, r *rig.Rig) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, c := range mine(t, r) {
		if c.State == container.StateRunning {
			n[c.Labels[release.LabelService]]++
		}
	}
	return n
}

// only is the only container of a service.
func only(t *testing.T, r *rig.Rig, service string) container.Summary {
	t.Helper()
	var found []container.Summary
	for _, c := range mine(t, r) {
		if c.Labels[release.LabelService] == service {
			found = append(found, c)
		}
	}
	if len(found) != 1 || found[0].State != container.StateRunning {
		t.Fatalf("containers of %s: %+v", service, found)
	}
	return found[0]
}

// says checks a container's log.
func says(t *testing.T, r *rig.Rig, id, phrase string) {
	t.Helper()
	if id == "" {
		t.Errorf("no container that says %q", phrase)
		return
	}
	log, err := r.Lab.API.ContainerLogs(t.Context(), id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, io.LimitReader(log, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), phrase) {
		t.Errorf("it does not say %q but %q", phrase, out.String())
	}
}
