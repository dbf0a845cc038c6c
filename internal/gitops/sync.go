package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

var zeroHash plumbing.Hash

// Adopt lets root accept a rewritten history, or begin again after the record was
// lost: commit (40 hex) must be in the history of a branch that is refused now, and
// the head of that branch is accepted without asking whether it descends from what
// was accepted before. Every other check stays. It is an error when there is nothing
// to adopt.
func (r *Repo) Adopt(ctx context.Context, commit string) error {
	if !commitHex.MatchString(commit) {
		return fmt.Errorf("adopt %s: not a full commit name of 40 hex digits", escape(commit, 60))
	}
	if err := r.attempt(ctx, plumbing.NewHash(commit)); err != nil {
		return fmt.Errorf("adopt %s: %w", commit, err)
	}
	return nil
}

// detailMax bounds Status.Detail in bytes.
const detailMax = 500

// attempt is one look at the repository with everything that follows from it. It
// returns nil or an *Error.
func (r *Repo) attempt(ctx context.Context, adopt plumbing.Hash) error {
	r.trying.Lock()
	defer r.trying.Unlock()
	bounded, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, errFetchTooSlow)
	defer cancel()

	reached, verdict, err := r.try(bounded, adopt)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = refuse(release.RepoUnreachable, "%v (%v)", errFetchTooSlow, r.cfg.Timeout)
	}
	failure := classify(err)
	r.settle(reached, verdict, failure, ctx.Err() != nil)
	switch {
	case failure != nil:
		return failure
	case verdict != nil && adopt.IsZero():
		return verdict
	}
	return nil
}

// settle puts the outcome of a look into Status. An interrupted look says nothing
// about the repository.
func (r *Repo) settle(reached bool, verdict, failure *Error, interrupted bool) {
	r.mu.Lock()
	was := r.status
	s := was
	now := r.now()
	s.LastAttempt = now
	switch {
	case failure != nil && interrupted:
	case failure != nil:
		s.Failures++
		// A rewritten history is news that a broken network must not hide.
		if s.Code != release.HistoryRewritten {
			s.Code, s.Detail = failure.Code, failure.Error()
		}
	case reached:
		s.Failures, s.LastSuccess = 0, now
		s.Code, s.Detail = "", ""
		if verdict != nil {
			s.Code, s.Detail = verdict.Code, verdict.Error()
		}
	}
	s.Head, s.Evidence = r.heads[r.cfg.Branch].Commit(), r.heads[r.cfg.Evidence].Commit()
	r.status = s
	r.mu.Unlock()

	switch {
	case s.Failures == 1 && was.Failures == 0:
		r.cfg.Log.Warn("repository cannot be used, trying again", "code", failure.Code, "err", failure.Error())
	case s.Failures == 0 && s.Code != "" && s.Code != was.Code:
		r.cfg.Log.Error("head refused, the accepted one stays in use", "code", s.Code, "err", s.Detail)
	}
	if s.Head != was.Head || s.Evidence != was.Evidence {
		r.cfg.Log.Info("head accepted", "was", was.Head, "commit", s.Head, "evidence", s.Evidence)
	}
	if s.Code == "" && was.Code != "" {
		r.cfg.Log.Info("repository is followed again", "was", was.Code)
	}
	if s.Head != was.Head || s.Evidence != was.Evidence || s.Code != was.Code {
		poke(r.changed)
	}
}

// target is where a branch points now.
type target struct {
	name    string
	head    plumbing.Hash
	present bool
}

// try looks, fetches and judges. reached says that the repository answered and all of
// it that matters was read; verdict is the first refusal of a head.
func (r *Repo) try(ctx context.Context, adopt plumbing.Hash) (reached bool, verdict *Error, err error) {
	if r.lost != nil && adopt.IsZero() {
		return false, nil, r.lost
	}
	v, err := r.source.look(ctx)
	if err != nil {
		return false, nil, err
	}
	defer v.close()
	var targets []target
	for _, name := range r.branches() {
		h, ok, err := v.branch(name)
		if err != nil {
			return false, nil, fmt.Errorf("read branch %s: %w", name, err)
		}
		targets = append(targets, target{name, h, ok})
	}
	intact := r.intact(ctx)
	if adopt.IsZero() && r.nothingNew(targets, intact) {
		r.mark()
		return true, r.verdict(targets), nil
	}
	if intact {
		verdict, err = r.advance(ctx, v, targets, adopt, false)
		if damaged := (*objectError)(nil); !errors.As(err, &damaged) {
			return err == nil, verdict, err
		}
		r.cfg.Log.Warn("clone is damaged, building it anew", "err", err)
	}
	verdict, err = r.advance(ctx, v, targets, adopt, true)
	if damaged := (*objectError)(nil); errors.As(err, &damaged) {
		err = &Error{Code: release.RepoUnreachable, Detail: "the repository did not give all objects", Err: err}
	}
	return err == nil, verdict, err
}

// nothingNew reports that the same heads were judged before and the clone is as it
// was left.
func (r *Repo) nothingNew(targets []target, intact bool) bool {
	for _, t := range targets {
		l, ok := r.looked[t.name]
		if !ok || l.head != t.head || l.present != t.present {
			return false
		}
	}
	return intact || r.hopeless == key(targets)
}

func key(targets []target) string {
	var b strings.Builder
	for _, t := range targets {
		fmt.Fprintf(&b, "%s %s\n", t.name, t.head)
	}
	return b.String()
}

func (r *Repo) verdict(targets []target) *Error {
	for _, t := range targets {
		if v := r.looked[t.name].verdict; v != nil {
			return v
		}
	}
	return nil
}

// intact reports whether the clone can be built upon. It is looked at closely only
// when somebody touched its packs.
func (r *Repo) intact(ctx context.Context) bool {
	r.mu.Lock()
	s, suspect := r.store, r.suspect
	r.mu.Unlock()
	if s == nil || suspect {
		return false
	}
	now := r.fingerprint()
	if now == r.print && now != "" {
		return true
	}
	fresh := openClone(r.clonePath(), false)
	for _, name := range r.branches() {
		if b, ok := r.rec.Branches[name]; ok {
			if _, err := r.holds(ctx, fresh, plumbing.NewHash(b.Commit)); err != nil {
				r.cfg.Log.Warn("clone was changed from outside and is damaged", "err", err)
				return false
			}
		}
	}
	r.mu.Lock()
	r.store = fresh
	r.mu.Unlock()
	r.print, r.known = now, nil
	return true
}

// advance brings what is missing, judges the heads and accepts those that pass. With
// whole it builds a new clone beside the current one and swaps it in only if that
// loses nothing.
func (r *Repo) advance(ctx context.Context, v visit, targets []target, adopt plumbing.Hash, whole bool) (*Error, error) {
	dir := r.clonePath()
	if whole {
		var err error
		if dir, err = r.newClone(); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) // after a swap nothing is there any more
	}
	if err := r.fetch(ctx, v, dir, targets, whole); err != nil {
		return nil, err
	}
	reader := openClone(dir, true)
	defer reader.close()

	before := r.known
	if whole {
		before = nil
	}
	out, err := r.judge(ctx, reader, targets, adopt, before)
	if err != nil {
		return nil, err
	}
	if !adopt.IsZero() {
		if err := out.adoption(adopt); err != nil {
			return nil, err
		}
	}
	use := !whole || r.worthSwapping(ctx, reader, out)
	if err := r.record(out, use); err != nil {
		return nil, err
	}
	if !use {
		r.hopeless = key(targets)
		r.remember(out)
		return out.verdict(), nil
	}
	if whole {
		if err := r.swapClone(dir); err != nil {
			return nil, err
		}
		r.known = make(known)
	}
	r.publish(ctx, out)
	return out.verdict(), nil
}

// fetch adds to the clone in dir what the targets need.
func (r *Repo) fetch(ctx context.Context, v visit, dir string, targets []target, whole bool) error {
	have := openClone(dir, true)
	defer have.close()
	var wants, haves []plumbing.Hash
	want := func(h plumbing.Hash) {
		if !slices.Contains(wants, h) && !have.has(h) {
			wants = append(wants, h)
		}
	}
	for _, t := range targets {
		if t.present {
			want(t.head)
		}
		b, ok := r.rec.Branches[t.name]
		if !ok {
			continue
		}
		switch h := plumbing.NewHash(b.Commit); {
		case !whole:
			haves = append(haves, h)
		case v.knows(ctx, h): // keeps the accepted head when its branch was rewritten
			want(h)
		}
	}
	if len(wants) == 0 {
		return nil
	}
	return addPack(ctx, dir, r.cfg.Limits, func(w io.Writer) error {
		return v.pack(ctx, w, wants, ancestors(have, haves, 64), have.has)
	})
}

// record makes durable what is refused and, with use, what is accepted. Nothing is
// used before that.
func (r *Repo) record(out outcome, use bool) error {
	rec := accepted{RepoID: r.cfg.RepoID, Branches: maps.Clone(r.rec.Branches)}
	if rec.Branches == nil {
		rec.Branches = make(map[string]record)
	}
	for _, j := range out.judged {
		b, had := rec.Branches[j.target.name]
		switch {
		case j.verdict == nil && use && (b.Commit != j.snap.Commit() || b.Refused != ""):
			rec.Branches[j.target.name] = record{Commit: j.snap.Commit(), At: r.now().UTC()}
		case j.verdict != nil && j.verdict.Code == release.HistoryRewritten && had:
			b.Refused = j.target.head.String()
			rec.Branches[j.target.name] = b
		}
	}
	if r.lost == nil && maps.Equal(rec.Branches, r.rec.Branches) {
		return nil
	}
	if err := rec.save(r.cfg.Dir); err != nil {
		return err
	}
	r.rec, r.lost = rec, nil
	return nil
}

// worthSwapping reports whether a new clone holds something and loses nothing that the
// current one can still show.
func (r *Repo) worthSwapping(ctx context.Context, reader *store, out outcome) bool {
	r.mu.Lock()
	old := r.store
	r.mu.Unlock()
	any := false
	for _, j := range out.judged {
		b, ok := r.rec.Branches[j.target.name]
		switch {
		case j.verdict == nil:
			any = true
		case !ok:
		default:
			h := plumbing.NewHash(b.Commit)
			if _, err := r.holds(ctx, reader, h); err == nil {
				any = true
			} else if old != nil {
				if _, err := r.holds(ctx, openClone(r.clonePath(), false), h); err == nil {
					return false
				}
			}
		}
	}
	return any
}

// remember keeps the verdicts, so that unchanged heads are not judged again.
func (r *Repo) remember(out outcome) {
	for _, j := range out.judged {
		r.looked[j.target.name] = lookedAt{j.target.head, j.target.present, j.verdict}
	}
}

// publish offers the accepted heads. Everything is durable and verified by now.
func (r *Repo) publish(ctx context.Context, out outcome) {
	r.remember(out)
	r.hopeless = ""
	fresh := openClone(r.clonePath(), false)
	heads := make(map[string]Snapshot)
	for _, j := range out.judged {
		b, ok := r.rec.Branches[j.target.name]
		switch {
		case j.verdict == nil:
			heads[j.target.name] = j.snap
		case ok: // refused: what was accepted before, if it is there
			if snap, err := r.holds(ctx, fresh, plumbing.NewHash(b.Commit)); err == nil {
				heads[j.target.name] = snap
			}
		}
	}
	if r.known == nil {
		r.known = make(known)
	}
	maps.Copy(r.known, out.read)
	if len(r.known) > knownMax {
		r.known = nil
	}
	r.mu.Lock()
	r.store, r.heads, r.suspect = fresh, heads, false
	r.mu.Unlock()
	r.mark()
	if r.packs() > r.merge && !r.noMerge {
		if err := r.mergePacks(ctx, heads); err != nil {
			r.noMerge = true
			r.cfg.Log.Warn("packs not merged", "err", err)
		}
	}
	r.print = r.fingerprint()
}

// mergePacks writes the clone anew with its packs joined into one: every fetch adds a
// pack, and every pack costs each lookup.
func (r *Repo) mergePacks(ctx context.Context, heads map[string]Snapshot) error {
	dir, err := r.newClone()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // after the swap nothing is there any more
	bodies, total, err := openBodies([]string{r.clonePath() + "/objects"})
	defer closeBodies(bodies)
	if err != nil {
		return err
	}
	limits := r.cfg.Limits
	limits.Pack = max(limits.Pack, total) // it is on this disk already
	if err := addPack(ctx, dir, limits, func(w io.Writer) error {
		return writePack(ctx, w, nil, bodies, nil, limits)
	}); err != nil {
		return err
	}
	reader := openClone(dir, true)
	defer reader.close()
	for _, head := range heads {
		if _, err := r.holds(ctx, reader, head.commit); err != nil {
			return fmt.Errorf("check merged packs: %w", err)
		}
	}
	if err := r.swapClone(dir); err != nil {
		return err
	}
	r.mu.Lock()
	r.store = openClone(r.clonePath(), false)
	r.mu.Unlock()
	r.mark()
	return nil
}
