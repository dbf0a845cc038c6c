package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// judged is what became of one ref's head.
type judged struct {
	target  target
	snap    Snapshot // of the head; only without a verdict
	verdict *Error   // why it is refused
	adopted bool     // it follows what root adopts
}

// outcome is what became of all of them.
type outcome struct {
	judged []judged
	read   known // objects that were verified
}

// adoption says what came of Adopt: nil when a branch follows the adopted commit and
// passed every other check.
func (o outcome) adoption(adopt plumbing.Hash) error {
	for _, j := range o.judged {
		if j.adopted && j.verdict != nil {
			return j.verdict
		}
		if j.adopted {
			return nil
		}
	}
	return refuse(release.HistoryRewritten, "commit %s is not in the history of a ref that was refused; nothing was changed", adopt)
}

func (o outcome) verdict() *Error {
	for _, j := range o.judged {
		if j.verdict != nil {
			return j.verdict
		}
	}
	return nil
}

// judge decides about every head. An error means that it could not: an *objectError
// that the clone lacks something, anything else that the look failed.
func (r *Repo) judge(ctx context.Context, reader *store, targets []target, adopt plumbing.Hash, before known) (outcome, error) {
	out := outcome{read: make(known)}
	step := make(map[string]stride)
	refused := make(map[string]*Error)
	for _, t := range targets {
		if !t.present || t.refused != nil || t.failed != nil {
			continue
		}
		s, err := r.stride(ctx, reader, t, adopt)
		if verdict := refusal(err); err != nil && verdict == nil {
			return out, err
		} else if verdict != nil {
			refused[t.name] = verdict
			continue
		}
		step[t.name] = s
	}
	// With the record lost, root's word for one desired ref covers the others and the
	// evidence too.
	begins := false
	for _, t := range targets {
		begins = begins || r.lost != nil && step[t.name] == adopted && r.cfg.desired(t.name)
	}
	for _, t := range targets {
		j := judged{target: t, adopted: step[t.name] == adopted}
		b := r.rec.Refs[t.name]
		switch {
		case t.refused != nil:
			j.verdict = t.refused
		case t.failed != nil:
			j.verdict = t.failed
		case !t.present && r.asked != 0 && r.accepts(t.name):
			j.verdict = refuse(release.MirrorBehind, "%s has no %s, of which %s was accepted last", r.places[r.asked].name, shortRef(t.name), b.Commit)
		case !t.present:
			j.verdict = refuse(release.BranchMissing, "the repository has no %s", shortRef(t.name))
		case refused[t.name] != nil:
			j.verdict = refused[t.name]
		case step[t.name] == sideways && r.lost == nil && r.lags(ctx, reader, t, b):
			j.verdict = refuse(release.MirrorBehind, "%s has %s at %s, which is behind %s that was accepted last", r.places[r.asked].name, shortRef(t.name), t.at.commit, b.Commit)
		case step[t.name] == sideways && r.lost == nil:
			b.Refused = t.at.commit.String()
			j.verdict = rewritten(t.name, b)
		case r.lost != nil && !begins:
			j.verdict = refuse(release.GitStateLost, "commit %s is not in the history of %s", adopt, shortRef(t.name))
		default:
			var err error
			if j.snap, err = r.inspect(ctx, reader, t, before, out.read); err != nil {
				if j.verdict = refusal(err); j.verdict == nil {
					return out, err
				}
			}
		}
		out.judged = append(out.judged, j)
	}
	return out, nil
}

// stride is how a head stands to what was accepted before.
type stride int

const (
	sideways stride = iota // it does not descend from it
	ahead                  // it descends from it, or is the first
	adopted                // it does not, and root adopts it
)

func (r *Repo) stride(ctx context.Context, reader *store, t target, adopt plumbing.Hash) (stride, error) {
	if b, had := r.rec.Refs[t.name]; had {
		before := plumbing.NewHash(b.Commit)
		ok, err := t.at.commit == before, error(nil)
		if !ok && !movesNever(t.name) {
			ok, err = descends(ctx, reader, t.at.commit, before)
		}
		if ok || err != nil {
			return ahead, err
		}
	} else if r.lost == nil {
		return ahead, nil
	}
	if adopt.IsZero() {
		return sideways, nil
	}
	ok, err := descends(ctx, reader, t.at.commit, adopt)
	if !ok || err != nil {
		return sideways, err
	}
	return adopted, nil
}

// inspect reads all of a head's tree and checks whose repository it is.
func (r *Repo) inspect(ctx context.Context, reader *store, t target, before, read known) (Snapshot, error) {
	probe, err := newSnapshot(reader, reader, t.at.commit, r.cfg.Limits)
	if err != nil {
		return Snapshot{}, err
	}
	if r.cfg.desired(t.name) {
		if err := checkIdentity(probe, r.cfg.RepoID); err != nil {
			return Snapshot{}, err
		}
	}
	found, err := complete(ctx, reader, probe.tree, before, true, r.cfg.Limits)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read commit %s: %w", t.at.commit, err)
	}
	maps.Copy(read, found)
	probe.objs, probe.dirs = r, &r.dirs // outlive reader
	return probe, nil
}

// refusal tells a head that is bad, which stays so until the branch moves, from a
// look that failed.
func refusal(err error) *Error {
	damaged := (*objectError)(nil)
	switch {
	case errors.As(err, &damaged), errors.Is(err, context.Canceled), errors.Is(err, errFetchTooSlow):
		return nil
	}
	return classify(err)
}

func rewritten(full string, b record) *Error {
	if movesNever(full) {
		return refuse(release.HistoryRewritten, "%s was moved to %s; a tag that was accepted stays at %s, which is in use", shortRef(full), b.Refused, b.Commit)
	}
	return refuse(release.HistoryRewritten, "%s points to %s, which does not descend from %s that was accepted last; that one stays in use", shortRef(full), b.Refused, b.Commit)
}
