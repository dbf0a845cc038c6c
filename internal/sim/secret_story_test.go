package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/secrets"
)

// The stories with secrets have the real vault on a real directory: age files that are
// opened, a host's secret, and what was kept with each release. Sealing is not the same
// twice, so that it is done once for all runs.
var sealed = sync.OnceValues(func() (map[string]string, *age.X25519Identity) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	out := map[string]string{}
	for _, s := range []struct {
		file, name, value string
		to                age.Recipient
	}{
		{"token-1", "token", "sealed-one", id.Recipient()}, {"token-2", "token", "sealed-two", id.Recipient()},
		{"aside", "aside", "only-for-workers", id.Recipient()}, {"locked", "locked", "only-for-another-host", other.Recipient()},
	} {
		text, err := secrets.Seal(secrets.Place{Env: Env, App: "shop", Name: s.name}, secrets.Secret(s.value), []age.Recipient{s.to})
		if err != nil {
			panic(err)
		}
		out[s.file] = string(text)
	}
	return out, id
})

// hostDir is where the host of a world has its secrets; the files that containers mount
// and what is kept lie below it.
func hostDir(w *World) string { return filepath.Dir(w.FilesDir) }

// memoryDir is a directory in memory where there is one: thousands of crashes, each with
// its fsyncs, wear no disk.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "teal-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// giveSecrets gives a host an identity and one secret of its own.
func giveSecrets(t *testing.T, w *World) {
	t.Helper()
	dir := memoryDir(t)
	w.FilesDir = filepath.Join(dir, "files")
	_, id := sealed()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "identity"), []byte(id.String()+"\n"), 0o400), os.Mkdir(filepath.Join(dir, "releases"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := writeSecret(w, "host-one"); err != nil {
		t.Fatal(err)
	}
	w.OpenVault = func(labels map[string]string) (Vault, error) {
		files, err := secrets.NewFiles(w.FilesDir)
		if err != nil {
			return nil, err
		}
		return secrets.NewVault(secrets.Config{Key: []byte("key"), Releases: filepath.Join(dir, "releases"), Identity: filepath.Join(dir, "identity"), Host: "h1", Labels: labels,
			Sources: map[string]map[string]secrets.Source{"shop": {"api-key": {File: filepath.Join(dir, "api-key")}}}}, files), nil
	}
}

func writeSecret(w *World, value string) error {
	file := filepath.Join(hostDir(w), "api-key")
	return errors.Join(os.WriteFile(file+".new", []byte(value), 0o600), os.Rename(file+".new", file))
}

// withSecrets is the manifest with secrets of the backend: a sealed one and the host's.
// worker is what the worker has besides.
func withSecrets(version string, sequence int, token, worker string, more ...string) map[string]string {
	text, _ := sealed()
	const dir = "environments/staging/shop/"
	files := manifest(version, sequence)
	files[dir+"token.age"] = text[token]
	has := "token: {file: ./token.age}, api-key: {external: true}"
	for _, name := range more {
		files[dir+name+".age"] = text[name]
		has += fmt.Sprintf(", %s: {file: ./%[1]s.age}", name)
	}
	uses := fmt.Sprintf("secrets: [token, {source: api-key, uid: \"%d\", gid: \"%d\"}]", os.Geteuid(), os.Getegid())
	release := strings.Replace(files[dir+"release.yaml"], "  backend:\n", "  backend:\n    "+uses+"\n", 1)
	release = strings.Replace(release, "  worker:\n", "  worker:\n"+worker, 1)
	files[dir+"release.yaml"] = release + "secrets: {" + has + "}\n"
	return files
}

func commitSecrets(version string, sequence int, token, worker string, more ...string) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.Commit(withSecrets(version, sequence, token, worker, more...))
		return nil
	}
}

// changeSecret writes the host's secret, and the agent's watch sees it.
func changeSecret(value string) func(*World, *Agent) error {
	return func(w *World, a *Agent) error {
		a.runner.Wake("")
		return writeSecret(w, value)
	}
}

// rotate orders a swap for the secrets of now.
func rotate(_ *World, a *Agent) error {
	if ordered(a, rollout.OrderRotate) {
		return nil
	}
	// An operator rotates what status shows to differ. Before the agent has looked, the
	// order is refused: inputs_same.
	for range 600 {
		if slices.ContainsFunc(a.Status(), func(s reconcile.Status) bool { return s.Wait.Why == release.InputsDiffer }) {
			break
		}
		select {
		case <-a.Ended():
			return errors.New("the agent has ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
	_, err := a.Fleet.Order(context.Background(), rollout.Order{Kind: rollout.OrderRotate, App: "shop", Actor: "ann (uid 1000)", Reason: "leaked"})
	return err
}

// loseSecrets takes every source of secrets away.
func loseSecrets(w *World, _ *Agent) error {
	for _, name := range []string{"identity", "api-key"} {
		if err := os.Remove(filepath.Join(hostDir(w), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// rotated says that a swap for other inputs has ended.
func rotated(s rollout.State) bool {
	return atRest(s) && s.Rotate == nil && s.Last.Cause == release.InputsChanged
}

const elsewhere = "    x-teal: {placement: {zone: b}}\n"

func secretStories() []story {
	backend := func(token, key string) map[string]string {
		return map[string]string{"backend /run/secrets/token": token, "backend /run/secrets/api-key": key}
	}
	v1 := step{commitSecrets("v1.0.0", 1, "token-1", ""), ended("v1.0.0")}
	v2 := step{commitSecrets("v2.0.0", 2, "token-2", ""), ended("v2.0.0")}
	withWorker := backend("sealed-one", "host-one")
	withWorker["worker /run/secrets/aside"] = "only-for-workers"
	return []story{
		{name: "a secret changes", steps: []step{v1, {changeSecret("host-two"), atRest}, {rotate, rotated}},
			live: "v1.0.0", ends: rollout.Live, finds: backend("sealed-one", "host-two")},
		{name: "a rollback without key or sources", steps: []step{v1, {changeSecret("host-two"), atRest}, v2, {loseSecrets, atRest},
			{rollback, func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack, finds: backend("sealed-one", "host-one")},
		{name: "a bad secret goes back", steps: []step{v1, {changeSecret("bad"), atRest}, {rotate, rotated}},
			live: "v1.0.0", ends: rollout.Reverted, why: release.ProbeFailed, refused: "v1.0.0", finds: backend("sealed-one", "host-one")},
		// The worker's secrets are another host's: one that this host could open, and one that
		// it could not, which would block the release if it were tried.
		{name: "secrets of a service on another host", labels: map[string]string{"zone": "a"},
			steps: []step{{commitSecrets("v1.0.0", 1, "token-1", elsewhere+"    secrets: [aside, locked]\n", "aside", "locked"), ended("v1.0.0")}},
			live:  "v1.0.0", ends: rollout.Live, up: []string{"backend", "ai-gateway", "store"}, finds: backend("sealed-one", "host-one")},
		{name: "a label brings a service with its secret", labels: map[string]string{"zone": "a"},
			steps: []step{{commitSecrets("v1.0.0", 1, "token-1", elsewhere+"    secrets: [aside]\n", "aside"), ended("v1.0.0")},
				{relabel(map[string]string{"zone": "b"}), runsHere("worker")}},
			live: "v1.0.0", ends: rollout.Live, finds: withWorker},
	}
}

// TestSecretStories plays more of them, without crashes: what these add to the ones above
// is what is left on the disk after several releases.
func TestSecretStories(t *testing.T) {
	backend := func(token, key string) map[string]string {
		return map[string]string{"backend /run/secrets/token": token, "backend /run/secrets/api-key": key}
	}
	v1 := step{commitSecrets("v1.0.0", 1, "token-1", ""), ended("v1.0.0")}
	v2 := step{commitSecrets("v2.0.0", 2, "token-2", ""), ended("v2.0.0")}
	aside := func(version string, sequence int, token string) step {
		return step{commitSecrets(version, sequence, token, elsewhere+"    secrets: [aside]\n", "aside"), ended(version)}
	}
	for _, s := range []story{
		{name: "rotated, then a rollback without key or sources", steps: []step{v1, {changeSecret("host-two"), atRest}, {rotate, rotated},
			{loseSecrets, atRest}, {rollback, func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack, finds: backend("sealed-one", "host-one")},
		{name: "errors with the new secret", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 9 * time.Second}}, steps: []step{v1, {changeSecret("host-two"), atRest}, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: release.BakeBurst + "|" + release.BakeFailed, refused: "v2.0.0", finds: backend("sealed-one", "host-one")},
		{name: "a label takes a service with its secret away", labels: map[string]string{"zone": "b"},
			steps: []step{{commitSecrets("v1.0.0", 1, "token-1", elsewhere+"    secrets: [aside]\n", "aside"), runsHere("worker")},
				{relabel(map[string]string{"zone": "a"}), func(s rollout.State) bool { return atRest(s) && s.Live != nil && len(s.Live.Workers) == 0 }},
				aside("v2.0.0", 2, "token-2"), aside("v3.0.0", 3, "token-1")},
			live: "v3.0.0", ends: rollout.Live, up: []string{"backend", "ai-gateway", "store"}, finds: backend("sealed-one", "host-one")},
		{name: "removed", steps: []step{v1, {changeSecret("host-two"), atRest}, v2, {absent("v3.0.0", 3, ""), gone}}, ends: rollout.Absent, finds: map[string]string{}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, 0, false) })
	}
}

// checkSecrets is what must hold of the host's disk at the end: what runs finds its values
// and nobody else's, and nothing is left of sets that are gone, nor of what was cut off.
// w.mu is held.
func (s story) checkSecrets(t *testing.T, w *World, st rollout.State) {
	t.Helper()
	found, mounted := map[string]string{}, map[string]bool{}
	for _, c := range w.containers {
		for _, m := range c.spec.Mounts {
			if m.Type != release.MountFile {
				continue
			}
			mounted[m.Source] = true
			if c.c.Status != rollout.Running {
				continue
			}
			data, err := os.ReadFile(m.Source)
			if err != nil {
				t.Error(err)
			}
			found[c.c.Service+" "+m.Target] = string(data)
		}
	}
	for at, want := range s.finds {
		if found[at] != want {
			t.Errorf("%s holds %q, want %q", at, found[at], want)
		}
	}
	if len(found) != len(s.finds) {
		t.Errorf("found %v, want %v", found, s.finds)
	}
	kept := map[string]bool{}
	inputsOf := func(t release.Target) string { return string(t.Digest) + "/inputs/" + t.Inputs }
	for _, target := range st.Reached() {
		kept[inputsOf(target)] = true
	}
	for _, c := range w.containers { // the last that went back stays to be looked at, stopped
		kept[inputsOf(c.c.Set.Target)] = true
	}
	releases := filepath.Join(hostDir(w), "releases") + "/"
	err := filepath.WalkDir(hostDir(w), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		below, stored := strings.CutPrefix(path, releases)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".new-"):
			t.Errorf("left by a crash: %s", path)
		case d.IsDir() && info.Mode().Perm()&0o077 != 0 && path != hostDir(w):
			t.Errorf("%s is open to others: %v", path, info.Mode())
		case stored && d.IsDir() && strings.Count(below, "/") == 2 && !kept[below]:
			t.Errorf("kept and never reached again: %s", below)
		case d.Type().IsRegular() && strings.HasPrefix(path, w.FilesDir) && !mounted[path]:
			t.Errorf("mounted by nobody: %s", path)
		}
		if !d.Type().IsRegular() || st.Live == nil || stored && !strings.HasPrefix(below, inputsOf(st.Live.ID.Target)) {
			return nil // what is kept of releases before may have had other services
		}
		data, err := os.ReadFile(path)
		for _, other := range []string{"only-for-workers", "only-for-another-host"} {
			if strings.Contains(string(data), other) && !slices.Contains(s.values(), other) {
				t.Errorf("%s holds a secret of a service that does not run here", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func (s story) values() (all []string) {
	for _, v := range s.finds {
		all = append(all, v)
	}
	return all
}
