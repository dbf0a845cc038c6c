package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Files is the directory of the files that containers mount.
type Files struct{ dir string }

const beside = ".new-"

// NewFiles uses dir, which it makes with mode 0700 when needed. Nothing needs to reach
// the files by their path: the engine mounts each of them.
func NewFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of files: %w", err)
	}
	return &Files{dir}, nil
}

// write sees that a file is there with exactly this content, owner and mode. One that is
// is left alone, so that going back writes nothing.
func (f *Files) write(spec release.FileSpec, content []byte) error {
	if err := f.inside(spec.Path); err != nil {
		return err
	}
	if same(spec, content) {
		return nil
	}
	dir := filepath.Dir(spec.Path)
	if err := makeDirs(f.dir, dir); err != nil {
		return err
	}
	return writeFile(spec.Path, content, spec.UID, spec.GID, os.FileMode(spec.Mode))
}

// same reports whether the file is there as it should be. One that was given to a
// container's user and that the agent, which is not root, may not read any more is taken
// by its name and size: it lies where only the agent can write, and appeared whole.
func same(spec release.FileSpec, content []byte) bool {
	file, err := os.OpenFile(spec.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		info, err := os.Lstat(spec.Path)
		return err == nil && spec.UID != os.Geteuid() && looks(spec, content, info)
	}
	if err != nil {
		return false
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	if err != nil || !looks(spec, content, info) {
		return false
	}
	have, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	return err == nil && bytes.Equal(have, content)
}

// looks reports whether a file has the kind, mode, owner and size that it should.
func looks(spec release.FileSpec, content []byte, info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && info.Mode().Perm() == os.FileMode(spec.Mode) && info.Size() == int64(len(content)) &&
		int(st.Uid) == spec.UID && int(st.Gid) == spec.GID
}

// makeDirs makes the directories from top down to dir, durably, open to nobody else.
func makeDirs(top, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if dir != top {
		if err := makeDirs(top, filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// writeFile replaces a file: beside, mode and owner, fsync, rename, fsync the directory.
func writeFile(path string, content []byte, uid, gid int, mode os.FileMode) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), beside) // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err == nil { // before it is given away: the mode of a file is its owner's to change
		err = temp.Chmod(mode)
	}
	if err == nil && (uid != os.Geteuid() || gid != os.Getegid()) {
		err = temp.Chown(uid, gid)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes files that nothing mounts any more; gone is fine.
func (f *Files) Remove(files []release.FileSpec) error {
	var errs []error
	for _, spec := range files {
		if err := f.inside(spec.Path); err != nil {
			errs = append(errs, err)
		} else if err := os.Remove(spec.Path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// clear removes all files of an app.
func (f *Files) clear(app string) error {
	if !release.ValidApp(app) {
		return fmt.Errorf("%q is not the name of an app", app)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, app)); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// inside refuses a path that is not below the directory of files.
func (f *Files) inside(path string) error {
	if rel, err := filepath.Rel(f.dir, path); err != nil || !filepath.IsLocal(rel) || rel == "." {
		return fmt.Errorf("%s lies outside %s", path, f.dir)
	}
	return nil
}

// Sweep removes what a crash left beside the files. Call it before the first Write.
func (f *Files) Sweep() error {
	return filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), beside) {
			return os.Remove(path)
		}
		return err
	})
}

// written classifies what kept a file from being written.
func written(spec release.FileSpec, err error) error {
	if err == nil {
		return nil
	}
	e := &rollout.EffectError{Fault: rollout.FaultRetry, Code: release.FileNotWritten,
		Detail: fmt.Sprintf("write the %s %s for its containers", spec.Kind, spec.Name), Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code = release.DiskFull
	case errors.Is(err, fs.ErrPermission) && strings.Contains(err.Error(), "chown"):
		e.Detail = fmt.Sprintf("give the %s %s to user %d, group %d: the agent is not root and has not CAP_CHOWN, which teal-agent.service gives it", spec.Kind, spec.Name, spec.UID, spec.GID)
	}
	return e
}
