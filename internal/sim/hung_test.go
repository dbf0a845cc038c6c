package sim

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// TestHungEngineDelaysNoFlip: an engine that takes calls and never answers must not
// keep traffic on a release that an operator wants to leave.
func TestHungEngineDelaysNoFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld()
		agent, err := w.Start(policy(t), slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		traffic := make(chan struct{})
		go func() {
			defer close(traffic)
			w.Traffic(ctx, "shop", 200*time.Millisecond)
		}()
		defer func() {
			agent.Stop()
			cancel()
			<-traffic
		}()
		reach := func(what string, ok func(rollout.State) bool) {
			t.Helper()
			for end := time.Now().Add(10 * time.Minute); !ok(w.State("shop")); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: not reached; phase %s", what, w.State("shop").Phase())
				}
			}
		}
		w.Commit(manifest("v1.0.0", 1))
		reach("v1.0.0", ended("v1.0.0"))
		w.Commit(manifest("v2.0.0", 2))
		reach("the bake of v2.0.0", in(rollout.Baking, "v2.0.0"))
		blue := w.State("shop").Proven.ID.Colour
		w.SetHung(true)
		ordered := time.Now()
		if err := rollback(w, agent); err != nil {
			t.Fatal(err)
		}
		serves := func() release.Colour {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.proxy["shop"].Live
		}
		for serves() != blue {
			if time.Since(ordered) > 30*time.Second {
				t.Fatalf("traffic is still on the new colour %s after the order; phase %s, waits %+v", time.Since(ordered), w.State("shop").Phase(), agent.Status()[0].Wait)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("traffic is back %s after the order, while the engine hangs", time.Since(ordered))
		w.SetHung(false)
		reach("held", func(s rollout.State) bool { return atRest(s) && s.Hold != nil && s.Live.Version == "v1.0.0" })
	})
}
