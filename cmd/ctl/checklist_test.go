package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/trust"
)

func parsedFlags(t interface{ Fatal(...any) }, args ...string) checkFlags {
	var q checkFlags
	c := &cobra.Command{}
	q.flags(c)
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return q
}

// TestOnlyEvidenceVerifies: whatever a person says, a line is verified if and only if
// evidence says so.
func TestOnlyEvidenceVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var args []string
		ticks := map[string]tick{}
		for _, i := range items {
			if rapid.Bool().Draw(t, i.name+" said") {
				args = append(args, "--"+i.name, rapid.SampledFrom([]string{"confirmed", "not_applicable", "verified", "Verified", ""}).Draw(t, i.name))
			}
			switch rapid.IntRange(0, 2).Draw(t, i.name+" evidence") {
			case 1:
				ticks[i.name] = tick{Verified: true, Note: "seen"}
			case 2:
				ticks[i.name] = tick{Against: "not so"}
			}
		}
		q := parsedFlags(t, args...)
		if q.check() != nil {
			return
		}
		answer := rapid.SampledFrom([]trust.CheckState{trust.Confirmed, trust.NotApplicable}).Draw(t, "answer")
		list, err := q.settle(ticks, func(item) (trust.CheckState, error) { return answer, nil })
		if err != nil {
			return
		}
		for _, i := range items {
			line := lineOf(&list, i.name)
			if (line.State == trust.Verified) != ticks[i.name].Verified {
				t.Fatalf("%s is %s with evidence %+v and %v", i.name, line.State, ticks[i.name], args)
			}
			if ticks[i.name].Against != "" && line.State == trust.NotApplicable {
				t.Fatalf("%s is passed over although %+v", i.name, ticks[i.name])
			}
		}
	})
}

func TestChecklistTextIsSafe(t *testing.T) {
	list := trust.Checklist{Tests: trust.Check{State: trust.Verified, Note: "a\x1b[2Jb\nforged line"}, Scans: trust.Check{State: trust.Confirmed},
		Staging: trust.Check{State: trust.Confirmed}, Migrations: trust.Check{State: trust.Confirmed}, Rollback: trust.Check{State: trust.Confirmed}}
	text := checklistText(list, nil)
	if strings.ContainsRune(text, '\x1b') || strings.Contains(text, "\nforged") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(text, "nothing here verifies it") {
		t.Errorf("a claim without evidence is not marked:\n%s", text)
	}
}
