package journal

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReplayGivesWhatAppendReturned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, Options{segmentSize: 600})
	var want []Entry
	for i := range 20 {
		e, err := j.Append("shop", "note", map[string]any{"text": "<&>\n\x00\u2028 é", "n": i, "big": json.Number("12345678901234567890")}, Going(i%2))
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq != uint64(i+1) || e.Time.Location() != time.UTC {
			t.Fatalf("entry %d: %+v", i+1, e)
		}
		want = append(want, e)
	}
	same(t, "replay while open", want, all(t, j, 0))
	same(t, "replay from 7", want[6:], all(t, j, 7))
	same(t, "replay from beyond the end", nil, all(t, j, 21))
	same(t, "replay from the very end of numbers", nil, all(t, j, math.MaxUint64))
	if n := len(segmentsOf(t, dir)); n < 3 {
		t.Fatalf("%d segments, the test wants several", n)
	}
	mustClose(t, j)
	j = mustOpen(t, dir, Options{})
	same(t, "replay after opening again", want, all(t, j, 0))
	if e := mustAppend(t, j, "", 1); e.Seq != 21 {
		t.Fatalf("went on with %d", e.Seq)
	}
}

func TestReplayStopsAtTheReadersError(t *testing.T) {
	j := mustOpen(t, t.TempDir()+"/j", Options{})
	for i := range 3 {
		mustAppend(t, j, "shop", i)
	}
	enough, calls := errors.New("enough"), 0
	err := j.Replay(0, func(Entry) error { calls++; return enough })
	if err != enough || calls != 1 {
		t.Fatalf("%v after %d calls", err, calls)
	}
}

func TestReplayEndsAtTheEntriesOfItsBeginning(t *testing.T) {
	j := mustOpen(t, t.TempDir()+"/j", Options{})
	mustAppend(t, j, "shop", 0)
	calls := 0
	err := j.Replay(0, func(Entry) error { calls++; mustAppend(t, j, "shop", calls); return nil })
	if err != nil || calls != 1 {
		t.Fatalf("%v after %d calls", err, calls)
	}
}

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir() + "/j"
	j := mustOpen(t, dir, Options{})
	if _, ok := j.LastCheckpoint(); ok {
		t.Fatal("a new journal has a checkpoint")
	}
	mustAppend(t, j, "shop", 1)
	for range 3 { // the second and third have nothing new
		if err := j.Checkpoint(map[string]int{"shop": 1}); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, j, "shop", 2)
	for range 2 {
		c, ok := j.LastCheckpoint()
		if !ok || c.Seq != 2 || string(c.Data) != `{"shop":1}` {
			t.Fatalf("checkpoint %v %+v", ok, c)
		}
		if got := all(t, j, c.Seq+1); len(got) != 1 || textOf(t, got[0]).N != 2 {
			t.Fatalf("after the checkpoint: %+v", got)
		}
		mustClose(t, j)
		j = mustOpen(t, dir, Options{})
	}
	if err := j.Checkpoint(strings.Repeat("x", 3*maxRecord)); err != nil {
		t.Fatalf("a checkpoint may be longer than an entry: %v", err)
	}
	mustClose(t, j)
	j = mustOpen(t, dir, Options{})
	if c, _ := j.LastCheckpoint(); c.Seq != 4 || len(c.Data) != 3*maxRecord+2 {
		t.Fatalf("long checkpoint %d of %d bytes", c.Seq, len(c.Data))
	}
}

func TestRefusedEntriesLeaveNothing(t *testing.T) {
	j := mustOpen(t, t.TempDir()+"/j", Options{})
	want := []Entry{mustAppend(t, j, "shop", 1)}
	long := strings.Repeat("x", maxRecord)
	for name, try := range map[string]func() error{
		"kind of the checkpoints": func() error { _, err := j.Append("", CheckpointKind, 1, Forward); return err },
		"no kind":                 func() error { _, err := j.Append("", "", 1, Forward); return err },
		"long app":                func() error { _, err := j.Append(long, "note", 1, Back); return err },
		"long data":               func() error { _, err := j.Append("", "note", long, Back); return err },
		"not JSON":                func() error { _, err := j.Append("", "note", func() {}, Forward); return err },
		"broken JSON":             func() error { _, err := j.Append("", "note", json.RawMessage("{"), Forward); return err },
	} {
		if err := try(); err == nil || errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
	want = append(want, mustAppend(t, j, "shop", 2))
	same(t, "entries", want, all(t, j, 0))
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir() + "/j"
	j := mustOpen(t, dir, Options{})
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Fatalf("second open: %v", err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestChildOpens$")
	child.Env = append(os.Environ(), "JOURNAL_CHILD="+dir)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "locked") {
		t.Fatalf("another process: %v\n%s", err, out)
	}
	mustClose(t, j)
	mustOpen(t, dir, Options{})
}

// TestChildOpens is the other process of TestOneWriter.
func TestChildOpens(t *testing.T) {
	dir := os.Getenv("JOURNAL_CHILD")
	if dir == "" {
		t.Skip("only as a child")
	}
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("open: %v", err)
	}
	t.Log("locked")
	os.Stdout.WriteString("locked\n")
}

func TestClosed(t *testing.T) {
	j := mustOpen(t, t.TempDir()+"/j", Options{})
	mustClose(t, j)
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close: %v", err)
	}
	if _, err := j.Append("", "note", 1, Back); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Checkpoint(1); !errors.Is(err, ErrClosed) {
		t.Errorf("checkpoint: %v", err)
	}
	if err := j.Replay(0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("replay: %v", err)
	}
	for range j.Follow(t.Context(), 0) {
		t.Error("follow gives entries")
	}
}

func TestOpenRefusesWhatOthersCanOpen(t *testing.T) {
	fresh := func(t *testing.T) (dir, segment string) {
		dir = t.TempDir() + "/j"
		j := mustOpen(t, dir, Options{})
		mustAppend(t, j, "shop", 1)
		mustClose(t, j)
		return dir, segmentsOf(t, dir)[0]
	}
	t.Run("made private", func(t *testing.T) {
		dir, segment := fresh(t)
		for name, want := range map[string]os.FileMode{dir: 0o700, segment: 0o600, filepath.Join(dir, lockFile): 0o600} {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
		}
	})
	for name, spoil := range map[string]func(dir, segment string) error{
		"directory":       func(dir, _ string) error { return os.Chmod(dir, 0o750) },
		"segment":         func(_, segment string) error { return os.Chmod(segment, 0o604) },
		"symbolic link":   func(_, segment string) error { return link(segment) },
		"a directory":     func(_, segment string) error { return errors.Join(os.Remove(segment), os.Mkdir(segment, 0o700)) },
		"foreign segment": func(dir, _ string) error { return os.WriteFile(dir+"/7"+segmentSuffix, nil, 0o600) },
		"entry zero":      func(dir, _ string) error { return os.WriteFile(segmentPath(dir, 0), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, segment := fresh(t)
			if err := spoil(dir, segment); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), dir) {
				t.Fatalf("open: %v", err)
			}
		})
	}
	t.Run("owner", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root to give files away")
		}
		dir, segment := fresh(t)
		if err := os.Chown(segment, 4321, 4321); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "belongs to uid 4321") {
			t.Fatalf("open: %v", err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		file := t.TempDir() + "/f"
		write(t, file, nil)
		if _, err := Open(file, Options{}); err == nil {
			t.Fatal("opened a file as a directory")
		}
		if _, err := Open(file+"x/y", Options{}); err == nil {
			t.Fatal("opened in a directory that is not there")
		}
	})
}

func link(name string) error {
	return errors.Join(os.Rename(name, name+".moved"), os.Symlink(name+".moved", name))
}

func TestOpenRefusesALaterVersionsJournal(t *testing.T) {
	for name, h := range map[string]header{
		"feature level 2": {Format: Format, Feature: FeatureLevel + 1, First: 1},
		"format 2":        {Format: Format + 1, Feature: FeatureLevel, First: 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			h.Prev = chain{}.String()
			line, _, err := encode(chain{}, h)
			if err != nil {
				t.Fatal(err)
			}
			write(t, segmentPath(dir, 1), line)
			_, err = Open(dir, Options{})
			if err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "install the version that wrote it") {
				t.Fatalf("open: %v", err)
			}
		})
	}
}

func TestUnknownFieldsAndKindsPass(t *testing.T) {
	dir := t.TempDir() + "/j"
	mustClose(t, mustOpen(t, dir, Options{}))
	name := segmentsOf(t, dir)[0]
	data := read(t, name)
	s := newScanner(name, strings.NewReader(string(data)))
	if _, err := s.header(); err != nil {
		t.Fatal(err)
	}
	line, _, err := encode(s.prev, map[string]any{"seq": 1, "time": time.Now(), "kind": "of tomorrow", "colour": "mauve", "data": map[string]any{"x": []int{1}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, append(data, line...))
	j := mustOpen(t, dir, Options{})
	got := all(t, j, 0)
	if len(got) != 1 || got[0].Kind != "of tomorrow" || string(got[0].Data) != `{"x":[1]}` {
		t.Fatalf("got %+v", got)
	}
	mustAppend(t, j, "shop", 1)
	mustClose(t, j)
	mustOpen(t, dir, Options{})
}

func TestTimesFollowTheClock(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := begin
	log, text := logged()
	dir := t.TempDir() + "/j"
	j := mustOpenOn(t, dir, Options{Log: log}, realDisk{}, func() time.Time { return at })
	add := func(clock, want time.Time) {
		t.Helper()
		at = clock
		e := mustAppend(t, j, "shop", 1)
		if !e.Time.Equal(want) {
			t.Fatalf("clock %v: entry at %v, want %v", clock, e.Time, want)
		}
	}
	add(begin.Add(time.Hour), begin.Add(time.Hour))
	add(begin.Add(time.Hour-slew), begin.Add(time.Hour)) // a small correction keeps the order
	if text.Len() > 0 {
		t.Fatalf("logged %s", text)
	}
	add(begin.Add(time.Minute), begin.Add(time.Minute)) // a wrong clock is followed, and said
	if n := strings.Count(text.String(), "the clock went back"); n != 1 {
		t.Fatalf("logged %d times: %s", n, text)
	}
	add(begin.Add(2*time.Minute), begin.Add(2*time.Minute))
	mustClose(t, j)
	j = mustOpenOn(t, dir, Options{Log: log}, realDisk{}, func() time.Time { return at })
	add(begin.Add(time.Minute+30*time.Second), begin.Add(2*time.Minute)) // known after opening again
	if n := strings.Count(text.String(), "the clock went back"); n != 1 {
		t.Fatalf("logged %d times: %s", n, text)
	}
}
