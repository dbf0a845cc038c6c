package gitops

import (
	"cmp"
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

// Adopt lets root accept a rewritten history or a tag that moved, or begin again after
// the record was lost: commit (40 hex) must be in the history of a ref that is refused
// now, and the head of that ref is accepted without asking whether it descends from what
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
	reached, verdict, failure := r.tryPlaces(ctx, adopt)
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
	s.Head, s.Evidence = r.first().Commit(), r.heads[branchRef(r.cfg.Evidence)].Commit()
	if reached {
		s.Refs = r.refs()
	}
	s.Places = r.placeStatus()
	r.status = s
	r.mu.Unlock()
	changed := !slices.Equal(s.Refs, was.Refs) || !slices.Equal(s.Places, was.Places)

	switch {
	case s.Failures == 1 && was.Failures == 0:
		r.cfg.Log.Warn("repository cannot be used, trying again", "code", failure.Code, "err", failure.Error())
	case s.Failures == 0 && s.Code != "" && s.Code != was.Code:
		r.cfg.Log.Error("head refused, the accepted one stays in use", "code", s.Code, "err", s.Detail)
	}
	if changed {
		r.say(was.Refs, s.Refs)
	}
	if s.Code == "" && was.Code != "" {
		r.cfg.Log.Info("repository is followed again", "was", was.Code)
	}
	if changed || s.Head != was.Head || s.Evidence != was.Evidence || s.Code != was.Code {
		poke(r.changed)
	}
}

// say logs what changed of each ref.
func (r *Repo) say(was, now []RefStatus) {
	before := make(map[string]RefStatus, len(was))
	for _, s := range was {
		before[s.Name] = s
	}
	for _, s := range now {
		b := before[s.Name]
		delete(before, s.Name)
		if s.Head != b.Head {
			r.cfg.Log.Info("head accepted", "ref", s.Name, "was", b.Head, "commit", s.Head)
		}
		if s.Code != "" && s.Code != b.Code {
			r.cfg.Log.Warn("head of a ref refused", "ref", s.Name, "code", s.Code, "err", s.Detail)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		r.cfg.Log.Info("ref is followed no more", "ref", name, "was", before[name].Head)
	}
}

// refs are the followed refs as the last look left them; mu is held, and trying.
func (r *Repo) refs() []RefStatus {
	var out []RefStatus
	for _, name := range r.saw {
		st := RefStatus{Name: name, Head: r.heads[name].Commit(), Desired: r.cfg.desired(name)}
		if v := r.looked[name].verdict; v != nil {
			st.Code, st.Detail = v.Code, v.Error()
		}
		out = append(out, st)
	}
	return out
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
	tips, err := v.tips(ctx, r.cfg.ask())
	if err != nil {
		return false, nil, err
	}
	targets := r.cfg.targets(tips, r.names())
	if r.asked != 0 {
		targets = r.keep(targets, tips)
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
	if len(targets) != len(r.looked) {
		return false
	}
	for _, t := range targets {
		l, ok := r.looked[t.name]
		if !ok || l.head != t.at.commit || l.present != t.present || l.refused != t.why() {
			return false
		}
	}
	return intact || r.hopeless == key(targets)
}

func key(targets []target) string {
	var b strings.Builder
	for _, t := range targets {
		fmt.Fprintf(&b, "%s %s\n", t.name, t.at.commit)
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
	for _, name := range r.names() {
		if b, ok := r.rec.Refs[name]; ok {
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
	if err := r.fetchEach(ctx, v, dir, targets, whole); err != nil {
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
	if err := r.record(ctx, reader, out, use); err != nil {
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

// fetchEach adds to the clone in dir what the targets need: in one download, or, when
// that is refused as a whole, one for each ref, so that a ref that is too large does not
// stop the others. Which one it was is written into targets.
func (r *Repo) fetchEach(ctx context.Context, v visit, dir string, targets []target, whole bool) error {
	err := r.fetch(ctx, v, dir, targets, whole)
	large := (*tooLargeError)(nil)
	if !errors.As(err, &large) || ctx.Err() != nil {
		return err
	}
	missing := 0
	for _, t := range targets {
		if t.present && t.refused == nil {
			missing++
		}
	}
	if missing < 2 {
		return err
	}
	for i := range targets {
		if err := r.fetch(ctx, v, dir, targets[i:i+1], whole); errors.As(err, &large) && ctx.Err() == nil {
			targets[i].failed = classify(fmt.Errorf("fetch %s: %w", shortRef(targets[i].name), err))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// fetch adds to the clone in dir what the targets need.
func (r *Repo) fetch(ctx context.Context, v visit, dir string, targets []target, whole bool) error {
	have := openClone(dir, true)
	defer have.close()
	var wants, haves []plumbing.Hash
	want := func(commit, ask plumbing.Hash) {
		if !slices.Contains(wants, ask) && !have.has(commit) {
			wants = append(wants, ask)
		}
	}
	for _, t := range targets {
		if t.present && t.refused == nil {
			want(t.at.commit, t.at.want)
		}
		b, ok := r.rec.Refs[t.name]
		if !ok {
			continue
		}
		switch h := plumbing.NewHash(b.Commit); {
		case !whole:
			haves = append(haves, h)
		case v.knows(ctx, h): // keeps the accepted head when its branch was rewritten
			want(h, h)
		}
	}
	if len(wants) == 0 {
		return nil
	}
	if len(targets) == 1 && !whole { // one of several: the others are here
		haves = append(haves, r.accepted()...)
	}
	return addPack(ctx, dir, r.cfg.Limits, func(w io.Writer) error {
		// What was verified is here, and asking a map is cheaper than asking packs: a directory
		// of 10,000 apps has as many names.
		return v.pack(ctx, w, wants, ancestors(have, haves, 64), func(h plumbing.Hash) bool {
			return !whole && r.known[h] != 0 || have.has(h)
		})
	})
}

// accepted are the heads in use.
func (r *Repo) accepted() []plumbing.Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []plumbing.Hash
	for _, name := range r.followed {
		if head, ok := r.heads[name]; ok {
			out = append(out, head.commit)
		}
	}
	return out
}

// maxGone bounds how many refs that are no more are remembered; the longest unused are
// forgotten first.
const maxGone = 1000

// record makes durable what is refused and, with use, what is accepted. Nothing is
// used before that.
func (r *Repo) record(ctx context.Context, reader *store, out outcome, use bool) error {
	rec := accepted{RepoID: r.cfg.RepoID, Refs: maps.Clone(r.rec.Refs), Look: r.rec.Look}
	if rec.Refs == nil {
		rec.Refs = make(map[string]record)
	}
	tell := r.cfg.several()
	look := rec.Look
	if tell {
		look++
	}
	there := make(map[string]bool)
	for _, j := range out.judged {
		b, had := rec.Refs[j.target.name]
		there[j.target.name] = j.target.present
		switch {
		case j.verdict == nil && use && (b.Commit != j.snap.Commit() || b.Refused != "" || b.Gone):
			next := record{First: b.First, Apps: b.Apps}
			switch {
			case !tell || !r.cfg.desired(j.target.name):
			case !had || b.Gone || j.adopted:
				next = record{First: look}
			case b.Commit != j.snap.Commit():
				next = r.seenApps(ctx, reader, b, j.snap, look)
			}
			next.Commit, next.At = j.snap.Commit(), r.now().UTC()
			rec.Refs[j.target.name] = next
		case j.verdict != nil && j.verdict.Code == release.HistoryRewritten && had:
			b.Refused, b.Gone = j.target.at.commit.String(), false
			rec.Refs[j.target.name] = b
		}
	}
	if use {
		rec.leave(r.cfg, there)
	}
	if r.lost == nil && rec.equal(r.rec) {
		return nil
	}
	rec.Look = look
	if err := rec.save(r.cfg.Dir); err != nil {
		return err
	}
	r.rec, r.lost = rec, nil
	return nil
}

// leave notes which refs that a pattern found are there no more.
func (a *accepted) leave(cfg Config, there map[string]bool) {
	var gone []string
	for name, b := range a.Refs {
		_, looked := there[name]
		named := name == branchRef(cfg.Evidence) || slices.ContainsFunc(cfg.Follow, func(f Follow) bool { return f.exact() == name })
		if !looked && !named && cfg.desired(name) {
			b.Gone = true
			a.Refs[name] = b
		}
		if b.Gone {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(gone, func(x, y string) int {
		return cmp.Or(a.Refs[y].At.Compare(a.Refs[x].At), strings.Compare(x, y))
	})
	for len(gone) > maxGone {
		delete(a.Refs, gone[len(gone)-1])
		gone = gone[:len(gone)-1]
	}
}

// worthSwapping reports whether a new clone holds something and loses nothing that the
// current one can still show.
func (r *Repo) worthSwapping(ctx context.Context, reader *store, out outcome) bool {
	r.mu.Lock()
	old := r.store
	r.mu.Unlock()
	any := false
	for _, j := range out.judged {
		b, ok := r.rec.Refs[j.target.name]
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
	r.looked, r.saw = make(map[string]lookedAt), nil
	for _, j := range out.judged {
		r.looked[j.target.name] = lookedAt{j.target.at.commit, j.target.present, j.target.why(), j.verdict}
		r.saw = append(r.saw, j.target.name)
	}
}

// publish offers the accepted heads. Everything is durable and verified by now.
func (r *Repo) publish(ctx context.Context, out outcome) {
	r.remember(out)
	r.hopeless = ""
	fresh := openClone(r.clonePath(), false)
	heads := make(map[string]Snapshot)
	var followed []string
	for _, j := range out.judged {
		if strings.HasPrefix(j.target.name, "refs/") {
			followed = append(followed, j.target.name)
		}
		b, ok := r.rec.Refs[j.target.name]
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
	r.store, r.heads, r.followed, r.seen, r.suspect = fresh, heads, followed, maps.Clone(r.rec.Refs), false
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
