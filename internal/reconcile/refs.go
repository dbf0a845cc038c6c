package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/tealops/teal/internal/release"
)

// chosen is what Git asks of an app: the release directory of the followed ref that wins.
type chosen struct {
	ref    Ref
	tree   string // its id; "" when no ref holds a release directory of the app
	others int    // refs that hold another one
	// unread says which refs were left out because their manifest names no sequence.
	unread []string
}

// candidate is one content of an app's release directory with the ref that stands for it.
type candidate struct {
	ref      Ref
	index    int // of the ref in the host's configuration
	seen     uint64
	tree     string
	sequence int64
	known    bool // its manifest says a sequence
}

// choose finds the ref whose manifest of the app has the highest sequence; among equal
// ones the one that was seen first here, then the one that the host's configuration
// names first. Dates of commits are claims and are not looked at. A manifest that says no
// sequence wins only where none says one; one that says a sequence takes part whatever
// else is wrong with it, for a newer release that is refused must not look like success.
func (d *Desk) choose(app string, refs []Ref) (chosen, error) {
	if len(refs) == 1 {
		tree, ok := refs[0].Commit.Tree(d.dir(app))
		if !ok && d.absent(app, refs[0].Commit) { // else reading it says what is wrong
			tree = ""
		}
		return chosen{ref: refs[0], tree: tree}, nil
	}
	best := make(map[string]candidate)
	for i, ref := range refs {
		tree, ok := ref.Commit.Tree(d.dir(app))
		if !ok {
			continue
		}
		c := candidate{ref: ref, index: i, tree: tree}
		if ref.Seen != nil {
			c.seen = ref.Seen(app)
		}
		if have, ok := best[tree]; !ok || c.before(have) {
			best[tree] = c
		}
	}
	if len(best) == 0 {
		return chosen{ref: refs[0]}, nil
	}
	all := make([]candidate, 0, len(best))
	for _, c := range best {
		all = append(all, c)
	}
	out := chosen{others: len(all) - 1}
	var failed error
	if len(all) > 1 {
		for i, c := range all {
			f, err := d.facts(app, c.tree, c.ref.Commit)
			if err != nil && reasonOf(err, "") == "" {
				// Not what its bytes say: they could not be read this time. It may be the newest
				// one, so nothing is wanted for certain.
				failed = err
			}
			all[i].sequence, all[i].known = f.sequence, f.known
		}
	}
	if failed != nil {
		return chosen{}, failed
	}
	win := slices.MinFunc(all, candidate.compare)
	out.ref, out.tree = win.ref, win.tree
	for _, c := range all {
		if !c.known && c.tree != win.tree {
			out.unread = append(out.unread, c.ref.Name)
		}
	}
	slices.Sort(out.unread)
	return out, nil
}

// absent reports whether the commit surely has no release directory of the app: one that
// cannot be read is not absent.
func (d *Desk) absent(app string, commit Commit) bool {
	_, err := commit.Sub(d.dir(app))
	return errors.Is(err, fs.ErrNotExist)
}

// before orders refs that hold the same content.
func (c candidate) before(o candidate) bool {
	return cmp.Or(cmp.Compare(c.seen, o.seen), cmp.Compare(c.index, o.index)) < 0
}

// compare puts the winner first.
func (c candidate) compare(o candidate) int {
	known := 0
	switch {
	case c.known && !o.known:
		known = -1
	case o.known && !c.known:
		known = 1
	}
	return cmp.Or(known, cmp.Compare(o.sequence, c.sequence), cmp.Compare(c.seen, o.seen), cmp.Compare(c.index, o.index), strings.Compare(c.tree, o.tree))
}

// facts are the little that is kept of every release directory that was parsed, long
// after the whole of it was dropped from Parsed.
type facts struct {
	sequence int64
	known    bool
	digest   release.Digest
	formerly string
	routes   map[string]bool // host and path as one word; nil when it has problems
}

// factBook keeps facts by app and tree id.
type factBook struct {
	mu sync.Mutex // guards of
	of map[string]facts
}

// maxFacts bounds the release directories whose facts are kept: each takes about 200
// bytes, so 20 MB at the most.
const maxFacts = 100_000

func (d *Desk) facts(app, tree string, commit Commit) (facts, error) {
	key := app + "/" + tree + d.labels()
	d.Parsed.facts.mu.Lock()
	f, ok := d.Parsed.facts.of[key]
	d.Parsed.facts.mu.Unlock()
	if ok {
		return f, nil
	}
	p, err := d.wanted(app, tree, commit)
	if err != nil {
		return facts{}, err
	}
	return p.facts(), nil
}

func (p *parsed) facts() facts {
	f := facts{digest: p.digest}
	if p.rel != nil {
		f.sequence, f.known, f.formerly = p.rel.Sequence, p.rel.Sequence > 0, p.rel.Formerly
		if p.placed != nil { // those of other hosts are no one's here
			f.routes = routeSet(p.placed)
		}
	}
	return f
}

func (b *factBook) put(key string, f facts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil || len(b.of) >= maxFacts {
		b.of = make(map[string]facts)
	}
	b.of[key] = f
}

// wanted parses an app's release directory of a commit.
func (d *Desk) wanted(app, tree string, commit Commit) (*parsed, error) {
	return d.parse(app, "tree:"+tree, func() (fs.FS, error) { return commit.Sub(d.dir(app)) })
}

// chosenOf is choose for what the repository has now.
func (d *Desk) chosenOf(app string) (chosen, release.Code, string) {
	refs, code, detail := d.Repo.Desired()
	if code != "" {
		return chosen{}, code, detail
	}
	c, err := d.choose(app, refs)
	if err != nil {
		return chosen{}, reasonOf(err, release.DirectoryUnreadable), err.Error()
	}
	return c, "", ""
}

// text says where a wish comes from, for people; "" when there is nothing to say.
func (c chosen) text() string {
	switch {
	case len(c.unread) > 0:
		return fmt.Sprintf("%s; left out, for their manifests say no sequence: %s", c.ref.Name, strings.Join(c.unread, ", "))
	case c.others > 0:
		return fmt.Sprintf("%s has the highest sequence of %d different ones", c.ref.Name, c.others+1)
	}
	return ""
}

// Wish is what Git asks of an app, before anything was judged.
type Wish struct {
	Ref      string // the followed ref that wins, in full
	Commit   string // its accepted commit
	Digest   release.Digest
	Sequence int64 // 0: the manifest says none
}

// Wish gives what Git asks of an app; ok is false when no followed ref holds it. A release
// directory is read and parsed when its tree is a new one, and its facts are kept: of many
// thousand apps a commit that changes one costs that one.
func (d *Desk) Wish(app string) (w Wish, ok bool, err error) {
	from, code, detail := d.chosenOf(app)
	if code != "" {
		return w, false, fmt.Errorf("read what Git asks of %s: %s: %s", app, code, detail)
	}
	if from.tree == "" {
		return w, false, nil
	}
	f, err := d.facts(app, from.tree, from.ref.Commit)
	if err != nil {
		return w, false, err
	}
	return Wish{Ref: from.ref.Name, Commit: from.ref.Commit.ID(), Digest: f.digest, Sequence: f.sequence}, true, nil
}
