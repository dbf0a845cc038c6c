package gitops

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// objects yields verified objects. A store is one; so is a Repo, which finds the
// object in whatever clone is current.
type objects interface {
	// object returns the bytes of an object of that type. It fails with
	// *tooLargeError above max bytes, errWrongType, or *objectError when the object is
	// missing or damaged.
	object(h plumbing.Hash, typ plumbing.ObjectType, max int64) ([]byte, error)
}

// store reads the objects of one repository on disk, its alternates included.
// go-git's storage is not safe for concurrent readers, hence the lock.
type store struct {
	mu    sync.Mutex
	parts []*filesystem.Storage
	keep  bool
}

const storeCache = 16 << 20

// openStore opens the object directories below the given Git directories. With keep
// the packs stay open until close, which a walk over a whole history needs;
// without it nothing stays open and close does nothing.
func openStore(keep bool, dirs ...billy.Filesystem) *store {
	s := &store{keep: keep}
	for _, dir := range dirs {
		s.parts = append(s.parts, filesystem.NewStorageWithOptions(dir, cache.NewObjectLRU(storeCache),
			filesystem.Options{KeepDescriptors: keep}))
	}
	return s
}

func openClone(dir string, keep bool) *store { return openStore(keep, osfs.New(dir)) }

func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keep {
		for _, p := range s.parts {
			_ = p.Close() // opened for reading only
		}
	}
}

// has reports whether the store knows an object, without reading it.
func (s *store) has(h plumbing.Hash) bool {
	_, err := s.size(h)
	return err == nil
}

// size is an object's size in bytes, as the store's header has it.
func (s *store) size(h plumbing.Hash) (size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer catch(h, &err)
	_, size, err = s.find(h)
	return size, err
}

func (s *store) find(h plumbing.Hash) (*filesystem.Storage, int64, error) {
	err := error(plumbing.ErrObjectNotFound)
	for _, p := range s.parts {
		size, cause := p.EncodedObjectSize(h)
		if cause == nil {
			return p, size, nil
		}
		if !errors.Is(cause, plumbing.ErrObjectNotFound) {
			err = cause
		}
	}
	return nil, 0, &objectError{h.String(), err}
}

// any reads an object of any type and proves that its bytes have its name. SHA-1 is
// computed with collision detection (sha1cd).
func (s *store) any(h plumbing.Hash, max int64) (typ plumbing.ObjectType, data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer catch(h, &err)
	part, size, err := s.find(h)
	if err != nil {
		return 0, nil, err
	}
	if size > max {
		return 0, nil, &tooLargeError{"object " + h.String(), max}
	}
	o, err := part.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return 0, nil, &objectError{h.String(), err}
	}
	r, err := o.Reader()
	if err != nil {
		return 0, nil, &objectError{h.String(), err}
	}
	defer r.Close()
	data, err = io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return 0, nil, &objectError{h.String(), err}
	}
	if plumbing.ComputeHash(o.Type(), data) != h {
		return 0, nil, &objectError{h.String(), errors.New("its content does not have its name")}
	}
	return o.Type(), data, nil
}

func (s *store) object(h plumbing.Hash, typ plumbing.ObjectType, max int64) ([]byte, error) {
	got, data, err := s.any(h, max)
	if err != nil {
		return nil, err
	}
	if got != typ {
		return nil, fmt.Errorf("read %s %s: %w", typ, h, errWrongType)
	}
	return data, nil
}

// catch turns a panic of go-git's parsers into a damaged object: the bytes come from
// a disk or a server, and the agent has to outlive them.
func catch(h plumbing.Hash, err *error) {
	if p := recover(); p != nil {
		*err = &objectError{h.String(), fmt.Errorf("damaged in a way that broke its parser: %v", p)}
	}
}

const commitMax = 1 << 20

// readCommit reads and parses a commit object.
func readCommit(src objects, h plumbing.Hash) (*object.Commit, error) {
	data, err := src.object(h, plumbing.CommitObject, commitMax)
	if err != nil {
		return nil, err
	}
	raw := &plumbing.MemoryObject{}
	raw.SetType(plumbing.CommitObject)
	if _, err := raw.Write(data); err != nil {
		return nil, fmt.Errorf("parse commit %s: %w", h, err)
	}
	c := &object.Commit{}
	if err := c.Decode(raw); err != nil {
		return nil, fmt.Errorf("parse commit %s: %w", h, err)
	}
	return c, nil
}
