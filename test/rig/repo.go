package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tealops/teal/test/lab"
)

// repository makes the bare repository and a clone of it.
func (r *Rig) repository(ctx context.Context) error {
	r.Bare, r.Work = r.Path("releases.git"), r.Path("work")
	if _, err := r.run(ctx, r.Dir, "git", "init", "-q", "--bare", "-b", "main", r.Bare); err != nil {
		return err
	}
	if _, err := r.run(ctx, r.Dir, "git", "clone", "-q", r.Bare, r.Work); err != nil {
		return err
	}
	if _, err := r.run(ctx, r.Work, "git", "checkout", "-q", "-B", "main"); err != nil {
		return err
	}
	_, err := r.Commit(ctx, "the repository's identity", map[string]string{"teal.yaml": "apiVersion: teal/v1\nkind: Repository\nrepoId: " + RepoID + "\n"})
	return err
}

// Write puts files into the work tree; an empty text removes one.
func (r *Rig) Write(files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(r.Work, filepath.FromSlash(name))
		if text == "" {
			if err := os.RemoveAll(file); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Commit writes files, commits and pushes them, and returns the commit.
func (r *Rig) Commit(ctx context.Context, message string, files map[string]string) (string, error) {
	if err := r.Write(files); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", message}, {"push", "-q", "-u", "origin", "main"}} {
		if _, err := r.Git(ctx, args...); err != nil {
			return "", err
		}
	}
	return r.Git(ctx, "rev-parse", "HEAD")
}

// Git runs git in the work tree.
func (r *Rig) Git(ctx context.Context, args ...string) (string, error) {
	return r.run(ctx, r.Work, "git", args...)
}

// Approve signs the committed release as each person and pushes the approvals.
func (r *Rig) Approve(ctx context.Context, app string, persons ...string) error {
	for _, p := range persons {
		if out, errs, code := r.Ctl(ctx, "approve", app, "--env", r.Env, "--repo", r.Work, "--key", r.Key(p), "--name", p, "--yes", "--push"); code != 0 {
			return fmt.Errorf("tealctl approve as %s: exit %d: %s%s", p, code, out, errs)
		}
	}
	return nil
}

// Images builds the shop's image once and gives its reference by digest.
func (r *Rig) Image(ctx context.Context, name string) (string, error) {
	if ref := r.images[name]; ref != "" {
		return ref, nil
	}
	ref, err := r.Lab.Build(ctx, lab.Image{Program: Shop, Name: name, Tag: "v1"})
	if err != nil {
		return "", err
	}
	r.images[name] = ref
	return ref, nil
}

// Fresh builds an image that no engine has yet.
func (r *Rig) Fresh(ctx context.Context, name string) (string, error) {
	return r.Lab.Build(ctx, lab.Image{Program: Shop, Name: name, Tag: "v1", Pad: 1 << 20})
}

// Manifest describes a release of the shop.
type Manifest struct {
	App      string // default shop
	Version  string
	Sequence int
	Env      map[string]string // of the backend
	Host     string            // route; default Host
	Extra    string            // YAML at the backend's level, four spaces indented
	Worker   string            // the worker's own environment, YAML flow
	Bake     string            // default the rig's
	Minimal  bool              // backend only
	Smoke    bool
}

// ManifestPath is where an app's manifest lies.
func (r *Rig) ManifestPath(app string) string {
	return "environments/" + r.Env + "/" + app + "/release.yaml"
}

// Text is the manifest as release.yaml.
func (r *Rig) Text(ctx context.Context, m Manifest) (string, error) {
	backend, err := r.Image(ctx, "shop/backend")
	if err != nil {
		return "", err
	}
	store, err := r.Image(ctx, "shop/store")
	if err != nil {
		return "", err
	}
	if m.App == "" {
		m.App = "shop"
	}
	if m.Host == "" {
		m.Host = Host
	}
	if m.Bake == "" {
		m.Bake = r.opt.Bake
	}
	if m.Bake == "" {
		m.Bake = "{for: 4s, every: 1s, failures: 2, burst: {errors: 50%, requests: 25}}"
	}
	env := "SHOP_VERSION: " + m.Version
	for _, k := range sorted(m.Env) {
		env += fmt.Sprintf(", %s: %q", k, m.Env[k])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nservices:\n  backend:\n    image: %s\n    command: [backend]\n    environment: {%s, STORE: \"store:6379\"}\n    stop_grace_period: 10s\n%s", m.App, backend, env, m.Extra)
	fmt.Fprintf(&b, "    x-teal: {route: {host: %s, path: /, port: 8000}, probe: {path: /health/, every: 200ms, passes: 3, deadline: 20s}}\n", m.Host)
	if !m.Minimal {
		worker := m.Worker
		if worker == "" {
			worker = "{SHOP_VERSION: " + m.Version + "}"
		}
		fmt.Fprintf(&b, `  ai-gateway:
    image: %s
    command: [ai-gateway]
    environment: {SHOP_VERSION: %s}
    x-teal: {route: {host: %s, path: /ai/, port: 9000}, probe: {path: /healthz, every: 200ms, passes: 3, deadline: 20s}}
  worker:
    image: %s
    command: [worker]
    environment: %s
    healthcheck: {test: [CMD, /app, check, "http://127.0.0.1:9100/healthz"], interval: 300ms, timeout: 2s, retries: 5}
  store:
    image: %s
    command: [store]
    x-teal: {shared: true}
`, backend, m.Version, m.Host, backend, worker, store)
	}
	fmt.Fprintf(&b, "x-teal:\n  version: %s\n  sequence: %d\n  source: {repository: \"https://git.example.com/shop.git\", commit: %040d}\n  preparedBy: ci-bot\n  drain: {http: 5s, websocket: 5s}\n  bake: %s\n",
		m.Version, m.Sequence, m.Sequence, m.Bake)
	if m.Smoke {
		b.WriteString("  smoke: [{http: {path: /api/ping, contains: pong}}]\n")
	}
	return b.String(), nil
}

// Release commits a manifest and returns the commit.
func (r *Rig) Release(ctx context.Context, m Manifest) (string, error) {
	text, err := r.Text(ctx, m)
	if err != nil {
		return "", err
	}
	if m.App == "" {
		m.App = "shop"
	}
	return r.Commit(ctx, m.App+" "+m.Version, map[string]string{r.ManifestPath(m.App): text})
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}
