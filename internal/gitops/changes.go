package gitops

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/tealops/teal/internal/trust"
)

const (
	// maxChangesWalked bounds the commits that are looked at, maxChanges those that are
	// given back.
	maxChangesWalked = 20_000
	maxChanges       = 256
)

// Changes are the commits that touched a directory between the commit since and this
// one; "" is the whole history. A commit touched it when the directory differs from that
// of every parent, so a merge that takes one side as it is adds nothing, and the commits
// of both sides are looked at. Dates only order the walk: a wrong one can make the list
// longer, never shorter. What keeps the list from being whole is said in Unknown.
func (s Snapshot) Changes(ctx context.Context, dir, since string) trust.Changes {
	if s.objs == nil {
		return trust.Changes{Unknown: "there is no commit"}
	}
	w := changeWalk{objs: s.objs, limits: s.parents(), flags: map[plumbing.Hash]commitFlag{}, dirs: map[plumbing.Hash]plumbing.Hash{}, dir: dir}
	changes, err := w.run(ctx, s.commit, plumbing.NewHash(since))
	if err != nil {
		changes.Unknown = escape(err.Error(), 300)
	}
	return changes
}

type commitFlag byte

const (
	flagSeen commitFlag = 1 << iota // in the queue or past it
	flagOld                         // since, or reachable from it
	flagDone
)

type changeWalk struct {
	objs   objects
	limits Limits
	dir    string
	flags  map[plumbing.Hash]commitFlag
	queue  commitQueue
	fresh  int // commits in the queue that are not old
	walked int
	dirs   map[plumbing.Hash]plumbing.Hash // commit → its directory's tree
}

type queued struct {
	hash   plumbing.Hash
	when   time.Time
	commit *object.Commit
}

// commitQueue is a heap, newest first.
type commitQueue []queued

func (q commitQueue) Len() int           { return len(q) }
func (q commitQueue) Less(i, j int) bool { return q[i].when.After(q[j].when) }
func (q commitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *commitQueue) Push(x any)        { *q = append(*q, x.(queued)) }
func (q *commitQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// push notes a commit, old or not. A commit that turns out to be old after it was taken
// for new is walked again, so that what is behind it is old too.
func (w *changeWalk) push(h plumbing.Hash, old bool) error {
	f := w.flags[h]
	switch {
	case f&flagSeen != 0 && (!old || f&flagOld != 0):
		return nil
	case f&flagSeen != 0 && f&flagDone == 0: // waits in the queue: only its flag changes
		w.flags[h] = f | flagOld
		w.fresh--
		return nil
	}
	c, err := readCommit(w.objs, h)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	w.flags[h] = flagSeen
	if old {
		w.flags[h] |= flagOld
	} else {
		w.fresh++
	}
	heap.Push(&w.queue, queued{h, c.Committer.When, c})
	return nil
}

func (w *changeWalk) run(ctx context.Context, head, since plumbing.Hash) (trust.Changes, error) {
	if !since.IsZero() {
		if err := w.push(since, true); err != nil {
			return trust.Changes{}, fmt.Errorf("the commit %.12s that was accepted last is not there: %w", since, err)
		}
	}
	if err := w.push(head, false); err != nil {
		return trust.Changes{}, err
	}
	reached := since.IsZero() || head == since
	var found []queued
	// The walk goes on a little behind the last new commit: one of those may be old, which
	// is known only when the walk from since comes there. A day makes up for clocks.
	var oldest time.Time
	for w.fresh > 0 || len(w.queue) > 0 && len(found) > 0 && w.queue[0].when.After(oldest.Add(-24*time.Hour)) {
		if ctx.Err() != nil {
			return trust.Changes{}, context.Cause(ctx)
		}
		if w.walked++; w.walked > maxChangesWalked {
			return trust.Changes{}, fmt.Errorf("more than %d commits since the last accepted release", maxChangesWalked)
		}
		next := heap.Pop(&w.queue).(queued)
		old := w.flags[next.hash]&flagOld != 0
		w.flags[next.hash] |= flagDone
		if !old {
			w.fresh--
			found = append(found, next)
			if oldest.IsZero() || next.when.Before(oldest) {
				oldest = next.when
			}
		}
		for _, p := range next.commit.ParentHashes {
			if !old && p == since {
				reached = true
			}
			if err := w.push(p, old); err != nil {
				return trust.Changes{}, err
			}
		}
	}
	if !reached {
		return trust.Changes{}, fmt.Errorf("the commit %.12s that was accepted last is not in the history", since)
	}
	return w.touching(found)
}

// touching keeps the commits that changed the directory.
func (w *changeWalk) touching(found []queued) (trust.Changes, error) {
	var out trust.Changes
	for _, c := range found {
		if w.flags[c.hash]&flagOld != 0 {
			continue
		}
		touched, err := w.touched(c)
		if err != nil {
			return out, err
		}
		if !touched {
			continue
		}
		if len(out.Commits) == maxChanges {
			return out, fmt.Errorf("more than %d commits changed the release", maxChanges)
		}
		raw, err := w.objs.object(c.hash, plumbing.CommitObject, commitMax)
		if err != nil {
			return out, err
		}
		signed, signature := splitSignature(raw)
		out.Commits = append(out.Commits, trust.Commit{ID: c.hash.String(), Committer: c.commit.Committer.Email, When: c.when.UTC(), Signed: signed, Signature: signature})
	}
	return out, nil
}

func (w *changeWalk) touched(c queued) (bool, error) {
	own, err := w.tree(c.hash, c.commit)
	if err != nil {
		return false, err
	}
	if len(c.commit.ParentHashes) == 0 {
		return !own.IsZero(), nil
	}
	for _, p := range c.commit.ParentHashes {
		parent, err := readCommit(w.objs, p)
		if err != nil {
			return false, fmt.Errorf("read history: %w", err)
		}
		theirs, err := w.tree(p, parent)
		if err != nil {
			return false, err
		}
		if theirs == own {
			return false, nil
		}
	}
	return true, nil
}

// tree is the directory's object in a commit; zero when there is none. What stands there
// instead of a directory is told apart by its own name.
func (w *changeWalk) tree(h plumbing.Hash, c *object.Commit) (plumbing.Hash, error) {
	if t, ok := w.dirs[h]; ok {
		return t, nil
	}
	e, err := newTreeFS(w.objs, c.TreeHash, ".", w.limits).resolve(w.dir)
	var entryError *EntryError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e = entry{}
	case errors.As(err, &entryError):
		e = entry{hash: c.TreeHash} // unreadable there: counts as a change on both sides
	case err != nil:
		return plumbing.ZeroHash, err
	}
	w.dirs[h] = e.hash
	return e.hash, nil
}

// splitSignature takes the signature out of a commit object, as Git does before it
// verifies: the headers gpgsig and gpgsig-sha256 with their continuation lines. Two
// signatures are as good as none.
func splitSignature(raw []byte) (signed, signature []byte) {
	head, message, ok := bytes.Cut(raw, []byte("\n\n"))
	if !ok {
		return raw, nil
	}
	var kept [][]byte
	count, in := 0, ""
	for _, line := range bytes.Split(head, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(" "))
		switch {
		case len(line) > 0 && line[0] == ' ':
			switch in {
			case "gpgsig":
				signature = append(append(signature, line[1:]...), '\n')
				continue
			case "gpgsig-sha256":
				continue
			}
		case string(name) == "gpgsig":
			count++
			in = "gpgsig"
			signature = append(bytes.Clone(value), '\n')
			continue
		default:
			if in = string(name); in == "gpgsig-sha256" {
				continue
			}
		}
		kept = append(kept, line)
	}
	if count != 1 {
		signature = nil
	}
	signed = append(bytes.Join(kept, []byte("\n")), "\n\n"...)
	return append(signed, message...), signature
}
