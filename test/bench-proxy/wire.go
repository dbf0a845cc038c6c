package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
)

// What goes over the wire. Every request has a mark of its own in its path, and every
// answer begins with the mark of the request that the backend read: an answer that went
// to the wrong connection is seen.
const (
	kindSmall = 's' // GET, an answer of 128 bytes
	kindLarge = 'l' // GET, an answer of 1 MiB
	kindPost  = 'p' // POST of 4 KiB, an answer of 128 bytes
	kindEcho  = 'e' // GET, the head of the request as the backend read it

	markSize  = 16 // hex digits
	smallSize = 128
	largeSize = 1 << 20
	postSize  = 4 << 10

	host = "bench.test"
)

var (
	crlf2      = []byte("\r\n\r\n")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	largeRest = noise(largeSize - markSize) // of an answer, after its mark
	smallRest = largeRest[:smallSize-markSize]
	postRest  = largeRest[:postSize-markSize]
	largeSum  = crc32.Checksum(largeRest, castagnoli)
)

// noise is the same bytes in each process, and no two pages of them are equal.
func noise(n int) []byte {
	out := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x >> 24)
	}
	return out
}

// putMark writes a number as hex digits.
func putMark(to []byte, mark uint64) {
	const digits = "0123456789abcdef"
	for i := markSize - 1; i >= 0; i-- {
		to[i] = digits[mark&15]
		mark >>= 4
	}
}

// request is the bytes of a request, ready but for its mark.
type request struct {
	bytes []byte
	path  []byte // where its mark goes
	body  []byte // where its mark goes a second time; nil without a body
}

func newRequest(kind byte) *request {
	const headers = " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench-proxy\r\nAccept: */*\r\n"
	start := "GET /" + string(kind) + "/"
	end := headers + "\r\n"
	if kind == kindPost {
		start = "POST /" + string(kind) + "/"
		end = headers + "Content-Type: application/octet-stream\r\nContent-Length: " + strconv.Itoa(postSize) + "\r\n\r\n"
	}
	mark := make([]byte, markSize)
	r := &request{bytes: append(append([]byte(start), mark...), end...)}
	body := len(r.bytes)
	if kind == kindPost {
		r.bytes = append(append(r.bytes, mark...), postRest...)
		r.body = r.bytes[body : body+markSize]
	}
	r.path = r.bytes[len(start) : len(start)+markSize]
	return r
}

func (r *request) mark(mark uint64) {
	putMark(r.path, mark)
	copy(r.body, r.path)
}

// answers reads the answers of one connection and believes none of them.
type answers struct {
	buf  []byte
	kind byte
	size int // of a body
}

func newAnswers(kind byte) *answers {
	a := &answers{kind: kind, size: smallSize, buf: make([]byte, 4<<10)}
	if kind == kindLarge {
		a.size, a.buf = largeSize, make([]byte, 256<<10)
	}
	return a
}

var (
	errHead   = errors.New("the answer has no head within 2 KiB")
	errMark   = errors.New("the answer is that of another request")
	errBody   = errors.New("the body is not the one that was sent")
	errExcess = errors.New("something follows the answer")
)

// next reads one answer, which must be the one to the request with the mark.
func (a *answers) next(r io.Reader, mark []byte) error {
	const maxHead = 2 << 10
	n, head := 0, -1
	for head < 0 || n < head+markSize {
		m, err := r.Read(a.buf[n:])
		n += m
		if head < 0 {
			if i := bytes.Index(a.buf[:n], crlf2); i >= 0 {
				head = i + len(crlf2)
			}
			if head > maxHead || head < 0 && n > maxHead {
				return errHead
			}
			if head > 0 {
				if err := checkHead(a.buf[:head], a.size); err != nil {
					return err
				}
			}
		}
		if err != nil && (head < 0 || n < head+markSize) {
			return fmt.Errorf("read the answer after %d bytes: %w", n, err)
		}
	}
	body := a.buf[head:n]
	if !bytes.Equal(body[:markSize], mark) {
		return errMark
	}
	got, sum := len(body), uint32(0)
	if a.kind == kindLarge {
		sum = crc32.Update(0, castagnoli, body[markSize:])
		for got < a.size {
			m, err := r.Read(a.buf)
			got += m
			sum = crc32.Update(sum, castagnoli, a.buf[:m])
			if err != nil && got < a.size {
				return fmt.Errorf("read the answer, %d bytes of its body: %w", got, err)
			}
		}
	} else {
		for got < a.size {
			m, err := r.Read(a.buf[head+got:])
			got += m
			if err != nil && got < a.size {
				return fmt.Errorf("read the answer, %d bytes of its body: %w", got, err)
			}
		}
	}
	switch {
	case got > a.size:
		return errExcess
	case a.kind == kindLarge && sum != largeSum,
		a.kind != kindLarge && !bytes.Equal(a.buf[head+markSize:head+got], smallRest):
		return errBody
	}
	return nil
}

// checkHead wants 200, the size in Content-Length, and a connection that stays.
func checkHead(head []byte, size int) error {
	line, rest, _ := bytes.Cut(head, crlf2[:2])
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("the answer is %q", line)
	}
	lengths := 0
	for len(rest) > 2 {
		line, rest, _ = bytes.Cut(rest, crlf2[:2])
		if len(line) == 0 || line[0]|0x20 != 'c' && line[0]|0x20 != 't' {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			lengths++
			if n, err := strconv.Atoi(string(value)); err != nil || n != size {
				return fmt.Errorf("the answer has a Content-Length of %q, not %d", value, size)
			}
		case is(name, "transfer-encoding"):
			return fmt.Errorf("the answer has a Transfer-Encoding: %q", value)
		case is(name, "connection") && is(value, "close"):
			return errors.New("the answer ends its connection")
		}
	}
	if lengths != 1 {
		return fmt.Errorf("the answer has %d Content-Length", lengths)
	}
	return nil
}

// is compares a name in any case with one in lower case.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}
