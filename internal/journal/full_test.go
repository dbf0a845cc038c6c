package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fill appends forward until the disk is full and returns what got in.
func fill(t testing.TB, j *Journal) []Entry {
	t.Helper()
	var got []Entry
	for i := range 100000 {
		e, err := j.Append("shop", "note", note{Text: strings.Repeat("x", 300), N: i}, Forward)
		if errors.Is(err, ErrFull) {
			if !strings.Contains(err.Error(), j.dir) || !strings.Contains(err.Error(), "free space") {
				t.Fatalf("the error names no place: %v", err)
			}
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	t.Fatal("the disk never filled up")
	return nil
}

// back appends as many entries that go back as the reserve must hold.
func back(t testing.TB, j *Journal, reserve int) []Entry {
	t.Helper()
	var got []Entry
	for used := 0; ; {
		n := note{Text: strings.Repeat("b", 350), N: used}
		line, _, err := encode(chain{}, Entry{Seq: 1e9, Time: time.Now().UTC(), App: "shop", Kind: "note", Data: mustJSON(t, n)})
		if err != nil {
			t.Fatal(err)
		}
		if used += len(line); used > reserve {
			return got
		}
		e, err := j.Append("shop", "note", n, Back)
		if err != nil {
			t.Fatalf("going back with %d of %d bytes of the reserve: %v", used, reserve, err)
		}
		got = append(got, e)
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFullDisk(t *testing.T) {
	const reserve = 20_000
	for name, o := range map[string]Options{
		"one segment":   {Reserve: reserve},
		"many segments": {Reserve: reserve, segmentSize: 4000},
	} {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t) + "/j"
			disk := newSmall(200_000)
			j := mustOpenOn(t, dir, o, disk, time.Now)
			want := fill(t, j)
			if len(want) < 200 {
				t.Fatalf("full after %d entries", len(want))
			}
			same(t, "after full", want, all(t, j, 0))

			// The agent can be restarted on the full disk and still go back.
			mustClose(t, j)
			j = mustOpenOn(t, dir, o, disk, time.Now)
			if _, err := j.Append("shop", "note", note{Text: strings.Repeat("x", 300)}, Forward); !errors.Is(err, ErrFull) {
				t.Fatalf("forward after opening again: %v", err)
			}
			want = append(want, back(t, j, reserve)...)
			same(t, "after going back", want, all(t, j, 0))
			var err error
			for range 1000 {
				var e Entry
				if e, err = j.Append("shop", "note", note{Text: strings.Repeat("b", 350)}, Back); err != nil {
					break
				}
				want = append(want, e)
			}
			if !errors.Is(err, ErrFull) {
				t.Fatalf("a reserve without end: %v", err)
			}
			mustClose(t, j)
			j = mustOpenOn(t, dir, o, disk, time.Now)
			same(t, "after the reserve's end and opening again", want, all(t, j, 0))

			// Room comes back: first the reserve is filled again, then it goes forward.
			disk.mu.Lock()
			disk.free += 100_000
			disk.mu.Unlock()
			want = append(want, fill(t, j)...)
			want = append(want, back(t, j, reserve)...)
			same(t, "after a second time", want, all(t, j, 0))
		})
	}
}

// Where blocks cannot be allocated ahead, a full disk is met by the write itself.
func TestFullDiskWithoutAllocation(t *testing.T) {
	dir := t.TempDir() + "/j"
	disk := newSmall(30_000)
	disk.none = true
	log, text := logged()
	j := mustOpenOn(t, dir, Options{Reserve: 10_000, Log: log}, disk, time.Now)
	want := fill(t, j)
	if len(want) < 20 || strings.Count(text.String(), "cannot allocate ahead") != 1 {
		t.Fatalf("%d entries, logged %s", len(want), text)
	}
	same(t, "after full", want, all(t, j, 0))
	if _, err := j.Append("shop", "note", note{Text: strings.Repeat("b", 350)}, Back); !errors.Is(err, ErrFull) {
		t.Fatalf("going back without reserve: %v", err)
	}
	disk.free += 10_000
	want = append(want, mustAppend(t, j, "shop", 1))
	mustClose(t, j)
	j = mustOpenOn(t, dir, Options{}, disk, time.Now)
	same(t, "after opening again", want, all(t, j, 0))
}

// Every call to the disk fails once, in every way; what was acknowledged is there
// afterwards, what was refused is not.
func TestFailuresOfTheDisk(t *testing.T) {
	for _, op := range []string{"open", "write", "sync", "truncate", "allocate", "rename", "syncdir", "remove"} {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprintf("%s %v", op, cause), func(t *testing.T) {
				hits := 0
				for nth := 1; ; nth++ {
					if !failNth(t, op, cause, nth) {
						break
					}
					hits++
				}
				if hits == 0 {
					t.Fatalf("the disk was never asked to %s", op)
				}
			})
		}
	}
}

// failNth lets the nth call of op fail and checks what is left; false when there was
// no nth call.
func failNth(t *testing.T, op string, cause error, nth int) bool {
	dir := filepath.Join(scratch(t), "j")
	disk := newSmall(1 << 20)
	calls, hit := 0, false
	disk.fault = func(o, _ string) error {
		if o != op {
			return nil
		}
		if calls++; calls == nth {
			hit = true
			return cause
		}
		return nil
	}
	o := Options{Reserve: 1000, MaxSize: 4000, segmentSize: 1500}
	var want []Entry
	run := func() {
		j, err := open(dir, o, disk, tick())
		if err != nil {
			if !hit || errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s %d: open: %v", op, nth, err)
			}
			return
		}
		defer j.Close()
		for i := range 40 {
			e, err := j.Append("shop", "note", note{Text: strings.Repeat("x", i)}, Going(i%2))
			switch {
			case err == nil:
				want = append(want, e)
			case errors.Is(err, ErrFailed):
				if isFull(cause) && op != "truncate" && op != "syncdir" {
					t.Fatalf("%s %d: a full disk made the journal fail: %v", op, nth, err)
				}
				if _, err := j.Append("shop", "note", 1, Back); !errors.Is(err, ErrFailed) {
					t.Fatalf("%s %d: a failed journal goes on: %v", op, nth, err)
				}
				return
			case errors.Is(err, ErrFull) != isFull(cause) || !hit:
				t.Fatalf("%s %d: append: %v", op, nth, err)
			}
			if i%10 == 9 {
				if err := j.Checkpoint(i); err == nil {
					c, _ := j.LastCheckpoint()
					want = append(want, c)
				} else if !hit {
					t.Fatal(err)
				}
			}
		}
	}
	run()
	disk.fault = nil
	run()
	j := mustOpenOn(t, dir, o, disk, tick())
	got := all(t, j, 0)
	mustClose(t, j)
	if len(got) == 0 || len(want) < len(got) {
		t.Fatalf("%s %d: %d entries, acknowledged %d", op, nth, len(got), len(want))
	}
	same(t, fmt.Sprintf("%s %d", op, nth), want[len(want)-len(got):], got) // the oldest went by size
	return hit
}

// After a failed fsync nobody knows what the disk holds: the entry is cut off, so that
// the page cache does not show it to the next reader as if it were durable.
func TestFailedFsync(t *testing.T) {
	dir := t.TempDir() + "/j"
	disk := newSmall(1 << 20)
	log, text := logged()
	j := mustOpenOn(t, dir, Options{Log: log}, disk, time.Now)
	want := []Entry{mustAppend(t, j, "shop", 1)}
	disk.fault = func(op, _ string) error {
		if op != "sync" {
			return nil
		}
		disk.fault = nil // the kernel says it once; the next fsync would succeed
		return syscall.EIO
	}
	select {
	case <-j.Failed():
		t.Fatal("failed before its time")
	default:
	}
	_, err := j.Append("shop", "note", 2, Back)
	<-j.Failed()
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "restart the agent") {
		t.Fatalf("append: %v", err)
	}
	if _, err := j.Append("shop", "note", 3, Forward); !errors.Is(err, ErrFailed) {
		t.Fatalf("a failed journal went on: %v", err)
	}
	if err := j.Checkpoint(1); !errors.Is(err, ErrFailed) {
		t.Fatalf("a failed journal took a checkpoint: %v", err)
	}
	if !strings.Contains(text.String(), "the journal failed") {
		t.Fatalf("logged %q", text)
	}
	same(t, "a failed journal can be read", want, all(t, j, 0))
	mustClose(t, j)
	j = mustOpenOn(t, dir, Options{}, disk, time.Now)
	same(t, "after opening again", want, all(t, j, 0))
	mustAppend(t, j, "shop", 2)
}

// What a killed writer left may be in memory only; Open does not build on it before it
// is on disk.
func TestOpenMakesDurableWhatItRead(t *testing.T) {
	for _, op := range []string{"sync", "syncdir"} {
		dir := t.TempDir() + "/j"
		disk := newSmall(1 << 20)
		j := mustOpenOn(t, dir, Options{}, disk, time.Now)
		mustAppend(t, j, "shop", 1)
		mustClose(t, j)
		disk.fault = func(o, _ string) error {
			if o == op {
				return syscall.EIO
			}
			return nil
		}
		if _, err := open(dir, Options{}, disk, time.Now); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: open: %v", op, err)
		}
		disk.fault = nil
		mustOpenOn(t, dir, Options{}, disk, time.Now) // the lock was given back
	}
}

// tmpfs mounts a real filesystem of the given size. Without root it skips, but not
// where CI=true says that everything must be shown.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a tmpfs: %v", err)
		}
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// stuff fills a real filesystem to its last byte with somebody else's file.
func stuff(t *testing.T, dir string) (name string) {
	t.Helper()
	name = filepath.Join(dir, "foreign")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		size /= 2
	}
	return name
}

func TestFullRealDisk(t *testing.T) {
	root := tmpfs(t, "2m")
	const reserve = 256 << 10
	fullRealDisk(t, root, reserve)
}

// ext4 has what most hosts have: blocks allocated late, and ahead.
func TestFullExt4(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	image, root := filepath.Join(dir, "image"), filepath.Join(dir, "root")
	for _, err := range []error{os.WriteFile(image, nil, 0o600), os.Truncate(image, 4<<20), os.Mkdir(root, 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, root}} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", command[0], err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := os.Chmod(root, 0o700); err != nil {
		t.Fatal(err)
	}
	fullRealDisk(t, root, 64<<10)
}

func fullRealDisk(t *testing.T, root string, reserve int64) {
	dir := filepath.Join(root, "j")
	o := Options{Reserve: reserve, segmentSize: 100 << 10}
	j := mustOpen(t, dir, o)
	var want []Entry
	for i := range 300 {
		want = append(want, mustAppend(t, j, "shop", i))
	}
	foreign := stuff(t, root)
	want = append(want, fill(t, j)...)
	if err := j.Checkpoint(strings.Repeat("x", 1000)); !errors.Is(err, ErrFull) {
		t.Fatalf("a checkpoint used the reserve: %v", err)
	}
	want = append(want, back(t, j, int(reserve)/2)...)
	mustClose(t, j)
	j = mustOpen(t, dir, o)
	same(t, "after opening again on the full disk", want, all(t, j, 0))
	want = append(want, back(t, j, int(reserve)/2-4<<10)...)
	if err := WriteFile(filepath.Join(root, "state"), make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write a file on a full disk: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, ".state*")); left != nil {
		t.Fatalf("left behind: %v", left)
	}
	remove(t, foreign)
	want = append(want, mustAppend(t, j, "shop", 1))
	stuff(t, root)
	want = append(want, back(t, j, int(reserve)/2)...) // it was filled again
	same(t, "in the end", want, all(t, j, 0))
	mustClose(t, j)
	mustOpen(t, dir, o)
}
