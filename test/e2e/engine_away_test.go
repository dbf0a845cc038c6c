package e2e

import (
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/rig"
)

// TestAgentWithoutEngine stops the engine, kills the agent and starts it again: it
// answers, says that the engine is away, and goes on by itself when it is back.
func TestAgentWithoutEngine(t *testing.T) {
	r := open(t, rig.Options{Engine: true})
	up(t, r)
	if err := r.Engine.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.KillAgent(); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAgent(t.Context()); err != nil {
		t.Fatalf("the agent does not start without its engine: %v", err)
	}
	st := awaitStatus(t, r, "the engine's absence", func(st api.Status) bool { return !st.Engine.Reachable && st.Engine.Detail != "" && len(st.Apps) == 1 })
	t.Logf("engine: %s; app: %s %s", st.Engine.Detail, st.Apps[0].State, st.Apps[0].Wait.Why)
	if _, err := r.Release(t.Context(), rig.Manifest{Version: "v1.1.0", Sequence: 2}); err != nil {
		t.Fatal(err)
	}
	if err := r.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tidy(t, r, await(t, r, "v1.1.0 live, with the engine back", rig.Live("v1.1.0")))
	serves(t, r, "v1.1.0")
}
