package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/rig"
)

// rename commits a release under a name, and removes the directory of the one before.
func rename(t *testing.T, r *rig.Rig, m rig.Manifest, formerly string) {
	t.Helper()
	text, err := r.Text(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, "retries: 5}\n", "retries: 5}\n    volumes: [data:/data]\n", 1)
	text = strings.Replace(text, "x-teal:\n  version", "volumes: {data: {}}\nx-teal:\n  volumes: {data: exclusive}\n  version", 1)
	if formerly != "" {
		text += "  formerly: " + formerly + "\n"
		if _, err := r.Git(t.Context(), "rm", "-r", "-q", "--ignore-unmatch", "environments/"+r.Env+"/"+formerly); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Commit(t.Context(), m.App+" "+m.Version, map[string]string{r.ManifestPath(m.App): text}); err != nil {
		t.Fatal(err)
	}
}

// putFile writes a file through a container; hasFile reads it.
func putFile(t *testing.T, r *rig.Rig, id, dir, name, text string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_, err := io.WriteString(headed{w, name}, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lab.API.CopyToContainer(t.Context(), id, client.CopyToContainerOptions{DestinationPath: dir, Content: &b}); err != nil {
		t.Fatal(err)
	}
}

// headed writes one whole file into an archive.
type headed struct {
	w    *tar.Writer
	name string
}

func (h headed) Write(p []byte) (int, error) {
	if err := h.w.WriteHeader(&tar.Header{Name: h.name, Mode: 0o644, Size: int64(len(p))}); err != nil {
		return 0, err
	}
	return h.w.Write(p)
}

func hasFile(t *testing.T, r *rig.Rig, id, path, want string) {
	t.Helper()
	got, err := r.Lab.API.CopyFromContainer(t.Context(), id, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		t.Errorf("read %s: %v", path, err)
		return
	}
	defer got.Content.Close()
	in := tar.NewReader(got.Content)
	if _, err := in.Next(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || string(text) != want {
		t.Errorf("%s holds %q, %v; want %q", path, text, err, want)
	}
}

// TestFormerly renames an app that has data and traffic: a first attempt is gone back from
// in its bake, a second one stays. No request fails, the data and the shared store stay as
// they are, the former name starts nothing any more, and a restart and a rollback know both
// names.
func TestFormerly(t *testing.T) {
	r := open(t, rig.Options{})
	ctx := t.Context()
	policy := fmt.Sprintf("hostAccess:\n  shop2: {routes: [%s, api.%[1]s]}\n", rig.Host)
	text, err := os.ReadFile(r.Path("trust.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WritePolicy(strings.Replace(string(text), "hostAccess:\n", policy, 1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.StartProxy(ctx), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	awaitApp := func(app, what string, ok func(api.AppStatus) bool) api.AppStatus {
		t.Helper()
		a, err := r.Await(ctx, app, 6*time.Minute, what, ok)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	onlyApp := func(app string) {
		t.Helper()
		st, err := r.Status(ctx)
		if err != nil || len(st.Apps) != 1 || st.Apps[0].App != app {
			t.Errorf("status shows %+v, %v; want %s alone", st.Apps, err, app)
		}
	}

	rename(t, r, rig.Manifest{App: "shop", Version: "v1.0.0", Sequence: 1}, "")
	first := awaitApp("shop", "v1.0.0 live", rig.Live("v1.0.0"))
	putFile(t, r, containers(t, r, first.Live)["worker"].ID, "/data", "orders", "41 orders")
	store := only(t, r, "store")
	load := r.StartLoad(rig.LoadShape{Fast: 3, Pause: 20 * time.Millisecond})
	defer load.Stop()

	// A worker that ends in the bake takes the first attempt back: shop's containers serve.
	rename(t, r, rig.Manifest{App: "shop2", Version: "v1.5.0", Sequence: 2, Worker: "{SHOP_VERSION: v1.5.0, SHOP_EXIT_AFTER: 600ms}"}, "shop")
	a := awaitApp("shop2", "v1.5.0 reverted", func(a api.AppStatus) bool {
		return a.Last != nil && a.Last.Version == "v1.5.0" && a.Last.Phase == rollout.Reverted
	})
	if a.Live == nil || a.Live.ID != first.Live.ID || a.Live.App != "shop" {
		t.Errorf("live is %+v, want shop's own set", a.Live)
	}
	serves(t, r, "v1.0.0")
	onlyApp("shop2")
	hasFile(t, r, containers(t, r, first.Live)["worker"].ID, "/data/orders", "41 orders")

	rename(t, r, rig.Manifest{App: "shop2", Version: "v2.0.0", Sequence: 3}, "shop")
	second := awaitApp("shop2", "v2.0.0 live", rig.Live("v2.0.0"))
	serves(t, r, "v2.0.0")
	tidy(t, r, second)
	onlyApp("shop2")
	hasFile(t, r, containers(t, r, second.Live)["worker"].ID, "/data/orders", "41 orders")
	if now := only(t, r, "store"); now.ID != store.ID {
		t.Errorf("the store was made again: %s, then %s", store.ID, now.ID)
	}
	if name := containers(t, r, second.Live)["backend"].Names[0]; !strings.Contains(name, "shop2-"+string(second.Live.ID.Colour)) {
		t.Errorf("the new containers are called %s", name)
	}
	if _, _, code := r.Ctl(ctx, "status", "shop"); code == 0 {
		t.Error("shop has a status of its own")
	}
	if _, errs, _ := r.Ctl(ctx, "rollback", "shop", "--reason", "x", "--yes"); !strings.Contains(errs, "shop is named shop2 on this host") {
		t.Errorf("rollback under the former name: %s", errs)
	}
	if out, _, _ := r.Ctl(ctx, "history", "shop2"); !strings.Contains(out, "v1.0.0") || !strings.Contains(out, "v2.0.0") {
		t.Errorf("history:\n%s", out)
	}
	if out, _, _ := r.Ctl(ctx, "events", "shop2"); !strings.Contains(out, "takes the place of shop") {
		t.Errorf("events:\n%s", out)
	}

	// The former name is back in Git, with a higher sequence: it starts nothing.
	rename(t, r, rig.Manifest{App: "shop", Version: "v9.0.0", Sequence: 9}, "")
	awaitApp("shop", "refused", func(a api.AppStatus) bool { return a.Wait.Why == "app_renamed" })
	if _, err := r.Git(ctx, "rm", "-r", "-q", "environments/"+r.Env+"/shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(ctx, "without shop", nil); err != nil {
		t.Fatal(err)
	}

	if err := errors.Join(r.KillAgent(), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	awaitApp("shop2", "converged after a restart", rig.Live("v2.0.0"))
	if _, errs, code := r.Ctl(ctx, "rollback", "shop2", "--reason", "checkout errors", "--yes"); code != 0 {
		t.Fatalf("rollback: %d %s", code, errs)
	}
	a = awaitApp("shop2", "rolled back to v1.0.0", func(a api.AppStatus) bool { return a.Live != nil && a.Live.Version == "v1.0.0" && a.Deploy == nil })
	serves(t, r, "v1.0.0")
	hasFile(t, r, containers(t, r, a.Live)["worker"].ID, "/data/orders", "41 orders")
	onlyApp("shop2")
	load.Stop()
	if n := len(load.Failures()); n > 0 {
		t.Errorf("%d requests failed: %v", n, load.Failures())
	}
}
