package gitops

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// treeFS is the directory of one commit as a read-only file system. Listing a
// directory checks all of it; opening one name checks that name, its mode and its
// case twins. What is touched is checked, what is not touched cannot break others.
type treeFS struct {
	objs   objects
	root   plumbing.Hash
	dir    string // from the root of the repository, for messages
	limits Limits
	dirs   *dirCache // may be nil

	mu    sync.Mutex
	trees map[plumbing.Hash][]entry // guarded by mu; emptied when it grows
	held  int                       // entries in trees; guarded by mu
}

var (
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadFileFS = (*treeFS)(nil)
	_ fs.StatFS     = (*treeFS)(nil)
)

func newTreeFS(objs objects, root plumbing.Hash, dir string, limits Limits) *treeFS {
	return &treeFS{objs: objs, root: root, dir: dir, limits: limits, trees: make(map[plumbing.Hash][]entry)}
}

// Open opens a plain file or a directory.
func (t *treeFS) Open(name string) (fs.File, error) {
	e, err := t.resolve(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if e.isDir() {
		return &treeDir{fs: t, name: name, entry: e}, nil
	}
	data, err := t.blob(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &treeFile{info: treeInfo{e.name, e.mode, int64(len(data))}, data: data}, nil
}

// ReadFile returns a plain file's bytes.
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	e, err := t.resolve(name)
	if err == nil && e.isDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	data, err := t.blob(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// ReadDir lists a directory by name, or returns everything that is unsafe in it.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.resolve(name)
	if err == nil && !e.isDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list, err := t.list(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

// Stat describes a plain file or a directory. Times are zero: a commit's clock is not
// trusted.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) {
	e, err := t.resolve(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	info, err := t.info(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

func (t *treeFS) list(name string, dir entry) ([]fs.DirEntry, error) {
	entries, err := t.entries(dir.hash, t.at(name))
	if err != nil {
		return nil, err
	}
	if err := checkDir(t.at(name), entries); err != nil {
		return nil, err
	}
	list := make([]fs.DirEntry, 0, len(entries))
	for _, e := range entries {
		list = append(list, treeEntry{t, path.Join(name, e.name), e})
	}
	// Git sorts directories as if they ended in a slash.
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

func (t *treeFS) info(name string, e entry) (fs.FileInfo, error) {
	if e.isDir() {
		return treeInfo{e.name, e.mode, 0}, nil
	}
	// The size is only known from the object, which is small and mostly read next.
	data, err := t.blob(name, e)
	if err != nil {
		return nil, err
	}
	return treeInfo{e.name, e.mode, int64(len(data))}, nil
}

func (t *treeFS) blob(name string, e entry) ([]byte, error) {
	limit := t.limits.File
	if strings.HasPrefix(t.at(name), "attestations/") {
		limit = t.limits.Report
	}
	data, err := t.objs.object(e.hash, plumbing.BlobObject, limit)
	if large := (*tooLargeError)(nil); errors.As(err, &large) {
		return nil, &EntryError{release.EntryTooLarge, escape(t.at(name), 500), e.mode, fmt.Sprintf("a file larger than %d bytes", limit)}
	}
	return data, err
}

// at is a name's path from the root of the repository.
func (t *treeFS) at(name string) string { return path.Join(t.dir, name) }

func (t *treeFS) resolve(name string) (entry, error) {
	at := entry{name: ".", mode: modeDir, hash: t.root}
	if !fs.ValidPath(name) {
		return at, fs.ErrInvalid
	}
	if name == "." {
		return at, nil
	}
	elems := strings.Split(name, "/")
	if len(elems) > t.limits.Depth {
		return at, &EntryError{release.UnsafePath, escape(t.at(name), 500), "", fmt.Sprintf("deeper than %d directories", t.limits.Depth)}
	}
	for i, elem := range elems {
		if !at.isDir() {
			return at, fs.ErrNotExist
		}
		parent := t.at(strings.Join(elems[:i], "/"))
		var err error
		if at, err = t.find(at.hash, parent, elem); err != nil {
			return at, err
		}
	}
	return at, nil
}

// pick finds one name and checks it.
func pick(entries []entry, dir, name string) (entry, error) {
	var found *entry
	var twin string
	for i, e := range entries {
		switch {
		case e.name == name && found == nil:
			found = &entries[i]
		case strings.EqualFold(e.name, name):
			twin = e.name
		}
	}
	switch {
	case found == nil:
		return entry{}, fs.ErrNotExist
	case twin != "":
		return entry{}, twins(dir, *found, twin)
	}
	if err := checkEntry(dir, *found); err != nil {
		return entry{}, err
	}
	return *found, nil
}

// entryBytes is the most that one entry of a tree object takes: mode, space, name of
// 255 bytes, NUL, hash.
const entryBytes = 6 + 1 + 255 + 1 + 20

// heldMax bounds the entries that a treeFS keeps decoded.
const heldMax = 50_000

func (t *treeFS) entries(h plumbing.Hash, dir string) ([]entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if entries, ok := t.trees[h]; ok {
		return entries, nil
	}
	entries, err := readTree(t.objs, h, int64(t.limits.Entries)*entryBytes)
	large := (*tooLargeError)(nil)
	switch {
	case errors.As(err, &large), err == nil && len(entries) > t.limits.Entries:
		return nil, &EntryError{release.EntryTooLarge, escape(dir, 500), modeDir, tooManyEntries(t.limits.Entries)}
	case errors.Is(err, errMalformedTree), errors.Is(err, errWrongType):
		return nil, &EntryError{release.UnsafeEntry, escape(dir, 500), modeDir, err.Error()}
	case err != nil:
		return nil, err
	}
	if t.held += len(entries); t.held > heldMax {
		clear(t.trees)
		t.held = len(entries)
	}
	t.trees[h] = entries
	return entries, nil
}

func tooManyEntries(limit int) string {
	return fmt.Sprintf("a directory of more than %d entries", limit)
}

// treeInfo is fs.FileInfo of an entry.
type treeInfo struct {
	name, mode string
	size       int64
}

func (i treeInfo) Name() string       { return i.name }
func (i treeInfo) Size() int64        { return i.size }
func (i treeInfo) ModTime() time.Time { return time.Time{} }
func (i treeInfo) IsDir() bool        { return i.mode == modeDir }
func (i treeInfo) Sys() any           { return nil }
func (i treeInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// treeEntry is fs.DirEntry of an entry.
type treeEntry struct {
	fs    *treeFS
	path  string
	entry entry
}

func (e treeEntry) Name() string               { return e.entry.name }
func (e treeEntry) IsDir() bool                { return e.entry.isDir() }
func (e treeEntry) Type() fs.FileMode          { return treeInfo{mode: e.entry.mode}.Mode().Type() }
func (e treeEntry) Info() (fs.FileInfo, error) { return e.fs.info(e.path, e.entry) }

// treeFile is an open plain file.
type treeFile struct {
	info treeInfo
	data []byte
	off  int64
}

func (f *treeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *treeFile) Close() error               { return nil }
func (f *treeFile) Read(p []byte) (int, error) {
	if f.off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[f.off:])
	f.off += int64(n)
	return n, nil
}

// treeDir is an open directory.
type treeDir struct {
	fs    *treeFS
	name  string
	entry entry
	list  []fs.DirEntry
	read  bool
}

func (d *treeDir) Stat() (fs.FileInfo, error) { return treeInfo{d.entry.name, modeDir, 0}, nil }
func (d *treeDir) Close() error               { return nil }
func (d *treeDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir follows fs.ReadDirFile.
func (d *treeDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		list, err := d.fs.list(d.name, d.entry)
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: d.name, Err: err}
		}
		d.list, d.read = list, true
	}
	if n <= 0 {
		rest := d.list
		d.list = nil
		return rest, nil
	}
	if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	part := d.list[:n:n]
	d.list = d.list[n:]
	return part, nil
}
