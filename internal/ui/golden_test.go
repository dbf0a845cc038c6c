package ui

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

var update = flag.Bool("update", false, "write testdata anew")

// variants are the ways in which each screen is drawn.
var variants = map[string]Style{
	"060":       {Human: true, Header: true, Width: 60},
	"080":       {Human: true, Header: true, Width: 80},
	"120":       {Human: true, Header: true, Width: 120},
	"colour":    {Human: true, Header: true, Width: 120, Colour: true},
	"ascii":     {Human: true, Header: true, Width: 120, ASCII: true},
	"pipe":      {Header: true},
	"wide":      {Header: true, Wide: true},
	"no-header": {},
}

// screens are all that tealctl draws.
func screens() map[string]func(Style) string {
	debt := fullStatus()
	debt.Apps = debt.Apps[:1]
	debt.Apps[0].Debt = &api.Debt{Incident: "INC-2041", Since: before(3 * 3600e9), FollowUpBy: now.Add(3600e9)}
	troubled := fullStatus()
	troubled.Proxy = api.PartStatus{Detail: "dial unix /run/teal-proxy/main.sock: connect: connection refused"}
	troubled.Frozen = []rollout.Freeze{{Reason: "sale weekend", Actor: "jo (uid 1001)", Until: now.Add(48 * 3600e9)}}
	mirror := only(fullStatus(), "shop")
	mirror.Repository.LastHook = before(40 * time.Second)
	mirror.Repository.Places = []api.PlaceStatus{
		{URL: "https://git.example.com/releases.git", Code: release.RepoUnreachable, Detail: "connect to git.example.com:443: connection refused"},
		{URL: "git@mirror-1.example.com:releases.git", Code: release.MirrorBehind, Detail: "branch main is behind"},
		{URL: "/srv/mirror/releases.git", InUse: true}}
	refs := fullStatus()
	refs.Repository.Refs = []api.RefStatus{{Name: "refs/heads/main", Head: refs.Repository.Head, Desired: true}, {Name: "refs/tags/v1.10.0", Head: refs.Repository.Head, Desired: true},
		{Name: "refs/heads/phase-3/payments", Head: refs.Repository.Head, Desired: true}, {Name: "refs/heads/approvals", Head: refs.Repository.Head}}
	for i := range refs.Apps {
		refs.Apps[i].Ref = "refs/tags/v1.10.0"
	}
	preparing := only(fullStatus(), "api")
	preparing.Apps[0].State = "preparing"
	d := preparing.Apps[0].Deploy
	d.Phase, d.Samples = rollout.Preparing, 0
	d.SwitchedAt, d.BakeEnds = noTime, noTime
	preparing.Apps[0].Wait = api.Wait{Why: release.Working}
	reverting := only(fullStatus(), "api")
	reverting.Apps[0].State = "reverting"
	reverting.Apps[0].Deploy.Phase, reverting.Apps[0].Deploy.Why = rollout.Reverting, release.BakeBurst
	reverting.Apps[0].Wait = api.Wait{Why: release.BakeBurst, Detail: "31 of the last 40 requests failed"}
	first := only(fullStatus(), "api")
	first.Apps[0].Deploy.From, first.Apps[0].Live = nil, nil
	live := api.Explanation{App: "shop", Version: "v2.14.0", Summary: "shop v2.14.0 is live and is what Git wants", Code: release.Converged, ID: "TEAL-4001", Next: "Nothing to do."}
	reason, _ := release.Explain("approval_threshold")
	same := somePlan()
	same.Different = false
	ordered := api.Explanation{App: "api", Version: "v5.3.0", Summary: "api is held at v5.2.0: rolled_back", Code: release.RolledBack, Detail: "by ann (uid 1000): checkout errors", Trace: "4bf92f3577b34da6a3ce929d0e0e4736", ID: "TEAL-4009", Next: "Commit a newer release."}
	return map[string]func(Style) string{
		"status":          func(s Style) string { return s.Status(fullStatus(), "") },
		"status-app":      func(s Style) string { return s.Status(fullStatus(), "search") },
		"status-none":     func(s Style) string { return s.Status(api.Status{Environment: "staging", Host: "h", Now: now}, "") },
		"status-debt":     func(s Style) string { return s.Status(debt, "") },
		"status-mirror":   func(s Style) string { return s.Status(mirror, "") },
		"status-refs":     func(s Style) string { return s.Status(refs, "search") },
		"status-troubled": func(s Style) string { return s.Status(troubled, "") },
		"watch-preparing": func(s Style) string { return s.Watch(preparing, "api") },
		"watch-baking":    func(s Style) string { return s.Watch(only(fullStatus(), "api"), "api") },
		"watch-blocked":   func(s Style) string { return s.Watch(only(fullStatus(), "search"), "search") },
		"watch-reverting": func(s Style) string { return s.Watch(reverting, "api") },
		"watch-first":     func(s Style) string { return s.Watch(first, "api") },
		"watch-idle":      func(s Style) string { return s.Watch(only(fullStatus(), "shop"), "shop") },
		"watch-lines": func(s Style) string {
			var b strings.Builder
			for _, a := range fullStatus().Apps {
				b.WriteString(s.Transition(a, now) + "\n")
			}
			return b.String()
		},
		"explain-blocked": func(s Style) string { return s.Explain(blockedExplanation()) },
		"explain-live":    func(s Style) string { return s.Explain(live) },
		"explain-held":    func(s Style) string { return s.Explain(ordered) },
		"explain-reason":  func(s Style) string { return s.Reason(reason) },
		"history":         func(s Style) string { return s.History(someHistory(), now) },
		"diff":            func(s Style) string { return s.Diff(somePlan()) },
		"diff-same":       func(s Style) string { return s.Diff(same) },
		"plan":            func(s Style) string { return s.Plan(somePlan()) },
		"plan-same":       func(s Style) string { return s.Plan(same) },
		"plan-unknown": func(s Style) string {
			unknown := api.Plan{App: "shop", From: "v1.2.2", Blocked: &api.Wait{Why: release.RepoUnreachable, Detail: "connect to git.example.com:443: connection refused"}}
			return s.Plan(unknown) + s.Diff(unknown)
		},
		"plan-elsewhere": func(s Style) string {
			return s.Plan(api.Plan{App: "shop", From: "v1.2.2", To: "v1.2.3", Digest: "aaaaaaaaaaaa",
				Blocked: &api.Wait{Why: "not_placed", Detail: "the app runs on other hosts: it wants the label zone: b, this host has a"}})
		},
		"rollback-plan": func(s Style) string { return s.OrderPlan(rollbackPlan()) },
		"rollback-done": func(s Style) string { return s.Done(api.Done{Text: "api goes back to v5.2.0 and is held there"}) },
		"freeze-plan":   func(s Style) string { return s.OrderPlan(freezePlan()) },
		"hostile":       func(s Style) string { return s.Watch(hostileStatus(), "") },
	}
}

// replies are those of the screens as programs read them. cmd/ctl holds the files to the
// published schema.
func replies() map[string]any {
	troubled := fullStatus()
	troubled.Frozen = []rollout.Freeze{{Reason: "sale weekend", Actor: "jo (uid 1001)", Until: now.Add(48 * 3600e9), At: now}}
	troubled.Repository.Places = []api.PlaceStatus{{URL: "https://git.example.com/releases.git", Code: release.RepoUnreachable, Detail: "connection refused"}}
	troubled.Apps[0].Debt = &api.Debt{Incident: "INC-2041", Since: before(3 * 3600e9)}
	return map[string]any{"status": fullStatus(), "status-troubled": troubled, "hostile": hostileStatus(), "explain-blocked": blockedExplanation(),
		"history": someHistory(), "plan": somePlan(), "rollback-plan": rollbackPlan(), "freeze-plan": freezePlan()}
}

// TestJSONScreens compares what -o json prints of the screens' replies.
func TestJSONScreens(t *testing.T) {
	for name, reply := range replies() {
		got, err := json.MarshalIndent(reply, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		file := filepath.Join("testdata", name, "json.golden")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("not as %s (run with -update when it is meant): %s", file, d)
		}
	}
}

func only(st api.Status, app string) api.Status {
	for _, a := range st.Apps {
		if a.App == app {
			st.Apps = []api.AppStatus{a}
			return st
		}
	}
	panic("no app " + app)
}

// TestScreens compares each screen in each variant with its golden file, and holds it to
// the rules of output: nothing but our own colour sequences, in width, ASCII where asked.
func TestScreens(t *testing.T) {
	for name, draw := range screens() {
		for variant, style := range variants {
			if name == "watch-lines" && style.Human {
				continue // they are for pipes
			}
			t.Run(name+"/"+variant, func(t *testing.T) {
				got := draw(style)
				file := filepath.Join("testdata", name, variant+".golden")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got); d != "" {
					t.Errorf("not as %s (run with -update when it is meant): %s", file, d)
				}
				rules(t, style, got)
			})
		}
	}
}

func rules(t *testing.T, s Style, screen string) {
	t.Helper()
	for line := range strings.SplitSeq(screen, "\n") {
		plain := line
		for i := strings.Index(plain, "\x1b["); i >= 0; i = strings.Index(plain, "\x1b[") {
			e := escape(plain[i:])
			if !s.Colour || e == "" || strings.Trim(e, "\x1b[m0123456789") != "" {
				t.Fatalf("a sequence that is not our colour: %q", line)
			}
			plain = plain[:i] + plain[i+len(e):]
		}
		for _, r := range plain {
			if !unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Cc) {
				t.Fatalf("%U in %q", r, line)
			}
			if s.ASCII && r > unicode.MaxASCII {
				t.Fatalf("%q is not ASCII: %q", r, line)
			}
		}
		if s.Width > 0 && width(plain) > s.Width {
			t.Errorf("%d columns, the terminal has %d: %q", width(plain), s.Width, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("spaces at the end: %q", line)
		}
		if !s.Human && strings.Contains(line, " ago") {
			t.Errorf("a relative time in a pipe: %q", line)
		}
	}
}

// TestPipesHaveTheSameColumns: awk sees the columns that people see.
func TestPipesHaveTheSameColumns(t *testing.T) {
	for name, draw := range screens() {
		header := func(s Style) string {
			for line := range strings.Lines(draw(s)) {
				if strings.HasPrefix(line, "APP ") {
					return strings.Join(strings.Fields(line), " ")
				}
			}
			return ""
		}
		human := variants["120"]
		human.Width = 0
		if h, p := header(human), header(variants["pipe"]); h != p {
			t.Errorf("%s: %q for people, %q in a pipe", name, h, p)
		}
	}
}
