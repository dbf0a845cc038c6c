package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/rig"
)

// TestWaitOnARealHost: what --wait, --dry-run and explain say of a real agent that goes
// forward, back, and forward again.
func TestWaitOnARealHost(t *testing.T) {
	r := open(t, rig.Options{})
	up(t, r)
	ctl := func(want int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, code := r.Ctl(t.Context(), args...)
		if code != want {
			t.Fatalf("tealctl %v: exit %d, want %d: %s%s", args, code, want, out, errs)
		}
		return out, errs
	}
	if _, err := r.Release(t.Context(), rig.Manifest{Version: "v1.1.0", Sequence: 2}); err != nil {
		t.Fatal(err)
	}
	out, _ := ctl(0, "sync", "shop", "--wait")
	if !strings.Contains(out, " shop live version=v1.1.0") {
		t.Errorf("sync --wait: %s", out)
	}
	serves(t, r, "v1.1.0")

	out, _ = ctl(0, "rollback", "shop", "--reason", "tried", "--dry-run")
	if !strings.Contains(out, "v1.1.0 → v1.0.0") || !strings.Contains(out, "held there") {
		t.Errorf("the plan: %s", out)
	}
	_, errs := ctl(2, "rollback", "shop", "--reason", "tried")
	if !strings.Contains(errs, "tealctl rollback shop --reason tried --yes") {
		t.Errorf("without --yes: %s", errs)
	}
	serves(t, r, "v1.1.0")
	out, _ = ctl(0, "rollback", "shop", "--reason", "tried", "--yes", "--wait", "-o", "json")
	last := ""
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var line struct{ APIVersion, Kind, State string }
		if err := d.Decode(&line); err != nil || line.APIVersion != api.Version {
			t.Fatalf("%v: %s", err, out)
		}
		last = line.Kind + " " + line.State
	}
	if last != "AppStatus held" {
		t.Errorf("rollback --wait ended with %q: %s", last, out)
	}
	serves(t, r, "v1.0.0")
	ctl(3, "status", "shop", "--wait") // held is settled, and not well
	out, _ = ctl(0, "explain", "shop")
	if !strings.Contains(out, "rolled_back") || !strings.Contains(out, "tealctl resume") {
		t.Errorf("explain: %s", out)
	}
	ctl(0, "resume", "shop", "--reason", "tried enough", "--wait")
	serves(t, r, "v1.1.0")
	out, _ = ctl(0, "history", "shop", "-o", "wide")
	t.Logf("the history:\n%s", out)
}
