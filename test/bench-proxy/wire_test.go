package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const testMark = "00000001000000ab"

// answer is a right one of a kind.
func answer(kind byte) string {
	rest := smallRest
	if kind == kindLarge {
		rest = largeRest
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s%s", markSize+len(rest), testMark, rest)
}

func TestAnswersAreReadHoweverTheyArrive(t *testing.T) {
	for _, kind := range []byte{kindSmall, kindPost, kindLarge} {
		for name, cut := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "with the end": iotest.DataErrReader} {
			if err := newAnswers(kind).next(cut(strings.NewReader(answer(kind))), []byte(testMark)); err != nil {
				t.Errorf("%c, %s: %v", kind, name, err)
			}
		}
	}
	if err := newAnswers(kindSmall).next(iotest.OneByteReader(strings.NewReader(answer(kindSmall))), []byte(testMark)); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

// wrong are answers that must not count, by what is wrong with them.
var wrong = map[string]struct {
	change func(string) string
	want   string
}{
	"another status":      {func(a string) string { return strings.Replace(a, "200 OK", "502 Bad Gateway", 1) }, "502 Bad Gateway"},
	"HTTP/1.0":            {func(a string) string { return strings.Replace(a, "HTTP/1.1", "HTTP/1.0", 1) }, "HTTP/1.0"},
	"another length":      {func(a string) string { return strings.Replace(a, "Content-Length: 1", "Content-Length: 9", 1) }, "Content-Length"},
	"no length":           {func(a string) string { return strings.Replace(a, "Content-Length", "X-Length", 1) }, "0 Content-Length"},
	"two lengths":         {func(a string) string { return strings.Replace(a, "Server: x", "content-length: 128", 1) }, "Content-Length"},
	"chunked":             {func(a string) string { return strings.Replace(a, "Server: x", "Transfer-Encoding: chunked", 1) }, "Transfer-Encoding"},
	"a connection closed": {func(a string) string { return strings.Replace(a, "keep-alive", "Close", 1) }, "ends its connection"},
	"another mark":        {func(a string) string { return strings.Replace(a, testMark, "00000002000000ab", 1) }, errMark.Error()},
	"one byte flipped":    {func(a string) string { return a[:len(a)-9] + string([]byte{a[len(a)-9] ^ 1}) + a[len(a)-8:] }, errBody.Error()},
	"one byte too many":   {func(a string) string { return a + "x" }, errExcess.Error()},
	"one byte too few":    {func(a string) string { return a[:len(a)-1] }, "bytes of its body"},
	"an end in the head":  {func(a string) string { return a[:40] }, "after 40 bytes"},
	"no answer":           {func(string) string { return "" }, "after 0 bytes"},
	"no end of the head": {func(a string) string {
		return strings.Replace(a, "Server: x", "Server: "+strings.Repeat("x", 3<<10), 1)
	}, errHead.Error()},
	"the same answer once": {func(a string) string { return a + a }, errExcess.Error()},
}

func TestWrongAnswersDoNotCount(t *testing.T) {
	for name, c := range wrong {
		for _, kind := range []byte{kindSmall, kindLarge} {
			err := newAnswers(kind).next(strings.NewReader(c.change(answer(kind))), []byte(testMark))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %c: got %v, want an error with %q", name, kind, err, c.want)
			}
		}
	}
}

func TestRequestsCarryTheirMark(t *testing.T) {
	r := newRequest(kindPost)
	r.mark(0x1000000ab)
	head, body, ok := bytes.Cut(r.bytes, crlf2)
	if !ok || !strings.HasPrefix(string(head), "POST /p/"+testMark+" HTTP/1.1\r\nHost: ") {
		t.Fatalf("the request is %q", head)
	}
	if len(body) != postSize || string(body[:markSize]) != testMark || !bytes.Equal(body[markSize:], postRest) {
		t.Error("the body is not the mark and the bytes after it")
	}
	kind, mark, err := target(r.bytes)
	if got := fmt.Sprintf("%c %s %v", kind, mark, err); got != "p "+testMark+" <nil>" {
		t.Errorf("the backend reads %s", got)
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n", "GET /p/" + testMark + " HTTP/1.1\r\n\r\n", "POST /s/" + testMark + " HTTP/1.1\r\n\r\n", "GET /x/" + testMark + " HTTP/1.1\r\n\r\n", "PUT /s/" + testMark + " HTTP/1.1\r\n\r\n"} {
		if _, _, err := target([]byte(bad)); !errors.Is(err, errForm) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestHistogramAgainstASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Latencies of all sizes: a number of bits first, then a value of so many.
		value := rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Range(0, 1<<rapid.IntRange(0, 62).Draw(t, "bits")).Draw(t, "ns")
		})
		all := rapid.SliceOfN(value, 1, 200).Draw(t, "all")
		var a, b histogram
		for i, v := range all {
			if i%3 == 0 {
				a.add(v)
			} else {
				b.add(v)
			}
		}
		a.merge(&b)
		slices.Sort(all)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			exact := all[max(1, int(q*float64(len(all))+0.5))-1]
			if got := a.quantile(q); got < exact || float64(got-exact) > float64(exact)/128 {
				t.Fatalf("quantile %g is %d, by sorting %d", q, got, exact)
			}
		}
		if got := []int64{int64(a.n), a.max}; !cmp.Equal(got, []int64{int64(len(all)), all[len(all)-1]}) {
			t.Fatalf("count and maximum are %v", got)
		}
	})
	if (&histogram{}).quantile(0.99) != 0 {
		t.Error("an empty one has a quantile")
	}
}
