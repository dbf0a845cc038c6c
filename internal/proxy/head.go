package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/proxy/h1"
)

// Heads as they are sent. A request's fields pass as they came but for those between
// two neighbours and those that only a proxy may say; the proxy's own stand behind
// them.

func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendText(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendLine(b []byte, f *h1.Field) []byte {
	b = append(b, f.Name...)
	b = append(b, ": "...)
	b = append(b, f.Value...)
	return append(b, "\r\n"...)
}

// appendRequest writes the head that the target gets. once asks it to close behind the
// answer.
func (l *line) appendRequest(b []byte, once bool) []byte {
	r, f := &l.req, &l.now
	b = append(b, r.Method...)
	b = append(b, ' ')
	if f.path != "" {
		b = append(b, f.path...)
	} else {
		b = append(b, r.Target...)
	}
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range r.Fields {
		switch field := &r.Fields[i]; field.Kind {
		case h1.Plain, h1.Host, h1.ContentLength, h1.Date, h1.Expect:
			b = appendLine(b, field)
		case h1.Trailer:
			if r.Chunked { // else there is none
				b = appendLine(b, field)
			}
		}
	}
	b = appendText(b, "X-Forwarded-For", l.from)
	b = appendField(b, "X-Forwarded-Host", r.Host)
	b = append(b, "X-Forwarded-Proto: http\r\n"...)
	if f.prefix != "" {
		b = appendText(b, "X-Forwarded-Prefix", f.prefix)
	}
	b = appendField(b, "X-Request-Id", f.requestID())
	if r.Chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if once {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendResponse writes the head that the client gets.
func (l *line) appendResponse(b []byte, bodiless, wrap, kept bool) []byte {
	r, f := &l.resp, &l.now
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = append(b, r.Reason...)
	b = append(b, "\r\n"...)
	ids, dated := 0, false
	for i := range r.Fields {
		if r.Fields[i].Kind == h1.RequestID {
			ids++
		}
	}
	for i := range r.Fields {
		field := &r.Fields[i]
		switch field.Kind {
		case h1.Hop, h1.Connection, h1.Upgrade, h1.TransferEncoding:
			continue
		case h1.ContentLength:
			if r.Status == http.StatusNoContent {
				continue
			}
		case h1.RequestID:
			if ids != 1 { // ours and the app's own: one is enough
				continue
			}
		case h1.Date:
			dated = true
		case h1.Trailer:
			if !r.Chunked || bodiless { // there is none
				continue
			}
		}
		if l.proxy.opt.Expose && exposed(field.Name) {
			continue
		}
		if r.Nominated && field.Kind != h1.ContentLength && h1.Nominates(r.Fields, field.Name) {
			continue // what frames the message is nobody's to nominate
		}
		b = appendLine(b, field)
	}
	if !dated {
		b = appendText(b, "Date", *l.front.date.Load()) // RFC 9110, 6.6.1
	}
	if ids != 1 {
		b = appendField(b, "X-Request-Id", f.requestID())
	}
	if r.Chunked && !bodiless || wrap {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = l.appendExposed(b)
	if !kept {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

func (l *line) appendExposed(b []byte) []byte {
	if !l.proxy.opt.Expose {
		return b
	}
	f := &l.now
	b = appendText(b, "Teal-App", f.gen.app)
	b = appendText(b, "Teal-Release", f.gen.config.Releases[f.set.colour])
	b = appendText(b, "Teal-Colour", string(f.set.colour))
	b = append(b, "Teal-Generation: "...)
	b = strconv.AppendUint(b, f.gen.config.Generation, 10)
	b = append(b, "\r\nTeal-Chosen: "...)
	b = strconv.AppendInt(b, f.chosen.UnixNano(), 10)
	return append(b, "\r\n"...)
}

// exposed reports whether a name is one that appendExposed writes.
func exposed(name []byte) bool {
	if len(name) < len("teal-app") || name[4] != '-' {
		return false
	}
	for _, own := range [...]string{"Teal-App", "Teal-Release", "Teal-Colour", "Teal-Generation", "Teal-Chosen"} {
		if strings.EqualFold(string(name), own) {
			return true
		}
	}
	return false
}

// appendHint writes an interim answer's head.
func appendHint(b []byte, r *h1.Response) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = append(b, r.Reason...)
	b = append(b, "\r\n"...)
	for i := range r.Fields {
		switch field := &r.Fields[i]; field.Kind {
		case h1.Hop, h1.Connection, h1.Upgrade, h1.TransferEncoding, h1.ContentLength:
		default:
			if !r.Nominated || !h1.Nominates(r.Fields, field.Name) {
				b = appendLine(b, field)
			}
		}
	}
	return append(b, "\r\n"...)
}

// appendOwn writes an answer in the place of a target's.
func (l *line) appendOwn(b []byte, status int, text string) []byte {
	b = appendStatus(b, status)
	b = appendText(b, "Date", *l.front.date.Load())
	b = appendField(b, "X-Request-Id", l.now.requestID())
	b = l.appendExposed(b)
	return appendOwnBody(b, status, text, string(l.req.Method) == http.MethodHead)
}

// appendRefusal writes an answer to what is no request that could be passed on.
func appendRefusal(b []byte, status int, text string) []byte {
	return appendOwnBody(appendStatus(b, status), status, text, false)
}

func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}

func appendOwnBody(b []byte, status int, text string, bodiless bool) []byte {
	body := strconv.Itoa(status) + " " + text + "\n"
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	if bodiless {
		return b
	}
	return append(b, body...)
}

// appendChunk writes data as one chunk.
func appendChunk(b, data []byte) []byte {
	b = strconv.AppendInt(b, int64(len(data)), 16)
	b = append(b, "\r\n"...)
	b = append(b, data...)
	return append(b, "\r\n"...)
}
