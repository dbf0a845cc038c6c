package gitops

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // the pack format's checksum
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// noise is text that does not compress, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}

// packed builds a pack by hand: what a hostile server may send.
type packed struct {
	bytes.Buffer
	count uint32
	z     *zlib.Writer // used for every entry: one takes a megabyte
}

func newPacked() *packed {
	p := &packed{}
	p.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	return p
}

// add writes an entry whose head claims size, and returns its offset.
func (p *packed) add(typ plumbing.ObjectType, size int, between []byte, content io.Reader) int {
	at := p.Len()
	p.Write(entryHead(typ, size))
	p.Write(between)
	if p.z == nil {
		var err error
		if p.z, err = zlib.NewWriterLevel(p, zlib.BestSpeed); err != nil {
			panic(err)
		}
	}
	p.z.Reset(&p.Buffer)
	if _, err := io.Copy(p.z, content); err != nil {
		panic(err)
	}
	_ = p.z.Close()
	p.count++
	return at
}

func (p *packed) done(claimed uint32) []byte {
	data := p.Bytes()
	binary.BigEndian.PutUint32(data[8:], claimed)
	sum := sha1.Sum(data) //nolint:gosec // see above
	return append(data, sum[:]...)
}

// offset is the distance to the base of an OFS delta.
func offset(n int) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{byte(n&0x7f) | 0x80}, out...)
	}
	return out
}

func leb(n int) []byte {
	var out []byte
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// growing is a delta that makes a target of the given size from a base of source
// bytes, by copying the first 64 KiB again and again.
func growing(source, target int) []byte {
	d := append(leb(source), leb(target)...)
	for target > 0 {
		n := min(target, 0x10000)
		if n == 0x10000 {
			d = append(d, 0x80) // copy, offset 0, size 0x10000
		} else {
			d = append(d, 0x80|0x10|0x20, byte(n), byte(n>>8))
		}
		target -= n
	}
	return d
}

// bombs are packs that must be refused, each for its own reason.
var bombs = map[string]func() []byte{
	"four billion objects": func() []byte { return newPacked().done(1<<32 - 1) },
	"many zeros": func() []byte {
		p := newPacked()
		p.add(plumbing.BlobObject, 96<<20, nil, io.LimitReader(zeros{}, 96<<20))
		return p.done(1)
	},
	"more than its head says": func() []byte {
		p := newPacked()
		p.add(plumbing.BlobObject, 10, nil, io.LimitReader(zeros{}, 96<<20))
		return p.done(1)
	},
	"a delta to a gibibyte": func() []byte {
		p := newPacked()
		base := p.add(plumbing.BlobObject, 1<<16, nil, io.LimitReader(zeros{}, 1<<16))
		d := growing(1<<16, 1<<30)
		p.add(plumbing.OFSDeltaObject, len(d), offset(p.Len()-base), bytes.NewReader(d))
		return p.done(2)
	},
	"a chain of large deltas": func() []byte {
		p := newPacked()
		base, size := p.add(plumbing.BlobObject, 1<<16, nil, io.LimitReader(zeros{}, 1<<16)), 1<<16
		for range 200 {
			d := growing(size, 8<<20)
			base, size = p.add(plumbing.OFSDeltaObject, len(d), offset(p.Len()-base), bytes.NewReader(d)), 8<<20
		}
		return p.done(201)
	},
	"many large deltas by name": func() []byte {
		p := newPacked()
		content := make([]byte, 1<<16)
		p.add(plumbing.BlobObject, len(content), nil, bytes.NewReader(content))
		name := plumbing.ComputeHash(plumbing.BlobObject, content)
		for i := range 100 {
			d := growing(1<<16, 8<<20+i)
			p.add(plumbing.REFDeltaObject, len(d), name[:], bytes.NewReader(d))
		}
		return p.done(101)
	},
	"a delta without base": func() []byte {
		p := newPacked()
		p.add(plumbing.OFSDeltaObject, 3, offset(5), bytes.NewReader([]byte{1, 1, 1}))
		return p.done(1)
	},
	"a delta with a broken head": func() []byte {
		p := newPacked()
		base := p.add(plumbing.BlobObject, 1, nil, bytes.NewReader([]byte{1}))
		p.add(plumbing.OFSDeltaObject, 3, offset(p.Len()-base), bytes.NewReader([]byte{0x80, 0x80, 0x80}))
		return p.done(2)
	},
	"a delta of itself": func() []byte {
		p := newPacked()
		p.add(plumbing.OFSDeltaObject, 3, []byte{0}, bytes.NewReader([]byte{1, 1, 1}))
		return p.done(1)
	},
	"fewer than it claims": func() []byte {
		p := newPacked()
		p.add(plumbing.BlobObject, 1, nil, bytes.NewReader([]byte{1}))
		return p.done(2)
	},
	"a tail": func() []byte {
		p := newPacked()
		p.add(plumbing.BlobObject, 1, nil, bytes.NewReader([]byte{1}))
		p.add(plumbing.BlobObject, 1, nil, bytes.NewReader([]byte{2}))
		return p.done(1)
	},
	"not a pack": func() []byte { return []byte("hello") },
	"nothing":    func() []byte { return nil },
}

func TestPackBombsAreRefusedCheaply(t *testing.T) {
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			data, clone := bomb(), emptyClone(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := addPack(t.Context(), clone, Limits{}.orDefault(), func(w io.Writer) error {
				_, err := w.Write(data)
				return err
			})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("taken")
			}
			t.Log(err)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("allocated %d MiB", grown>>20)
			}
			if left, _ := filepath.Glob(filepath.Join(clone, "objects/pack/*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func emptyClone(t testing.TB) string {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "objects/pack"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAddPackStopsWithItsContext(t *testing.T) {
	p := newPacked()
	for range 300 {
		p.add(plumbing.BlobObject, 1, nil, bytes.NewReader([]byte{1}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := addPack(ctx, emptyClone(t), Limits{}.orDefault(), func(w io.Writer) error {
		_, err := w.Write(p.done(300))
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whatever the bytes: no panic, and what is taken reads back under its own name.
func FuzzPack(f *testing.F) {
	for name, bomb := range bombs {
		if name == "many zeros" || name == "more than its head says" || name == "many large deltas by name" {
			continue // large, and every worker makes the seeds anew
		}
		f.Add(bomb())
	}
	p := newPacked()
	base := p.add(plumbing.BlobObject, 3, nil, bytes.NewReader([]byte("abc")))
	d := append(leb(3), append(leb(3), 0x90, 3)...)
	p.add(plumbing.OFSDeltaObject, len(d), offset(p.Len()-base), bytes.NewReader(d))
	f.Add(p.done(2))
	name := plumbing.ComputeHash(plumbing.BlobObject, []byte("abc"))
	p = newPacked()
	p.add(plumbing.REFDeltaObject, len(d), name[:], bytes.NewReader(d))
	p.add(plumbing.BlobObject, 3, nil, bytes.NewReader([]byte("abc")))
	f.Add(p.done(2))
	f.Add(chained(20))
	limits := Limits{Pack: 1 << 20, Object: 1 << 16, Objects: 100}.orDefault()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 20 { // past the checksum, or nothing else is ever tried
			sum := sha1.Sum(data[:len(data)-20]) //nolint:gosec // see above
			data = append(data[:len(data)-20:len(data)-20], sum[:]...)
		}
		clone := emptyClone(t)
		err := addPack(t.Context(), clone, limits, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
		if err != nil {
			return
		}
		s := openClone(clone, false)
		hashes, err := s.parts[0].ObjectPacks()
		if err != nil || len(hashes) > 1 {
			t.Fatalf("packs %v, %v", hashes, err)
		}
		objects, err := s.parts[0].IterEncodedObjects(plumbing.AnyObject)
		if err != nil {
			t.Fatal(err)
		}
		err = objects.ForEach(func(o plumbing.EncodedObject) error {
			_, data, err := s.any(o.Hash(), limits.Object)
			if err == nil && int64(len(data)) > limits.Object {
				err = errors.New("larger than the limit")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
