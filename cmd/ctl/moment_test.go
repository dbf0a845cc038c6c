package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/rollout"
)

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 3, 15, 0, time.UTC)
	was := time.Local
	defer func() { time.Local = was }()
	time.Local = time.FixedZone("two hours east", 2*3600)
	for _, c := range []struct {
		text string
		sign int
		want string // "": refused
	}{
		{"2026-12-24T08:00:00Z", 1, "2026-12-24T08:00:00Z"},
		{"2026-12-24T08:00:00+01:00", 1, "2026-12-24T07:00:00Z"},
		{"2026-11-30 08:00", 1, "2026-11-30T06:00:00Z"},
		{"2026-11-30T08:00", 1, "2026-11-30T06:00:00Z"},
		{"2026-11-30", 1, "2026-11-29T22:00:00Z"},
		{"4h", 1, "2026-11-23T18:03:15Z"},
		{"2d", 1, "2026-11-25T14:03:15Z"},
		{"7d", -1, "2026-11-16T14:03:15Z"},
		{"90m", -1, "2026-11-23T12:33:15Z"},
		{"2026-11-01", -1, "2026-10-31T22:00:00Z"},
		{"2026-11-01", 1, ""}, {"2026-12-24", -1, ""}, {"-4h", 1, ""}, {"-1d", -1, ""}, {"0d", 1, ""}, {"99999999d", 1, ""}, {"1.5d", 1, ""}, {"d", 1, ""}, {"", 1, ""}, {"tomorrow", 1, ""},
	} {
		at, err := moment(c.text, now, c.sign)
		got := ""
		if err == nil {
			got = at.UTC().Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%q in direction %d is %q (%v), want %q", c.text, c.sign, got, err, c.want)
		}
	}
}

// TestFreezeNamesTheEnvironment: its name means all of it, unless an app has that name.
func TestFreezeNamesTheEnvironment(t *testing.T) {
	a := startAgent(t, liveApp("shop"))
	for _, c := range []struct{ args, did string }{{"freeze production", "freeze "}, {"unfreeze production", "unfreeze "}, {"freeze shop", "freeze shop"}, {"unfreeze shop", "unfreeze shop"}, {"freeze", "freeze "}} {
		args := append(strings.Fields(c.args), "--reason", "x")
		if strings.HasPrefix(c.args, "freeze") {
			args = append(args, "--yes", "--until", "2d")
		}
		out, errs, code := a.ctl(args...)
		if did := a.orders(); code != 0 || did[len(did)-1] != c.did {
			t.Errorf("%s: exit %d, %q: %s%s", c.args, code, did, out, errs)
		}
		if left := time.Until(a.until); strings.HasPrefix(c.args, "freeze") && (left < 47*time.Hour || left > 48*time.Hour) {
			t.Errorf("%s --until 2d ends in %v", c.args, left)
		}
	}
	a.show(liveApp("shop"), liveApp("production"))
	if _, errs, code := a.ctl("freeze", "production", "--reason", "x", "--yes"); code != 0 || a.orders()[len(a.orders())-1] != "freeze production" {
		t.Errorf("an app of the environment's name: exit %d, %q: %s", code, a.orders(), errs)
	}
}

// TestHistorySince asks for all that ended later, with a bound only where one is given.
func TestHistorySince(t *testing.T) {
	a := startAgent(t, deploying("shop", rollout.Baking))
	if _, errs, code := a.ctl("history", "--since", "7d"); code != 0 || time.Since(a.since).Round(time.Hour) != 168*time.Hour {
		t.Errorf("exit %d, since %v: %s", code, a.since, errs)
	}
	if _, errs, code := a.ctl("history", "--since", "7d", "-v"); code != 0 || !strings.Contains(errs, "n=10000&since=") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := a.ctl("history", "--since", "7d", "-n", "3", "-v"); code != 0 || !strings.Contains(errs, "n=3&since=") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := a.ctl("history", "--since", "2126-01-01"); code != exitUsage || !strings.Contains(errs, "is not past") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
