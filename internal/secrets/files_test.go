package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func newFiles(t *testing.T) (*Files, func(name string) release.FileSpec) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	f, err := NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, func(name string) release.FileSpec {
		return release.FileSpec{Path: filepath.Join(dir, "shop", "configs", name), Kind: release.ConfigFile, Name: "app",
			UID: os.Geteuid(), GID: os.Getegid(), Mode: 0o440, Content: "workers = 4\n"}
	}
}

func TestWriteAndRemove(t *testing.T) {
	f, spec := newFiles(t)
	a, b := spec("a"), spec("b")
	if os.Geteuid() == 0 {
		b.UID, b.GID = 1234, 5678
	}
	b.Content = "" // an empty config is a config
	if err := NewVault(Config{}, f).Write(release.Target{}, []release.FileSpec{a, b}); err != nil {
		t.Fatal(err)
	}
	inode := func(s release.FileSpec) uint64 {
		t.Helper()
		data, err := os.ReadFile(s.Path)
		if err != nil || string(data) != s.Content {
			t.Fatalf("%s holds %q, %v", s.Path, data, err)
		}
		info, err := os.Stat(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode() != os.FileMode(s.Mode) || int(st.Uid) != s.UID || int(st.Gid) != s.GID {
			t.Errorf("%s has mode %v, owner %d:%d", s.Path, info.Mode(), st.Uid, st.Gid)
		}
		return st.Ino
	}
	first := inode(a)
	inode(b)
	if info, err := os.Stat(filepath.Dir(a.Path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	// Again: nothing is written, a container keeps the file that it mounted.
	if err := NewVault(Config{}, f).Write(release.Target{}, []release.FileSpec{a}); err != nil || inode(a) != first {
		t.Errorf("written again: %v", err)
	}
	// Damaged in each way: made whole, as another file.
	for name, damage := range map[string]func() error{
		"content": func() error { _ = os.Chmod(a.Path, 0o600); return os.WriteFile(a.Path, []byte("workers = 5\n"), 0o600) },
		"mode":    func() error { return os.Chmod(a.Path, 0o444) },
		"link": func() error {
			_ = os.Remove(a.Path)
			return os.Symlink("/etc/hostname", a.Path)
		},
		"gone": func() error { return os.Remove(a.Path) },
	} {
		if err := errors.Join(damage(), NewVault(Config{}, f).Write(release.Target{}, []release.FileSpec{a})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		inode(a)
	}
	if err := f.Remove([]release.FileSpec{a, a, spec("never")}); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(a.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not removed: %v", err)
	}
	inode(b)
}

func TestOutsideIsRefused(t *testing.T) {
	f, _ := newFiles(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{victim, f.dir, filepath.Join(f.dir, "..", "x"), "relative", ""} {
		spec := release.FileSpec{Path: path, Kind: release.ConfigFile, Name: "app", Mode: 0o400, UID: os.Geteuid(), GID: os.Getegid(), Content: "y"}
		if err := NewVault(Config{}, f).Write(release.Target{}, []release.FileSpec{spec}); err == nil {
			t.Errorf("wrote %q", path)
		}
		if err := f.Remove([]release.FileSpec{spec}); err == nil {
			t.Errorf("removed %q", path)
		}
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "x" {
		t.Errorf("changed: %q, %v", data, err)
	}
}

// Of an app that is removed no file stays, and of the others each does.
func TestClear(t *testing.T) {
	f, spec := newFiles(t)
	a, b := spec("a"), spec("b")
	b.Path = filepath.Join(f.dir, "shop2", "secrets", "b")
	v := NewVault(Config{}, f)
	if err := errors.Join(v.Write(release.Target{}, []release.FileSpec{a, b}), v.Clear("shop"), v.Clear("shop")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(f.dir, "shop")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not cleared: %v", err)
	}
	for _, app := range []string{"", ".", "..", "../files", "shop2/secrets"} {
		if v.Clear(app) == nil {
			t.Errorf("cleared %q", app)
		}
	}
	if _, err := os.Lstat(b.Path); err != nil {
		t.Error(err)
	}
}

func TestSweepRemovesWhatACrashLeft(t *testing.T) {
	f, spec := newFiles(t)
	a := spec("a")
	if err := NewVault(Config{}, f).Write(release.Target{}, []release.FileSpec{a}); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(a.Path), beside+"123")
	if err := errors.Join(os.WriteFile(left, nil, 0o600), f.Sweep()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("not swept")
	}
	if _, err := os.Lstat(a.Path); err != nil {
		t.Error(err)
	}
}

// What keeps a file from being written is the host's doing and tried again.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		err  error
		code release.Code
	}{{syscall.ENOSPC, release.DiskFull}, {syscall.EDQUOT, release.DiskFull}, {syscall.EIO, release.FileNotWritten}} {
		var e *rollout.EffectError
		if err := written(release.FileSpec{}, &fs.PathError{Op: "write", Path: "x", Err: c.err}); !errors.As(err, &e) || e.Code != c.code || e.Fault != rollout.FaultRetry {
			t.Errorf("%v: %+v", c.err, err)
		}
	}
	if written(release.FileSpec{}, nil) != nil {
		t.Error("nothing is a fault")
	}
}
