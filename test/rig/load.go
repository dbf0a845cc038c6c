package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is a client that never retries and counts every outcome. Refused, reset, short
// and late answers count as failed; a 5xx of the app's own counts as an error.
type Load struct {
	front string
	stop  context.CancelFunc
	done  sync.WaitGroup

	Sent, Good, Errors, Failed atomic.Int64
	InFlight, SlowInFlight     atomic.Int64

	mu       sync.Mutex // guards the rest
	trace    []Trip
	tracing  bool
	versions map[string]int64
	failures []string
	firstBad time.Time // of the present run of bad answers
	lastBad  time.Time
	latest   string
}

// Trip is one request as the client saw it, and what the proxy stamped on its answer
// (teal-proxy -expose).
type Trip struct {
	Begin, End time.Time
	Slow       bool
	Generation uint64    // the generation that the proxy chose
	Chosen     time.Time // when it chose
}

// LoadShape says how much of what.
type LoadShape struct {
	Fast    int // loops of short GETs
	Posts   int // loops of POSTs
	Slow    int // loops of answers that take SlowFor
	SlowFor time.Duration
	Pause   time.Duration // between two requests of a loop
	Late    time.Duration // an answer slower than this (plus SlowFor) is failed; default 5 s
	Trace   bool          // keep every Trip
}

// StartLoad begins to send until Stop.
func (r *Rig) StartLoad(shape LoadShape) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{front: r.Front, stop: cancel, versions: map[string]int64{}, tracing: shape.Trace}
	if shape.Late == 0 {
		shape.Late = 5 * time.Second
	}
	// Loops of one kind begin spread over the time that a request of theirs takes: else
	// they would end together, and between two rounds nothing would be in flight.
	loop := func(n int, takes time.Duration, one func(*http.Client)) {
		for i := range n {
			l.done.Go(func() {
				select {
				case <-ctx.Done():
					return
				case <-time.After(takes * time.Duration(i) / time.Duration(n)):
				}
				c := &http.Client{Transport: &http.Transport{DialContext: r.dial, MaxIdleConnsPerHost: 1, DisableCompression: true},
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				defer c.CloseIdleConnections()
				for ctx.Err() == nil {
					one(c)
					select {
					case <-ctx.Done():
					case <-time.After(shape.Pause):
					}
				}
			})
		}
	}
	loop(shape.Fast, shape.Pause, func(c *http.Client) { l.request(c, http.MethodGet, "/work", nil, shape.Late) })
	loop(shape.Posts, shape.Pause, func(c *http.Client) {
		l.request(c, http.MethodPost, "/order", strings.NewReader(strings.Repeat("x", 512)), shape.Late)
	})
	loop(shape.Slow, shape.SlowFor+shape.Pause, func(c *http.Client) {
		l.SlowInFlight.Add(1)
		l.request(c, http.MethodGet, fmt.Sprintf("/slow?ms=%d", shape.SlowFor.Milliseconds()), nil, shape.Late+shape.SlowFor)
		l.SlowInFlight.Add(-1)
	})
	return l
}

// request sends one request. It runs to its end even when the load stops: what was
// sent is counted.
func (l *Load) request(c *http.Client, method, path string, body io.Reader, late time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), late)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+l.front+path, body)
	if err != nil {
		l.fail(err.Error())
		return
	}
	req.Host = Host
	req.GetBody = nil // net/http must not send a body twice
	tries := 0
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries++ }}))
	l.Sent.Add(1)
	l.InFlight.Add(1)
	defer l.InFlight.Add(-1)
	begin := time.Now()
	resp, err := c.Do(req)
	if tries > 1 { // net/http itself tried again: the first try failed
		l.fail(method + " " + path + ": the connection was closed under the request")
		if err == nil {
			resp.Body.Close()
		}
		return
	}
	if err != nil {
		l.fail(method + " " + path + ": " + err.Error())
		return
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if l.tracing {
		l.record(begin, strings.HasPrefix(path, "/slow"), resp.Header)
	}
	switch {
	case err != nil:
		l.fail(fmt.Sprintf("%s %s: short answer after %d bytes: %v", method, path, n, err))
	case resp.StatusCode >= 500 && resp.Header.Get("Shop-Version") == "":
		l.fail(fmt.Sprintf("%s %s: the proxy answered %s", method, path, resp.Status))
	case resp.StatusCode >= 500:
		l.Errors.Add(1)
		l.bad()
	default:
		l.Good.Add(1)
		l.good(resp.Header.Get("Shop-Version"))
	}
}

func (l *Load) record(begin time.Time, slow bool, h http.Header) {
	generation, gerr := strconv.ParseUint(h.Get("Teal-Generation"), 10, 64)
	chosen, cerr := strconv.ParseInt(h.Get("Teal-Chosen"), 10, 64)
	trip := Trip{Begin: begin, End: time.Now(), Slow: slow}
	if gerr == nil && cerr == nil {
		trip.Generation, trip.Chosen = generation, time.Unix(0, chosen)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trace = append(l.trace, trip)
}

// Trips are the traced requests so far.
func (l *Load) Trips() []Trip {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Trip(nil), l.trace...)
}

func (l *Load) fail(why string) {
	l.Failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 20 {
		l.failures = append(l.failures, time.Now().UTC().Format("15:04:05.000 ")+why)
	}
}

func (l *Load) bad() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.firstBad.IsZero() {
		l.firstBad = now
	}
	l.lastBad = now
}

func (l *Load) good(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions[version]++
	l.latest = version
}

// Bad is when the first and the last error answer since Forget were seen.
func (l *Load) Bad() (first, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firstBad, l.lastBad
}

// Forget starts a new run of bad answers.
func (l *Load) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.firstBad, l.lastBad = time.Time{}, time.Time{}
}

// Latest is the version of the newest good answer.
func (l *Load) Latest() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// Failures are the first failures, in words.
func (l *Load) Failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.failures...)
}

// Stop ends the load and waits for what is in flight.
func (l *Load) Stop() {
	l.stop()
	l.done.Wait()
}
