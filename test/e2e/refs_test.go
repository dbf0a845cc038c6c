package e2e

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/rig"
)

// follow makes the host follow several refs, with the evidence on a branch of its own.
func follow(t *testing.T, r *rig.Rig) {
	t.Helper()
	text, err := os.ReadFile(r.Path("agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	one, several := ", branch: main,", `, follow: [{branch: main}, {semver: ">=1.0 <2"}, {branches: "phase-*/**"}], evidence: approvals,`
	if !strings.Contains(string(text), one) {
		t.Fatalf("agent.yaml follows something else:\n%s", text)
	}
	if err := r.WriteConfig(strings.Replace(string(text), one, several, 1)); err != nil {
		t.Fatal(err)
	}
	runGit(t, r, "push", "-q", "origin", "HEAD:refs/heads/approvals")
}

func runGit(t *testing.T, r *rig.Rig, args ...string) {
	t.Helper()
	if _, err := r.Git(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// put commits a manifest on what is checked out and pushes it as a ref.
func put(t *testing.T, r *rig.Rig, ref, text string) {
	t.Helper()
	if err := r.Write(map[string]string{r.ManifestPath("shop"): text}); err != nil {
		t.Fatal(err)
	}
	runGit(t, r, "add", "-A")
	runGit(t, r, "commit", "-q", "-m", "release on "+ref)
	runGit(t, r, "push", "-q", "origin", "HEAD:"+ref)
}

// approveHere signs what is checked out as both approvers, onto the evidence branch.
func approveHere(t *testing.T, r *rig.Rig) {
	t.Helper()
	for _, person := range []string{"ann", "bob"} {
		if out, errs, code := r.Ctl(t.Context(), "approve", "shop", "--env", r.Env, "--repo", r.Work, "--key", r.Key(person), "--name", person,
			"--yes", "--push", "--remote", "origin", "--branch", "approvals"); code != 0 {
			t.Fatalf("tealctl approve as %s: exit %d: %s%s", person, code, out, errs)
		}
	}
}

// from says that a version is live and that a ref says so.
func from(version, ref string) func(api.AppStatus) bool {
	return func(a api.AppStatus) bool { return rig.Live(version)(a) && a.Ref == ref }
}

// TestFollowsSeveralRefs: of a branch, tags in a range and a glob of branches, the
// manifest with the highest sequence wins, approved on a branch of its own; one with a
// mistake wins too, and an older release does not go past it.
func TestFollowsSeveralRefs(t *testing.T) {
	r := open(t, rig.Options{Env: "production"})
	ctx := t.Context()
	text := func(version string, sequence int) string {
		out, err := r.Text(ctx, rig.Manifest{Version: version, Sequence: sequence, Minimal: true})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	answers := func(version string) {
		t.Helper()
		if got, status, err := r.Get(ctx, "/work"); err != nil || status != 200 || got != version {
			t.Errorf("the front door answers %q, %d, %v; want %s", got, status, err, version)
		}
	}
	const tag, newer, phase = "refs/tags/v1.1.0", "refs/tags/v1.2.0", "refs/heads/phase-2/payments"
	follow(t, r)
	put(t, r, "refs/heads/main", text("v1.0.0", 1))
	approveHere(t, r)
	runGit(t, r, "checkout", "-q", "--detach")
	put(t, r, tag, text("v1.1.0", 2))
	if err := errors.Join(r.StartProxy(ctx), r.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	await(t, r, "the tag waits for approvals; main's release, which has them, is older", func(a api.AppStatus) bool {
		return a.Ref == tag && a.Wait.Why == release.ApprovalThreshold
	})
	approveHere(t, r)
	await(t, r, "v1.1.0 of the tag live", from("v1.1.0", tag))
	answers("v1.1.0")

	// A mistake at sequence 4 on a branch of the glob, then a good and approved release at
	// sequence 3: the mistake is what the app stands at.
	good := text("v1.3.0", 4)
	bad := strings.Replace(good, "\nx-teal:\n", "\nx-teal:\n  bakes: {}\n", 1)
	if bad == good {
		t.Fatal("the manifest has no mistake")
	}
	put(t, r, phase, bad)
	mistake := func(a api.AppStatus) bool { return a.Ref == phase && strings.Contains(a.Wait.Detail, "bakes") }
	await(t, r, "the mistake", mistake)
	runGit(t, r, "checkout", "-q", "--detach", "HEAD^")
	put(t, r, newer, text("v1.2.0", 3))
	approveHere(t, r)
	evidence, err := r.Git(ctx, "ls-remote", "origin", "refs/heads/approvals")
	if err != nil {
		t.Fatal(err)
	}
	a := await(t, r, "v1.2.0 and its approvals are read", func(a api.AppStatus) bool {
		st, err := r.Status(ctx)
		return err == nil && mistake(a) && strings.HasPrefix(evidence, st.Repository.Evidence) &&
			slices.ContainsFunc(st.Repository.Refs, func(ref api.RefStatus) bool { return ref.Name == newer && ref.Head != "" })
	})
	if a.Live == nil || a.Live.Version != "v1.1.0" || a.Deploy == nil || a.Deploy.To.Version != "v1.3.0" || a.Deploy.Phase != rollout.Blocked {
		t.Errorf("an older release went past the mistake: %+v", a)
	}
	answers("v1.1.0")
	if out, _, _ := r.Ctl(ctx, "status", "shop"); !strings.Contains(out, "shop: branch phase-2/payments wins of 4 refs") {
		t.Errorf("status:\n%s", out)
	}

	runGit(t, r, "fetch", "-q", "origin", phase)
	runGit(t, r, "checkout", "-q", "--detach", "FETCH_HEAD")
	put(t, r, phase, good)
	approveHere(t, r)
	a = await(t, r, "v1.3.0 of the branch live", from("v1.3.0", phase))
	answers("v1.3.0")
	if slices.ContainsFunc(a.Old, func(set rollout.Set) bool { return set.Version == "v1.2.0" }) {
		t.Errorf("v1.2.0 was deployed: %+v", a.Old)
	}
}
