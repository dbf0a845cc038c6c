package journal

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is what the journal does to its files when it writes; tests make it fail.
type disk interface {
	open(name string, flag int) (handle, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(dir string) error
}

// handle is one open file.
type handle interface {
	WriteAt(b []byte, off int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
	// allocate gives the bytes from..to blocks without changing the file's size.
	allocate(from, to int64) error
}

type realDisk struct{}

func (realDisk) open(name string, flag int) (handle, error) {
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) remove(name string) error { return os.Remove(name) }

func (realDisk) syncDir(dir string) error { return syncDir(dir) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

type realFile struct{ *os.File }

func (f realFile) allocate(from, to int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		if err != unix.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// isFull reports whether err says that there is no room: on the disk or in a quota.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// cannotAllocate reports whether the filesystem has no such thing as allocating ahead.
func cannotAllocate(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}

// WriteFile replaces the file at path by data, whole or not at all: a temporary file
// beside it, fsync, rename, fsync of the directory. mode is exact, whatever the umask.
// After an error nothing temporary is left; the old file stands unless only the last
// fsync failed.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed already
			_ = os.Remove(temp)
		}
	}()
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
