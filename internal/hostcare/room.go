package hostcare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Place is a directory whose filesystem must have room to go forward.
type Place struct {
	Name string // for people: "the engine's data root"
	Dir  string
	// MinFree bytes and inodes must be free; going back does not ask.
	MinFree   uint64
	MinInodes uint64
}

// Room checks several places.
type Room []Place

// Room names the first place that is too full, as an error that is retried. A place
// that cannot be measured is passed over: its use will say more.
func (r Room) Room(context.Context) error {
	for _, p := range r {
		var st unix.Statfs_t
		if err := unix.Statfs(p.Dir, &st); err != nil {
			continue
		}
		free := st.Bavail * uint64(st.Bsize)
		switch {
		case free < p.MinFree:
			return full("%s (%s) has %s free and needs %s", p.Name, p.Dir, Bytes(free), Bytes(p.MinFree))
		case st.Files > 0 && st.Ffree < p.MinInodes:
			return full("%s (%s) has %d inodes free and needs %d", p.Name, p.Dir, st.Ffree, p.MinInodes)
		}
	}
	return nil
}

func full(format string, args ...any) error {
	return &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.DiskFull, Detail: fmt.Sprintf(format, args...)}
}

// Bytes is a size for people.
func Bytes(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

// Reserve is a file of allocated bytes on the engine's filesystem. Going back from
// cold frees it first, so that creating and starting containers has room (promise 3).
type Reserve struct {
	Dir  string
	Name string // of the file; default teal-reserve
	Size int64
}

func (r Reserve) path() string { return filepath.Join(r.Dir, cmp.Or(r.Name, "teal-reserve")) }

// Fill allocates the reserve if it is not there. A full disk is no error: it is tried
// again the next time.
func (r Reserve) Fill() error {
	if r.Size <= 0 {
		return nil
	}
	if info, err := os.Stat(r.path()); err == nil && info.Size() == r.Size {
		return nil
	}
	f, err := os.OpenFile(r.path(), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("make the reserve: %w", err)
	}
	if err = f.Truncate(0); err == nil { // an older, larger one gives its room back
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Fallocate(int(f.Fd()), 0, 0, r.Size)
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EOPNOTSUPP) {
		return os.Remove(r.path())
	}
	return err
}

// Free gives the reserve's space back.
func (r Reserve) Free() error {
	if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free the reserve: %w", err)
	}
	return nil
}

// SameFilesystem reports whether both directories lie on one filesystem; false when
// one of them cannot be looked at.
func SameFilesystem(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}
