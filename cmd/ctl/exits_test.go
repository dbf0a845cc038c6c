package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// proof makes a command end with an exit code, against a real socket or a real repository.
type proof struct {
	path string
	code int
	run  func(t *testing.T) (errs string, code int)
}

// onAgent is a proof against an agent that prepare has put into a state.
func onAgent(path string, code int, prepare func(*fakeAgent), args ...string) proof {
	return proof{path, code, func(t *testing.T) (string, int) {
		a := startAgent(t, liveApp("shop"))
		if prepare != nil {
			prepare(a)
		}
		_, errs, got := a.ctl(append(strings.Fields(path), args...)...)
		return errs, got
	}}
}

// onFailing is a proof against a socket that answers everything with a failure.
func onFailing(path string, code int, f *api.Failure, args []string) proof {
	return proof{path, code, func(t *testing.T) (string, int) {
		dir, err := os.MkdirTemp("", "teal-ctl-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		l, err := net.Listen("unix", dir+"/agent.sock")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(f.Status)
			_ = json.NewEncoder(w).Encode(f) // the peer is gone if this fails
		})}
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(l) }()
		defer func() { server.Close(); <-done }()
		_, errs, got := ctl(append(append(strings.Fields(path), args...), "--socket", dir+"/agent.sock")...)
		return errs, got
	}}
}

// inClone is a proof in a clone.
func inClone(path string, code int, prepare func(*clone), args ...string) proof {
	return proof{path, code, func(t *testing.T) (string, int) {
		c := newClone(t)
		if prepare != nil {
			prepare(c)
		}
		_, errs, got := c.ctl(append(strings.Fields(path), args...)...)
		return errs, got
	}}
}

// special are the codes that only some commands have.
var special = []proof{
	onAgent("status", exitUnhealthy, func(a *fakeAgent) { a.show(heldApp("shop", release.BakeFailed)) }, "shop", "--exit-code"),
	onAgent("status", exitUnhealthy, func(a *fakeAgent) { a.show(heldApp("shop", release.BakeFailed)) }, "shop", "--wait"),
	onAgent("status", exitBlocked, func(a *fakeAgent) { a.show(waiting(release.ApprovalThreshold)) }, "shop", "--wait"),
	onAgent("status", exitBlocked, func(a *fakeAgent) { a.show(waiting(release.Frozen)) }, "shop", "--wait"),
	onAgent("status", exitUnhealthy, func(a *fakeAgent) { a.show(waiting(release.ApprovalDigestMismatch)) }, "shop", "--wait"),
	onAgent("status", exitTimeout, func(a *fakeAgent) { a.show(deploying("shop", rollout.Baking)) }, "shop", "--wait", "--timeout", "300ms"),
	onAgent("explain", exitBlocked, func(a *fakeAgent) {
		a.explain = api.Explanation{Meta: meta("Explanation"), App: "shop", Code: release.ApprovalThreshold, Waits: true}
	}, "shop"),
	onAgent("plan", exitDifferent, nil, "shop", "--exit-code"),
	onAgent("plan", exitDifferent, nil, "--exit-code"),
	onAgent("diff", exitDifferent, nil, "shop", "--exit-code"),
	onAgent("rollback", exitUnhealthy, func(a *fakeAgent) {
		a.onOrder = func(string, api.Command) { a.show(heldApp("shop", release.RollbackFailed)) }
	}, "shop", "--reason", "x", "--yes", "--wait"),
	onAgent("rollback", exitOK, func(a *fakeAgent) {
		a.onOrder = func(string, api.Command) { a.show(heldApp("shop", release.RolledBack)) }
	}, "shop", "--reason", "x", "--yes", "--wait"),
	onAgent("app remove", exitOK, ends(api.AppStatus{App: "shop", State: "absent", Wait: api.Wait{Why: release.NotPlaced}, Last: &rollout.Ended{ID: "d-9", Phase: rollout.Absent}}), "shop", "--host", "--reason", "x", "--yes", "--wait"),
	onAgent("app remove", exitUnhealthy, ends(heldApp("shop", release.BakeFailed)), "shop", "--host", "--reason", "x", "--yes", "--wait"),
	onAgent("app remove", exitUsage, nil, "shop", "--reason", "x", "--yes"),
	onAgent("app remove", exitTimeout, moving, "shop", "--host", "--reason", "x", "--yes", "--wait", "--timeout", "300ms"),
	onAgent("rollback", exitTimeout, moving, "shop", "--reason", "x", "--yes", "--wait", "--timeout", "300ms"),
	onAgent("resume", exitTimeout, moving, "shop", "--wait", "--timeout", "300ms"),
	onAgent("retry", exitTimeout, moving, "shop", "--wait", "--timeout", "300ms"),
	onAgent("sync", exitTimeout, moving, "shop", "--wait", "--timeout", "300ms"),
	onAgent("resume", exitUnhealthy, ends(heldApp("shop", release.BakeFailed)), "shop", "--wait"),
	onAgent("retry", exitUnhealthy, ends(heldApp("shop", release.BakeFailed)), "shop", "--wait"),
	onAgent("sync", exitUnhealthy, ends(heldApp("shop", release.BakeFailed)), "shop", "--wait"),
	onAgent("resume", exitBlocked, ends(waiting(release.ApprovalThreshold)), "shop", "--wait"),
	onAgent("retry", exitBlocked, ends(waiting(release.ApprovalThreshold)), "shop", "--wait"),
	onAgent("secrets rotate", exitTimeout, moving, "shop", "--wait", "--timeout", "300ms"),
	onAgent("secrets rotate", exitUnhealthy, ends(heldApp("shop", release.BakeFailed)), "shop", "--wait"),
	onAgent("secrets rotate", exitBlocked, ends(waiting(release.ApprovalThreshold)), "shop", "--wait"),
	onAgent("secrets status", exitFailed, func(a *fakeAgent) { a.secrets = "missing" }, "shop"),
	onAgent("sync", exitBlocked, ends(waiting(release.OutsideWindow)), "shop", "--wait"),

	inClone("lint", exitFailed, func(c *clone) {
		c.write("repo/environments/production/shop/release.yaml", "name: shop\nservices: {}\n")
	}, "CLONE"),
	inClone("init", exitFailed, nil, "--from", "COMPOSE", "--env", "staging", "--app", "web", "--offline"),
	inClone("release new", exitFailed, nil, "shop", "nightly", "--env", "production", "--repo", "CLONE"),
	inClone("verify", exitOK, func(c *clone) {
		c.ctl("approve", "shop", "--repo", "CLONE", "--key", "KEY", "--yes")
		c.git("add", "-A")
		c.git("commit", "-q", "-m", "approve")
	}, asked["verify"].args...),
	inClone("verify", exitBlocked, nil, asked["verify"].args...),
	inClone("verify", exitNotAuthorised, func(c *clone) {
		c.ctl("approve", "shop", "--repo", "CLONE", "--key", "KEY", "--yes")
		c.write("repo/environments/production/shop/extra.env", "CHANGED=after\n")
		c.git("add", "-A")
		c.git("commit", "-q", "-m", "approve, then change")
	}, asked["verify"].args...),
	inClone("verify", exitFailed, nil, "shop", "--repo", "CLONE", "--policy", "/does/not/exist"),
	inClone("prepare", exitNotAuthorised, nil, "shop", "--repo", "CLONE", "--yes", "--policy", "OTHERPOLICY"),
	inClone("approve", exitNotAuthorised, nil, "shop", "--repo", "CLONE", "--key", "KEY", "--yes", "--policy", "OTHERPOLICY"),
	inClone("reject", exitNotAuthorised, nil, "shop", "--repo", "CLONE", "--key", "KEY", "--reason", "x", "--yes", "--policy", "OTHERPOLICY"),
	inClone("prepare", exitFailed, nil, "shop", "--repo", "/does/not/exist", "--yes"),
	inClone("approve", exitFailed, nil, "shop", "--repo", "/does/not/exist", "--key", "KEY", "--yes"),
	inClone("reject", exitFailed, nil, "shop", "--repo", "/does/not/exist", "--key", "KEY", "--reason", "x", "--yes"),
	inClone("attest scan", exitNotAuthorised, nil, append([]string{"--scanner", "trivy", "--report", "REPORT", "--args", "--severity", "--args", "CRITICAL", "--db-updated-at", "2026-11-23T06:00:00Z"}, attestFlags...)...),
	inClone("attest tests", exitNotAuthorised, nil, append([]string{"--result", "perhaps"}, attestFlags...)...),
	inClone("attest provenance", exitNotAuthorised, nil, append([]string{"--builder", "https://ci.example.com", "--source-repository", "https://git.example.com/shop", "--source-commit", "a1b2"}, attestFlags...)...),
	inClone("attest scan", exitFailed, func(c *clone) { c.write("repo/attestations", "in the way") }, asked["attest scan"].args...),
	inClone("attest tests", exitFailed, func(c *clone) { c.write("repo/attestations", "in the way") }, asked["attest tests"].args...),
	inClone("attest provenance", exitFailed, func(c *clone) { c.write("repo/attestations", "in the way") }, asked["attest provenance"].args...),
	inClone("secrets encrypt", exitFailed, nil, "--env", "staging", "--app", "shop", "--name", "x", "--repo", "CLONE", "REPORT"),
	inClone("trust lint", exitFailed, nil, "BADPOLICY"),
	inClone("trust show", exitFailed, nil, "--policy", "BADPOLICY"),
	inClone("trust export-allowed-signers", exitFailed, nil, "--policy", "BADPOLICY"),
	inClone("trust rotate", exitFailed, nil, "NEXT", "--policy", "BADPOLICY", "--repo", "CLONE", "--key", "KEY"),
	inClone("state init", exitFailed, func(c *clone) { c.ctl("state", "init", "--state", "STATE") }, "--state", "STATE"),
	{"state init", exitNotAuthorised, func(t *testing.T) (string, int) {
		was := isRoot
		isRoot = func() bool { return false }
		defer func() { isRoot = was }()
		_, errs, code := newClone(t).ctl("state", "init", "--state", "STATE")
		return errs, code
	}},
}

func waiting(why release.Code) api.AppStatus {
	a := deploying("shop", rollout.Blocked)
	a.Wait = api.Wait{Why: why}
	return a
}

// moving: whatever is ordered, the app is being deployed and never ends.
func moving(a *fakeAgent) {
	a.onOrder = func(string, api.Command) { a.show(deploying("shop", rollout.Baking)) }
}

// ends: whatever is ordered, the app ends so.
func ends(app api.AppStatus) func(*fakeAgent) {
	return func(a *fakeAgent) { a.onOrder = func(string, api.Command) { a.show(app) } }
}

// proofs are all of them: for what most commands share, made for each; and the special
// ones.
func proofs() []proof {
	all := slices.Clone(special)
	for path, c := range commands() {
		a, known := asked[path]
		if !known {
			continue // TestEveryCommand says so
		}
		all = append(all, proof{path, exitUsage, func(t *testing.T) (string, int) {
			_, errs, code := perform(t, path, "--no-such-flag")
			return errs, code
		}})
		if path != "verify" { // its clone is not approved
			all = append(all, proof{path, exitOK, func(t *testing.T) (string, int) {
				_, errs, code := perform(t, path)
				return errs, code
			}})
		}
		can := func(code int) bool {
			return a.agent && slices.ContainsFunc(endings(c), func(e ending) bool { return e.Code == code })
		}
		args := append(strings.Fields(path), a.args...)
		if can(exitFailed) {
			all = append(all, onFailing(path, exitFailed, api.Fail(http.StatusInternalServerError, release.Broken, "the disk is on fire"), a.args))
		}
		if can(exitNotAuthorised) {
			all = append(all, onFailing(path, exitNotAuthorised, api.Fail(http.StatusForbidden, release.NotAuthorised, "eve may not do that: it needs the group teal-operators"), a.args))
		}
		if can(exitUnreachable) {
			all = append(all, proof{path, exitUnreachable, func(t *testing.T) (string, int) {
				_, errs, code := ctl(append(args, "--socket", t.TempDir()+"/none.sock")...)
				return errs, code
			}})
		}
		if slices.ContainsFunc(endings(c), func(e ending) bool { return e.Code == exitInterrupted }) {
			all = append(all, proof{path, exitInterrupted, func(t *testing.T) (string, int) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if a.agent {
					_, errs, code := startAgent(t, liveApp("shop")).ctlIn(ctx, args...)
					return errs, code
				}
				_, errs, code := newClone(t).ctlIn(ctx, args...)
				return errs, code
			}})
		}
	}
	return all
}

// TestExitCodes proves each documented exit code of each command by a run, and that no run
// ends with one that is not documented. What fails says why, with a stable number and the
// next action.
func TestExitCodes(t *testing.T) {
	all := commands()
	proven := map[string]map[int]bool{}
	for i, p := range proofs() {
		t.Run(fmt.Sprintf("%s/%d/%d", p.path, p.code, i), func(t *testing.T) {
			if all[p.path] == nil {
				t.Fatalf("there is no command %s", p.path)
			}
			errs, code := p.run(t)
			if code != p.code {
				t.Fatalf("exit %d, want %d: %s", code, p.code, errs)
			}
			if !slices.ContainsFunc(endings(all[p.path]), func(e ending) bool { return e.Code == code }) {
				t.Errorf("exit %d is not documented", code)
			}
			if proven[p.path] == nil {
				proven[p.path] = map[int]bool{}
			}
			proven[p.path][code] = true
			if strings.HasPrefix(errs, "tealctl") && code != 0 {
				saysWhatToDo(t, errs)
			}
		})
	}
	for path, c := range all {
		for _, e := range endings(c) {
			if !proven[path][e.Code] {
				t.Errorf("tealctl %s documents exit code %d and nothing proves it: add a case (proven: %v)", path, e.Code, slices.Sorted(maps.Keys(proven[path])))
			}
		}
	}
}

// saysWhatToDo: the message names a TEAL number that explain knows, and a next action.
func saysWhatToDo(t *testing.T, errs string) {
	t.Helper()
	_, rest, found := strings.Cut(errs, "(TEAL-")
	number, _, closed := strings.Cut(rest, ")")
	if !found || !closed || !strings.Contains(errs, "\n  next: ") {
		t.Errorf("no number or no next action: %s", errs)
		return
	}
	if _, ok := release.Explain("TEAL-" + number); !ok {
		t.Errorf("explain does not know TEAL-%s", number)
	}
}

// TestErrorsAreText: an error quotes what a remote, a repository or a person wrote. It
// moves no cursor, and no line of it passes for one of tealctl's.
func TestErrorsAreText(t *testing.T) {
	f := api.Fail(http.StatusBadGateway, release.RepoUnreachable, "remote: \x1b[2J\x1b]0;x\a\u202eall is well\ntealctl: done\n  next: nothing")
	f.Next = "Look.\x1b[1A\ntealctl: done"
	errs, code := onFailing("sync", exitFailed, f, nil).run(t)
	if code != exitFailed || strings.ContainsAny(errs, "\x1b\a\u202e") || strings.Contains(errs, "\ntealctl: done") || !strings.Contains(errs, `\x1b[2J`) || !strings.Contains(errs, "TEAL-5001") {
		t.Errorf("exit %d: %q", code, errs)
	}
}

// TestInterrupted: Ctrl-C in the middle of a watch says what goes on.
func TestInterrupted(t *testing.T) {
	a := startAgent(t, deploying("shop", rollout.Baking))
	for _, args := range [][]string{{"status", "shop", "-w"}, {"status", "shop", "--wait"}} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(700*time.Millisecond, cancel)
		out, errs, code := a.ctlIn(ctx, args...)
		if code != exitInterrupted || !strings.Contains(errs, "the deployment of shop goes on") || !strings.Contains(out, "shop baking") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
}
