package proxy

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

	"github.com/tealops/teal/internal/vocab"
)

var (
	// ErrUnknownApp is the answer for an app that was never put, or was removed.
	ErrUnknownApp = errors.New("the proxy does not know the app")
	// ErrUnreachable wraps every failure to talk to the proxy at all.
	ErrUnreachable = errors.New("the proxy does not answer")

	errSilent = errors.New("the event stream fell silent")
)

// Failure is a refusal in the proxy's own words.
type Failure struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Text    string `json:"error"`
	Current uint64 `json:"current,omitempty"` // stale_generation, different_generation: what the proxy is at
	App     string `json:"app,omitempty"`     // route_taken: who has it
}

func (f *Failure) Error() string { return f.Text }

// Codes of a Failure that a caller may branch on.
const (
	codeStale      = "stale_generation"
	codeDifferent  = "different_generation"
	codeUnknown    = "unknown_app"
	codeRouteTaken = "route_taken"
	codeBad        = "bad_request"
	codeForbidden  = "not_authorised"
	codeLive       = "colour_is_live"
)

// Client steers a proxy over its control socket.
type Client struct {
	socket string
	http   *http.Client
}

const (
	maxReply  = 16 << 20
	keepAlive = 5 * time.Second // between two lines of the event stream, when nothing happens
	silence   = 3 * keepAlive   // without any line: the proxy hangs
)

// Dial makes a client of the control socket at path. It connects with the first call.
func Dial(path string) *Client {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
		MaxIdleConns:    4,
		IdleConnTimeout: 30 * time.Second,
	}}}
}

// Put replaces all that the proxy knows of an app. It returns when the new
// configuration is durable, serves, and every request of the one before has its
// response head (at most a second later). A generation that the proxy is past gives a
// *StaleError, a route that another app has a *Failure that names it. Putting the same
// again is success.
//
// instead names apps whose place this one takes: what the proxy has of them is gone with
// the same swap, their routes are free for this one, and what is in flight on their targets
// goes on as this one's. Those that are not there are passed over; the generation must be
// above that of each that is.
func (c *Client) Put(ctx context.Context, app string, a App, instead ...string) (s Switched, err error) {
	return s, c.call(ctx, http.MethodPut, appPath(app), putRequest{a, instead}, &s)
}

// App is what the proxy serves for an app; ErrUnknownApp when nothing.
func (c *Client) App(ctx context.Context, app string) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, appPath(app), nil, &s)
}

// Apps is what the proxy serves, by app.
func (c *Client) Apps(ctx context.Context) (apps map[string]Status, err error) {
	return apps, c.call(ctx, http.MethodGet, "/v1/apps", nil, &apps)
}

// Remove takes an app's routes away; what runs goes on. An app that is not there is
// success.
func (c *Client) Remove(ctx context.Context, app string) error {
	err := c.call(ctx, http.MethodDelete, appPath(app), nil, &struct{}{})
	if errors.Is(err, ErrUnknownApp) {
		return nil
	}
	return err
}

// Drain waits until the colour has nothing in flight, at most http for requests and
// websocket for upgraded connections, then cuts what is left. Ending ctx stops the
// waiting and cuts nothing. The live colour is refused.
func (c *Client) Drain(ctx context.Context, app string, colour vocab.Colour, http, websocket time.Duration) (d Drained, err error) {
	return d, c.call(ctx, "POST", appPath(app)+"/drain", drainRequest{Colour: colour, HTTP: http.String(), WebSocket: websocket.String()}, &d)
}

// Health is nil when the proxy serves and its state is on disk.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/healthz", nil, &struct {
		Status string `json:"status"`
	}{})
}

// Events calls do for each event after since, the kept ones first (0: all of them),
// until ctx ends, do fails or the stream breaks. Call it again with the last Seq.
func (c *Client) Events(ctx context.Context, since uint64, do func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	resp, err := c.send(ctx, http.MethodGet, "/v1/events?since="+strconv.FormatUint(since, 10), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		quiet.Reset(silence)
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue // keeps the stream alive
		}
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read the proxy's events: %w", err)
		}
		if err := do(e); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the proxy's events: %w", err)
	}
	return fmt.Errorf("read the proxy's events: %w", io.ErrUnexpectedEOF)
}

func appPath(app string) string { return "/v1/apps/" + url.PathEscape(app) }

func (c *Client) call(ctx context.Context, method, path string, body, reply any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(reply); err != nil {
		return fmt.Errorf("read the proxy's reply: %w", err)
	}
	return nil
}

// send makes one request; the reply's body is open when it is a good one.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://teal-proxy"+path, in)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("%w on %s: %w; is teal-proxy running? see systemctl status teal-proxy", ErrUnreachable, c.socket, errors.Unwrap(err))
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	f := &Failure{Status: resp.StatusCode}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(f); err != nil || f.Text == "" {
		return nil, fmt.Errorf("the proxy answered %s", resp.Status)
	}
	switch f.Code {
	case codeStale, codeDifferent:
		return nil, &StaleError{Current: f.Current, Different: f.Code == codeDifferent}
	case codeUnknown:
		return nil, ErrUnknownApp
	}
	return nil, f
}

// putRequest is the body of a put.
type putRequest struct {
	App
	Instead []string `json:"instead,omitempty"`
}

// drainRequest is the body of a drain. Durations are written with units.
type drainRequest struct {
	Colour    vocab.Colour `json:"colour"`
	HTTP      string       `json:"http"`
	WebSocket string       `json:"websocket"`
}
