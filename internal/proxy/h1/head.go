package h1

import "bytes"

// Limits of a head beside the size of the buffer that it is read into.
const (
	maxFields = 256
	maxMethod = 32
)

// Error is why a message is refused. Text names no byte of it.
type Error struct {
	Status int // what a client is answered; a target's message is a 502 in any case
	Text   string
}

func (e *Error) Error() string { return e.Text }

func bad(text string) *Error { return &Error{400, text} }

var (
	errBareLF     = bad("a line of the head does not end in CR LF")
	errLine       = bad("the request line is malformed")
	errStatusLine = bad("the status line is malformed")
	errField      = bad("a header field is malformed")
	errFields     = &Error{431, "too many header fields"}
	errHosts      = bad("the Host header is missing or there is more than one")
	errLength     = bad("the Content-Length is malformed or there is more than one")
	errBoth       = bad("Content-Length and Transfer-Encoding contradict each other")
	errEncoding   = &Error{501, "the transfer encoding is not chunked"}
	errVersion    = &Error{505, "the HTTP version is not supported"}
)

// HeadEnd looks for the end of a head in buf. from is where an earlier call that found
// none left off, so that a head which comes byte by byte is looked at once. end is the
// head's length with its empty line, 0 while that is not there; then next is the from
// of the next call. strict refuses lines that end in LF alone.
func HeadEnd(buf []byte, from int, strict bool) (end, next int, err error) {
	// from is always the beginning of a line.
	for {
		i := bytes.IndexByte(buf[from:], '\n')
		if i < 0 {
			return 0, from, nil
		}
		lf := from + i
		line := buf[from:lf]
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		} else if strict {
			return 0, from, errBareLF
		}
		if len(line) == 0 {
			return lf + 1, lf + 1, nil
		}
		from = lf + 1
	}
}

// Framing is how the end of a message's body is found.
type Framing struct {
	Length  int64 // of the body, -1 when no Content-Length says it
	Chunked bool
	Close   bool // Connection: close, or HTTP/1.0 without keep-alive
	Minor   int  // of the version: HTTP/1.Minor
	// Nominated is true when Connection names other fields than close, keep-alive and
	// upgrade: those are between two neighbours alone.
	Nominated bool
}

// Request is a request's head. Its slices are of the buffer it was read from.
type Request struct {
	Framing
	Method, Target, Host []byte
	Fields               []Field
	Expect               bool // Expect: 100-continue
	Special              bool // has a field of the kind Upgrade or TE, or expects something else
}

// Response is the head of an answer.
type Response struct {
	Framing
	Status int
	Reason []byte
	Fields []Field
}

// nextLine cuts a line off a complete head, without its end.
func nextLine(head []byte) (line, rest []byte) {
	i := bytes.IndexByte(head, '\n')
	line, rest = head[:i], head[i+1:]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// ReadRequest reads a head that HeadEnd found with strict. What r held before is lost;
// its fields' memory is used again.
func ReadRequest(head []byte, r *Request) error {
	*r = Request{Framing: Framing{Length: -1}, Fields: r.Fields[:0]}
	line, rest := nextLine(head)
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || sp > maxMethod || !isToken(line[:sp]) {
		return errLine
	}
	r.Method, line = line[:sp], line[sp+1:]
	if sp = bytes.IndexByte(line, ' '); sp <= 0 {
		return errLine
	}
	r.Target = line[:sp]
	for _, c := range r.Target {
		if c <= ' ' || c == 0x7f {
			return errLine
		}
	}
	if err := r.version(line[sp+1:]); err != nil {
		return err
	}
	fields, err := readFields(rest, r.Fields)
	if err != nil {
		return err
	}
	r.Fields = fields
	hosts := 0
	for _, f := range fields {
		switch f.Kind {
		case Plain:
		case Host:
			r.Host = f.Value
			hosts++
		case Upgrade, TE:
			r.Special = true
		case Expect:
			if r.Expect || !equal(f.Value, "100-continue") {
				r.Special = true
			}
			r.Expect = true
		case Trailer:
		default:
			if err := r.field(f); err != nil {
				return err
			}
		}
	}
	if hosts > 1 || hosts == 0 && r.Minor > 0 {
		return errHosts
	}
	return r.settle()
}

// readFields reads the lines of a head up to its empty one, behind those that are there.
func readFields(lines []byte, fields []Field) ([]Field, error) {
	for {
		var line []byte
		if line, lines = nextLine(lines); len(line) == 0 {
			return fields, nil
		}
		f, ok := readField(line)
		if !ok {
			return nil, errField
		}
		if len(fields) == maxFields {
			return nil, errFields
		}
		fields = append(fields, f)
	}
}

// version reads what stands behind the target.
func (r *Framing) version(b []byte) error {
	switch string(b) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
		r.Close = true
	default:
		if len(b) == len("HTTP/1.1") && string(b[:5]) == "HTTP/" && digit(b[5]) && b[6] == '.' && digit(b[7]) {
			return errVersion
		}
		return errLine
	}
	return nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// field takes a field that frames the message.
func (r *Framing) field(f Field) error {
	switch f.Kind {
	case ContentLength:
		// A second one is an error also when it says the same: whoever sends two does
		// not know what it sends.
		if r.Length >= 0 || len(f.Value) == 0 || len(f.Value) > 18 {
			return errLength
		}
		r.Length = 0
		for _, c := range f.Value {
			if !digit(c) {
				return errLength
			}
			r.Length = 10*r.Length + int64(c-'0')
		}
	case TransferEncoding:
		if r.Chunked || !equal(f.Value, "chunked") {
			return errEncoding
		}
		r.Chunked = true
	case Connection:
		for list := f.Value; len(list) > 0; {
			var name []byte
			name, list = element(list)
			switch {
			case len(name) == 0:
			case !isToken(name):
				return errField
			case equal(name, "close"):
				r.Close = true
			case equal(name, "keep-alive"):
				if r.Minor == 0 {
					r.Close = false
				}
			case equal(name, "upgrade"):
			default:
				r.Nominated = true
			}
		}
	}
	return nil
}

// settle looks at what the fields say together.
func (r *Framing) settle() error {
	if !r.Chunked {
		return nil
	}
	if r.Length >= 0 {
		return errBoth
	}
	if r.Minor == 0 {
		return errEncoding // RFC 9112, 6.1: its framing is faulty
	}
	return nil
}

// element cuts the first element off a comma-separated list.
func element(list []byte) (first, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		first, rest = list[:i], list[i+1:]
	} else {
		first = list
	}
	return bytes.Trim(first, " \t"), rest
}

// Nominates reports whether a field of the kind Connection among fields names this one.
func Nominates(fields []Field, name []byte) bool {
	for _, f := range fields {
		if f.Kind != Connection {
			continue
		}
		for list := f.Value; len(list) > 0; {
			var one []byte
			one, list = element(list)
			if bytes.EqualFold(one, name) {
				return true
			}
		}
	}
	return false
}

// ReadResponse reads a head that HeadEnd found, with or without strict: what reads an
// answer writes its lines anew, so a bare LF does no harm. A folded line does, and is
// refused.
func ReadResponse(head []byte, r *Response) error {
	*r = Response{Framing: Framing{Length: -1}, Fields: r.Fields[:0]}
	line, rest := nextLine(head)
	if len(line) < len("HTTP/1.1 200") || line[8] != ' ' {
		return errStatusLine
	}
	if err := r.version(line[:8]); err != nil {
		return err
	}
	for _, c := range line[9:12] {
		if !digit(c) {
			return errStatusLine
		}
		r.Status = 10*r.Status + int(c-'0')
	}
	if r.Status < 100 {
		return errStatusLine
	}
	if line = line[12:]; len(line) > 0 {
		if line[0] != ' ' || !isText(line) {
			return errStatusLine
		}
		r.Reason = line[1:]
	}
	fields, err := readFields(rest, r.Fields)
	if err != nil {
		return err
	}
	r.Fields = fields
	for _, f := range fields {
		if err := r.field(f); err != nil {
			return err
		}
	}
	return r.settle()
}

// Bodiless reports whether an answer with this status has no body, whatever its fields
// say (RFC 9112, 6.3).
func (r *Response) Bodiless() bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304
}
