package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/rig"
)

// TestTrafficFindsItsColourWithoutAgent restarts containers in reverse order, and then
// the whole engine, while the agent is away: fixed addresses and restart policies
// alone must bring back exactly what served.
func TestTrafficFindsItsColourWithoutAgent(t *testing.T) {
	r := open(t, rig.Options{Engine: true})
	up(t, r)
	deploy(t, r, rig.Manifest{Version: "v1.1.0", Sequence: 2})
	serves(t, r, "v1.1.0")
	if err := r.StopAgent(); err != nil {
		t.Fatal(err)
	}

	engine := r.Engine.API()
	ids := map[string]string{}
	all, err := engine.ContainerList(t.Context(), client.ContainerListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Items {
		ids[c.Labels[release.LabelService]] = c.ID
	}
	for _, service := range []string{"backend", "ai-gateway"} {
		if _, err := engine.ContainerStop(t.Context(), ids[service], client.ContainerStopOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range []string{"ai-gateway", "backend"} {
		if _, err := engine.ContainerStart(t.Context(), ids[service], client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	back(t, r, "v1.1.0", "two containers restarted in reverse order")
	serves(t, r, "v1.1.0")

	if err := r.Engine.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, status, err := r.Get(t.Context(), "/work"); err == nil && status < 500 {
		t.Fatalf("the engine is down and the front door answers %d", status)
	}
	if err := r.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back(t, r, "v1.1.0", "the engine was restarted")
	serves(t, r, "v1.1.0")

	if err := r.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := await(t, r, "v1.1.0 live", func(a api.AppStatus) bool { return rig.Live("v1.1.0")(a) })
	tidy(t, r, a)
}

// back waits until the front door serves a version on both routes again.
func back(t *testing.T, r *rig.Rig, version, what string) {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 30*time.Second {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		one, s1, _ := r.Get(ctx, "/work")
		two, s2, _ := r.Get(ctx, "/ai/work")
		cancel()
		if s1 == 200 && s2 == 200 {
			if one != version || two != version {
				t.Fatalf("%s: the front door answers with %s and %s, want %s", what, one, two, version)
			}
			t.Logf("%s: %s serves again after %s, without the agent", what, version, time.Since(began).Round(10*time.Millisecond))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: %s does not serve again", what, version)
}
