package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/tealops/teal/internal/trust"
)

// Resolve is the image that a tag names at this moment, in its one form name@sha256:…: the
// digest of what the registry answers, an index of platforms as it is. A name without a
// tag is refused: what `latest` is nobody has said.
func (c *Client) Resolve(ctx context.Context, image string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("%s is not the name of an image", trust.Escape(image))
	}
	tagged, ok := ref.(reference.NamedTagged)
	if !ok {
		return "", fmt.Errorf("%s has neither tag nor digest; name one", trust.Escape(image))
	}
	repo, err := name.NewRepository(ref.Name())
	if err != nil {
		return "", fmt.Errorf("%s is not the name of an image", trust.Escape(image))
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s, err := c.open(ctx, repo)
	if err != nil {
		return "", err
	}
	data, err := s.tagged(ctx, tagged.Tag())
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", trust.Escape(image), err)
	}
	if _, _, err := parseDocument(data); err != nil {
		return "", fmt.Errorf("resolve %s: %w", trust.Escape(image), err)
	}
	return strings.Join([]string{ref.Name(), digestOf(data)}, "@"), nil
}
