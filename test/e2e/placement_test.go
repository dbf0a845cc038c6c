package e2e

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/rig"
)

// services counts the app's running containers on the engine, by service.
func services(t *testing.T, r *rig.Rig) map[string]int {
	t.Helper()
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Lab.API.ContainerList(t.Context(), client.ContainerListOptions{All: true,
		Filters: make(client.Filters).Add("label", release.LabelInstance+"="+st.Instance)})
	if err != nil {
		t.Fatal(err)
	}
	up := map[string]int{}
	for _, c := range all.Items {
		if c.State == container.StateRunning {
			up[c.Labels[release.LabelService]]++
		}
	}
	return up
}

func wantServices(t *testing.T, r *rig.Rig, want ...string) {
	t.Helper()
	up := services(t, r)
	if got := slices.Sorted(maps.Keys(up)); !slices.Equal(got, want) {
		t.Errorf("%v run, want %v", up, want)
	}
}

// commitEdited commits a manifest with some of its text replaced.
func commitEdited(t *testing.T, r *rig.Rig, m rig.Manifest, replace ...string) {
	t.Helper()
	text, err := r.Text(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if edited := strings.NewReplacer(replace...).Replace(text); edited != text {
		text = edited
	} else {
		t.Fatal("nothing was replaced")
	}
	if _, err := r.Commit(t.Context(), m.Version, map[string]string{r.ManifestPath("shop"): text}); err != nil {
		t.Fatal(err)
	}
}

// relabel gives the host other labels and starts its agent again.
func relabel(t *testing.T, r *rig.Rig, from, to string) {
	t.Helper()
	text, err := os.ReadFile(r.Path("agent.yaml"))
	if err == nil && !strings.Contains(string(text), from) {
		err = errors.New("agent.yaml has no " + from)
	}
	if err = errors.Join(err, r.WriteConfig(strings.Replace(string(text), from, to, 1)), r.StopAgent()); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPlacement: an app and a service run where the labels of agent.yaml fit; a label
// that changes brings a service, or takes the app's place away, and what runs then keeps
// running.
func TestPlacement(t *testing.T) {
	r := open(t, rig.Options{AgentConfig: "labels: {zone: a}\n"})
	ctx := t.Context()
	if err := errors.Join(r.StartProxy(ctx), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	notPlaced := func(a api.AppStatus) bool { return a.Wait.Why == release.NotPlaced }
	app := func(zone string) []string {
		return []string{"x-teal:\n  version", "x-teal:\n  placement: {zone: " + zone + "}\n  version"}
	}
	beat := []string{"retries: 5}\n", "retries: 5}\n    x-teal: {singleton: true, placement: {beat: yes}}\n"}

	commitEdited(t, r, rig.Manifest{Version: "v0.9.0", Sequence: 1}, app("b")...)
	a := await(t, r, "not placed", notPlaced)
	if a.Live != nil || !a.Healthy || !strings.Contains(a.Wait.Detail, "zone: b, this host has a") {
		t.Errorf("nothing runs, and nothing should: %+v", a)
	}
	wantServices(t, r)
	if out, _, _ := r.Ctl(ctx, "explain", "shop"); !strings.Contains(out, "does not run on this host") || !strings.Contains(out, "TEAL-4060") {
		t.Errorf("explain:\n%s", out)
	}

	commitEdited(t, r, rig.Manifest{Version: "v1.0.0", Sequence: 2}, append(app("a"), beat...)...)
	await(t, r, "v1.0.0 live", rig.Live("v1.0.0"))
	wantServices(t, r, "ai-gateway", "backend", "store")
	serves(t, r, "v1.0.0")

	relabel(t, r, "labels: {zone: a}", "labels: {zone: a, beat: yes}")
	await(t, r, "the worker came", func(a api.AppStatus) bool {
		return a.Healthy && a.Live != nil && slices.Contains(a.Live.Workers, "worker")
	})
	wantServices(t, r, "ai-gateway", "backend", "store", "worker")
	serves(t, r, "v1.0.0")

	commitEdited(t, r, rig.Manifest{Version: "v2.0.0", Sequence: 3}, append(app("b"), beat...)...)
	a = await(t, r, "not placed", notPlaced)
	if a.Healthy || a.Live == nil || a.Live.Version != "v1.0.0" {
		t.Errorf("what runs keeps running, and says so: %+v", a)
	}
	wantServices(t, r, "ai-gateway", "backend", "store", "worker")
	serves(t, r, "v1.0.0")
	if out, _, _ := r.Ctl(ctx, "explain", "shop"); !strings.Contains(out, "v1.0.0 keeps running") {
		t.Errorf("explain:\n%s", out)
	}
	if out, _, _ := r.Ctl(ctx, "plan", "shop"); !strings.Contains(out, "not_placed") {
		t.Errorf("plan:\n%s", out)
	}

	text, err := os.ReadFile(r.Path("agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteConfig(strings.Replace(string(text), "beat: yes", "beat: [yes]", 1)); err != nil {
		t.Fatal(err)
	}
	if out, code := r.RunAgent(ctx, "-config", r.Path("agent.yaml"), "-check"); code == 0 || !strings.Contains(out, "line ") || !strings.Contains(out, "labels") {
		t.Errorf("a malformed label: exit %d: %s", code, out)
	}
}
