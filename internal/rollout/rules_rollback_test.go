package rollout

import (
	"slices"

	"github.com/tealops/teal/internal/release"
)

// Rollbacks that an operator orders.
func rollbackRules() []rule {
	return []rule{
		{name: "a rollback skips turn, confirmation and bake, and holds", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.order(OrderRollback, "")
		},
			want: slices.Concat([]string{"takes up rollback", "begins rollback of v1.0.0 in blue"},
				forced(release.Blue),
				[]string{
					"hand_stop green", "hand_start blue", "→ retiring", "retire green", "ends live, held: rolled_back",
					"waits: rolled_back",
				})},
		{name: "a rollback in the bake flips to the proven set", given: func(w *world) { bakingOne(w); w.order(OrderRollback, "") },
			want: []string{
				"takes up rollback", "→ reverting: rollback_ordered", "switch blue", "hand_stop green", "hand_start blue",
				"front_door blue", "retire green", "ends superseded: rollback_ordered", "holds: rolled_back", "waits: rolled_back",
			}},
		{name: "a rollback past the proven release: what was known stays off", given: func(w *world) {
			bakingOne(w)
			w.calm()
			w.push(2, true)
			w.until(Baking, nil)
			w.order(OrderRollback, digestN(0))
		},
			want: slices.Concat([]string{
				"takes up rollback", "→ reverting: rollback_ordered", "switch green", "hand_stop blue", "hand_start green",
				"ends superseded: rollback_ordered", "begins rollback of v1.0.0 in blue", "retire blue",
			},
				forced(release.Blue),
				[]string{
					"hand_stop green", "hand_start blue", "→ retiring", "retire green", "ends live, held: rolled_back",
					"drop blue: clean_up", "waits: rolled_back",
				})},
		{name: "a rollback before the switch drops green", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.push(2, true)
			w.until(Checking, nil)
			w.order(OrderRollback, digestN(1))
		},
			want: []string{
				"takes up rollback", "→ reverting: rollback_ordered", "drop blue", "end_turn blue",
				"ends superseded: rollback_ordered", "holds: rolled_back", "waits: rolled_back",
			}},
		{name: "a rollback does not wait for the drain", given: func(w *world) {
			bakingOne(w)
			w.until(Retiring, func(s State) bool { return s.Deploy.Reported })
			w.order(OrderRollback, "")
		}, stop: func(s State) bool { return s.Deploy != nil && s.Deploy.Kind == KindRollback },
			want: []string{"takes up rollback", "ends live: unproven_by_traffic", "begins rollback of v1.0.0 in blue"}},
		{name: "a rollback whose target's containers are gone makes them again", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			for id := range w.running {
				if id != w.live {
					delete(w.running, id)
					delete(w.checked, id)
				}
			}
			w.order(OrderRollback, "")
		}, stop: func(s State) bool { return s.Phase() == Handover },
			want: slices.Concat([]string{"takes up rollback", "begins rollback of v1.0.0 in blue"},
				forced(release.Blue))},
		{name: "a rollback that fails its check: what was live serves on, the target is kept", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.order(OrderRollback, "")
		}, fail: map[EffectKind]Result{Check: Bad},
			want: []string{
				"takes up rollback", "begins rollback of v1.0.0 in blue", "prepare blue", "→ starting", "start blue", "→ checking",
				"check blue", "→ reverting: step_failed", "ends held: rollback_failed", "retire blue: clean_up",
				"waits: rollback_failed",
			}},
		{name: "a rollback that fails holds off what was known all the same", given: func(w *world) {
			bakingOne(w)
			w.calm()
			w.push(2, true)
			w.until(Baking, nil)
			w.order(OrderRollback, digestN(0))
			w.until(Checking, nil)
		}, fail: map[EffectKind]Result{Check: Bad},
			want: []string{"check blue", "→ reverting: step_failed", "ends held: rollback_failed", "retire blue: clean_up", "drop blue: clean_up", "waits: rollback_failed"}},
		{name: "a rollback whose workers do not start stays and says so", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.order(OrderRollback, "")
			w.until(Handover, func(s State) bool { return s.Deploy.Hand.Stopped })
			for w.state.Phase() == Handover {
				if wait := w.turn(func(Effect) Result { return Bad }); wait != nil {
					w.now = wait.Until
				}
			}
		},
			want: []string{"retire green", "ends held: revert_failed", "restore blue: drift", "waits: revert_failed"}},
		{name: "a rollback to a quarantined release is refused", given: func(w *world) {
			w.liveZero().push(1, true)
			w.calm()
			w.fleet.Quarantine = []Quarantine{{App: "shop", Digest: digestN(0), Inputs: "i", Host: "h", Version: "v1.0.0", Why: release.BakeBurst}}
			w.order(OrderRollback, digestN(0))
		},
			want: []string{"refuses rollback: quarantined", "waits: converged"}},
	}
}
