package gitops

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// Mirror is another place of the same repository. What it does not name it takes from
// the Config where that gives nothing away: SSH keys, pinned host keys, CA file and
// proxy. A token or password is the first address's own, and goes to a mirror only when
// that is https on the same host and port.
type Mirror struct {
	URL            string
	TokenFile      string
	UsernameFile   string
	PasswordFile   string
	CAFile         string
	KeyFile        string
	SSHAgent       string
	HostKeys       []string
	KnownHostsFile string
}

const (
	mirrorsMax = 8
	// steady is how many times in a row a place answers before its failures are
	// forgotten: one that comes and goes is asked less and less.
	steady = 3
)

// at is the Config of a mirror.
func (c Config) at(m Mirror) Config {
	own := c
	own.Mirrors, own.URL = nil, m.URL
	own.TokenFile, own.UsernameFile, own.PasswordFile = m.TokenFile, m.UsernameFile, m.PasswordFile
	own.CAFile, own.KeyFile, own.SSHAgent, own.HostKeys, own.KnownHostsFile = m.CAFile, m.KeyFile, m.SSHAgent, m.HostKeys, m.KnownHostsFile
	at, err := parseAddress(m.URL)
	if err != nil {
		return own
	}
	switch {
	case at.ssh != nil:
		if m.KeyFile == "" && m.SSHAgent == "" {
			own.KeyFile, own.SSHAgent = c.KeyFile, c.SSHAgent
		}
		if len(m.HostKeys) == 0 && m.KnownHostsFile == "" {
			own.HostKeys, own.KnownHostsFile = c.HostKeys, c.KnownHostsFile
		}
	case at.remote != "":
		if m.CAFile == "" {
			own.CAFile = c.CAFile
		}
		if m.TokenFile == "" && m.UsernameFile == "" && m.PasswordFile == "" && sameServer(m.URL, c.URL) {
			own.TokenFile, own.UsernameFile, own.PasswordFile = c.TokenFile, c.UsernameFile, c.PasswordFile
		}
	}
	if at.remote == "" {
		own.Proxy, own.ProxyUsernameFile, own.ProxyPasswordFile = "", "", ""
	}
	return own
}

func sameServer(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == "https" && y.Scheme == "https" && strings.EqualFold(x.Host, y.Host)
}

// place is one address of the repository, and what is remembered of it.
type place struct {
	name   string
	source source

	failures, answers int       // in a row; answers are counted up to steady
	rest              time.Time // not asked before it, while another answers
	said              *Error    // why it was not used, or what was refused of it
	memory            memory
}

// memory is what the last look at a place saw. It is good for as long as what is
// accepted has not moved.
type memory struct {
	rec      accepted
	looked   map[string]lookedAt
	saw      []string
	hopeless string
}

func newPlaces(cfg Config, at address) ([]*place, error) {
	all := []*place{{name: escape(cfg.URL, 300), source: newSource(cfg, at)}}
	for _, m := range cfg.Mirrors {
		at, err := parseAddress(m.URL)
		if err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		all = append(all, &place{name: escape(m.URL, 300), source: newSource(cfg.at(m), at)})
	}
	return all, nil
}

// ask makes a place the one that is asked.
func (r *Repo) ask(i int) {
	if i == r.asked {
		return
	}
	old, next := r.places[r.asked], r.places[i]
	old.memory = memory{rec: r.rec, looked: r.looked, saw: r.saw, hopeless: r.hopeless}
	r.asked, r.source = i, next.source
	r.looked, r.saw, r.hopeless = make(map[string]lookedAt), nil, ""
	if m := next.memory; m.looked != nil && m.rec.equal(r.rec) {
		r.looked, r.saw, r.hopeless = m.looked, m.saw, m.hopeless
	}
}

// tryPlaces looks at the first place that answers: the first address decides, whatever
// it says; of the mirrors, the first whose heads are all good.
func (r *Repo) tryPlaces(ctx context.Context, adopt plumbing.Hash) (reached bool, verdict, failure *Error) {
	if len(r.places) == 1 {
		return r.tryOne(ctx, adopt)
	}
	kept := -1
	var keptVerdict, first *Error
	for _, i := range r.order() {
		r.ask(i)
		reached, verdict, failure = r.tryOne(ctx, adopt)
		if ctx.Err() != nil || failure != nil && !elsewhere(failure, adopt) {
			return reached, verdict, failure
		}
		r.note(i, verdict, failure)
		switch {
		case failure != nil:
			if first == nil {
				first = failure
			}
		case verdict == nil || i == 0:
			r.moved(i)
			return reached, verdict, nil
		case kept < 0:
			kept, keptVerdict = i, verdict
		}
	}
	if kept < 0 {
		return false, nil, first
	}
	r.ask(kept)
	r.moved(kept)
	return true, keptVerdict, nil
}

// tryOne is one look at the place that is asked.
func (r *Repo) tryOne(ctx context.Context, adopt plumbing.Hash) (reached bool, verdict, failure *Error) {
	bounded, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, errFetchTooSlow)
	defer cancel()
	reached, verdict, err := r.try(bounded, adopt)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = refuse(release.RepoUnreachable, "%v (%v)", errFetchTooSlow, r.cfg.Timeout)
	}
	return reached, verdict, classify(err)
}

// elsewhere reports whether a failure is the place's, so that another may do better.
func elsewhere(failure *Error, adopt plumbing.Hash) bool {
	switch failure.Code {
	case release.DiskFull, release.GitStateLost:
		return false
	case release.RepoUnreachable, release.RepoAuthRefused, release.RepoHostKey:
		return true
	}
	return adopt.IsZero() // root's word is for what the first that answers has
}

// order are the places to ask: those that do not rest, or all when each of them does.
func (r *Repo) order() []int {
	var due, all []int
	now := r.now()
	for i, p := range r.places {
		all = append(all, i)
		if !now.Before(p.rest) {
			due = append(due, i)
		}
	}
	if len(due) == 0 {
		return all
	}
	return due
}

// note remembers how a place did.
func (r *Repo) note(i int, verdict, failure *Error) {
	p := r.places[i]
	p.said = failure
	if failure != nil {
		p.failures, p.answers = p.failures+1, 0
		p.rest = r.now().Add(jitter(backoff(p.failures), rand.Float64()))
		return
	}
	p.said, p.rest = verdict, time.Time{}
	if p.answers++; p.answers >= steady {
		p.failures = 0
	}
}

// moved says so when another place answers than before.
func (r *Repo) moved(i int) {
	if i == r.answered {
		return
	}
	was, now := r.places[r.answered], r.places[i]
	r.answered = i
	why := "it answers again"
	if was.said != nil && i != 0 {
		why = was.said.Error()
	}
	r.cfg.Log.Warn("the repository answers at another address", "was", was.name, "now", now.name, "why", why)
	if r.cfg.Moved != nil {
		r.cfg.Moved(was.name, now.name, why)
	}
}

// placeStatus is nil when there is only one place.
func (r *Repo) placeStatus() []PlaceStatus {
	if len(r.places) == 1 {
		return nil
	}
	var out []PlaceStatus
	for i, p := range r.places {
		st := PlaceStatus{URL: p.name, InUse: i == r.answered}
		if p.said != nil {
			st.Code, st.Detail = p.said.Code, p.said.Error()
		}
		out = append(out, st)
	}
	return out
}

// keep adds the accepted refs that a mirror does not have: it may be behind, and a ref
// that it lacks says nothing. Only the first address takes one away; else a copy without
// the newest tag would let an older release win.
func (r *Repo) keep(targets []target, tips map[string]tip) []target {
	for _, name := range r.names() {
		_, there := tips[name]
		named := slices.ContainsFunc(targets, func(t target) bool { return t.name == name })
		if r.accepts(name) && !there && !named {
			targets = append(targets, target{name: name})
		}
	}
	return targets
}

// accepts reports whether a ref has an accepted head.
func (r *Repo) accepts(name string) bool {
	b, ok := r.rec.Refs[name]
	return ok && !b.Gone
}

// lags reports whether a mirror has what was accepted still before it. When the accepted
// commit is nowhere here to compare with, it is taken for that too: nothing is used.
func (r *Repo) lags(ctx context.Context, reader *store, t target, b record) bool {
	if r.asked == 0 || movesNever(t.name) {
		return false
	}
	accepted := plumbing.NewHash(b.Commit)
	ok, err := descends(ctx, reader, accepted, t.at.commit)
	if err != nil {
		current := openClone(r.clonePath(), true)
		defer current.close()
		ok, err = descends(ctx, current, accepted, t.at.commit)
	}
	return ok || err != nil
}
