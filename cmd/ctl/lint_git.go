package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tealops/teal/internal/trust"
)

// linting is one run of lint.
type linting struct {
	dir, rev, env string
	staged        bool
	since         string
	annotations   string // github or gitlab; empty: for people
}

func (l *linting) check(format string) error {
	switch {
	case l.staged && l.rev != "":
		return usage(errors.New("--staged and --rev name two trees; give one"))
	case l.annotations != "" && l.annotations != "github" && l.annotations != "gitlab":
		return usage(fmt.Errorf("unknown annotations %q: use github or gitlab", l.annotations))
	case l.annotations != "" && format != "table":
		return usage(errors.New("--annotations is an output of its own; leave out -o"))
	}
	return nil
}

// tree is what is checked: the work tree, a commit, or the index as the next commit would
// have it.
func (l *linting) tree(ctx context.Context) (fs.FS, error) {
	rev, repo := l.rev, l.dir
	if l.staged {
		top, err := git(ctx, l.dir, "rev-parse", "--show-toplevel")
		if err != nil {
			return nil, usage(err)
		}
		if rev, err = stagedCommit(ctx, l.dir); err != nil {
			return nil, err
		}
		repo = top
	}
	if rev == "" {
		return os.DirFS(l.dir), nil
	}
	snap, err := commitOf(repo, rev)
	if err != nil {
		return nil, err
	}
	return snap.Sub(".")
}

// stagedCommit makes a commit of the index that no branch names, so that the index is read
// as a host reads a commit: no filters, no links, and what git commit -a or a partial
// commit would take. Git sweeps it away with the next gc.
func stagedCommit(ctx context.Context, dir string) (string, error) {
	tree, err := git(ctx, dir, "write-tree")
	if err != nil {
		return "", fmt.Errorf("read the index: %w", err)
	}
	g := gitCall{dir: dir, stdin: strings.NewReader("staged\n")}
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		g.env = append(g.env, "GIT_"+who+"_NAME=tealctl lint", "GIT_"+who+"_EMAIL=lint@localhost", "GIT_"+who+"_DATE=@0 +0000")
	}
	return g.run(ctx, "commit-tree", "-F", "-", tree)
}

// changed names the apps, as env/app, with changes since the common ancestor with a
// commit; all is true without --since, and when there is no commit yet.
func (l *linting) changed(ctx context.Context) (apps map[string]bool, all bool, err error) {
	if l.since == "" {
		return nil, true, nil
	}
	if strings.HasPrefix(l.since, "-") {
		return nil, false, usage(fmt.Errorf("--since %s names no commit", trust.Escape(l.since)))
	}
	head := "HEAD"
	if l.rev != "" {
		head = l.rev
	}
	if _, err := git(ctx, l.dir, "rev-parse", "-q", "--verify", head+"^{commit}"); err != nil && l.rev == "" {
		return nil, true, nil // nothing is committed yet: all is new
	}
	base, err := git(ctx, l.dir, "rev-parse", "-q", "--verify", l.since+"^{commit}")
	if err != nil {
		return nil, false, usage(fmt.Errorf("--since %s is no commit of this clone; fetch it (fetch-depth: 0), or name another", trust.Escape(l.since)))
	}
	if fork, err := git(ctx, l.dir, "merge-base", base, head); err == nil {
		base = fork // of two branches: only what this one did
	}
	args := []string{"diff", "--name-only", "--no-renames", "-z", base}
	switch {
	case l.staged:
		args = append(args, "--cached")
	case l.rev != "":
		args = append(args, l.rev)
	}
	out, err := git(ctx, l.dir, append(args, "--", ":(top)environments")...)
	if err != nil {
		return nil, false, err
	}
	if !l.staged && l.rev == "" {
		more, err := git(ctx, l.dir, "ls-files", "-z", "--full-name", "--others", "--exclude-standard", "--", ":(top)environments")
		if err != nil {
			return nil, false, err
		}
		out += "\x00" + more
	}
	apps = map[string]bool{}
	for name := range strings.SplitSeq(out, "\x00") {
		if parts := strings.Split(name, "/"); len(parts) > 3 {
			apps[parts[1]+"/"+parts[2]] = true
		}
	}
	return apps, false, nil
}
