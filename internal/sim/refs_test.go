package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

const phase = "refs/heads/phase-2/x"

func commitTo(name, version string, sequence int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.CommitTo(name, manifest(version, sequence))
		return nil
	}
}

func deleteRef(name string) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		w.CommitTo(name, nil)
		return nil
	}
}

// main follows v1.0.0 (1); the branch phase-2/x releases v2.0.0 (2) beside it. What is
// live there in the end, and what a revert in Git makes of a hold, is the same wherever
// the older release is read from.
func TestRefsInOneApp(t *testing.T) {
	v1 := step{commit1("v1.0.0", 1), ended("v1.0.0")}
	v2 := step{commitTo(phase, "v2.0.0", 2), ended("v2.0.0")}
	bad := map[string]Behaviour{"v2.0.0": {ErrorsAfter: 9 * time.Second}}
	lifted := func(s rollout.State) bool { return atRest(s) && s.Hold == nil }
	for _, s := range []story{
		{name: "the newer one of another ref is released", steps: []step{v1, v2}, live: "v2.0.0", ends: rollout.Live},
		{name: "an older one of another ref changes nothing", steps: []step{v1, v2, {commitTo("refs/heads/phase-2/old", "v1.9.0", 1), atRest}},
			live: "v2.0.0", ends: rollout.Live},
		{name: "bad, then reverted on its own branch", behave: bad, steps: []step{v1, v2, {commitTo(phase, "v1.0.0", 1), lifted}},
			live: "v1.0.0", ends: rollout.Reverted, refused: "v2.0.0"},
		{name: "bad, then its branch is deleted", behave: bad, steps: []step{v1, v2, {deleteRef(phase), lifted}},
			live: "v1.0.0", ends: rollout.Reverted, refused: "v2.0.0"},
		{name: "bad, then made good by a newer one on main", behave: bad, steps: []step{v1, v2, {commit1("v3.0.0", 3), ended("v3.0.0")}},
			live: "v3.0.0", ends: rollout.Live, refused: "v2.0.0"},
		{name: "reverted in Git while it waits", steps: []step{v1, {freeze, atRest}, {commitTo(phase, "v2.0.0", 2), in(rollout.Waiting, "v2.0.0")},
			{deleteRef(phase), func(s rollout.State) bool { return atRest(s) && s.Last.Phase == rollout.Superseded }}}, live: "v1.0.0", ends: rollout.Superseded},
	} {
		t.Run(s.name, func(t *testing.T) {
			w := s.run(t, 0, false)
			if calls := len(w.calls); calls > 4 { // and with the agent dying half-way
				s.run(t, calls/2, true)
			}
		})
	}
}

// main: v1.0.0 (1), phase-2/x: v2.0.0 (3), which is live; then phase-2/x goes back to a
// release that never ran here. It is refused, with what makes it a new one.
func TestOlderSequenceIsRefused(t *testing.T) {
	var verdict trust.Verdict
	s := story{name: "older", steps: []step{
		{commit1("v1.0.0", 1), ended("v1.0.0")},
		{commitTo(phase, "v2.0.0", 3), ended("v2.0.0")},
		{commitTo(phase, "v1.5.0", 2), in(rollout.Blocked, "v1.5.0")},
		{func(_ *World, a *Agent) error {
			for _, app := range a.runner.Status() {
				verdict = app.Want.Verdict
			}
			return nil
		}, in(rollout.Blocked, "v1.5.0")},
		{commitTo(phase, "v2.0.0", 3), atRest},
	}, live: "v2.0.0", ends: rollout.Superseded}
	s.run(t, 0, false)
	if verdict.Accepted || len(verdict.Reasons) == 0 || verdict.Reasons[0].Code != release.SequenceRollback {
		t.Fatalf("%+v", verdict)
	}
	why, ok := release.Lookup(release.SequenceRollback)
	if !ok || !strings.Contains(why.Next, "tealctl release new --from") {
		t.Errorf("no line that makes it a new one: %+v", why)
	}
}
