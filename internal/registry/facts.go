package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/tealops/teal/internal/trust"
)

// Facts says what the manifest of an image (name@sha256:…) is, for a platform such as
// linux/amd64 or linux/arm64/v8. Of an index it takes the platform's manifest; none or
// several that fit is an error. Everything read is proven by its digest: the error is
// ErrDigest when the registry sent other bytes.
func (c *Client) Facts(ctx context.Context, image, platform string) (trust.ImageFacts, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	facts, err := c.facts(ctx, image, platform)
	if err != nil {
		return trust.ImageFacts{}, fmt.Errorf("look at image %s: %w", trust.Escape(image), err)
	}
	return facts, nil
}

func (c *Client) facts(ctx context.Context, image, platform string) (trust.ImageFacts, error) {
	ref, err := parse(image)
	if err != nil {
		return trust.ImageFacts{}, err
	}
	s, err := c.open(ctx, ref.Context())
	if err != nil {
		return trust.ImageFacts{}, err
	}
	digest := ref.DigestStr()
	data, err := s.manifest(ctx, digest)
	if err != nil {
		return trust.ImageFacts{}, err
	}
	doc, index, err := parseDocument(data)
	if err != nil {
		return trust.ImageFacts{}, err
	}
	said := ""
	if index {
		if digest, err = pick(*doc.Manifests, platform); err != nil {
			return trust.ImageFacts{}, err
		}
		said = platform
		if data, err = s.manifest(ctx, digest); err != nil {
			return trust.ImageFacts{}, err
		}
		if doc, index, err = parseDocument(data); err != nil {
			return trust.ImageFacts{}, err
		}
		if index {
			return trust.ImageFacts{}, errors.New("an index within an index")
		}
	}
	if doc.Config == nil || !digestForm.MatchString(doc.Config.Digest) {
		return trust.ImageFacts{}, errors.New("the manifest names no config by its SHA-256 digest")
	}
	return trust.ImageFacts{Platform: said, Manifest: hexOf(digest), Config: hexOf(doc.Config.Digest)}, nil
}

// pick chooses the manifest of a platform. What belongs to no platform, as the
// attestations that builders put into an index, never fits.
func pick(manifests []descriptor, want string) (string, error) {
	system, rest, _ := strings.Cut(want, "/")
	arch, variant, _ := strings.Cut(rest, "/")
	if system == "" || arch == "" {
		return "", fmt.Errorf("\"%s\" is not a platform such as linux/amd64", trust.Escape(want))
	}
	var found []string
	for _, m := range manifests {
		p := m.Platform
		if p == nil || p.OS != system || p.Architecture != arch || variantOf(arch, p.Variant) != variantOf(arch, variant) {
			continue
		}
		if !digestForm.MatchString(m.Digest) {
			return "", fmt.Errorf("the index names %s by something else than a SHA-256 digest", want)
		}
		found = append(found, m.Digest)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("the index has no image for %s", want)
	}
	return "", fmt.Errorf("the index has %d images for %s", len(found), want)
}

// variantOf writes the variant out that an architecture has when none is said.
func variantOf(arch, variant string) string {
	switch {
	case variant != "":
		return variant
	case arch == "arm64":
		return "v8"
	case arch == "arm":
		return "v7"
	case arch == "amd64":
		return "v1"
	}
	return ""
}

// parse reads name@sha256:…; nothing else names an image here.
func parse(image string) (name.Digest, error) {
	ref, err := name.NewDigest(image)
	if err != nil {
		return name.Digest{}, errors.New("not an image by digest (name@sha256:…)")
	}
	if !digestForm.MatchString(ref.DigestStr()) {
		return name.Digest{}, errors.New("not an image by its SHA-256 digest")
	}
	return ref, nil
}
