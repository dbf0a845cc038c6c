package gitops

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	githash "github.com/go-git/go-git/v5/plumbing/hash"
)

// chainMax bounds the inflated bytes along one chain of deltas, and those of all
// deltas that name their base by hash: a chain is held in memory, here and by go-git,
// which reads the pack later. Git's own chains are at most 50 deltas long, over objects
// of a few kilobytes.
const chainMax = 128 << 20

// deepest is the longest chain of deltas; git pack-objects makes none that is longer.
const deepest = 4095

// inflateFactor bounds what a whole pack inflates to, as a multiple of Limits.Pack.
// Trees of a long history compress well: 10,000 commits to a directory of 5,000
// entries make 4 GiB of trees in a pack of a few MiB.
const inflateFactor = 64

// Deltas of a history are mostly small, and to begin inflating one costs more than the
// rest of it: so many bytes of those up to keptEach are kept from the first walk over
// the pack to the second.
const (
	keptMax  = 8 << 20
	keptEach = 4 << 10
	keptPart = 256 << 10
)

// packEntry is one object of a pack.
type packEntry struct {
	offset int64
	size   int64  // inflated: of the object, or of the delta
	chain  int64  // inflated bytes from here to the base of its chain
	kept   uint32 // 1 + where its delta is kept; 0: nowhere
	crc    uint32
	base   int32 // of an OFS delta, an entry
	child  int32 // the first delta of it, an entry; -1: none
	next   int32 // the next delta of the same base; -1: none
	depth  int32 // deltas from here to a whole object
	typ    plumbing.ObjectType
	skip   uint8 // bytes of its head
	named  bool
	name   plumbing.Hash
}

// packIndex gives every object of a pack its name.
//
// There are two walks. The first reads the file once, inflates everything, and names
// what is whole; it bounds what the second may cost. The second makes what is a delta,
// each from its base and right after it, so that nothing is made twice and only the
// chain that is worked on is in memory.
type packIndex struct {
	limits  Limits
	entries []packEntry
	sum     plumbing.Hash           // of the pack, its own last bytes
	waiting map[plumbing.Hash]int32 // by the name of their base, the first REF delta; linked by next
	bases   map[int32]plumbing.Hash // of REF deltas, between the walks
	kept    [][]byte                // parts of keptPart bytes
	room    int                     // in kept
	spare   [][]byte                // buffers to be used again
	names   *namer
}

// indexPack names the objects of a pack. It refuses what would cost too much before it
// takes memory for it: the count that the header claims, the sizes that objects claim,
// and chains of deltas.
func indexPack(ctx context.Context, f *os.File, limits Limits) (x *packIndex, err error) {
	defer caught(&err)
	x = &packIndex{limits: limits, names: newNamer(), waiting: make(map[plumbing.Hash]int32), bases: make(map[int32]plumbing.Hash)}
	if err := x.scan(ctx, f); err != nil {
		return nil, err
	}
	x.link()
	if err := x.resolve(ctx, f); err != nil {
		return nil, err
	}
	return x, nil
}

// smallest is the least that an object takes in a pack: its head and an empty zlib stream.
const smallest = 9

func (x *packIndex) scan(ctx context.Context, f *os.File) error {
	size, err := sizeOf(f)
	if err != nil {
		return err
	}
	in := newPackReader(f, githash.New(githash.CryptoType))
	var head [12]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	if !bytes.HasPrefix(head[:], []byte("PACK")) {
		return fmt.Errorf("%w: it does not begin as one", errPack)
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 {
		return fmt.Errorf("%w: its version is %d, not 2", errPack, v)
	}
	count := int64(binary.BigEndian.Uint32(head[8:]))
	switch {
	case count > int64(x.limits.Objects):
		return &tooLargeError{"the number of objects in the download", int64(x.limits.Objects)}
	case count*smallest > size:
		return fmt.Errorf("%w: it claims %d objects in %d bytes", errPack, count, size)
	}
	x.entries = make([]packEntry, 0, count)
	s := &scanner{packIndex: x, in: in, z: inflater{from: in}, buf: make([]byte, 32<<10)}
	for i := range int(count) {
		if i%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.object(); err != nil {
			return err
		}
	}
	in.take()
	var want plumbing.Hash
	in.sum.Sum(want[:0])
	if _, err := io.ReadFull(in, x.sum[:]); err != nil || x.sum != want || in.offset() != size {
		return fmt.Errorf("%w: it ends early, or its checksum is wrong", errPack)
	}
	return nil
}

// scanner is the first walk.
type scanner struct {
	*packIndex
	in           *packReader
	z            inflater
	buf, delta   []byte
	loose, total int64
}

func (s *scanner) object() error {
	s.in.take()
	s.in.crc = 0
	e := packEntry{offset: s.in.offset(), base: -1, child: -1, next: -1}
	head, err := s.in.head()
	if err != nil {
		return err
	}
	if head.size > s.limits.Object {
		return &tooLargeError{"an object in the download", s.limits.Object}
	}
	e.typ, e.size, e.chain, e.skip = head.typ, head.size, head.size, uint8(s.in.offset()-e.offset)
	cost := head.size
	if head.typ.IsDelta() {
		if cost, err = s.readDelta(&e, head); err != nil {
			return err
		}
	} else {
		s.names.begin(e.typ, e.size)
		if err := s.z.to(s.names.sum, e.size, s.buf); err != nil {
			return err
		}
		e.name, e.named = s.names.end(), true
	}
	if s.total += cost; s.total > s.limits.Pack*inflateFactor {
		return &tooLargeError{"the inflated download", s.limits.Pack * inflateFactor}
	}
	s.in.take()
	e.crc = s.in.crc
	s.entries = append(s.entries, e)
	return nil
}

// readDelta reads a delta and finds its base; cost is what it inflates to.
func (s *scanner) readDelta(e *packEntry, head objectHead) (cost int64, err error) {
	s.delta = slices.Grow(s.delta[:0], int(head.size))[:head.size]
	if err := s.z.all(s.delta); err != nil {
		return 0, err
	}
	target, err := deltaTarget(s.delta)
	if err != nil {
		return 0, err
	}
	if target > s.limits.Object {
		return 0, &tooLargeError{"an object in the download", s.limits.Object}
	}
	cost = head.size + target
	if head.typ == plumbing.REFDeltaObject {
		// Where its base lies is only known after hashing, so all of them count as one
		// chain. Servers send offsets instead when asked, and we ask.
		s.loose += cost
		e.chain = s.loose
		s.bases[int32(len(s.entries))] = head.base
	} else {
		at, ok := sort.Find(len(s.entries), func(i int) int {
			return int(min(1, max(-1, e.offset-head.back-s.entries[i].offset)))
		})
		if !ok {
			return 0, errNoBase
		}
		e.base, e.chain = int32(at), s.entries[at].chain+cost
	}
	if e.chain > chainMax {
		return 0, &tooLargeError{"a chain of deltas in the download", chainMax}
	}
	e.kept = s.keep(s.delta)
	return cost, nil
}

var errNoBase = errors.New("a delta names a base that is not there")

func (x *packIndex) keep(delta []byte) uint32 {
	if len(delta) > keptEach {
		return 0
	}
	if len(delta) > x.room {
		if len(x.kept)*keptPart >= keptMax {
			return 0
		}
		x.kept, x.room = append(x.kept, make([]byte, keptPart)), keptPart
	}
	at := len(x.kept)*keptPart - x.room
	copy(x.kept[len(x.kept)-1][keptPart-x.room:], delta)
	x.room -= len(delta)
	return uint32(at) + 1
}

// link makes the lists of each base's deltas, in the order of the file.
func (x *packIndex) link() {
	for i := len(x.entries) - 1; i >= 0; i-- {
		e := &x.entries[i]
		switch e.typ {
		case plumbing.OFSDeltaObject:
			e.next, x.entries[e.base].child = x.entries[e.base].child, int32(i)
		case plumbing.REFDeltaObject:
			base := x.bases[int32(i)]
			if first, ok := x.waiting[base]; ok {
				e.next = first
			}
			x.waiting[base] = int32(i)
		}
	}
	x.bases = nil
}

// made is an object that deltas wait for.
type made struct {
	data  []byte
	typ   plumbing.ObjectType
	child int32 // the next of its deltas
	depth int   // of its chain
}

func (x *packIndex) resolve(ctx context.Context, f *os.File) error {
	in := newPackReader(f, nil)
	z := inflater{from: in}
	var open []made // from a whole object to what is worked on
	var delta []byte
	done := 0
	for i := range x.entries {
		if e := &x.entries[i]; !e.typ.IsDelta() {
			x.adopt(e)
			if e.child < 0 {
				continue
			}
			whole := x.buffer(e.size)
			in.seek(e.offset + int64(e.skip))
			if err := z.all(whole); err != nil {
				return err
			}
			open = append(open, made{whole, e.typ, e.child, 0})
		}
		for len(open) > 0 {
			if done++; done%256 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			base := &open[len(open)-1]
			e := &x.entries[base.child]
			if base.depth >= deepest {
				return fmt.Errorf("%w: a chain of more than %d deltas", errPack, deepest)
			}
			text := x.delta(e)
			if text == nil {
				delta = slices.Grow(delta[:0], int(e.size))[:e.size]
				in.seek(e.offset + int64(e.skip))
				if err := z.all(delta); err != nil {
					return err
				}
				text = delta
			}
			size, err := deltaTarget(text)
			if err != nil {
				return err
			}
			if size > x.limits.Object { // as the first walk saw, unless the file changed
				return &tooLargeError{"an object in the download", x.limits.Object}
			}
			next := made{x.buffer(size), base.typ, -1, base.depth + 1}
			if err := patch(next.data, base.data, text); err != nil {
				return err
			}
			x.names.begin(base.typ, size)
			x.names.sum.Write(next.data)
			e.name, e.named, e.depth = x.names.end(), true, int32(next.depth)
			x.adopt(e)
			// A base is let go with its last delta: a long chain is never in memory whole.
			if base.child = e.next; base.child < 0 {
				x.release(base.data)
				open = open[:len(open)-1]
			}
			if next.child = e.child; next.child < 0 {
				x.release(next.data)
				continue
			}
			open = append(open, next)
		}
	}
	for i := range x.entries {
		if !x.entries[i].named {
			return errNoBase
		}
	}
	return nil
}

// adopt gives an object that has got its name the deltas that wait for it by that.
func (x *packIndex) adopt(e *packEntry) {
	if len(x.waiting) == 0 {
		return
	}
	first, ok := x.waiting[e.name]
	if !ok {
		return
	}
	delete(x.waiting, e.name)
	last := first
	for x.entries[last].next >= 0 {
		last = x.entries[last].next
	}
	x.entries[last].next, e.child = e.child, first
}

// delta is the text of a delta that was kept; nil: it was not.
func (x *packIndex) delta(e *packEntry) []byte {
	if e.kept == 0 {
		return nil
	}
	at := int(e.kept - 1)
	return x.kept[at/keptPart][at%keptPart:][:e.size]
}

// buffer gives size bytes of any content.
func (x *packIndex) buffer(size int64) []byte {
	for i, b := range slices.Backward(x.spare) {
		if int64(cap(b)) >= size {
			x.spare = slices.Delete(x.spare, i, i+1)
			return b[:size]
		}
	}
	return make([]byte, size, max(size+size/8, 1<<10)) // deltas of a growing file are a little longer each
}

func (x *packIndex) release(b []byte) {
	const most, each = 8, 1 << 20
	if cap(b) > each {
		return
	}
	if len(x.spare) == most {
		x.spare = slices.Delete(x.spare, 0, 1)
	}
	x.spare = append(x.spare, b)
}
