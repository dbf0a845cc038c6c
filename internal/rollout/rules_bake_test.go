package rollout

import (
	"slices"
	"time"

	"github.com/tealops/teal/internal/release"
)

// The watch after the switch.
func bakeRules() []rule {
	return []rule{
		{name: "an unproven release is watched again when the newer one is held off, and nothing cuts that short", given: func(w *world) {
			bakingOne(w)
			w.push(2, true)
			w.until(Preparing, nil)
		}, fail: map[EffectKind]Result{Prepare: NeedsPerson},
			want: slices.Concat([]string{"retire blue", "prepare blue", "→ reverting: step_failed", "drop blue", "ends held: step_failed", "begins rebake of v1.1.0 in green"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: step_failed"})},
		{name: "a newer release in a bake with a failed sample goes back first", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Fail})
			w.play(nil, func() bool { return w.state.Deploy.Bake.Failed > 0 })
			w.sample = nil
			w.push(2, true)
		},
			want: slices.Concat([]string{
				"→ reverting: newer_release", "switch blue", "hand_stop green", "hand_start blue", "front_door blue", "retire green",
				"ends superseded: newer_release", "begins release of v1.2.0 in green", "drop green: clean_up",
			},
				through(release.Green),
				[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a burst in the handover asks the old colour and goes back", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Handover, func(s State) bool { return s.Deploy.Hand.Stopped })
			w.burstNow(1)
		},
			want: []string{
				"probe_warm blue: bake_burst", "→ reverting, bad: bake_burst", "switch blue", "hand_stop green", "hand_start blue",
				"report bad: bake_burst", "end_turn green", "front_door blue", "retire green", "ends reverted, held: bake_burst",
				"waits: bake_burst",
			}},
		{name: "a burst that the old colour shares does nothing", given: func(w *world) {
			bakingOne(w)
			w.burstNow(1)
		}, fail: map[EffectKind]Result{ProbeWarm: Bad}, stop: ended,
			want: slices.Concat([]string{"probe_warm blue: bake_burst"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic"})},
		{name: "a burst when the old colour cannot be asked goes back", given: func(w *world) {
			bakingOne(w)
			w.burstNow(1)
		}, fail: map[EffectKind]Result{ProbeWarm: Retryable}, stop: func(s State) bool { return s.Phase() == Reverting },
			want: []string{"probe_warm blue: bake_burst", "→ reverting, bad: bake_burst"}},
		{name: "a container that ends goes back at once, nobody is asked", given: func(w *world) {
			bakingOne(w)
			w.kill(w.live, "worker")
		}, stop: func(s State) bool { return s.Deploy.Back != nil && s.Deploy.Back.Flipped },
			want: []string{"→ reverting, bad: container_exited", "switch blue"}},
		{name: "two failed samples go back", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Fail})
		}, stop: func(s State) bool { return s.Phase() == Reverting },
			want: []string{"waits for a time: still_baking", "sample green", "→ reverting, bad: bake_failed"}},
		{name: "two samples with errors in the traffic ask the old colour first", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Pass}, RuleSample{Rule: RuleErrorRate, Result: Fail})
		}, stop: func(s State) bool { return s.Phase() == Reverting },
			want: []string{
				"waits for a time: still_baking", "sample green", "probe_warm blue: bake_error_rate",
				"→ reverting, bad: bake_error_rate",
			}},
		{name: "four errors in a row extend the bake once, then it is held", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Error})
		},
			want: []string{
				"waits for a time: still_baking", "sample green", "→ baking: bake_unmeasured", "waits for a time: still_baking",
				"sample green", "ends held: inconclusive", "waits: inconclusive",
			}},
		{name: "a bake without evidence is held, green live and blue warm", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "container:backend", Result: Pass})
		},
			want: []string{
				"waits for a time: still_baking", "sample green", "→ baking: bake_no_evidence", "waits for a time: still_baking",
				"sample green", "ends held: inconclusive", "waits: inconclusive",
			}},
		{name: "a rule that never passed keeps the bake from passing", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Pass}, RuleSample{Rule: "smoke:1", Result: Error})
		},
			want: []string{
				"waits for a time: still_baking", "sample green", "→ baking: bake_no_evidence", "waits for a time: still_baking",
				"sample green", "ends held: inconclusive", "waits: inconclusive",
			}},
		{name: "resume watches an inconclusive release again", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Error})
			w.calm()
			w.sample = nil
			w.order(OrderResume, "")
		},
			want: slices.Concat([]string{"takes up resume", "begins rebake of v1.1.0 in green"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a burst from before the second watch does not count", given: func(w *world) {
			bakingOne(w)
			w.burstNow(3)
			w.play(map[EffectKind]Result{ProbeWarm: Bad}, func() bool { return w.state.Deploy.Bake.SharedCause > 0 })
			samples(w, RuleSample{Rule: "probe:backend", Result: Error})
			w.calm()
			w.sample = nil
			w.later(time.Minute).order(OrderResume, "")
		},
			want: slices.Concat([]string{"takes up resume", "begins rebake of v1.1.0 in green"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "Git goes back while the outcome is inconclusive", given: func(w *world) {
			bakingOne(w)
			samples(w, RuleSample{Rule: "probe:backend", Result: Error})
			w.calm()
			w.sample = nil
			w.push(0, true)
		},
			want: []string{
				"begins rebake of v1.1.0 in green", "→ reverting: reverted_in_git", "switch blue", "hand_stop green",
				"hand_start blue", "front_door blue", "retire green", "ends superseded: reverted_in_git",
				"lifts the hold: reverted_in_git", "waits: converged",
			}},
		{name: "frozen in the bake: it finishes, no newer release cuts it short", given: func(w *world) {
			bakingOne(w)
			w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
			w.push(2, true)
		},
			want: slices.Concat(baked(release.Green),
				[]string{
					"retire blue", "ends live: unproven_by_traffic", "begins release of v1.2.0 in blue", "→ verifying", "→ preparing",
					"prepare blue", "→ waiting", "waits: frozen",
				})},
		{name: "frozen in the bake: going back is allowed", given: func(w *world) {
			bakingOne(w)
			w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
			w.kill(w.live, "backend")
		}, stop: func(s State) bool { return s.Deploy.Back != nil && s.Deploy.Back.Flipped },
			want: []string{"→ reverting, bad: container_exited", "switch blue"}},
	}
}
