package gitops

import (
	"container/heap"
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/trust"
)

const (
	// changesWalked bounds how many commits one call of Changes reads: some months of
	// releases and approvals of many apps. A slow machine reads 3,000 in a second.
	changesWalked = 50_000
	// changesMax bounds how many commits it returns.
	changesMax = 256
	// changeBytes bounds one returned commit; its message may have 64 KiB and more.
	changeBytes = 256 << 10
)

// Changes are the commits that changed a directory (from the root of the repository)
// since a commit, over all parents of this one. since is a commit (40 hex), or "" for
// all of the history. It lies in this one's history; or, when several refs are followed,
// in that of another: then the commits are those that this one has and since has not.
//
// A commit counts when it gives the directory a content that it did not take from a
// parent. A merge that takes one side unchanged introduces nothing, unless that side
// is what the directory was before since: then the merge is what brought it back.
// Every content that the directory has here is so either that of since, or was
// introduced by a commit in the list.
//
// What makes the list uncertain (since is not known here, the directory is as it was
// before since, too many commits, a commit that is malformed) is Unknown. An error means that objects could not be
// read; it may be gone at the next attempt. For an older head h of the same history,
// Changes(dir, h) and what h gave for since make up Changes(dir, since), so that a
// caller who remembers h reads little.
func (s Snapshot) Changes(ctx context.Context, dir, since string) (trust.Changes, error) {
	if s.objs == nil {
		return trust.Changes{Unknown: "there is no commit"}, nil
	}
	w := &changeWalk{
		objs: s.objs, path: newTreePath(s.objs, dir, s.limits), limit: changesWalked,
		nodes: make(map[plumbing.Hash]*changeNode),
	}
	if since != "" {
		if !commitHex.MatchString(since) {
			return trust.Changes{Unknown: fmt.Sprintf("%s is not the name of a commit", escape(since, 60))}, nil
		}
		w.since = plumbing.NewHash(since)
	}
	found, err := w.run(ctx, s.commit)
	// A commit of another ref: only one that is here is looked for, as asking for an object
	// that is missing is taken for a damaged clone.
	if holder, ok := s.objs.(interface{ has(plumbing.Hash) bool }); errors.Is(err, errNotBelow) && ok && holder.has(w.since) {
		found, err = w.beside().run(ctx, s.commit)
	}
	if unsure := (*unsureError)(nil); errors.As(err, &unsure) {
		return trust.Changes{Unknown: unsure.why}, nil
	}
	if err != nil {
		return trust.Changes{}, fmt.Errorf("read the changes of %s since %s: %w", escape(dir, 200), since, err)
	}
	return trust.Changes{Commits: found}, nil
}

// unsureError ends a walk that cannot give the whole list.
type unsureError struct {
	why      string
	notBelow bool
}

func (e *unsureError) Error() string { return e.why }

// errNotBelow is the cause of an unsureError: since is not in the history of the head.
var errNotBelow = errors.New("not below")

func (e *unsureError) Is(target error) bool { return target == errNotBelow && e.notBelow }

func unsure(format string, args ...any) error { return &unsureError{why: fmt.Sprintf(format, args...)} }

// changeNode is one commit that the walk has read.
type changeNode struct {
	hash    plumbing.Hash
	parents []plumbing.Hash
	content string // of the directory; "" when there is none
	when    int64  // claimed; orders the walk, decides nothing
	before  bool   // since, or one of its ancestors
	counted bool
	old     bool // content is from before since, unchanged, and nothing of since's is below it
}

// changeWalk finds what lies between a head and since.
//
// Dates are claims, and a history has no order but its parents. So two walks go side
// by side: one from the head, and, once that one has met since, one from since, which
// marks what lies before it. The first ends when everything left to it is marked.
// What is marked is so truly; what a date or the bound on reading leaves unmarked is
// taken for a change more, never for one less.
type changeWalk struct {
	objs  objects
	path  *treePath
	since plumbing.Hash // zero: all history
	base  string        // content at since
	limit int
	aside bool // since is not below the head: what it has is marked from the start

	nodes  map[plumbing.Hash]*changeNode
	order  []*changeNode // as the walk from the head met them
	ahead  []plumbing.Hash
	behind changeHeap
}

func (w *changeWalk) run(ctx context.Context, head plumbing.Hash) ([]trust.Commit, error) {
	w.ahead = []plumbing.Hash{head}
	met := w.since.IsZero()
	if w.aside {
		if err := w.mark(w.since); err != nil {
			return nil, err
		}
		n := w.nodes[w.since]
		if n == nil {
			return nil, unsure("commit %s, which was accepted last, cannot be read", w.since)
		}
		met, w.base = true, n.content
	}
	for len(w.ahead) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h := w.ahead[0]
		w.ahead = w.ahead[1:]
		if w.nodes[h] != nil {
			continue
		}
		n, err := w.read(h)
		if err != nil {
			return nil, err
		}
		if h == w.since {
			met, w.base = true, n.content
			if err := w.mark(h); err != nil {
				return nil, err
			}
			continue
		}
		if w.since.IsZero() && n.content == "" {
			n.before = true // until the directory was made there is nothing to find
			continue
		}
		w.order = append(w.order, n)
		w.ahead = append(w.ahead, n.parents...)
		if err := w.stepBack(ctx); err != nil {
			return nil, err
		}
	}
	if !met {
		return nil, &unsureError{fmt.Sprintf("commit %s, which was accepted last, is not in the history of %s", w.since, head), true}
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	found, err := w.collect()
	if err != nil || !w.aside {
		return found, err
	}
	// Of two histories beside each other this one may hold what the directory was before
	// they parted: no commit of the list made that.
	if n := w.nodes[head]; n.before && n.content != w.base || !n.before && n.old {
		return nil, unsure("commit %s, which was accepted last, is not in the history of %s, where the directory is as it was before", w.since, head)
	}
	return found, nil
}

// beside is the same walk again for a since that lies in another history.
func (w *changeWalk) beside() *changeWalk {
	return &changeWalk{objs: w.objs, path: w.path, since: w.since, limit: w.limit, aside: true, nodes: make(map[plumbing.Hash]*changeNode)}
}

// read reads one commit and what it makes of the directory.
func (w *changeWalk) read(h plumbing.Hash) (*changeNode, error) {
	if len(w.nodes) >= w.limit {
		return nil, unsure("there are more than %d commits to look at", w.limit)
	}
	c, err := w.commit(h)
	if err != nil {
		return nil, err
	}
	n := &changeNode{hash: h, parents: c.parents, when: c.when.Unix()}
	if n.content, err = w.path.content(c.tree); err != nil {
		return nil, err
	}
	w.nodes[h] = n
	return n, nil
}

func (w *changeWalk) commit(h plumbing.Hash) (rawCommit, error) {
	data, err := w.objs.object(h, plumbing.CommitObject, commitMax)
	if large := (*tooLargeError)(nil); errors.As(err, &large) {
		return rawCommit{}, unsure("commit %s is larger than %d bytes", h, commitMax)
	}
	if err != nil {
		return rawCommit{}, err
	}
	c, err := parseCommit(data)
	if err != nil {
		return rawCommit{}, unsure("commit %s: %v", h, err)
	}
	return c, nil
}

// mark notes that a commit lies before since, and so do all that were read below it.
// What cannot be made sense of there stays unmarked: the walk from the head says so
// if it gets there.
func (w *changeWalk) mark(h plumbing.Hash) error {
	for queue := []plumbing.Hash{h}; len(queue) > 0; queue = queue[1:] {
		n := w.nodes[queue[0]]
		if n == nil {
			var err error
			if n, err = w.read(queue[0]); err == nil {
				n.before = true
				heap.Push(&w.behind, n)
			} else if unsure := (*unsureError)(nil); !errors.As(err, &unsure) {
				return err
			}
			continue
		}
		if !n.before {
			n.before = true
			queue = append(queue, n.parents...)
		}
	}
	return nil
}

// stepBack takes the walk from since one commit further.
func (w *changeWalk) stepBack(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(w.behind) == 0 {
		return nil
	}
	n := heap.Pop(&w.behind).(*changeNode)
	for _, p := range n.parents {
		if err := w.mark(p); err != nil {
			return err
		}
	}
	return nil
}

// slack is how far clocks of committers may differ before a commit from before since
// is taken for a change.
const slack = 60 * 60 // seconds

// settle marks what the walk from the head met by a shorter way than the walk from
// since. It looks only as far back as the oldest commit in question claims to be.
func (w *changeWalk) settle(ctx context.Context) error {
	for len(w.behind) > 0 {
		oldest, open := int64(0), false
		for _, n := range w.order {
			if !n.before && (!open || n.when < oldest) {
				oldest, open = n.when, true
			}
		}
		// Several steps a round: the list need not be looked at for each.
		for range 64 {
			if !open || len(w.behind) == 0 || w.behind[0].when < oldest-slack {
				return nil
			}
			if err := w.stepBack(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect decides, parents first, which commits count, and returns them as the walk
// from the head met them.
func (w *changeWalk) collect() ([]trust.Commit, error) {
	for _, n := range w.parentsFirst() {
		w.judge(n)
	}
	var found []trust.Commit
	for _, n := range w.order {
		if n.before || !n.counted {
			continue
		}
		if len(found) == changesMax {
			return nil, unsure("more than %d commits changed it", changesMax)
		}
		c, err := w.commit(n.hash)
		if err != nil {
			return nil, err
		}
		if len(c.signed)+len(c.signature) > changeBytes {
			return nil, unsure("commit %s is larger than %d bytes", n.hash, changeBytes)
		}
		found = append(found, c.asChange(n.hash))
	}
	return found, nil
}

// judge decides whether a commit counts, after its parents. A parent explains the
// content when it has the same; it does so with since's own or with one that was
// counted, or only with an old one.
func (w *changeWalk) judge(n *changeNode) {
	explained, old, current := false, false, false
	weigh := func(content string, isOld bool) {
		current = current || !isOld
		if content == n.content {
			explained, old = explained || !isOld, old || isOld
		}
	}
	for _, p := range n.parents {
		parent := w.nodes[p] // all parents of what lies after since were read
		if parent.before {
			weigh(parent.content, parent.content != w.base)
		} else {
			weigh(parent.content, parent.old)
		}
	}
	if len(n.parents) == 0 {
		weigh("", w.base != "")
	}
	switch {
	case explained:
	case old && !current:
		n.old = true
	default:
		n.counted = true
	}
}

// parentsFirst orders what lies after since.
func (w *changeWalk) parentsFirst() []*changeNode {
	var out []*changeNode
	done := make(map[plumbing.Hash]bool)
	for _, n := range w.order {
		for stack := []*changeNode{n}; len(stack) > 0; {
			top := stack[len(stack)-1]
			waits := false
			if !done[top.hash] && !top.before {
				for _, p := range top.parents {
					if parent := w.nodes[p]; !parent.before && !done[p] {
						stack, waits = append(stack, parent), true
					}
				}
			}
			if waits {
				continue
			}
			stack = stack[:len(stack)-1]
			if !done[top.hash] && !top.before {
				done[top.hash] = true
				out = append(out, top)
			}
		}
	}
	return out
}

// changeHeap gives the newest commit first, by what it claims, then by name.
type changeHeap []*changeNode

func (h changeHeap) Len() int { return len(h) }
func (h changeHeap) Less(i, j int) bool {
	if h[i].when != h[j].when {
		return h[i].when > h[j].when
	}
	return h[i].hash.String() < h[j].hash.String()
}
func (h changeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *changeHeap) Push(x any)   { *h = append(*h, x.(*changeNode)) }
func (h *changeHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
