package gitops

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// chainMax bounds the inflated bytes along one chain of deltas, and those of all
// deltas that name their base by hash: go-git holds a chain in memory. Git's own
// chains are at most 50 deltas long, over objects of a few kilobytes.
const chainMax = 128 << 20

// inflateFactor bounds what a whole pack inflates to, as a multiple of Limits.Pack.
// Trees of a long history compress well: 10,000 commits to a directory of 5,000
// entries make 4 GiB of trees in a pack of a few MiB.
const inflateFactor = 64

// addPack receives a pack from write, checks that it stays within the limits, indexes
// it and adds it to the clone durably. A pack without objects adds nothing.
func addPack(ctx context.Context, clone string, limits Limits, write func(io.Writer) error) (err error) {
	dir := filepath.Join(clone, "objects", "pack")
	f, err := os.CreateTemp(dir, "tmp_pack_*")
	if err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	defer func() {
		_ = f.Close() // a second close after success is harmless
		_ = os.Remove(f.Name())
	}()
	buf := bufio.NewWriterSize(&limitedWriter{w: f, left: limits.Pack, what: "the download", limit: limits.Pack}, 64<<10)
	if err := write(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("receive pack: %w", err)
	}
	count, err := screenPack(ctx, f, limits)
	if err != nil {
		return fmt.Errorf("check pack: %w", err)
	}
	if count == 0 {
		return nil
	}
	if count > largePack {
		defer frugal()()
	}
	sum, index, err := indexPack(f)
	if err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	// The index last: Git and go-git look for indexes and then open the pack.
	base := filepath.Join(dir, "pack-"+sum.String())
	if err := os.Rename(f.Name(), base+".pack"); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	return writeIndex(base+".idx", index)
}

// screenPack walks over a pack without keeping anything of it and refuses what
// would cost go-git's parser too much: it takes memory for the count that the header
// claims, inflates every object whole into memory, and follows chains of any length.
func screenPack(ctx context.Context, f *os.File, limits Limits) (count int, err error) {
	defer caught(&err)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	scan := packfile.NewScanner(f)
	_, claimed, err := scan.Header()
	if err != nil {
		return 0, err
	}
	if int64(claimed) > int64(limits.Objects) {
		return 0, &tooLargeError{"the number of objects in the download", int64(limits.Objects)}
	}
	chains := make(map[int64]int64) // offset → inflated bytes from there to the chain's base
	var loose, total int64
	for count = range int(claimed) {
		if count%256 == 0 && ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		head, err := scan.NextObjectHeader()
		if err != nil {
			return 0, err
		}
		if head.Length > limits.Object {
			return 0, &tooLargeError{"an object in the download", limits.Object}
		}
		sink := &prefix{}
		if _, _, err := scan.NextObject(sink); err != nil {
			return 0, err
		}
		size, chain := head.Length, head.Length
		if head.Type.IsDelta() {
			target, err := sink.deltaTarget()
			if err != nil {
				return 0, err
			}
			if target > limits.Object {
				return 0, &tooLargeError{"an object in the download", limits.Object}
			}
			size += target
			if head.Type == plumbing.REFDeltaObject {
				// Where its base lies is only known after hashing, so all of them count as one
				// chain. Servers send offsets instead when asked, and we ask.
				loose += size
				chain = loose
			} else {
				base, ok := chains[head.OffsetReference]
				if !ok {
					return 0, errors.New("a delta names a base that is not there")
				}
				chain = base + size
			}
			if chain > chainMax {
				return 0, &tooLargeError{"a chain of deltas in the download", chainMax}
			}
		}
		chains[head.Offset] = chain
		if total += size; total > limits.Pack*inflateFactor {
			return 0, &tooLargeError{"the inflated download", limits.Pack * inflateFactor}
		}
	}
	if _, err := scan.Checksum(); err != nil {
		return 0, fmt.Errorf("the pack ends early or its checksum is wrong: %w", err)
	}
	return int(claimed), nil
}

// largePack is the number of objects from which indexing a pack costs memory that
// matters.
const largePack = 20_000

var thrift struct {
	sync.Mutex
	running, before int
}

// frugal makes the garbage collector keep less waste until what it returns is called:
// go-git's parser fills a cache of 96 MiB that cannot be made smaller, and waste as
// large as that beside it is what a small host does not have. It is the whole process's
// setting, for the seconds that a first clone takes.
func frugal() (end func()) {
	thrift.Lock()
	defer thrift.Unlock()
	if thrift.running++; thrift.running == 1 {
		thrift.before = debug.SetGCPercent(20)
	}
	return func() {
		thrift.Lock()
		defer thrift.Unlock()
		if thrift.running--; thrift.running == 0 {
			debug.SetGCPercent(thrift.before)
		}
	}
}

func indexPack(f *os.File) (sum plumbing.Hash, index *idxfile.MemoryIndex, err error) {
	defer caught(&err)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return sum, nil, err
	}
	w := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(f), w)
	if err != nil {
		return sum, nil, err
	}
	if sum, err = parser.Parse(); err != nil {
		return sum, nil, err
	}
	index, err = w.Index()
	return sum, index, err
}

func writeIndex(path string, index *idxfile.MemoryIndex) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "tmp_idx_*")
	if err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	buf := bufio.NewWriter(f)
	_, err = idxfile.NewEncoder(buf).Encode(index)
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// prefix keeps the first bytes of an inflated delta: its two sizes.
type prefix struct{ head []byte }

func (p *prefix) Write(b []byte) (int, error) {
	if room := 20 - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// deltaTarget is the size of what the delta makes.
func (p *prefix) deltaTarget() (int64, error) {
	rest := p.head
	var sizes [2]int64
	for i := range sizes {
		for shift := 0; ; shift += 7 {
			if len(rest) == 0 || shift > 56 {
				return 0, errors.New("a delta has a malformed head")
			}
			b := rest[0]
			rest = rest[1:]
			sizes[i] |= int64(b&0x7f) << shift
			if b&0x80 == 0 {
				break
			}
		}
	}
	return sizes[1], nil
}

// limitedWriter fails with *tooLargeError beyond its limit.
type limitedWriter struct {
	w           io.Writer
	left, limit int64
	what        string
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, &tooLargeError{l.what, l.limit}
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

// caught turns a panic of go-git's pack parser into an error; the pack came from
// outside.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the pack broke its parser: %v", p)
	}
}
