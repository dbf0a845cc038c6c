package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tealops/teal/internal/vocab"
)

func TestEventNumbersGrowStrictly(t *testing.T) {
	now := time.Unix(1000, 0)
	e := newEvents(now, 0)
	var last uint64
	for range 3 * keptEvents {
		e.publish(Event{Kind: EventAlarm, Time: now}) // the clock stands still
		if got := e.last(); got <= last {
			t.Fatalf("%d after %d", got, last)
		}
		last = e.last()
	}
	kept, _ := e.after(0)
	if len(kept) == 0 || len(kept) > keptEvents || kept[len(kept)-1].Seq != last {
		t.Errorf("%d kept, the last is %d, want %d", len(kept), kept[len(kept)-1].Seq, last)
	}
	for i := range kept[1:] {
		if kept[i].Seq >= kept[i+1].Seq {
			t.Fatalf("kept out of order: %d, %d", kept[i].Seq, kept[i+1].Seq)
		}
	}
	e.publish(Event{Kind: EventAlarm, Time: now.Add(-time.Hour)})
	if got := e.last(); got <= last {
		t.Errorf("the clock went back and so does the number: %d after %d", got, last)
	}
}

func TestEventNumbersGrowOverRestartsWithAClockThatWentBack(t *testing.T) {
	dir := t.TempDir()
	begin := func() *Proxy {
		p, err := New(Options{StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := begin()
	p.events.publish(Event{Kind: EventAlarm, Time: time.Now().Add(24 * time.Hour)})
	if _, err := p.Put(t.Context(), "shop", config(1, vocab.Blue, blue("127.0.0.1:1"))); err != nil {
		t.Fatal(err)
	}
	before := p.events.last()
	// The event of the switch itself is younger than the state that was written for it.
	if got := begin().events.last(); got+1 < before {
		t.Errorf("numbers begin at %d after a restart, they were at %d", got, before)
	}
	p = begin()
	p.events.publish(Event{Kind: EventAlarm})
	p.events.publish(Event{Kind: EventAlarm})
	if got := p.events.last(); got <= before {
		t.Errorf("%d after %d", got, before)
	}
}

func TestFollowYieldsEveryEventOnceAndKeepsTheStreamAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvents(time.Now(), 0)
		e.publish(Event{Kind: EventAlarm, Text: "before"})
		since := e.last()
		e.publish(Event{Kind: EventAlarm, Text: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		idle := 0
		var all sync.WaitGroup
		all.Go(func() {
			err := e.follow(ctx, since, func(v Event) error { got = append(got, v.Text); return nil }, func() error { idle++; return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ends with %v", err)
			}
		})
		synctest.Wait()
		e.publish(Event{Kind: EventAlarm, Text: "b"})
		time.Sleep(3*keepAlive + time.Second)
		e.publish(Event{Kind: EventAlarm, Text: "c"})
		synctest.Wait()
		cancel()
		all.Wait()
		if len(got) != 3 || got[0] != "a" || got[1] != "b" || got[2] != "c" {
			t.Errorf("followed %q", got)
		}
		if idle != 3 {
			t.Errorf("kept alive %d times in 16 s, want 3", idle)
		}
	})
}

func TestEventsResumeAfterTheLastOneSeen(t *testing.T) {
	f := start(t, nil)
	f.Proxy.alarm("shop", "one")
	f.Proxy.alarm("shop", "two")
	enough := errors.New("enough")
	var last uint64
	read := func(since uint64) (text string) {
		err := f.Client.Events(t.Context(), since, func(e Event) error { last, text = e.Seq, e.Text; return enough })
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return text
	}
	if got := read(0); got != "one" {
		t.Errorf("the first is %q", got)
	}
	if got := read(last); got != "two" {
		t.Errorf("the next is %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Client.Events(ctx, last, func(e Event) error { t.Errorf("again %+v", e); return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ends with %v", err)
	}
}

func TestReadersOfEventsAreBounded(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range maxStreams {
		resp, err := f.Client.send(ctx, http.MethodGet, "/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	err := f.Client.Events(ctx, 0, func(Event) error { return nil })
	wantError(t, err, "too many readers")
}

// A server that says nothing must not be waited for without end.
func TestClientGivesUpOnASilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, conn := net.Pipe()
		c := &Client{socket: "pipe", http: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}}
		go func() {
			buf := make([]byte, 4096)
			_, _ = server.Read(buf)
			_, _ = server.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n\n"))
			_, _ = server.Read(buf)
		}()
		begin := time.Now()
		err := c.Events(t.Context(), 0, func(Event) error { return nil })
		if !errors.Is(err, errSilent) || time.Since(begin) != silence {
			t.Errorf("ends after %s with %v", time.Since(begin), err)
		}
		server.Close()
		c.http.CloseIdleConnections()
	})
}

func TestClientSaysThatNobodyAnswers(t *testing.T) {
	err := Dial(filepath.Join(t.TempDir(), "none.sock")).Health(t.Context())
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	wantError(t, err, "none.sock", "systemctl status teal-proxy")
}
