package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/rig"
)

// TestKillAgent kills the agent with SIGKILL at chosen calls, on the real engine and
// under load, and starts it again. It must end where it would have ended, with one
// live colour, no orphan and no failed request. (Every call there is, in every state,
// is crashed at in internal/sim.)
func TestKillAgent(t *testing.T) {
	bin, err := crashBin()
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, rig.Options{Bin: bin})
	up(t, r)
	load := r.StartLoad(rig.LoadShape{Fast: 4, Posts: 2, Slow: 2, SlowFor: 500 * time.Millisecond, Pause: 20 * time.Millisecond})
	defer load.Stop()
	points := []struct {
		name, at string
		bad      bool // the release fails after its switch
		rollback bool
	}{
		{name: "after create", at: "release/preparing/create/after"},
		{name: "after start", at: "release/starting/start/after"},
		{name: "before the switch", at: "release/switching/put/before"},
		{name: "after the switch", at: "release/switching/put/after"},
		{name: "in handover, old workers stopped", at: "release/handover/stop/after"},
		{name: "in handover, new workers started", at: "release/handover/start/after"},
		{name: "in the bake", at: "release/baking/append_outcome/after"},
		{name: "before the stop of the old colour", at: "release/retiring/stop/before"},
		{name: "in a revert, before the flip", at: "release/reverting/put/before", bad: true},
		{name: "in a revert, after the flip", at: "release/reverting/put/after", bad: true},
		{name: "in a rollback, before the switch", at: "rollback/switching/put/before", rollback: true},
		{name: "in a rollback, after the switch", at: "rollback/switching/put/after", rollback: true},
	}
	live := "v1.0.0"
	var table strings.Builder
	for i, p := range points {
		version := fmt.Sprintf("v1.%d.0", i+1)
		m := rig.Manifest{Version: version, Sequence: i + 2}
		if p.bad {
			m.Env = map[string]string{"SHOP_FAIL_AFTER": "1s"}
		}
		if p.rollback { // a proven release to come from
			deploy(t, r, m)
		}
		if err := r.StopAgent(); err != nil {
			t.Fatal(err)
		}
		if err := r.StartAgent(t.Context(), "TEAL_CRASH="+p.at); err != nil {
			t.Fatal(err)
		}
		if p.rollback {
			await(t, r, "known", func(a api.AppStatus) bool { return a.Live != nil })
			if out, errs, code := r.Ctl(t.Context(), "rollback", "shop", "--reason", "try", "--yes"); code != 0 {
				t.Fatalf("%s: rollback: exit %d: %s%s", p.name, code, out, errs)
			}
		} else if _, err := r.Release(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if !r.AgentEnded(60 * time.Second) {
			a, _ := r.App(t.Context(), "shop")
			t.Fatalf("%s: the agent did not come to %s; the app is %s %s", p.name, p.at, a.State, a.Wait.Why)
		}
		killed := time.Now()
		if err := r.StartAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "live"
		var a api.AppStatus
		switch {
		case p.rollback:
			want = "held"
			a = await(t, r, "rolled back and held", func(a api.AppStatus) bool {
				return a.State == "held" && a.Deploy == nil && a.Live.Version == live
			})
		case p.bad:
			want = "reverted"
			a = await(t, r, "reverted", func(a api.AppStatus) bool { return a.State == "reverted" && a.Live.Version == live })
		default:
			live = version
			a = await(t, r, version+" live", rig.Live(version))
		}
		fmt.Fprintf(&table, "%-36s %-40s -> %-8s in %s\n", p.name, p.at, want, time.Since(killed).Round(10*time.Millisecond))
		serves(t, r, live)
		tidy(t, r, a)
		if n := load.Failed.Load(); n > 0 {
			t.Fatalf("%s: %d requests failed: %v", p.name, n, load.Failures())
		}
	}
	load.Stop()
	t.Logf("kill -9 of the agent, %d requests sent, %d failed:\n%s", load.Sent.Load(), load.Failed.Load(), table.String())
	if load.Sent.Load() < 1000 {
		t.Errorf("only %d requests were sent: the load was not there", load.Sent.Load())
	}
}
