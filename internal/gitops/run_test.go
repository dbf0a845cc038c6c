package gitops

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

// start runs the loop until the test ends.
func start(t *testing.T, r *Repo) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	})
}

// await waits for a change that ok likes.
func await(t *testing.T, r *Repo, within time.Duration, ok func(Status) bool) Status {
	t.Helper()
	deadline := time.After(within)
	for {
		if st := r.Status(); ok(st) {
			return st
		}
		select {
		case <-r.Changed():
		case <-time.After(10 * time.Millisecond): // Next changes without a word
		case <-deadline:
			t.Fatalf("not within %v: %+v", within, r.Status())
		}
	}
}

// With an hour until the next look, only the push itself can be the reason.
func TestLocalPushWakes(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	cfg.Poll = time.Hour
	cfg.Evidence = "teal/evidence" // below a directory that is not there yet
	r := open(t, cfg)
	start(t, r)
	await(t, r, 30*time.Second, func(s Status) bool { return s.Head != "" && s.Code == release.BranchMissing && !s.Next.IsZero() })
	if st := r.Status(); time.Until(st.Next) < 40*time.Minute {
		t.Errorf("next look at %v", st.Next)
	}
	push := func(what string, args ...string) {
		t.Helper()
		o.git("commit", "-q", "--allow-empty", "-m", what)
		want := o.git("rev-parse", "HEAD")
		begin := time.Now()
		o.git(append([]string{"push", "-q", "origin"}, args...)...)
		await(t, r, 30*time.Second, func(s Status) bool { return s.Head == want || s.Evidence == want })
		t.Logf("%s seen %v after git push began", what, time.Since(begin).Round(time.Millisecond))
	}
	push("first", "HEAD:main")
	push("second", "HEAD:main")
	push("evidence", "HEAD:refs/heads/teal/evidence")
	push("more evidence", "HEAD:refs/heads/teal/evidence")
	run(t, o.bare, nil, "pack-refs", "--all", "--prune")
	push("after pack-refs", "HEAD:main")
	run(t, o.bare, nil, "gc", "-q", "--prune=now")
	push("after gc", "HEAD:main")
	push("evidence after gc", "HEAD:refs/heads/teal/evidence")
}

// A repository that is moved away and comes back is found again without waiting for
// the next look.
func TestUnreachableThenBack(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	cfg := o.config()
	cfg.Poll = time.Second
	r := open(t, cfg)
	start(t, r)
	await(t, r, 30*time.Second, func(s Status) bool { return s.Head == a })
	if err := os.Rename(o.bare, o.bare+".away"); err != nil {
		t.Fatal(err)
	}
	st := await(t, r, 30*time.Second, func(s Status) bool { return s.Code == release.RepoUnreachable && s.Next.After(s.LastAttempt) })
	if st.Head != a || !strings.Contains(st.Detail, o.bare) {
		t.Errorf("status %+v", st)
	}
	if err := os.Rename(o.bare+".away", o.bare); err != nil {
		t.Fatal(err)
	}
	back := await(t, r, 30*time.Second, func(s Status) bool { return s.Code == "" })
	if back.LastAttempt.After(st.Next) && st.Failures == 1 {
		t.Errorf("it was only found at %v, when the next look was due at %v", back.LastAttempt, st.Next)
	}
}

// Damage that a reader finds is repaired at once by the loop.
func TestReadDamageWakesTheLoop(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/a", "content\n")
	a := o.commit("content")
	cfg := o.config()
	cfg.Poll = time.Hour
	r := open(t, cfg)
	start(t, r)
	await(t, r, 30*time.Second, func(s Status) bool { return s.Head == a })
	s, _ := r.Head()
	eachFile(t, filepath.Join(cfg.Dir, "clone.git"), "objects", os.RemoveAll)
	deadline := time.Now().Add(30 * time.Second)
	for {
		// The first reads may still come from memory.
		r.mu.Lock()
		r.store = openClone(r.clonePath(), false)
		r.mu.Unlock()
		if _, err := s.Apps("production"); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("removed objects are still read")
		}
	}
	for {
		if _, err := s.Apps("production"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not repaired")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The loop alone, in time that costs nothing: looks at a repository on disk every
// 15 s ± 20 %, and after errors with waits that double to five minutes.
func TestPollKeepsItsPace(t *testing.T) {
	o := newOrigin(t)
	r := open(t, o.config())
	r.notify = false
	looks := make(chan time.Time, 1000)
	r.source = timed{r.source, looks}
	synctest.Test(t, func(t *testing.T) {
		// Channels of the loop must belong to the bubble.
		r.changed, r.wake = make(chan struct{}, 1), make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		waits := drain(looks)
		if len(waits) < 3600/18-2 || len(waits) > 3600/12+2 {
			t.Errorf("%d looks in an hour", len(waits))
		}
		distinct := map[time.Duration]bool{}
		for _, w := range waits {
			distinct[w.Round(time.Millisecond)] = true
			if w < 12*time.Second || w > 18*time.Second {
				t.Errorf("waited %v", w)
			}
		}
		if len(distinct) < 20 {
			t.Errorf("only %d different waits", len(distinct))
		}

		if err := os.Rename(o.bare, o.bare+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		waits = drain(looks)
		want := 5 * time.Second
		for i, w := range waits {
			if w < want*8/10 || w > want*12/10 {
				t.Errorf("wait %d after errors is %v, want %v ± 20 %%", i, w, want)
			}
			want = min(want*2, 15*time.Second) // a local repository is looked at as often as ever
		}
		if len(waits) < 10 {
			t.Errorf("%d looks in an hour of errors", len(waits))
		}
		cancel()
		synctest.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// timed notes when it is looked at.
type timed struct {
	source
	looks chan time.Time
}

func (s timed) look(ctx context.Context) (visit, error) {
	s.looks <- time.Now()
	return s.source.look(ctx)
}

func drain(looks chan time.Time) []time.Duration {
	var waits []time.Duration
	var last time.Time
	for {
		select {
		case at := <-looks:
			if !last.IsZero() {
				waits = append(waits, at.Sub(last))
			}
			last = at
		default:
			return waits
		}
	}
}

func TestJitterStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "d"))
		x := rapid.Float64Range(0, 0.9999999).Draw(t, "x")
		if got := jitter(d, x); got < d*79/100 || got > d*121/100 {
			t.Fatalf("jitter(%v, %v) = %v", d, x, got)
		}
		n := rapid.IntRange(1, 10_000).Draw(t, "failures")
		if got := backoff(n); got < retryFirst || got > retryLast {
			t.Fatalf("backoff(%d) = %v", n, got)
		}
	})
}
