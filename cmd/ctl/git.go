package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tealops/teal/internal/trust"
)

// gitCall is one run of the git command of the person's own machine, with their
// configuration.
type gitCall struct {
	dir   string
	env   []string
	stdin io.Reader
}

func (g gitCall) run(ctx context.Context, args ...string) (string, error) {
	out, err := g.raw(ctx, args...)
	return strings.TrimSpace(string(out)), err
}

// raw is run with the bytes as they are.
func (g gitCall) raw(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", g.dir}, args...)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), g.env...), g.stdin
	cmd.WaitDelay = 5 * time.Second // a hook of the person's may outlive git and hold its output
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	debugOf(ctx).Debug("ran git", "command", subcommand(args), "took", time.Since(began), "err", err)
	if err != nil {
		// The other end's words are among it: it is shown, line by line, but never obeyed.
		var lines []string
		for line := range strings.Lines(strings.TrimSpace(errs.String())) {
			lines = append(lines, trust.Escape(strings.TrimRight(line, "\r\n")))
		}
		return nil, fmt.Errorf("git %s: %w: %s", subcommand(args), err, strings.Join(lines, "\n"))
	}
	return out.Bytes(), nil
}

// subcommand is what git is asked for; its arguments may hold an address with a password.
func subcommand(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return gitCall{dir: dir}.run(ctx, args...)
}

// branch is one on a remote.
type branch struct{ remote, name string }

// upstream is the branch that the clone's current one follows, or the one that is named.
func upstream(ctx context.Context, repo string, named branch) (branch, error) {
	b := named
	current, err := git(ctx, repo, "symbolic-ref", "--short", "-q", "HEAD")
	if err != nil && b.name == "" {
		return b, usage(errors.New("the clone is on no branch; say with --branch where to push"))
	}
	if b.remote == "" && current != "" {
		b.remote, _ = git(ctx, repo, "config", "--get", "branch."+current+".remote")
	}
	if b.remote == "" {
		b.remote = "origin"
	}
	if b.name == "" {
		merge, err := git(ctx, repo, "config", "--get", "branch."+current+".merge")
		if err != nil {
			return b, usage(fmt.Errorf("branch %s follows none; say with --branch where to push", trust.Escape(current)))
		}
		b.name = strings.TrimPrefix(merge, "refs/heads/")
	}
	if _, err := git(ctx, repo, "check-ref-format", "--branch", b.name); err != nil || strings.HasPrefix(b.remote, "-") {
		return b, usage(fmt.Errorf("%s %s names no branch", trust.Escape(b.remote), trust.Escape(b.name)))
	}
	return b, nil
}

// head fetches the branch and is its newest commit.
func (b branch) head(ctx context.Context, repo string) (string, error) {
	if _, err := git(ctx, repo, "fetch", "-q", "--no-tags", b.remote, "refs/heads/"+b.name); err != nil {
		return "", err
	}
	return git(ctx, repo, "rev-parse", "--verify", "FETCH_HEAD^{commit}")
}

// scratchIndex is git on the repository's objects with an index of its own, filled from
// head, and an empty work tree: no file of the clone is read or written. done removes both.
func scratchIndex(ctx context.Context, repo, head string) (g gitCall, done func(), err error) {
	tmp, err := os.MkdirTemp("", "tealctl-")
	if err != nil {
		return g, nil, err
	}
	done = func() { os.RemoveAll(tmp) }
	defer func() {
		if err != nil {
			done()
		}
	}()
	dir, err := git(ctx, repo, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return g, nil, err
	}
	empty := filepath.Join(tmp, "tree")
	if err := os.Mkdir(empty, 0o700); err != nil {
		return g, nil, err
	}
	g = gitCall{dir: empty, env: []string{"GIT_DIR=" + dir, "GIT_WORK_TREE=" + empty, "GIT_INDEX_FILE=" + filepath.Join(tmp, "index")}}
	_, err = g.run(ctx, "read-tree", head)
	return g, done, err
}
