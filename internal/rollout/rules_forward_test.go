package rollout

import (
	"slices"

	"github.com/tealops/teal/internal/release"
)

// Going forward, and what waits.
func forwardRules() []rule {
	return []rule{
		{name: "a first release goes live", given: func(w *world) { w.push(0, true) },
			want: slices.Concat([]string{"begins release of v1.0.0 in blue"},
				through(release.Blue),
				[]string{"hand_start blue", "end_turn blue", "→ baking"},
				baked(release.Blue),
				[]string{"ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a second release swaps", given: func(w *world) { w.liveZero().push(1, true) },
			want: slices.Concat([]string{"begins release of v1.1.0 in green"},
				through(release.Green),
				[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a shared service is replaced after the turn and before green starts", given: func(w *world) { w.liveZero().push(3, true) },
			want: slices.Concat([]string{"begins release of v1.3.0 in green", "→ verifying", "→ preparing", "prepare green", "→ waiting", "ask_turn green",
				"→ migrating", "replace_shared green", "→ starting", "start green", "→ checking", "check green", "→ confirming", "confirm green",
				"→ switching", "switch green", "→ handover", "hand_stop blue", "hand_start green", "end_turn green", "→ baking"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a replacement that was cut short is finished before anything else", given: func(w *world) {
			w.liveZero().push(3, true)
			w.until(Migrating, nil)
			w.turn(func(Effect) Result { return Interrupted })
			w.push(4, true)
			w.order(OrderRollback, "")
		}, stop: func(s State) bool { return s.Deploy == nil },
			want: []string{"refuses rollback: rollback_no_target", "replace_shared green", "→ reverting: newer_release", "drop green", "end_turn green", "ends superseded: newer_release"}},
		{name: "jobs run after the check and after the workers", given: func(w *world) { w.liveZero().push(4, true); w.until(Checking, nil) },
			want: slices.Concat([]string{"check green", "run_job collect of green", "→ confirming", "confirm green", "→ switching", "switch green", "→ handover",
				"hand_stop blue", "hand_start green", "run_job warm of green", "end_turn green", "→ baking"},
				baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "a release without approvals waits", given: func(w *world) { w.liveZero().push(1, false) },
			want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ blocked: approval_threshold", "waits: approval_threshold"}},
		{name: "approvals let it go on", given: func(w *world) {
			w.liveZero().push(1, false)
			w.calm()
			w.push(1, true)
		}, stop: func(s State) bool { return s.Phase() == Waiting },
			want: []string{"→ preparing", "prepare green", "→ waiting"}},
		{name: "a newer release supersedes one that has not switched", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Checking, nil)
			w.push(2, true)
		}, stop: func(s State) bool { return s.Phase() == Verifying },
			want: []string{
				"→ reverting: newer_release", "drop green", "end_turn green", "ends superseded: newer_release",
				"begins release of v1.2.0 in green", "→ verifying",
			}},
		{name: "a newer release ends a clean bake, and the proven set is stopped to make room", given: func(w *world) {
			bakingOne(w)
			w.push(2, true)
		},
			want: slices.Concat([]string{
				"ends superseded: newer_release", "begins release of v1.2.0 in blue", "→ verifying", "→ preparing", "retire blue",
				"prepare blue", "→ waiting", "ask_turn blue", "→ migrating", "→ starting", "start blue", "→ checking", "check blue",
				"→ confirming", "confirm blue", "→ switching", "switch blue", "→ handover", "hand_stop green", "hand_start blue",
				"end_turn blue", "→ baking",
			},
				baked(release.Blue),
				[]string{"retire green", "ends live: unproven_by_traffic", "drop green: clean_up", "waits: converged"})},
		{name: "a release of other hosts is not deployed", given: func(w *world) {
			w.push(0, true)
			w.elsewhere()
		}, want: []string{"waits: not_placed"}},
		{name: "what runs keeps running when its placement names other hosts", given: func(w *world) {
			w.liveZero().push(1, true)
			w.elsewhere()
		}, want: []string{"waits: not_placed"}},
		{name: "a newer release of other hosts ends one that has not switched", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Checking, nil)
			w.push(2, true)
			w.elsewhere()
		}, want: []string{"→ reverting: not_placed", "drop green", "end_turn green", "ends superseded: not_placed", "waits: not_placed"}},
		{name: "one that is not accepted ends nothing", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Checking, nil)
			w.push(2, false)
			w.elsewhere()
		}, stop: func(s State) bool { return s.Phase() == Confirming }, want: []string{"check green", "→ confirming"}},
		{name: "what has switched finishes its watch", given: func(w *world) {
			bakingOne(w)
			w.push(2, true)
			w.elsewhere()
		}, want: slices.Concat(baked(release.Green), []string{"retire blue", "ends live: unproven_by_traffic", "waits: not_placed"})},
		{name: "a singleton that fits two hosts is refused until it fits one", given: func(w *world) {
			w.push(0, true)
			w.ambiguous()
			w.calm()
			if d := w.state.Deploy; d.Why != release.SingletonAmbiguous || d.Detail != "worker fits 2 hosts: h1, h2" {
				w.fatalf("%s: %s", d.Why, d.Detail)
			}
			w.fleet.Hosts = w.fleet.Hosts[1:]
		}, stop: func(s State) bool { return s.Phase() == Preparing }, want: []string{"→ preparing"}},
		{name: "frozen: no turn", given: func(w *world) {
			w.liveZero().push(1, true)
			w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
		},
			want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ preparing", "prepare green", "→ waiting", "waits: frozen"}},
		{name: "frozen while confirming: green is dropped and waits for its turn", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Confirming, nil)
			w.fleet.Frozen = []Freeze{{Actor: "ann", At: w.now}}
		},
			want: []string{
				"waits for a time: frozen", "→ reverting: frozen", "drop green", "end_turn green", "→ blocked: frozen", "→ preparing",
				"prepare green", "→ waiting", "waits: frozen",
			}},
		{name: "a registry that does not answer blocks, no blame", given: func(w *world) { w.liveZero().push(1, true); w.until(Preparing, nil) },
			fail: map[EffectKind]Result{Prepare: Retryable}, stop: func(s State) bool { return s.Phase() == Waiting },
			want: []string{
				"prepare green", "→ blocked: step_failed", "waits for a time: step_failed", "→ preparing", "prepare green",
				"→ waiting",
			}},
		{name: "a green that fell after its check gets no traffic", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Confirming, nil)
			w.kill(w.state.Deploy.To.ID, "backend")
		}, stop: func(s State) bool { return s.Phase() == Blocked },
			want: []string{"→ reverting: container_exited", "drop green", "end_turn green", "→ blocked: container_exited"}},
		{name: "a withdrawn approval drops green", given: func(w *world) {
			w.liveZero().push(1, true)
			w.until(Checking, nil)
			w.push(1, false)
			w.trusted[digestN(1)] = false
		},
			want: []string{
				"→ reverting: approval_expired", "drop green", "end_turn green", "→ blocked: approval_expired",
				"→ blocked: approval_threshold", "waits: approval_threshold",
			}},
		{name: "a changed shared service waits", given: func(w *world) { w.liveZero().push(1, true); w.want.Shared["store"] = "s2" },
			want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ blocked: shared_changed", "waits: shared_changed"}},
		{name: "a shared service that is new starts with green and goes with it", given: func(w *world) {
			w.push(0, true)
			w.want.Shared = nil
			w.calm()
			w.push(1, true)
			w.until(Checking, nil)
		}, fail: map[EffectKind]Result{Check: Bad},
			want: []string{
				"check green", "→ reverting, bad: step_failed", "drop green", "report bad: step_failed", "end_turn green",
				"ends reverted, held: step_failed", "waits: step_failed",
			}},
		{name: "a release removed from Git: what runs keeps running", given: func(w *world) { w.liveZero(); w.want = Want{Absent: true} },
			want: []string{"waits: not_in_repository"}},
		{name: "drift of what serves is put back while a release waits for approvals", given: func(w *world) {
			w.liveZero().push(1, false)
			w.calm()
			w.kill(w.live, "backend")
			w.live = release.SetID{}
		},
			want: []string{"restore blue: drift", "switch blue: proxy_drift", "waits: approval_threshold"}},
		{name: "a newer release goes on although the live one flaps", given: func(w *world) {
			w.liveZero()
			for range FlapLimit {
				w.kill(w.live, "worker")
				w.turn(func(Effect) Result { return OK })
			}
			w.kill(w.live, "worker")
			w.push(1, true)
		}, stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Checking },
			want: []string{
				"begins release of v1.1.0 in green", "→ verifying", "→ preparing", "prepare green", "→ waiting", "ask_turn green",
				"→ migrating", "→ starting", "start green", "→ checking",
			}},
	}
}
