package journal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := t.TempDir()
	name := filepath.Join(dir, "state.json")
	for _, want := range []struct {
		text string
		mode os.FileMode
	}{{"first", 0o600}, {"", 0o644}, {"third, longer", 0o666}} {
		if err := WriteFile(name, []byte(want.text), want.mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(read(t, name)); got != want.text || info.Mode().Perm() != want.mode {
			t.Errorf("%q with mode %o, want %q with %o", got, info.Mode().Perm(), want.text, want.mode)
		}
	}
	alone(t, dir, "state.json")
}

func TestWriteFileKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "state.json")
	if err := WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Nothing may replace a directory: the rename is what fails.
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(taken+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(taken, []byte("new"), 0o600); err == nil {
		t.Error("replaced a directory")
	}
	if err := WriteFile(filepath.Join(dir, "none", "state.json"), nil, 0o600); err == nil {
		t.Error("wrote into a directory that is not there")
	}
	alone(t, dir, "state.json", "taken")
	if got := string(read(t, name)); got != "old" {
		t.Errorf("the old file holds %q", got)
	}
}

func alone(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("left in the directory: %v", entries)
	}
}
