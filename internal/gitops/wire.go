package gitops

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// wire is the client's side of git-upload-pack on a stream, in protocol 2 or, when the
// server does not speak it, 0 or 1. It never asks for thin packs, tags that nobody
// wants, or shallow history, and bounds no more than one packet: whoever gives the
// stream bounds its bytes and its time.
type wire struct {
	r      *bufio.Reader
	w      io.Writer
	packet [65520]byte
	two    bool     // protocol 2
	can    []string // the server's capabilities
}

type packetKind int

const (
	dataPacket packetKind = iota
	flushPacket
	delimiterPacket
	endPacket
)

func newWire(r io.Reader, w io.Writer) *wire {
	return &wire{r: bufio.NewReaderSize(r, 64<<10), w: w}
}

var errPacket = errors.New("the server's answer is not Git's protocol")

// read gives the next packet; its bytes are good until the one after it.
func (c *wire) read() (packetKind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	var size [2]byte
	if _, err := hex.Decode(size[:], head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: it begins with %q", errPacket, head[:])
	}
	switch n := int(size[0])<<8 | int(size[1]); {
	case n <= 2:
		return packetKind(n) + flushPacket, nil, nil
	case n < 4 || n > len(c.packet):
		return 0, nil, fmt.Errorf("%w: a packet of %d bytes", errPacket, n)
	default:
		data := c.packet[:n-4]
		if _, err := io.ReadFull(c.r, data); err != nil {
			return 0, nil, fmt.Errorf("a packet ends early: %w", io.ErrUnexpectedEOF)
		}
		return dataPacket, data, nil
	}
}

// line gives the next packet as a line without its end.
func (c *wire) line() (packetKind, string, error) {
	kind, data, err := c.read()
	if err != nil || kind != dataPacket {
		return kind, "", err
	}
	text := string(bytes.TrimSuffix(data, []byte("\n")))
	if said, ok := strings.CutPrefix(text, "ERR "); ok {
		return kind, "", fmt.Errorf("the server says: %s", escape(said, 200))
	}
	return kind, text, nil
}

func packetLine(b *bytes.Buffer, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(b, "%04x%s", len(text)+4, text)
}

const flush, delimiter = "0000", "0001"

// supports reports a capability, with a value or without.
func (c *wire) supports(name string) bool {
	return slices.ContainsFunc(c.can, func(have string) bool { return have == name || strings.HasPrefix(have, name+"=") })
}

// references reads what the server says first, and asks for its branches and tags.
func (c *wire) references() (advertised, error) {
	out := advertised{refs: make(map[string]plumbing.Hash), peeled: make(map[string]plumbing.Hash)}
	kind, text, err := c.line()
	if err != nil {
		return out, err
	}
	if kind == dataPacket && text == "version 2" {
		return out, c.listTwo(out)
	}
	if kind == dataPacket && text == "version 1" {
		if kind, text, err = c.line(); err != nil {
			return out, err
		}
	}
	return out, c.listOld(out, kind, text)
}

func (c *wire) listTwo(out advertised) error {
	c.two = true
	for {
		kind, text, err := c.line()
		if err != nil {
			return err
		}
		if kind != dataPacket {
			break
		}
		if len(c.can) > 200 {
			return fmt.Errorf("%w: it has no end of capabilities", errPacket)
		}
		c.can = append(c.can, text)
	}
	if !c.supports("ls-refs") || !c.supports("fetch") {
		return fmt.Errorf("%w: it neither lists nor fetches", errPacket)
	}
	if err := c.checkFormat(); err != nil {
		return err
	}
	var ask bytes.Buffer
	packetLine(&ask, "command=ls-refs\n")
	ask.WriteString(delimiter)
	packetLine(&ask, "peel\n")
	packetLine(&ask, "ref-prefix refs/heads/\n")
	packetLine(&ask, "ref-prefix refs/tags/\n")
	ask.WriteString(flush)
	if _, err := c.w.Write(ask.Bytes()); err != nil {
		return err
	}
	for {
		kind, text, err := c.line()
		if err != nil {
			return err
		}
		if kind != dataPacket {
			return nil
		}
		if err := out.noteLine(text); err != nil {
			return err
		}
	}
}

// noteLine keeps one line of ls-refs: hash, name, and for annotated tags what they stand for.
func (a advertised) noteLine(text string) error {
	fields := strings.Split(text, " ")
	if len(fields) < 2 || !commitHex.MatchString(fields[0]) {
		return fmt.Errorf("%w: a reference reads %q", errPacket, escape(text, 80))
	}
	a.note(fields[1], fields[0])
	for _, more := range fields[2:] {
		if h, ok := strings.CutPrefix(more, "peeled:"); ok && commitHex.MatchString(h) {
			a.note(fields[1]+"^{}", h)
		}
	}
	return nil
}

// note keeps what can be followed: branches and tags.
func (a advertised) note(name, hash string) {
	if !strings.HasPrefix(name, "refs/heads/") && !strings.HasPrefix(name, "refs/tags/") {
		return
	}
	if tag, ok := strings.CutSuffix(name, "^{}"); ok {
		a.peeled[tag] = plumbing.NewHash(hash)
		return
	}
	a.refs[name] = plumbing.NewHash(hash)
}

func (c *wire) listOld(out advertised, kind packetKind, text string) error {
	for first := true; kind == dataPacket; first = false {
		if first {
			ref, can, ok := strings.Cut(text, "\x00")
			if !ok || len(can) > 16<<10 {
				return fmt.Errorf("%w: it begins with %q", errPacket, escape(text, 80))
			}
			c.can, text = strings.Fields(can), ref
			if err := c.checkFormat(); err != nil {
				return err
			}
		}
		hash, name, ok := strings.Cut(text, " ")
		switch {
		case hash == "shallow":
			return refuse(release.RepoUnreachable, "the repository is shallow and lacks its history; follow the one that it was cloned from")
		case !ok || !commitHex.MatchString(hash):
			return fmt.Errorf("%w: a reference reads %q", errPacket, escape(text, 80))
		}
		out.note(name, hash)
		var err error
		if kind, text, err = c.line(); err != nil {
			return err
		}
	}
	return nil
}

func (c *wire) checkFormat() error {
	for _, have := range c.can {
		if format, ok := strings.CutPrefix(have, "object-format="); ok && format != "sha1" {
			return refuse(release.NotSupportedYet, "the repository uses object-format %s, which is not supported yet", escape(format, 40))
		}
	}
	return nil
}

// pack asks for what wants reach and haves do not, and writes it to w.
func (c *wire) pack(w io.Writer, wants, haves []plumbing.Hash) error {
	var ask bytes.Buffer
	if c.two {
		packetLine(&ask, "command=fetch\n")
		ask.WriteString(delimiter)
		packetLine(&ask, "ofs-delta\n")
		packetLine(&ask, "no-progress\n")
		for _, h := range wants {
			packetLine(&ask, "want %s\n", h)
		}
	} else {
		if !c.supports("side-band-64k") {
			return fmt.Errorf("%w: it lacks side-band-64k, which every git since 2006 has", errPacket)
		}
		with := " side-band-64k"
		for _, can := range []string{"ofs-delta", "no-progress"} {
			if c.supports(can) {
				with += " " + can
			}
		}
		for i, h := range wants {
			if i > 0 {
				with = ""
			}
			packetLine(&ask, "want %s%s\n", h, with)
		}
		ask.WriteString(flush)
	}
	for _, h := range haves {
		packetLine(&ask, "have %s\n", h)
	}
	packetLine(&ask, "done\n")
	if c.two {
		ask.WriteString(flush)
	}
	if _, err := c.w.Write(ask.Bytes()); err != nil {
		return err
	}
	if err := c.untilPack(len(haves)); err != nil {
		return err
	}
	return c.bands(w)
}

// untilPack reads over what stands before the pack. In protocol 2 that is nothing, as
// we said done; before, it is one NAK, or an ACK.
func (c *wire) untilPack(haves int) error {
	if c.two {
		for {
			kind, text, err := c.line()
			switch {
			case err != nil:
				return err
			case kind == dataPacket && text == "packfile":
				return nil
			case kind == dataPacket:
				return fmt.Errorf("%w: it answers %q where the pack should be", errPacket, escape(text, 80))
			case kind != delimiterPacket:
				return fmt.Errorf("%w: it sends no pack", errPacket)
			}
		}
	}
	for range haves + 2 {
		peek, err := c.r.Peek(8)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(peek[4:], []byte("ACK")) && !bytes.HasPrefix(peek[4:], []byte("NAK")) && !bytes.HasPrefix(peek[4:], []byte("ERR")) {
			return nil
		}
		if _, _, err := c.line(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: it acknowledges without end", errPacket)
}

// bands writes the pack's own band until the flush.
func (c *wire) bands(w io.Writer) error {
	for {
		kind, data, err := c.read()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the pack ends early: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return err
		case kind == flushPacket || kind == endPacket:
			return nil
		case kind != dataPacket || len(data) == 0:
			continue
		}
		switch data[0] {
		case 1:
			if _, err := w.Write(data[1:]); err != nil {
				return err
			}
		case 2: // progress
		case 3:
			return fmt.Errorf("the server says: %s", escape(string(data[1:]), 200))
		default:
			return fmt.Errorf("%w: band %d", errPacket, data[0])
		}
	}
}

// leave says that nothing more is wanted.
func (c *wire) leave() error {
	_, err := io.WriteString(c.w, flush)
	return err
}
