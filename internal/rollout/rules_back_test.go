package rollout

import (
	"slices"

	"github.com/tealops/teal/internal/release"
)

// Going back, hold and quarantine.
func backRules() []rule {
	return []rule{
		{name: "bad after a superseded release: the cold proven set is started, checked and flipped to", given: func(w *world) {
			bakingOne(w)
			w.push(2, true)
			w.until(Baking, func(s State) bool { return s.Deploy.To.Version == "v1.2.0" })
			w.kill(w.live, "backend")
		},
			want: []string{
				"→ reverting, bad: container_exited", "prepare blue", "start blue", "check blue", "switch blue", "hand_stop blue",
				"hand_start blue", "report bad: container_exited", "front_door blue", "retire blue",
				"ends reverted, held: container_exited", "retire green: clean_up", "drop green: clean_up", "waits: container_exited",
			}},
		{name: "a replacement that does not come up drops green", given: func(w *world) { w.liveZero().push(3, true); w.until(Migrating, nil) },
			fail: map[EffectKind]Result{ReplaceShared: Bad},
			want: []string{
				"replace_shared green", "→ reverting, bad: step_failed", "drop green", "report bad: step_failed", "end_turn green",
				"ends reverted, held: step_failed", "waits: step_failed",
			}},
		{name: "a replacement stays when its release is gone back from, and is put back as it is", given: func(w *world) {
			w.liveZero().push(3, true)
			w.until(Baking, nil)
			w.kill(w.live, "backend")
			w.calm()
			if w.state.Shared["store"] != "s2" || w.state.SharedOf["store"] != digestN(3) {
				w.fatalf("shared %v of %v", w.state.Shared, w.state.SharedOf)
			}
			w.hurt, w.store = true, Exited
		},
			want: []string{"restore blue: drift", "waits: container_exited"}},
		{name: "a job that fails before the switch is undone, and green is dropped", given: func(w *world) { w.liveZero().push(4, true); w.until(Checking, nil) },
			fail: map[EffectKind]Result{RunJob: Bad},
			want: []string{
				"check green", "run_job collect of green", "→ reverting, bad: step_failed", "run_job undo of green", "drop green", "report bad: step_failed",
				"end_turn green", "ends reverted, held: step_failed", "waits: step_failed",
			}},
		{name: "what is gone back from is undone before it stops", given: func(w *world) {
			w.liveZero().push(4, true)
			w.until(Baking, nil)
			w.kill(w.live, "backend")
		},
			want: []string{
				"→ reverting, bad: container_exited", "switch blue", "hand_stop green", "hand_start blue", "report bad: container_exited",
				"front_door blue", "run_job undo of green", "retire green", "ends reverted, held: container_exited", "waits: container_exited",
			}},
		{name: "a first release that fails its check is dropped", given: func(w *world) { w.push(0, true); w.until(Checking, nil) }, fail: map[EffectKind]Result{Check: Bad},
			want: []string{
				"check blue", "→ reverting, bad: step_failed", "drop blue", "report bad: step_failed", "end_turn blue",
				"ends failed, held: step_failed", "waits: step_failed",
			}},
		{name: "a first release that is bad after the switch stays", given: func(w *world) {
			w.push(0, true)
			w.until(Baking, nil)
			w.kill(w.live, "worker")
		}, stop: ended,
			want: []string{"→ reverting, bad: container_exited", "report bad: container_exited", "ends held: no_proven"}},
		{name: "and a newer release goes on by itself", given: func(w *world) {
			w.push(0, true)
			w.until(Baking, nil)
			w.kill(w.live, "worker")
			w.calm()
			w.push(1, true)
		}, stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Baking },
			want: slices.Concat([]string{"begins release of v1.1.0 in green"},
				through(release.Green),
				[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"})},
		{name: "a green that fails its check is dropped, quarantined and held off", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Checking, nil)
		}, fail: map[EffectKind]Result{Check: Bad},
			want: []string{
				"check green", "→ reverting, bad: step_failed", "drop green", "report bad: step_failed", "end_turn green",
				"ends reverted, held: step_failed", "waits: step_failed",
			}},
		{name: "after a revert Git still wants it and teal does not loop", given: reverted,
			want: []string{"waits: container_exited"}},
		{name: "resume after a revert meets the quarantine", given: func(w *world) { reverted(w); w.order(OrderResume, "") },
			want: []string{"takes up resume", "waits: quarantined"}},
		{name: "retry clears the quarantine and tries again", given: func(w *world) { reverted(w); w.order(OrderRetry, "") }, stop: func(s State) bool { return s.Phase() == Verifying },
			want: []string{"takes up retry", "begins release of v1.1.0 in green", "→ verifying"}},
		{name: "a newer number on the same content is known", given: func(w *world) {
			reverted(w)
			w.push(2, true)
			w.want.Set.Content = "c1"
		},
			want: []string{"waits: same_as_quarantined"}},
		{name: "a newer release goes on by itself after a revert", given: func(w *world) { reverted(w); w.push(2, true) },
			want: slices.Concat([]string{"begins release of v1.2.0 in green", "drop green: clean_up"},
				through(release.Green),
				[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a git revert lifts the hold", given: func(w *world) { reverted(w); w.push(0, true) },
			want: []string{"lifts the hold: reverted_in_git", "waits: converged"}},
		{name: "a git revert in the bake goes back without a hold", given: func(w *world) { bakingOne(w); w.push(0, true) },
			want: []string{
				"→ reverting: reverted_in_git", "switch blue", "hand_stop green", "hand_start blue", "front_door blue", "retire green",
				"ends superseded: reverted_in_git", "waits: converged",
			}},
		{name: "a dead warm colour that does not come up: held for a person, the release is quarantined all the same", given: func(w *world) {
			bakingOne(w)
			w.kill(w.state.Proven.ID, "backend")
			w.kill(w.live, "backend")
			w.until(Baking, nil)
			w.kill(w.live, "worker")
			w.state.Deploy.From = nil // nothing that says the engine fell
		}, fail: map[EffectKind]Result{Check: Bad}, stop: ended,
			want: []string{
				"→ reverting, bad: container_exited", "prepare blue", "start blue", "check blue", "report bad: container_exited",
				"ends held: revert_failed",
			}},
		{name: "a quarantine from elsewhere drops green and is not reported again", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Starting, nil)
			w.fleet.Quarantine = []Quarantine{{App: "shop", Digest: digestN(1), Inputs: "*", Host: "*", Version: "v1.1.0", Why: release.BakeBurst}}
		},
			want: []string{"→ reverting: quarantined", "drop green", "end_turn green", "→ blocked: quarantined", "waits: quarantined"}},
	}
}
