package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// DefaultTimeout bounds one call, everything in it included.
const DefaultTimeout = 30 * time.Second

const (
	maxRedirects = 5
	maxHead      = 64 << 10 // bytes of a response's head
)

// Config says how to reach registries. The zero value reads the credentials of the
// user that the process runs as.
type Config struct {
	// DockerConfig is the directory of the config.json with registry credentials and
	// helpers; "" is Docker's own default.
	DockerConfig string
	// Timeout bounds one call; 0 means DefaultTimeout.
	Timeout time.Duration
	// Transport carries the requests; nil is one with the system's certificates and
	// proxies. Tests put theirs here.
	Transport http.RoundTripper
}

// Client reads from registries. It may be used from any goroutine.
type Client struct {
	cfg    Config
	asking chan struct{} // capacity one: a credential helper at a time
}

// New makes a Client and starts nothing.
func New(cfg Config) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  15 * time.Second,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConnsPerHost:    2,
			MaxResponseHeaderBytes: maxHead,
			DisableCompression:     true, // sizes are those of the bytes that were hashed
			ForceAttemptHTTP2:      true,
		}
	}
	return &Client{cfg: cfg, asking: make(chan struct{}, 1)}
}

var errTooSlow = errors.New("the registry took too long")

// bounded is ctx with the call's deadline.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("%w (%s)", errTooSlow, c.cfg.Timeout))
}

// session reads from one repository, logged in.
type session struct {
	http *http.Client
	repo name.Repository
}

// open logs in to an image's registry.
func (c *Client) open(ctx context.Context, repo name.Repository) (*session, error) {
	auth, err := c.credentials(ctx, repo.Registry)
	if err != nil {
		return nil, err
	}
	carrier, err := transport.NewWithContext(ctx, repo.Registry, auth, guard{c.cfg.Transport}, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %w", repo.RegistryStr(), told(ctx, err))
	}
	return &session{repo: repo, http: &http.Client{Transport: carrier, CheckRedirect: follow}}, nil
}

// follow lets a registry hand blobs over to a store elsewhere, a few times. The
// transport adds credentials only for the registry's own host.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("a redirect leads away from TLS")
	}
	return nil
}

// guard keeps every request, whoever asked for it (a login, a token service, a
// redirect), on TLS or on this machine.
type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !loopback(req.URL.Hostname()) {
		return nil, fmt.Errorf("%s is not asked without TLS", req.URL.Host)
	}
	return g.next.RoundTrip(req)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
