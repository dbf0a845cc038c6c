package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/fleet"
)

func TestFleetStoreBegins(t *testing.T) {
	dir := t.TempDir()
	f := newFileStore(dir)
	if err := f.begin(true); err == nil || !strings.Contains(err.Error(), "--new-fleet") {
		t.Errorf("a lost state is taken for a new one: %v", err)
	}
	if err := f.begin(false); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.OpenLocal("h1", f, 0); err != nil {
		t.Errorf("what begin wrote does not open: %v", err)
	}
	if err := f.begin(true); err != nil {
		t.Errorf("a state that is there: %v", err)
	}
}

// TestFleetStoreOnFullDisk: going forward is refused, going back has its reserve.
func TestFleetStoreOnFullDisk(t *testing.T) {
	if os.Getuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("mounting a small filesystem needs root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "teal-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	f := newFileStore(dir)
	if err := errors.Join(f.begin(false), f.reserve.Fill()); err != nil {
		t.Fatal(err)
	}
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	ballast.Close()
	state := append(bytes.Repeat([]byte(" "), 100<<10), "{}"...)
	if err := f.Save(state, false); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("forward on a full disk: %v", err)
	}
	for range 3 {
		if err := f.Save(state, true); err != nil {
			t.Errorf("back on a full disk: %v", err)
		}
	}
	if got, err := f.Load(); err != nil || !bytes.Equal(got, state) {
		t.Errorf("read back: %v", err)
	}
}
