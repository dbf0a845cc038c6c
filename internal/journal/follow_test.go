package journal

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir() + "/j"
		j := mustOpenOn(t, dir, Options{segmentSize: 500}, quick{}, time.Now)
		var want []Entry
		for i := range 7 {
			want = append(want, mustAppend(t, j, "shop", i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		froms := []uint64{0, 1, 5, 7, 8, 10}
		got := make([][]Entry, len(froms))
		var mu sync.Mutex
		var readers sync.WaitGroup
		for i, from := range froms {
			readers.Go(func() {
				for e, err := range j.Follow(ctx, from) {
					if err != nil {
						t.Errorf("follow from %d: %v", from, err)
						return
					}
					mu.Lock()
					got[i] = append(got[i], e)
					mu.Unlock()
				}
			})
		}
		check := func() {
			t.Helper()
			synctest.Wait() // all readers wait: they have what there is, at once
			mu.Lock()
			defer mu.Unlock()
			for i, from := range froms {
				rest := want[min(len(want), max(int(from), 1)-1):]
				if len(rest) == 0 {
					rest = nil
				}
				same(t, "followed", rest, got[i])
			}
		}
		check()
		for i := range 20 {
			want = append(want, mustAppend(t, j, "shop", i))
			check()
		}
		if err := j.Checkpoint(1); err != nil {
			t.Fatal(err)
		}
		c, _ := j.LastCheckpoint()
		want = append(want, c)
		check()
		if n := len(segmentsOf(t, dir)); n < 5 {
			t.Fatalf("%d segments, the test wants several", n)
		}
		cancel()
		readers.Wait()

		ended := make(chan struct{})
		go func() {
			for range j.Follow(t.Context(), 1000) {
				t.Error("an entry that was not written")
			}
			close(ended)
		}()
		synctest.Wait()
		mustClose(t, j)
		<-ended
	})
}

func TestFollowStopsWithItsReader(t *testing.T) {
	j := mustOpen(t, t.TempDir()+"/j", Options{})
	for i := range 3 {
		mustAppend(t, j, "shop", i)
	}
	n := 0
	for range j.Follow(t.Context(), 0) {
		if n++; n == 2 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range j.Follow(ctx, 0) {
		n++
		cancel()
	}
	if n != 3 {
		t.Fatalf("%d entries", n)
	}
}

// A file that was changed while the agent runs is not served as if it were sound.
func TestReadersCheckTheChain(t *testing.T) {
	dir := t.TempDir() + "/j"
	j := mustOpen(t, dir, Options{})
	for i := range 3 {
		mustAppend(t, j, "shop", i)
	}
	name := segmentsOf(t, dir)[0]
	sound := read(t, name)
	for what, spoil := range map[string]func(){
		"changed": func() {
			data := append([]byte(nil), sound...)
			data[len(data)-20] ^= 1
			write(t, name, data)
		},
		"shortened": func() { write(t, name, sound[:len(sound)-5]) },
		"emptied":   func() { write(t, name, nil) },
		"removed":   func() { remove(t, name) },
	} {
		spoil()
		if err := j.Replay(0, func(Entry) error { return nil }); err == nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: replay: %v", what, err)
		}
		var last error
		for _, err := range j.Follow(t.Context(), 0) {
			last = err
		}
		if last == nil {
			t.Errorf("%s: follow saw nothing", what)
		}
	}
}

// Writers and readers at once: every reader sees every entry once and in order.
func TestManyAtOnce(t *testing.T) {
	j := mustOpenOn(t, t.TempDir()+"/j", Options{segmentSize: 2000}, quick{}, time.Now)
	const writers, each = 4, 50
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var busy sync.WaitGroup
	for range 3 {
		busy.Go(func() {
			next := uint64(1)
			for e, err := range j.Follow(ctx, 0) {
				if err != nil || e.Seq != next {
					t.Errorf("entry %d, want %d: %v", e.Seq, next, err)
					return
				}
				if next++; next > writers*each {
					return
				}
			}
			t.Errorf("the follower ended at %d", next)
		})
	}
	for w := range writers {
		busy.Go(func() {
			for i := range each {
				if _, err := j.Append("shop", "note", note{N: i}, Going(w%2)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	busy.Wait()
}
