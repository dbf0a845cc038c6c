package rollout

import (
	"testing"

	"github.com/tealops/teal/internal/release"
)

// settledInput is an app at rest: v1 live and proven, whole, and what the proxy serves.
func settledInput() Input {
	w := wantN(0, true)
	live := w.Set
	live.ID.Colour, live.ProvenAt = release.Blue, t0
	in := Input{Want: w, Past: State{App: "shop", Live: &live, Proven: &live, Generation: 4}}
	in.Seen.Switch = SwitchView{Reachable: true, Known: true, Generation: 4, Live: release.Blue, Matches: true}
	for _, name := range []string{"backend", "worker"} {
		in.Seen.Containers = append(in.Seen.Containers, Container{Name: name, App: "shop", Service: name, Set: live.ID, Status: Running, Restart: "unless-stopped"})
	}
	return in
}

func effectOf(t *testing.T, in Input) (Effect, bool) {
	t.Helper()
	act, ok := Next(in, t0).(Act)
	return act.Effect, ok
}

func TestTrafficIsNotSentToWhatDoesNotRun(t *testing.T) {
	in := settledInput()
	in.Seen.Switch.Matches, in.Seen.Switch.Live = false, release.Green // an older journal was restored
	in.Seen.Containers[0].Status = Exited
	if e, ok := effectOf(t, in); !ok || e.Kind != Restore {
		t.Errorf("the proxy serves another set and ours is down: %+v, want %s first", e, Restore)
	}
	in.Seen.Containers[0].Status = Running
	if e, ok := effectOf(t, in); !ok || e.Kind != SwitchTo {
		t.Errorf("ours runs: %+v, want %s", e, SwitchTo)
	}
	in.Seen.Containers[0].Status = Exited
	in.Seen.Switch = SwitchView{Reachable: true}
	if e, ok := effectOf(t, in); !ok || e.Kind != SwitchTo {
		t.Errorf("the proxy knows nothing: %+v, want %s", e, SwitchTo)
	}
}

func TestUnknownSetIsRemoved(t *testing.T) {
	in := settledInput()
	if step, ok := Next(in, t0).(Wait); !ok || step.Why != release.Converged {
		t.Fatalf("nothing to do: %+v", Next(in, t0))
	}
	lost := release.SetID{Colour: release.Green, Target: release.Target{Digest: digestN(9), Inputs: "i"}}
	in.Seen.Containers = append(in.Seen.Containers, Container{Name: "old", App: "shop", Service: "worker", Set: lost, Status: Running})
	if e, ok := effectOf(t, in); !ok || e.Kind != Drop || e.Set.ID != lost {
		t.Errorf("a set that the journal does not know: %+v, want it dropped", e)
	}
	in.Seen.Switch.Matches = false
	if e, _ := effectOf(t, in); e.Kind == Drop {
		t.Errorf("dropped while the proxy may serve it: %+v", e)
	}
}

func TestLiveSetSurvivesReboots(t *testing.T) {
	in := settledInput()
	in.Seen.Containers[1].Restart = "no" // the engine hung when it was to be told
	if e, ok := effectOf(t, in); !ok || e.Kind != Restore {
		t.Errorf("a live container that a reboot would not bring back: %+v, want %s", e, Restore)
	}
}
