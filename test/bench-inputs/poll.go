package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"

	"github.com/tealops/teal/internal/gitops"
)

// polls: a look at a repository in which nothing changed, alone and with 1,000 refs that
// nobody follows.
func (b *bench) polls() {
	const rounds, looks = 5, 10
	fmt.Println("A look without a change, CPU of one:")
	few, many := b.small("few.git", 0), b.small("many.git", 1000)
	measure := func(url, name string) func() time.Duration {
		r, err := gitops.Open(config(url, filepath.Join(b.dir, "state-"+name)))
		must(err)
		return func() time.Duration {
			return self(func() {
				for range looks {
					_, err := r.Sync(context.Background())
					must(err)
				}
			}) / looks
		}
	}
	naive := func(url, name string) func() time.Duration {
		dir := filepath.Join(b.dir, "go-git-"+name)
		_, err := gogit.PlainClone(dir, true, &gogit.CloneOptions{URL: url})
		must(err)
		return func() time.Duration {
			return self(func() {
				for range looks {
					repo, err := gogit.PlainOpen(dir)
					must(err)
					if err := repo.Fetch(&gogit.FetchOptions{}); !errors.Is(err, gogit.NoErrAlreadyUpToDate) {
						must(fmt.Errorf("go-git fetched something: %w", err))
					}
				}
			}) / looks
		}
	}
	cli := func(url, name string) func() time.Duration {
		dir := filepath.Join(b.dir, "cli-"+name)
		git(b.dir, "", "clone", "-q", "--bare", url, dir)
		return func() time.Duration {
			return children(func() {
				for range 2 {
					git(dir, "", "fetch", "-q", "origin", "main")
				}
			}) / 2
		}
	}
	http, local := b.url+filepath.Base(many), many
	t := alternate(rounds, measure(http, "many"), measure(b.url+filepath.Base(few), "few"), naive(http, "many"), cli(http, "many"),
		measure(local, "local-many"), measure(few, "local-few"), naive(local, "local-many"), cli(local, "local-many"))
	b.bound("HTTP, 1,000 other refs", ms(t[0]), t[0] <= time.Millisecond, "1 ms")
	b.note("HTTP, no other refs", ms(t[1]))
	b.bound("HTTP, 1,000 other refs / none", share(t[0], t[1]), t[0] <= t[1]*3/2, "1.5")
	b.note("HTTP, go-git's Fetch into a clone", ms(t[2]))
	b.note("HTTP, git fetch", ms(t[3]))
	b.bound("HTTP, ours / go-git's Fetch", share(t[0], t[2]), t[0] <= t[2]/2, "0.5")
	b.bound("HTTP, ours / git fetch", share(t[0], t[3]), t[0] <= t[3]/10, "0.1")
	b.bound("local path, 1,000 other refs", ms(t[4]), t[4] <= time.Millisecond, "1 ms")
	b.note("local path, no other refs", ms(t[5]))
	b.bound("local path, 1,000 other refs / none", share(t[4], t[5]), t[4] <= t[5]*3/2, "1.5")
	b.note("local path, go-git's Fetch into a clone", ms(t[6]))
	b.note("local path, git fetch", ms(t[7]))
	b.bound("local path, ours / go-git's Fetch", share(t[4], t[6]), t[4] <= t[6]/10, "0.1")
	fmt.Println()
}

// small makes a repository of one manifest, with refs beside main, all packed.
func (b *bench) small(name string, refs int) string {
	dir := filepath.Join(b.dir, name)
	git(b.dir, "", "init", "-q", "--bare", "-b", "main", dir)
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\n")
	data(&in, "first")
	file(&in, "teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+repoID+"\n")
	file(&in, "environments/staging/app-00000/release.yaml", manifest(0, 1))
	git(dir, in.String(), "fast-import", "--quiet")
	in.Reset()
	head := git(dir, "", "rev-parse", "main")
	for i := range refs {
		fmt.Fprintf(&in, "create refs/heads/other/%04d %s\n", i, head)
	}
	git(dir, in.String(), "update-ref", "--stdin")
	git(dir, "", "gc", "-q")
	return dir
}

// manifest is a release of about 600 bytes.
func manifest(app, sequence int) string {
	return fmt.Sprintf(`name: app-%05[1]d
services:
  backend:
    image: registry.example.com/shop/backend@sha256:%064[1]d
    environment: {DJANGO_SETTINGS_MODULE: shop.settings.staging, APP: app-%05[1]d}
    x-teal:
      route: {host: app-%05[1]d.example.com, path: /, port: 8000}
      probe: {path: /health/}
  worker:
    image: registry.example.com/shop/backend@sha256:%064[1]d
    command: [celery, -A, shop, worker]
x-teal:
  version: v1.2.%[2]d
  sequence: %[2]d
  preparedBy: ci-bot
  bake: {for: 5m}
`, app, sequence)
}

// data and file write git fast-import's form.
func data(in *strings.Builder, text string) { fmt.Fprintf(in, "data %d\n%s\n", len(text), text) }

func file(in *strings.Builder, path, text string) {
	fmt.Fprintf(in, "M 100644 inline %s\n", path)
	data(in, text)
}
