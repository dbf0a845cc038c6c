package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// client makes requests; dial is replaced in tests.
type client struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

var direct = client{dial: (&net.Dialer{}).DialContext}

const (
	maxHeader = 64 << 10 // of an answer
	maxShown  = 200      // bytes of outside text in a detail
)

// question is one request.
type question struct {
	method, address, path, host string
	timeout                     time.Duration
}

// ask sends the question on a connection of its own and has judge look at the answer
// while the time lasts.
func (c client) ask(ctx context.Context, q question, judge func(*http.Response) (rollout.ProbeResult, string)) (rollout.ProbeResult, string) {
	if ctx.Err() != nil {
		return rollout.Error, "not asked: " + context.Cause(ctx).Error()
	}
	within, cancel := context.WithTimeoutCause(ctx, q.timeout, errLate)
	defer cancel()
	req, err := q.request(within)
	if err != nil {
		return rollout.Error, err.Error()
	}
	transport := &http.Transport{DialContext: c.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req) // one request: no redirect, no cookie
	if err != nil {
		if ctx.Err() != nil {
			return rollout.Error, "not asked to the end: " + context.Cause(ctx).Error()
		}
		if ours(err) {
			return rollout.Error, "could not ask: " + shown([]byte(err.Error()))
		}
		return rollout.Fail, reason(within, err) + q.late(within)
	}
	defer resp.Body.Close()
	result, text := judge(resp)
	if result != rollout.Pass && ctx.Err() != nil {
		return rollout.Error, "not asked to the end: " + context.Cause(ctx).Error()
	}
	return result, text
}

func (q question) request(ctx context.Context) (*http.Request, error) {
	if q.path == "" {
		q.path = "/"
	}
	u, err := url.ParseRequestURI(q.path)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return nil, fmt.Errorf("%s is no path", shown([]byte(q.path)))
	}
	u.Scheme, u.Host = "http", q.address
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if q.host != "" {
		req.Host = q.host
	}
	req.Header.Set("User-Agent", "teal")
	return req, nil
}

// late says how long was waited, when that is why there is no answer.
func (q question) late(within context.Context) string {
	if errors.Is(context.Cause(within), errLate) {
		return fmt.Sprintf(" (%s)", q.timeout)
	}
	return ""
}

// ours reports whether a failure to connect is this host's own: then nothing was
// measured.
func ours(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return true
	}
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EPERM, syscall.ENETUNREACH} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// hungUp is how net/http says that the connection ended before the request was sent;
// it exports no value for it, and nothing but the words shown depends on it.
const hungUp = "http: server closed idle connection"

// reason is why no good answer came, for people.
func reason(within context.Context, err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(context.Cause(within), errLate):
		return errLate.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "nothing answers at this address"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err.Error() == hungUp:
		return "the connection ended without an answer"
	}
	if what, bad := strings.CutPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: "); bad {
		return "not an HTTP answer: " + shown([]byte(strings.TrimPrefix(what, "net/http: ")))
	}
	return shown([]byte(err.Error()))
}

// shown makes text from outside fit for one line, cut.
func shown(b []byte) string {
	if len(b) > maxShown {
		return trust.Escape(string(b[:maxShown])) + "…"
	}
	return trust.Escape(string(b))
}
