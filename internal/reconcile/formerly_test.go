package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// zeroed is a commit that names the tree of a directory that is not there, as Git's own
// objects do: forty zeros, and not ok.
type zeroed struct{ tree }

func (c zeroed) Tree(dir string) (string, bool) {
	if t, ok := c.tree.Tree(dir); ok {
		return t, ok
	}
	return strings.Repeat("0", 40), false
}

// TestGoneIsAbsent: a directory that is gone from the one ref is not in the repository; one
// that cannot be read is not gone.
func TestGoneIsAbsent(t *testing.T) {
	there := ref("refs/heads/main", "c1", 0, map[string]string{"other": manifest(1, "")}).Commit.(tree)
	d := &Desk{Env: "staging", Parsed: &Parsed{}}
	c, err := d.choose("shop", []Ref{{Name: "refs/heads/main", Commit: zeroed{there}}})
	if err != nil || c.tree != "" {
		t.Errorf("gone: %q, %v", c.tree, err)
	}
	there.down = errors.New("an object is missing")
	there.files = nil
	if c, err = d.choose("shop", []Ref{{Name: "refs/heads/main", Commit: zeroed{there}}}); err != nil || c.tree == "" {
		t.Errorf("unreadable: %q, %v", c.tree, err)
	}
}

// TestFormer: whose place a release takes, and what in the repository bars it.
func TestFormer(t *testing.T) {
	formerly := func(app string, sequence int) string {
		return strings.Replace(strings.Replace(manifest(sequence, app), "name: shop", "name: "+app, 1), "preparedBy: ci}", "preparedBy: ci, formerly: shop}", 1)
	}
	known := map[string]rollout.State{
		"shop": {App: "shop", Generation: 3, Accepted: rollout.Mark{Sequence: 7}},
	}
	for name, c := range map[string]struct {
		apps map[string]string
		past rollout.State
		lost string
		down error
		none bool
		why  release.Code
	}{
		"a rename":                      {apps: map[string]string{"shop2": formerly("shop2", 8)}},
		"a fresh host":                  {apps: map[string]string{"shop2": strings.Replace(formerly("shop2", 8), "formerly: shop", "formerly: store", 1)}, none: true},
		"taken already":                 {apps: map[string]string{"shop2": formerly("shop2", 8)}, past: rollout.State{App: "shop2", Former: []string{"shop"}}, none: true},
		"it still stands":               {apps: map[string]string{"shop2": formerly("shop2", 8), "shop": manifest(7, "")}, why: release.FormerStands},
		"another asks for it":           {apps: map[string]string{"shop2": formerly("shop2", 8), "shop3": formerly("shop3", 8)}, why: release.FormerConflict},
		"it runs and the state is lost": {apps: map[string]string{"shop2": strings.Replace(formerly("shop2", 8), "formerly: shop", "formerly: store", 1)}, lost: "store", why: release.StateLost},
	} {
		t.Run(name, func(t *testing.T) {
			main := ref("refs/heads/main", "c1", 0, c.apps)
			d := &Desk{Env: "staging", Parsed: &Parsed{}, Repo: refs{main},
				known: func(app string) (rollout.State, bool) { s, ok := known[app]; return s, ok },
				lost:  func(app string) bool { return app == c.lost }}
			id, _ := main.Commit.Tree("environments/staging/shop2")
			p, err := d.wanted("shop2", id, main.Commit)
			if err != nil || len(p.problems) > 0 {
				t.Fatal(err, p.problems)
			}
			f, barred, err := d.former("shop2", p, c.past)
			if err != nil || (f == nil) != c.none || barred.Why != c.why {
				t.Errorf("%+v, %+v, %v", f, barred, err)
			}
		})
	}
}

// TestMarksOfFormer: a release that takes a place is judged against what was accepted
// there, and its volumes keep the first name.
func TestMarksOfFormer(t *testing.T) {
	former := &rollout.State{App: "shop", Accepted: rollout.Mark{Sequence: 7}}
	if m := marks(rollout.State{App: "shop2"}, former); m.Accepted.Sequence != 7 {
		t.Errorf("judged against %d", m.Accepted.Sequence)
	}
	if m := marks(rollout.State{App: "shop2", Accepted: rollout.Mark{Sequence: 9}}, former); m.Accepted.Sequence != 9 {
		t.Errorf("judged against %d, and 9 was accepted", m.Accepted.Sequence)
	}
	for origin, got := range map[string]string{
		"shop":  originOf(rollout.State{App: "shop2"}, former),
		"first": originOf(rollout.State{App: "shop2"}, &rollout.State{App: "shop", Origin: "first"}),
		"":      originOf(rollout.State{App: "shop"}, &rollout.State{App: "shop2", Origin: "shop"}),
		"kept":  originOf(rollout.State{App: "shop2", Origin: "kept"}, nil),
	} {
		if got != origin {
			t.Errorf("origin %q, want %q", got, origin)
		}
	}
}

// history is a commit with a history of two directories.
type history struct {
	tree
	of map[string]trust.Changes
}

func (h history) Changes(_ context.Context, dir, _ string) (trust.Changes, error) {
	return h.of[dir], nil
}

// TestChangesOfBothNames: what was committed under the former name made the release too.
func TestChangesOfBothNames(t *testing.T) {
	c := func(ids ...string) (out trust.Changes) {
		for _, id := range ids {
			out.Commits = append(out.Commits, trust.Commit{ID: id})
		}
		return out
	}
	before := c("b", "a")
	before.Unknown = "too many commits"
	h := history{of: map[string]trust.Changes{"environments/staging/shop2": c("d", "b"), "environments/staging/shop": before}}
	d := &Desk{Env: "staging"}
	got, err := d.changes(t.Context(), ask{app: "shop2", commit: h, rel: &release.Release{Formerly: "shop"}})
	if err != nil || len(got.Commits) != 3 || got.Unknown == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, _ = d.changes(t.Context(), ask{app: "shop2", commit: h, rel: &release.Release{}}); len(got.Commits) != 2 {
		t.Errorf("without a former name: %+v", got)
	}
}
