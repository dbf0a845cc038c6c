package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// TestNewerScanIsRemembered: what a refused release's evidence shows is kept, so that
// deleting it helps nobody; older news changes nothing.
func TestNewerScanIsRemembered(t *testing.T) {
	w := scripted(t)
	w.push(1, false)
	w.want.Verdict.Seen = map[string]time.Time{"aa/trivy": t0.Add(time.Hour), "aa/snyk": t0}
	w.calm()
	if got := w.state.Scans["aa/trivy"]; !got.Equal(t0.Add(time.Hour)) {
		t.Fatalf("remembered %v", w.state.Scans)
	}
	w.want.Verdict.Seen = map[string]time.Time{"aa/trivy": t0}
	w.calm()
	if got := w.state.Scans["aa/trivy"]; !got.Equal(t0.Add(time.Hour)) || len(w.state.Scans) != 2 {
		t.Errorf("forgot: %v", w.state.Scans)
	}
}

// TestScansAreBounded: the newest stay, and the old ones do not come back again and again.
func TestScansAreBounded(t *testing.T) {
	s := State{}
	all := map[string]time.Time{}
	for i := range maxScans + 100 {
		all[fmt.Sprintf("%04d/trivy", i)] = t0.Add(time.Duration(i) * time.Minute)
	}
	s.remember(Remember{Scans: all}, t0)
	if _, old := s.Scans["0099/trivy"]; len(s.Scans) != maxScans || old {
		t.Fatalf("%d kept, the old one %v", len(s.Scans), old)
	}
	in := Input{Past: s, Want: Want{Verdict: trust.Verdict{Seen: all}}}
	if again := remembers(in); again != nil {
		t.Errorf("learned again: %d", len(again.Scans))
	}
}

// TestNothingGoesBackLater: a record of what was learned never comes before a step back
// or one that is urgent.
func TestNothingGoesBackLater(t *testing.T) {
	for _, step := range []Step{
		Act{Effect{Kind: SwitchTo, Back: true}},
		Cancel{Effect: "d-1/1"},
		Note{Record{Kind: RecEnter, Enter: &Enter{Phase: Reverting}}},
		Note{Record{Kind: RecBegin, Begin: &Deployment{Kind: KindRollback}}},
		Note{Record{Kind: RecSettle, Settle: &Settle{Phase: Live}}},
	} {
		if mayRemember(step) {
			t.Errorf("%+v waits for a record", step)
		}
	}
}

// TestEmergency: it passes what it names, is remembered once, and is a debt until a
// normal approval of the same release follows.
func TestEmergency(t *testing.T) {
	use := func(waives ...string) *trust.EmergencyUse {
		return &trust.EmergencyUse{Incident: "INC-7", Waives: waives}
	}
	t.Run("freeze", func(t *testing.T) {
		w := scripted(t)
		w.push(1, true)
		w.calm()
		w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
		w.push(2, true)
		w.want.Verdict.Emergency = use(trust.WaiveApprovals)
		w.calm()
		if w.state.Live.Sequence == w.want.Set.Sequence {
			t.Fatal("a freeze was passed by an emergency that does not waive it")
		}
		w.push(3, true)
		w.want.Verdict.Emergency = use(trust.WaiveFreeze)
		w.calm()
		if w.state.Live.Sequence != w.want.Set.Sequence {
			t.Fatalf("not live: %s %v", w.state.Phase(), w.state.Deploy)
		}
		debt := w.state.Debt()
		if debt == nil || debt.Incident != "INC-7" || len(w.state.Emergencies) != 2 {
			t.Fatalf("debt %+v of %+v", debt, w.state.Emergencies)
		}
		w.push(3, true) // the normal approval
		w.calm()
		if w.state.Debt() != nil {
			t.Error("still a debt")
		}
	})
	t.Run("hold", func(t *testing.T) {
		w := scripted(t)
		w.push(1, true)
		w.calm()
		w.push(2, true)
		w.calm()
		w.order(OrderRollback, "")
		w.calm()
		w.push(2, true)
		w.calm()
		if w.state.Live.Sequence == w.want.Set.Sequence {
			t.Fatal("the hold did not hold")
		}
		w.want.Verdict.Emergency = use(trust.WaiveHold)
		w.calm()
		if w.state.Live.Sequence != w.want.Set.Sequence {
			t.Errorf("the hold was not passed: %v", w.state.Hold)
		}
	})
	t.Run("quarantine", func(t *testing.T) {
		w := scripted(t)
		w.push(1, true)
		w.calm()
		w.push(2, true)
		w.fleet.Quarantine = []Quarantine{{App: "shop", Digest: w.want.Set.ID.Digest, Inputs: "*", Host: "*", Why: release.BakeFailed, At: w.now}}
		w.want.Verdict.Emergency = use(trust.WaiveHold, trust.WaiveFreeze)
		w.calm()
		if w.state.Live.Sequence == w.want.Set.Sequence {
			t.Error("a quarantine was passed")
		}
	})
}
