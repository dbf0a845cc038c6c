package rollout

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// rule is one line of DESIGN 4: what happens, step by step, once given is so.
type rule struct {
	name  string
	given func(w *world)
	fail  map[EffectKind]Result // the first time
	stop  func(s State) bool
	want  []string
}

func bakingOne(w *world) {
	w.liveZero().push(1, true)
	w.until(Baking, nil)
}

func samples(w *world, rules ...RuleSample) {
	w.sample = func() *Sample { return &Sample{At: w.now, Rules: rules} }
}

func (w *world) burstNow(seq uint64) {
	w.burst = &Burst{Seq: seq, Generation: w.proxy.Generation, Errors: 20, Requests: 25, At: w.now}
}

// ended is where a deployment has ended.
func ended(s State) bool { return s.Settled() && s.Last != nil }

// through is a release's way to the handover.
func through(c release.Colour) []string {
	return steps(c, "→ verifying", "→ preparing", "prepare %", "→ waiting", "ask_turn %", "→ migrating", "→ starting", "start %",
		"→ checking", "check %", "→ confirming", "confirm %", "→ switching", "switch %", "→ handover")
}

// forced is a rollback's.
func forced(c release.Colour) []string {
	return steps(c, "prepare %", "→ starting", "start %", "→ checking", "check %", "→ switching", "switch %", "→ handover")
}

// baked is a bake that passes.
func baked(c release.Colour) []string {
	return steps(c, "waits for a time: still_baking", "sample %", "→ retiring", "report good")
}

func steps(c release.Colour, lines ...string) []string {
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "%", string(c))
	}
	return lines
}

// reverted is v1.1.0 gone back from, held and quarantined.
func reverted(w *world) {
	bakingOne(w)
	w.kill(w.live, "backend")
	w.calm()
	w.hurt = false
}

func TestRules(t *testing.T) {
	for _, r := range slices.Concat(forwardRules(), inputRules(), bakeRules(), backRules(), rollbackRules(), removalRules(), formerlyRules()) {
		t.Run(r.name, func(t *testing.T) {
			w := scripted(t)
			r.given(w)
			stop := func() bool { return r.stop != nil && r.stop(w.state) }
			got := w.play(r.fail, stop)
			if diff := cmp.Diff(r.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, strings.Join(w.trace, "\n"))
			}
		})
	}
}
