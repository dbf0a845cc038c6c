package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Source says where the host has a secret: one of the two is set.
type Source struct {
	File       string // absolute path
	Credential string // name of a systemd credential
}

// path of the source; credentials is $CREDENTIALS_DIRECTORY.
func (s Source) path(credentials string) (string, error) {
	switch {
	case s.Credential == "":
		return s.File, nil
	case credentials == "":
		return "", fmt.Errorf("the agent has no systemd credentials; write LoadCredential=%s:/path in its unit", s.Credential)
	}
	return filepath.Join(credentials, s.Credential), nil
}

func (s Source) String() string {
	if s.Credential != "" {
		return "credential " + s.Credential
	}
	return "file " + s.File
}

var (
	// errChanging says that somebody is writing the file at the moment.
	errChanging = errors.New("it is being written")
	errSlow     = errors.New("reading it takes too long; is it on a network filesystem?")
)

// readTimeout bounds the reading of one source: a file on a filesystem that hangs must
// not keep an app from going back.
const readTimeout = 2 * time.Second

// read reads a source at its path. modified is when the file was written last. A reading
// that hangs leaves one goroutine behind, not one more with each look.
func (v *Vault) read(path string) (value Secret, modified time.Time, err error) {
	v.mu.Lock()
	hangs := v.busy[path]
	v.busy[path] = true
	v.mu.Unlock()
	if hangs {
		return nil, time.Time{}, errSlow
	}
	type answer struct {
		value    Secret
		modified time.Time
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		a.value, a.modified, a.err = readNow(path)
		v.mu.Lock()
		delete(v.busy, path)
		v.mu.Unlock()
		done <- a
	}()
	select {
	case a := <-done:
		return a.value, a.modified, a.err
	case <-time.After(readTimeout):
		return nil, time.Time{}, errSlow
	}
}

func readNow(path string) (Secret, time.Time, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is no secret, and must not be waited for
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close() // only read from
	before, err := f.Stat()
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case !before.Mode().IsRegular():
		return nil, time.Time{}, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a plain file")}
	case before.Mode().Perm()&0o002 != 0:
		return nil, time.Time{}, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("anybody can write it (mode %04o)", before.Mode().Perm())}
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSecret+1))
	if err != nil {
		return nil, time.Time{}, err
	}
	after, err := f.Stat()
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case !before.ModTime().Equal(after.ModTime()) || after.Size() != before.Size() || len(data) <= MaxSecret && int64(len(data)) != after.Size():
		return nil, time.Time{}, errChanging
	case len(data) == 0:
		return nil, after.ModTime(), ErrEmpty
	case len(data) > MaxSecret:
		return nil, after.ModTime(), ErrTooLarge
	}
	return data, after.ModTime(), nil
}
