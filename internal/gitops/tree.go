package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// The modes a tree entry may have, as the object spells them.
const (
	modeFile      = "100644"
	modeDir       = "40000"
	modeExec      = "100755"
	modeSymlink   = "120000"
	modeSubmodule = "160000"
)

// entry is one line of a tree object.
type entry struct {
	name, mode string
	hash       plumbing.Hash
}

func (e entry) isDir() bool  { return e.mode == modeDir }
func (e entry) isFile() bool { return e.mode == modeFile }

// refersTo is the type of object that Git itself takes the entry for, however oddly
// its mode is spelled: what has to be copied and complete. A submodule's commit is
// of another repository.
func (e entry) refersTo() plumbing.ObjectType {
	mode, err := strconv.ParseUint(e.mode, 8, 32)
	switch {
	case err == nil && mode&0o170000 == 0o040000:
		return plumbing.TreeObject
	case err == nil && mode&0o170000 == 0o160000:
		return plumbing.CommitObject
	}
	return plumbing.BlobObject
}

// ReasonCode is the code, for whoever reads through io/fs and knows nothing of Git.
func (e *EntryError) ReasonCode() release.Code { return e.Code }

// EntryError names an entry of a tree that a Snapshot does not yield.
type EntryError struct {
	Code    release.Code // unsafe_entry, unsafe_path or entry_too_large
	Path    string       // from the root of the repository; escaped
	Mode    string       // as the tree spells it, "" when it does not matter
	Problem string       // what is wrong with it
}

func (e *EntryError) Error() string {
	if e.Mode == "" {
		return fmt.Sprintf("%s: %s", e.Path, e.Problem)
	}
	return fmt.Sprintf("%s (mode %s): %s", e.Path, e.Mode, e.Problem)
}

var errMalformedTree = errors.New("the tree object is malformed")

// readTree reads a tree as it stands, unsafe names included, in the object's order.
func readTree(src objects, h plumbing.Hash, max int64) ([]entry, error) {
	data, err := src.object(h, plumbing.TreeObject, max)
	if err != nil {
		return nil, err
	}
	entries, err := decodeTree(data)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", h, err)
	}
	return entries, nil
}

// decodeTree is our own because go-git's normalises modes, and a mode that is almost
// 100644 has to be seen.
func decodeTree(data []byte) ([]entry, error) {
	var entries []entry
	for len(data) > 0 {
		mode, rest, ok := bytes.Cut(data, []byte{' '})
		if !ok || len(mode) > 7 || len(mode) == 0 {
			return nil, errMalformedTree
		}
		name, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(rest) < len(plumbing.Hash{}) {
			return nil, errMalformedTree
		}
		e := entry{name: string(name), mode: string(mode)}
		data = rest[copy(e.hash[:], rest):]
		entries = append(entries, e)
	}
	return entries, nil
}

// checkName says what is wrong with a path element, or "".
func checkName(name string) string {
	switch {
	case name == "":
		return "an empty name"
	case name == "." || name == "..":
		return "a name that means another directory"
	case len(name) > 255:
		return "a name longer than 255 bytes"
	case strings.EqualFold(strings.TrimRight(name, "."), ".git"):
		return "a name that Git uses itself"
	case name[0] == '-':
		return "a name that begins with a dash"
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return "a name with other characters than letters, digits, dot, dash and underscore"
		}
	}
	return ""
}

// checkMode says what is wrong with a mode, or "".
func checkMode(mode string) string {
	switch mode {
	case modeFile, modeDir:
		return ""
	case modeExec:
		return "an executable file; remove the bit (git update-index --chmod=-x)"
	case modeSymlink:
		return "a symbolic link; commit the file itself"
	case modeSubmodule:
		return "a submodule; commit the files themselves"
	default:
		return "neither a plain file nor a directory"
	}
}

func checkEntry(dir string, e entry) *EntryError {
	if p := checkName(e.name); p != "" {
		return &EntryError{release.UnsafePath, shown(dir, e.name), escape(e.mode, 16), p}
	}
	if p := checkMode(e.mode); p != "" {
		return &EntryError{release.UnsafeEntry, shown(dir, e.name), escape(e.mode, 16), p}
	}
	return nil
}

// reportMax bounds how many bad entries of one directory are named.
const reportMax = 20

// checkDir returns everything wrong with the entries of a directory: names, modes,
// and names that are one where case does not count.
func checkDir(dir string, entries []entry) error {
	var problems []error
	seen := make(map[string]string, len(entries))
	for _, e := range entries {
		if len(problems) == reportMax {
			break
		}
		if err := checkEntry(dir, e); err != nil {
			problems = append(problems, err)
			continue
		}
		fold := strings.ToLower(e.name) // names are ASCII here
		if other, twin := seen[fold]; twin {
			problems = append(problems, twins(dir, e, other))
			continue
		}
		seen[fold] = e.name
	}
	return errors.Join(problems...)
}

func twins(dir string, e entry, other string) *EntryError {
	return &EntryError{release.UnsafePath, shown(dir, e.name), e.mode,
		fmt.Sprintf("the same name as %s where case does not count", escape(other, 255))}
}

// shown is a path for messages.
func shown(dir, name string) string {
	if dir == "." || dir == "" {
		return escape(name, 300)
	}
	return escape(dir+"/"+name, 500)
}
