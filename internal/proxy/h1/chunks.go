package h1

import "bytes"

// Chunks follows a chunked body (RFC 9112, 7.1) from byte to byte, in pieces of any
// size, without changing it. The zero value stands before the first chunk.
//
// It is strict, so that what is passed on as it came is read in one way: a size is 1
// to 15 hexadecimal digits, every line ends in CR LF, and an extension or a trailer
// has no control bytes. White space behind a size, which some servers pad it with,
// counts as an extension.
type Chunks struct {
	// Plain refuses extensions. Nobody needs them in a request, and readers differ on
	// where one ends.
	Plain bool

	state chunkState
	left  uint64 // bytes of data to come
	size  int    // digits of the size so far
	line  []byte // a trailer line that is not whole yet
	over  int    // bytes of extensions and trailers so far
	body  uint64
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExt
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
	chunkBad
)

const (
	maxSizeDigits = 15
	maxChunkExtra = 16 << 10 // bytes of extensions and trailers of one message
)

var (
	errChunk   = bad("the chunked body is malformed")
	errTrailer = bad("a trailer field is malformed")
	errExtra   = &Error{431, "too much beside the data of a chunked body"}
)

// Scan takes the next bytes. n is how many of them belong to the body, fewer than all
// only when done; done is true once the end of the trailers was seen.
func (c *Chunks) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		if c.state == chunkData {
			step := min(c.left, uint64(len(b)-n))
			n += int(step)
			c.body += step
			if c.left -= step; c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if err := c.step(b[n]); err != nil {
			c.state = chunkBad
			return n, false, err
		}
		n++
		if c.state == chunkDone {
			return n, true, nil
		}
	}
	return n, c.state == chunkDone, nil
}

// Data is how many bytes of data were seen.
func (c *Chunks) Data() uint64 { return c.body }

func (c *Chunks) step(b byte) error {
	switch c.state {
	case chunkSize:
		if digit, ok := hex(b); ok {
			if c.size++; c.size > maxSizeDigits {
				return errChunk
			}
			c.left = c.left<<4 | uint64(digit)
			return nil
		}
		switch {
		case c.size == 0 || c.Plain && b != '\r':
			return errChunk
		case b == '\r':
			c.state = chunkSizeLF
		case b == ';' || b == ' ' || b == '\t':
			c.state = chunkExt
		default:
			return errChunk
		}
	case chunkExt:
		if b == '\r' {
			c.state = chunkSizeLF
			return nil
		}
		if !text[b] {
			return errChunk
		}
		return c.extra()
	case chunkSizeLF:
		if b != '\n' {
			return errChunk
		}
		c.size = 0
		if c.state = chunkData; c.left == 0 {
			c.state = chunkTrailer
		}
	case chunkDataCR:
		if b != '\r' {
			return errChunk
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return errChunk
		}
		c.state = chunkSize
	case chunkTrailer:
		return c.trailer(b)
	default:
		return errChunk
	}
	return nil
}

// trailer takes a byte of the lines behind the last chunk.
func (c *Chunks) trailer(b byte) error {
	if b != '\n' {
		c.line = append(c.line, b)
		return c.extra()
	}
	n := len(c.line)
	if n == 0 || c.line[n-1] != '\r' {
		return errTrailer
	}
	line := c.line[:n-1]
	c.line = c.line[:0]
	if len(line) == 0 {
		c.state = chunkDone
		return nil
	}
	f, ok := readField(line)
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return errTrailer
	}
	switch f.Kind {
	case Plain, Date:
		return nil
	}
	// What frames or routes a message, or speaks for a proxy, has no place behind it
	// (RFC 9110, 6.5.1).
	return errTrailer
}

func (c *Chunks) extra() error {
	if c.over++; c.over > maxChunkExtra {
		return errExtra
	}
	return nil
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
