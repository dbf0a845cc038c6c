package docker

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// TestStaleTask: an engine that was restarted may refuse to start a container because its
// runtime still holds a task of it. It is removed, and made anew by the next try; its
// volume stays. One that the engine starts by itself meanwhile is left alone.
func TestStaleTask(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	c := r.spec("stale", "backend")
	set := r.set("stale", c)
	engine, cut := r.through(t, 0, false)
	real := cut.engine
	var refuse atomic.Int32
	cut.engine = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/start") && refuse.Add(-1) >= 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"task 39914cfe: already exists"}`)
			return
		}
		real.ServeHTTP(w, q)
	})
	if err := engine.Create(ctx, set, "no"); err != nil {
		t.Fatal(err)
	}
	refuse.Store(1)
	wantFault(t, engine.Start(ctx, set, nil), rollout.FaultRetry, release.ContainerMissing)
	if found, err := r.find(ctx, label(release.LabelApp, "stale"), r.mine()); err != nil || len(found) != 0 {
		t.Fatalf("%d containers, %v", len(found), err)
	}
	if err := engine.Create(ctx, set, "no"); err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(ctx, set, nil); err != nil {
		t.Fatal(err)
	}
	found, err := r.find(ctx, label(release.LabelApp, "stale"), r.mine())
	if err != nil || len(found) != 1 || found[0].State.Status != "running" {
		t.Errorf("%+v %v", found, err)
	}
}
