package reconcile

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Attestor knows what registries hold about images. It answers at once with what it
// last knew and calls back (it is wired to Runner.Wake) when it knows more.
type Attestor interface {
	// Attestations of images (name@sha256:…), what their manifests say for the platform,
	// and why not all is known, "" when it is. version changes with every answer.
	Attestations(images []string, platform string) (files []trust.AttestationFile, facts map[string]trust.ImageFacts, unreachable, tooLarge, version string)
}

// proof is the evidence of one release, read.
type proof struct {
	evidence trust.Evidence
	commit   string // the evidence commit
	from     string // all that it was read from
}

// maxProofs bounds the releases whose evidence is kept.
const maxProofs = 256

// ask is one release whose evidence is to be read beside the loops.
type ask struct {
	app    string
	rel    *release.Release
	commit Commit // that it is wanted by
	policy *trust.Policy
	since  string
	from   string
}

// errReading is what evidence says while it is read for the first time.
var errReading = errors.New("the evidence is being read")

// rereadAfter is the pause after evidence that could not be read.
const rereadAfter = 5 * time.Second

// reading reports whether the verdict only says that the evidence is being read.
func reading(v trust.Verdict) bool {
	return len(v.Reasons) == 1 && v.Reasons[0].Code == release.EvidenceUnreadable && v.Reasons[0].Detail == errReading.Error()
}

// evidence is what is known of a release: approvals at once; attestations and commits,
// which may take seconds to read, from the reader beside the loops (Read). While that
// reads again, what it read before counts; a verdict is made of it with today's policy.
func (d *Desk) evidence(app string, p *parsed, desired Commit, policy *trust.Policy, past rollout.State) (trust.Evidence, string, release.Code, string) {
	commit, code, detail := d.Repo.Evidence()
	if code != "" {
		return trust.Evidence{}, "", code, detail
	}
	since := sinceOf(past, p.digest)
	a := ask{app: app, rel: p.rel, commit: desired, policy: policy, since: since, from: strings.Join([]string{commit.ID(), policy.Fingerprint(), since}, "/")}
	needs := policy.Needs()
	if needs.Changes {
		a.from += "/" + desired.ID()
	}
	if needs.Attestations && d.Attestor != nil {
		_, _, _, _, version := d.Attestor.Attestations(images(p.rel), d.Host.Platform)
		a.from += "/" + version
	}
	key := app + "/" + string(p.digest)
	d.mu.Lock()
	known, ok := d.proofs[key]
	d.mu.Unlock()
	if ok && known.from == a.from {
		return known.evidence, known.commit, "", ""
	}
	if !needs.Attestations && !needs.Changes {
		e, err := d.read(context.Background(), a)
		if err != nil {
			return trust.Evidence{}, commit.ID(), reasonOf(err, release.EvidenceUnreadable), err.Error()
		}
		return e.evidence, e.commit, "", ""
	}
	d.mu.Lock()
	if d.asked == nil {
		d.asked = map[string]ask{}
	}
	d.asked[key] = a
	failed := d.unread[key]
	d.mu.Unlock()
	select {
	case d.asks() <- struct{}{}:
	default:
	}
	switch {
	case ok:
		return known.evidence, known.commit, "", ""
	case failed != nil:
		return trust.Evidence{}, commit.ID(), reasonOf(failed, release.EvidenceUnreadable), failed.Error()
	}
	return trust.Evidence{}, commit.ID(), release.EvidenceUnreadable, errReading.Error()
}

// reasonOf is the reason code that an error of the repository's tree carries.
func reasonOf(err error, otherwise release.Code) release.Code {
	var coded interface{ ReasonCode() release.Code }
	if errors.As(err, &coded) {
		return coded.ReasonCode()
	}
	return otherwise
}

// sinceOf is the commit from which on the commits made the release: that of the release
// accepted before it.
func sinceOf(past rollout.State, digest release.Digest) string {
	if past.Accepted.Digest == digest {
		return past.Accepted.Since
	}
	return past.Accepted.Commit
}

func images(rel *release.Release) []string {
	var out []string
	for _, s := range rel.Services {
		out = append(out, s.Image)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// asks wakes the reader.
func (d *Desk) asks() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wake == nil {
		d.wake = make(chan struct{}, 1)
	}
	return d.wake
}

// Read reads evidence that takes long, beside the loops, until ctx ends. done is called
// with the app after each.
func (d *Desk) Read(ctx context.Context, done func(app string)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.asks():
		}
		for {
			d.mu.Lock()
			var key string
			var a ask
			for _, key = range slices.Sorted(maps.Keys(d.asked)) {
				a = d.asked[key]
				break
			}
			delete(d.asked, key)
			d.mu.Unlock()
			if key == "" || ctx.Err() != nil {
				break
			}
			_, err := d.read(ctx, a)
			d.mu.Lock()
			if d.unread == nil {
				d.unread = map[string]error{}
			}
			if delete(d.unread, key); err != nil {
				d.unread[key] = err
			}
			d.mu.Unlock()
			if err != nil { // not at once: what cannot be read now is asked for at each turn
				time.AfterFunc(rereadAfter, func() { done(a.app) })
			} else {
				done(a.app)
			}
		}
	}
}

// read reads the evidence of one release, whole, and keeps it.
func (d *Desk) read(ctx context.Context, a ask) (proof, error) {
	commit, code, detail := d.Repo.Evidence()
	if code != "" {
		return proof{}, errors.New(string(code) + ": " + detail)
	}
	p := proof{commit: commit.ID(), from: a.from}
	root, err := commit.Sub(".")
	if err == nil {
		p.evidence, err = trust.Gather(root, d.Env, a.app, a.rel.Digest)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return proof{}, err
	}
	needs := a.policy.Needs()
	if needs.Attestations {
		if err := d.readAttestations(root, a, &p.evidence); err != nil {
			return proof{}, err
		}
	}
	if needs.Changes {
		if p.evidence.Changes, err = d.changes(ctx, a); err != nil {
			return proof{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proofs == nil || len(d.proofs) >= maxProofs {
		d.proofs = map[string]proof{}
	}
	d.proofs[a.app+"/"+string(a.rel.Digest)] = p
	return p, nil
}

func (d *Desk) readAttestations(root fs.FS, a ask, e *trust.Evidence) error {
	var hexes []string
	for _, image := range images(a.rel) {
		if _, hex, ok := strings.Cut(image, "@sha256:"); ok {
			hexes = append(hexes, hex)
		}
	}
	slices.Sort(hexes)
	files, tooLarge, err := trust.GatherAttestations(root, slices.Compact(hexes))
	if err != nil {
		return err
	}
	e.Attestations, e.TooLarge = files, tooLarge
	if d.Attestor != nil {
		more, facts, unreachable, large, _ := d.Attestor.Attestations(images(a.rel), d.Host.Platform)
		e.Attestations, e.Images, e.Unreachable = append(e.Attestations, more...), facts, unreachable
		if e.TooLarge == "" {
			e.TooLarge = large
		}
	}
	e.Attest(a.policy)
	return nil
}
