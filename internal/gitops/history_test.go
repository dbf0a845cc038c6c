package gitops

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// A ── B ── C   accepted
//
//	└── D        forced over it, then C again, then E on C
func TestRewrittenHistoryIsRefused(t *testing.T) {
	o := newOrigin(t)
	o.commit("B")
	c := o.commit("C")
	cfg := o.config()
	r := open(t, cfg)
	syncOK(t, r)
	<-r.Changed()

	o.git("reset", "-q", "--hard", "HEAD~1")
	o.git("commit", "-q", "--allow-empty", "-m", "D")
	d := o.git("rev-parse", "HEAD")
	o.git("push", "-q", "-f", "origin", "HEAD")
	st := syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, c)
	if st.Failures != 0 || st.LastSuccess.IsZero() {
		t.Errorf("a refusal is not a failed look: %+v", st)
	}
	select {
	case <-r.Changed():
	default:
		t.Error("Changed did not wake")
	}
	syncCode(t, r, release.HistoryRewritten) // and stays so
	select {
	case <-r.Changed():
		t.Error("Changed woke without a change")
	default:
	}

	// It is remembered over a restart, and while the repository is away.
	cfg.URL = o.bare + ".away"
	away := open(t, cfg)
	if st := away.Status(); st.Code != release.HistoryRewritten || st.Head != c {
		t.Fatalf("after a restart: %+v", st)
	}
	syncCode(t, away, release.RepoUnreachable)
	if st := away.Status(); st.Code != release.HistoryRewritten || st.Failures != 1 {
		t.Fatalf("while away: %+v", st)
	}

	// Backwards is not forward either.
	run(t, o.bare, nil, "update-ref", "refs/heads/main", c+"~2")
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, c)

	// The same head again, then forward.
	run(t, o.bare, nil, "update-ref", "refs/heads/main", c)
	syncOK(t, r)
	wantHead(t, r, c)
	o.git("reset", "-q", "--hard", c)
	e := o.commit("E")
	syncOK(t, r)
	wantHead(t, r, e)
	if st := open(t, o.sameDir(cfg)).Status(); st.Code != "" {
		t.Errorf("a lifted refusal came back: %+v", st)
	}
	_ = d
}

// sameDir is cfg with the real address again.
func (o *origin) sameDir(cfg Config) Config {
	cfg.URL = o.bare
	return cfg
}

// A ── B ──── M     a merge whose second parent is the accepted commit
//
//	└── C ──┘
func TestMergeDescendsFromEveryParent(t *testing.T) {
	o := newOrigin(t)
	o.git("checkout", "-q", "-b", "side")
	c := o.commit("C")
	o.git("push", "-q", "origin", "side:main")
	r := open(t, o.config())
	syncOK(t, r)
	wantHead(t, r, c)
	o.git("checkout", "-q", "main")
	o.git("commit", "-q", "--allow-empty", "-m", "B")
	o.git("merge", "-q", "--no-ff", "-m", "M", "side")
	o.git("push", "-q", "origin", "main")
	syncOK(t, r)
	wantHead(t, r, o.git("rev-parse", "HEAD"))
}

// A ── B      accepted          X ── Y   without any common commit
func TestAdoptTakesARewrittenHistory(t *testing.T) {
	o := newOrigin(t)
	b := o.commit("B")
	cfg := o.config()
	r := open(t, cfg)
	syncOK(t, r)
	if err := r.Adopt(t.Context(), b); err == nil {
		t.Error("adopted what was accepted already")
	}

	o.git("checkout", "-q", "--orphan", "new")
	o.commit("X")
	x := o.git("rev-parse", "HEAD")
	y := o.commit("Y")
	o.git("push", "-q", "-f", "origin", "new:main")
	syncCode(t, r, release.HistoryRewritten)
	for _, commit := range []string{b, "main", "", fmt.Sprintf("%040d", 7)} {
		if err := r.Adopt(t.Context(), commit); err == nil {
			t.Errorf("adopted %q", commit)
		}
		wantHead(t, r, b)
	}
	if err := r.Adopt(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	wantHead(t, r, y)
	if st := r.Status(); st.Code != "" {
		t.Errorf("status %+v", st)
	}
	wantHead(t, open(t, cfg), y)
	z := o.commit("Z")
	o.git("push", "-q", "origin", "new:main")
	syncOK(t, r)
	wantHead(t, r, z)
}

// Adopt does not lift the other checks.
func TestAdoptStillChecksTheRepository(t *testing.T) {
	o := newOrigin(t)
	b := o.git("rev-parse", "HEAD")
	r := open(t, o.config())
	syncOK(t, r)
	o.git("checkout", "-q", "--orphan", "new")
	o.write("teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: 11111111-6a1f-4c0e-9f6a-3d2f6a1c9e55\n")
	o.commit("X")
	o.git("push", "-q", "-f", "origin", "new:main")
	syncCode(t, r, release.HistoryRewritten)
	err := r.Adopt(t.Context(), o.git("rev-parse", "HEAD"))
	var known *Error
	if !errors.As(err, &known) || known.Code != release.RepoIDMismatch {
		t.Fatalf("adopt: %v", err)
	}
	wantHead(t, r, b)
}

// Another repository, pinned by root, starts anew; the first one's record is not
// mixed with it.
func TestAnotherRepoIDStartsAnew(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	syncOK(t, open(t, cfg))
	const other = "22222222-6a1f-4c0e-9f6a-3d2f6a1c9e55"
	p := newOrigin(t)
	p.write("teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+other+"\n")
	x := p.commit("X")
	cfg.URL, cfg.RepoID = p.bare, other
	r := open(t, cfg)
	if _, ok := r.Head(); ok {
		t.Fatal("the other repository's head is offered")
	}
	syncOK(t, r)
	wantHead(t, r, x)
	wantHead(t, open(t, cfg), x)
}

// Two checkouts push to one branch while many callers sync: every accepted head
// descends from the one before, and the last push is seen.
func TestConcurrentPushesAndSyncs(t *testing.T) {
	o := newOrigin(t)
	r := open(t, o.config())
	syncOK(t, r)
	other := filepath.Join(t.TempDir(), "other")
	run(t, t.TempDir(), nil, "clone", "-q", o.bare, other)
	pushed := make(chan error, 2)
	for i, dir := range []string{o.work, other} {
		go func() {
			pushed <- func() error {
				for n := range 4 {
					if _, err := tryGit(dir, nil, "commit", "-q", "--allow-empty", "-m", fmt.Sprintf("%d-%d", i, n)); err != nil {
						return err
					}
					for range 20 { // the push may lose a race
						if _, err := tryGit(dir, nil, "pull", "-q", "--rebase", "origin", "main"); err != nil {
							return err
						}
						if _, err := tryGit(dir, nil, "push", "-q", "origin", "HEAD:main"); err == nil {
							break
						}
					}
				}
				return nil
			}()
		}()
	}
	var heads []string
	for open := 2; open > 0; {
		select {
		case err := <-pushed:
			if err != nil {
				t.Error(err)
			}
			open--
		default:
		}
		if h := syncOK(t, r).Head; !slices.Contains(heads, h) {
			heads = append(heads, h)
		}
	}
	last := run(t, o.bare, nil, "rev-parse", "main")
	syncOK(t, r)
	wantHead(t, r, last)
	if n := run(t, o.bare, nil, "rev-list", "--count", "main"); n != "9" {
		t.Errorf("%s commits, want 9", n)
	}
	for i := 1; i < len(heads); i++ {
		run(t, o.bare, nil, "merge-base", "--is-ancestor", heads[i-1], heads[i])
	}
	t.Logf("%d heads seen", len(heads))
}
