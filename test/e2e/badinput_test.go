package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/rig"
)

// awaitStatus polls the host's status until ok says so.
func awaitStatus(t *testing.T, r *rig.Rig, what string, ok func(api.Status) bool) api.Status {
	t.Helper()
	var st api.Status
	var err error
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(50 * time.Millisecond) {
		if st, err = r.Status(t.Context()); err == nil && ok(st) {
			return st
		}
	}
	t.Fatalf("%s: not seen in 60 s (%v); last: %+v", what, err, st)
	return st
}

// TestBadManifests commits what is wrong, one after the other. Each time the agent
// says one clear thing that names file and line and what to do, and what is live
// serves on.
func TestBadManifests(t *testing.T) {
	r := open(t, rig.Options{})
	up(t, r)
	load := r.StartLoad(rig.LoadShape{Fast: 2, Pause: 50 * time.Millisecond})
	defer load.Stop()
	good, err := r.Text(t.Context(), rig.Manifest{Version: "v1.1.0", Sequence: 2})
	if err != nil {
		t.Fatal(err)
	}
	image, err := r.Image(t.Context(), "shop/backend")
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(image, "@")
	edit := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the manifest has no %q", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	file := r.ManifestPath("shop")
	for _, c := range []struct {
		name, text string
		code       release.Code
		says       []string
	}{
		{"YAML typo", edit("services:\n", "services:\n  - {\n"), release.YAMLRefused, []string{file + ":", "correct the YAML"}},
		{"unknown key", edit("    command: [backend]\n", "    comand: [backend]\n"), release.UnknownKey, []string{file + ":5:", `did you mean "command"?`}},
		{"image by tag", edit(image, name+":v1"), release.ImageNotPinned, []string{file + ":4:", "@sha256:"}},
		{"ports on a swapped service", edit("    command: [backend]\n", "    command: [backend]\n    ports: [\"80:8000\"]\n"), release.PortsRefused, []string{file + ":6:", "route"}},
		{"privileged", edit("    command: [backend]\n", "    command: [backend]\n    privileged: true\n"), release.HostAccessDenied, []string{"backend", "privileged", "hostAccess"}},
		{"a value from the environment", edit("SHOP_VERSION: v1.1.0", "SHOP_VERSION: \"${VERSION}\""), release.InterpolationRefused, []string{file + ":6:", "$$"}},
		{"not built yet", edit("x-teal:\n  version", "x-teal:\n  migrate: {service: backend, database: shop, up: [migrate]}\n  version"), release.NotSupportedYet, []string{file + ":", "migrate"}},
	} {
		if _, err := r.Commit(t.Context(), c.name, map[string]string{file: c.text}); err != nil {
			t.Fatal(err)
		}
		a, err := r.Await(t.Context(), "shop", 30*time.Second, c.name, func(a api.AppStatus) bool { return a.State == "blocked" && a.Wait.Why == c.code })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		out, _, code := r.Ctl(t.Context(), "explain", "shop")
		for _, want := range append(c.says, "Next: ") {
			if !strings.Contains(out, want) {
				t.Errorf("%s: explain does not say %q:\n%s", c.name, want, out)
			}
		}
		t.Logf("%-28s %s: %s (explain: exit %d)", c.name, a.Wait.Why, a.Wait.Detail, code)
		serves(t, r, "v1.0.0")
	}

	// Another app that claims a route of the shop's.
	other, err := r.Text(t.Context(), rig.Manifest{App: "other", Version: "v1.0.0", Sequence: 1, Minimal: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), "two apps on one route", map[string]string{file: good, r.ManifestPath("other"): other}); err != nil {
		t.Fatal(err)
	}
	await(t, r, "v1.1.0 live", rig.Live("v1.1.0"))
	a, err := r.Await(t.Context(), "other", 30*time.Second, "refused", func(a api.AppStatus) bool { return a.State == "blocked" && a.Wait.Why == release.RouteConflict })
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(a.Wait.Detail, rig.Host+"/") || !strings.Contains(a.Wait.Detail, "shop") {
		t.Errorf("the conflict names neither route nor app: %s", a.Wait.Detail)
	}
	t.Logf("%-28s %s: %s", "two apps on one route", a.Wait.Why, a.Wait.Detail)
	serves(t, r, "v1.1.0")
	load.Stop()
	if n := load.Failed.Load(); n > 0 {
		t.Errorf("%d requests failed: %v", n, load.Failures())
	}
}

// TestBadSurroundings breaks what the agent stands on: repository, history, registry,
// permissions, a second agent. Each is said once, clearly; what is live serves on.
func TestBadSurroundings(t *testing.T) {
	r := open(t, rig.Options{})
	up(t, r)
	repository := func(code release.Code) func(api.Status) bool {
		return func(st api.Status) bool { return st.Repository.Code == code }
	}

	t.Run("unreadable repository", func(t *testing.T) {
		if err := os.Rename(r.Bare, r.Bare+".gone"); err != nil {
			t.Fatal(err)
		}
		st := awaitStatus(t, r, "repo_unreachable", repository(release.RepoUnreachable))
		names(t, st.Repository.Detail, r.Bare)
		serves(t, r, "v1.0.0")
		if err := os.Rename(r.Bare+".gone", r.Bare); err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, r, "readable again", repository(""))
	})

	t.Run("rewritten history", func(t *testing.T) {
		before, err := r.Git(t.Context(), "rev-parse", "HEAD")
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"commit", "-q", "--amend", "-m", "another past"}, {"push", "-q", "--force"}} {
			if _, err := r.Git(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
		st := awaitStatus(t, r, "history_rewritten", repository(release.HistoryRewritten))
		names(t, st.Repository.Detail, before[:7])
		serves(t, r, "v1.0.0")
		for _, args := range [][]string{{"reset", "-q", "--hard", before}, {"push", "-q", "--force"}} {
			if _, err := r.Git(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
		awaitStatus(t, r, "the branch restored", repository(""))
	})

	t.Run("registry down", func(t *testing.T) {
		text, err := r.Text(t.Context(), rig.Manifest{Version: "v1.1.0", Sequence: 2})
		if err != nil {
			t.Fatal(err)
		}
		small, err := r.Image(t.Context(), "shop/backend")
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := r.Fresh(t.Context(), "shop/fresh")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Lab.Registry.Down(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Commit(t.Context(), "shop v1.1.0", map[string]string{r.ManifestPath("shop"): strings.Replace(text, small, fresh, 1)}); err != nil {
			t.Fatal(err)
		}
		a := await(t, r, "pull_failed", func(a api.AppStatus) bool { return a.Wait.Why == release.PullFailed })
		names(t, a.Wait.Detail, "shop/fresh")
		serves(t, r, "v1.0.0")
		if err := r.Lab.Registry.Up(); err != nil {
			t.Fatal(err)
		}
		await(t, r, "v1.1.0 live, with the registry back", rig.Live("v1.1.0"))
	})

	t.Run("agent started twice", func(t *testing.T) {
		out, code := runAgent(t, r)
		if code != 78 {
			t.Errorf("exit %d, want 78: %s", code, out)
		}
		names(t, out, r.State)
		serves(t, r, "v1.1.0")
		if _, err := r.Status(t.Context()); err != nil {
			t.Errorf("the first agent no longer answers: %v", err)
		}
	})

	t.Run("a policy that does not load", func(t *testing.T) {
		policy := r.Path("trust.yaml")
		data, err := os.ReadFile(policy)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WritePolicy(string(data) + "surprise: true\n"); err != nil {
			t.Fatal(err)
		}
		st := awaitStatus(t, r, "policy_invalid", func(st api.Status) bool { return st.Policy.Code == release.PolicyInvalid })
		names(t, st.Policy.Detail, policy+":")
		serves(t, r, "v1.1.0")
		if err := r.WritePolicy(string(data)); err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, r, "the policy restored", func(st api.Status) bool { return st.Policy.Code == "" })
	})

	if err := r.StopAgent(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file  string
		bad, proper os.FileMode
	}{
		{"state directory open to others", r.State, 0o755, 0o700},
		{"identity open to others", filepath.Join(r.State, "identity.json"), 0o644, 0o600},
		{"trust.yaml can be written by others", r.Path("trust.yaml"), 0o666, 0o644},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.Chmod(c.file, c.bad); err != nil {
				t.Fatal(err)
			}
			out, code := runAgent(t, r)
			if code != 78 {
				t.Errorf("exit %d, want 78: %s", code, out)
			}
			names(t, out, c.file, "chmod")
			serves(t, r, "v1.1.0")
			if err := os.Chmod(c.file, c.proper); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("configuration", func(t *testing.T) {
		config, err := os.ReadFile(r.Path("agent.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WriteConfig(strings.Replace(string(config), "environment:", "enviroment:", 1)); err != nil {
			t.Fatal(err)
		}
		out, code := runAgent(t, r)
		if code != 78 {
			t.Errorf("exit %d, want 78: %s", code, out)
		}
		names(t, out, r.Path("agent.yaml"), "line 3", "enviroment")
		if err := r.WriteConfig(string(config)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("state lost", func(t *testing.T) {
		if err := os.Rename(filepath.Join(r.State, "journal"), filepath.Join(r.State, "journal.away")); err != nil {
			t.Fatal(err)
		}
		if err := r.StartAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
		st := awaitStatus(t, r, "state_lost", func(st api.Status) bool { return st.Policy.Code == release.StateLost })
		names(t, st.Policy.Detail, "tealctl state init --sequence shop=")
		serves(t, r, "v1.1.0")
		if err := r.StopAgent(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(r.State, "journal")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(r.State, "journal.away"), filepath.Join(r.State, "journal")); err != nil {
			t.Fatal(err)
		}
	})
	if err := r.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	tidy(t, r, await(t, r, "v1.1.0 live", rig.Live("v1.1.0")))
}

func runAgent(t *testing.T, r *rig.Rig) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return r.RunAgent(ctx)
}

// names checks that a message names what it must, on at most a few lines.
func names(t *testing.T, text string, wants ...string) {
	t.Helper()
	t.Logf("says: %s", strings.TrimSpace(text))
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("does not name %q: %s", want, text)
		}
	}
	if n := strings.Count(strings.TrimSpace(text), "\n"); n > 3 {
		t.Errorf("%d lines for one problem: %s", n+1, text)
	}
}
