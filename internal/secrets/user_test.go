package secrets

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

const (
	serviceUser = 61234
	asUser      = "TEAL_TEST_AS_SERVICE_USER" // holds the directory to work in
)

// The packaged agent is not root. With CAP_CHOWN, and nothing else of root, it writes files
// for the users of containers, and leaves those alone that it cannot read any more.
func TestServiceUser(t *testing.T) {
	if dir := os.Getenv(asUser); dir != "" {
		serviceUserWrites(t, dir)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	for name, caps := range map[string][]uintptr{"with": {unix.CAP_CHOWN}, "without": nil} {
		dir, err := os.MkdirTemp("", "teal-user-") // t.TempDir lies where only root comes
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		work := filepath.Join(dir, name)
		if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(work, 0o700), os.Chown(work, serviceUser, serviceUser)); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(dir, "test")
		copyFile(t, program, os.Args[0])
		c := exec.Command(program, "-test.run", "^TestServiceUser$", "-test.v")
		c.Dir = work
		c.Env = append(os.Environ(), asUser+"="+work)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: serviceUser, Gid: serviceUser}, AmbientCaps: caps}
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), name+" the capability") {
			t.Errorf("%s the capability: %v\n%s", name, err, out)
		}
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

func serviceUserWrites(t *testing.T, dir string) {
	f, err := NewFiles(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	v := NewVault(Config{}, f)
	spec := release.FileSpec{Path: filepath.Join(dir, "files/shop/configs/a"), Kind: release.ConfigFile, Name: "app.ini", Mode: 0o400, Content: "workers = 4\n"} // root's
	err = v.Write(release.Target{}, []release.FileSpec{spec})
	if filepath.Base(dir) == "without" {
		t.Log("without the capability")
		var e *rollout.EffectError
		if !errors.As(err, &e) || e.Code != release.FileNotWritten || !strings.Contains(e.Detail, "CAP_CHOWN") {
			t.Errorf("%v", err)
		}
		return
	}
	t.Log("with the capability")
	if err != nil {
		t.Fatal(err)
	}
	look := func() *syscall.Stat_t {
		t.Helper()
		info, err := os.Lstat(spec.Path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != 0 || st.Gid != 0 || info.Mode() != 0o400 || info.Size() != int64(len(spec.Content)) {
			t.Errorf("%v, %d:%d, %d bytes", info.Mode(), st.Uid, st.Gid, info.Size())
		}
		return st
	}
	first := look()
	if _, err := os.ReadFile(spec.Path); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("the user reads root's file: %v", err)
	}
	if err := v.Write(release.Target{}, []release.FileSpec{spec}); err != nil || look().Ino != first.Ino {
		t.Errorf("written again: %v", err)
	}
	// One that is not what it should be is made whole: here the crash of a disk cut it.
	if err := os.Remove(spec.Path); err != nil {
		t.Fatal(err)
	}
	short := spec
	short.Content = "workers"
	if err := errors.Join(v.Write(release.Target{}, []release.FileSpec{short}), v.Write(release.Target{}, []release.FileSpec{spec})); err != nil {
		t.Fatal(err)
	}
	look()
	if err := v.Remove([]release.FileSpec{spec}); err != nil {
		t.Error(err)
	}
}
