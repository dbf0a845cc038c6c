package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errTorn is an end that a crash in the middle of one write can leave.
var errTorn = errors.New("the last entry was not written to its end")

// scanner reads one segment and checks the chain as it goes.
type scanner struct {
	file string // for messages
	in   *bufio.Reader
	off  int64 // where the next line begins
	prev chain
	next uint64 // number of the next entry
}

func newScanner(file string, r io.Reader) *scanner {
	return &scanner{file: file, in: bufio.NewReaderSize(r, 64<<10)}
}

// corrupt names file, place and next action.
func (s *scanner) corrupt(format string, args ...any) error {
	return corrupt(s.file, s.off, format, args...)
}

func corrupt(file string, off int64, format string, args ...any) error {
	return fmt.Errorf("%w: %s, byte %d: %s; restore the state directory from a backup, or move the journal away and run tealctl state init --sequence APP=N as root",
		ErrCorrupt, file, off, fmt.Sprintf(format, args...))
}

// header reads the segment's first line. It starts the chain: what the header says
// came before is checked by whoever knows.
func (s *scanner) header() (header, error) {
	line, err := s.line()
	if err == io.EOF {
		return header{}, s.corrupt("the file is empty")
	}
	if err != nil {
		return header{}, s.corrupt("the first line is damaged: %v", err)
	}
	var h header
	if len(line) > hexLen {
		// The hash covers prev, so prev is read before it can be checked.
		if err := json.Unmarshal(line[hexLen:], &h); err != nil {
			return header{}, s.corrupt("the first line is damaged: %v", err)
		}
	}
	raw, err := hex.DecodeString(h.Prev)
	if err != nil || len(raw) != len(s.prev) {
		return header{}, s.corrupt("the first line names no hash to follow")
	}
	_, head, err := decode(chain(raw), line)
	if err != nil {
		return header{}, s.corrupt("the first line is damaged: %v", err)
	}
	if err := h.refusal(s.file); err != nil {
		return header{}, err
	}
	if h.Format < 1 || h.First < 1 {
		return header{}, s.corrupt("the first line has format %d and first entry %d", h.Format, h.First)
	}
	s.prev, s.next = head, h.First
	s.off += int64(len(line)) + 1
	return h, nil
}

// entry reads the next entry. It gives io.EOF after the last one, errTorn when what
// follows can be the work of a crash, and ErrCorrupt for all else.
func (s *scanner) entry() (Entry, error) {
	line, err := s.line()
	if err == io.EOF || err == errTorn {
		return Entry{}, err
	}
	if err != nil {
		return Entry{}, s.corrupt("%v", err)
	}
	body, head, err := decode(s.prev, line)
	if err != nil {
		// Blocks of the last write that never reached the disk read as zeros. A line
		// that is followed by another one was acknowledged: that is no crash.
		if _, more := s.in.Peek(1); more == io.EOF && bytes.IndexByte(line, 0) >= 0 {
			return Entry{}, errTorn
		}
		return Entry{}, s.corrupt("%v", err)
	}
	var e Entry
	if err := json.Unmarshal(body, &e); err != nil {
		return Entry{}, s.corrupt("%v", err)
	}
	switch {
	case e.Seq != s.next:
		return Entry{}, s.corrupt("entry %d stands where %d belongs", e.Seq, s.next)
	case len(line) > maxRecord && e.Kind != CheckpointKind:
		return Entry{}, s.corrupt("entry %d is longer than %d bytes", e.Seq, maxRecord)
	}
	s.prev = head
	s.next++
	s.off += int64(len(line)) + 1
	return e, nil
}

// line reads one line without its end. io.EOF: there is nothing; errTorn: it has no end.
func (s *scanner) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := s.in.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case len(whole) > maxCheckpoint+1:
			return nil, fmt.Errorf("a line is longer than %d bytes", maxCheckpoint)
		case err == nil:
			return whole[:len(whole)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != io.EOF:
			return nil, err
		case len(whole) == 0:
			return nil, io.EOF
		default:
			return nil, errTorn
		}
	}
}
