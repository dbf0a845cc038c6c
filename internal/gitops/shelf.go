package gitops

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// Shelf keeps accepted releases whole on disk: going back reads nothing else, no Git
// and no registry. A release lies under <dir>/<digest>/ as `files/` and
// `verdict.json`, directories with mode 0700 and files with 0400.
//
// It appears whole or not at all: written beside, every file and directory fsynced,
// hashed again, renamed. What is read is hashed again too, so that a damaged release
// is an error and never another release. A crash leaves at most a directory beside,
// which Sweep removes.
type Shelf struct{ dir string }

const (
	shelfBeside = ".new-"
	shelfOld    = ".old-"
	filesDir    = "files"
	verdictFile = "verdict.json"
	verdictMax  = 1 << 20
	inputsDir   = "inputs" // not the shelf's: what the host added lies there
)

var digestHex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// NewShelf uses dir, which it makes with mode 0700 when needed.
func NewShelf(dir string) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the shelf: %w", err)
	}
	return &Shelf{dir}, nil
}

// Put stores a release directory with the verdict that accepted it. One that is there
// and undamaged is left alone, its verdict too. It is an error when digest is not the
// directory's own. Calls for one digest are expected one at a time.
func (s *Shelf) Put(digest release.Digest, dir fs.FS, verdict trust.Verdict) error {
	if !digestHex.MatchString(string(digest)) {
		return fmt.Errorf("store a release: %s is no digest", escape(string(digest), 80))
	}
	if _, err := s.Dir(digest); err == nil {
		return nil
	}
	if err := s.put(digest, dir, verdict); err != nil {
		return fmt.Errorf("store release %s: %w", digest.Short(), err)
	}
	return nil
}

func (s *Shelf) put(digest release.Digest, dir fs.FS, verdict trust.Verdict) error {
	// Before a byte is written: names, kinds and sizes are those of a release.
	if err := checkDigest(dir, digest); err != nil {
		return err
	}
	text, err := json.MarshalIndent(verdict, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the verdict: %w", err)
	}
	beside, err := os.MkdirTemp(s.dir, shelfBeside)
	if err != nil {
		return err
	}
	defer os.RemoveAll(beside) // nothing is left of it after the rename
	root, err := os.OpenRoot(beside)
	if err != nil {
		return err
	}
	defer root.Close() // only directories are written through it
	if err := copyDir(root, filesDir, dir); err != nil {
		return err
	}
	if err := writeOnce(root, verdictFile, append(text, '\n')); err != nil {
		return err
	}
	if err := syncDir(beside); err != nil {
		return err
	}
	if err := checkDigest(os.DirFS(filepath.Join(beside, filesDir)), digest); err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	final := filepath.Join(s.dir, string(digest))
	kept := ""
	if exists(final) { // damaged, or it would have been left alone
		old, err := os.MkdirTemp(s.dir, shelfOld)
		if err != nil {
			return err
		}
		defer os.RemoveAll(old) // what a crash leaves of it is swept
		if err := os.Rename(final, filepath.Join(old, string(digest))); err != nil {
			return err
		}
		kept = filepath.Join(old, string(digest), inputsDir)
	}
	if err := os.Rename(beside, final); err != nil {
		return err
	}
	if kept != "" && exists(kept) { // what the host added to it cannot be had again
		if err := os.Rename(kept, filepath.Join(final, inputsDir)); err != nil {
			return err
		}
	}
	return syncDir(s.dir)
}

// copyDir writes all of dir below name, durably but for name's own entry.
func copyDir(root *os.Root, name string, dir fs.FS) error {
	var made []string
	err := fs.WalkDir(dir, ".", func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := path.Join(name, at)
		if d.IsDir() {
			made = append(made, to)
			return root.Mkdir(to, 0o700)
		}
		data, err := fs.ReadFile(dir, at)
		if err != nil {
			return err
		}
		return writeOnce(root, to, data)
	})
	if err != nil {
		return err
	}
	for _, d := range made {
		if err := syncDir(filepath.Join(root.Name(), filepath.FromSlash(d))); err != nil {
			return err
		}
	}
	return nil
}

// writeOnce makes a file that nobody changes any more.
func writeOnce(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func checkDigest(dir fs.FS, want release.Digest) error {
	have, err := release.DigestOf(dir)
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("its files have the digest %s", have)
	}
	return nil
}

// Dir is the stored release directory, read-only, hashed now. It fails with
// fs.ErrNotExist when there is none, and with an *Error stored_release_unreadable when
// what is there is not that release any more.
func (s *Shelf) Dir(digest release.Digest) (fs.FS, error) {
	dir, err := s.at(digest, filesDir)
	if err != nil {
		return nil, err
	}
	damaged := func(err error) error {
		return &Error{Code: release.ShelfUnreadable, Detail: "stored release " + digest.Short(), Err: err}
	}
	switch info, err := os.Lstat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &fs.PathError{Op: "open", Path: path.Join("releases", digest.Short()), Err: fs.ErrNotExist}
	case err != nil:
		return nil, damaged(err)
	case !info.IsDir():
		return nil, damaged(errors.New("it is not a directory"))
	}
	root, err := os.OpenRoot(dir) // no symbolic link leads out of it
	if err != nil {
		return nil, damaged(err)
	}
	if err := checkDigest(root.FS(), digest); err != nil {
		root.Close()
		return nil, damaged(err)
	}
	return root.FS(), nil // its descriptor goes with the last user
}

// Verdict is what was said of the release when it was accepted: a record for people.
// Nothing is decided by it; what may start is judged anew.
func (s *Shelf) Verdict(digest release.Digest) (v trust.Verdict, err error) {
	file, err := s.at(digest, verdictFile)
	if err != nil {
		return v, err
	}
	data, err := readBounded(file, verdictMax)
	if err != nil {
		return v, fmt.Errorf("read the verdict of %s: %w", digest.Short(), err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return trust.Verdict{}, fmt.Errorf("read the verdict of %s: %w", digest.Short(), err)
	}
	return v, nil
}

// at is a path below a release. The digest comes from labels and records, so it is
// looked at before it becomes one.
func (s *Shelf) at(digest release.Digest, name string) (string, error) {
	if !digestHex.MatchString(string(digest)) {
		return "", fmt.Errorf("%s is no digest", escape(string(digest), 80))
	}
	return filepath.Join(s.dir, string(digest), name), nil
}

// Sweep removes what a crash left beside the releases. Call it before the first Put.
func (s *Shelf) Sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("sweep the shelf: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), shelfBeside) || strings.HasPrefix(e.Name(), shelfOld) {
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
