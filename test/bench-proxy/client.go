package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// order is what the client is told to do: one JSON value a line.
type order struct {
	Do      string        // "run", "hold", "again", "drop"
	Address string        // run, hold
	Conns   int           // run, hold
	Kind    string        // run: one of the kinds
	Warm    time.Duration // run: before the window; not measured
	Window  time.Duration // run: what is measured
}

// outcome is what came of it.
type outcome struct {
	Right  int64         // answers that were right, those of the warm-up included
	Window int64         // of these, those that ended within the window
	Errors int64         // connections that failed or met a wrong answer; each ends there
	First  string        // the first of the errors
	P50    time.Duration // of the window's
	P99    time.Duration
	Max    time.Duration
}

const (
	dialers  = 32               // at once
	patience = 10 * time.Second // for an answer, after the end of a run
)

// clientChild obeys orders until its standard input ends.
func clientChild() error {
	c := &client{}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(c.obey(o)); err != nil {
			return err
		}
	}
}

// client is the load: connections that each send a request, read its answer, and send
// the next. None is retried.
type client struct {
	number uint64 // of the last connection
	held   []*line
}

// line is one connection. Its marks are unique in the life of the client.
type line struct {
	net.Conn
	req  *request
	got  *answers
	mark uint64
}

func (c *client) obey(o order) outcome {
	switch o.Do {
	case "run":
		return c.run(o)
	case "hold":
		var f fault
		if c.held, f.err = c.dial(o.Address, o.Conns, kindSmall); f.err != nil {
			return outcome{Errors: 1, First: f.err.Error()}
		}
		return c.once()
	case "again":
		return c.once()
	case "drop":
		hangUp(c.held)
		c.held = nil
		return outcome{}
	}
	return outcome{Errors: 1, First: fmt.Sprintf("%q is nothing that the client does", o.Do)}
}

// fault is the first error of several loops.
type fault struct {
	once sync.Once
	n    atomic.Int64
	err  error
}

func (f *fault) add(err error) {
	f.n.Add(1)
	f.once.Do(func() { f.err = err })
}

// into puts the errors into an outcome, when no loop runs any more.
func (f *fault) into(o outcome) outcome {
	if o.Errors = f.n.Load(); f.err != nil {
		o.First = f.err.Error()
	}
	return o
}

// dial opens connections, a few at a time: a queue of listen() is short.
func (c *client) dial(address string, n int, kind byte) ([]*line, error) {
	lines := make([]*line, n)
	var f fault
	spread(n, func(i int) {
		conn, err := net.DialTimeout("tcp4", address, patience)
		if err != nil {
			f.add(err)
			return
		}
		lines[i] = &line{Conn: conn, req: newRequest(kind), got: newAnswers(kind), mark: (c.number + uint64(i) + 1) << 32}
	})
	c.number += uint64(n)
	if f.err != nil {
		hangUp(lines)
		return nil, f.err
	}
	return lines, nil
}

// spread calls do for 0 to n-1, some at a time.
func spread(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, dialers) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// hangUp closes with a reset: else each port would stay taken for a minute.
func hangUp(lines []*line) {
	for _, l := range lines {
		if l == nil {
			continue
		}
		if tcp, ok := l.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		l.Close()
	}
}

// trip sends one request and reads its answer.
func (l *line) trip() error {
	l.mark++
	l.req.mark(l.mark)
	if _, err := l.Write(l.req.bytes); err != nil {
		return err
	}
	return l.got.next(l.Conn, l.req.path)
}

// run keeps every connection busy for the warm-up and the window.
func (c *client) run(o order) outcome {
	lines, err := c.dial(o.Address, o.Conns, o.Kind[0])
	if err != nil {
		return outcome{Errors: 1, First: err.Error()}
	}
	var (
		f     fault
		right atomic.Int64
		mu    sync.Mutex
		all   histogram
		wg    sync.WaitGroup
	)
	began := time.Now()
	warm, end := began.Add(o.Warm), began.Add(o.Warm+o.Window)
	for _, l := range lines {
		wg.Go(func() {
			_ = l.SetDeadline(end.Add(patience)) // without it a lost answer is waited for by our parent
			var h histogram
			n := int64(0)
			for now := time.Now(); now.Before(end); {
				if err := l.trip(); err != nil {
					f.add(err)
					break
				}
				done := time.Now()
				if n++; !done.Before(warm) && done.Before(end) {
					h.add(int64(done.Sub(now)))
				}
				now = done
			}
			right.Add(n)
			mu.Lock()
			defer mu.Unlock()
			all.merge(&h)
		})
	}
	wg.Wait()
	hangUp(lines)
	return f.into(outcome{Right: right.Load(), Window: int64(all.n), P50: time.Duration(all.quantile(0.5)), P99: time.Duration(all.quantile(0.99)), Max: time.Duration(all.max)})
}

// once sends one request on each of the held connections.
func (c *client) once() outcome {
	var f fault
	var right atomic.Int64
	spread(len(c.held), func(i int) {
		l := c.held[i]
		_ = l.SetDeadline(time.Now().Add(patience))
		if err := l.trip(); err != nil {
			f.add(err)
			return
		}
		right.Add(1)
	})
	return f.into(outcome{Right: right.Load()})
}
