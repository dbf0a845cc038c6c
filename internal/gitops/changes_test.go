package gitops

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/trust"
)

// graph is a history in memory, of commits whose names stand for them.
type graph struct {
	raw    map[plumbing.Hash]rawObject
	hashes map[string]plumbing.Hash
	names  map[string]string // by hex
	clock  int64
	reads  int
}

type rawObject struct {
	typ  plumbing.ObjectType
	data []byte
}

func newGraph() *graph {
	return &graph{raw: map[plumbing.Hash]rawObject{}, hashes: map[string]plumbing.Hash{}, names: map[string]string{}, clock: 1_800_000_000}
}

func (g *graph) object(h plumbing.Hash, typ plumbing.ObjectType, max int64) ([]byte, error) {
	o, ok := g.raw[h]
	switch {
	case !ok:
		return nil, &objectError{h.String(), plumbing.ErrObjectNotFound}
	case int64(len(o.data)) > max:
		return nil, &tooLargeError{"object " + h.String(), max}
	case o.typ != typ:
		return nil, errWrongType
	}
	g.reads++
	return o.data, nil
}

func (g *graph) put(typ plumbing.ObjectType, data []byte) plumbing.Hash {
	h := plumbing.ComputeHash(typ, data)
	g.raw[h] = rawObject{typ, data}
	return h
}

// tree is a root tree in which environments/production/shop has that content; "" is
// none. other is something else in the same tree.
func (g *graph) tree(content, other string) plumbing.Hash {
	blob := func(text string) plumbing.Hash { return g.put(plumbing.BlobObject, []byte(text)) }
	root := line(modeFile, "other", blob(other).String())
	if content != "" {
		shop := g.put(plumbing.TreeObject, line(modeFile, "release.yaml", blob(content).String()))
		env := g.put(plumbing.TreeObject, line(modeDir, "shop", shop.String()))
		envs := g.put(plumbing.TreeObject, line(modeDir, "production", env.String()))
		root = append(line(modeDir, "environments", envs.String()), root...)
	}
	return g.put(plumbing.TreeObject, root)
}

// commit adds a commit a minute after the one before. Every commit changes something
// else, too.
func (g *graph) commit(name, content string, parents ...string) {
	g.clock += 60
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", g.tree(content, name))
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", g.hashes[p])
	}
	fmt.Fprintf(&b, "author A <a@example.com> %d +0000\ncommitter %s <%s@example.com> %d +0000\n\n%s\n", g.clock, name, name, g.clock, name)
	h := g.put(plumbing.CommitObject, []byte(b.String()))
	g.hashes[name], g.names[h.String()] = h, name
}

func (g *graph) changes(t testing.TB, head, since string, limit int) (names []string, unknown string) {
	t.Helper()
	s := Snapshot{objs: g, limits: Limits{}.orDefault(), commit: g.hashes[head]}
	hex := ""
	if since != "" {
		hex = g.hashes[since].String()
	}
	var got trust.Changes
	var err error
	if limit == 0 {
		got, err = s.Changes(t.Context(), testDir, hex)
	} else {
		w := &changeWalk{objs: g, path: newTreePath(g, testDir, s.limits), limit: limit, nodes: map[plumbing.Hash]*changeNode{}, since: plumbing.NewHash(hex)}
		if got.Commits, err = w.run(t.Context(), s.commit); err != nil {
			return nil, err.Error()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got.Commits {
		names = append(names, g.names[c.ID])
	}
	return names, got.Unknown
}

const testDir = "environments/production/shop"

func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		build       func(g *graph)
		head, since string
		want        string // names, in the order of the walk
		unknown     string // part of it
	}{
		"linear": {func(g *graph) { // a-b-c-d-e
			g.commit("a", "1")
			g.commit("b", "2", "a")
			g.commit("c", "2", "b")
			g.commit("d", "3", "c")
			g.commit("e", "3", "d")
		}, "e", "a", "d b", ""},
		"nothing since":           {func(g *graph) { g.commit("a", "1"); g.commit("b", "1", "a") }, "b", "a", "", ""},
		"head is since":           {func(g *graph) { g.commit("a", "1"); g.commit("b", "2", "a") }, "b", "b", "", ""},
		"there and back":          {func(g *graph) { g.commit("a", "1"); g.commit("b", "2", "a"); g.commit("c", "1", "b") }, "c", "a", "c b", ""},
		"all of it, from a root":  {func(g *graph) { g.commit("a", "1"); g.commit("b", "2", "a") }, "b", "", "b a", ""},
		"all of it, added later":  {func(g *graph) { g.commit("a", ""); g.commit("b", "1", "a"); g.commit("c", "1", "b") }, "c", "", "b", ""},
		"removed":                 {func(g *graph) { g.commit("a", "1"); g.commit("b", "", "a") }, "b", "a", "b", ""},
		"all of it, no directory": {func(g *graph) { g.commit("a", ""); g.commit("b", "", "a") }, "b", "", "", ""},
		"a merge takes one side": {func(g *graph) { // a-b-m, a-c-m
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("c", "2", "a")
			g.commit("m", "2", "b", "c")
		}, "m", "a", "c", ""},
		"an evil merge": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("c", "2", "a")
			g.commit("m", "3", "b", "c")
		}, "m", "a", "m c", ""},
		"an evil merge of sides that did not touch it": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("c", "1", "a")
			g.commit("m", "2", "c", "b")
		}, "m", "a", "m", ""},
		"a side whose change was dropped": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("c", "2", "a")
			g.commit("m", "1", "b", "c")
		}, "m", "a", "c", ""},
		"two sides with one content": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "2", "a")
			g.commit("c", "2", "a")
			g.commit("m", "2", "b", "c")
		}, "m", "a", "b c", ""},
		"an octopus": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("c", "1", "a")
			g.commit("d", "2", "a")
			g.commit("m", "2", "b", "c", "d")
		}, "m", "a", "d", ""},
		// A side that began before the last accepted release and did not touch the app
		// has old content, and its commits are no changes.
		"a side from before": {func(g *graph) { // a-s-m, a-b-c-m
			g.commit("a", "1")
			g.commit("s", "2", "a")
			g.commit("b", "1", "a")
			g.commit("c", "1", "b")
			g.commit("m", "2", "s", "c")
			g.commit("n", "2", "m")
		}, "n", "s", "", ""},
		"a merge brings back what was before": {func(g *graph) {
			g.commit("a", "1")
			g.commit("s", "2", "a")
			g.commit("b", "1", "a")
			g.commit("m", "1", "s", "b")
		}, "m", "s", "m", ""},
		// y was merged and dropped before since; merging it again takes its content.
		"a merge brings back a side that was dropped": {func(g *graph) {
			g.commit("a", "1")
			g.commit("y", "evil", "a")
			g.commit("s", "1", "a", "y")
			g.commit("m", "evil", "s", "y")
		}, "m", "s", "m", ""},
		"an old side that changes it": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "1", "a")
			g.commit("s", "2", "a")
			g.commit("c", "3", "b")
			g.commit("m", "3", "s", "c")
		}, "m", "s", "c", ""},
		// The way from since to x is longer than that from the head: x is not a change.
		"a side from the middle of a merged one": {func(g *graph) {
			g.commit("p", "1")
			g.commit("x", "2", "p")
			last := "x"
			for i := range 20 {
				next := fmt.Sprintf("d%d", i)
				g.commit(next, "2", last)
				last = next
			}
			g.commit("s", "2", "p", last)
			g.commit("h", "2", "x")
			g.commit("m", "2", "s", "h")
		}, "m", "s", "", ""},
		"another root is merged": {func(g *graph) {
			g.commit("a", "1")
			g.commit("r", "")
			g.commit("m", "1", "a", "r")
		}, "m", "a", "", ""},
		"another root brings the directory": {func(g *graph) {
			g.commit("a", "")
			g.commit("r", "1")
			g.commit("m", "1", "a", "r")
		}, "m", "a", "r", ""},
		"another root takes it away": {func(g *graph) {
			g.commit("a", "1")
			g.commit("r", "")
			g.commit("m", "", "a", "r")
		}, "m", "a", "m", ""},
		"since is on a side": {func(g *graph) {
			g.commit("a", "1")
			g.commit("b", "2", "a")
			g.commit("c", "3", "a")
		}, "b", "c", "", "not in the history"},
		"since is ahead": {func(g *graph) { g.commit("a", "1"); g.commit("b", "2", "a") }, "a", "b", "", "not in the history"},
		"since is nowhere": {func(g *graph) {
			g.commit("a", "1")
			g.hashes["x"] = plumbing.NewHash(strings.Repeat("7", 40))
		}, "a", "x", "", "not in the history"},
		"257 changes": {func(g *graph) {
			g.commit("c0", "x")
			for i := range 257 {
				g.commit(fmt.Sprintf("c%d", i+1), fmt.Sprint(i), fmt.Sprintf("c%d", i))
			}
		}, "c257", "c0", "", "more than 256"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraph()
			c.build(g)
			got, unknown := g.changes(t, c.head, c.since, 0)
			if d := cmp.Diff(strings.Fields(c.want), got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); d != "" {
				t.Error(d)
			}
			if (unknown == "") != (c.unknown == "") || !strings.Contains(unknown, c.unknown) {
				t.Errorf("unknown: %q, want %q", unknown, c.unknown)
			}
		})
	}
}

// A history that is longer than the bound is not followed further, and one whose
// clocks lie costs no more than another.
func TestChangesAreBounded(t *testing.T) {
	g := newGraph()
	g.commit("c0", "1")
	for i := range 100 {
		g.commit(fmt.Sprintf("c%d", i+1), "1", fmt.Sprintf("c%d", i))
	}
	g.clock = 0
	g.commit("b", "2", "c10") // a side from far behind, dated 1970
	g.commit("m", "2", "c100", "b")
	if got, unknown := g.changes(t, "m", "c100", 300); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%v %q", got, unknown)
	}
	if got, unknown := g.changes(t, "m", "c100", 20); !strings.Contains(unknown, "more than 20") {
		t.Errorf("%v %q", got, unknown)
	}
	if got, unknown := g.changes(t, "c100", "", 100); !strings.Contains(unknown, "more than 100") {
		t.Errorf("%v %q", got, unknown)
	}
	g.reads = 0
	if got, unknown := g.changes(t, "c100", "c99", 20); len(got) != 0 || unknown != "" || g.reads > 3*24 {
		t.Errorf("%v %q, %d reads", got, unknown, g.reads)
	}
}

func TestChangesOfMalformedCommits(t *testing.T) {
	g := newGraph()
	g.commit("a", "1")
	a := g.hashes["a"].String()
	tree := g.tree("2", "x").String()
	who := "author A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n"
	for name, c := range map[string]struct {
		text    string
		unknown string
	}{
		"as Git writes it":        {"tree " + tree + "\nparent " + a + "\n" + who + "\nm\n", ""},
		"a parent after the rest": {"tree " + tree + "\n" + who + "parent " + a + "\n\nm\n", "parent out of place"},
		"a second tree":           {"tree " + tree + "\nparent " + a + "\n" + who + "tree " + tree + "\n\nm\n", "tree out of place"},
		"two committers":          {"tree " + tree + "\nparent " + a + "\n" + who + "committer B <b@example.com> 1 +0000\n\nm\n", "committer out of place"},
		"a parent that is folded": {"tree " + tree + "\nparent " + a + "\n x\n" + who + "\nm\n", "parent is not 40 hex"},
		"no author":               {"tree " + tree + "\nparent " + a + "\ncommitter A <a@example.com> 1 +0000\n\nm\n", "committer where author"},
		"cut short":               {"tree " + tree + "\nparent " + a + "\nauthor A", "cut short"},
		"a message of 300 KiB":    {"tree " + tree + "\nparent " + a + "\n" + who + "\n" + strings.Repeat("m", 300<<10), "larger than 262144"},
		"a message of 2 MiB":      {"tree " + tree + "\nparent " + a + "\n" + who + "\n" + strings.Repeat("m", 2<<20), "larger than 1048576"},
		"no committer's time":     {"tree " + tree + "\nparent " + a + "\nauthor\ncommitter \x1b[2J\n\nm\n", ""},
	} {
		g.hashes[name] = g.put(plumbing.CommitObject, []byte(c.text))
		got, unknown := g.changes(t, name, "a", 0)
		if (unknown == "") != (c.unknown == "") || !strings.Contains(unknown, c.unknown) || c.unknown == "" && len(got) != 1 {
			t.Errorf("%s: %v %q, want %q", name, got, unknown, c.unknown)
		}
	}
}

func TestParseCommitSignature(t *testing.T) {
	tree := strings.Repeat("1", 40)
	base := "tree " + tree + "\nauthor A <a@example.com> 1700000000 +0000\ncommitter B <b@example.com> 1700000001 +0200\n"
	sig := "gpgsig -----BEGIN X-----\n \n line\n -----END X-----\n"
	for name, c := range map[string]struct{ text, signed, signature string }{
		"unsigned":                   {base + "\nm\n", base + "\nm\n", ""},
		"signed":                     {base + sig + "\nm\n", base + "\nm\n", "-----BEGIN X-----\n\nline\n-----END X-----\n"},
		"no message":                 {base + sig + "\n", base + "\n", "-----BEGIN X-----\n\nline\n-----END X-----\n"},
		"between other headers":      {base + "encoding latin1\n" + sig + "mergetag object 1\n gpgsig no\n\nm\n", base + "encoding latin1\nmergetag object 1\n gpgsig no\n\nm\n", "-----BEGIN X-----\n\nline\n-----END X-----\n"},
		"beside a SHA-256 signature": {base + "gpgsig-sha256 other\n more\n" + sig + "\nm\n", base + "\nm\n", "-----BEGIN X-----\n\nline\n-----END X-----\n"},
		"only a SHA-256 signature":   {base + "gpgsig-sha256 other\n more\n\nm\n", base + "\nm\n", ""},
		"doubled":                    {base + sig + sig + "\nm\n", base + "\nm\n", ""},
		"doubled SHA-256":            {base + "gpgsig-sha256 x\ngpgsig-sha256 x\n" + sig + "\nm\n", base + "\nm\n", ""},
		"an unknown kind":            {base + sig + "gpgsigx y\n\nm\n", base + "\nm\n", ""},
		"in the message":             {base + "\n" + sig, base + "\n" + sig, ""},
	} {
		got, err := parseCommit([]byte(c.text))
		if err != nil || string(got.signed) != c.signed || string(got.signature) != c.signature {
			t.Errorf("%s: %v\nsigned %q\nsignature %q", name, err, got.signed, got.signature)
		}
		if got.committer != "b@example.com" || !got.when.Equal(time.Unix(1700000001, 0)) {
			t.Errorf("%s: committer %q, %v", name, got.committer, got.when)
		}
	}
}

// before is a commit with all that lies before it.
func (g *graph) before(since plumbing.Hash) map[plumbing.Hash]bool {
	seen := map[plumbing.Hash]bool{}
	for queue := []plumbing.Hash{since}; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		c, err := parseCommit(g.raw[queue[0]].data)
		if err != nil {
			panic(err)
		}
		queue = append(queue, c.parents...)
	}
	return seen
}

func TestChangesProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGraph()
		content := map[string]string{}
		parents := map[string][]string{}
		n := rapid.IntRange(2, 25).Draw(rt, "commits")
		wild := rapid.Bool().Draw(rt, "wild clocks")
		for i := range n {
			name := fmt.Sprintf("c%d", i)
			if i > 0 {
				ps := rapid.SliceOfNDistinct(rapid.IntRange(max(0, i-6), i-1), 1, min(3, i, 6), rapid.ID[int]).Draw(rt, "parents")
				for _, p := range ps {
					parents[name] = append(parents[name], fmt.Sprintf("c%d", p))
				}
			}
			content[name] = rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(rt, "content")
			if len(parents[name]) > 0 && rapid.Bool().Draw(rt, "inherits") {
				content[name] = content[parents[name][0]]
			}
			if wild {
				g.clock = rapid.Int64Range(0, 1<<33).Draw(rt, "clock")
			}
			g.commit(name, content[name], parents[name]...)
		}
		head := fmt.Sprintf("c%d", n-1)
		since := rapid.SampledFrom([]string{"", "c0", fmt.Sprintf("c%d", n/2), head}).Draw(rt, "since")
		got, unknown := g.changes(t, head, since, 0)
		inHead := g.before(g.hashes[head])
		if since != "" && !inHead[g.hashes[since]] {
			if unknown == "" {
				rt.Fatal("since is not in the history and that is not said")
			}
			return
		}
		if unknown != "" {
			rt.Fatal(unknown)
		}
		before := map[plumbing.Hash]bool{}
		base := ""
		if since != "" {
			before, base = g.before(g.hashes[since]), content[since]
		}
		listed := map[string]bool{}
		for _, name := range got {
			listed[name] = true
			if !wild && before[g.hashes[name]] {
				rt.Fatalf("%s lies before since", name)
			}
			for _, p := range parents[name] {
				if since == "" && content[p] == content[name] {
					rt.Fatalf("%s took its content from %s", name, p)
				}
			}
		}
		// Everything after since whose content is none of its parents' is listed.
		for i := range n {
			name := fmt.Sprintf("c%d", i)
			if before[g.hashes[name]] || !inHead[g.hashes[name]] || since == "" {
				continue
			}
			own := len(parents[name]) > 0
			for _, p := range parents[name] {
				own = own && content[p] != content[name]
			}
			if own && !listed[name] {
				rt.Fatalf("%s is missing among %v", name, got)
			}
		}
		// What runs is since's content or was introduced by a listed commit.
		if content[head] != base {
			ok := false
			for name := range listed {
				ok = ok || content[name] == content[head]
			}
			if !ok {
				rt.Fatalf("nobody introduced the head's content: %v", got)
			}
		}
		// Two steps give what one gives, or more.
		for mid := range parents {
			if since == "" || !inHead[g.hashes[mid]] || !g.before(g.hashes[mid])[g.hashes[since]] {
				continue
			}
			one, _ := g.changes(t, mid, since, 0)
			two, unknown := g.changes(t, head, mid, 0)
			if unknown != "" {
				rt.Fatal(unknown)
			}
			if content[head] != base && len(one)+len(two) == 0 {
				rt.Fatalf("in two steps by %s nobody introduced the head's content", mid)
			}
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	base := "tree " + strings.Repeat("1", 40) + "\nparent " + strings.Repeat("2", 40) + "\nauthor A <a@example.com> 1 +0000\ncommitter B <b@example.com> 1 +0000\n"
	f.Add([]byte(base + "\nm\n"))
	f.Add([]byte(base + "gpgsig a\n b\n\nm\n"))
	f.Add([]byte(base + "gpgsig-sha256 a\n b\ngpgsig c\n\n"))
	f.Add([]byte(base + "mergetag object x\n type commit\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommit(data)
		if err != nil {
			return
		}
		if len(c.signature) == 0 {
			return
		}
		// Putting the signature back gives a commit that reads the same.
		head, message, _ := strings.Cut(string(c.signed)+"\x00", "\n\n")
		if !strings.Contains(string(c.signed), "\n\n") {
			return
		}
		folded := "gpgsig " + strings.ReplaceAll(strings.TrimSuffix(string(c.signature), "\n"), "\n", "\n ")
		again, err := parseCommit([]byte(strings.TrimSuffix(head+"\n"+folded+"\n\n"+message, "\x00")))
		if err != nil || string(again.signed) != string(c.signed) || string(again.signature) != string(c.signature) {
			t.Fatalf("%v\n%q\n%q", err, again.signed, c.signed)
		}
	})
}
