package journal

import (
	"bytes"
	"encoding/json"
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

// Whoever can write the journal can give any line a hash that fits: what follows the
// hash is taken apart just as carefully.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"seq":1,"time":"2026-03-01T12:00:02Z","app":"shop","kind":"record","data":{"a":[1,null,"x"]}}`))
	f.Add([]byte(`{"seq":1,"seq":2}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Add([]byte(`[]`))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, body []byte) {
		head, prev, err := encode(chain{}, header{Format: Format, Feature: FeatureLevel, First: 1, Prev: chain{}.String()})
		if err != nil {
			t.Fatal(err)
		}
		data := append(head, prev.next(body).String()+" "+string(body)+"\n"...)
		s := newScanner("fuzzed", bytes.NewReader(data))
		if _, err := s.header(); err != nil {
			t.Fatal(err)
		}
		e, err := s.entry()
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, errTorn) {
				t.Fatalf("read: %v", err)
			}
			return
		}
		if e.Seq != 1 || s.off != int64(len(data)) {
			t.Fatalf("entry %+v ends at %d of %d", e, s.off, len(data))
		}
		line, _, err := encode(chain{}, e)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", e, err)
		}
		var again Entry
		if err := json.Unmarshal(line[hexLen+1:], &again); err != nil || !again.Time.Equal(e.Time) || again.Kind != e.Kind || again.App != e.App {
			t.Fatalf("%+v reads as %+v: %v", e, again, err)
		}
	})
}
