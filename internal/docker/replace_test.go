package docker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// TestReplaceFaults: whatever becomes of the new container, one of the two runs in the
// end under the name, and nothing is left aside.
func TestReplaceFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	shared := func(app string, args ...string) release.SetSpec {
		s := r.spec(app, "store", args...)
		s.Class, s.StopGrace = release.ClassShared, time.Second
		s.Labels[release.LabelSpec] = strings.Join(args, " ")
		delete(s.Labels, release.LabelColour)
		set := r.set(app, s)
		set.ID.Colour = release.Shared
		return set
	}
	running := func(t *testing.T, app string) rollout.Container {
		t.Helper()
		set := shared(app, "-say", "first")
		if err := r.Replace(ctx, set); err != nil {
			t.Fatal(err)
		}
		return one(t, r, app)
	}
	back := func(t *testing.T, app string, before rollout.Container) {
		t.Helper()
		if now := one(t, r, app); now.ID != before.ID || now.Name != before.Name || now.Status != rollout.Running || now.Restart != "unless-stopped" {
			t.Errorf("the one before does not run again: %+v, before %+v", now, before)
		}
	}
	ill := func(app string) release.SetSpec {
		set := shared(app, "-health", "503")
		set.Containers[0].Health = &release.HealthSpec{Test: []string{"CMD", "/app", "-check", "http://127.0.0.1:8080/healthz"}, Interval: 200 * time.Millisecond, Timeout: 2 * time.Second, Retries: 1}
		return set
	}
	t.Run("it ends at once", func(t *testing.T) {
		before := running(t, "ends")
		wantFault(t, r.Replace(ctx, shared("ends", "-say", "no data", "-exit", "3")), rollout.FaultRevert, release.ReplaceFailed, "exit code 3", "no data", "the one before runs again")
		back(t, "ends", before)
	})
	t.Run("it is unhealthy", func(t *testing.T) {
		before := running(t, "ill")
		wantFault(t, r.Replace(ctx, ill("ill")), rollout.FaultRevert, release.ReplaceFailed, "unhealthy", "503")
		back(t, "ill", before)
	})
	t.Run("it takes too long", func(t *testing.T) {
		before := running(t, "slow")
		set := ill("slow")
		set.Containers[0].Health.StartPeriod, set.Containers[0].Health.Retries = time.Minute, 100
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		wantFault(t, r.Replace(short, set), rollout.FaultRevert, release.ReplaceFailed, "too long")
		back(t, "slow", before)
	})
	t.Run("a crash left the one before aside", func(t *testing.T) {
		before := running(t, "crash")
		if err := r.setAside(ctx, shared("crash", "-say", "second").Containers[0]); err != nil {
			t.Fatal(err)
		}
		// A try with a third specification: what is aside stays the one that ran.
		wantFault(t, r.Replace(ctx, shared("crash", "-say", "third", "-exit", "1")), rollout.FaultRevert, release.ReplaceFailed, "exit code 1")
		back(t, "crash", before)
		if err := r.setAside(ctx, shared("crash", "-say", "second").Containers[0]); err != nil {
			t.Fatal(err)
		}
		if err := r.Replace(ctx, shared("crash", "-say", "second")); err != nil {
			t.Fatal(err)
		}
		if now := one(t, r, "crash"); now.ID == before.ID || now.Status != rollout.Running {
			t.Errorf("not finished: %+v", now)
		}
	})
	t.Run("another's", func(t *testing.T) {
		running(t, "mine")
		set := shared("mine", "-say", "second")
		set.Containers[0].Labels[release.LabelApp] = "yours"
		wantFault(t, r.Replace(ctx, set), rollout.FaultHold, release.NameTaken, "belongs to the app mine")
	})
}

// one is the only container of an app.
func one(t *testing.T, r *rig, app string) rollout.Container {
	t.Helper()
	seen, err := r.Observe(t.Context(), app)
	if err != nil || len(seen) != 1 {
		t.Fatalf("%d containers of %s: %+v %v", len(seen), app, seen, err)
	}
	return seen[0]
}
