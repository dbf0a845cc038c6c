package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// A ── B on main of a bare repository.
func TestFollowsLocalBranch(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/release.yaml", "name: shop\n")
	o.write("environments/production/shop/conf/app.env", "A=1\n")
	a := o.commit("release \x1b[31mred\u202e\nbody")
	cfg := o.config()
	t.Setenv("PATH", "") // nothing may look for a git program
	r := open(t, cfg)
	if _, ok := r.Head(); ok {
		t.Fatal("a head before the first look")
	}
	before := r.Status()
	syncOK(t, r)
	s := wantHead(t, r, a)
	select {
	case <-r.Changed():
	default:
		t.Error("Changed did not wake")
	}
	if !before.LastSuccess.IsZero() || r.Status().LastSuccess.IsZero() {
		t.Error("LastSuccess does not tell the first success")
	}
	if s.Author() != "Ann <ann@example.com>" || s.Subject() != `release \x1b[31mred\u202e` || s.When().IsZero() {
		t.Errorf("author %q, subject %q, when %v", s.Author(), s.Subject(), s.When())
	}
	dir, err := s.Sub("environments/production/shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(dir, "release.yaml", "conf/app.env"); err != nil {
		t.Error(err)
	}
	data, err := fs.ReadFile(dir, "conf/app.env")
	if err != nil || string(data) != "A=1\n" {
		t.Errorf("conf/app.env: %q, %v", data, err)
	}
	if _, err := s.Sub("environments/staging"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := s.Sub("teal.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file as directory: %v", err)
	}
	tree, ok := s.Tree("environments/production/shop")
	if want := run(t, o.work, nil, "rev-parse", "HEAD:environments/production/shop"); !ok || tree != want {
		t.Errorf("tree %s %v, want %s", tree, ok, want)
	}
	if e, _ := r.EvidenceHead(); e.Commit() != a {
		t.Error("the evidence is not the followed branch by default")
	}
	if exists(filepath.Join(cfg.Dir, "clone.git", "environments")) {
		t.Error("there is a checkout")
	}

	b := o.commit("second")
	syncOK(t, r)
	wantHead(t, r, b)
	// The earlier Snapshot stays readable.
	if _, err := fs.ReadFile(dir, "release.yaml"); err != nil {
		t.Error(err)
	}
	// The clone is one that the git program agrees with.
	if got := run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "rev-parse", "main"); got != b {
		t.Errorf("clone's main is %s", got)
	}
	run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "fsck", "--strict")
}

func TestFollowsAnyLocalForm(t *testing.T) {
	forms := map[string]func(t *testing.T, o *origin) string{
		"file url": func(_ *testing.T, o *origin) string { return "file://" + o.bare },
		"checkout": func(_ *testing.T, o *origin) string { return o.work },
		"packed refs and objects": func(t *testing.T, o *origin) string {
			run(t, o.bare, nil, "gc", "-q", "--prune=now")
			run(t, o.bare, nil, "pack-refs", "--all")
			return o.bare
		},
		"linked worktree": func(t *testing.T, o *origin) string {
			dir := filepath.Join(t.TempDir(), "linked")
			o.git("worktree", "add", "-q", "-b", "other", dir)
			return dir
		},
		"shared clone": func(t *testing.T, o *origin) string {
			dir := filepath.Join(t.TempDir(), "shared")
			run(t, t.TempDir(), nil, "clone", "-q", "--shared", o.bare, dir)
			return dir
		},
		"relative alternates": func(t *testing.T, o *origin) string {
			dir := filepath.Join(filepath.Dir(o.bare), "rel.git")
			run(t, t.TempDir(), nil, "clone", "-q", "--bare", "--shared", o.bare, dir)
			if err := os.WriteFile(filepath.Join(dir, "objects/info/alternates"), []byte("../../origin.git/objects\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"packs beyond the limit": func(t *testing.T, o *origin) string {
			// Another branch makes the packs larger than what main needs.
			o.git("checkout", "-q", "-b", "big")
			o.write("big", strings.Repeat("x", 1000)+fmt.Sprint(os.Getpid()))
			o.commit("big")
			run(t, o.bare, nil, "gc", "-q", "--prune=now")
			return o.bare
		},
	}
	for name, prepare := range forms {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.write("environments/production/shop/release.yaml", "name: shop\n")
			want := o.commit("second")
			cfg := o.config()
			cfg.URL = prepare(t, o)
			if name == "packs beyond the limit" {
				cfg.Limits.Pack = 1100
			}
			r := open(t, cfg)
			syncOK(t, r)
			s := wantHead(t, r, want)
			if apps, err := s.Apps("production"); err != nil || !cmp.Equal(apps, []string{"shop"}) {
				t.Errorf("apps %v, %v", apps, err)
			}
		})
	}
}

// main:     A ── B
// evidence:  └── C ── D     both come from one look
func TestFollowsEvidenceBranch(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	o.git("checkout", "-q", "-b", "teal/evidence")
	c := o.commit("evidence 1")
	cfg := o.config()
	cfg.Evidence = "teal/evidence"
	r := open(t, cfg)
	syncOK(t, r)
	wantHead(t, r, a)
	if e, ok := r.EvidenceHead(); !ok || e.Commit() != c {
		t.Fatalf("evidence %s, want %s", e.Commit(), c)
	}
	d := o.commit("evidence 2")
	o.git("checkout", "-q", "main")
	b := o.commit("main 2")
	s := syncOK(t, r)
	if s.Head != b || s.Evidence != d {
		t.Fatalf("status %+v, want %s and %s", s, b, d)
	}
	// A rewritten evidence branch does not stop the followed one.
	o.git("checkout", "-q", "teal/evidence")
	o.git("reset", "-q", "--hard", a)
	o.git("commit", "-q", "--allow-empty", "-m", "other evidence")
	o.git("push", "-q", "-f", "origin", "HEAD")
	o.git("checkout", "-q", "main")
	b2 := o.commit("main 3")
	st := syncCode(t, r, release.HistoryRewritten)
	if st.Head != b2 || st.Evidence != d || !strings.Contains(st.Detail, "teal/evidence") {
		t.Fatalf("status %+v", st)
	}
}

func TestRestartWorksOffline(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/release.yaml", "name: shop\n")
	a := o.commit("second")
	cfg := o.config()
	syncOK(t, open(t, cfg))
	if err := os.Rename(o.bare, o.bare+".away"); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	s := wantHead(t, r, a)
	if apps, err := s.Apps("production"); err != nil || len(apps) != 1 {
		t.Fatalf("apps %v, %v", apps, err)
	}
	st := syncCode(t, r, release.RepoUnreachable)
	if st.Failures != 1 || st.Head != a {
		t.Fatalf("status %+v", st)
	}
	if !strings.Contains(st.Detail, o.bare) {
		t.Errorf("detail %q does not name the repository", st.Detail)
	}
	if err := os.Rename(o.bare+".away", o.bare); err != nil {
		t.Fatal(err)
	}
	b := o.commit("third")
	if st := syncOK(t, r); st.Failures != 0 {
		t.Errorf("failures %d after a success", st.Failures)
	}
	wantHead(t, r, b)
}

func TestRefusesAnotherRepository(t *testing.T) {
	for name, content := range map[string]string{
		"other id":    "apiVersion: teal/v1\nkind: Repository\nrepoId: 11111111-6a1f-4c0e-9f6a-3d2f6a1c9e55\n",
		"no id":       "apiVersion: teal/v1\nkind: Repository\n",
		"unknown key": "apiVersion: teal/v1\nkind: Repository\nrepoId: " + testRepoID + "\nmore: 1\n",
		"twice":       "apiVersion: teal/v1\nkind: Repository\nrepoId: " + testRepoID + "\nrepoId: " + testRepoID + "\n",
		"two documents": "apiVersion: teal/v1\nkind: Repository\nrepoId: " + testRepoID +
			"\n---\napiVersion: teal/v1\nkind: Repository\nrepoId: 11111111-6a1f-4c0e-9f6a-3d2f6a1c9e55\n",
		"an alias bomb": "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n",
		"not yaml":      "{{{",
		"empty":         "",
		"gone":          "-",
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			a := o.git("rev-parse", "HEAD")
			cfg := o.config()
			r := open(t, cfg)
			syncOK(t, r)
			o.write("teal.yaml", content)
			if content == "-" {
				o.git("rm", "-qf", "teal.yaml")
			}
			o.commit("other")
			syncCode(t, r, release.RepoIDMismatch)
			wantHead(t, r, a)
			// A new host never takes it at all.
			cfg.Dir = filepath.Join(t.TempDir(), "new")
			fresh := open(t, cfg)
			for range 2 {
				syncCode(t, fresh, release.RepoIDMismatch)
			}
			if _, ok := fresh.Head(); ok || exists(filepath.Join(cfg.Dir, "clone.git")) {
				t.Error("a foreign repository was kept")
			}
			// Corrected, it goes on.
			o.write("teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+testRepoID+"\n")
			b := o.commit("corrected")
			syncOK(t, r)
			wantHead(t, r, b)
			syncOK(t, fresh)
			wantHead(t, fresh, b)
		})
	}
}

func TestBranchMissing(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	cfg.Branch = "deploy"
	r := open(t, cfg)
	st := syncCode(t, r, release.BranchMissing)
	if !strings.Contains(st.Detail, "deploy") {
		t.Errorf("detail %q", st.Detail)
	}
	o.git("checkout", "-q", "-b", "deploy")
	a := o.commit("on deploy")
	syncOK(t, r)
	wantHead(t, r, a)
	o.git("push", "-q", "origin", ":deploy")
	syncCode(t, r, release.BranchMissing)
	wantHead(t, r, a)
	// Back with older history: still refused.
	o.git("push", "-q", "origin", a+"~1:refs/heads/deploy")
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, a)
}

func TestReadLocal(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/staging/shop/release.yaml", "name: shop\n")
	a := o.commit("second")
	for _, rev := range []string{"", "HEAD", "main", "refs/heads/main", a} {
		s, err := ReadLocal(o.work, rev, Limits{})
		if err != nil || s.Commit() != a {
			t.Errorf("%q: %s, %v", rev, s.Commit(), err)
			continue
		}
		if id, err := s.RepoID(); id != testRepoID || err != nil {
			t.Errorf("%q: id %s, %v", rev, id, err)
		}
	}
	for _, rev := range []string{"nobranch", "refs/../x", "a..b", strings.Repeat("0", 40)} {
		if _, err := ReadLocal(o.work, rev, Limits{}); err == nil {
			t.Errorf("%q was found", rev)
		}
	}
}

func TestRefusesFormatsItCannotRead(t *testing.T) {
	o := newOrigin(t)
	o.git("config", "core.repositoryformatversion", "1")
	for _, ext := range []string{"extensions.objectFormat=sha256", "extensions.refStorage=reftable", "extensions.partialClone=origin"} {
		key, value, _ := strings.Cut(ext, "=")
		path := filepath.Join(o.work, ".git", "config")
		saved, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		o.git("config", key, value)
		cfg := o.config()
		cfg.URL = o.work
		syncCode(t, open(t, cfg), release.NotSupportedYet)
		if err := os.WriteFile(path, saved, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A shallow source says what to do.
	for i := range 3 {
		o.commit(fmt.Sprint(i))
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	run(t, t.TempDir(), nil, "clone", "-q", "--depth", "1", "file://"+o.bare, shallow)
	cfg := o.config()
	cfg.URL = shallow
	if st := syncCode(t, open(t, cfg), release.RepoUnreachable); !strings.Contains(st.Detail, "unshallow") {
		t.Errorf("detail %q", st.Detail)
	}
}

// An empty loose reference, as a crashed machine leaves it, must not be read as the
// older packed one.
func TestDamagedReferenceIsNotAnOlderOne(t *testing.T) {
	o := newOrigin(t)
	run(t, o.bare, nil, "pack-refs", "--all")
	b := o.commit("second")
	r := open(t, o.config())
	syncOK(t, r)
	for _, content := range []string{"", "ref: refs/heads/../../x", strings.Repeat("0", 39)} {
		if err := os.WriteFile(filepath.Join(o.bare, "refs/heads/main"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		syncCode(t, r, release.RepoUnreachable)
		wantHead(t, r, b)
	}
	// Nor is a pipe waited for, wherever a file of the repository should be.
	if err := os.Remove(filepath.Join(o.bare, "refs/heads/main")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"refs/heads/main", "packed-refs", "config"} {
		path := filepath.Join(o.bare, name)
		if err := os.Rename(path, path+".away"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o644); err != nil {
			t.Fatal(err)
		}
		syncCode(t, r, release.RepoUnreachable)
		wantHead(t, r, b)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_ = os.Rename(path+".away", path)
	}
	run(t, o.bare, nil, "update-ref", "refs/heads/main", b)
	syncOK(t, r)
}

func TestMergesManyPacks(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	r := open(t, cfg)
	r.merge = 6
	var body bytes.Buffer
	var head string
	var first Snapshot
	for i := range 9 {
		fmt.Fprintf(&body, "line %d\n", i)
		o.write("environments/production/shop/notes", body.String())
		head = o.commit(fmt.Sprint(i))
		syncOK(t, r)
		if i == 0 {
			first = wantHead(t, r, head)
		}
	}
	if n := r.packs(); n > 6 {
		t.Errorf("%d packs", n)
	}
	wantHead(t, r, head)
	dir, err := first.Sub("environments/production/shop")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := fs.ReadFile(dir, "notes"); err != nil || string(data) != "line 0\n" {
		t.Errorf("first snapshot after merging: %q, %v", data, err)
	}
	run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "fsck", "--strict")
	wantHead(t, open(t, cfg), head)
}
