package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Client talks to an agent's control socket. Its calls share connections.
type Client struct {
	// Trace is the trace id that every request carries; empty: none.
	Trace string
	// Called, when set, is told of every request once its head has been answered or not.
	Called func(Call)

	socket string
	http   *http.Client
}

// Call is one request that was made.
type Call struct {
	Method, Path string        // Path with its query; nothing in it is secret
	Status       int           // 0: there was no answer
	Took         time.Duration // until the answer's head
	Err          error
}

// ErrUnreachable wraps every failure to talk to the agent at all.
var ErrUnreachable = errors.New("the agent does not answer")

// NewClient makes a client of the socket at path. It connects with the first call.
func NewClient(path string) *Client {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}}}
}

// maxReply bounds a reply that is read whole.
const maxReply = 64 << 20

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	u := url.URL{Scheme: "http", Host: "teal", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), in)
	if err != nil {
		return nil, err
	}
	if c.Trace != "" {
		req.Header.Set(traceHeader, traceparent(c.Trace))
	}
	began := time.Now()
	resp, err := c.http.Do(req)
	if c.Called != nil {
		call := Call{Method: method, Path: u.RequestURI(), Took: time.Since(began), Err: err}
		if resp != nil {
			call.Status = resp.StatusCode
		}
		c.Called(call)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w on %s: %w; is teal-agent running? see systemctl status teal-agent", ErrUnreachable, c.socket, errors.Unwrap(err))
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		f := &Failure{}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(f); err != nil || f.Text == "" {
			return nil, fmt.Errorf("the agent answered %s", resp.Status)
		}
		return nil, f
	}
	return resp, nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, reply any) error {
	resp, err := c.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(reply); err != nil {
		return fmt.Errorf("read the agent's reply: %w", err)
	}
	return nil
}

// Status asks how the host stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", nil, &s)
}

// Explain asks why an app stands where it stands.
func (c *Client) Explain(ctx context.Context, app string) (e Explanation, err error) {
	return e, c.get(ctx, "/v1/explain", url.Values{"app": {app}}, &e)
}

// History lists deployments, newest first; app "" means all. A since that is not zero
// leaves out those that had ended by then.
func (c *Client) History(ctx context.Context, app string, n int, since time.Time) (h History, err error) {
	q := url.Values{"app": {app}, "n": {strconv.Itoa(n)}}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339))
	}
	return h, c.get(ctx, "/v1/history", q, &h)
}

// Plan asks what would be done.
func (c *Client) Plan(ctx context.Context, app string) (p Plan, err error) {
	return p, c.get(ctx, "/v1/plan", url.Values{"app": {app}}, &p)
}

// Secrets lists what the host adds to an app; app "" means all.
func (c *Client) Secrets(ctx context.Context, app string) (s Secrets, err error) {
	return s, c.get(ctx, "/v1/secrets", url.Values{"app": {app}}, &s)
}

// Version asks for the agent's version and who it takes us for.
func (c *Client) Version(ctx context.Context) (a About, err error) {
	return a, c.get(ctx, "/v1/version", nil, &a)
}

// Do carries out an operator's verb.
func (c *Client) Do(ctx context.Context, verb string, cmd Command) (d Done, err error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/"+verb, nil, cmd)
	if err != nil {
		return d, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(&d); err != nil {
		return d, fmt.Errorf("read the agent's reply: %w", err)
	}
	return d, nil
}

// Events calls yield for each journal record after seq, until ctx ends when follow.
func (c *Client) Events(ctx context.Context, app string, since uint64, follow bool, yield func(Event) error) error {
	q := url.Values{"app": {app}, "since": {strconv.FormatUint(since, 10)}}
	if follow {
		q.Set("follow", "1")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxReply) // a checkpoint is one event
	for lines.Scan() {
		var e struct {
			Event
			Error string `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if e.Error != "" { // a failure ends the stream
			f := &Failure{}
			return errors.Join(json.Unmarshal(lines.Bytes(), f), f)
		}
		if err := yield(e.Event); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return lines.Err()
}

// Logs copies container logs to w.
func (c *Client) Logs(ctx context.Context, l LogQuery, w io.Writer) error {
	q := url.Values{"app": {l.App}, "service": {l.Service}, "colour": {string(l.Colour)}, "tail": {strconv.Itoa(l.Tail)}}
	if l.Follow {
		q.Set("follow", "1")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/logs", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}
