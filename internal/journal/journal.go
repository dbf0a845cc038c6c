package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull: there is no room for the entry, and nothing of it was left. Going
	// back says it only when the reserve is used up too.
	ErrFull = errors.New("the journal's disk is full")
	// ErrCorrupt: the journal was changed or damaged (release.StateCorrupt).
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrLocked: another process writes this journal (release.AgentRunning).
	ErrLocked = errors.New("another agent runs on this journal")
	// ErrFailed: the disk refused an earlier entry in a way that leaves its state
	// unknown; opening the journal again finds out.
	ErrFailed = errors.New("the journal failed")
	// ErrClosed: it was closed.
	ErrClosed = errors.New("the journal is closed")
	// ErrGone: a follower was slower than the retention.
	ErrGone = errors.New("entries are no longer kept")
)

// Options has a useful zero value.
type Options struct {
	// Reserve is how many bytes only entries that go back may use. Zero: none.
	Reserve int64
	// Keep is how long entries are kept at least, while they fit MaxSize. Zero: 400 days.
	Keep time.Duration
	// MaxSize is the size in bytes beyond which the oldest segments go, however
	// young. Zero: 256 MiB. What follows the last checkpoint always stays.
	MaxSize int64
	Log     *slog.Logger

	segmentSize int64 // zero: 4 MiB
}

const (
	defaultKeep        = 400 * 24 * time.Hour
	defaultMaxSize     = 256 << 20
	defaultSegmentSize = 4 << 20
	segmentAge         = 7 * 24 * time.Hour
)

// Journal is an open journal. Its methods may be called from several goroutines.
type Journal struct {
	dir     string
	keep    time.Duration
	maxSize int64
	segSize int64
	reserve int64
	log     *slog.Logger
	disk    disk
	now     func() time.Time
	lock    *os.File

	write     sync.Mutex // guards what follows; held while an entry is made durable
	file      handle     // the last segment
	head      chain
	seq       uint64 // of the last entry
	last      time.Time
	allocated int64 // the last segment has blocks up to here
	unable    bool  // the filesystem cannot allocate ahead
	failed    error
	broken    chan struct{} // closed when the journal fails

	view       sync.Mutex // guards what readers see; never held while waiting
	segments   []segment
	durable    uint64 // number of the last durable entry
	checkpoint Entry
	changed    chan struct{}
	closed     bool
}

// Open opens the journal in dir, which it makes when there is none, and checks all of
// it. A half-written last entry is cut off and logged. Errors: ErrLocked, ErrCorrupt,
// a newer format or feature level, or files that others can open.
func Open(dir string, o Options) (*Journal, error) {
	return open(dir, o, realDisk{}, time.Now)
}

func open(dir string, o Options, d disk, now func() time.Time) (_ *Journal, err error) {
	j := &Journal{dir: dir, keep: o.Keep, maxSize: o.MaxSize, segSize: o.segmentSize, reserve: max(o.Reserve, 0), log: o.Log, disk: d, now: now, changed: make(chan struct{}), broken: make(chan struct{})}
	if j.keep <= 0 {
		j.keep = defaultKeep
	}
	if j.maxSize <= 0 {
		j.maxSize = defaultMaxSize
	}
	if j.segSize <= 0 {
		j.segSize = defaultSegmentSize
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		if err := d.syncDir(filepath.Dir(dir)); err != nil {
			return nil, fmt.Errorf("make %s: %w", dir, err)
		}
	case !errors.Is(err, os.ErrExist):
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory", dir)
	}
	if err := private(dir, info, "700"); err != nil {
		return nil, err
	}
	if j.lock, err = takeLock(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if j.file != nil {
				_ = j.file.Close()
			}
			_ = j.lock.Close()
		}
	}()
	if err := os.Remove(filepath.Join(dir, segmentTemp)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if j.segments, err = segmentNames(dir); err != nil {
		return nil, err
	}
	if len(j.segments) == 0 {
		if err := j.begin(); err != nil {
			return nil, err
		}
		return j, nil
	}
	if err := j.load(); err != nil {
		return nil, err
	}
	return j, nil
}

// takeLock makes this process the journal's only writer.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		pid, err := strconv.Atoi(strings.TrimSpace(string(holder[:n])))
		if err != nil {
			return nil, fmt.Errorf("%w: %s; stop it first, or give this one a state directory of its own", ErrLocked, dir)
		}
		return nil, fmt.Errorf("%w: %s, process %d; stop it first, or give this one a state directory of its own", ErrLocked, dir, pid)
	}
	// The number is for people; on a full disk it is missing.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// begin makes the first segment of a new journal.
func (j *Journal) begin() error {
	now := j.now().UTC().Round(0)
	f, seg, head, err := j.create(1, chain{}, now)
	if err != nil {
		if isFull(err) {
			return fmt.Errorf("%w: begin %s: %w", ErrFull, j.dir, err)
		}
		return fmt.Errorf("begin the journal: %w", err)
	}
	j.file, j.head, j.segments = f, head, []segment{seg}
	return nil
}

// load reads every segment, checks that they follow each other, and opens the last
// one to go on with.
func (j *Journal) load() error {
	for i := range j.segments {
		if err := j.check(i); err != nil {
			return err
		}
	}
	if first := j.segments[0].first; first > 1 && j.checkpoint.Seq == 0 {
		return corrupt(j.segments[0].path, 0, "the journal begins with entry %d and holds no checkpoint: segments are missing", first)
	}
	j.durable = j.seq
	last := &j.segments[len(j.segments)-1]
	f, err := j.disk.open(last.path, os.O_RDWR)
	if err != nil {
		return err
	}
	j.file = f
	info, err := os.Stat(last.path)
	if err != nil {
		return err
	}
	if torn := info.Size() - last.end; torn > 0 {
		j.log.Warn("half-written entry cut off", "file", last.path, "offset", last.end, "bytes", torn)
		if err := f.Truncate(last.end); err != nil {
			return fmt.Errorf("cut off a half-written entry: %w", err)
		}
	}
	// What was read may be in memory only: its writer was killed before its fsync.
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync %s: %w", last.path, err)
	}
	if err := j.disk.syncDir(j.dir); err != nil {
		return fmt.Errorf("fsync %s: %w", j.dir, err)
	}
	if err := j.ahead(last.end); err != nil && !isFull(err) {
		return err
	}
	return nil
}

// check reads segment i and adds what it finds to the journal.
func (j *Journal) check(i int) error {
	seg := &j.segments[i]
	f, err := openRead(seg.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return corrupt(seg.path, 0, "not a file")
	}
	if err := private(seg.path, info, "600"); err != nil {
		return err
	}
	s := newScanner(seg.path, f)
	h, err := s.header()
	if err != nil {
		return err
	}
	switch {
	case h.First != seg.first:
		return corrupt(seg.path, 0, "the file's name and its first line do not agree")
	case i > 0 && h.First != j.seq+1:
		return corrupt(seg.path, 0, "it begins with entry %d after entry %d: a segment is missing", h.First, j.seq)
	case i > 0 && h.Prev != j.head.String():
		return corrupt(seg.path, 0, "it does not follow the segment before it")
	case h.First == 1 && h.Prev != chain{}.String():
		return corrupt(seg.path, 0, "the first segment follows nothing")
	}
	j.seq = h.First - 1
	seg.began, seg.newest = h.Time, h.Time
	if j.last.Before(h.Time) {
		j.last = h.Time
	}
	for {
		e, err := s.entry()
		if errors.Is(err, errTorn) && i < len(j.segments)-1 {
			err = s.corrupt("%v, and another segment follows", errTorn)
		}
		if err == io.EOF || errors.Is(err, errTorn) {
			seg.end, j.head = s.off, s.prev
			return nil
		}
		if err != nil {
			return err
		}
		j.seq, j.last, seg.newest = e.Seq, e.Time, e.Time
		if e.Kind == CheckpointKind {
			j.checkpoint = e
		}
	}
}

// LastCheckpoint is the newest checkpoint; replay goes on at its Seq + 1.
func (j *Journal) LastCheckpoint() (Entry, bool) {
	j.view.Lock()
	defer j.view.Unlock()
	return j.checkpoint, j.checkpoint.Seq > 0
}

// Failed is closed when the journal fails (ErrFailed): nothing is recorded any more,
// and its process does best to start again, which reads what the disk holds.
func (j *Journal) Failed() <-chan struct{} { return j.broken }

// Close ends writing and following, and lets another process open the journal.
func (j *Journal) Close() error {
	j.view.Lock()
	if j.closed {
		j.view.Unlock()
		return ErrClosed
	}
	j.closed = true
	close(j.changed)
	j.view.Unlock()

	j.write.Lock() // an entry under way is finished first
	defer j.write.Unlock()
	if j.failed == nil {
		j.failed = ErrClosed
	}
	return errors.Join(j.file.Close(), j.lock.Close())
}
