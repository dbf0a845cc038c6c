package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// judged is what became of one branch's head.
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
	return refuse(release.HistoryRewritten, "commit %s is not in the history of a branch that was refused; nothing was changed", adopt)
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
	for _, t := range targets {
		if !t.present {
			continue
		}
		s, err := r.stride(ctx, reader, t, adopt)
		if err != nil {
			return out, err
		}
		step[t.name] = s
	}
	// With the record lost, root's word for the followed branch covers the evidence too.
	begins := r.lost != nil && step[r.cfg.Branch] == adopted
	for _, t := range targets {
		j := judged{target: t, adopted: step[t.name] == adopted}
		b := r.rec.Branches[t.name]
		switch {
		case !t.present:
			j.verdict = refuse(release.BranchMissing, "the repository has no branch %s", t.name)
		case step[t.name] == sideways && r.lost == nil:
			b.Refused = t.head.String()
			j.verdict = rewritten(t.name, b)
		case r.lost != nil && !begins:
			j.verdict = refuse(release.GitStateLost, "commit %s is not in the history of branch %s", adopt, t.name)
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
	if b, had := r.rec.Branches[t.name]; had {
		ok, err := descends(ctx, reader, t.head, plumbing.NewHash(b.Commit))
		if ok || err != nil {
			return ahead, err
		}
	} else if r.lost == nil {
		return ahead, nil
	}
	if adopt.IsZero() {
		return sideways, nil
	}
	ok, err := descends(ctx, reader, t.head, adopt)
	if !ok || err != nil {
		return sideways, err
	}
	return adopted, nil
}

// inspect reads all of a head's tree and checks whose repository it is.
func (r *Repo) inspect(ctx context.Context, reader *store, t target, before, read known) (Snapshot, error) {
	probe, err := newSnapshot(reader, reader, t.head, r.cfg.Limits)
	if err != nil {
		return Snapshot{}, err
	}
	if t.name == r.cfg.Branch {
		if err := checkIdentity(probe, r.cfg.RepoID); err != nil {
			return Snapshot{}, err
		}
	}
	found, err := complete(ctx, reader, probe.tree, before, true, r.cfg.Limits)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read commit %s: %w", t.head, err)
	}
	maps.Copy(read, found)
	probe.objs = r // outlives reader
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

func rewritten(branch string, b record) *Error {
	return refuse(release.HistoryRewritten, "branch %s points to %s, which does not descend from %s that was accepted last; that one stays in use", branch, b.Refused, b.Commit)
}
