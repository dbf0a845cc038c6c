package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

var (
	errPullTooSlow = errors.New("the pull took too long")
	errPullStalled = errors.New("the pull made no progress")
)

// Pull makes sure that the engine holds an image, named by digest
// (name@sha256:…). One that is there already is success without a word to the
// registry. progress, if not nil, is told bytes done and bytes known of; both grow
// while layers are discovered, and it must not block.
//
// Faults: pull_failed, registry_denied, image_missing and disk_full are to be tried
// again; image_digest_mismatch holds, because somebody sent other bytes.
func (e *Engine) Pull(ctx context.Context, image string, progress func(done, total int64)) error {
	what := "pull " + image
	ref, err := digested(image)
	if err != nil {
		return revert(release.ImageMissing, what, err)
	}
	if there, err := e.hasImage(ctx, ref); err != nil {
		return classify(ctx, what, err)
	} else if there {
		return nil
	}
	auth, err := e.credentials(ctx, ref)
	if err != nil {
		if ctx.Err() != nil {
			return classify(ctx, what, err)
		}
		return retry(release.RegistryDenied, what, err)
	}
	if err := e.pull(ctx, ref, auth, progress); err != nil {
		return classifyPull(ctx, what, err)
	}
	there, err := e.hasImage(ctx, ref)
	if err != nil {
		return classify(ctx, what, err)
	}
	if !there {
		return hold(release.ImageDigestMismatch, what, errors.New("the engine does not list the image under the digest that was asked for"))
	}
	return nil
}

// digested parses a reference that must be name@sha256:… .
func digested(image string) (reference.Canonical, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, fmt.Errorf("image %q is not a reference: %w", image, err)
	}
	canonical, ok := named.(reference.Canonical)
	if !ok {
		return nil, fmt.Errorf("image %q has no digest; write name@sha256:…", image)
	}
	return reference.WithDigest(reference.TrimNamed(canonical), canonical.Digest())
}

// hasImage reports whether the engine lists the image under exactly this name and
// digest.
func (e *Engine) hasImage(ctx context.Context, ref reference.Canonical) (bool, error) {
	r, err := ask(ctx, quickCall, func(ctx context.Context) (client.ImageInspectResult, error) {
		return e.api.ImageInspect(ctx, ref.String())
	})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(r.RepoDigests, func(have string) bool {
		got, err := digested(have)
		return err == nil && got.String() == ref.String()
	}), nil
}

// pull runs one pull to its end, bounded as a whole and in silence.
func (e *Engine) pull(ctx context.Context, ref reference.Canonical, auth string, progress func(done, total int64)) error {
	ctx, stop := context.WithTimeoutCause(ctx, e.cfg.PullTimeout, fmt.Errorf("%w (%s)", errPullTooSlow, e.cfg.PullTimeout))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(e.cfg.PullStall, func() {
		cancel(fmt.Errorf("%w for %s", errPullStalled, e.cfg.PullStall))
	})
	defer stalled.Stop()

	err := func() error {
		stream, err := e.api.ImagePull(ctx, ref.String(), client.ImagePullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		defer stream.Close()
		layers := layerProgress{}
		for message, err := range stream.JSONMessages(ctx) {
			if err != nil {
				return err
			}
			if message.Error != nil {
				return message.Error
			}
			if layers.add(message) {
				stalled.Reset(e.cfg.PullStall)
				if progress != nil {
					progress(layers.sum())
				}
			}
		}
		return nil
	}()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // more telling than "context canceled"
	}
	return err
}

// layerProgress adds up what the engine says of each layer. Layers are bounded by
// the registry's manifest, which the engine bounds at 4 MiB.
type layerProgress map[string]layer

type layer struct {
	status      string
	done, total int64
}

// add reports whether the message tells of progress: a repeated line does not.
func (p layerProgress) add(m jsonstream.Message) bool {
	was, l := p[m.ID], p[m.ID]
	l.status = m.Status
	if m.Progress != nil && m.Status == "Downloading" {
		l.done, l.total = m.Progress.Current, max(m.Progress.Total, m.Progress.Current)
	} else if m.Progress != nil && m.Progress.Current > 0 {
		l.status = fmt.Sprint(m.Status, m.Progress.Current) // extracting counts as progress, not as bytes
	}
	if m.Status == "Download complete" || m.Status == "Pull complete" {
		l.done = l.total
	}
	p[m.ID] = l
	return l != was
}

func (p layerProgress) sum() (done, total int64) {
	for _, l := range p {
		done, total = done+l.done, total+l.total
	}
	return done, total
}

// classifyPull says what a failed pull means. The engine hands a registry's answer
// on as text, in the middle of the stream, so its phrases decide.
func classifyPull(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return classify(ctx, what, err)
	case errors.Is(err, errPullStalled), errors.Is(err, errPullTooSlow):
		return retry(release.PullFailed, what, err)
	case client.IsErrConnectionFailed(err):
		return retry(release.EngineUnreachable, what, err)
	case diskFull(err):
		return retry(release.DiskFull, what, err)
	case says(err, "verification failed for digest", "does not match the provided digest", "unexpected digest", "digest mismatch"):
		return hold(release.ImageDigestMismatch, what, err)
	case says(err, "unauthorized", "no basic auth credentials", "denied", "403 forbidden", "401 unauthorized", "authentication required", "login attempt"):
		return retry(release.RegistryDenied, what, err)
	case says(err, "manifest unknown", "name unknown", "not found", "no matching manifest", "repository does not exist"):
		return retry(release.ImageMissing, what, err)
	default:
		return retry(release.PullFailed, what, err)
	}
}

// Images says which of the references (name@sha256:…) the engine holds. A reference
// without digest is an error: its presence would say nothing.
func (e *Engine) Images(ctx context.Context, refs []string) (present map[string]bool, err error) {
	present = make(map[string]bool, len(refs))
	for _, image := range refs {
		ref, err := digested(image)
		if err != nil {
			return nil, revert(release.ImageMissing, "look for image "+image, err)
		}
		there, err := e.hasImage(ctx, ref)
		if err != nil {
			return nil, classify(ctx, "look for image "+image, err)
		}
		present[image] = there
	}
	return present, nil
}
