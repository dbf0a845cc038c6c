package fidelity

import (
	"os"
	"strings"
	"testing"
)

// TestIntendedIsDocumented sees that people find every intended difference in
// docs/compose.md, and no other there.
func TestIntendedIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/compose.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "## 3. ")
	section, _, _ = strings.Cut(section, "## 4. ")
	listed := map[string]bool{}
	for _, line := range strings.Split(section, "\n") {
		if why, ok := strings.CutPrefix(line, "- "); ok {
			listed[why] = true
		}
	}
	for _, r := range Intended {
		if !listed[r.Why] {
			t.Errorf("docs/compose.md does not list %q", r.Why)
		}
		delete(listed, r.Why)
	}
	for why := range listed {
		t.Errorf("docs/compose.md lists %q, which is no rule", why)
	}
}
