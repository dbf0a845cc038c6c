package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// tree is a commit in memory.
type tree struct {
	id    string
	files fstest.MapFS
	down  error // what every read gives
}

func (c tree) ID() string { return c.id }
func (c tree) Sub(dir string) (fs.FS, error) {
	if c.down != nil {
		return nil, c.down
	}
	if _, err := fs.Stat(c.files, dir); err != nil {
		return nil, err
	}
	return fs.Sub(c.files, dir)
}
func (c tree) Tree(dir string) (string, bool) {
	sub, _ := fs.Sub(c.files, dir)
	var b strings.Builder
	_ = fs.WalkDir(sub, ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			data, _ := fs.ReadFile(sub, path)
			fmt.Fprintf(&b, "%s=%s;", path, data)
		}
		return nil
	})
	return b.String(), b.Len() > 0
}
func (c tree) Apps(env string) ([]string, error) {
	entries, err := fs.ReadDir(c.files, "environments/"+env)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}
func (c tree) Changes(context.Context, string, string) (trust.Changes, error) {
	return trust.Changes{}, nil
}

// refs are what a repository follows.
type refs []Ref

func (r refs) Desired() ([]Ref, release.Code, string) { return r, "", "" }
func (r refs) Evidence() (Commit, release.Code, string) {
	return r[0].Commit, "", ""
}
func (r refs) Changed() <-chan struct{} { return nil }

// manifest is a release with a sequence; a mark tells two of one sequence apart.
func manifest(sequence int, mark string) string {
	return fmt.Sprintf("name: shop\nservices:\n  web:\n    image: registry.example.com/shop@sha256:%064d\n    labels: {mark: %q}\nx-teal: {version: v%d, sequence: %d, preparedBy: ci}\n",
		1, mark, sequence, sequence)
}

func ref(name, id string, seen uint64, apps map[string]string) Ref {
	files := fstest.MapFS{}
	for app, text := range apps {
		files["environments/staging/"+app+"/release.yaml"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return Ref{Name: name, Commit: tree{id: id, files: files}, Seen: func(string) uint64 { return seen }}
}

func desk(r ...Ref) *Desk {
	return &Desk{Env: "staging", Repo: refs(r), Parsed: &Parsed{}, Host: release.Host{Name: "h1", Instance: "i", EdgeNetwork: "e"}}
}

// Between refs the highest sequence wins, then what was seen first, then the order of the
// configuration.
func TestChoose(t *testing.T) {
	shop := func(sequence int, mark string) map[string]string {
		return map[string]string{"shop": manifest(sequence, mark)}
	}
	broken := map[string]string{"shop": "name: shop\nservices: [\n"}
	for name, c := range map[string]struct {
		refs   []Ref
		want   string // id of the commit
		absent bool
		says   string
	}{
		"one":                          {refs: []Ref{ref("a", "1", 0, shop(1, ""))}, want: "1"},
		"none holds it":                {refs: []Ref{ref("a", "1", 0, nil), ref("b", "2", 0, nil)}, want: "1", absent: true},
		"only the second holds it":     {refs: []Ref{ref("a", "1", 0, nil), ref("b", "2", 0, shop(1, ""))}, want: "2"},
		"highest sequence":             {refs: []Ref{ref("a", "1", 0, shop(7, "")), ref("b", "2", 0, shop(12, "")), ref("c", "3", 0, shop(9, ""))}, want: "2", says: "of 3 different ones"},
		"the same in both: first seen": {refs: []Ref{ref("a", "1", 5, shop(7, "")), ref("b", "2", 3, shop(7, ""))}, want: "2"},
		"equal sequences: first seen":  {refs: []Ref{ref("a", "1", 5, shop(7, "x")), ref("b", "2", 3, shop(7, "y"))}, want: "2"},
		"seen at once: as configured":  {refs: []Ref{ref("a", "1", 3, shop(7, "x")), ref("b", "2", 3, shop(7, "y"))}, want: "1"},
		"unreadable loses":             {refs: []Ref{ref("a", "1", 0, broken), ref("b", "2", 9, shop(1, ""))}, want: "2", says: "left out, for their manifests say no sequence: a"},
		"only unreadable ones":         {refs: []Ref{ref("a", "1", 4, broken), ref("b", "2", 2, map[string]string{"shop": "name: [\n"})}, want: "2"},
		// A newer release with a mistake is refused with that mistake; an older one of another
		// ref must not look like success.
		"a mistake with the highest sequence wins": {refs: []Ref{ref("a", "1", 0, shop(7, "")), ref("b", "2", 0, map[string]string{"shop": manifest(8, "") + "surprise: 1\n"})}, want: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := desk(c.refs...)
			for range 2 { // the second time from what is kept
				got, err := d.choose("shop", c.refs)
				if err != nil {
					t.Fatal(err)
				}
				if got.ref.Commit.ID() != c.want || (got.tree == "") != c.absent {
					t.Errorf("chose %s (tree %.20q), want %s", got.ref.Name, got.tree, c.want)
				}
				if !strings.Contains(got.text(), c.says) || c.says == "" && got.others == 0 && got.text() != "" {
					t.Errorf("says %q", got.text())
				}
			}
		})
	}
}

// One app's bad manifest in one ref stops neither another app nor another ref's.
func TestBadManifestStopsOnlyItself(t *testing.T) {
	a := ref("a", "1", 0, map[string]string{"shop": "}{", "blog": manifest(3, "")})
	b := ref("b", "2", 0, map[string]string{"shop": manifest(2, ""), "blog": manifest(1, "")})
	d := desk(a, b)
	for app, want := range map[string]string{"shop": "2", "blog": "1"} {
		got, err := d.choose(app, []Ref{a, b})
		if err != nil || got.ref.Commit.ID() != want {
			t.Errorf("%s: %s, %v", app, got.ref.Name, err)
		}
	}
	apps, err := d.apps([]Ref{a, b, ref("c", "3", 0, nil)})
	if err != nil || !slices.Equal(apps, []string{"blog", "shop"}) {
		t.Errorf("apps %v, %v", apps, err)
	}
}

// A disk that does not answer is not taken for a ref that wants nothing: what it holds may
// be the newest.
func TestUnreadableNowIsNotAbsent(t *testing.T) {
	good := ref("a", "1", 0, map[string]string{"shop": manifest(3, "")})
	bad := ref("b", "2", 0, map[string]string{"shop": manifest(9, "")})
	c := bad.Commit.(tree)
	c.down = errors.New("input/output error")
	bad.Commit = c
	if got, err := desk(good, bad).choose("shop", []Ref{good, bad}); err == nil {
		t.Errorf("chose %s", got.ref.Name)
	}
}

// Whatever the order in which refs come, arrive, and are parsed, the same one wins; and it
// is one of the highest sequence, never one that was seen later than another of them.
func TestSameWinnerInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "refs")
		var list []Ref
		seen := map[string]uint64{}
		sequence := map[string]int{}
		for i := range n {
			id := fmt.Sprint(i)
			apps := map[string]string{}
			if rapid.IntRange(0, 5).Draw(t, "holds") > 0 {
				sequence[id] = rapid.IntRange(1, 4).Draw(t, "sequence")
				apps["shop"] = manifest(sequence[id], rapid.SampledFrom([]string{"x", "y"}).Draw(t, "mark"))
			}
			seen[id] = rapid.Uint64Range(0, 3).Draw(t, "seen")*10 + uint64(i) // no two at once: the configuration's order says nothing
			list = append(list, ref("ref-"+id, id, seen[id], apps))
		}
		d := desk(list...)
		first, err := d.choose("shop", list)
		if err != nil {
			t.Fatal(err)
		}
		other := rapid.Permutation(list).Draw(t, "order")
		if rapid.Bool().Draw(t, "forget") {
			d = desk(other...)
		}
		second, err := d.choose("shop", other)
		if err != nil {
			t.Fatal(err)
		}
		if len(sequence) == 0 {
			if first.tree != "" {
				t.Fatal("a winner where nothing is")
			}
			return
		}
		if diff := cmp.Diff(first.ref.Commit.ID(), second.ref.Commit.ID()); diff != "" {
			t.Fatalf("another winner in another order: %s", diff)
		}
		win := first.ref.Commit.ID()
		for id, s := range sequence {
			if s > sequence[win] || s == sequence[win] && seen[id] < seen[win] {
				t.Fatalf("ref %s (sequence %d, seen %d) loses to %s (%d, %d)", id, s, seen[id], win, sequence[win], seen[win])
			}
		}
	})
}
