package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/tealops/teal/internal/proxy/h1"
)

// Reasons for ending a request.
var errCut = errors.New("cut at the end of the drain")

// patience is how long a client may stand still.
type patience struct {
	body   time.Duration // and send nothing of a body
	answer time.Duration // and take nothing of an answer
}

var usualPatience = patience{body: time.Minute, answer: time.Minute}

type flightKey struct{}

func flightOf(ctx context.Context) *flight {
	f, _ := ctx.Value(flightKey{}).(*flight)
	return f
}

// forward sends the request to its set and the answer to the client.
func (p *Proxy) forward(w http.ResponseWriter, rc *http.ResponseController, r *http.Request, f *flight) {
	ctx, cancel := context.WithCancelCause(r.Context())
	f.cancel = cancel
	f.begin()
	defer f.end()
	a := &answer{ResponseWriter: w, rc: rc, flight: f, proxy: p}
	defer a.done()
	r = r.WithContext(context.WithValue(ctx, flightKey{}, f))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &clientBody{ReadCloser: r.Body, rc: rc, flight: f, idle: p.patience.body}
	}
	p.reverse.ServeHTTP(a, r)
}

// newReverse is what carries requests over. It knows nothing of apps: a request's
// flight says where it goes.
func newReverse(log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      transport{},
		ModifyResponse: watchAnswer,
		ErrorHandler:   answerError,
		BufferPool:     buffers{},
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// transport sends a request to a replica of its service, and to another one when no
// connection came about.
type transport struct{}

func (transport) RoundTrip(req *http.Request) (*http.Response, error) {
	f := flightOf(req.Context())
	svc := f.set.services[f.route.Service]
	through := f.set.through(req)
	var tried *replica
	for {
		to := svc.least(tried, time.Now())
		f.on(to)
		one := req
		if req.Body != nil {
			// The transport closes the body when it has no connection; it is still
			// wanted then. Whoever gave it closes it.
			one = req.WithContext(req.Context())
			one.Body = io.NopCloser(req.Body)
		}
		one.URL.Host = to.address
		resp, err := through.RoundTrip(one)
		var dial *dialError
		if err == nil || !errors.As(err, &dial) || req.Context().Err() != nil {
			return resp, err
		}
		to.avoid.Store(time.Now().Add(avoidFor).UnixNano())
		if tried != nil || len(svc.replicas) == 1 {
			return nil, err
		}
		tried = to
	}
}

// through picks the connections for a request: kept ones only when it may go out twice,
// since net/http sends it again when a kept connection turns out closed.
func (s *set) through(req *http.Request) *http.Transport {
	switch {
	case req.Header.Get("Upgrade") != "":
		return s.tunnels
	case req.Body == nil && (req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions):
		return s.pooled
	}
	return s.single
}

// watchAnswer marks the flight when the target breaks the answer off.
func watchAnswer(resp *http.Response) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &targetBody{resp.Body, flightOf(resp.Request.Context()), resp.Request.Context()}
	}
	return nil
}

type targetBody struct {
	io.ReadCloser
	flight *flight
	ctx    context.Context // the request's; ended means that it was not the target
}

func (b *targetBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() == nil {
		b.flight.broken.Store(true)
	}
	return n, err
}

// clientBody bounds how long a client may be silent in the middle of a body.
type clientBody struct {
	io.ReadCloser
	rc     *http.ResponseController
	flight *flight
	idle   time.Duration
}

func (b *clientBody) Read(p []byte) (int, error) {
	_ = b.rc.SetReadDeadline(time.Now().Add(b.idle))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.rc.SetReadDeadline(time.Time{}) // the server itself reads on, to see the client leave
		if err != io.EOF {
			b.flight.client.Store(&err)
		}
	}
	return n, err
}

// answerError answers for a target that did not.
func answerError(w http.ResponseWriter, r *http.Request, err error) {
	a, ok := w.(*answer)
	if !ok || a.wrote {
		panic(http.ErrAbortHandler) // too late to say anything
	}
	f := a.flight
	var timeout net.Error
	status, text := http.StatusBadGateway, "the app does not answer"
	switch client := f.clientError(); {
	case context.Cause(r.Context()) == errCut:
		status, text = http.StatusGatewayTimeout, "the app did not finish before it was stopped"
	case errors.As(client, &timeout) && timeout.Timeout(): // the server takes it for the client's end as well
		status, text = http.StatusRequestTimeout, "the request's body stopped coming"
	case r.Context().Err() != nil:
		f.set.counters.aborted.Add(1)
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	case client != nil:
		status, text = http.StatusBadRequest, "the request's body is broken"
	case errors.As(err, &timeout) && timeout.Timeout():
		status, text = http.StatusGatewayTimeout, "the app does not answer in time"
	}
	a.own = true
	a.proxy.log.Debug("request not answered by the app", "app", f.gen.app, "colour", f.set.colour, "service", f.route.Service, "status", status, "request_id", f.id, "err", err)
	w.Header().Set("Connection", "close")
	refuse(w, status, text, "")
}

// buffers are what answers are copied through.
type buffers struct{}

const bufferSize = 32 << 10

var bufferPool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func (buffers) Get() []byte  { return bufferPool.Get().(*[bufferSize]byte)[:] }
func (buffers) Put(b []byte) { bufferPool.Put((*[bufferSize]byte)(b)) }

// rewrite makes the request that the target gets.
func rewrite(pr *httputil.ProxyRequest) {
	f := flightOf(pr.In.Context())
	out := pr.Out
	out.URL.Scheme, out.URL.User = "http", nil
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery // as the client wrote it
	out.Trailer = pr.In.Trailer                                                     // is filled while the body is read
	for name := range out.Header {
		if h1.ClaimedName(name) {
			delete(out.Header, name)
		}
	}
	pr.SetXForwarded()
	if f.route.StripPath {
		strip(out.URL, f.route.Path)
		if prefix := strings.TrimSuffix(f.route.Path, "/"); prefix != "" {
			out.Header.Set("X-Forwarded-Prefix", prefix)
		}
	}
	out.Header.Set("X-Request-Id", f.id)
	// Another protocol than WebSocket would be a tunnel around the choice of routes:
	// h2c carries further requests.
	if up := out.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") {
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	out.Header.Del("Http2-Settings")
}
