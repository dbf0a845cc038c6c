package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// note is what tests write.
type note struct {
	Text string `json:"text"`
	N    int    `json:"n,omitempty"`
}

func mustOpen(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	return mustOpenOn(t, dir, o, realDisk{}, time.Now)
}

func mustOpenOn(t testing.TB, dir string, o Options, d disk, now func() time.Time) *Journal {
	t.Helper()
	j, err := open(dir, o, d, now)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustAppend(t testing.TB, j *Journal, app string, n int) Entry {
	t.Helper()
	e, err := j.Append(app, "note", note{Text: "entry", N: n}, Forward)
	if err != nil {
		t.Fatalf("append %d: %v", n, err)
	}
	return e
}

func all(t testing.TB, j *Journal, from uint64) []Entry {
	t.Helper()
	var got []Entry
	if err := j.Replay(from, func(e Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatalf("replay from %d: %v", from, err)
	}
	return got
}

func same(t testing.TB, what string, want, got []Entry) {
	t.Helper()
	if reflect.DeepEqual(want, got) { // cmp is slow on much data
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func segmentsOf(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tick is a clock that goes on by a second at each look.
func tick() func() time.Time {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

// logged is a logger and what it wrote.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// scratch is a temporary directory in memory where there is one.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "teal-journal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// quick is the real disk without the waiting: for tests of what is read.
type quick struct{ realDisk }

type quickFile struct{ handle }

func (quickFile) Sync() error { return nil }

func (d quick) open(name string, flag int) (handle, error) {
	h, err := d.realDisk.open(name, flag)
	if err != nil {
		return nil, err
	}
	return quickFile{h}, nil
}

func (quick) syncDir(string) error { return nil }

// small is a filesystem with few blocks, as an accountant sees one: what is written or
// allocated takes blocks, cutting off and removing gives them back. fault, if set, is
// asked before every call.
type small struct {
	quick
	mu    sync.Mutex
	free  int64            // bytes
	held  map[string]int64 // path → bytes with blocks
	temp  *smallFile       // the newest created file, and where created files went
	moved map[*smallFile]string
	fault func(op, name string) error
	none  bool // allocating ahead is not supported
}

const block = 512

func blocks(n int64) int64 { return (n + block - 1) / block * block }

func (d *small) ask(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, filepath.Base(name))
}

// hold makes sure that name has blocks up to size; it takes what there is.
func (d *small) hold(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	need := blocks(size) - d.held[name]
	if need <= 0 {
		return nil
	}
	got := min(need, d.free/block*block)
	d.held[name] += got
	d.free -= got
	if got < need {
		return syscall.ENOSPC
	}
	return nil
}

func (d *small) cut(name string, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if over := d.held[name] - blocks(size); over > 0 {
		d.held[name] -= over
		d.free += over
	}
}

func (d *small) open(name string, flag int) (handle, error) {
	if err := d.ask("open", name); err != nil {
		return nil, err
	}
	if flag&os.O_TRUNC != 0 {
		d.cut(name, 0)
	}
	h, err := d.quick.open(name, flag)
	if err != nil {
		return nil, err
	}
	f := &smallFile{h, d, name}
	if flag&os.O_CREATE != 0 {
		d.temp = f
	}
	return f, nil
}

func (d *small) rename(from, to string) error {
	if err := d.ask("rename", from); err != nil {
		return err
	}
	if err := d.realDisk.rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[to] = d.held[from]
	delete(d.held, from)
	d.moved[d.temp] = to
	return nil
}

func (d *small) remove(name string) error {
	if err := d.ask("remove", name); err != nil {
		return err
	}
	d.cut(name, 0)
	return d.realDisk.remove(name)
}

func (d *small) syncDir(dir string) error {
	if err := d.ask("syncdir", dir); err != nil {
		return err
	}
	return d.quick.syncDir(dir)
}

type smallFile struct {
	handle
	disk *small
	name string
}

// WriteAt writes as much as there is room for, like a real one.
func (f *smallFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.disk.ask("write", filepath.Base(f.path())); err != nil {
		n, _ := f.handle.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	name := f.path()
	if err := f.disk.hold(name, off+int64(len(b))); err != nil {
		f.disk.mu.Lock()
		n := max(0, min(int64(len(b)), f.disk.held[name]-off))
		f.disk.mu.Unlock()
		m, _ := f.handle.WriteAt(b[:n], off)
		return m, err
	}
	return f.handle.WriteAt(b, off)
}

// path is where the file's blocks are counted: it follows the rename of a new segment.
func (f *smallFile) path() string {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if to, ok := f.disk.moved[f]; ok {
		return to
	}
	return f.name
}

func (f *smallFile) Sync() error {
	if err := f.disk.ask("sync", f.path()); err != nil {
		return err
	}
	return f.handle.Sync()
}

func (f *smallFile) Truncate(size int64) error {
	if err := f.disk.ask("truncate", f.path()); err != nil {
		return err
	}
	f.disk.cut(f.path(), size)
	return f.handle.Truncate(size)
}

func (f *smallFile) allocate(_, to int64) error {
	if f.disk.none {
		return syscall.EOPNOTSUPP
	}
	if err := f.disk.ask("allocate", f.path()); err != nil {
		return err
	}
	return f.disk.hold(f.path(), to)
}

func newSmall(free int64) *small {
	return &small{free: free, held: map[string]int64{}, moved: map[*smallFile]string{}}
}

func textOf(t testing.TB, e Entry) note {
	t.Helper()
	var n note
	if err := json.Unmarshal(e.Data, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
