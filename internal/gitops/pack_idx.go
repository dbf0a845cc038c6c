package gitops

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	githash "github.com/go-git/go-git/v5/plumbing/hash"
)

// encode writes the index as Git does, in version 2 of its format. Of an object that is in
// the pack more than once the place with the fewest deltas below it is named: who reads a
// delta whose base is given by name then comes nearer to a whole object with each step. A
// place that is made from the object itself would never end, and go-git has no bound there.
func (x *packIndex) encode(to io.Writer) error {
	order := make([]int32, len(x.entries))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(bytes.Compare(x.entries[a].name[:], x.entries[b].name[:]), cmp.Compare(x.entries[a].depth, x.entries[b].depth), cmp.Compare(a, b))
	})
	order = slices.CompactFunc(order, func(a, b int32) bool { return x.entries[a].name == x.entries[b].name })

	sum := githash.New(githash.CryptoType)
	w := bufio.NewWriterSize(io.MultiWriter(to, sum), 32<<10)
	// A bufio.Writer keeps its first error until Flush.
	var word [8]byte
	put := func(n uint32) {
		binary.BigEndian.PutUint32(word[:], n)
		_, _ = w.Write(word[:4])
	}
	_, _ = w.WriteString("\xfftOc")
	put(2)
	at := 0
	for first := range 256 {
		for at < len(order) && int(x.entries[order[at]].name[0]) == first {
			at++
		}
		put(uint32(at))
	}
	for _, i := range order {
		_, _ = w.Write(x.entries[i].name[:])
	}
	for _, i := range order {
		put(x.entries[i].crc)
	}
	var far []int64
	for _, i := range order {
		offset := x.entries[i].offset
		if offset < 1<<31 {
			put(uint32(offset))
			continue
		}
		put(1<<31 | uint32(len(far)))
		far = append(far, offset)
	}
	for _, offset := range far {
		binary.BigEndian.PutUint64(word[:], uint64(offset))
		_, _ = w.Write(word[:])
	}
	_, _ = w.Write(x.sum[:])
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

func writeIndex(path string, index *packIndex) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "tmp_idx_*")
	if err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err = index.encode(f); err == nil {
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
