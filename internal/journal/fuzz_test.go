package journal

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// Whatever stands in a segment, reading it ends, takes no more than its bytes, and
// what it accepts is what this version would have written or reads the same again.
func FuzzSegment(f *testing.F) {
	d := journalToSpoil(f)
	for _, data := range d.data {
		f.Add(data)
		f.Add(data[:len(data)-7])
		f.Add(append(bytes.Clone(data), make([]byte, 600)...))
	}
	f.Add([]byte(""))
	f.Add([]byte("\n"))
	f.Add([]byte("0000000000000000000000000000000000000000000000000000000000000000 {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScanner("fuzzed", bytes.NewReader(data))
		h, err := s.header()
		if err != nil {
			return
		}
		next := h.First
		for {
			e, err := s.entry()
			if err == io.EOF {
				if s.off != int64(len(data)) {
					t.Fatalf("ended at %d of %d", s.off, len(data))
				}
				break
			}
			if err != nil {
				if !errors.Is(err, errTorn) && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("read: %v", err)
				}
				break
			}
			if e.Seq != next {
				t.Fatalf("entry %d, want %d", e.Seq, next)
			}
			next++
		}
		if s.off > int64(len(data)) || data[s.off-1] != '\n' {
			t.Fatalf("the sound part ends at %d of %d", s.off, len(data))
		}
		again := newScanner("again", bytes.NewReader(data[:s.off]))
		if _, err := again.header(); err != nil {
			t.Fatal(err)
		}
		for n := h.First; n < next; n++ {
			if _, err := again.entry(); err != nil {
				t.Fatalf("the sound part is not: %v", err)
			}
		}
		if _, err := again.entry(); err != io.EOF || again.prev != s.prev {
			t.Fatalf("the sound part ends with %v", err)
		}
	})
}
