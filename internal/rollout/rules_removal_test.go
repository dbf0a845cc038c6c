package rollout

import (
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// removed is a removal by release from its gates to its end.
func removed(c release.Colour) []string {
	return steps(c, "→ verifying", "→ preparing", "prepare %", "→ waiting", "ask_turn %", "→ migrating", "→ confirming", "confirm %", "→ switching")
}

func removalRules() []rule {
	end := []string{"withdraw green", "→ retiring", "retire blue", "remove green", "report good", "end_turn green", "ends absent: removed", "waits: removed"}
	return []rule{
		{name: "an approved removal", given: func(w *world) { w.liveZero().pushRemoval(1, true) },
			want: slices.Concat([]string{"begins release of v1.1.0 in green"}, removed(release.Green), end)},
		{name: "what is not approved removes nothing", given: func(w *world) { w.liveZero().pushRemoval(1, false) },
			want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ blocked: approval_threshold", "waits: approval_threshold"}},
		{name: "a removal waits while frozen", given: func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
		}, want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ preparing", "prepare green", "→ waiting", "waits: frozen"}},
		{name: "a newer release ends a removal that has withdrawn nothing", given: func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.until(Confirming, nil)
			w.push(2, true)
		}, stop: func(s State) bool { return s.Phase() == Verifying },
			want: []string{"→ reverting: newer_release", "drop green", "end_turn green", "ends superseded: newer_release", "begins release of v1.2.0 in green", "→ verifying"}},
		{name: "past the withdrawal nothing calls it back", given: func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.until(Retiring, nil)
			w.push(2, true)
			w.order(OrderRollback, "")
		}, fail: map[EffectKind]Result{Retire: Retryable, Remove: Retryable}, stop: ended,
			want: []string{"takes up rollback", "retire blue", "waits for a time: step_failed", "retire blue", "remove green", "waits for a time: step_failed", "remove green", "report good", "end_turn green", "ends absent: removed"}},
		{name: "a newer release comes as on a fresh host", given: func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.calm()
			w.push(2, true)
		}, want: slices.Concat([]string{"begins release of v1.2.0 in blue"}, through(release.Blue),
			[]string{"hand_start blue", "end_turn blue", "→ baking"}, baked(release.Blue), []string{"ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a rollback brings the last proven release back", given: func(w *world) {
			w.liveZero().pushRemoval(1, true)
			w.calm()
			w.order(OrderRollback, "")
		}, want: slices.Concat([]string{"takes up rollback", "begins rollback of v1.0.0 in blue"}, forced(release.Blue),
			[]string{"hand_start blue", "→ retiring", "ends live, held: rolled_back", "waits: rolled_back"})},
		{name: "an order removes what its placement names other hosts for", given: func(w *world) {
			w.liveZero().elsewhere()
			w.order(OrderRemove, "")
		}, want: []string{"takes up remove", "begins removal of v1.0.0 in green", "withdraw green", "→ retiring", "retire blue", "remove green", "ends absent: removed", "waits: not_placed"}},
	}
}

// TestRemovalLeaves: a removal keeps the mark against replay and what a rollback needs,
// unless it purged volumes.
func TestRemovalLeaves(t *testing.T) {
	w := scripted(t)
	w.liveZero().pushRemoval(1, true)
	w.calm()
	s := w.state
	if s.Phase() != Absent || s.Live != nil || s.Proven != nil || s.Shared != nil || s.Accepted.Sequence != 2 || len(s.Addresses()) != 0 {
		t.Errorf("%+v", s)
	}
	if targets := Targets(s); len(targets) != 1 || targets[0].Version != "v1.0.0" {
		t.Errorf("targets %+v", targets)
	}
	w.push(0, true)
	if wait := w.calm(); wait.Why != release.SequenceRollback || len(w.running) != 0 {
		t.Errorf("an older sequence after the removal: %+v", wait)
	}
	w = scripted(t)
	w.liveZero().pushRemoval(1, true, "data")
	w.calm()
	if targets := Targets(w.state); len(targets) != 0 {
		t.Errorf("targets without their data: %+v", targets)
	}
	w.order(OrderRollback, "")
	n, ok := Next(w.input(), w.now).(Note)
	if !ok || n.Record.Order == nil || n.Record.Order.Refused != release.RollbackNoTarget || !strings.Contains(n.Record.Order.Detail, "purged the volumes data") {
		t.Errorf("a rollback after a purge: %+v", n.Record.Order)
	}
}

// TestRemovalRefused: an order removes nothing that Git wants here.
func TestRemovalRefused(t *testing.T) {
	for name, c := range map[string]struct {
		given func(w *world)
		says  string
	}{
		"wanted here":  {func(w *world) { w.liveZero() }, "Git wants v1.0.0"},
		"unreadable":   {func(w *world) { w.liveZero(); w.want = Want{Unknown: release.NoCommitYet} }, "cannot be read"},
		"nothing here": {func(w *world) { w.push(0, true); w.elsewhere() }, "nothing of it"},
	} {
		t.Run(name, func(t *testing.T) {
			w := scripted(t)
			c.given(w)
			w.order(OrderRemove, "")
			n, ok := Next(w.input(), w.now).(Note)
			if !ok || n.Record.Order == nil || n.Record.Order.Refused != release.NotRemovable || !strings.Contains(n.Record.Order.Detail, c.says) {
				t.Errorf("%+v", n.Record.Order)
			}
			w.calm()
			if w.state.Phase() == Absent {
				t.Error("removed")
			}
		})
	}
}
