package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
)

// Replay calls fn for every entry from number from on that is durable at the time of
// the call, in order; entries that are no longer kept are passed over. It stops at
// fn's first error. Each line is checked once more.
func (j *Journal) Replay(from uint64, fn func(Entry) error) error {
	j.view.Lock()
	to, closed := j.durable, j.closed
	j.view.Unlock()
	if closed {
		return ErrClosed
	}
	c := cursor{j: j, next: max(from, 1)}
	defer c.close()
	for c.next <= to {
		e, err := c.entry()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay the journal: %w", err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Follow yields every entry from number from on, each once and in order, then waits
// for more until ctx ends or the journal is closed. An error ends it.
func (j *Journal) Follow(ctx context.Context, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c := cursor{j: j, next: max(from, 1)}
		defer c.close()
		for {
			j.view.Lock()
			changed, closed := j.changed, j.closed
			j.view.Unlock()
			if closed {
				return
			}
			for ctx.Err() == nil {
				e, err := c.entry()
				if err == io.EOF {
					break
				}
				if err != nil {
					yield(Entry{}, fmt.Errorf("follow the journal: %w", err))
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

// cursor reads durable entries one after the other, across segments.
type cursor struct {
	j     *Journal
	next  uint64 // number of the entry wanted
	begun bool
	file  *os.File
	first uint64 // of the open segment
	in    limited
	scan  *scanner
}

// limited ends where the durable lines end; the end moves on.
type limited struct {
	file     *os.File
	off, end int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.off >= l.end {
		return 0, io.EOF
	}
	n, err := l.file.ReadAt(b[:min(int64(len(b)), l.end-l.off)], l.off)
	l.off += int64(n)
	return n, err
}

// entry gives the next entry, io.EOF when there is none yet.
func (c *cursor) entry() (Entry, error) {
	for {
		if c.scan == nil {
			if err := c.open(); err != nil {
				return Entry{}, err
			}
		}
		end, more, known := c.segment()
		if known {
			c.in.end = end
		}
		if c.scan.off >= c.in.end {
			if !more {
				return Entry{}, io.EOF
			}
			c.close()
			continue
		}
		e, err := c.scan.entry()
		if errors.Is(err, errTorn) || err == io.EOF {
			err = c.scan.corrupt("the file became shorter")
		}
		if err != nil {
			return Entry{}, err
		}
		if e.Seq < c.next {
			continue
		}
		c.begun = true
		c.next++
		return e, nil
	}
}

// segment says where the open segment ends and whether another follows. A segment
// that was removed meanwhile is read to its end all the same.
func (c *cursor) segment() (end int64, more, known bool) {
	c.j.view.Lock()
	defer c.j.view.Unlock()
	for i, s := range c.j.segments {
		if s.first == c.first {
			return s.end, i+1 < len(c.j.segments), true
		}
	}
	return 0, true, false
}

// open finds the segment that holds the wanted entry.
func (c *cursor) open() error {
	for {
		c.j.view.Lock()
		if c.next > c.j.durable {
			c.j.view.Unlock()
			return io.EOF
		}
		seg := c.j.segments[0]
		for _, s := range c.j.segments {
			if s.first <= c.next {
				seg = s
			}
		}
		c.j.view.Unlock()
		if c.next < seg.first {
			if c.begun {
				return fmt.Errorf("%w: %d to %d", ErrGone, c.next, seg.first-1)
			}
			c.next = seg.first
		}
		f, err := openRead(seg.path)
		if errors.Is(err, fs.ErrNotExist) && c.retired(seg.first) {
			continue
		}
		if err != nil {
			return err
		}
		c.file, c.first, c.in = f, seg.first, limited{file: f, end: seg.end}
		c.scan = newScanner(seg.path, &c.in)
		if _, err := c.scan.header(); err != nil {
			return err
		}
		return nil
	}
}

func (c *cursor) retired(first uint64) bool {
	c.j.view.Lock()
	defer c.j.view.Unlock()
	return first < c.j.segments[0].first
}

func (c *cursor) close() {
	if c.file != nil {
		_ = c.file.Close() // only read from
	}
	c.file, c.scan = nil, nil
}
