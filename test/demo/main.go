// Command demo shows teal's main job on this machine in about a minute, with real
// processes, a real engine, real commits and real signatures, and checks every claim
// it prints. KEEP=1 leaves it running.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	d := &demo{ctx: ctx, began: time.Now()}
	code := d.run()
	os.Exit(code)
}

// patience is how long the demo waits for what must happen. Nothing of it is a figure:
// what is fast is measured and printed.
const patience = 3 * time.Minute

type demo struct {
	ctx    context.Context
	rig    *rig.Rig
	load   *rig.Load
	began  time.Time
	passed int
	failed []string
	step   int
}

// say prints a line of the story.
func (d *demo) say(format string, args ...any) { fmt.Printf("       "+format+"\n", args...) }

// chapter begins a numbered part.
func (d *demo) chapter(title string) {
	d.step++
	fmt.Printf("[%d/12] %s\n", d.step, title)
}

// check counts a claim and says whether it holds.
func (d *demo) check(ok bool, format string, args ...any) bool {
	text := fmt.Sprintf(format, args...)
	if ok {
		d.passed++
		fmt.Println("       ✔ " + text)
	} else {
		d.failed = append(d.failed, text)
		fmt.Println("       ✖ " + text)
	}
	return ok
}

// must ends the demo on an error that leaves nothing to show.
func (d *demo) must(err error) {
	if err != nil {
		panic(stop{err})
	}
}

type stop struct{ error }

func (d *demo) run() (code int) {
	keep := os.Getenv("KEEP") == "1"
	defer func() {
		if r := recover(); r != nil {
			s, ok := r.(stop)
			if !ok {
				panic(r)
			}
			fmt.Fprintln(os.Stderr, "demo: "+s.Error())
			if d.rig != nil {
				fmt.Fprintln(os.Stderr, "the agent's last lines:\n"+lastLines(d.rig.AgentLog(), 30))
			}
			code = 1
		}
		if d.load != nil {
			d.load.Stop()
		}
		if d.rig != nil && !(keep && code == 0) {
			if err := d.rig.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "demo: clean up: "+err.Error())
				code = 1
			}
		}
	}()
	d.story()
	if keep {
		d.leave()
	}
	return d.result()
}

func (d *demo) story() {
	ctx := d.ctx
	d.chapter("a host: agent and proxy as processes, a repository, keys, images FROM scratch in a registry on loopback")
	began := time.Now()
	r, err := rig.New(ctx, rig.Options{Env: "production"}, nil)
	d.must(err)
	d.rig = r
	for _, name := range []string{"shop/backend", "shop/store"} {
		_, err := r.Image(ctx, name)
		d.must(err)
	}
	d.must(r.StartProxy(ctx))
	d.must(r.StartAgent(ctx))
	d.say("ready in %s; the front door is http://%s, Host: %s", since(began), r.Front, rig.Host)

	d.chapter("v1.0.0: refused without approvals, live with two")
	d.release("v1.0.0", 1, nil)
	d.blocked("approval_threshold", "v1.0.0 waits for approvals")
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	d.live("v1.0.0", "v1.0.0 is live, the first release")
	d.load = r.StartLoad(rig.LoadShape{Fast: 8, Posts: 4, Slow: 4, SlowFor: 500 * time.Millisecond, Pause: 25 * time.Millisecond})
	d.say("load from now on: %d loops, none of them ever retries", 16)

	d.chapter("v1.1.0: pushed, refused, approved, swapped under load")
	d.release("v1.1.0", 2, nil)
	d.blocked("approval_threshold", "v1.1.0 is refused: no approvals")
	out, _, code := r.Ctl(ctx, "explain", "shop")
	d.check(code == 6 && strings.Contains(out, "approval"), "tealctl explain says what is missing and exits 6")
	d.say("%s", firstLine(out))
	d.must(r.Approve(ctx, "shop", "ann"))
	d.await("1 of 2", "one approver is not enough")
	d.must(r.Approve(ctx, "shop", "bob"))
	pushed := time.Now()
	_, err = r.Await(ctx, "shop", patience, "traffic on v1.1.0", func(api.AppStatus) bool { return d.load.Latest() == "v1.1.0" })
	d.must(err)
	d.say("push → live: %s, all of it measured from the last approval's push", since(pushed))
	d.live("v1.1.0", "v1.1.0 is live and proven")
	create := d.engineTime()
	d.say("of it the engine's own create → healthy: %s", create.Round(time.Millisecond))
	d.check(d.load.Failed.Load() == 0, "requests failed in the swap: %d", d.load.Failed.Load())

	d.chapter("a tampered manifest: edited after the approvals")
	d.release("v1.1.1", 3, nil)
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	d.freezeRace("v1.1.1")

	d.chapter("a manifest that mounts the host's root")
	text, err := r.Text(ctx, rig.Manifest{Version: "v1.1.3", Sequence: 5, Extra: "    volumes: [{type: bind, source: /, target: /host}]\n"})
	d.must(err)
	_, err = r.Commit(ctx, "shop v1.1.3", map[string]string{r.ManifestPath("shop"): text})
	d.must(err)
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	d.blocked("host_access_denied", "refused although two people approved it")

	d.chapter("v1.2.0 begins to answer 500 after some seconds: reverted, held, explained")
	good := d.liveVersion()
	d.release("v1.2.0", 6, map[string]string{"SHOP_FAIL_AFTER": "1500ms"})
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	_, err = r.Await(ctx, "shop", patience, "traffic on v1.2.0", func(api.AppStatus) bool { return d.load.Latest() == "v1.2.0" })
	d.must(err)
	d.load.Forget()
	a, err := r.Await(ctx, "shop", patience, "reverted", rig.State("reverted"))
	d.must(err)
	first, last := d.load.Bad()
	d.check(a.Live != nil && a.Live.Version == good, "reverted by itself to %s", good)
	d.check(a.Hold != nil, "held: teal does not try v1.2.0 again")
	d.say("first bad answer → last bad answer: %s (%d error answers, all of the app's own)", last.Sub(first).Round(time.Millisecond), d.load.Errors.Load())
	if a.Last != nil && !a.Last.FlippedAt.IsZero() {
		d.say("first bad answer → traffic back on the warm colour: %s", a.Last.FlippedAt.Sub(first).Round(time.Millisecond))
	}
	out, _, _ = r.Ctl(ctx, "explain", "shop")
	d.check(strings.Contains(out, "v1.2.0") && strings.Contains(out, "bake_"), "explained: %s", firstLine(out))

	d.chapter("git revert converges")
	_, err = r.Git(ctx, "checkout", "-q", d.commitOf(good), "--", r.ManifestPath("shop"))
	d.must(err)
	_, err = r.Commit(ctx, "Revert v1.2.0", nil)
	d.must(err)
	d.live(good, "Git wants what runs: the hold is lifted")

	d.chapter("v1.3.0: the agent is killed with -9 in mid-swap")
	d.release("v1.3.0", 7, nil)
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	_, err = r.Await(ctx, "shop", patience, "in mid-swap", func(a api.AppStatus) bool {
		return a.Deploy != nil && (a.Deploy.Phase == "starting" || a.Deploy.Phase == "checking" || a.Deploy.Phase == "switching" || a.Deploy.Phase == "handover")
	})
	d.must(err)
	d.must(r.KillAgent())
	killed := time.Now()
	d.must(r.StartAgent(ctx))
	d.live("v1.3.0", "killed and started again: it converged")
	d.say("kill -9 → live and proven: %s", since(killed))
	d.check(d.load.Failed.Load() == 0, "requests failed so far: %d", d.load.Failed.Load())

	d.chapter("a forced rollback")
	asked := time.Now()
	out, errs, code := r.Ctl(ctx, "rollback", "shop", "--reason", "checkout errors", "--yes")
	d.check(code == 0, "tealctl rollback: %s", firstLine(out+errs))
	_, err = r.Await(ctx, "shop", patience, "traffic on "+good, func(api.AppStatus) bool { return d.load.Latest() == good })
	d.must(err)
	d.say("order → traffic on %s: %s", good, since(asked))
	a, err = r.Await(ctx, "shop", patience, "held after the rollback", func(a api.AppStatus) bool { return a.State == "held" && a.Deploy == nil })
	d.must(err)
	d.check(a.Live.Version == good && a.Hold != nil && a.Hold.Reason == "checkout errors", "%s is live and the app is held, with who and why in the journal", good)
	d.scans()
	out, _, _ = r.Ctl(ctx, "history", "shop", "-n", "4")
	for line := range strings.Lines(out) {
		d.say("%s", strings.TrimRight(line, "\n"))
	}
}

// Reports as the scanners write them: nothing found, a critical finding, a secret.
const (
	trivyClean    = `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{},"Results":[]}`
	trivyCritical = `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{},"Results":[{"Target":"app","Vulnerabilities":[{"VulnerabilityID":"CVE-2026-1234","PkgName":"openssl","InstalledVersion":"3.0.1","FixedVersion":"3.0.2","Severity":"CRITICAL"}]}]}`
	gitleaksClean = `[]`
	gitleaksFound = `[{"RuleID":"aws-access-token","File":"settings.py","StartLine":3,"Secret":"REDACTED","Match":"REDACTED"}]`
)

// scans shows what scanners and emergencies decide. Approvals are always there.
func (d *demo) scans() {
	ctx, r := d.ctx, d.rig
	d.chapter("the policy asks for scans from now on: a critical finding, and a waiver that has expired")
	policy := d.fingerprint("")
	d.must(r.RequireScans("[]"))
	policy = d.fingerprint(policy)
	d.release("v1.4.0", 8, nil)
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	d.must(r.Attest(ctx, 8, "trivy", trivyCritical))
	d.must(r.Attest(ctx, 8, "gitleaks", gitleaksClean))
	d.blocked("finding_blocked", "v1.4.0 is refused: approved by two, but the scan found something critical")
	expired := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	d.must(r.RequireScans(fmt.Sprintf("[{id: CVE-2026-1234, scanner: trivy, app: shop, reason: not reachable, expiresAt: %s}]", expired)))
	d.say("the policy with an expired waiver is loaded: %.12s", d.fingerprint(policy))
	d.blocked("finding_blocked", "an expired waiver lets nothing pass")

	d.chapter("a secret is never waived")
	d.release("v1.4.1", 9, nil)
	d.must(r.Approve(ctx, "shop", "ann", "bob"))
	d.must(r.Attest(ctx, 9, "trivy", trivyClean))
	d.must(r.Attest(ctx, 9, "gitleaks", gitleaksFound))
	d.blocked("secret_found", "v1.4.1 is refused")
	out, _, code := r.Ctl(ctx, "verify", "shop", "--repo", r.Work, "--env", r.Env, "--policy", r.Path("trust.yaml"))
	d.check(code == 4 && strings.Contains(out, "aws-access-token"), "tealctl verify says the same offline and exits %d", code)

	d.chapter("an emergency: one person of its role, loud, and a debt until a normal approval follows")
	live := d.liveVersion()
	d.release("v1.5.0", 10, nil)
	d.must(r.Attest(ctx, 10, "trivy", trivyClean))
	d.must(r.Attest(ctx, 10, "gitleaks", gitleaksClean))
	d.blocked("approval_threshold", "v1.5.0 waits for approvals, "+live+" serves on")
	out, errs, code := r.Ctl(ctx, "approve", "shop", "--env", r.Env, "--repo", r.Work, "--key", r.Key("ann"), "--name", "ann", "--policy", r.Path("trust.yaml"),
		"--emergency", "--incident", "INC-2041", "--reason", "checkout fails for every user", "--waive", "approvals", "--yes", "--push")
	d.check(code == 0, "ann signs an emergency approval: %s", lastLines(out+errs, 1))
	d.live("v1.5.0", "v1.5.0 is live by emergency INC-2041")
	out, _, _ = r.Ctl(ctx, "status", "shop")
	d.check(strings.Contains(out, "INC-2041"), "tealctl status shows the debt: %s", lineWith(out, "INC-2041"))
	out, _, _ = r.Ctl(ctx, "events", "shop")
	d.check(strings.Contains(out, "EMERGENCY INC-2041"), "the journal has it: %s", lineWith(out, "EMERGENCY"))
}

// fingerprint waits until the agent has another policy than before, and names it.
func (d *demo) fingerprint(before string) string {
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		st, err := d.rig.Status(d.ctx)
		if err == nil && st.Policy.Fingerprint != before && st.Policy.Code == "" {
			return st.Policy.Fingerprint
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.check(false, "the policy was not loaded in %s", patience)
	return ""
}

// lineWith is the first line that holds a text.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// release commits a version of the shop.
func (d *demo) release(version string, sequence int, env map[string]string) {
	_, err := d.rig.Release(d.ctx, rig.Manifest{Version: version, Sequence: sequence, Env: env, Smoke: true})
	d.must(err)
}

// blocked waits until the app is refused for a reason, and checks that what was live
// serves on.
func (d *demo) blocked(reason, claim string) {
	a, err := d.rig.Await(d.ctx, "shop", patience, "blocked by "+reason, func(a api.AppStatus) bool {
		return a.State == "blocked" && string(a.Wait.Why) == reason
	})
	if err != nil {
		d.check(false, "%s: %v", claim, err)
		return
	}
	d.check(true, "%s (%s: %s)", claim, reason, firstLine(a.Wait.Detail))
}

// await waits until the app is refused with a text in its detail.
func (d *demo) await(text, claim string) {
	a, err := d.rig.Await(d.ctx, "shop", patience, text, func(a api.AppStatus) bool {
		return a.State == "blocked" && strings.Contains(a.Wait.Detail, text)
	})
	d.check(err == nil, "%s (%s)", claim, firstLine(a.Wait.Detail))
}

func (d *demo) live(version, claim string) {
	_, err := d.rig.Await(d.ctx, "shop", patience, version+" live", rig.Live(version))
	if !d.check(err == nil, "%s", claim) {
		d.must(err)
	}
}

// freezeRace edits a manifest after it was approved: the approvals are of the other
// digest. A freeze keeps the approved one from going live before the edit arrives.
func (d *demo) freezeRace(version string) {
	r := d.rig
	text, err := r.Text(d.ctx, rig.Manifest{Version: "v1.1.2", Sequence: 4, Smoke: true})
	d.must(err)
	d.live(version, version+", as approved, is live")
	_, err = r.Commit(d.ctx, "shop v1.1.2", map[string]string{r.ManifestPath("shop"): text})
	d.must(err)
	d.must(r.Approve(d.ctx, "shop", "ann"))
	tampered := strings.Replace(text, "SHOP_VERSION: v1.1.2", "SHOP_VERSION: v6.6.6", 1)
	_, err = r.Commit(d.ctx, "a small correction", map[string]string{r.ManifestPath("shop"): tampered})
	d.must(err)
	d.blocked("approval_digest_mismatch", "refused: the approvals are of the manifest before the edit")
	if d.load != nil {
		d.check(d.load.Latest() == version, "%s serves on", version)
	}
}

func (d *demo) liveVersion() string {
	a, err := d.rig.App(d.ctx, "shop")
	d.must(err)
	if a.Live == nil {
		d.must(fmt.Errorf("nothing is live"))
	}
	return a.Live.Version
}

// commitOf finds the commit that released a version.
func (d *demo) commitOf(version string) string {
	out, err := d.rig.Git(d.ctx, "log", "--format=%H", "-1", "--grep", "^shop "+version+"$")
	d.must(err)
	return out
}

// engineTime is how long the last release took from preparing to checked: the
// engine's own create, start and the app's first healthy answers.
func (d *demo) engineTime() time.Duration {
	var from, to time.Time
	err := api.NewClient(d.rig.Socket()).Events(d.ctx, "shop", 0, false, func(e api.Event) error {
		switch {
		case strings.Contains(e.Text, "→ preparing"):
			from = e.Time
		case strings.Contains(e.Text, "checking → confirming"):
			to = e.Time
		}
		return nil
	})
	d.must(err)
	return to.Sub(from)
}

func (d *demo) leave() {
	fmt.Printf("\nleft running. Look:\n  export TEAL_SOCKET=%s PATH=%s:$PATH\n  tealctl status shop -w\n  tealctl explain shop\n  curl -H 'Host: %s' http://%s/\nEnd it: it ends with this terminal; press Ctrl-C.\n",
		d.rig.Socket(), d.rig.Bin, rig.Host, d.rig.Front)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	<-ctx.Done()
	stop()
	if err := d.rig.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "demo: clean up: "+err.Error())
	}
	d.rig = nil
}

func (d *demo) result() int {
	if d.load != nil {
		d.load.Stop()
		fmt.Printf("\nload: %d requests, %d good, %d errors of the bad release's own, %d failed\n",
			d.load.Sent.Load(), d.load.Good.Load(), d.load.Errors.Load(), d.load.Failed.Load())
		d.check(d.load.Failed.Load() == 0, "no request failed in any swap, revert, crash or rollback")
		for _, f := range d.load.Failures() {
			d.say("failed: %s", f)
		}
		d.load = nil
	}
	fmt.Printf("\ntotal %s\n", since(d.began))
	for _, claim := range d.failed {
		fmt.Println("✖ " + claim)
	}
	if len(d.failed) > 0 && d.rig != nil {
		fmt.Println("the agent's last lines:\n" + lastLines(d.rig.AgentLog(), 30))
	}
	fmt.Printf("%d passed, %d failed\n", d.passed, len(d.failed))
	if len(d.failed) > 0 {
		return 1
	}
	return 0
}

func since(t time.Time) string { return time.Since(t).Round(time.Millisecond).String() }

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
