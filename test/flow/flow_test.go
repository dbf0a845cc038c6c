// Package flow shows CI's side end to end: the branches of an app's repository release to
// one directory of the repository of manifests, through the real tealctl and the real git.
package flow

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tealops/teal/internal/release"
)

// races is how often the two branches race each other.
const races = 50

// pushed is what one run of release new answered.
type pushed struct {
	Version  string         `json:"version"`
	Sequence int64          `json:"sequence"`
	Digest   release.Digest `json:"digest"`
	Commit   string         `json:"commit"`
	Tries    int            `json:"tries"`

	source string // the commit of the app that was released
}

// made is one release as the history of the manifests has it.
type made struct {
	commit string
	rel    *release.Release
}

// TestStagingFlow: develop and phase-2/x both release to staging, at the same moment, 50
// times. No release is lost, and no sequence is given twice.
//
//	app        develop    d1 d2 … d50        manifests  main  seed - 100 releases in one line,
//	           phase-2/x  p1 p2 … p50                         sequences 2 … 101
func TestStagingFlow(t *testing.T) {
	f := newFlow(t)
	branches := []string{"develop", "phase-2/x"}
	var app sync.Mutex // one work tree; only the releases race
	answers := make([][]pushed, len(branches))
	begin := time.Now()
	for round := range races {
		var ready, done sync.WaitGroup
		ready.Add(len(branches))
		for i, branch := range branches {
			done.Go(func() {
				app.Lock()
				source, err := f.work(branch, round)
				app.Unlock()
				ready.Done()
				ready.Wait() // both at the same moment
				if err != nil {
					t.Error(err)
					return
				}
				p, err := f.release(i, branch, round, source)
				if err != nil {
					t.Error(err)
					return
				}
				answers[i] = append(answers[i], p)
			})
		}
		done.Wait()
		if t.Failed() {
			return
		}
	}
	took := time.Since(begin)
	all := append(answers[0], answers[1]...)
	history := f.history()
	if err := check(all, history, 1); err != nil {
		t.Fatal(err)
	}
	lost, most := 0, 0
	for _, p := range all {
		lost += p.Tries - 1
		most = max(most, p.Tries)
	}
	if lost == 0 {
		t.Error("no push lost a race: nothing was shown")
	}
	f.sourcesAreOf(branches, all)
	t.Logf("%d races of %s: %d releases pushed, sequences %d to %d in one line, none lost, none doubled; %d pushes lost a race and were made again, at most %d tries for one; %.1f s",
		races, strings.Join(branches, " and "), len(all), history[0].rel.Sequence, history[len(history)-1].rel.Sequence, lost, most, took.Seconds())
}

// check compares what the runs answered with what the branch holds, oldest first, after a
// release with the sequence before.
func check(answers []pushed, history []made, before int64) error {
	at := map[string]*release.Release{}
	for i, m := range history {
		if want := before + int64(i) + 1; m.rel.Sequence != want {
			return fmt.Errorf("commit %d, %.7s, has sequence %d, want %d", i+1, m.commit, m.rel.Sequence, want)
		}
		at[m.commit] = m.rel
	}
	versions := map[string]bool{}
	for _, p := range answers {
		rel := at[p.Commit]
		switch {
		case rel == nil:
			return fmt.Errorf("%s is lost: the branch has no commit %.7s", p.Version, p.Commit)
		case versions[p.Version]:
			return fmt.Errorf("%s was released twice", p.Version)
		case rel.Version != p.Version || rel.Sequence != p.Sequence || rel.Digest != p.Digest || rel.Source.Commit != p.source:
			return fmt.Errorf("commit %.7s holds %s %d %s of %s, answered was %+v", p.Commit, rel.Version, rel.Sequence, rel.Digest, rel.Source.Commit, p)
		}
		versions[p.Version] = true
	}
	if len(answers) != len(history) {
		return fmt.Errorf("%d releases answered, %d on the branch", len(answers), len(history))
	}
	return nil
}

// TestCheck: the check above finds what it is there for.
func TestCheck(t *testing.T) {
	make := func(commit string, sequence int64, version string) made {
		return made{commit, &release.Release{Version: version, Sequence: sequence}}
	}
	say := func(commit string, sequence int64, version string) pushed {
		return pushed{Version: version, Sequence: sequence, Commit: commit}
	}
	two := []pushed{say("a", 2, "x"), say("b", 3, "y")}
	for name, c := range map[string]struct {
		history []made
		says    string
	}{
		"sound":            {[]made{make("a", 2, "x"), make("b", 3, "y")}, ""},
		"a doubled one":    {[]made{make("a", 2, "x"), make("b", 2, "y")}, "has sequence 2, want 3"},
		"a gap":            {[]made{make("a", 2, "x"), make("b", 4, "y")}, "has sequence 4, want 3"},
		"a lost one":       {[]made{make("a", 2, "x"), make("c", 3, "z")}, "y is lost"},
		"one too many":     {[]made{make("a", 2, "x"), make("b", 3, "y"), make("c", 4, "z")}, "3 on the branch"},
		"another's commit": {[]made{make("a", 2, "x"), make("b", 3, "z")}, "answered was"},
	} {
		if err := check(two, c.history, 1); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// flow is the two repositories, and one clone of the manifests for each pipeline.
type flow struct {
	t      *testing.T
	dir    string
	ctl    string
	clones []string
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{t: t, dir: t.TempDir()}
	f.ctl = filepath.Join(f.dir, "tealctl")
	if out, err := exec.Command("go", "build", "-o", f.ctl, "github.com/tealops/teal/cmd/ctl").CombinedOutput(); err != nil {
		t.Fatalf("build tealctl: %v\n%s", err, out)
	}
	must := func(dir string, args ...string) {
		t.Helper()
		if _, err := f.run(dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	must(f.dir, "git", "init", "-q", "--bare", "-b", "main", "manifests.git")
	must(f.dir, "git", "clone", "-q", "manifests.git", "seed")
	f.write("seed/teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11\n")
	f.write("seed/environments/staging/shop/release.yaml", `# The shop on staging; both branches of the app end here.
name: shop
services:
  backend:
    image: registry.example.test/shop/backend@sha256:`+strings.Repeat("0", 64)+` # by CI
    x-teal: {route: {host: shop.example.test, path: /, port: 8000}, probe: {path: /health/}}
x-teal:
  version: seed
  sequence: 1
`)
	must(f.dir+"/seed", "git", "add", "-A")
	must(f.dir+"/seed", "git", "commit", "-q", "-m", "seed")
	must(f.dir+"/seed", "git", "push", "-q", "-u", "origin", "HEAD:main")
	for _, name := range []string{"ci-1", "ci-2"} {
		must(f.dir, "git", "clone", "-q", "--depth", "1", "file://"+f.dir+"/manifests.git", name)
		f.clones = append(f.clones, filepath.Join(f.dir, name))
	}
	must(f.dir, "git", "init", "-q", "-b", "develop", "app")
	must(f.dir+"/app", "git", "commit", "-q", "--allow-empty", "-m", "begin")
	must(f.dir+"/app", "git", "branch", "phase-2/x")
	return f
}

func (f *flow) write(name, text string) {
	f.t.Helper()
	name = filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flow) run(dir string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C.UTF-8", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=CI", "GIT_AUTHOR_EMAIL=ci@example.com", "GIT_COMMITTER_NAME=CI", "GIT_COMMITTER_EMAIL=ci@example.com")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// work is one commit on a branch of the app.
func (f *flow) work(branch string, round int) (string, error) {
	app := f.dir + "/app"
	if _, err := f.run(app, "git", "checkout", "-q", branch); err != nil {
		return "", err
	}
	if _, err := f.run(app, "git", "commit", "-q", "--allow-empty", "-m", fmt.Sprintf("%s %d", branch, round)); err != nil {
		return "", err
	}
	return f.run(app, "git", "rev-parse", "HEAD")
}

// release is what the pipeline of a branch runs after its image is built.
func (f *flow) release(clone int, branch string, round int, source string) (pushed, error) {
	version := fmt.Sprintf("%s-%d", strings.ReplaceAll(branch, "/", "-"), round+1)
	image := "backend=registry.example.test/shop/backend@sha256:" + source + strings.Repeat("0", 24)
	out, err := f.run(f.dir, f.ctl, "release", "new", "shop", version, "--env", "staging", "--image", image, "--source", source,
		"--source-repository", "git@example.test:app.git", "--prepared-by", "ci-bot", "--repo", f.clones[clone], "--push", "-o", "json")
	if err != nil {
		return pushed{}, err
	}
	p := pushed{source: source}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return p, fmt.Errorf("read the answer: %w\n%s", err, out)
	}
	return p, nil
}

// history is every release after the seed on the branch, oldest first, parsed as a host
// would. It fails unless the branch is one line.
func (f *flow) history() []made {
	f.t.Helper()
	bare := f.dir + "/manifests.git"
	out, err := f.run(bare, "git", "log", "--reverse", "--format=%H %P", "main")
	if err != nil {
		f.t.Fatal(err)
	}
	var all []made
	for i, line := range strings.Split(out, "\n") {
		ids := strings.Fields(line)
		if i == 0 {
			continue // the seed
		}
		if len(ids) != 2 {
			f.t.Fatalf("commit %s has %d parents: the branch is not one line", ids[0], len(ids)-1)
		}
		text, err := f.run(bare, "git", "show", ids[0]+":environments/staging/shop/release.yaml")
		if err != nil {
			f.t.Fatal(err)
		}
		rel, problems := release.Parse(fstest.MapFS{release.Manifest: {Data: []byte(text + "\n")}}, "staging", "shop")
		if len(problems) > 0 {
			f.t.Fatal(problems)
		}
		all = append(all, made{ids[0], rel})
	}
	return all
}

// sourcesAreOf checks that each release names a commit of its own branch.
func (f *flow) sourcesAreOf(branches []string, all []pushed) {
	f.t.Helper()
	for i, branch := range branches {
		for _, p := range all[i*races : (i+1)*races] {
			if _, err := f.run(f.dir+"/app", "git", "merge-base", "--is-ancestor", p.source, branch); err != nil {
				f.t.Errorf("%s: %v", p.Version, err)
			}
		}
	}
}
