package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/tealops/teal/internal/trust"
)

const (
	// maxAttached bounds the things attached to one image that are opened, and the
	// envelopes taken from them.
	maxAttached = 64
	// maxEnvelope and maxEnvelopes bound one envelope and all of an image, in bytes.
	maxEnvelope  = 16 << 20
	maxEnvelopes = 64 << 20
	// maxPages bounds the pages of a list of referrers.
	maxPages = 8
)

// Attached is what a registry holds about an image.
type Attached struct {
	Files []trust.AttestationFile // by manifest digest
	// TooLarge says what was more than is read; empty when nothing. Nothing can be
	// concluded from Files then: what was left out may be the scan that decides.
	TooLarge string
}

// Attestations reads the envelopes attached to an image (name@sha256:…): Sigstore
// bundles v0.3 and DSSE envelopes, at most 64, 16 MiB each, 64 MiB in all. What is
// listed and not there is left out; every other failure is an error, because what was
// not read may decide.
func (c *Client) Attestations(ctx context.Context, image string) (Attached, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	found, err := c.attestations(ctx, image)
	if large := (*tooLargeError)(nil); errors.As(err, &large) {
		return Attached{TooLarge: fmt.Sprintf("attestations of %s: %v", trust.Escape(image), err)}, nil
	}
	if err != nil {
		return Attached{}, fmt.Errorf("read attestations of %s: %w", trust.Escape(image), err)
	}
	return Attached{Files: found}, nil
}

func (c *Client) attestations(ctx context.Context, image string) ([]trust.AttestationFile, error) {
	ref, err := parse(image)
	if err != nil {
		return nil, err
	}
	s, err := c.open(ctx, ref.Context())
	if err != nil {
		return nil, err
	}
	w := &collector{s: s, image: ref.DigestStr(), opened: map[string]bool{}, taken: map[string]bool{}}
	tag := strings.Replace(w.image, ":", "-", 1)
	for _, step := range []func(context.Context) error{
		w.referrers,
		func(ctx context.Context) error { return w.fallback(ctx, tag) },
		func(ctx context.Context) error { return w.older(ctx, tag+".att") },
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w.files, nil
}

// collector gathers what is attached to one image, each thing once, however often it
// is listed.
type collector struct {
	s      *session
	image  string
	opened map[string]bool // manifests, by digest
	taken  map[string]bool // envelopes, by digest
	total  int64
	files  []trust.AttestationFile
}

// referrers asks the referrers API. A registry that has none answers in many ways.
func (w *collector) referrers(ctx context.Context) error {
	at := w.s.url("referrers", w.image)
	for range maxPages {
		data, page, err := w.s.get(ctx, at, typeOCIIndex, maxManifest)
		status := (*statusError)(nil)
		switch {
		case errors.Is(err, errAbsent), errors.As(err, &status) && (status.status == 400 || status.status == 405 || status.status == 406):
			return nil
		case err != nil:
			return fmt.Errorf("list referrers: %w", err)
		case page.mediaType != typeOCIIndex:
			return nil // a page for people
		}
		if err := w.index(ctx, data); err != nil {
			return err
		}
		next, err := w.next(at, page.link)
		if next == nil || err != nil {
			return err
		}
		at = next
	}
	return tooLarge("more than %d pages of referrers", maxPages)
}

var nextLink = regexp.MustCompile(`^<([^<>]+)>;\s*rel="?next"?$`)

// next is the following page, which must be of the same list.
func (w *collector) next(at *url.URL, link string) (*url.URL, error) {
	if link == "" {
		return nil, nil
	}
	m := nextLink.FindStringSubmatch(link)
	if m == nil {
		return nil, errors.New("list referrers: the link to the next page cannot be read")
	}
	next, err := at.Parse(m[1])
	if err != nil || next.Host != at.Host || next.Path != at.Path {
		return nil, errors.New("list referrers: the next page is said to be elsewhere")
	}
	next.Scheme, next.User = at.Scheme, nil
	return next, nil
}

// fallback reads the index that stands in for a referrers API.
func (w *collector) fallback(ctx context.Context, tag string) error {
	data, err := w.s.tagged(ctx, tag)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.index(ctx, data)
}

func (w *collector) index(ctx context.Context, data []byte) error {
	doc, index, err := parseDocument(data)
	if err != nil {
		return fmt.Errorf("list referrers: %w", err)
	}
	if !index {
		return nil // a tag of somebody's
	}
	for _, m := range *doc.Manifests {
		if w.opened[m.Digest] || m.MediaType == typeOCIIndex || m.MediaType == typeDockerIndex {
			continue
		}
		w.opened[m.Digest] = true
		if len(w.opened) > maxAttached {
			return tooLarge("more than %d things are attached", maxAttached)
		}
		if err := w.open(ctx, m.Digest); err != nil {
			return err
		}
	}
	return nil
}

// open looks into one attached manifest, whatever the list says of it.
func (w *collector) open(ctx context.Context, digest string) error {
	if !digestForm.MatchString(digest) {
		return nil // nothing that teal could prove
	}
	data, err := w.s.manifest(ctx, digest)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, index, err := parseDocument(data)
	if err != nil || index {
		return nil // its digest is proven: somebody attached what is no attestation
	}
	if doc.Subject != nil && doc.Subject.Digest != w.image {
		return nil
	}
	return w.layers(ctx, digest, doc)
}

// older reads cosign's tag of attestations, a manifest with an envelope a layer.
func (w *collector) older(ctx context.Context, tag string) error {
	data, err := w.s.tagged(ctx, tag)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, index, err := parseDocument(data)
	if err != nil {
		return fmt.Errorf("read tag %s: %w", tag, err)
	}
	if index {
		return nil
	}
	return w.layers(ctx, digestOf(data), doc)
}

// layers takes the envelopes of one manifest.
func (w *collector) layers(ctx context.Context, manifest string, doc document) error {
	whole := doc.ArtifactType == typeBundle || doc.ArtifactType == typeDSSE
	for i, l := range doc.Layers {
		if !whole && l.MediaType != typeBundle && l.MediaType != typeDSSE {
			continue
		}
		if w.taken[l.Digest] || !digestForm.MatchString(l.Digest) {
			continue // the same once more, or nothing that could be proven
		}
		if l.Size > maxEnvelope {
			return tooLarge("%s holds an envelope of more than %d MiB", manifest, maxEnvelope>>20)
		}
		if len(w.files) == maxAttached {
			return tooLarge("more than %d envelopes", maxAttached)
		}
		data, err := w.s.blob(ctx, l.Digest, maxEnvelope)
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		if w.total += int64(len(data)); w.total > maxEnvelopes {
			return tooLarge("the envelopes are more than %d MiB", maxEnvelopes>>20)
		}
		w.taken[l.Digest] = true
		name := manifest
		if len(doc.Layers) > 1 {
			name = fmt.Sprintf("%s#%d", manifest, i+1)
		}
		w.files = append(w.files, trust.AttestationFile{Source: trust.SourceRegistry, Name: name, Image: hexOf(w.image), Data: data})
	}
	return nil
}
