package gitops

import (
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // the pack format's checksum; objects are verified with sha1cd
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// copyPack writes one pack with everything reachable from wants that has does not
// know. It stops at what has knows, which is complete by construction: packs are
// added whole. Memory is the list of names and one object at a time.
func copyPack(ctx context.Context, w io.Writer, src *store, wants []plumbing.Hash, has func(plumbing.Hash) bool, limits Limits) error {
	names, err := reachable(ctx, src, wants, has, limits)
	if err != nil {
		return err
	}
	return writePack(ctx, w, src, nil, names, limits)
}

func reachable(ctx context.Context, src *store, wants []plumbing.Hash, has func(plumbing.Hash) bool, limits Limits) ([]plumbing.Hash, error) {
	walk := &copyWalk{src: src, has: has, seen: make(map[plumbing.Hash]bool), limits: limits}
	for _, want := range wants {
		if err := walk.commits(ctx, want); err != nil {
			return nil, err
		}
	}
	return walk.found, nil
}

type copyWalk struct {
	src    *store
	has    func(plumbing.Hash) bool
	seen   map[plumbing.Hash]bool
	found  []plumbing.Hash
	limits Limits
}

// visit notes an object and reports whether it was new.
func (c *copyWalk) visit(h plumbing.Hash) (bool, error) {
	if c.seen[h] {
		return false, nil
	}
	c.seen[h] = true
	if c.has(h) {
		return false, nil
	}
	if len(c.found) >= c.limits.Objects {
		return false, &tooLargeError{"the number of new objects in the repository", int64(c.limits.Objects)}
	}
	c.found = append(c.found, h)
	return true, nil
}

func (c *copyWalk) commits(ctx context.Context, from plumbing.Hash) error {
	queue := []plumbing.Hash{from}
	for len(queue) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		switch fresh, err := c.visit(h); {
		case err != nil:
			return err
		case !fresh:
			continue
		}
		commit, err := readCommit(c.src, h)
		if err != nil {
			return err
		}
		if err := c.trees(ctx, commit.TreeHash); err != nil {
			return err
		}
		queue = append(queue, commit.ParentHashes...)
	}
	return nil
}

func (c *copyWalk) trees(ctx context.Context, root plumbing.Hash) error {
	queue := []plumbing.Hash{root}
	for len(queue) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		switch fresh, err := c.visit(h); {
		case err != nil:
			return err
		case !fresh:
			continue
		}
		entries, err := readTree(c.src, h, c.limits.Object)
		if err != nil {
			return err
		}
		for _, e := range entries {
			switch e.refersTo() {
			case plumbing.TreeObject:
				queue = append(queue, e.hash)
			case plumbing.BlobObject:
				if _, err := c.visit(e.hash); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// writePack writes one pack: the bodies of whole packs, then the named objects without
// deltas. Offsets inside a pack are relative, so a body keeps its deltas wherever it
// lies.
func writePack(ctx context.Context, w io.Writer, src *store, bodies []packBody, names []plumbing.Hash, limits Limits) error {
	count := int64(len(names))
	for _, b := range bodies {
		count += int64(b.count)
	}
	if count > int64(limits.Objects) {
		return &tooLargeError{"the number of objects in the repository", int64(limits.Objects)}
	}
	sum := sha1.New() //nolint:gosec // see above
	out := io.MultiWriter(w, sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count)) //nolint:gosec // bounded above
	if _, err := out.Write(head); err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	for _, b := range bodies {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := io.Copy(out, b.data()); err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
	}
	deflate := zlib.NewWriter(out)
	for _, h := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		typ, data, err := src.any(h, limits.Object)
		if err != nil {
			return err
		}
		if _, err := out.Write(entryHead(typ, len(data))); err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
		deflate.Reset(out)
		if _, err := deflate.Write(data); err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
		if err := deflate.Close(); err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	return nil
}

// entryHead is a pack entry's head: the type in three bits, the size in four and
// then seven bits a byte, low bits first.
func entryHead(typ plumbing.ObjectType, size int) []byte {
	b := byte(typ)<<4 | byte(size&0x0f)
	var head []byte
	for size >>= 4; size > 0; size >>= 7 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(head, b)
}

// packBody is an existing pack without its head and checksum.
type packBody struct {
	file  *os.File
	size  int64 // of the whole file
	count uint32
}

const packHead, packFoot = 12, 20

func (b packBody) data() io.Reader {
	return io.NewSectionReader(b.file, packHead, b.size-packHead-packFoot)
}

// openBodies opens every finished pack below the given object directories. The
// caller closes them, also after an error.
func openBodies(dirs []string) (bodies []packBody, total int64, err error) {
	for _, dir := range dirs {
		packs, err := filepath.Glob(filepath.Join(dir, "pack", "pack-*.pack"))
		if err != nil {
			return bodies, 0, fmt.Errorf("list packs: %w", err)
		}
		for _, path := range packs {
			if !exists(strings.TrimSuffix(path, ".pack") + ".idx") {
				continue
			}
			f, err := openPlain(path)
			if err != nil {
				return bodies, 0, fmt.Errorf("open pack: %w", err)
			}
			bodies = append(bodies, packBody{file: f})
			b := &bodies[len(bodies)-1]
			head := make([]byte, packHead)
			info, err := f.Stat()
			if err == nil {
				_, err = f.ReadAt(head, 0)
			}
			if err == nil && (info.Size() < packHead+packFoot || string(head[:8]) != "PACK\x00\x00\x00\x02") {
				err = errors.New("not a pack of version 2")
			}
			if err != nil {
				return bodies, 0, fmt.Errorf("open pack %s: %w", filepath.Base(path), err)
			}
			b.size, b.count = info.Size(), binary.BigEndian.Uint32(head[8:])
			total += b.size
		}
	}
	return bodies, total, nil
}

func closeBodies(bodies []packBody) {
	for _, b := range bodies {
		_ = b.file.Close() // only read
	}
}
