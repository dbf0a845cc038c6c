package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Entry is one line of the journal.
type Entry struct {
	Seq  uint64          `json:"seq"`
	Time time.Time       `json:"time"`
	App  string          `json:"app,omitempty"`
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data,omitempty"`
}

// header is the first line of every segment.
type header struct {
	Format  int       `json:"format"`
	Feature int       `json:"feature"`
	First   uint64    `json:"first"` // number of the first entry that follows
	Prev    string    `json:"prev"`  // the chain's hash before this line, in hex
	Time    time.Time `json:"time"`
}

// Format is the layout of files and lines; FeatureLevel is what entries may say. A
// version opens what has its level or a lower one, and refuses a higher one.
const (
	Format       = 1
	FeatureLevel = 1
)

// CheckpointKind is the kind of a checkpoint's entry. Its data is what Checkpoint got.
const CheckpointKind = "checkpoint"

const (
	maxRecord     = 1 << 20  // of an entry's line
	maxCheckpoint = 64 << 20 // of a checkpoint's line: it holds every app's state
	maxName       = 255      // of an app or a kind
)

// chain is the hash of a line and, through it, of all lines before.
type chain [sha256.Size]byte

func (c chain) next(body []byte) chain {
	h := sha256.New()
	h.Write(c[:])
	h.Write(body)
	return chain(h.Sum(nil))
}

func (c chain) String() string { return hex.EncodeToString(c[:]) }

// hexLen is the length of a hash as lines have it.
const hexLen = 2 * sha256.Size

// encode makes the line of v that follows prev: `<hash> <json>\n`.
func encode(prev chain, v any) (line []byte, next chain, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, prev, err
	}
	next = prev.next(body)
	line = make([]byte, 0, hexLen+1+len(body)+1)
	line = hex.AppendEncode(line, next[:])
	line = append(line, ' ')
	line = append(line, body...)
	return append(line, '\n'), next, nil
}

// decode takes a line without its end apart and checks its hash.
func decode(prev chain, line []byte) (body []byte, next chain, err error) {
	if len(line) < hexLen+2 || line[hexLen] != ' ' {
		return nil, prev, errors.New("not a line of a journal")
	}
	var have chain
	if _, err := hex.Decode(have[:], line[:hexLen]); err != nil || !bytes.Equal(line[:hexLen], bytes.ToLower(line[:hexLen])) {
		return nil, prev, errors.New("no hash at the start of the line")
	}
	body = line[hexLen+1:]
	if next = prev.next(body); next != have {
		return nil, prev, errors.New("the hash does not fit what stands there")
	}
	return body, next, nil
}

// refusal is an acceptable journal of a later version.
func (h header) refusal(file string) error {
	switch {
	case h.Format > Format:
		return fmt.Errorf("%s has format %d, this version reads %d; install the version that wrote it", file, h.Format, Format)
	case h.Feature > FeatureLevel:
		return fmt.Errorf("%s has feature level %d, this version knows %d; install the version that wrote it", file, h.Feature, FeatureLevel)
	}
	return nil
}
