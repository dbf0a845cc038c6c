package h1

import "bytes"

// Kind is what a field means to a proxy.
type Kind uint8

const (
	Plain Kind = iota // of no meaning here
	Hop               // between two neighbours alone: Keep-Alive, Proxy-Connection and the like
	Connection
	ContentLength
	TransferEncoding
	Host
	Upgrade
	Expect
	TE
	Trailer
	RequestID // X-Request-Id
	Date
	Claimed // says what only a proxy in front could know, see ClaimedName
)

// Field is one line of a head. Name is a token (RFC 9110, 5.6.2) as it was written,
// Value has no white space around it and no control bytes but tabs.
type Field struct {
	Name, Value []byte
	Kind        Kind
}

// token marks the bytes of a token.
var token = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

// text marks the bytes of a field's value (RFC 9110, 5.5): visible, space, tab and
// what is beyond ASCII.
var text = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= ' ' && c != 0x7f || c == '\t'
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !token[c] {
			return false
		}
	}
	return len(b) > 0
}

func isText(b []byte) bool {
	for _, c := range b {
		if !text[c] {
			return false
		}
	}
	return true
}

// readField reads a line without its end.
func readField(line []byte) (f Field, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) { // a fold begins with white space, which is no token
		return Field{}, false
	}
	value := line[colon+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for n := len(value); n > 0 && (value[n-1] == ' ' || value[n-1] == '\t'); n-- {
		value = value[:n-1]
	}
	if !isText(value) {
		return Field{}, false
	}
	name := line[:colon]
	return Field{Name: name, Value: value, Kind: kindOf(name)}, true
}

// equal compares a token with a word in lower case, ASCII letters in any case.
func equal(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// kindOf looks a name up. Names are told apart by their length first, so that most are
// compared with nothing.
func kindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		if equal(name, "te") {
			return TE
		}
	case 4:
		switch name[0] | 0x20 {
		case 'h':
			if equal(name, "host") {
				return Host
			}
		case 'd':
			if equal(name, "date") {
				return Date
			}
		}
	case 6:
		if equal(name, "expect") {
			return Expect
		}
	case 7:
		switch {
		case equal(name, "upgrade"):
			return Upgrade
		case equal(name, "trailer"):
			return Trailer
		}
	case 10:
		switch {
		case equal(name, "connection"):
			return Connection
		case equal(name, "keep-alive"):
			return Hop
		}
	case 12:
		if equal(name, "x-request-id") {
			return RequestID
		}
	case 14:
		switch {
		case equal(name, "content-length"):
			return ContentLength
		case equal(name, "http2-settings"):
			return Hop
		}
	case 16:
		if equal(name, "proxy-connection") {
			return Hop
		}
	case 17:
		if equal(name, "transfer-encoding") {
			return TransferEncoding
		}
	case 18:
		if equal(name, "proxy-authenticate") {
			return Hop
		}
	case 19:
		if equal(name, "proxy-authorization") {
			return Hop
		}
	}
	if ClaimedName(name) {
		return Claimed
	}
	return Plain
}

// ClaimedName reports whether a request's field says what only a proxy in front could
// know, or names another path than the one that was judged. An underscore counts as a
// dash: many servers make one variable of both.
func ClaimedName[T string | []byte](name T) bool {
	if len(name) < len("proxy") {
		return false
	}
	switch name[0] | 0x20 {
	case 'x':
		if len(name) >= len("x-forwarded") && dashed(name[:len("x-forwarded")], "x-forwarded") {
			return true
		}
		switch len(name) {
		case 9:
			return dashed(name, "x-real-ip")
		case 11:
			return dashed(name, "x-client-ip")
		case 12:
			return dashed(name, "x-request-id")
		case 13:
			return dashed(name, "x-rewrite-url")
		case 14:
			return dashed(name, "x-original-url")
		case 15:
			return dashed(name, "x-original-host")
		case 19:
			return dashed(name, "x-cluster-client-ip")
		}
	case 'f':
		return dashed(name, "forwarded")
	case 't':
		return dashed(name, "true-client-ip")
	case 'c':
		return dashed(name, "cf-connecting-ip")
	case 'p':
		return dashed(name, "proxy")
	}
	return false
}

// dashed is equal with an underscore for a dash.
func dashed[T string | []byte](name T, word string) bool {
	if len(name) != len(word) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
