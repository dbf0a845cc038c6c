package gitops

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

// branch begins a branch at what is checked out and commits to it.
func (o *origin) branch(name, file, content string) string {
	o.t.Helper()
	o.git("checkout", "-q", "-B", name)
	o.write(file, content)
	return o.commit("on " + name)
}

func (o *origin) on(name string) { o.t.Helper(); o.git("checkout", "-q", name) }

func (o *origin) push(args ...string) {
	o.t.Helper()
	o.git(append([]string{"push", "-q", "origin"}, args...)...)
}

// following gives the followed refs as "name commit".
func following(r *Repo) []string {
	out := []string{}
	for _, ref := range r.Desired() {
		out = append(out, ref.Name+" "+ref.Snapshot.Commit())
	}
	return out
}

func wantRefs(t *testing.T, r *Repo, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, following(r)); diff != "" {
		t.Fatalf("followed refs (-want +got):\n%s", diff)
	}
}

// refStatus is the status of one ref by name.
func refStatus(t *testing.T, r *Repo, name string) RefStatus {
	t.Helper()
	for _, ref := range r.Status().Refs {
		if ref.Name == name {
			return ref
		}
	}
	t.Fatalf("no status of %s in %+v", name, r.Status().Refs)
	return RefStatus{}
}

// first ── A                     main
//
//	│ └── B                   phase-1/x
//	└──── C ── v1.0.0 (annotated), v1.1.0 (plain)
//
// The same by a local path, with everything packed, and over HTTP.
func TestFollowsSeveralRefs(t *testing.T) {
	for name, way := range map[string]func(t *testing.T, o *origin, cfg *Config){
		"local":  func(*testing.T, *origin, *Config) {},
		"packed": func(t *testing.T, o *origin, _ *Config) { run(t, o.bare, nil, "gc", "-q", "--prune=now") },
		"http": func(_ *testing.T, o *origin, cfg *Config) {
			cfg.URL = o.serve(asItIs).URL + "/" + filepath.Base(o.bare)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.write("environments/production/shop/release.yaml", "a\n")
			a := o.commit("A")
			b := o.branch("phase-1/x", "b", "b")
			o.on("main")
			o.git("checkout", "-q", "-b", "tags", "HEAD~1")
			o.write("c", "c")
			c := o.commit("C")
			o.git("tag", "-a", "-m", "one", "v1.0.0")
			o.git("tag", "v1.1.0")
			o.git("tag", "nightly")
			o.git("tag", "-a", "-m", "a tag of a tag", "fixed", "v1.0.0")
			o.push("--tags")
			for i := range 20 { // what nobody asked for
				run(t, o.bare, nil, "update-ref", fmt.Sprintf("refs/heads/other/%d", i), a)
			}
			cfg := o.config()
			cfg.Follow = []Follow{{Branch: "main"}, {Semver: "v*.*.*"}, {Branches: "phase-*/**"}, {Tag: "fixed"}}
			cfg.Evidence = "main"
			way(t, o, &cfg)
			r := open(t, cfg)
			syncOK(t, r)
			wantRefs(t, r, "refs/heads/main "+a, "refs/tags/v1.1.0 "+c, "refs/tags/v1.0.0 "+c, "refs/heads/phase-1/x "+b, "refs/tags/fixed "+c)
			if e, ok := r.EvidenceHead(); !ok || e.Commit() != a {
				t.Errorf("evidence is %s", e.Commit())
			}
			for _, ref := range r.Desired() {
				if data, err := fs.ReadFile(mustSub(t, ref.Snapshot, "."), "teal.yaml"); err != nil || len(data) == 0 {
					t.Errorf("%s: %v", ref.Name, err)
				}
			}
			run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "fsck", "--strict")
			// The same after a restart, without a look.
			wantRefs(t, open(t, cfg), following(r)...)
			// One moves: only that is fetched.
			o.on("phase-1/x")
			o.write("b", "b2")
			b2 := o.commit("B2")
			syncOK(t, r)
			wantRefs(t, r, "refs/heads/main "+a, "refs/tags/v1.1.0 "+c, "refs/tags/v1.0.0 "+c, "refs/heads/phase-1/x "+b2, "refs/tags/fixed "+c)
			select {
			case <-r.Changed():
			default:
				t.Error("Changed did not wake")
			}
		})
	}
}

func mustSub(t *testing.T, s Snapshot, dir string) fs.FS {
	t.Helper()
	sub, err := s.Sub(dir)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// main:      first ── A ── D
// phase-1/x: first ── X        then rewritten to Y
// phase-1/y: first ── Z        Z carries another repoId
// phase-1/z: first ── huge     a file beyond the limit
//
// What is refused of one ref stops no other, is named with its reason, and stays so
// over a restart.
func TestOneRefRefusedStopsNoOther(t *testing.T) {
	o := newOrigin(t)
	a := o.branch("main", "a", "a")
	o.git("checkout", "-q", "HEAD~1")
	x := o.branch("phase-1/x", "x", "x")
	cfg := o.config()
	cfg.Follow = []Follow{{Branch: "main"}, {Branches: "phase-1/*"}}
	cfg.Limits.Object = 1 << 20
	cfg.URL = o.serve(asItIs).URL + "/" + filepath.Base(o.bare)
	r := open(t, cfg)
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/main "+a, "refs/heads/phase-1/x "+x)

	o.git("checkout", "-q", "--detach", "main~1")
	o.git("checkout", "-q", "-B", "phase-1/x")
	o.write("y", "y")
	o.git("add", "-A")
	o.git("commit", "-q", "-m", "Y")
	o.push("-f", "phase-1/x")
	y := o.git("rev-parse", "HEAD")
	o.git("checkout", "-q", "--detach", "main~1")
	o.branch("phase-1/y", "teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: 11111111-6a1f-4c0e-9f6a-3d2f6a1c9e55\n")
	o.git("checkout", "-q", "--detach", "main~1")
	o.branch("phase-1/z", "huge", strings.Repeat("0123456789abcdef", 1<<17))
	o.on("main")
	o.write("d", "d")
	d := o.commit("D")
	_, err := r.Sync(t.Context())
	if err == nil {
		t.Fatal("nothing was refused")
	}
	check := func(r *Repo) {
		t.Helper()
		wantRefs(t, r, "refs/heads/main "+d, "refs/heads/phase-1/x "+x)
		if st := refStatus(t, r, "refs/heads/phase-1/x"); st.Code != release.HistoryRewritten || st.Head != x || !strings.Contains(st.Detail, y) {
			t.Errorf("x: %+v", st)
		}
	}
	check(r)
	if st := refStatus(t, r, "refs/heads/phase-1/y"); st.Code != release.RepoIDMismatch || st.Head != "" || !st.Desired {
		t.Errorf("y: %+v", st)
	}
	if st := refStatus(t, r, "refs/heads/phase-1/z"); st.Code != release.RepoTooLarge || st.Head != "" {
		t.Errorf("z: %+v", st)
	}
	if st := refStatus(t, r, "refs/heads/main"); st.Code != "" {
		t.Errorf("main: %+v", st)
	}
	again := open(t, cfg)
	check(again)
	// Nothing moved: nothing is fetched again, and the verdicts stay.
	asked := 0
	cfg.URL = o.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.HasSuffix(q.URL.Path, "/git-upload-pack") && !strings.Contains(q.Header.Get("Git-Protocol"), "version=2") {
				asked++
			}
			h.ServeHTTP(w, q)
		})
	}).URL + "/" + filepath.Base(o.bare)
	third := open(t, cfg)
	for range 3 {
		if _, err := third.Sync(t.Context()); err == nil {
			t.Fatal("nothing was refused")
		}
		if asked > 4 { // all at once, then each of what is missing
			t.Fatalf("%d downloads", asked)
		}
	}
	check(third)
}

// first ── A ── B        v1 is at A, then moved to B
//
// A tag that was accepted stays where it is until root adopts; one that is made again at
// the same commit, annotated this time, has not moved.
func TestTagMayNotMove(t *testing.T) {
	o := newOrigin(t)
	a := o.branch("main", "a", "a")
	o.git("tag", "v1")
	o.push("v1")
	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Tag: "v1"}}, "main"
	r := open(t, cfg)
	syncOK(t, r)
	wantRefs(t, r, "refs/tags/v1 "+a)
	o.git("tag", "-f", "-a", "-m", "annotated", "v1", a)
	o.push("-f", "v1")
	syncOK(t, r)

	o.write("b", "b")
	b := o.commit("B") // it descends from A, and still the tag may not move there
	o.git("tag", "-f", "v1")
	o.push("-f", "v1")
	s := syncCode(t, r, release.HistoryRewritten)
	if !strings.Contains(s.Detail, "tag v1 was moved") {
		t.Error(s.Detail)
	}
	wantRefs(t, r, "refs/tags/v1 "+a)
	if s.Evidence != b {
		t.Errorf("evidence is %s", s.Evidence)
	}
	r = open(t, cfg)
	wantRefs(t, r, "refs/tags/v1 "+a)
	if err := r.Adopt(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantRefs(t, r, "refs/tags/v1 "+b)
	// A tag that is deleted stays in use: it was asked for by name.
	run(t, o.bare, nil, "update-ref", "-d", "refs/tags/v1")
	s = syncCode(t, r, release.BranchMissing)
	wantRefs(t, r, "refs/tags/v1 "+b)
	if !strings.Contains(s.Detail, "tag v1") {
		t.Error(s.Detail)
	}
}

// phase-1/x: first ── X       deleted, renamed to phase-1/x/new, made anew elsewhere
//
// A branch of a glob that goes is no rewrite; one that comes back has to descend from
// where it was.
func TestBranchOfGlobComesAndGoes(t *testing.T) {
	o := newOrigin(t)
	main := o.git("rev-parse", "HEAD")
	x := o.branch("phase-1/x", "x", "x")
	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Branches: "phase-*/**"}, {Branch: "main"}}, "main"
	r := open(t, cfg)
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/phase-1/x "+x, "refs/heads/main "+main)
	before := r.Desired()[0].Snapshot

	run(t, o.bare, nil, "update-ref", "-d", "refs/heads/phase-1/x")
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/main "+main)
	if _, err := before.Sub("."); err != nil {
		t.Errorf("a snapshot of a branch that is gone: %v", err)
	}
	wantRefs(t, open(t, cfg), "refs/heads/main "+main)

	run(t, o.bare, nil, "update-ref", "refs/heads/phase-1/x/new", x) // its name stands where the old one's file was
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/phase-1/x/new "+x, "refs/heads/main "+main)
	run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "rev-parse", "--verify", "refs/heads/phase-1/x/new")

	run(t, o.bare, nil, "update-ref", "-d", "refs/heads/phase-1/x/new")
	run(t, o.bare, nil, "update-ref", "refs/heads/phase-1/x", main)
	syncCode(t, r, release.HistoryRewritten)
	wantRefs(t, r, "refs/heads/phase-1/x "+x, "refs/heads/main "+main)
	o.on("phase-1/x")
	o.write("x", "x2")
	x2 := o.commit("X2") // goes on from where it was
	if got := run(t, o.bare, nil, "rev-parse", "phase-1/x"); got != x2 {
		t.Fatal("the push did not get there")
	}
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/phase-1/x "+x2, "refs/heads/main "+main)
}

// More branches than may be followed: those that were followed before still are, and
// the one that is named is not crowded out.
func TestTooManyRefs(t *testing.T) {
	o := newOrigin(t)
	main := o.git("rev-parse", "HEAD")
	run(t, o.bare, nil, "update-ref", "refs/heads/z/kept", main)
	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Branches: "z/*"}, {Branch: "main"}}, "main"
	r := open(t, cfg)
	syncOK(t, r)
	var input strings.Builder
	for i := range MaxRefs {
		fmt.Fprintf(&input, "create refs/heads/z/%03d %s\n", i, main)
	}
	run(t, o.bare, []byte(input.String()), "update-ref", "--stdin")
	kept := o.branch("z/kept", "new", "new")
	s := syncCode(t, r, release.TooManyRefs)
	if !strings.Contains(s.Detail, "branches z/* matches 65 refs") {
		t.Error(s.Detail)
	}
	wantRefs(t, r, "refs/heads/z/kept "+kept, "refs/heads/main "+main)
	run(t, o.bare, nil, "update-ref", "-d", "refs/heads/z/000")
	run(t, o.bare, nil, "update-ref", "-d", "refs/heads/z/001")
	syncOK(t, r)
	if got := len(r.Desired()); got != MaxRefs {
		t.Errorf("%d refs are followed, want %d", got, MaxRefs)
	}
}

// What nothing matches is said as long as nothing is followed.
func TestNothingMatches(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Branches: "phase-*"}, {Semver: "^2"}}, "main"
	r := open(t, cfg)
	s := syncCode(t, r, release.BranchMissing)
	if !strings.Contains(s.Detail, "branches phase-*") {
		t.Error(s.Detail)
	}
	if _, ok := r.Head(); ok {
		t.Error("a head")
	}
	o.branch("phase-1", "a", "a")
	syncOK(t, r)
}

// A branch whose name no reference of ours may have is named and left out.
func TestOddNamesAreNotFollowed(t *testing.T) {
	o := newOrigin(t)
	main := o.git("rev-parse", "HEAD")
	run(t, o.bare, nil, "update-ref", "refs/heads/phase-$(id)", main)
	run(t, o.bare, nil, "update-ref", "refs/heads/phase-ok", main)
	cfg := o.config()
	cfg.Follow, cfg.Evidence = []Follow{{Branches: "phase-*"}}, "main"
	r := open(t, cfg)
	syncCode(t, r, release.UnsafePath)
	wantRefs(t, r, "refs/heads/phase-ok "+main)
}

// A file of version 1 is read, and written as long as it can hold what there is; what
// several refs need is version 2.
func TestAcceptedOfBothVersions(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	cfg := o.config()
	r := open(t, cfg)
	syncOK(t, r)
	path := filepath.Join(cfg.Dir, acceptedFile)
	old, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(old), `"version": 1`) || !strings.Contains(string(old), `"main": {`) {
		t.Fatalf("%s %v", old, err)
	}
	cfg.Follow, cfg.Evidence = []Follow{{Branch: "main"}, {Branches: "phase-*"}}, "main"
	r = open(t, cfg)
	wantRefs(t, r, "refs/heads/main "+a)
	x := o.branch("phase-1", "x", "x")
	syncOK(t, r)
	wantRefs(t, r, "refs/heads/main "+a, "refs/heads/phase-1 "+x)
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), `"version": 2`) {
		t.Fatalf("%s %v", data, err)
	}
	seen := r.Desired()
	if seen[0].Seen("shop") != 0 || seen[1].Seen("shop") == 0 {
		t.Errorf("what was there before is not first: %d %d", seen[0].Seen("shop"), seen[1].Seen("shop"))
	}
}

// main: first ── A(shop) ── B(blog)
// next: first ── X(shop)
//
// The sight of an app's directory is of the look that brought it, not of the head.
func TestSeenIsPerApp(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	cfg.Follow, cfg.Evidence, cfg.Environment = []Follow{{Branch: "main"}, {Branch: "next"}}, "main", "production"
	r := open(t, cfg)
	step := func() {
		t.Helper()
		if _, err := r.Sync(t.Context()); err != nil && len(r.Desired()) > 1 {
			t.Fatal(err)
		}
		r = open(t, cfg) // it is durable
	}
	order := func(app string) string {
		refs := r.Desired()
		slices.SortStableFunc(refs, func(a, b Ref) int { return int(a.Seen(app)) - int(b.Seen(app)) })
		return filepath.Base(refs[0].Name)
	}
	o.branch("main", "environments/production/shop/release.yaml", "1\n")
	step()
	o.git("checkout", "-q", "HEAD~1")
	o.branch("next", "environments/production/shop/release.yaml", "2\n")
	step()
	if got := order("shop"); got != "main" {
		t.Errorf("first seen is %s", got)
	}
	o.on("main")
	o.write("environments/production/blog/release.yaml", "1\n")
	o.commit("B")
	step()
	if got := order("shop"); got != "main" {
		t.Errorf("a commit about another app changed the order: %s", got)
	}
	o.write("environments/production/shop/release.yaml", "3\n")
	o.commit("C")
	step()
	if got := order("shop"); got != "next" {
		t.Errorf("what main holds now was seen after next's: %s", got)
	}
}

// Whatever the order in which a server lists its refs, the same are followed, in the same
// order.
func TestOrderOfListingDoesNotMatter(t *testing.T) {
	cfg := Config{Follow: []Follow{{Branches: "phase-*/**"}, {Semver: "^1"}, {Branch: "main"}, {Tag: "v1.0.0"}, {Branches: "*"}}, Evidence: "evidence"}.orDefault()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"refs/heads/main", "refs/heads/phase-1/a", "refs/heads/phase-1/b", "refs/heads/x",
			"refs/tags/v1.0.0", "refs/tags/v1.10.0", "refs/tags/v1.9.0", "refs/tags/v2.0.0", "refs/heads/evidence"}), 0, 9, rapid.ID).Draw(t, "names")
		tips := func(order []string) map[string]tip {
			out := make(map[string]tip)
			for _, n := range order {
				out[n] = tip{commit: [20]byte{1}}
			}
			return out
		}
		var first, second []string
		for _, x := range cfg.targets(tips(names), nil) {
			first = append(first, x.name)
		}
		for _, x := range cfg.targets(tips(rapid.Permutation(names).Draw(t, "order")), names) {
			second = append(second, x.name)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatal(diff)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(first)))) != len(first) {
			t.Fatalf("twice: %v", first)
		}
	})
}

// A branch that is pushed below a directory that was not there is seen at once.
func TestWatchesGlob(t *testing.T) {
	o := newOrigin(t)
	cfg := o.config()
	cfg.Follow, cfg.Poll = []Follow{{Branch: "main"}, {Branches: "phase-*/**"}}, time.Hour
	r := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); len(r.Desired()) != want; {
			if time.Now().After(deadline) {
				t.Fatalf("%v", following(r))
			}
			select {
			case <-r.Changed():
			case <-time.After(time.Second):
			}
		}
	}
	await(1)
	o.branch("phase-2/x", "x", "x")
	await(2)
	o.branch("phase-2/y", "y", "y")
	await(3)
}
