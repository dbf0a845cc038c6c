package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// TestInstead: one Put takes another app's place. No request is without a route, what was
// in flight ends on the old target, draining and counting go on under the new name, and
// the old one is gone from the state.
func TestInstead(t *testing.T) {
	f := start(t, nil)
	ctx := t.Context()
	entered, leave := make(chan struct{}), make(chan struct{})
	old := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		says("old")(w, r)
	})
	at := map[vocab.Colour][]string{vocab.Blue: {old}, vocab.Green: {target(t, says("new"))}}
	f.put("shop", config(5, vocab.Blue, blue(old)))
	var failed atomic.Int64
	load, stop := context.WithCancel(ctx)
	loaded := make(chan struct{})
	c := client(t)
	go func() {
		defer close(loaded)
		for load.Err() == nil {
			resp, err := c.Do(f.request("GET", "/", nil))
			if err != nil || resp.StatusCode != 200 {
				failed.Add(1)
			}
			if err == nil {
				resp.Body.Close()
			}
		}
	}()
	slow := make(chan string)
	go func() {
		_, text := f.get("/slow")
		slow <- text
	}()
	<-entered

	// Another app may not have the route, and an older generation not the place.
	if _, err := f.Proxy.Put(ctx, "other", config(1, vocab.Green, at)); err == nil || !strings.Contains(err.Error(), "belongs to the app shop") {
		t.Errorf("another app's route: %v", err)
	}
	var stale *StaleError
	for _, generation := range []uint64{4, 5} {
		if _, err := f.Proxy.Put(ctx, "shop2", config(generation, vocab.Green, at), "shop"); !errors.As(err, &stale) || stale.Current != 5 {
			t.Errorf("generation %d takes the place of 5: %v", generation, err)
		}
	}
	if _, err := f.Proxy.Put(ctx, "shop2", config(6, vocab.Green, at), "shop2"); err == nil {
		t.Error("an app takes its own place")
	}
	for range 2 { // again is success
		if _, err := f.Proxy.Put(ctx, "shop2", config(6, vocab.Green, at), "shop", "never"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Proxy.App("shop"); !errors.Is(err, ErrUnknownApp) {
		t.Errorf("shop: %v", err)
	}
	if _, text := f.get("/"); text != "new" {
		t.Errorf("answers %q", text)
	}
	f.settled("shop2", vocab.Blue, 1) // the slow one, on the old target
	drained := make(chan error)
	go func() {
		done, err := f.Proxy.Drain(ctx, "shop2", vocab.Blue, time.Minute, time.Minute)
		if done.Cut != 0 {
			err = errors.Join(err, errors.New("it was cut"))
		}
		drained <- err
	}()
	close(leave)
	if text := <-slow; text != "old" {
		t.Errorf("the slow one got %q", text)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	stop()
	<-loaded
	if n := failed.Load(); n > 0 {
		t.Errorf("%d requests failed", n)
	}
	// Going back is a flip under the new name.
	f.put("shop2", config(7, vocab.Blue, at))
	if _, text := f.get("/"); text != "old" {
		t.Errorf("after the flip: %q", text)
	}
	again, err := New(Options{StateDir: f.Proxy.opt.StateDir})
	if err != nil {
		t.Fatal(err)
	}
	if apps := again.Apps(); len(apps) != 1 || apps["shop2"].Generation != 7 {
		t.Errorf("after a restart: %+v", apps)
	}
}
