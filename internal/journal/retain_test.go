package journal

import (
	"errors"
	"testing"
	"time"
)

// days writes one entry a day for n days, in segments of a few days each.
func days(t *testing.T, j *Journal, at *time.Time, n int) {
	t.Helper()
	for range n {
		*at = at.Add(24 * time.Hour)
		mustAppend(t, j, "shop", at.YearDay())
	}
}

func TestRetentionByAge(t *testing.T) {
	dir := t.TempDir() + "/j"
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o := Options{Keep: 20 * 24 * time.Hour}
	j := mustOpenOn(t, dir, o, quick{}, func() time.Time { return at })
	days(t, j, &at, 60)
	if n := len(segmentsOf(t, dir)); n != 9 {
		t.Fatalf("%d segments: one begins when the last is a week old", n)
	}
	if got := all(t, j, 0); len(got) != 60 {
		t.Fatal("entries went without a checkpoint")
	}
	for left := 8; left > 4; left-- { // one for each checkpoint
		if err := j.Checkpoint(left); err != nil {
			t.Fatal(err)
		}
		if n := len(segmentsOf(t, dir)); n != left {
			t.Fatalf("%d segments, want %d", n, left)
		}
		mustAppend(t, j, "shop", left)
	}
	for range 5 {
		if err := j.Checkpoint(0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, j, "shop", 0)
	}
	oldest := all(t, j, 0)[0].Time
	if age := at.Sub(oldest); age < o.Keep || age > o.Keep+segmentAge {
		t.Fatalf("the oldest entry is %v old, kept for %v", age, o.Keep)
	}
	mustClose(t, j)
	j = mustOpenOn(t, dir, o, quick{}, func() time.Time { return at })
	if got := all(t, j, 5); !got[0].Time.Equal(oldest) {
		t.Fatalf("replay from a retired number begins with %+v", got[0])
	}
}

func TestRetentionBySize(t *testing.T) {
	dir := t.TempDir() + "/j"
	log, text := logged()
	j := mustOpenOn(t, dir, Options{MaxSize: 10_000, segmentSize: 1000, Log: log}, quick{}, tick())
	for i := range 200 {
		mustAppend(t, j, "shop", i)
	}
	if n := len(segmentsOf(t, dir)); n < 20 {
		t.Fatalf("%d segments", n)
	}
	if err := j.Checkpoint(0); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range segmentsOf(t, dir) {
		total += len(read(t, name))
	}
	if total > 10_000 || total < 8_000 {
		t.Fatalf("%d bytes left of at most 10000", total)
	}
	if text.Len() == 0 {
		t.Fatal("entries went early and nothing was said")
	}
}

// What follows the last checkpoint is the state: it stays, whatever its size and age.
func TestRetentionKeepsTheState(t *testing.T) {
	dir := t.TempDir() + "/j"
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	j := mustOpenOn(t, dir, Options{MaxSize: 1, Keep: 1, segmentSize: 500}, quick{}, func() time.Time { return at })
	days(t, j, &at, 10)
	if err := j.Checkpoint("state"); err != nil {
		t.Fatal(err)
	}
	days(t, j, &at, 10)
	j.retire()
	got := all(t, j, 0)
	c, _ := j.LastCheckpoint()
	if got[0].Seq > c.Seq || len(got) < 11 {
		t.Fatalf("checkpoint %d, %d entries from %d on", c.Seq, len(got), got[0].Seq)
	}
	if len(got) > 14 {
		t.Fatalf("nothing went: %d entries", len(got))
	}
}

func TestFollowerSlowerThanRetention(t *testing.T) {
	dir := t.TempDir() + "/j"
	j := mustOpenOn(t, dir, Options{MaxSize: 1, segmentSize: 500}, quick{}, tick())
	for i := range 3 {
		mustAppend(t, j, "shop", i)
	}
	seen := uint64(0)
	var last error
	for e, err := range j.Follow(t.Context(), 0) {
		if err != nil {
			last = err
			break
		}
		if e.Seq != seen+1 {
			t.Fatalf("entry %d after %d", e.Seq, seen)
		}
		if seen = e.Seq; seen == 1 {
			for i := range 20 {
				mustAppend(t, j, "shop", i)
			}
			if err := j.Checkpoint(0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(last, ErrGone) || seen < 2 || seen > 10 {
		t.Fatalf("after %d: %v", seen, last)
	}
}
