package gitops

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/tealops/teal/internal/release"
)

// smallDisk is a file system of a few hundred KiB of the test's own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("teal-test", dir, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a file system of its own: %v", err)
		}
		t.Skipf("a file system of its own needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes until the disk is full and returns how to free it again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// With a full disk nothing new is stored, what is there can still be read, and
// afterwards everything goes on.
func TestShelfOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	where := filepath.Join(disk, "releases")
	s := newShelf(t, where)
	proven := fstest.MapFS{"release.yaml": {Data: []byte("name: proven\n")}}
	if err := s.Put(digestOf(t, proven), proven, accepted1); err != nil {
		t.Fatal(err)
	}
	free := fill(t, disk)
	dir, digest := shop(t)
	if err := s.Put(digest, dir, accepted1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put: %v", err)
	}
	if got := left(t, where); len(got) != 1 {
		t.Errorf("on the shelf: %q", got)
	}
	wantWhole(t, s, digestOf(t, proven), proven)
	free()
	if err := s.Put(digest, dir, accepted1); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, s, digest, dir)
}

// A look that finds no room is disk_full; the accepted head stays, also over a
// restart, and the next look with room takes the new one.
func TestFollowOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	cfg := o.config()
	cfg.Dir = filepath.Join(disk, "git")
	r := open(t, cfg)
	syncOK(t, r)
	b := o.commit("B")
	free := fill(t, disk)
	st := syncCode(t, r, release.DiskFull)
	wantHead(t, r, a)
	if st.Failures != 1 {
		t.Errorf("status %+v", st)
	}
	wantHead(t, open(t, cfg), a)
	free()
	syncOK(t, r)
	wantHead(t, r, b)
	wantHead(t, open(t, cfg), b)
}
