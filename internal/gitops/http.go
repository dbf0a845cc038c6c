package gitops

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/tealops/teal/internal/release"
)

// httpSource speaks the smart HTTP protocol: a look is one request for the references
// that are followed, on a connection that is kept; a pack comes through go-git, with two
// requests more.
type httpSource struct {
	cfg    Config
	url    string
	lister lister // used by one look at a time

	mu     sync.Mutex
	client *http.Client // guarded by mu; made anew when the CA file changes
	ca     []byte       // what client trusts beside the system; guarded by mu
}

// The most that is read of answers other than packs.
const (
	advertisedMax = 32 << 20 // about 400,000 references
	refusalMax    = 8 << 10
)

func (s *httpSource) look(ctx context.Context) (visit, error) {
	client, err := s.connect()
	if err != nil {
		return nil, err
	}
	auth, err := s.credentials()
	if err != nil {
		return nil, err
	}
	return &httpVisit{from: s, client: client, auth: auth, secrets: secretsOf(auth)}, nil
}

// open asks for the list of all references, as protocol 0 has it: what go-git needs
// before it asks for a pack, and the only way with servers that speak no other.
func (v *httpVisit) open(ctx context.Context) error {
	if v.session != nil {
		return nil
	}
	endpoint, err := transport.NewEndpoint(v.from.url)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	session, err := githttp.NewClient(v.client).NewUploadPackSession(endpoint, v.auth)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		refs = packp.NewAdvRefs()
	case err != nil:
		_ = session.Close()
		return fmt.Errorf("list the branches of %s: %w", v.from.url, err)
	}
	v.advertised, v.session, v.can = advertised{refs.References, refs.Peeled}, session, refs.Capabilities
	return nil
}

func (v *httpVisit) tips(ctx context.Context, what ask) (map[string]tip, error) {
	list, err := v.list(ctx, what)
	return list, v.secrets.hide(err)
}

func (v *httpVisit) list(ctx context.Context, what ask) (map[string]tip, error) {
	auth, _ := v.auth.(githttp.AuthMethod) // nil without
	list, err := v.from.lister.list(ctx, v.client, auth, v.from.url, what, time.Now())
	known := (*Error)(nil)
	switch {
	case err == nil:
		return list.tips(ctx, what)
	case errors.As(err, &known):
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("list the branches of %s: %w", v.from.url, context.Cause(ctx))
	}
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	return v.advertised.tips(ctx, what)
}

// connect gives the HTTP client, with the CA file as it is now.
func (s *httpSource) connect() (*http.Client, error) {
	var ca []byte
	if s.cfg.CAFile != "" {
		err := onlyOurs(s.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read caFile: %w", err)
		}
		if ca, err = readBounded(s.cfg.CAFile, 4<<20); err != nil {
			return nil, fmt.Errorf("read caFile: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && bytes.Equal(ca, s.ca) {
		return s.client, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, refuse(release.RepoUnreachable, "caFile %s holds no PEM certificate", s.cfg.CAFile)
		}
		trust.RootCAs = pool
	}
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.ca = ca
	s.client = &http.Client{Transport: &boundedTransport{
		pack: s.cfg.Limits.Pack,
		next: &http.Transport{
			Proxy:                  s.proxy,
			OnProxyConnectResponse: proxyAnswered,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        trust,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  s.cfg.Timeout,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           2,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
	}}
	return s.client, nil
}

func (s *httpSource) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
}

// credentials reads the files anew, so that a rotated token needs no restart.
func (s *httpSource) credentials() (transport.AuthMethod, error) {
	switch {
	case s.cfg.TokenFile != "":
		token, err := readSecret("tokenFile", s.cfg.TokenFile)
		if err != nil {
			return nil, err
		}
		return &githttp.TokenAuth{Token: token}, nil
	case s.cfg.UsernameFile != "":
		user, err := readSecret("usernameFile", s.cfg.UsernameFile)
		if err != nil {
			return nil, err
		}
		password, err := readSecret("passwordFile", s.cfg.PasswordFile)
		if err != nil {
			return nil, err
		}
		return &githttp.BasicAuth{Username: user, Password: password}, nil
	}
	return nil, nil
}

// readSecret reads one line that only its owner and group may read.
func readSecret(field, path string) (string, error) {
	fail := func(err error) (string, error) {
		return "", &Error{Code: release.RepoAuthRefused, Detail: "read " + field, Err: err}
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail(err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fail(fmt.Errorf("%s is open to everybody (mode %04o); run chmod o= on it", path, info.Mode().Perm()))
	}
	data, err := readBounded(path, 64<<10)
	if err != nil {
		return fail(err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return fail(fmt.Errorf("%s does not hold exactly one line", path))
	}
	return secret, nil
}

func readBounded(path string, max int64) ([]byte, error) {
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, max)
	}
	return data, err
}

type httpVisit struct {
	advertised // after open
	from       *httpSource
	client     *http.Client
	auth       transport.AuthMethod
	secrets    secrets                     // of auth
	session    transport.UploadPackSession // nil before open
	can        *capability.List
}

func (v *httpVisit) close() {
	if v.session != nil {
		_ = v.session.Close()
	}
}

func (v *httpVisit) pack(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash, _ func(plumbing.Hash) bool) error {
	return v.secrets.hide(v.download(ctx, w, wants, haves))
}

func (v *httpVisit) download(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash) error {
	if err := v.open(ctx); err != nil {
		return err
	}
	req := packp.NewUploadPackRequestFromCapabilities(v.can)
	if v.can.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return fmt.Errorf("ask for a pack: %w", err)
		}
	}
	req.Wants, req.Haves = wants, haves
	res, err := v.session.UploadPack(ctx, req)
	if err != nil {
		return fmt.Errorf("ask for a pack: %w", err)
	}
	defer res.Close()
	var body io.Reader = res
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		body = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		body = sideband.NewDemuxer(sideband.Sideband, res)
	}
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("download pack: %w", err)
	}
	return nil
}

// boundedTransport bounds every answer's body: go-git reads lists of references and
// error pages to their end.
type boundedTransport struct {
	next http.RoundTripper
	pack int64
}

func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := int64(advertisedMax)
	switch {
	case res.StatusCode/100 != 2:
		// An error page is only shown, so its end may be cut off.
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, refusalMax), res.Body}
		return res, nil
	case strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		limit = t.pack + t.pack/64 + 1<<20 // frames and progress around the pack
	}
	res.Body = &boundedBody{ReadCloser: res.Body, left: limit, limit: limit}
	return res, nil
}

func (t *boundedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type boundedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &tooLargeError{"the server's answer", b.limit}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
