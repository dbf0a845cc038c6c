package hostcare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// tmpfs mounts a small filesystem. Without root it skips, but not where CI=true says
// that everything must be shown.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
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

// take writes a file of n bytes, or as much of it as there is room for.
func take(t *testing.T, dir string, n int) (name string, all bool) {
	t.Helper()
	f, err := os.CreateTemp(dir, "taken-*")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Write(make([]byte, n))
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name(), err == nil
}

func TestRoom(t *testing.T) {
	big, small := tmpfs(t, "size=8m"), tmpfs(t, "size=1m,nr_inodes=20")
	for name, c := range map[string]struct {
		room Room
		says string // "": there is room
	}{
		"enough":                   {Room{{Name: "a", Dir: big, MinFree: 1 << 20, MinInodes: 10}, {Name: "b", Dir: small, MinFree: 1 << 19, MinInodes: 10}}, ""},
		"too few bytes":            {Room{{Name: "a", Dir: big, MinFree: 1 << 20}, {Name: "the state directory", Dir: small, MinFree: 2 << 20}}, "the state directory (" + small + ") has 1.0 MiB free and needs 2.0 MiB"},
		"too few inodes":           {Room{{Name: "the state directory", Dir: small, MinFree: 1, MinInodes: 1000}}, "inodes free and needs 1000"},
		"the first is named":       {Room{{Name: "a", Dir: big, MinFree: 1 << 40}, {Name: "b", Dir: small, MinFree: 1 << 40}}, "a (" + big},
		"nothing asked for":        {Room{{Name: "a", Dir: big}}, ""},
		"cannot be measured":       {Room{{Name: "a", Dir: big + "/none", MinFree: 1 << 40}, {Name: "b", Dir: big, MinFree: 1}}, ""},
		"no place":                 {nil, ""},
		"inodes of no known count": {Room{{Name: "a", Dir: "/proc", MinInodes: 1000}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.room.Room(t.Context())
			if c.says == "" {
				if err != nil {
					t.Fatalf("room: %v", err)
				}
				return
			}
			var full *rollout.EffectError
			if !errors.As(err, &full) || full.Fault != rollout.FaultRetry || full.Code != release.DiskFull || !strings.Contains(full.Detail, c.says) {
				t.Fatalf("room: %v, want %q", err, c.says)
			}
		})
	}
	name, _ := take(t, big, 6<<20)
	room := Room{{Name: "a", Dir: big, MinFree: 4 << 20}}
	if err := room.Room(t.Context()); err == nil {
		t.Error("room although it was taken")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := room.Room(t.Context()); err != nil {
		t.Errorf("no room although it was freed: %v", err)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 20: "1.0 MiB", 256 << 20: "256.0 MiB", 3 << 29: "1.5 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// The reserve holds real room: what it frees can be written, and nothing else could be.
func TestReserve(t *testing.T) {
	dir := tmpfs(t, "size=4m")
	r := Reserve{Dir: dir, Size: 2 << 20}
	for range 2 { // a second time changes nothing
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(r.path()); err != nil || info.Size() != r.Size || info.Mode().Perm() != 0o600 {
			t.Fatalf("reserve %v: %v", info, err)
		}
	}
	if _, all := take(t, dir, 3<<20); all {
		t.Fatal("the reserve holds no room")
	}
	if _, all := take(t, dir, 1<<20); all {
		t.Fatal("the disk is not full")
	}
	if err := r.Free(); err != nil {
		t.Fatal(err)
	}
	if err := r.Free(); err != nil {
		t.Fatalf("free what is free: %v", err)
	}
	name, all := take(t, dir, 1<<20)
	if !all {
		t.Fatal("the reserve gave no room")
	}
	if err := r.Fill(); err != nil { // 1 MiB is left
		t.Fatalf("a full disk is no error: %v", err)
	}
	if _, err := os.Stat(r.path()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a part of a reserve was left: %v", err)
	}
	if free := freeOf(t, dir); free < 1<<20 {
		t.Fatalf("%d bytes free: the attempt kept some", free)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(r.path()); err != nil || info.Size() != r.Size {
		t.Fatalf("not filled again: %v", err)
	}
}

func freeOf(t *testing.T, dir string) uint64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bavail * uint64(st.Bsize)
}

func TestReserveOfNothing(t *testing.T) {
	for _, size := range []int64{0, -1} {
		r := Reserve{Dir: t.TempDir(), Size: size}
		if err := errors.Join(r.Fill(), r.Free()); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(r.Dir + "/*"); left != nil {
			t.Errorf("made %v", left)
		}
	}
	if err := (Reserve{Dir: t.TempDir() + "/none", Size: 1}).Fill(); err == nil {
		t.Error("filled a directory that is not there")
	}
}

func TestSameFilesystem(t *testing.T) {
	here, other := t.TempDir(), tmpfs(t, "size=64k")
	for _, c := range []struct {
		a, b string
		want bool
	}{{here, here, true}, {here, filepath.Dir(here), true}, {here, other, false}, {other, here, false}, {here, here + "/none", false}, {"", here, false}} {
		if got := SameFilesystem(c.a, c.b); got != c.want {
			t.Errorf("%s", fmt.Sprint(c.a, c.b, got))
		}
	}
}
