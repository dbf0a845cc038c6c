package gitops

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

// listedMax bounds how many references of a local repository are listed for one prefix.
const listedMax = 100_000

// list gives the full names of the references that begin with a prefix, packed and
// loose, sorted.
func (d gitDir) list(ctx context.Context, prefix string) ([]string, error) {
	_, packed, err := d.packed("", prefix)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(packed)
	full := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(names) > listedMax {
			return &tooLargeError{"the number of references", listedMax}
		}
		return nil
	}
	// The directory that every match lies in or below.
	top := path.Dir(prefix + "x")
	root := filepath.Join(d.common, filepath.FromSlash(top))
	err = filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // removed while we look
			return nil
		case err != nil:
			return err
		}
		rel, err := filepath.Rel(d.common, at)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if e.IsDir() {
			if at != root && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
			return full()
		}
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, ".lock") {
			names = append(names, name)
		}
		return full()
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

const packedMax = 64 << 20

// packedCache remembers what was found in packed-refs as long as that file is the same:
// a repository may have many thousands of references that nobody here asks for.
type packedCache struct {
	mu    sync.Mutex // guards the rest
	state fileState
	names map[string]plumbing.Hash // zero: it is not there
	lists map[string][]string
}

const maxPackedNames = 10_000

// packed reads packed-refs for what is asked, unless it is known: the hash of name, or,
// with name empty, the names that begin with prefix.
func (d gitDir) packed(name, prefix string) (plumbing.Hash, []string, error) {
	f, err := openPlain(filepath.Join(d.common, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return plumbing.ZeroHash, nil, nil
	}
	if err != nil {
		return plumbing.ZeroHash, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return plumbing.ZeroHash, nil, err
	}
	c := d.cache
	if c == nil {
		c = new(packedCache)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := stateOf(info); now != c.state || c.names == nil || len(c.names)+len(c.lists) > maxPackedNames {
		c.state, c.names, c.lists = now, make(map[string]plumbing.Hash), make(map[string][]string)
	}
	if h, ok := c.names[name]; ok && name != "" {
		return h, nil, nil
	}
	if list, ok := c.lists[prefix]; ok && name == "" {
		return plumbing.ZeroHash, list, nil
	}
	var found plumbing.Hash
	var list []string
	lines := bufio.NewScanner(io.LimitReader(f, packedMax))
	for lines.Scan() {
		h, ref, ok := strings.Cut(lines.Text(), " ")
		switch {
		case !ok || !commitHex.MatchString(h):
		case name != "" && ref == name:
			found = plumbing.NewHash(h)
		case name == "" && strings.HasPrefix(ref, prefix):
			if list = append(list, ref); len(list) > listedMax {
				return plumbing.ZeroHash, nil, &tooLargeError{"the number of references", listedMax}
			}
		}
		if !found.IsZero() {
			break
		}
	}
	if err := lines.Err(); err != nil {
		return plumbing.ZeroHash, nil, err
	}
	if name != "" {
		c.names[name] = found
	} else {
		c.lists[prefix] = list
	}
	return found, list, nil
}

// peels remembers what annotated tags stand for; an object never changes.
type peels struct {
	mu sync.Mutex // guards of
	of map[plumbing.Hash]plumbing.Hash
}

const maxPeels = 10_000

func (p *peels) get(h plumbing.Hash) (plumbing.Hash, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	commit, ok := p.of[h]
	return commit, ok
}

func (p *peels) put(h, commit plumbing.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil || len(p.of) >= maxPeels {
		p.of = make(map[plumbing.Hash]plumbing.Hash)
	}
	p.of[h] = commit
}

// peel follows annotated tags to what they stand for. What is there may be no commit:
// that is said when it is read.
func peel(s *store, h plumbing.Hash) (plumbing.Hash, error) {
	for range 5 {
		typ, data, err := s.any(h, commitMax)
		if large := (*tooLargeError)(nil); errors.As(err, &large) || err == nil && typ != plumbing.TagObject {
			return h, nil
		}
		if err != nil {
			return h, err
		}
		line, _, _ := bytes.Cut(data, []byte("\n"))
		to, ok := strings.CutPrefix(string(line), "object ")
		if !ok || !commitHex.MatchString(to) {
			return h, nil // no tag that could be read; it is no commit either
		}
		h = plumbing.NewHash(to)
	}
	return h, fmt.Errorf("tags point to tags without end")
}

// fileState is what tells one state of a file from another.
type fileState struct {
	size, mtime, ctime int64
	inode              uint64
}

func stateOf(info os.FileInfo) fileState {
	s := fileState{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.ctime = sys.Ino, sys.Ctim.Nano()
	}
	return s
}
