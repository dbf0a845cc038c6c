package release

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

const (
	maxFiles     = 10_000
	maxDirs      = 32       // nested
	maxDirectory = 64 << 20 // bytes of all files
)

var elementForm = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9._-]*$`)

// validElement reports whether s can name a file or directory of a release.
func validElement(s string) bool { return s != "." && s != ".." && elementForm.MatchString(s) }

// DigestOf is the digest of a release directory: SHA-256 over one line
// `<sha256 hex>  <path>\n` per file, paths sorted bytewise. The same as
//
//	find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum -- | sha256sum
//
// An error says that the directory has no digest, so that nothing can name or approve
// it: no file, a name that is not allowed, something else than plain files and
// directories, or more than 10,000 files or 64 MiB.
func DigestOf(dir fs.FS) (Digest, error) {
	var paths []string
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
		case !validElement(d.Name()):
			return fmt.Errorf("%s: a name has letters, digits, dot, dash and underscore only, and no dash in front; rename it", show(name))
		case strings.Count(name, "/") >= maxDirs:
			return fmt.Errorf("%s: deeper than %d directories", show(name), maxDirs)
		case d.IsDir():
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a plain file; replace it by one", show(name))
		case len(paths) == maxFiles:
			return fmt.Errorf("more than %d files", maxFiles)
		default:
			paths = append(paths, name)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the release directory: %w", err)
	}
	if len(paths) == 0 {
		return "", errors.New("read the release directory: it holds no file")
	}
	slices.Sort(paths) // of whole paths: not the order of the walk
	all, left := sha256.New(), int64(maxDirectory)
	for _, name := range paths {
		sum, size, err := hashFile(dir, name, left)
		if err != nil {
			return "", fmt.Errorf("read the release directory: %w", err)
		}
		left -= size
		fmt.Fprintf(all, "%s  %s\n", sum, name)
	}
	return Digest(hex.EncodeToString(all.Sum(nil))), nil
}

func hashFile(dir fs.FS, name string, most int64) (sum string, size int64, err error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close() // only read from
	h := sha256.New()
	size, err = io.Copy(h, io.LimitReader(f, most+1))
	if err != nil {
		return "", 0, err
	}
	if size > most {
		return "", 0, fmt.Errorf("all files together are larger than %d MiB", maxDirectory>>20)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// Short is 8 hex digits that tell the targets of one app apart: the first of the
// SHA-256 over digest, line end, inputs. Container names end in it.
func (t Target) Short() string { return short(string(t.Digest), t.Inputs) }
