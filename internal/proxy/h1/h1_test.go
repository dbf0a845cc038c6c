package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// request reads a whole request's head as the proxy does.
func request(text string) (r Request, end int, err error) {
	end, _, err = HeadEnd([]byte(text), 0, true)
	if err != nil || end == 0 {
		return r, end, err
	}
	return r, end, ReadRequest([]byte(text)[:end], &r)
}

// TestHeadsThatTwoReadersReadDifferently are refused, each for its own reason. The
// cases are the published ones of request smuggling (RFC 9112, 11.2, and the papers
// that followed it).
func TestHeadsThatTwoReadersReadDifferently(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, head string
		want       error
	}{
		{"length and chunked", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", errBoth},
		{"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", errBoth},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", errLength},
		{"the same length twice", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", errLength},
		{"a list of lengths", post + "Content-Length: 5, 5\r\n\r\n", errLength},
		{"a signed length", post + "Content-Length: +5\r\n\r\n", errLength},
		{"a negative length", post + "Content-Length: -5\r\n\r\n", errLength},
		{"a hexadecimal length", post + "Content-Length: 0x5\r\n\r\n", errLength},
		{"a length with a space in it", post + "Content-Length: 5 0\r\n\r\n", errLength},
		{"no length", post + "Content-Length:\r\n\r\n", errLength},
		{"a length that overflows", post + "Content-Length: 18446744073709551621\r\n\r\n", errLength},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding},
		{"chunked behind identity", post + "Transfer-Encoding: identity, chunked\r\n\r\n", errEncoding},
		{"chunked before another", post + "Transfer-Encoding: chunked, gzip\r\n\r\n", errEncoding},
		{"chunked with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n", errEncoding},
		{"chunked in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", errEncoding},
		{"xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n", errEncoding},
		{"chunked behind a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n", errField},
		{"chunked behind a zero", post + "Transfer-Encoding: \x00chunked\r\n\r\n", errField},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding},
		{"white space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n", errField},
		{"a tab before the colon", post + "Content-Length\t: 5\r\n\r\n", errField},
		{"a folded line", post + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n", errField},
		{"a line that is folded with a tab", post + "X: y\r\n\tz\r\n\r\n", errField},
		{"white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", errField},
		{"no colon", post + "Transfer-Encoding\r\n\r\n", errField},
		{"no name", post + ": x\r\n\r\n", errField},
		{"a bare LF", post + "X: y\nTransfer-Encoding: chunked\r\n\r\n", errBareLF},
		{"a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", errBareLF},
		{"bare LF alone", "GET / HTTP/1.1\nHost: a\n\n", errBareLF},
		{"a bare CR in a value", post + "X: y\rTransfer-Encoding: chunked\r\n\r\n", errField},
		{"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", errField},
		{"a zero in a value", post + "X: y\x00z\r\n\r\n", errField},
		{"a delete in a value", post + "X: y\x7fz\r\n\r\n", errField},
		{"a name beyond ASCII", post + "Transfer-Encodin\xc4\xa0: chunked\r\n\r\n", errField},
		{"a name with a zero", post + "Content-Length\x00: 5\r\n\r\n", errField},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", errHosts},
		{"the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", errHosts},
		{"no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", errHosts},
		{"two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"a space at the end of the request line", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", errLine},
		{"a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"no version", "GET /\r\nHost: a\r\n\r\n", errLine},
		{"a zero in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", errVersion},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", errVersion},
		{"HTTP/1.1 with a zero before it", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", errLine},
		{"http in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", errLine},
		{"a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"a method that is too long", strings.Repeat("G", 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", errLine},
		{"Connection with a name that is none", post + "Connection: a b\r\n\r\n", errField},
		{"too many fields", post + strings.Repeat("X: y\r\n", 256) + "\r\n", errFields},
	} {
		if _, _, err := request(c.head); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRequestHead(t *testing.T) {
	r, end, err := request("PATCH /a?b=c HTTP/1.1\r\nhOsT: a.test:80\r\nContent-length:\t 12 \r\nConnection: Keep-Alive, CLOSE,, upgrade\r\nX-Request-ID: 7\r\nX_Forwarded_For: 9\r\nempty:\r\nlatin: \xe9\r\n\r\nbody")
	if err != nil || end == 0 {
		t.Fatal(end, err)
	}
	var fields []string
	for _, f := range r.Fields {
		fields = append(fields, fmt.Sprintf("%s=%s:%d", f.Name, f.Value, f.Kind))
	}
	want := fmt.Sprintf("[hOsT=a.test:80:%d Content-length=12:%d Connection=Keep-Alive, CLOSE,, upgrade:%d X-Request-ID=7:%d X_Forwarded_For=9:%d empty=:%d latin=\xe9:%d]",
		Host, ContentLength, Connection, RequestID, Claimed, Plain, Plain)
	if got := fmt.Sprint(fields); got != want {
		t.Errorf("fields\n%q, want\n%q", got, want)
	}
	if string(r.Method) != "PATCH" || string(r.Target) != "/a?b=c" || string(r.Host) != "a.test:80" || r.Length != 12 || r.Chunked || !r.Close || r.Nominated || r.Special || r.Minor != 1 {
		t.Errorf("%+v", r)
	}
	for text, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":                                          "close true nominated false special false",
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n":                "close false nominated false special false",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\n\r\n":          "close false nominated true special false",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n":         "close false nominated false special true",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n":      "close false nominated false special false",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n":            "close false nominated false special true",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n": "close false nominated false special false",
	} {
		r, _, err := request(text)
		if got := fmt.Sprintf("close %t nominated %t special %t", r.Close, r.Nominated, r.Special); err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
}

// TestClaimedNames are those that only a proxy in front could fill in.
func TestClaimedNames(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "x_forwarded-user": true, "X-Forwarded": true, "Forwarded": true, "X-Real-IP": true, "x_real_ip": true,
		"X-Client-IP": true, "X-Cluster-Client-Ip": true, "True-Client-IP": true, "CF-Connecting-IP": true, "Proxy": true, "X-Original-URL": true,
		"X_Rewrite_Url": true, "X-Original-Host": true, "X-Request-Id": true, "x_request_id": true,
		"X-Forward": false, "Forwarded-By": false, "X": false, "Prox": false, "Proxy-Status": false, "X-Real-Ip-2": false, "": false, "X-Originals-Url": false,
	} {
		if got := ClaimedName(name); got != want || ClaimedName([]byte(name)) != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

// TestAHeadIsLookedAtOnce whatever the pieces it comes in.
func TestAHeadIsLookedAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a: b\r\n", "x\r\n", "y: \r\n", "\r\n", "z\n"}), 1, 8).Draw(t, "lines")
		text := []byte(strings.Join(lines, "") + rapid.SampledFrom([]string{"", "\r", "q"}).Draw(t, "rest"))
		strict := rapid.Bool().Draw(t, "strict")
		end, _, err := HeadEnd(text, 0, strict)
		from, pieced := 0, 0
		var perr error
		for n := 0; n <= len(text) && pieced == 0 && perr == nil; n += rapid.IntRange(1, 5).Draw(t, "step") {
			var next int
			pieced, next, perr = HeadEnd(text[:n], from, strict)
			if next < from || next > n {
				t.Fatalf("next is %d of %d, was %d", next, n, from)
			}
			from = next
		}
		if pieced == 0 && perr == nil {
			pieced, _, perr = HeadEnd(text, from, strict)
		}
		if pieced != end || (perr == nil) != (err == nil) {
			t.Fatalf("whole %d %v, in pieces %d %v", end, err, pieced, perr)
		}
	})
}

func TestResponseHeads(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n":                               "200 OK length 5 chunked false close false",
		"HTTP/1.1 204\r\n\r\n":                                                       "204  length -1 chunked false close false",
		"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n":   "200  length -1 chunked true close true",
		"HTTP/1.0 200 OK\n\n":                                                        "200 OK length -1 chunked false close true",
		"HTTP/1.1 200 O K\xe9\r\nX: y\n\r\n":                                         "200 O K\xe9 length -1 chunked false close false",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n": errBoth.Text,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n":          errLength.Text,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                errEncoding.Text,
		"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n":                                      errField.Text,
		"HTTP/1.1 200 OK\r\nX\r\n\r\n":                                               errField.Text,
		"HTTP/1.1 2x0 OK\r\n\r\n":                                                    errStatusLine.Text,
		"HTTP/1.1 20\r\n\r\n":                                                        errStatusLine.Text,
		"HTTP/1.1 2000\r\n\r\n":                                                      errStatusLine.Text,
		"HTTP/1.1 099 x\r\n\r\n":                                                     errStatusLine.Text,
		"HTTP/1.1  200 OK\r\n\r\n":                                                   errStatusLine.Text,
		"HTTP/1.1 200 O\x00K\r\n\r\n":                                                errStatusLine.Text,
		"HTTP/2.0 200 OK\r\n\r\n":                                                    errVersion.Text,
		"220 smtp.example.com ESMTP\r\n\r\n":                                         errStatusLine.Text,
		"\r\n":                                                                       errStatusLine.Text,
	} {
		end, _, err := HeadEnd([]byte(text), 0, false)
		var r Response
		if err == nil {
			err = ReadResponse([]byte(text)[:end], &r)
		}
		got := fmt.Sprintf("%d %s length %d chunked %t close %t", r.Status, r.Reason, r.Length, r.Chunked, r.Close)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestChunks(t *testing.T) {
	for text, want := range map[string]string{
		"0\r\n\r\n":                                   "5 bytes, data 0",
		"5\r\nhello\r\n0\r\n\r\nGET /":                "15 bytes, data 5",
		"a;x=\"y\"\r\n0123456789\r\n000\r\n\r\n":      "28 bytes, data 10",
		"2  \r\nab\r\n0 \r\n\r\n":                     "15 bytes, data 2",
		"1\r\nx\r\n0\r\nDigest: y\r\nGrpc: 0\r\n\r\n": "31 bytes, data 1",
		"5\r\nhel":                       "6 bytes, more, data 3",
		"":                               "0 bytes, more, data 0",
		"\r\n":                           errChunk.Text,
		"5\nhello\r\n":                   errChunk.Text,
		"5\r\nhelloX\n":                  errChunk.Text,
		"5\r\nhello\n0\r\n\r\n":          errChunk.Text,
		"5\rhello":                       errChunk.Text,
		"-5\r\n":                         errChunk.Text,
		"0x5\r\nhello":                   errChunk.Text,
		" 5\r\nhello":                    errChunk.Text,
		"g\r\n":                          errChunk.Text,
		"1000000000000000\r\n":           errChunk.Text,
		"5;a\nb\r\nhello":                errChunk.Text,
		"5;a\x00\r\nhello":               errChunk.Text,
		"0\r\nX: y\n\r\n":                errTrailer.Text,
		"0\r\n X: y\r\n\r\n":             errTrailer.Text,
		"0\r\nX\r\n\r\n":                 errTrailer.Text,
		"0\r\nContent-Length: 5\r\n\r\n": errTrailer.Text,
		"0\r\nTransfer-Encoding: chunked\r\n\r\n":  errTrailer.Text,
		"0\r\nX-Forwarded-For: 1\r\n\r\n":          errTrailer.Text,
		"0\r\n" + strings.Repeat("X: y\r\n", 4000): errExtra.Text,
	} {
		if got := scanAll([]byte(text), len(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		for piece := 1; piece < 4; piece++ {
			if got := scanAll([]byte(text), piece); got != want {
				t.Errorf("%q by %d: %q, want %q", text, piece, got, want)
			}
		}
	}
}

// TestChunksOfARequestHaveNoExtension: readers differ on where one ends.
func TestChunksOfARequestHaveNoExtension(t *testing.T) {
	for text, want := range map[string]bool{"5\r\nhello\r\n0\r\n\r\n": true, "5;x\r\nhello\r\n0\r\n\r\n": false, "5 \r\nhello\r\n0\r\n\r\n": false, "5\r\nhello\r\n0;\r\n\r\n": false} {
		c := Chunks{Plain: true}
		if _, done, err := c.Scan([]byte(text)); done != want || (err == nil) != want {
			t.Errorf("%q: %t %v", text, done, err)
		}
	}
}

func scanAll(text []byte, piece int) string {
	var c Chunks
	at := 0
	for at < len(text) {
		n, done, err := c.Scan(text[at:min(at+piece, len(text))])
		at += n
		if err != nil {
			return err.Error()
		}
		if done {
			return fmt.Sprintf("%d bytes, data %d", at, c.Data())
		}
	}
	return fmt.Sprintf("%d bytes, more, data %d", at, c.Data())
}

// FuzzRequest: what is read here net/http reads alike.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nX: y\r\n\r\nabc",
		"PUT / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		end, _, err := HeadEnd(data, 0, true)
		if err != nil || end == 0 {
			return
		}
		var r Request
		if ReadRequest(data[:end], &r) != nil || r.Target[0] != '/' {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			if strings.Contains(err.Error(), "URI") || strings.Contains(err.Error(), "URL") || strings.Contains(err.Error(), "Host header") {
				return // the proxy looks at these itself
			}
			t.Fatalf("net/http refuses it: %v", err)
		}
		if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || theirs.Host != string(r.Host) {
			t.Fatalf("%s %s %s, net/http %s %s %s", r.Method, r.Target, r.Host, theirs.Method, theirs.RequestURI, theirs.Host)
		}
		length := max(r.Length, 0)
		if r.Chunked {
			length = -1
		}
		if theirs.ContentLength != length || theirs.ProtoMinor != r.Minor {
			t.Fatalf("length %d, net/http %d", length, theirs.ContentLength)
		}
		compareFields(t, r.Fields, theirs.Header)
	})
}

// FuzzResponse: what is read here net/http reads alike.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 304 Not Modified\nX: y\n\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		end, _, err := HeadEnd(data, 0, false)
		if err != nil || end == 0 {
			return
		}
		var r Response
		if ReadResponse(data[:end], &r) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		length := r.Length
		switch {
		case r.Chunked:
			length = -1
		case r.Bodiless():
			length = max(length, 0)
			if r.Length < 0 {
				length = theirs.ContentLength // it has its own words for none
			}
		}
		if theirs.StatusCode != r.Status || theirs.ContentLength != length && !r.Bodiless() {
			t.Fatalf("%d length %d, net/http %d %d", r.Status, length, theirs.StatusCode, theirs.ContentLength)
		}
		compareFields(t, r.Fields, theirs.Header)
	})
}

// compareFields compares all that net/http keeps among the fields.
func compareFields(t *testing.T, fields []Field, theirs http.Header) {
	ours := http.Header{}
	for _, f := range fields {
		ours.Add(string(f.Name), string(f.Value))
	}
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Pragma", "Cache-Control"} {
		ours.Del(name) // taken out or filled in there
		theirs.Del(name)
	}
	for name, values := range ours {
		if got := theirs[name]; fmt.Sprint(got) != fmt.Sprint(values) {
			t.Fatalf("%s: %q, net/http %q", name, values, got)
		}
	}
	if len(ours) != len(theirs) {
		t.Fatalf("%d names, net/http %d", len(ours), len(theirs))
	}
}

// FuzzChunks: a body that is whole here is the same body to net/http, whatever the
// pieces it comes in.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nrest", "a;x\r\n0123456789\r\n0\r\nX: y\r\n\r\n", "1 \r\nx\r\n0\r\n\r\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		whole := scanAll(data, max(len(data), 1))
		if pieces := scanAll(data, max(int(piece), 1)); pieces != whole {
			t.Fatalf("whole: %s, in pieces: %s", whole, pieces)
		}
		var c Chunks
		n, done, err := c.Scan(data)
		if err != nil || !done {
			return
		}
		body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(data[:n])))
		if err != nil || uint64(len(body)) != c.Data() {
			t.Fatalf("data %d, net/http %d %v", c.Data(), len(body), err)
		}
	})
}
