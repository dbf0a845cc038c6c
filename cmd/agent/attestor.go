package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/trust"
)

const (
	// An answer is asked for again after refreshAfter, one that did not come after
	// retryAfter, as long as somebody has asked within interest.
	refreshAfter = 60 * time.Second
	retryAfter   = 15 * time.Second
	interest     = 10 * time.Minute

	attestWorkers = 4
	maxAnswers    = 256       // images remembered
	maxHeld       = 256 << 20 // bytes of their envelopes
)

// registries is what an attestor reads: *registry.Client.
type registries interface {
	Attestations(ctx context.Context, image string) (registry.Attached, error)
	Facts(ctx context.Context, image, platform string) (trust.ImageFacts, error)
}

// attestor remembers what registries hold about images. It answers at once and reads
// beside the loops, in Run; changed is called, without a lock held, when an answer is
// not what it was.
type attestor struct {
	from    registries
	changed func()
	now     func() time.Time
	wake    chan struct{} // capacity one

	mu    sync.Mutex
	known map[imageOn]*answer // guarded by mu, and so is what it holds
}

func newAttestor(from registries, changed func()) *attestor {
	return &attestor{from: from, changed: changed, now: time.Now, wake: make(chan struct{}, 1), known: map[imageOn]*answer{}}
}

// imageOn is an image (name@sha256:…) on a platform.
type imageOn struct{ image, platform string }

// answer is what was last learnt of an image.
type answer struct {
	asked   time.Time // by the loops
	due     time.Time // when to read it (again)
	reading bool
	answer  string // hash of the rest, "" before the first answer
	files   []trust.AttestationFile
	facts   trust.ImageFacts // zero until known; a digest's never change
	large   string
	err     string
}

// Attestations are those of images as they were last read, with what their manifests
// say, by the image's digest in hex. unreachable says why not all is known yet or any
// more; what was known before is given nevertheless. version changes with the answer.
func (a *attestor) Attestations(images []string, platform string) (files []trust.AttestationFile, facts map[string]trust.ImageFacts, unreachable, tooLarge, version string) {
	images = slices.Clone(images)
	slices.Sort(images)
	facts = map[string]trust.ImageFacts{}
	all := sha256.New()
	total, poke := 0, false
	a.mu.Lock()
	now := a.now()
	for _, image := range slices.Compact(images) {
		k := imageOn{image, platform}
		got := a.known[k]
		if got == nil {
			got = &answer{due: now}
			a.known[k] = got
		}
		got.asked = now
		poke = poke || !got.reading && !now.Before(got.due)
		fmt.Fprintf(all, "%s %s\n", image, got.answer)
		why := got.err
		if got.answer == "" {
			why = "the registry is being asked about " + trust.Escape(image)
		}
		if unreachable == "" {
			unreachable = why
		}
		if tooLarge == "" {
			tooLarge = got.large
		}
		if got.facts != (trust.ImageFacts{}) {
			_, digest, _ := strings.Cut(image, "@sha256:")
			facts[digest] = got.facts
		}
		for _, f := range got.files {
			if total += len(f.Data); total <= trust.MaxReleaseAttestation {
				files = append(files, f)
			}
		}
	}
	a.forget(now)
	a.mu.Unlock()
	if total > trust.MaxReleaseAttestation && tooLarge == "" {
		tooLarge = fmt.Sprintf("the registry's attestations of this release's images are more than %d MiB", trust.MaxReleaseAttestation>>20)
	}
	if poke {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return files, facts, unreachable, tooLarge, hex.EncodeToString(all.Sum(nil))
}

// Run reads what is due until its context ends.
func (a *attestor) Run(ctx context.Context) error {
	tick := time.NewTicker(retryAfter / 3)
	defer tick.Stop()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(attestWorkers + 1)
	g.Go(func() error {
		for {
			for _, k := range a.due() {
				g.Go(func() error { a.read(ctx, k); return nil })
			}
			select {
			case <-ctx.Done():
				return nil
			case <-a.wake:
			case <-tick.C:
			}
		}
	})
	return g.Wait()
}

// due takes the images that are to be read now.
func (a *attestor) due() []imageOn {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	var out []imageOn
	for k, got := range a.known {
		if !got.reading && !now.Before(got.due) && now.Sub(got.asked) < interest {
			got.reading = true
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(x, y imageOn) int { return strings.Compare(x.image+x.platform, y.image+y.platform) })
	return out
}

// read asks the registry about one image and keeps the answer.
func (a *attestor) read(ctx context.Context, k imageOn) {
	a.mu.Lock()
	facts := trust.ImageFacts{}
	if got := a.known[k]; got != nil {
		facts = got.facts
	}
	a.mu.Unlock()
	files, large, facts, err := a.ask(ctx, k, facts)
	if ctx.Err() != nil {
		return // says nothing about the registry
	}
	if a.keep(k, files, large, facts, err) {
		a.changed()
	}
}

// ask reads the attestations of an image, and of its platform's manifest when it is an
// index: scanners attest either.
func (a *attestor) ask(ctx context.Context, k imageOn, facts trust.ImageFacts) ([]trust.AttestationFile, string, trust.ImageFacts, error) {
	if facts == (trust.ImageFacts{}) {
		var err error
		if facts, err = a.from.Facts(ctx, k.image, k.platform); err != nil {
			return nil, "", facts, err
		}
	}
	name, digest, _ := strings.Cut(k.image, "@sha256:")
	images := []string{k.image}
	if facts.Manifest != digest {
		images = append(images, name+"@sha256:"+facts.Manifest)
	}
	var files []trust.AttestationFile
	for _, image := range images {
		got, err := a.from.Attestations(ctx, image)
		if err != nil || got.TooLarge != "" {
			return nil, got.TooLarge, facts, err
		}
		files = append(files, got.Files...)
	}
	return files, "", facts, nil
}

// keep stores an answer and reports whether it is another one. After a failure what was
// read before stays beside it.
func (a *attestor) keep(k imageOn, files []trust.AttestationFile, large string, facts trust.ImageFacts, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.known[k]
	if got == nil {
		return false // forgotten meanwhile
	}
	got.reading, got.facts, got.err = false, facts, ""
	if err != nil {
		got.err, got.due = err.Error(), a.now().Add(retryAfter)
	} else {
		got.files, got.large, got.due = files, large, a.now().Add(refreshAfter)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %v\n", got.err, got.large, got.facts)
	for _, f := range got.files {
		fmt.Fprintf(sum, "%q %q %d\n", f.Name, f.Image, len(f.Data))
		_, _ = sum.Write(f.Data) // a hash takes everything
	}
	was := got.answer
	got.answer = hex.EncodeToString(sum.Sum(nil))
	a.forget(a.now())
	return got.answer != was
}

// forget drops the images that nobody has asked about for longest, beyond what is kept.
// Those of the last minute stay: dropping them would only have them read again.
func (a *attestor) forget(now time.Time) {
	for {
		held := 0
		var oldest imageOn
		for k, got := range a.known {
			for _, f := range got.files {
				held += len(f.Data)
			}
			if first := a.known[oldest]; first == nil || got.asked.Before(first.asked) {
				oldest = k
			}
		}
		if len(a.known) <= maxAnswers && held <= maxHeld || now.Sub(a.known[oldest].asked) < time.Minute {
			return
		}
		delete(a.known, oldest)
	}
}
