package rollout

import (
	"slices"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// given lets the host give the wanted release other inputs.
func (w *world) given(inputs string) *world {
	w.want.Set.ID.Inputs = inputs
	return w
}

// lacks makes the wanted release one that the host cannot complete.
func (w *world) lacks(code release.Code) {
	w.given("").want.Inputs, w.want.InputsDetail = code, "secret key of shop"
	w.want.Verdict = trust.Verdict{Reasons: []trust.Finding{{Code: code, Detail: "secret key of shop"}}}
}

// rotating is v1.0.0 in its bake with the inputs j, beside itself with i.
func rotating(w *world) {
	w.liveZero().given("j").order(OrderRotate, "")
	w.until(Baking, nil)
}

// Other inputs of the release that serves.
func inputRules() []rule {
	again := slices.Concat([]string{"begins release of v1.0.0 in green"}, through(release.Green),
		[]string{"hand_stop blue", "hand_start green", "end_turn green", "→ baking"})
	return []rule{
		{name: "other inputs alone swap nothing", given: func(w *world) { w.liveZero().given("j") },
			want: []string{"waits: inputs_differ"}},
		{name: "by order they are swapped", given: func(w *world) { w.liveZero().given("j").order(OrderRotate, "") },
			want: slices.Concat([]string{"takes up rotate"}, again, baked(release.Green),
				[]string{"retire blue", "ends live: unproven_by_traffic", "waits: converged"})},
		{name: "with autoRotate they are swapped", given: func(w *world) { w.liveZero().given("j").want.Rotate = true },
			stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Baking }, want: again},
		{name: "an order without a difference is refused", given: func(w *world) { w.liveZero().order(OrderRotate, "") },
			want: []string{"refuses rotate: inputs_same", "waits: converged"}},
		{name: "an order while a newer release is wanted is refused", given: func(w *world) { w.liveZero().push(1, false); w.order(OrderRotate, "") },
			stop: func(s State) bool { return s.OrdersSeen > 0 },
			want: []string{"refuses rotate: newer_release"}},
		{name: "an order in the middle of a deployment is refused", given: func(w *world) { rotating(w); w.given("k").order(OrderRotate, "") },
			stop: func(s State) bool { return s.OrdersSeen > 2 },
			want: []string{"refuses rotate: working"}},
		{name: "a bad rotation goes back, and the host's other inputs stay possible", given: func(w *world) {
			rotating(w)
			w.kill(w.live, "backend")
		}, stop: ended,
			want: []string{"→ reverting, bad: container_exited", "switch blue", "hand_stop green", "hand_start blue", "report bad: container_exited",
				"front_door blue", "retire green", "ends reverted, held: container_exited"}},
		{name: "corrected inputs are swapped by a new order, which lifts the hold", given: func(w *world) {
			rotating(w)
			w.kill(w.live, "backend")
			w.calm()
			w.given("k").order(OrderRotate, "")
		}, stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Preparing },
			want: []string{"takes up rotate", "begins release of v1.0.0 in green", "drop green: clean_up", "→ verifying", "→ preparing"}},
		{name: "the bad inputs once more wait in quarantine", given: func(w *world) {
			rotating(w)
			w.kill(w.live, "backend")
			w.calm()
			w.order(OrderRotate, "")
		}, want: []string{"takes up rotate", "waits: quarantined"}},
		{name: "the old inputs come back before the switch", given: func(w *world) {
			w.liveZero().given("j").order(OrderRotate, "")
			w.until(Checking, nil)
			w.given("i")
		}, want: []string{"→ reverting: inputs_changed", "drop green", "end_turn green", "ends superseded: inputs_changed", "waits: converged"}},
		{name: "inputs change once more before anything is made: the newest are taken", given: func(w *world) {
			w.liveZero().given("j").order(OrderRotate, "")
			w.until(Verifying, nil)
			w.given("k")
		}, stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Preparing && s.Deploy.To.ID.Inputs == "k" },
			want: []string{"ends superseded: inputs_changed", "begins release of v1.0.0 in green", "→ verifying", "→ preparing"}},
		{name: "a secret that is gone disturbs nothing that serves", given: func(w *world) { w.liveZero().lacks(release.SecretMissing) },
			want: []string{"waits: secret_missing"}},
		{name: "a new release without its secret is blocked", given: func(w *world) { w.liveZero().push(1, true); w.lacks(release.SecretMissing) },
			want: []string{"begins release of v1.1.0 in green", "→ verifying", "→ blocked: secret_missing", "waits: secret_missing"}},
		{name: "the secret appears: the release goes on", given: func(w *world) {
			w.liveZero().push(1, true)
			w.lacks(release.SecretMissing)
			w.calm()
			w.push(1, true)
		}, stop: func(s State) bool { return s.Deploy != nil && s.Phase() == Preparing },
			want: []string{"ends superseded: inputs_changed", "begins release of v1.1.0 in green", "→ verifying", "→ preparing"}},
		{name: "Git goes back to a release that was proven with other inputs", given: func(w *world) {
			bakingOne(w)
			w.push(0, true)
			w.given("j")
		}, stop: ended,
			want: []string{"→ reverting: reverted_in_git", "switch blue", "hand_stop green", "hand_start blue",
				"front_door blue", "retire green", "ends superseded: reverted_in_git"}},
	}
}
