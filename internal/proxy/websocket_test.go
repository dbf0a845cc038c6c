package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/vocab"
)

// frame is one WebSocket frame of a server.
func frame(first byte, payload []byte, masked bool) []byte {
	b := []byte{first}
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if masked {
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

func TestFramesAreFollowedInPiecesOfAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]bool{0: true}
		closeAt := -1
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			opcode := rapid.SampledFrom([]byte{0x81, 0x02, 0x80, 0xc1, 0x89, 0x8a, 0x88}).Draw(t, "first byte")
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 127, 300, 65535, 65536, 70000}).Draw(t, "size")
			if opcode == 0x88 && closeAt < 0 {
				closeAt = len(stream)
			}
			stream = append(stream, frame(opcode, bytes.Repeat([]byte{0x88}, size), rapid.Bool().Draw(t, "masked"))...)
			ends[len(stream)] = true
		}
		var f frames
		for at := 0; at < len(stream); {
			n := min(rapid.IntRange(1, 40000).Draw(t, "piece"), len(stream)-at)
			f.pass(stream[at : at+n])
			at += n
			if f.between() != ends[at] {
				t.Fatalf("after %d bytes: between frames %v, want %v", at, f.between(), ends[at])
			}
		}
		if f.closed != (closeAt >= 0) {
			t.Fatalf("saw a close frame: %v, want %v", f.closed, closeAt >= 0)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(0x81, []byte("hello"), false), 3)
	f.Add(frame(0x88, []byte{3, 0xe9}, true), 1)
	f.Add([]byte{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 4)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		var whole, pieces frames
		whole.pass(data)
		cut = max(0, min(cut, len(data)))
		pieces.pass(data[:cut])
		pieces.pass(data[cut:])
		if whole != pieces {
			t.Fatalf("in one piece %+v, in two %+v", whole, pieces)
		}
	})
}

// socketTarget is an app that accepts WebSockets, sends a greeting frame and echoes
// what it gets. A path of /half sends half a frame more.
func socketTarget(t *testing.T, name string) string {
	return target(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			fmt.Fprintf(w, "%s plain %q", name, append(r.Header.Values("Upgrade"), r.Header.Values("Http2-Settings")...))
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-Websocket-Accept: x\r\n\r\n")
		_, _ = rw.Write(frame(0x81, []byte(name), false))
		if r.URL.Path == "/half" {
			_, _ = rw.Write([]byte{0x81, 5, 'h', 'a'})
		}
		if rw.Flush() != nil {
			return
		}
		_, _ = io.Copy(c, rw)
	})
}

const handshake = " HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Key: x\r\nSec-Websocket-Version: 13\r\n\r\n"

// socket opens a WebSocket through the proxy and reads the greeting.
func (f *front) socket(path, name string) (net.Conn, *bufio.Reader) {
	f.t.Helper()
	c := f.dial()
	if _, err := io.WriteString(c, "GET "+path+handshake); err != nil {
		f.t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatalf("no upgrade: %v %v", resp, err)
	}
	want := frame(0x81, []byte(name), false)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
		f.t.Fatalf("the greeting is %q (%v), want %q", got, err, want)
	}
	return c, in
}

// both is a config with blue and green on addresses of their own.
func both(generation uint64, live vocab.Colour, blue, green string) App {
	return config(generation, live, map[vocab.Colour][]string{vocab.Blue: {blue}, vocab.Green: {green}})
}

func TestWebSocketOutlivesTheSwitchAndIsDrainedWithACloseFrame(t *testing.T) {
	f := start(t, nil)
	one, two := socketTarget(t, "one"), socketTarget(t, "two")
	f.put("shop", both(1, vocab.Blue, one, two))
	c, in := f.socket("/", "one")
	f.put("shop", both(2, vocab.Green, one, two))
	f.socket("/", "two")
	echo := frame(0x82, []byte("still there"), true)
	if _, err := c.Write(echo); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(echo))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, echo) {
		t.Fatalf("after the switch: %q %v", got, err)
	}
	if n := f.counters("shop", vocab.Blue); n.Upgraded != 1 || n.InFlight != 1 || n.Classes["1xx"] != 1 {
		t.Errorf("blue counts %+v", n)
	}
	type result struct {
		done Drained
		err  error
	}
	end := make(chan result, 1)
	go func() {
		done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 10*time.Millisecond, 100*time.Millisecond)
		end <- result{done, err}
	}()
	got = make([]byte, len(closeFrame))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, closeFrame) {
		t.Fatalf("at the end of the drain: %q %v, want a close frame", got, err)
	}
	c.Close() // as a client does after a close frame
	r := <-end
	if r.err != nil || r.done.Cut != 1 {
		t.Errorf("drained %+v %v", r.done, r.err)
	}
	if n := f.counters("shop", vocab.Blue); n.Upgraded != 0 || n.InFlight != 0 || n.Cut != 1 {
		t.Errorf("blue counts %+v", n)
	}
	if n := f.counters("shop", vocab.Green); n.Upgraded != 1 {
		t.Errorf("green counts %+v", n)
	}
}

func TestNoCloseFrameInTheMiddleOfAnother(t *testing.T) {
	f := start(t, nil)
	one, two := socketTarget(t, "one"), socketTarget(t, "two")
	f.put("shop", both(1, vocab.Blue, one, two))
	_, in := f.socket("/half", "one")
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	f.put("shop", both(2, vocab.Green, one, two))
	if done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); err != nil || done.Cut != 1 {
		t.Errorf("drained %+v %v", done, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) != 0 {
		t.Errorf("%q was put into a frame", rest)
	}
}

func TestOnlyWebSocketsAreTunnels(t *testing.T) {
	f := start(t, nil)
	f.put("shop", config(1, vocab.Blue, blue(socketTarget(t, "one"))))
	got := f.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.HasSuffix(got, "one plain []") {
		t.Errorf("h2c: %q", got)
	}
	// A target that upgrades what nobody asked for is not followed.
	rogue, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer rogue.Close()
	go func() {
		for {
			c, err := rogue.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nsecret")
			time.AfterFunc(time.Second, func() { c.Close() })
		}
	}()
	f.put("shop", config(2, vocab.Blue, blue(rogue.Addr().String())))
	if resp, body := f.get("/"); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") {
		t.Errorf("an upgrade by the target: %s %q", resp.Status, body)
	}
}

func TestAClientThatReadsNothingDoesNotHoldTheDrain(t *testing.T) {
	f := start(t, nil)
	flood := target(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		data := frame(0x82, make([]byte, 1<<16), false)
		for {
			if _, err := rw.Write(data); err != nil || rw.Flush() != nil {
				return
			}
		}
	})
	f.put("shop", both(1, vocab.Blue, flood, flood))
	c := f.dial()
	if _, err := io.WriteString(c, "GET /"+handshake); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upgrade", func() bool { return f.counters("shop", vocab.Blue).Upgraded == 1 })
	f.put("shop", both(2, vocab.Green, flood, flood))
	begin := time.Now()
	if done, err := f.Client.Drain(t.Context(), "shop", vocab.Blue, 0, 0); err != nil || done.Cut != 1 {
		t.Errorf("drained %+v %v", done, err)
	}
	if n := f.counters("shop", vocab.Blue).InFlight; n != 0 {
		t.Errorf("%d in flight %s after the drain", n, time.Since(begin))
	}
}
