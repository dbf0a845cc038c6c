// Package e2e tries the real binaries on a real container engine: real Git, real
// signatures, a registry on loopback, and a client that never retries. Everything it
// makes carries the mark of its lab and is removed at the end, however that comes.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/rig"
)

// quick is a bake for tests: long enough to sample, short enough to wait for.
const quick = "{for: 1500ms, every: 500ms, failures: 2, burst: {errors: 50%, requests: 25}}"

// open makes a host for a test and removes it when the test ends.
func open(t *testing.T, opt rig.Options) *rig.Rig {
	t.Helper()
	if os.Getenv("TEAL_NO_DOCKER") == "1" && os.Getenv("CI") != "true" {
		t.Skip("TEAL_NO_DOCKER=1: this test needs a container engine")
	}
	if opt.Bake == "" {
		opt.Bake = quick
	}
	r, err := rig.New(t.Context(), opt, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log := strings.Split(strings.TrimSpace(r.AgentLog()), "\n")
			t.Logf("the agent's last lines:\n%s", strings.Join(log[max(0, len(log)-40):], "\n"))
		}
		if err := r.Close(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return r
}

// up starts proxy and agent and brings a first release live.
func up(t *testing.T, r *rig.Rig) {
	t.Helper()
	ctx := t.Context()
	if err := errors.Join(r.StartProxy(ctx), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	deploy(t, r, rig.Manifest{Version: "v1.0.0", Sequence: 1})
}

// deploy commits a release and waits until it is live.
func deploy(t *testing.T, r *rig.Rig, m rig.Manifest) {
	t.Helper()
	if _, err := r.Release(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	await(t, r, m.Version+" live", rig.Live(m.Version))
}

func await(t *testing.T, r *rig.Rig, what string, ok func(api.AppStatus) bool) api.AppStatus {
	t.Helper()
	a, err := r.Await(t.Context(), "shop", 90*time.Second, what, ok)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serves checks that the front door answers with a version.
func serves(t *testing.T, r *rig.Rig, version string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, path := range []string{"/work", "/ai/work"} {
		got, status, err := r.Get(ctx, path)
		if err != nil || status != 200 || got != version {
			t.Errorf("%s answers %q, %d, %v; want %s", path, got, status, err, version)
		}
	}
}

// tidy checks what an app at rest must look like on the engine: one running set, the
// live one, whole; nothing that the journal does not know.
func tidy(t *testing.T, r *rig.Rig, a api.AppStatus) {
	t.Helper()
	api := r.Lab.API
	if r.Engine != nil {
		api = r.Engine.API()
	}
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := api.ContainerList(t.Context(), client.ContainerListOptions{All: true,
		Filters: make(client.Filters).Add("label", release.LabelInstance+"="+st.Instance)})
	if err != nil {
		t.Fatal(err)
	}
	running := map[string]int{}
	sets := map[string]bool{}
	for _, c := range all.Items {
		l := c.Labels
		set := l[release.LabelColour] + " " + l[release.LabelRelease]
		if l[release.LabelColour] != "" {
			sets[set] = true
		}
		if c.State != container.StateRunning {
			continue
		}
		running[l[release.LabelService]]++
		if l[release.LabelColour] != "" && set != string(a.Live.ID.Colour)+" "+string(a.Live.ID.Digest) {
			t.Errorf("%s runs and is not of the live set", c.Names[0])
		}
	}
	for _, service := range []string{"backend", "ai-gateway", "worker", "store"} {
		if running[service] != 1 {
			t.Errorf("%d containers of %s run, want 1", running[service], service)
		}
	}
	if len(sets) > 3 { // live, the one to go back to, the last that was reverted
		t.Errorf("%d sets of containers are left on the engine: %v", len(sets), sets)
	}
}

// crashBin holds binaries whose agent has the crash button.
var crashBin = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	dir, err := os.MkdirTemp("", "teal-crash-bin-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"teal-proxy", "tealctl"} {
		if err := os.Symlink(filepath.Join(root, "bin", name), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	c := exec.Command("go", "build", "-tags", "crashpoint", "-o", filepath.Join(dir, "teal-agent"), "./cmd/agent")
	c.Dir, c.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the agent with its crash button: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := crashBin(); err == nil && code >= 0 {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}
