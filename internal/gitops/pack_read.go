package gitops

import (
	"compress/zlib"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	githash "github.com/go-git/go-git/v5/plumbing/hash"
)

var (
	errPack     = errors.New("the pack is malformed")
	errPackEnds = fmt.Errorf("%w: it ends early", errPack)
)

// packReader reads a pack file through one window. It gives the inflater a byte at a
// time and no more than it asks for, so that the end of an object is known to the byte.
type packReader struct {
	f       io.ReaderAt
	window  []byte
	at      int64     // where the window lies in the file
	r, w    int       // read and filled of the window
	counted int       // of the window, by take
	sum     hash.Hash // of all that take saw; nil: nothing is summed
	crc     uint32    // of what take saw since it was last set to 0
}

func newPackReader(f io.ReaderAt, sum hash.Hash) *packReader {
	return &packReader{f: f, window: make([]byte, 64<<10), sum: sum}
}

func (p *packReader) offset() int64 { return p.at + int64(p.r) }

// take puts what was read since the last time into the sums.
func (p *packReader) take() {
	if seen := p.window[p.counted:p.r]; p.sum != nil && len(seen) > 0 {
		p.sum.Write(seen)
		p.crc = crc32.Update(p.crc, crc32.IEEETable, seen)
	}
	p.counted = p.r
}

// seek goes elsewhere; only for a reader that sums nothing.
func (p *packReader) seek(offset int64) {
	if in := offset - p.at; in >= 0 && in <= int64(p.w) {
		p.r = int(in)
		return
	}
	p.at, p.r, p.w = offset, 0, 0
}

func (p *packReader) fill() error {
	if p.r < p.w {
		return nil
	}
	p.take()
	p.at += int64(p.w)
	p.r, p.w, p.counted = 0, 0, 0
	n, err := p.f.ReadAt(p.window, p.at)
	if n > 0 {
		p.w = n
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = errPackEnds
	}
	return err
}

func (p *packReader) ReadByte() (byte, error) {
	if p.r == p.w {
		if err := p.fill(); err != nil {
			return 0, err
		}
	}
	b := p.window[p.r]
	p.r++
	return b, nil
}

func (p *packReader) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	if err := p.fill(); err != nil {
		return 0, err
	}
	n := copy(into, p.window[p.r:p.w])
	p.r += n
	return n, nil
}

// objectHead is what stands before the compressed bytes of an object in a pack.
type objectHead struct {
	typ  plumbing.ObjectType
	size int64         // inflated: of the object, or of the delta
	back int64         // of an OFS delta: how far before it its base begins
	base plumbing.Hash // of a REF delta
}

func (p *packReader) head() (h objectHead, err error) {
	b, err := p.ReadByte()
	if err != nil {
		return h, err
	}
	h.typ, h.size = plumbing.ObjectType(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if shift > 53 {
			return h, fmt.Errorf("%w: the size of an object has no end", errPack)
		}
		if b, err = p.ReadByte(); err != nil {
			return h, err
		}
		h.size |= int64(b&0x7f) << shift
	}
	switch h.typ {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.REFDeltaObject:
		_, err = io.ReadFull(p, h.base[:])
	case plumbing.OFSDeltaObject:
		for {
			if b, err = p.ReadByte(); err != nil {
				return h, err
			}
			if h.back > 1<<47 {
				return h, fmt.Errorf("%w: the offset of a base has no end", errPack)
			}
			h.back |= int64(b & 0x7f)
			if b&0x80 == 0 {
				break
			}
			h.back = (h.back + 1) << 7
		}
	default:
		return h, fmt.Errorf("%w: an object of type %d", errPack, h.typ)
	}
	return h, err
}

// inflater reads the compressed parts of a pack. Its buffers serve all of them.
type inflater struct {
	from *packReader
	z    io.ReadCloser // also a zlib.Resetter; nil before the first
	tail [1]byte
}

func (i *inflater) begin() error {
	if i.z == nil {
		z, err := zlib.NewReader(i.from)
		if err != nil {
			return fmt.Errorf("inflate: %w", err)
		}
		i.z = z
		return nil
	}
	if err := i.z.(zlib.Resetter).Reset(i.from, nil); err != nil {
		return fmt.Errorf("inflate: %w", err)
	}
	return nil
}

// end proves that the object is as long as its head says, and its checksum.
func (i *inflater) end() error {
	for {
		n, err := i.z.Read(i.tail[:])
		switch {
		case n > 0:
			return fmt.Errorf("%w: an object is longer than its head says", errPack)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("inflate: %w", err)
		}
	}
}

// all inflates an object that has exactly the length of into.
func (i *inflater) all(into []byte) error {
	if err := i.begin(); err != nil {
		return err
	}
	if err := i.read(into); err != nil {
		return err
	}
	return i.end()
}

// to inflates an object of size bytes through a buffer into w, which never fails.
func (i *inflater) to(w io.Writer, size int64, buf []byte) error {
	if err := i.begin(); err != nil {
		return err
	}
	for size > 0 {
		part := buf[:min(size, int64(len(buf)))]
		if err := i.read(part); err != nil {
			return err
		}
		_, _ = w.Write(part) // a hash
		size -= int64(len(part))
	}
	return i.end()
}

func (i *inflater) read(into []byte) error {
	switch _, err := io.ReadFull(i.z, into); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: an object is shorter than its head says", errPack)
	case err != nil:
		return fmt.Errorf("inflate: %w", err)
	}
	return nil
}

// namer computes the names of objects, with collision detection (sha1cd).
type namer struct {
	sum  hash.Hash
	head []byte
}

func newNamer() *namer { return &namer{sum: githash.New(githash.CryptoType)} }

func (n *namer) begin(typ plumbing.ObjectType, size int64) {
	n.sum.Reset()
	n.head = append(n.head[:0], typ.Bytes()...)
	n.head = fmt.Appendf(n.head, " %d\x00", size)
	n.sum.Write(n.head)
}

func (n *namer) end() (h plumbing.Hash) {
	n.sum.Sum(h[:0])
	return h
}

var errDelta = errors.New("a delta is malformed")

// deltaSize reads one of the two sizes that a delta begins with.
func deltaSize(delta []byte) (size int64, rest []byte, err error) {
	for shift := 0; ; shift += 7 {
		if len(delta) == 0 || shift > 56 {
			return 0, nil, errDelta
		}
		b := delta[0]
		delta = delta[1:]
		size |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			return size, delta, nil
		}
	}
}

// deltaTarget is the size of what a delta makes.
func deltaTarget(delta []byte) (int64, error) {
	_, rest, err := deltaSize(delta)
	if err != nil {
		return 0, err
	}
	size, _, err := deltaSize(rest)
	return size, err
}

// patch makes an object of its base: out is as long as deltaTarget says.
func patch(out, base, delta []byte) error {
	source, delta, err := deltaSize(delta)
	if err != nil {
		return err
	}
	target, delta, err := deltaSize(delta)
	if err != nil || source != int64(len(base)) || target != int64(len(out)) {
		return errDelta
	}
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		switch {
		case op&0x80 != 0: // copy from the base
			var from, n int
			for i := range 7 {
				if op&(1<<i) == 0 {
					continue
				}
				if len(delta) == 0 {
					return errDelta
				}
				if i < 4 {
					from |= int(delta[0]) << (8 * i)
				} else {
					n |= int(delta[0]) << (8 * (i - 4))
				}
				delta = delta[1:]
			}
			if n == 0 {
				n = 0x10000
			}
			if from > len(base) || n > len(base)-from || n > len(out) {
				return errDelta
			}
			copy(out, base[from:from+n])
			out = out[n:]
		case op == 0: // reserved
			return errDelta
		default: // bytes of its own
			n := int(op)
			if n > len(delta) || n > len(out) {
				return errDelta
			}
			copy(out, delta[:n])
			out, delta = out[n:], delta[n:]
		}
	}
	if len(out) > 0 {
		return errDelta
	}
	return nil
}

// sizeOf is a file's size in bytes.
func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
