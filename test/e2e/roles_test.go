package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/rig"
)

// TestRoles asks the control socket as root, as a member of the operators' group, of
// the viewers' group, and of neither: the kernel says who asks, the journal keeps it.
func TestRoles(t *testing.T) {
	r := open(t, rig.Options{AgentConfig: "groups: {operators: \"64001\", viewers: \"64002\"}\n"})
	up(t, r)
	as := func(uid, gid uint32, groups ...uint32) *syscall.Credential {
		return &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
	for _, c := range []struct {
		name           string
		as             *syscall.Credential
		reads, changes bool
	}{
		{"root", as(0, 0), true, true},
		{"operator, by a second group", as(64101, 64900, 64001), true, true},
		{"operator, by the first group", as(64102, 64001), true, true},
		{"viewer", as(64103, 64900, 64002), true, false},
		{"neither", as(64104, 64900), false, false},
	} {
		code := func(allowed bool) int {
			if allowed {
				return 0
			}
			return 4
		}
		for _, read := range [][]string{{"status"}, {"status", "-o", "json"}, {"history"}, {"events"}, {"explain", "shop"}, {"plan", "shop"}, {"logs", "shop", "backend"}} {
			if _, errs, got := r.CtlAs(t.Context(), c.as, read...); got != code(c.reads) {
				t.Errorf("%s: tealctl %v: exit %d, want %d: %s", c.name, read, got, code(c.reads), errs)
			}
		}
		reason := "asked by " + c.name
		for _, change := range [][]string{
			{"freeze", "shop", "--reason", reason, "--yes"}, {"unfreeze", "shop", "--reason", reason},
			{"sync"}, {"resume", "shop", "--reason", reason}, {"retry", "shop", "--reason", reason},
		} {
			_, errs, got := r.CtlAs(t.Context(), c.as, change...)
			if got != code(c.changes) {
				t.Errorf("%s: tealctl %v: exit %d, want %d: %s", c.name, change, got, code(c.changes), errs)
			}
			if !c.changes && !strings.Contains(errs, "teal-operators") {
				t.Errorf("%s: tealctl %v does not say what is missing: %s", c.name, change, errs)
			}
		}
	}
	text := ""
	if err := api.NewClient(r.Socket()).Events(t.Context(), "", 0, false, func(e api.Event) error {
		text += e.Text + "\n"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"(uid 0): freeze shop", "uid 64101: freeze shop", "uid 64103: freeze", "uid 64104: /v1/status", "not_authorised"} {
		if !strings.Contains(text, want) {
			t.Errorf("the journal does not say %q:\n%s", want, text)
		}
	}
}
