package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Any sequence of appends, checkpoints, restarts, faults of the disk and leaps of the
// clock leaves exactly what was acknowledged, less what was retired from its beginning.
func TestJournalIsItsModel(t *testing.T) {
	root, runs := scratch(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		disk := newSmall(rapid.Int64Range(8_000, 60_000).Draw(rt, "room"))
		o := Options{Reserve: rapid.Int64Range(0, 3000).Draw(rt, "reserve"), MaxSize: 6000, Keep: 24 * time.Hour, segmentSize: 1500}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		now := func() time.Time { at = at.Add(time.Millisecond); return at }
		j, err := open(dir, o, disk, now)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		defer func() { _ = j.Close() }()
		var want []Entry
		var checkpoint Entry
		reopen := func(rt *rapid.T) {
			_ = j.Close()
			again, err := open(dir, o, disk, now)
			if err != nil && disk.fault == nil { // the fault was met while opening
				again, err = open(dir, o, disk, now)
			}
			if err != nil {
				rt.Fatalf("open again: %v", err)
			}
			j = again
		}
		failed := func(rt *rapid.T, err error) {
			if !errors.Is(err, ErrFull) && !errors.Is(err, ErrFailed) && !errors.Is(err, syscall.EIO) {
				rt.Fatalf("append: %v", err)
			}
			if errors.Is(err, ErrFailed) {
				disk.fault = nil
				reopen(rt)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				going := Going(rapid.IntRange(0, 1).Draw(rt, "going"))
				e, err := j.Append(rapid.SampledFrom([]string{"", "shop", "bank"}).Draw(rt, "app"), "note",
					note{Text: strings.Repeat("x", rapid.IntRange(0, 400).Draw(rt, "length"))}, going)
				if err != nil {
					failed(rt, err)
					return
				}
				want = append(want, e)
			},
			"checkpoint": func(rt *rapid.T) {
				new := len(want) == 0 || want[len(want)-1].Seq != checkpoint.Seq
				if err := j.Checkpoint(len(want)); err != nil {
					failed(rt, err)
					return
				}
				c, ok := j.LastCheckpoint()
				if !ok || new == (c.Seq == checkpoint.Seq) {
					rt.Fatalf("checkpoint %d after %d, something new: %v", c.Seq, checkpoint.Seq, new)
				}
				if new {
					checkpoint = c
					want = append(want, c)
				}
			},
			"restart": func(rt *rapid.T) { reopen(rt) },
			"time":    func(rt *rapid.T) { at = at.Add(time.Duration(rapid.IntRange(-100, 400).Draw(rt, "hours")) * time.Hour) },
			"room":    func(rt *rapid.T) { disk.free += rapid.Int64Range(0, 5000).Draw(rt, "more") },
			"fault": func(rt *rapid.T) {
				op := rapid.SampledFrom([]string{"write", "sync", "truncate", "rename", "remove", "syncdir", "allocate"}).Draw(rt, "op")
				cause := rapid.SampledFrom([]error{syscall.EIO, syscall.ENOSPC}).Draw(rt, "cause")
				skip := rapid.IntRange(0, 3).Draw(rt, "skip")
				disk.fault = func(o, _ string) error {
					if o != op {
						return nil
					}
					if skip--; skip >= 0 {
						return nil
					}
					disk.fault = nil
					return cause
				}
			},
			"": func(rt *rapid.T) {
				var got []Entry
				if err := j.Replay(0, func(e Entry) error { got = append(got, e); return nil }); err != nil {
					rt.Fatalf("replay: %v", err)
				}
				if len(got) > len(want) {
					rt.Fatalf("%d entries, %d acknowledged", len(got), len(want))
				}
				gone := len(want) - len(got)
				for i := range got {
					if fmt.Sprint(got[i]) != fmt.Sprint(want[gone+i]) {
						rt.Fatalf("entry %v, want %v", got[i], want[gone+i])
					}
				}
				if gone > 0 && (checkpoint.Seq == 0 || len(got) == 0 || got[0].Seq > checkpoint.Seq) {
					rt.Fatalf("retired up to %d, checkpoint %d", want[gone-1].Seq, checkpoint.Seq)
				}
				if c, ok := j.LastCheckpoint(); ok != (checkpoint.Seq > 0) || fmt.Sprint(c) != fmt.Sprint(checkpoint) {
					rt.Fatalf("checkpoint %v, want %v", c, checkpoint)
				}
			},
		})
	})
}
