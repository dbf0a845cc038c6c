package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const apps = 10_000

// manifests: 10,000 manifests in one environment. Read and parsed whole, against a look
// that brings a commit which changes one, with everything that follows: fetch, verify,
// find what changed, read it, parse it.
func (b *bench) manifests() {
	const rounds = 5
	fmt.Printf("%d manifests in one environment, CPU of reading what Git asks of each:\n", apps)
	dir := filepath.Join(b.dir, "manifests.git")
	git(b.dir, "", "init", "-q", "--bare", "-b", "main", dir)
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\n")
	data(&in, "first")
	file(&in, "teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+repoID+"\n")
	for i := range apps {
		file(&in, fmt.Sprintf("environments/staging/app-%05d/release.yaml", i), manifest(i, 1))
	}
	git(dir, in.String(), "fast-import", "--quiet")

	r, err := gitops.Open(config(dir, filepath.Join(b.dir, "state-manifests")))
	must(err)
	_, err = r.Sync(context.Background())
	must(err)
	names := wanted(r)
	desk := newDesk(r)
	heap := alive()
	read := func(d *reconcile.Desk, names []string) {
		for _, app := range names {
			w, ok, err := d.Wish(app)
			must(err)
			if !ok || w.Sequence == 0 {
				must(fmt.Errorf("%s: %+v", app, w))
			}
		}
	}
	first := self(func() { read(desk, names) })
	kept := alive() - heap
	var tenth []string
	for i := 0; i < len(names); i += 10 {
		tenth = append(tenth, names[i])
	}
	sequence := 1
	var one, full []time.Duration
	for range rounds {
		full = append(full, 10*self(func() { read(newDesk(r), tenth) }))
		sequence++
		change(dir, 4711, sequence)
		one = append(one, self(func() {
			_, err := r.Sync(context.Background())
			must(err)
			read(desk, names)
		}))
		if w, _, err := desk.Wish("app-04711"); err != nil || w.Sequence != int64(sequence) {
			must(fmt.Errorf("the change was not seen: %+v %w", w, err))
		}
	}
	slices.Sort(one)
	slices.Sort(full)
	b.note("read and parse all, once", ms(first))
	b.note("read and parse every tenth, × 10, median", ms(full[rounds/2]))
	b.note("one changed: fetch, verify, find, read, parse", ms(one[rounds/2]))
	b.bound("one changed / all", share(one[rounds/2], full[rounds/2]), one[rounds/2] <= full[rounds/2]/100, "0.01")
	perApp := float64(kept) / apps
	b.bound("heap kept of a manifest", fmt.Sprintf("%.0f B", perApp), perApp <= 3000, "3,000 B")
	runtime.KeepAlive(desk)
	fmt.Println()
}

// change commits a new release of one app.
func change(dir string, app, sequence int) {
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\n", 1700000000+sequence)
	data(&in, "release")
	fmt.Fprintf(&in, "from refs/heads/main^0\n")
	file(&in, fmt.Sprintf("environments/staging/app-%05d/release.yaml", app), manifest(app, sequence))
	git(dir, in.String(), "fast-import", "--quiet")
}

func alive() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func wanted(r *gitops.Repo) []string {
	head, ok := r.Head()
	if !ok {
		must(fmt.Errorf("nothing was accepted: %+v", r.Status()))
	}
	names, err := head.Apps("staging")
	must(err)
	if len(names) != apps {
		must(fmt.Errorf("%d apps", len(names)))
	}
	return names
}

func newDesk(r *gitops.Repo) *reconcile.Desk {
	return &reconcile.Desk{Env: "staging", Repo: followed{r}, Parsed: &reconcile.Parsed{}, Key: make([]byte, 32),
		Host: release.Host{Name: "h1", Instance: "i", EdgeNetwork: "e"}}
}

// followed shows accepted commits to the desk, as the agent does.
type followed struct{ *gitops.Repo }

func (f followed) Desired() ([]reconcile.Ref, release.Code, string) {
	var out []reconcile.Ref
	for _, ref := range f.Repo.Desired() {
		out = append(out, reconcile.Ref{Name: ref.Name, Commit: commit{ref.Snapshot}, Seen: ref.Seen})
	}
	if len(out) == 0 {
		return nil, release.NoCommitYet, ""
	}
	return out, "", ""
}

func (f followed) Evidence() (reconcile.Commit, release.Code, string) {
	return nil, release.NoCommitYet, ""
}

type commit struct{ gitops.Snapshot }

func (c commit) ID() string                          { return c.Commit() }
func (c commit) Sub(dir string) (fs.FS, error)       { return c.Snapshot.Sub(dir) }
func (c commit) Apps(env string) ([]string, error)   { return c.Snapshot.Apps(env) }
func (c commit) Tree(dir string) (id string, _ bool) { return c.Snapshot.Tree(dir) }
func (c commit) Changes(ctx context.Context, dir, since string) (trust.Changes, error) {
	return c.Snapshot.Changes(ctx, dir, since)
}
