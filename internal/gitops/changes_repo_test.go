package gitops

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/trust"
)

func ids(c trust.Changes) []string {
	var out []string
	for _, c := range c.Commits {
		out = append(out, c.ID)
	}
	return out
}

// The clone of every kind of source holds what Changes needs, also after it was
// damaged and built anew.
func TestChangesOfARepository(t *testing.T) {
	o := newOrigin(t)
	o.write(testDir+"/release.yaml", "1")
	accepted := o.commit("accepted")
	o.write("approvals/production/shop/x", "1")
	o.commit("an approval")
	o.write(testDir+"/release.yaml", "2")
	second := o.commit("second")
	o.git("checkout", "-q", "-b", "side", accepted)
	o.write(testDir+"/app.env", "A=1")
	side := o.commit("side")
	o.git("checkout", "-q", "main")
	o.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	head := o.commit("after")
	merge := o.git("rev-parse", "HEAD^")
	want := []string{merge, second, side} // the merge holds what neither side had

	check := func(t *testing.T, s Snapshot) {
		t.Helper()
		got, err := s.Changes(t.Context(), testDir, accepted)
		if err != nil || got.Unknown != "" {
			t.Fatal(err, got.Unknown)
		}
		if d := cmp.Diff(want, ids(got)); d != "" {
			t.Error(d)
		}
		for _, c := range got.Commits {
			if c.Committer != "ann@example.com" || c.When.IsZero() || len(c.Signature) != 0 || !strings.HasPrefix(string(c.Signed), "tree ") {
				t.Errorf("%+v", c)
			}
		}
	}
	cfg := o.config()
	t.Run("local", func(t *testing.T) {
		r := open(t, cfg)
		syncOK(t, r)
		check(t, wantHead(t, r, head))
	})
	t.Run("after a restart", func(t *testing.T) { check(t, wantHead(t, open(t, cfg), head)) })
	t.Run("after a repair", func(t *testing.T) {
		eachFile(t, filepath.Join(cfg.Dir, "clone.git"), "objects/pack/*.pack", half)
		r := open(t, cfg)
		if s, ok := r.Head(); ok { // what is left of the pack may be enough for the head itself
			if got, err := s.Changes(t.Context(), testDir, accepted); err == nil {
				t.Fatalf("from half a pack: %+v", got)
			}
		}
		syncOK(t, r) // which the failed read asked to repair
		check(t, wantHead(t, r, head))
	})
	t.Run("http", func(t *testing.T) {
		c := o.config()
		c.URL = o.serve(asItIs).URL + "/origin.git"
		r := open(t, c)
		syncOK(t, r)
		check(t, wantHead(t, r, head))
	})
	t.Run("offline", func(t *testing.T) {
		s, err := ReadLocal(o.work, "main", Limits{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, s)
	})
	t.Run("an unknown commit asks for no repair", func(t *testing.T) {
		r := open(t, cfg)
		syncOK(t, r)
		s := wantHead(t, r, head)
		for _, since := range []string{strings.Repeat("7", 40), "HEAD", "-x", strings.Repeat("A", 40)} {
			got, err := s.Changes(t.Context(), testDir, since)
			if err != nil || got.Unknown == "" {
				t.Errorf("%s: %+v %v", since, got, err)
			}
		}
		if r.suspect {
			t.Error("the clone is suspected")
		}
	})
}

// A shallow clone does not have the history, and that is an error, not an empty list.
func TestChangesOfAShallowClone(t *testing.T) {
	o := newOrigin(t)
	o.write(testDir+"/release.yaml", "1")
	accepted := o.commit("accepted")
	o.write(testDir+"/release.yaml", "2")
	o.commit("second")
	o.write("x", "x")
	o.commit("third")
	shallow := filepath.Join(t.TempDir(), "shallow")
	run(t, o.work, nil, "clone", "-q", "--depth", "1", "file://"+o.bare, shallow)
	s, err := ReadLocal(shallow, "main", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Changes(t.Context(), testDir, accepted); err == nil && got.Unknown == "" {
		t.Errorf("%+v", got)
	}
	if got, err := (Snapshot{}).Changes(t.Context(), testDir, ""); err != nil || got.Unknown == "" {
		t.Errorf("%+v %v", got, err)
	}
}

// A side that was merged and dropped before since comes in again by a crafted merge of
// the same commit: git itself would say that there is nothing to merge.
func TestChangesThatComeBack(t *testing.T) {
	o := newOrigin(t)
	o.write(testDir+"/release.yaml", "1")
	o.commit("first")
	o.git("checkout", "-q", "-b", "side")
	o.write(testDir+"/release.yaml", "evil")
	o.git("add", "-A")
	o.git("commit", "-q", "-m", "side")
	side := o.git("rev-parse", "HEAD")
	o.git("checkout", "-q", "main")
	o.git("merge", "-q", "-s", "ours", "--no-ff", "-m", "dropped", "side")
	accepted := o.git("rev-parse", "HEAD")
	again := o.git("commit-tree", side+"^{tree}", "-p", accepted, "-p", side, "-m", "again")
	s, err := ReadLocal(o.work, again, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Changes(t.Context(), testDir, accepted)
	if err != nil || got.Unknown != "" {
		t.Fatal(err, got.Unknown)
	}
	if d := cmp.Diff([]string{again}, ids(got)); d != "" {
		t.Error(d)
	}
}

// first ── base ── M1(shop) ── M2          main; M1 was accepted
//
//	├── P1(shop) ── P2(other)        phase-1: changed the directory beside main
//	├── Q1(other)                    phase-2: holds what base had
//	└── R1 = merge of phase-1's P1 and M1, taking P1's
//
// What was accepted on one ref counts for the others: the commits that they have and it
// has not.
func TestChangesAcrossRefs(t *testing.T) {
	o := newOrigin(t)
	file := testDir + "/release.yaml"
	o.write(file, "0")
	o.commit("base")
	m1 := o.branch("main", file, "1")
	o.write("other", "x")
	m2 := o.commit("M2")
	o.git("checkout", "-q", "--detach", "main~2")
	p1 := o.branch("phase-1", file, "2")
	o.write("other", "y")
	p2 := o.commit("P2")
	o.git("checkout", "-q", "--detach", "main~2")
	q1 := o.branch("phase-2", "other", "z")
	o.git("checkout", "-q", "-B", "phase-3", p1)
	o.git("merge", "-q", "-s", "ours", "-m", "R1", m1)
	r1 := o.commit("after the merge")
	o.git("checkout", "-q", "-B", "phase-4", m1) // it stops where main was accepted
	o.push("phase-4")

	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Branch: "main"}, {Branches: "phase-*"}}, "main"
	r := open(t, cfg)
	syncOK(t, r)
	heads := make(map[string]Snapshot)
	for _, ref := range r.Desired() {
		heads[ref.Snapshot.Commit()] = ref.Snapshot
	}
	for name, c := range map[string]struct {
		head, since string
		want        []string
		unknown     string
	}{
		"the same ref":                            {m2, m1, nil, ""},
		"changed beside it":                       {p2, m1, []string{p1}, ""},
		"seen from a later commit of main":        {p2, m2, []string{p1}, ""},
		"as it was before they parted":            {q1, m1, nil, "as it was before"},
		"a merge that takes the other side":       {r1, m1, []string{p1}, ""},
		"behind what was accepted, the same":      {m1, m2, nil, ""},
		"back from another ref to main":           {m2, p2, []string{m1}, ""},
		"a commit that this host never had":       {p2, strings.Repeat("a", 40), nil, "not in the history"},
		"an object that is no commit of the repo": {p2, o.git("rev-parse", "main:"+file), nil, "another type"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := heads[c.head].Changes(t.Context(), testDir, c.since)
			if err != nil {
				got.Unknown = err.Error() // no list either way
			}
			if !strings.Contains(got.Unknown, c.unknown) || (c.unknown == "") != (got.Unknown == "") {
				t.Fatalf("unknown %q, want %q", got.Unknown, c.unknown)
			}
			if d := cmp.Diff(c.want, ids(got)); d != "" {
				t.Error(d)
			}
		})
	}
	if _, ok := heads[m1].Tree(testDir); !ok || r.suspect {
		t.Error("looking for a commit that is not here was taken for a damaged clone")
	}
}
