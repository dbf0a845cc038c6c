package gitops

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// main:    first ── A ── B
// phase-1: first ── X
//
// Four agents on one repository, each with its own directory: by path and over HTTP, one
// with a broken clone, one that follows more. They look at once, again and again, while it
// moves; the broken one repairs itself beside and is renamed; nobody writes to the
// repository or to another's directory.
func TestSeveralAgentsOnOneRepository(t *testing.T) {
	o := newOrigin(t)
	a := o.branch("main", "environments/production/shop/release.yaml", "a\n")
	o.git("checkout", "-q", "HEAD~1")
	x := o.branch("phase-1", "x", "x")
	o.on("main")
	srv := o.serve(asItIs)
	home := t.TempDir()
	var all []*Repo
	var dirs []string
	for i, name := range []string{"local", "broken", "http", "several"} {
		cfg := o.config()
		cfg.Dir = filepath.Join(home, name)
		if i >= 2 {
			cfg.URL = srv.URL + "/" + filepath.Base(o.bare)
		}
		if name == "several" {
			cfg.Follow = []Follow{{Branch: "main"}, {Branches: "phase-*"}}
		}
		r := open(t, cfg)
		syncOK(t, r)
		all, dirs = append(all, r), append(dirs, cfg.Dir)
	}
	before := run(t, o.bare, nil, "for-each-ref")
	wantHead(t, all[1], a)
	eachFile(t, filepath.Join(dirs[1], "clone.git"), "objects/pack/*.pack", half)
	o.write("environments/production/shop/release.yaml", "b\n")
	b := o.commit("B")
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, r := range all {
		wg.Go(func() {
			for range 5 {
				if _, err := r.Sync(context.WithoutCancel(t.Context())); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for i, r := range all {
		if errs[i] != nil {
			t.Errorf("%s: %v", filepath.Base(dirs[i]), errs[i])
			continue
		}
		wantHead(t, r, b)
		run(t, filepath.Join(dirs[i], "clone.git"), nil, "fsck", "--strict")
		entries, err := os.ReadDir(dirs[i])
		if err != nil || len(entries) != 2 { // accepted.json and clone.git: nothing was left beside
			t.Errorf("%s holds %v, %v", dirs[i], entries, err)
		}
	}
	wantRefs(t, all[3], "refs/heads/main "+b, "refs/heads/phase-1 "+x)
	if entries, err := os.ReadDir(home); err != nil || len(entries) != len(all) {
		t.Errorf("%v, %v", entries, err)
	}
	if after := run(t, o.bare, nil, "for-each-ref", "refs/heads/phase-1"); len(before) == 0 || len(after) == 0 {
		t.Error("the repository lost a branch")
	}
	if _, err := os.Stat(filepath.Join(o.bare, "shallow")); err == nil {
		t.Error("the repository was changed")
	}
	// What is wrong for one is wrong for that one only.
	if err := os.Remove(filepath.Join(dirs[0], acceptedFile)); err != nil {
		t.Fatal(err)
	}
	cfg := o.config()
	cfg.Dir = dirs[0]
	syncCode(t, open(t, cfg), release.GitStateLost)
	for _, r := range all[1:] {
		syncOK(t, r)
	}
}
