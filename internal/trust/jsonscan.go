package trust

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// checkJSON reads a text of any size once and refuses what two readers could understand
// differently: anything but one value, invalid UTF-8, a byte order mark, duplicate
// member names at any depth, unpaired surrogates, numbers outside the grammar of RFC
// 8259, nesting deeper than maxDepth. It keeps nothing of the text: what it allocates
// grows with the depth and the widest object, not with the size. What passes can be
// read with a cursor, which checks nothing again.
func checkJSON(data []byte, maxDepth int) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("not UTF-8")
	}
	c := jsonChecker{data: data, max: maxDepth}
	if err := c.text(); err != nil {
		return err
	}
	return nil
}

// jsonChecker walks a text with a stack of its own, so that depth cannot overflow the
// goroutine's.
type jsonChecker struct {
	data  []byte
	i     int
	max   int
	stack []jsonFrame
	names [][]byte // of all open objects, decoded
}

// jsonFrame is one open object or array.
type jsonFrame struct {
	object bool
	first  int // of its names
}

func (c *jsonChecker) fail(format string, args ...any) error {
	return fmt.Errorf("not one JSON value: %s at byte %d", fmt.Sprintf(format, args...), c.i)
}

func (c *jsonChecker) space() {
	for c.i < len(c.data) && jsonSpace(c.data[c.i]) {
		c.i++
	}
}

func jsonSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

// peek is the next byte after white space; 0 at the end.
func (c *jsonChecker) peek() byte {
	c.space()
	if c.i == len(c.data) {
		return 0
	}
	return c.data[c.i]
}

func (c *jsonChecker) text() error {
	for {
		opened, err := c.value()
		if err != nil {
			return err
		}
		if opened {
			continue // the first value of an array or of an object's first member
		}
		for { // a value has ended: what follows belongs to what is open
			if len(c.stack) == 0 {
				if c.peek(); c.i != len(c.data) {
					return c.fail("text after the value")
				}
				return nil
			}
			more, err := c.next()
			if err != nil {
				return err
			}
			if more {
				break
			}
		}
	}
}

// value reads a scalar or an empty container whole; opened says that a container was
// begun and its first value follows.
func (c *jsonChecker) value() (opened bool, err error) {
	switch b := c.peek(); {
	case b == '{':
		c.i++
		if c.peek() == '}' {
			c.i++
			return false, nil
		}
		if err := c.push(jsonFrame{true, len(c.names)}); err != nil {
			return false, err
		}
		return true, c.key()
	case b == '[':
		c.i++
		if c.peek() == ']' {
			c.i++
			return false, nil
		}
		return true, c.push(jsonFrame{false, len(c.names)})
	case b == '"':
		_, err := c.str()
		return false, err
	case b == '-' || b >= '0' && b <= '9':
		return false, c.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(c.data[c.i:], []byte(word)) {
			c.i += len(word)
			return false, nil
		}
	}
	return false, c.fail("no value")
}

func (c *jsonChecker) push(f jsonFrame) error {
	if len(c.stack) >= c.max {
		return fmt.Errorf("nested deeper than %d", c.max)
	}
	c.stack = append(c.stack, f)
	return nil
}

// next goes on after a value inside a container: to the next value (more), or past the
// container's end.
func (c *jsonChecker) next() (more bool, err error) {
	top := c.stack[len(c.stack)-1]
	b := c.peek()
	switch {
	case b == ',':
		c.i++
		if top.object {
			return true, c.key()
		}
		return true, nil
	case top.object && b == '}', !top.object && b == ']':
		c.i++
		c.stack = c.stack[:len(c.stack)-1]
		if top.object {
			err = c.distinct(c.names[top.first:])
			clear(c.names[top.first:])
			c.names = c.names[:top.first]
		}
		return false, err
	}
	return false, c.fail("no comma and no end of the container")
}

// maxFewNames is up to how many names are compared one by one.
const maxFewNames = 48

// key reads a member's name and the colon.
func (c *jsonChecker) key() error {
	if c.peek() != '"' {
		return c.fail("no member name")
	}
	name, err := c.str()
	if err != nil {
		return err
	}
	first := c.stack[len(c.stack)-1].first
	if open := c.names[first:]; len(open) < maxFewNames {
		for _, other := range open {
			if len(other) == len(name) && bytes.Equal(other, name) {
				return fmt.Errorf("duplicate member \"%s\"", Escape(string(name)))
			}
		}
	}
	c.names = append(c.names, name)
	if c.peek() != ':' {
		return c.fail("no colon")
	}
	c.i++
	return nil
}

// distinct compares the names of a wide object once it is whole.
func (c *jsonChecker) distinct(names [][]byte) error {
	if len(names) <= maxFewNames {
		return nil
	}
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return fmt.Errorf("duplicate member \"%s\"", Escape(string(names[i])))
		}
	}
	return nil
}

// plainEnd is the first place from i on that is no plain byte, or the end: eight bytes at
// a time, for strings are most of a report. A byte is found by the borrow of a
// subtraction (Bit Twiddling Hacks, "determine if a word has a byte less than n"); the
// lowest one found is exact.
func plainEnd(data []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		quote, back := x^(ones*'"'), x^(ones*'\\')
		found := (x-ones*0x20)&^x | (quote-ones)&^quote | (back-ones)&^back
		if found &= highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(data) && plainByte[data[i]] {
		i++
	}
	return i
}

// plainByte are the bytes inside a string that need no look.
var plainByte = func() (t [256]bool) {
	for i := 0x20; i < 256; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return t
}()

// str reads a string and gives its decoded text, a part of data when it has no escape.
func (c *jsonChecker) str() ([]byte, error) {
	c.i++
	start, escaped := c.i, false
	for c.i = plainEnd(c.data, c.i); c.i < len(c.data); c.i = plainEnd(c.data, c.i) {
		switch b := c.data[c.i]; {
		case b == '"':
			raw := c.data[start:c.i]
			c.i++
			if escaped {
				return jsonUnescape(raw), nil
			}
			return raw, nil
		case b == '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return nil, err
			}
		default:
			return nil, c.fail("control character in a string")
		}
	}
	return nil, c.fail("a string without end")
}

// escape checks one escape sequence, both halves of a surrogate pair.
func (c *jsonChecker) escape() error {
	if c.i+1 >= len(c.data) {
		return c.fail("a string without end")
	}
	switch c.data[c.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		c.i += 2
		return nil
	case 'u':
		r, ok := jsonUnit(c.data[c.i:])
		if !ok {
			return c.fail("bad escape")
		}
		c.i += 6
		if utf16.IsSurrogate(r) {
			low, ok := jsonUnit(c.data[c.i:])
			if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
				return fmt.Errorf("unpaired surrogate in a string")
			}
			c.i += 6
		}
		return nil
	}
	return c.fail("bad escape")
}

// jsonUnit reads \uXXXX.
func jsonUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, b := range data[2:6] {
		switch {
		case b >= '0' && b <= '9':
			r = r<<4 | rune(b-'0')
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			r = r<<4 | rune(b|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// jsonUnescape decodes the inside of a string that was checked.
func jsonUnescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			b := raw[i+1]
			if at := bytes.IndexByte([]byte("bfnrt"), b); at >= 0 {
				b = "\b\f\n\r\t"[at]
			}
			out = append(out, b)
			i += 2
			continue
		}
		r, _ := jsonUnit(raw[i:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := jsonUnit(raw[i:])
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// number checks the grammar of RFC 8259 6.
func (c *jsonChecker) number() error {
	digits := func() bool {
		start := c.i
		for c.i < len(c.data) && c.data[c.i] >= '0' && c.data[c.i] <= '9' {
			c.i++
		}
		return c.i > start
	}
	at := func(b byte) bool { return c.i < len(c.data) && c.data[c.i] == b }
	if at('-') {
		c.i++
	}
	if at('0') {
		c.i++
	} else if !digits() {
		return c.fail("bad number")
	}
	if at('.') {
		c.i++
		if !digits() {
			return c.fail("bad number")
		}
	}
	if at('e') || at('E') {
		c.i++
		if at('+') || at('-') {
			c.i++
		}
		if !digits() {
			return c.fail("bad number")
		}
	}
	return nil
}

// cursor reads a text that passed checkJSON, once, front to back. Each value is
// consumed by exactly one call. A value of another kind than asked for is skipped and
// gives the zero value, with ok false.
type cursor struct {
	data []byte
	i    int
}

func (c *cursor) peek() byte {
	for jsonSpace(c.data[c.i]) {
		c.i++
	}
	return c.data[c.i]
}

// object calls f for each member, which must consume the member's value. It reports
// whether the value is an object.
func (c *cursor) object(f func(name string)) bool {
	if c.peek() != '{' {
		c.skip()
		return false
	}
	c.i++
	for c.peek() != '}' {
		if c.data[c.i] == ',' {
			c.i++
			c.peek()
		}
		name := c.str()
		c.peek() // the colon
		c.i++
		f(name)
	}
	c.i++
	return true
}

// array calls f for each item, which must consume it. It reports whether the value is
// an array.
func (c *cursor) array(f func()) bool {
	if c.peek() != '[' {
		c.skip()
		return false
	}
	c.i++
	for c.peek() != ']' {
		if c.data[c.i] == ',' {
			c.i++
		}
		f()
	}
	c.i++
	return true
}

// text reads a string.
func (c *cursor) text() (string, bool) {
	if c.peek() != '"' {
		c.skip()
		return "", false
	}
	return c.str(), true
}

// word is the text of a string, "" for anything else.
func (c *cursor) word() string {
	s, _ := c.text()
	return s
}

// texts reads an array of strings; what is no string is left out.
func (c *cursor) texts() []string {
	var out []string
	c.array(func() {
		if s, ok := c.text(); ok {
			out = append(out, s)
		}
	})
	return out
}

// number reads a number's text.
func (c *cursor) number() (json.Number, bool) {
	b := c.peek()
	raw := c.raw()
	if b != '-' && (b < '0' || b > '9') {
		return "", false
	}
	return json.Number(raw), true
}

// boolean reads true or false.
func (c *cursor) boolean() (value, ok bool) {
	switch string(c.raw()) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// raw is the value's own text.
func (c *cursor) raw() []byte {
	c.peek()
	start := c.i
	c.skip()
	return c.data[start:c.i]
}

func (c *cursor) str() string {
	c.i++
	start, escaped := c.i, false
	for {
		c.i = plainEnd(c.data, c.i)
		switch c.data[c.i] {
		case '\\':
			escaped = true
			c.i += 2
		default:
			raw := c.data[start:c.i]
			c.i++
			if escaped {
				return string(jsonUnescape(raw))
			}
			return string(raw)
		}
	}
}

// skip passes over a value.
func (c *cursor) skip() {
	switch c.peek() {
	case '"':
		c.skipString()
	case '{', '[':
		for depth := 0; ; {
			switch c.data[c.i] {
			case '"':
				c.skipString()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			c.i++
			if depth == 0 {
				return
			}
		}
	default:
		for c.i < len(c.data) {
			switch b := c.data[c.i]; {
			case b == ',' || b == '}' || b == ']' || jsonSpace(b):
				return
			}
			c.i++
		}
	}
}

func (c *cursor) skipString() {
	c.i++
	for {
		c.i = plainEnd(c.data, c.i)
		if c.data[c.i] != '\\' {
			c.i++
			return
		}
		c.i += 2
	}
}
