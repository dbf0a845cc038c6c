package proxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// summed answers with the length and the sum of what it got.
func summed(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	fmt.Fprintf(w, "%d %x %v %v", n, h.Sum(nil)[:4], err, r.Trailer)
}

func sumOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return fmt.Sprintf("%d %x <nil>", len(body), sum[:4])
}

// TestBodiesThatArePassedOnAsTheyCome arrive whole, and the line goes on behind them
// with what was sent in one piece with them.
func TestBodiesThatArePassedOnAsTheyCome(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20_000) // 320 kB
	for _, c := range []struct {
		name, text, want string
		unusual          uint64
	}{
		{"a long one", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 320000\r\n\r\n" + big, sumOf(big) + " map[]", 0},
		{"chunks", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", sumOf("hello world") + " map[]", 0},
		{"large chunks", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4e200\r\n" + big + "\r\n4e200\r\n" + big + "\r\n0\r\n\r\n", sumOf(big+big) + " map[]", 0},
		{"chunks with a trailer", "POST / HTTP/1.1\r\nHost: a.test\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nSum: 7\r\n\r\n", sumOf("x") + " map[Sum:[7]]", 0},
		{"chunks that are empty", "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", sumOf("") + " map[]", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, nil)
			f.put("shop", config(1, vocab.Blue, blue(target(t, summed))))
			conn := f.dial()
			go func() {
				for _, text := range []string{c.text, c.text + ask} {
					for len(text) > 0 {
						n := min(len(text), 7919)
						if _, err := io.WriteString(conn, text[:n]); err != nil {
							return
						}
						text = text[n:]
					}
				}
			}()
			got := answersTo(t, conn, "GET", 3)
			if want := []string{"200 " + c.want, "200 " + c.want, "200 " + sumOf("") + " map[]"}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q, want %q", got, want)
			}
			if n := f.Proxy.front.unusual.Load(); n != c.unusual {
				t.Errorf("%d lines went to the general path", n)
			}
			eventually(t, "all are counted out", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
			if c := f.counters("shop", vocab.Blue); c.Requests != 3 || c.Errors != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestBodiesThatEndTooSoon never look whole to the target, and are the client's fault.
func TestBodiesThatEndTooSoon(t *testing.T) {
	for _, c := range []struct {
		name, text string
		end        func(interface{ CloseWrite() error }) // nil: the client falls silent
		want       string
	}{
		{"a length that is not reached", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nabc", closeWrite, "400"},
		{"chunks that end", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", closeWrite, "400"},
		{"chunks that are malformed", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x0\r\n\r\n", nil, "400"},
		{"chunks with an extension", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", nil, "400"},
		{"a smuggled length behind them", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", nil, "400"},
		{"a length and silence", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nabc", nil, "408"},
		{"chunks and silence", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", nil, "408"},
		{"a short one and silence", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nabc", nil, "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, func(_ *Options, p *Proxy) {
				if p != nil {
					p.patience.body = 300 * time.Millisecond
				}
			})
			ends := make(chan string, 1)
			f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				ends <- fmt.Sprint(err)
			}))))
			conn := f.dial()
			if _, err := io.WriteString(conn, c.text); err != nil {
				t.Fatal(err)
			}
			if c.end != nil {
				c.end(conn.(interface{ CloseWrite() error }))
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(resp.StatusCode); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection does not end well: %v", err)
			}
			select {
			case err := <-ends:
				if err == "<nil>" {
					t.Error("the target took the body for whole")
				}
			default: // never asked, or not at its end
			}
			eventually(t, "the request is counted out", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
			if c := f.counters("shop", vocab.Blue); c.Errors != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

func closeWrite(c interface{ CloseWrite() error }) { _ = c.CloseWrite() }

// TestAnAnswerBeforeTheBody reaches the client, and the line ends behind it.
func TestAnAnswerBeforeTheBody(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}))))
	conn := f.dial()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000000\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 413 || string(body) != "too much\n" || err != nil || !resp.Close {
		t.Errorf("%s %q %v, close %t", resp.Status, body, err, resp.Close)
	}
	eventually(t, "the request is counted out", func() bool { return f.counters("shop", vocab.Blue).InFlight == 0 })
}

// TestAnAnswerWhileTheBodyComes: both directions are open at once.
func TestAnAnswerWhileTheBodyComes(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(target(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			if n > 0 {
				fmt.Fprintf(w, "<%s>", b[:n])
				if err := rc.Flush(); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}))))
	conn := f.dial()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	var resp *http.Response
	for i, word := range []string{"one", "two", "three"} {
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(word), word); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			var err error
			if resp, err = http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, len(word)+2)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "<"+word+">" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if _, err := io.WriteString(conn, "0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}
