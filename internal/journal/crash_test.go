package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// damaged is a journal of several segments, closed, to be spoiled.
type damaged struct {
	dir     string
	files   []string
	data    [][]byte
	entries []Entry
	ends    []int64 // of the last segment's lines, the header's first
}

func journalToSpoil(t testing.TB) damaged {
	d := damaged{dir: filepath.Join(scratch(t), "j")}
	j := mustOpenOn(t, d.dir, Options{segmentSize: 700}, quick{}, tick())
	for i := 0; len(j.segments) < 3 || j.seq < j.segments[2].first+1; i++ {
		d.entries = append(d.entries, mustAppend(t, j, "shop", i))
	}
	mustClose(t, j)
	d.files = segmentsOf(t, d.dir)
	if len(d.files) < 3 {
		t.Fatalf("%d segments", len(d.files))
	}
	for _, f := range d.files {
		d.data = append(d.data, read(t, f))
	}
	last := d.data[len(d.data)-1]
	for i, b := range last {
		if b == '\n' {
			d.ends = append(d.ends, int64(i)+1)
		}
	}
	if len(d.ends) < 3 {
		t.Fatalf("%d lines in the last segment", len(d.ends))
	}
	return d
}

// restore puts every file back as it was.
func (d damaged) restore(t testing.TB) {
	for _, f := range segmentsOf(t, d.dir) {
		remove(t, f)
	}
	for i, f := range d.files {
		write(t, f, d.data[i])
	}
}

func (d damaged) last() (name string, data []byte) {
	return d.files[len(d.files)-1], d.data[len(d.data)-1]
}

// opens checks that the first n entries, and only they, are there, and that the
// journal goes on after them and still opens.
func (d damaged) opens(t testing.TB, what string, n int) {
	t.Helper()
	j, err := open(d.dir, Options{}, quick{}, time.Now)
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	same(t, what, d.entries[:n], all(t, j, 0))
	end := j.segments[len(j.segments)-1]
	if info, err := os.Stat(end.path); err != nil || info.Size() != end.end {
		t.Fatalf("%s: the rest was not cut off: %d bytes, sound %d: %v", what, info.Size(), end.end, err)
	}
	e := mustAppend(t, j, "shop", 99)
	if e.Seq != uint64(n+1) {
		t.Fatalf("%s: went on with %d after %d", what, e.Seq, n)
	}
	mustClose(t, j)
	j, err = open(d.dir, Options{}, quick{}, time.Now)
	if err != nil {
		t.Fatalf("%s: open after going on: %v", what, err)
	}
	if got := all(t, j, 0); len(got) != n+1 {
		t.Fatalf("%s: %d entries after going on", what, len(got))
	}
	mustClose(t, j)
}

func (d damaged) refused(t testing.TB, what string) error {
	t.Helper()
	j, err := open(d.dir, Options{}, quick{}, time.Now)
	if err == nil {
		mustClose(t, j)
		t.Fatalf("%s: opened", what)
	}
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), d.dir) || !strings.Contains(err.Error(), "byte ") || !strings.Contains(err.Error(), "restore the state directory") {
		t.Fatalf("%s: %v", what, err)
	}
	return err
}

// A crash in the middle of the last write leaves any part of it: what was whole before
// is kept exactly.
func TestCutAtEveryByte(t *testing.T) {
	d := journalToSpoil(t)
	name, data := d.last()
	first := len(d.entries) - (len(d.ends) - 1)
	for size := d.ends[0]; size <= int64(len(data)); size++ {
		d.restore(t)
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		whole := first
		for _, end := range d.ends[1:] {
			if end <= size {
				whole++
			}
		}
		d.opens(t, fmt.Sprintf("cut at byte %d", size), whole)
	}
	for size := range d.ends[0] { // a segment gets its name with its header whole
		d.restore(t)
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		d.refused(t, fmt.Sprintf("cut at byte %d", size))
	}
}

// A crash can also leave the file at its full length with sectors that never arrived.
func TestLostSectors(t *testing.T) {
	d := damaged{dir: filepath.Join(scratch(t), "j")}
	j := mustOpenOn(t, d.dir, Options{}, quick{}, tick())
	for i := range 3 {
		d.entries = append(d.entries, mustAppend(t, j, "shop", i))
	}
	name := segmentsOf(t, d.dir)[0]
	before := len(read(t, name))
	e, err := j.Append("shop", "note", note{Text: strings.Repeat("long ", 1000)}, Forward)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)
	d.entries = append(d.entries, e)
	d.files, d.data = []string{name}, [][]byte{read(t, name)}
	rapid.Check(t, func(rt *rapid.T) {
		d.restore(t)
		data := bytes.Clone(d.data[0])
		size := rapid.IntRange(before, len(data)).Draw(rt, "size")
		lost := false
		for at := before; at < size; at = (at/512 + 1) * 512 {
			if rapid.Bool().Draw(rt, "lost") {
				lost = true
				clear(data[at:min(size, (at/512+1)*512)])
			}
		}
		write(t, name, data[:size])
		n := 3
		if !lost && size == len(data) {
			n = 4
		}
		d.opens(t, "lost sectors", n)
	})
}

// No flipped bit goes unnoticed: the journal is refused, or the flip lies in the last
// entry and made it look half-written.
func TestEveryFlippedBit(t *testing.T) {
	d := journalToSpoil(t)
	tail := d.ends[len(d.ends)-2] // where the last entry begins
	for i, f := range d.files {
		for at := range d.data[i] {
			d.restore(t)
			data := bytes.Clone(d.data[i])
			data[at] ^= 1 << rand.IntN(8)
			write(t, f, data)
			what := fmt.Sprintf("flip in %s at %d to %q", filepath.Base(f), at, data[at])
			inTail := i == len(d.files)-1 && int64(at) >= tail
			if inTail && (at == len(data)-1 || data[at] == 0) {
				d.opens(t, what, len(d.entries)-1)
				continue
			}
			d.refused(t, what)
		}
	}
}

func TestOtherDamageIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, d damaged){
		"a segment in the middle is missing": func(t *testing.T, d damaged) { remove(t, d.files[1]) },
		"the first segment is missing":       func(t *testing.T, d damaged) { remove(t, d.files[0]) },
		"a middle segment is cut":            func(t *testing.T, d damaged) { write(t, d.files[1], d.data[1][:len(d.data[1])-3]) },
		"a middle segment lost a line": func(t *testing.T, d damaged) {
			lines := bytes.SplitAfter(d.data[1], []byte("\n"))
			write(t, d.files[1], bytes.Join(lines[:len(lines)-2], nil))
		},
		"a middle segment is zeroed": func(t *testing.T, d damaged) { write(t, d.files[1], make([]byte, 600)) },
		"two lines changed places": func(t *testing.T, d damaged) {
			lines := bytes.SplitAfter(d.data[1], []byte("\n"))
			lines[1], lines[2] = lines[2], lines[1]
			write(t, d.files[1], bytes.Join(lines, nil))
		},
		"a segment stands twice": func(t *testing.T, d damaged) { write(t, segmentPath(d.dir, 99), d.data[0]) },
		"an entry but the last is zeroed": func(t *testing.T, d damaged) {
			name, data := d.last()
			data = bytes.Clone(data)
			clear(data[d.ends[0] : d.ends[1]-1])
			write(t, name, data)
		},
		"rubbish after the end": func(t *testing.T, d damaged) {
			name, data := d.last()
			write(t, name, append(bytes.Clone(data), "rubbish\n"...))
		},
		"another journal's segment": func(t *testing.T, d damaged) {
			other := journalToSpoil(t)
			changed := bytes.ReplaceAll(other.data[0], []byte("shop"), []byte("bank"))
			write(t, d.files[0], rehash(t, changed))
		},
		"an endless line": func(t *testing.T, d damaged) {
			name, data := d.last()
			write(t, name, append(bytes.Clone(data), bytes.Repeat([]byte("x"), maxCheckpoint+10)...))
		},
		"a number left out": func(t *testing.T, d damaged) {
			name, data := d.last()
			write(t, name, rehash(t, bytes.Replace(data, []byte(`"seq":`), []byte(`"seq":1`), 1)))
		},
		"an entry longer than entries are": func(t *testing.T, d damaged) {
			name, data := d.last()
			write(t, name, rehash(t, bytes.Replace(data, []byte(`"text":"entry"`), []byte(`"text":"`+strings.Repeat("x", maxRecord)+`"`), 1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := journalToSpoil(t)
			spoil(t, d)
			err := d.refused(t, name)
			if says := map[string]string{ // where the look must begin
				"a segment in the middle is missing": "a segment is missing", "a middle segment is cut": filepath.Base(d.files[1]),
				"the first segment is missing": "segments are missing"}[name]; !strings.Contains(err.Error(), says) {
				t.Errorf("%v: does not say %q", err, says)
			}
		})
	}
}

func remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// rehash gives the lines of a changed segment hashes that fit.
func rehash(t testing.TB, data []byte) []byte {
	t.Helper()
	var h header
	var prev chain
	var out []byte
	for i, line := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		body := line[hexLen+1:]
		if i == 0 {
			if err := json.Unmarshal(body, &h); err != nil {
				t.Fatal(err)
			}
			if _, err := hex.Decode(prev[:], []byte(h.Prev)); err != nil {
				t.Fatal(err)
			}
		}
		prev = prev.next(body)
		out = fmt.Appendf(out, "%s %s\n", prev, body)
	}
	return out
}
