package release

import (
	"slices"
	"strings"
	"testing"
)

// TestEveryReasonHasAPage: summary, how it comes about, what to do, who can do it and an
// example, none of them empty or too short to help, none copied from another entry.
func TestEveryReasonHasAPage(t *testing.T) {
	whos := []string{byNobody, byAnyone, byAuthor, byApp, byApprover, byPipeline, bySecurity, byRepo, byOperator, byRoot}
	seen := map[string]Code{}
	for _, e := range Entries() {
		if e.Why == "" {
			t.Errorf("%s %s has no page: add a line to the map of its room in explain_*.go", e.ID, e.Code)
			continue
		}
		if len(e.Why) < 40 || !strings.HasSuffix(e.Why, ".") {
			t.Errorf("%s: how it comes about is no sentence of use: %q", e.Code, e.Why)
		}
		if other := seen[e.Why]; other != "" || e.Why == e.Summary {
			t.Errorf("%s: the same words as %s", e.Code, other)
		}
		seen[e.Why] = e.Code
		if !slices.Contains(whos, e.Who) {
			t.Errorf("%s: who acts is %q", e.Code, e.Who)
		}
		if len(e.Example) < 8 || strings.Contains(e.Example, "\n") {
			t.Errorf("%s: the example is no line of use: %q", e.Code, e.Example)
		}
		if len(e.Summary) < 20 || len(e.Next) < 13 {
			t.Errorf("%s: too short: %q, %q", e.Code, e.Summary, e.Next)
		}
	}
}

// TestNoPageIsLeftOver: each page is of a reason.
func TestNoPageIsLeftOver(t *testing.T) {
	for _, room := range pages {
		for code := range room {
			if _, ok := Lookup(code); !ok {
				t.Errorf("a page for %s, which is no reason", code)
			}
		}
	}
}

func TestExplainFinds(t *testing.T) {
	for _, name := range []string{"approval_threshold", "APPROVAL_THRESHOLD", "approval-threshold", "TEAL-3001", "teal-3001", "3001"} {
		if e, ok := Explain(name); !ok || e.Code != ApprovalThreshold {
			t.Errorf("Explain(%q) is %+v", name, e)
		}
	}
	for _, name := range []string{"", "shop", "TEAL-30011", "TEAL-0000", "threshold", "\x00"} {
		if e, ok := Explain(name); ok {
			t.Errorf("Explain(%q) is %+v", name, e)
		}
	}
}

func TestNear(t *testing.T) {
	for name, want := range map[string]string{
		"aproval_threshold": "approval_threshold", "aproval-treshold": "approval_threshold", "threshold": "approval_threshold,policy_threshold",
		"TEAL-3000": "TEAL-3001", "oom": "", "crashloop": "crash_loop", "shop": "", "": "", strings.Repeat("frozen", 99): "",
	} {
		if got := strings.Join(Near(name), ","); got != want {
			t.Errorf("Near(%.20q) is %q, want %q", name, got, want)
		}
	}
}
