package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// TestExplainNeedsNoAgent: every code and number is explained whole, in each format, from
// the binary alone.
func TestExplainNeedsNoAgent(t *testing.T) {
	for _, e := range release.Entries() {
		out, errs, code := ctl("explain", e.ID, "-o", "json", "--socket", "/does/not/exist")
		var got reasonReply
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Entry != e || got.Kind != "Reason" {
			t.Errorf("%s: exit %d, %v: %s%s", e.ID, code, err, out, errs)
		}
		out, _, _ = ctl("explain", string(e.Code), "--socket", "/does/not/exist")
		for _, part := range []string{e.ID, string(e.Code), e.Summary, e.Why, e.Next, e.Who, e.Example} {
			if !strings.Contains(out, part) {
				t.Errorf("%s does not say %q: %s", e.Code, part, out)
			}
		}
	}
	out, _, code := ctl("explain", "--list", "-o", "name")
	if ids := strings.Fields(out); code != 0 || len(ids) != len(release.Entries()) {
		t.Errorf("exit %d: %d of %d", code, len(ids), len(release.Entries()))
	}
}

// TestReasonsNameCommandsThatAre: what a next action or an example tells people to run is
// in the tree, with its flags.
func TestReasonsNameCommandsThatAre(t *testing.T) {
	root := (&tool{}).root()
	line := regexp.MustCompile(`tealctl ((?:[a-z-]+ ?)+)((?:(?:[^;|#.]|\.[a-z0-9])*))`)
	for _, e := range release.Entries() {
		for _, m := range line.FindAllStringSubmatch(e.Next+" ;"+e.Example, -1) {
			words := strings.Fields(m[1])
			c, _, err := root.Find(words[:min(2, len(words))])
			if slices.Contains([]string{"of", "app", "secrets"}, words[0]) {
				continue // prose (a tealctl of the agent's version), and commands of placement and secrets, which name their own reasons
			}
			if err != nil || c == root {
				t.Errorf("%s: there is no %q", e.ID, strings.TrimSpace(m[0]))
				continue
			}
			for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[0], -1) {
				if c.Flags().Lookup(flag[1]) == nil && c.InheritedFlags().Lookup(flag[1]) == nil && flag[1] != "help" {
					t.Errorf("%s: %s has no --%s", e.ID, c.CommandPath(), flag[1])
				}
			}
		}
	}
}

// TestExplainKnowsWhatWasMeant: a slip of the finger is named, with or without an agent.
func TestExplainKnowsWhatWasMeant(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	for name, want := range map[string]string{
		"aproval_threshold": "approval_threshold",
		"TEAL-3000":         "TEAL-3001",
		"crashloop":         "crash_loop",
		"frozn":             "frozen",
	} {
		_, errs, code := a.ctl("explain", name)
		if code != exitUsage || !strings.Contains(errs, "Did you mean "+want) {
			t.Errorf("%s: exit %d: %s", name, code, errs)
		}
	}
	if _, errs, code := a.ctl("explain", "nowhere"); code != exitUsage || !strings.Contains(errs, "there are: shop") || strings.Contains(errs, "mean") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := a.ctl("explain", "what ever\x1b[2J"); code != exitUsage || strings.Contains(errs, "\x1b") {
		t.Errorf("exit %d: %q", code, errs)
	}
}

// TestExplainOfAVersion is about that version, or says which are in sight.
func TestExplainOfAVersion(t *testing.T) {
	a := startAgent(t, deploying("shop", rollout.Blocked))
	a.explain = api.Explanation{Meta: meta("Explanation"), App: "shop", Version: "v1.3.0", Summary: "shop v1.3.0 is not deploying", Code: release.ApprovalThreshold, ID: "TEAL-3001", Waits: true,
		Next: "Someone of the role runs tealctl approve.", Status: deploying("shop", rollout.Blocked),
		Gates: []trust.Gate{{Name: trust.GateManifest, State: trust.GatePass}, {Name: trust.GateApprovals, State: trust.GateWait, Detail: "1 of 2", Who: []string{"ann@example.com"}}, {Name: trust.GateWindow, State: trust.GateSkipped}}}
	for _, version := range []string{"", "@v1.3.0", "@v1.2.3"} {
		out, errs, code := a.ctl("explain", "shop"+version)
		if code != exitBlocked {
			t.Fatalf("%s: exit %d: %s", version, code, errs)
		}
		at := 0
		for _, part := range []string{"shop v1.3.0 is not deploying", " 1 ", "manifest", " 2 ", "approvals", "1 of 2 (ann@example.com)", " 3 ", "window", "Next: Someone", "TEAL-3001"} {
			i := strings.Index(out[at:], part)
			if i < 0 {
				t.Errorf("%s: no %q in its place: %s", version, part, out)
				break
			}
			at += i
		}
	}
	if _, errs, code := a.ctl("explain", "shop@v9"); code != exitUsage || !strings.Contains(errs, "Git wants v1.3.0, v1.2.3 is live") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
