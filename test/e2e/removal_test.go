package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/rig"
)

// volumes lists the app's volumes on the engine, by the names that the manifest has.
func volumes(t *testing.T, r *rig.Rig) string {
	t.Helper()
	found, err := r.Lab.API.VolumeList(t.Context(), client.VolumeListOptions{Filters: make(client.Filters).Add("label", release.LabelApp+"=shop")})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range found.Items {
		if strings.HasPrefix(v.Name, r.Lab.Prefix()) {
			names = append(names, v.Labels["com.docker.compose.volume"])
		}
	}
	return strings.Join(names, " ")
}

func isAbsent(a api.AppStatus) bool { return a.State == string(rollout.Absent) && a.Deploy == nil }

// nothingLeft says that no container and no network of the app is on the engine, and
// that users get what an unknown host gets.
func nothingLeft(t *testing.T, r *rig.Rig) {
	t.Helper()
	wantServices(t, r)
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mine := make(client.Filters).Add("label", release.LabelInstance+"="+st.Instance).Add("label", release.LabelApp+"=shop")
	all, err := r.Lab.API.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: mine})
	nets, err2 := r.Lab.API.NetworkList(t.Context(), client.NetworkListOptions{Filters: mine})
	if err := errors.Join(err, err2); err != nil || len(all.Items) > 0 || len(nets.Items) > 0 {
		t.Errorf("left: %d containers, %d networks, %v", len(all.Items), len(nets.Items), err)
	}
	if _, status, err := r.Get(t.Context(), "/work"); err != nil || status == 200 || status == 502 || status == 503 {
		t.Errorf("users get %d, %v", status, err)
	}
}

// TestRemoval: an approved removal takes routes, containers and networks and keeps the
// volumes; a rollback and a newer release bring the app back; purge takes the volume too.
func TestRemoval(t *testing.T) {
	r := open(t, rig.Options{AgentConfig: "labels: {zone: a}\n"})
	ctx := t.Context()
	if err := errors.Join(r.StartProxy(ctx), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	withData := []string{"    command: [store]\n", "    command: [store]\n    volumes: [\"data:/data\"]\n", "x-teal:\n  version", "volumes: {data: {}}\nx-teal:\n  version"}
	absent := func(version string, sequence int, more string) {
		text := fmt.Sprintf("name: shop\nx-teal:\n  version: %s\n  sequence: %d\n  preparedBy: ci-bot\n  absent: true\n%s", version, sequence, more)
		if _, err := r.Commit(ctx, version, map[string]string{r.ManifestPath("shop"): text}); err != nil {
			t.Fatal(err)
		}
	}
	commitEdited(t, r, rig.Manifest{Version: "v1.0.0", Sequence: 1}, withData...)
	await(t, r, "v1.0.0 live", rig.Live("v1.0.0"))

	if out, _, code := r.Ctl(ctx, "app", "remove", "shop", "--host", "--reason", "x", "--yes"); code == 0 {
		t.Errorf("an order removes what Git wants here: %s", out)
	}
	absent("v2.0.0", 2, "")
	if a := await(t, r, "absent", isAbsent); !a.Healthy {
		t.Errorf("removed as Git wants, and not healthy: %+v", a)
	}
	nothingLeft(t, r)
	if v := volumes(t, r); v != "data" {
		t.Errorf("volumes: %q", v)
	}
	if out, _, _ := r.Ctl(ctx, "explain", "shop"); !strings.Contains(out, "was removed from this host") || !strings.Contains(out, "TEAL-4062") {
		t.Errorf("explain:\n%s", out)
	}

	if out, errs, code := r.Ctl(ctx, "rollback", "shop", "--reason", "not yet", "--yes", "--wait"); code != 0 {
		t.Fatalf("rollback after the removal: exit %d: %s%s", code, out, errs)
	}
	serves(t, r, "v1.0.0")
	wantServices(t, r, "ai-gateway", "backend", "store", "worker")

	commitEdited(t, r, rig.Manifest{Version: "v3.0.0", Sequence: 3}, withData...)
	await(t, r, "v3.0.0 live", rig.Live("v3.0.0"))
	absent("v4.0.0", 4, "  purge: [data]\n")
	await(t, r, "absent", isAbsent)
	nothingLeft(t, r)
	if v := volumes(t, r); v != "" {
		t.Errorf("volumes after a purge: %q", v)
	}
	if _, errs, code := r.Ctl(ctx, "rollback", "shop", "--reason", "x", "--yes"); code == 0 || !strings.Contains(errs, "purged the volumes data") {
		t.Errorf("rollback after a purge: exit %d: %s", code, errs)
	}

	commitEdited(t, r, rig.Manifest{Version: "v5.0.0", Sequence: 5}, withData...)
	await(t, r, "v5.0.0 live", rig.Live("v5.0.0"))
	commitEdited(t, r, rig.Manifest{Version: "v6.0.0", Sequence: 6}, append(withData[:2:2], "x-teal:\n  version", "volumes: {data: {}}\nx-teal:\n  placement: {zone: b}\n  version")...)
	await(t, r, "not placed", func(a api.AppStatus) bool { return a.Wait.Why == release.NotPlaced })
	if out, errs, code := r.Ctl(ctx, "app", "remove", "shop", "--host", "--reason", "moved", "--yes", "--wait"); code != 0 {
		t.Fatalf("app remove: exit %d: %s%s", code, out, errs)
	}
	nothingLeft(t, r)
	if v := volumes(t, r); v != "data" {
		t.Errorf("an order keeps volumes: %q", v)
	}
}
