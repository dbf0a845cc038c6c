package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tealops/teal/internal/trust"
)

// maxManifest is what registries and engines agree a manifest may have, in bytes.
const maxManifest = 4 << 20

var (
	// errAbsent says that the registry has no such thing. For what a list names it is a
	// thing withheld, which a registry can always do.
	errAbsent = errors.New("not there")
	// ErrDigest says that the registry sent other bytes than were asked for.
	ErrDigest = errors.New("the bytes do not have the digest that was asked for")
)

// tooLargeError says that there is more than this package reads.
type tooLargeError struct{ what string }

func (e *tooLargeError) Error() string { return e.what }

func tooLarge(format string, args ...any) error {
	return &tooLargeError{fmt.Sprintf(format, args...)}
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

const acceptManifests = typeOCIManifest + ", " + typeOCIIndex + ", " + typeDockerManifest + ", " + typeDockerIndex

// manifest reads a manifest by digest, and proves that it is that one.
func (s *session) manifest(ctx context.Context, digest string) ([]byte, error) {
	return s.proven(ctx, "manifests", digest, acceptManifests, maxManifest)
}

// blob reads a blob by digest, and proves that it is that one.
func (s *session) blob(ctx context.Context, digest string, max int64) ([]byte, error) {
	return s.proven(ctx, "blobs", digest, "", max)
}

func (s *session) proven(ctx context.Context, kind, digest, accept string, max int64) ([]byte, error) {
	if !digestForm.MatchString(digest) {
		return nil, fmt.Errorf("read %s %s: not a SHA-256 digest", kind, trust.Escape(digest))
	}
	data, _, err := s.get(ctx, s.url(kind, digest), accept, max)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, digest, err)
	}
	if digestOf(data) != digest {
		return nil, fmt.Errorf("read %s %s: %w", kind, digest, ErrDigest)
	}
	return data, nil
}

// tagged reads a manifest by tag. Nothing proves whose it is.
func (s *session) tagged(ctx context.Context, tag string) ([]byte, error) {
	data, _, err := s.get(ctx, s.url("manifests", tag), acceptManifests, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("read tag %s: %w", tag, err)
	}
	return data, nil
}

func (s *session) url(kind, ref string) *url.URL {
	return &url.URL{Scheme: s.repo.Scheme(), Host: s.repo.RegistryStr(), Path: "/v2/" + s.repo.RepositoryStr() + "/" + kind + "/" + ref}
}

// page is what a response says beside its body.
type page struct {
	mediaType string // without parameters
	link      string // of the Link header, unread
}

// get makes one request and reads a bounded answer. Any answer but 200 and "there is
// none" is an error that names its status and nothing else of what the server wrote.
func (s *session) get(ctx context.Context, u *url.URL, accept string, max int64) ([]byte, page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, page{}, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, page{}, told(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, page{}, errAbsent
	case resp.StatusCode != http.StatusOK:
		return nil, page{}, &statusError{resp.StatusCode}
	case resp.ContentLength > max:
		return nil, page{}, tooLarge("an answer of more than %d bytes", max)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, page{}, told(ctx, err)
	}
	if int64(len(data)) > max {
		return nil, page{}, tooLarge("an answer of more than %d bytes", max)
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	return data, page{mediaType, resp.Header.Get("Link")}, nil
}

// statusError is an answer that is neither the thing nor its absence.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("the registry answers %d %s", e.status, http.StatusText(e.status))
}

// told makes an error fit to be shown: one line, without what a server wrote as it
// stands, and a deadline in our words.
func told(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &shownError{trust.Escape(err.Error()), err}
}

type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hexOf is a digest's hex part.
func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }
