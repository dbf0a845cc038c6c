package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// backend is the one server behind all that is measured: as little HTTP as the requests
// of this program need, so that it takes little of the machine.
type backend struct {
	answered atomic.Int64 // requests that were right and were answered
	bad      atomic.Int64 // everything else
}

// backendChild serves until its standard input ends. It writes its address as a line,
// and then its two counts for each line that it reads.
func backendChild() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b := &backend{}
	go b.serve(l)
	fmt.Println(l.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(b.answered.Load(), b.bad.Load())
	}
	return nil
}

func (b *backend) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go b.connection(c)
	}
}

// connection answers requests until the peer ends it. Whatever is not a request of ours
// counts as bad and ends it.
func (b *backend) connection(c net.Conn) {
	defer c.Close()
	if err := b.answer(c); err != nil {
		b.bad.Add(1)
		fmt.Fprintln(os.Stderr, "backend:", err)
	}
}

var errForm = errors.New("not a request of ours")

func (b *backend) answer(c net.Conn) error {
	buf := make([]byte, 16<<10)
	small := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: "+strconv.Itoa(smallSize)+"\r\n\r\n"), make([]byte, smallSize)...)
	smallBody := small[len(small)-smallSize:]
	copy(smallBody[markSize:], smallRest)
	large := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " + strconv.Itoa(largeSize) + "\r\n\r\n0123456789abcdef")
	n := 0
	for {
		head := -1
		for {
			if i := bytes.Index(buf[:n], crlf2); i >= 0 {
				head = i + len(crlf2)
				break
			}
			if n == len(buf) {
				return fmt.Errorf("%w: a head of 16 KiB", errForm)
			}
			m, err := c.Read(buf[n:])
			if n += m; err != nil {
				if n > 0 {
					return fmt.Errorf("within a head: %w", err)
				}
				return nil // between two requests
			}
		}
		kind, mark, err := target(buf[:head])
		if err != nil {
			return err
		}
		end := head
		if kind == kindPost {
			if end, n, err = body(c, buf, head, n, mark); err != nil {
				return err
			}
		}
		// It counts before the answer leaves: who has the answer finds it counted.
		if kind != kindEcho {
			b.answered.Add(1)
		}
		switch kind {
		case kindSmall, kindPost:
			copy(smallBody, mark)
			_, err = c.Write(small)
		case kindLarge:
			copy(large[len(large)-markSize:], mark)
			both := net.Buffers{large, largeRest}
			_, err = both.WriteTo(c)
		case kindEcho:
			_, err = c.Write(append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", head), buf[:head]...))
		}
		if err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
		n = copy(buf, buf[end:n])
	}
}

// target reads what a head asks for.
func target(head []byte) (kind byte, mark []byte, err error) {
	path, ok := bytes.CutPrefix(head, []byte("GET /"))
	post := false
	if !ok {
		path, post = bytes.CutPrefix(head, []byte("POST /"))
	}
	if !ok && !post || len(path) < 2+markSize+1 || path[1] != '/' || path[2+markSize] != ' ' {
		return 0, nil, fmt.Errorf("%w: %.60q", errForm, head)
	}
	kind, mark = path[0], path[2:2+markSize]
	if kind != kindSmall && kind != kindLarge && kind != kindEcho && kind != kindPost || (kind == kindPost) != post {
		return 0, nil, fmt.Errorf("%w: %.60q", errForm, head)
	}
	return kind, mark, nil
}

// body reads the body of a POST, which must have the mark of its path.
func body(c net.Conn, buf []byte, head, n int, mark []byte) (end, read int, err error) {
	if !bytes.Contains(bytes.ToLower(buf[:head]), []byte("\r\ncontent-length: "+strconv.Itoa(postSize)+"\r\n")) {
		return 0, n, fmt.Errorf("%w: a POST without its Content-Length", errForm)
	}
	end = head + postSize
	if end > len(buf) {
		return 0, n, fmt.Errorf("%w: too long a head", errForm)
	}
	for n < end {
		m, err := c.Read(buf[n:])
		if n += m; err != nil && n < end {
			return 0, n, fmt.Errorf("within a body: %w", err)
		}
	}
	if !bytes.Equal(buf[head:head+markSize], mark) || !bytes.Equal(buf[head+markSize:end], postRest) {
		return 0, n, fmt.Errorf("%w: the body is another", errForm)
	}
	return end, n, nil
}
