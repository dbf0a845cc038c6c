package journal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	segmentSuffix = ".journal"
	segmentTemp   = "segment.tmp"
	lockFile      = "lock"
)

// segment is one file of the journal, as far as it is durable.
type segment struct {
	path   string
	first  uint64 // number of its first entry
	end    int64  // where the durable lines end
	began  time.Time
	newest time.Time // of its last entry; began when it has none
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// segmentNames lists the segments of a directory in order.
func segmentNames(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the journal: %w", err)
	}
	var all []segment
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		first, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || path != segmentPath(dir, first) || first == 0 {
			return nil, corrupt(path, 0, "no segment has such a name")
		}
		all = append(all, segment{path: path, first: first})
	}
	slices.SortFunc(all, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return all, nil
}

// openRead opens a segment to read it.
func openRead(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
}

// private refuses a file or directory that others can open or own: what stands in the
// journal decides what runs.
func private(path string, info fs.FileInfo, mode string) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (mode %04o); run chmod %s %s after you have found out who changed it", path, info.Mode().Perm(), mode, path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != uint32(os.Geteuid()) && st.Uid != 0 {
		return fmt.Errorf("%s belongs to uid %d; run chown %d %s after you have found out who changed it", path, st.Uid, os.Geteuid(), path)
	}
	return nil
}

// create makes a new segment that follows prev, whole before it has its name: header,
// the first blocks, fsync, rename. Before the rename nothing is left of a failure;
// after it the journal has failed.
func (j *Journal) create(first uint64, prev chain, now time.Time) (handle, segment, chain, error) {
	line, head, err := encode(prev, header{Format: Format, Feature: FeatureLevel, First: first, Prev: prev.String(), Time: now})
	if err != nil {
		return nil, segment{}, prev, err
	}
	temp := filepath.Join(j.dir, segmentTemp)
	f, err := j.disk.open(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, segment{}, prev, err
	}
	seg := segment{path: segmentPath(j.dir, first), first: first, end: int64(len(line)), began: now, newest: now}
	err = func() error {
		if err := j.allocate(f, 0, seg.end+j.reserve); err != nil {
			return err
		}
		if _, err := f.WriteAt(line, 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		return j.disk.rename(temp, seg.path)
	}()
	if err != nil {
		_ = f.Close()
		_ = j.disk.remove(temp)
		return nil, segment{}, prev, err
	}
	if err := j.disk.syncDir(j.dir); err != nil {
		_ = f.Close()
		return nil, segment{}, prev, j.fail(fmt.Errorf("fsync %s: %w", j.dir, err))
	}
	return f, seg, head, nil
}
