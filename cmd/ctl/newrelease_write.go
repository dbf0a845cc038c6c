package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// local writes the release into the work tree.
func (n *newRelease) local(ctx context.Context, t *tool) (newReleaseReply, error) {
	if bare, _ := git(ctx, n.repo, "rev-parse", "--is-bare-repository"); bare == "true" {
		return newReleaseReply{}, usage(errors.New("a bare repository has no work tree to write to; use --push"))
	}
	if shallow, _ := git(ctx, n.repo, "rev-parse", "--is-shallow-repository"); shallow == "true" {
		return newReleaseReply{}, errors.New("the clone is shallow, and the next sequence is above the highest of the whole history; git fetch --unshallow, or use --push")
	}
	tree, err := os.OpenRoot(n.repo)
	if err != nil {
		return newReleaseReply{}, err
	}
	defer tree.Close()
	now := map[string][]byte{}
	if err := plainWay(tree, n.dir()); err != nil {
		return newReleaseReply{}, err
	}
	if _, err := tree.Lstat(n.dir()); err == nil {
		sub, err := fs.Sub(tree.FS(), n.dir())
		if err != nil {
			return newReleaseReply{}, err
		}
		if now, err = readAll(sub, n.dir()); err != nil {
			return newReleaseReply{}, err
		}
	}
	var heads []string
	head, err := git(ctx, n.repo, "rev-parse", "-q", "--verify", "HEAD^{commit}")
	if err == nil {
		heads = append(heads, head)
	}
	if up, err := git(ctx, n.repo, "rev-parse", "-q", "--verify", "@{upstream}^{commit}"); err == nil {
		heads = append(heads, up)
	}
	d, err := n.make(ctx, now, head, heads)
	if err != nil {
		return newReleaseReply{}, err
	}
	reply := n.reply(d)
	if n.dry || d.unchanged {
		return reply, nil
	}
	if d.from != nil {
		changes, err := git(ctx, n.repo, "status", "--porcelain", "--", n.dir())
		if err != nil {
			return newReleaseReply{}, err
		}
		if changes != "" {
			return newReleaseReply{}, fmt.Errorf("%s has changes that are not committed, and --from would write over them; commit or stash them", n.dir())
		}
		if err := tree.RemoveAll(n.dir()); err != nil {
			return newReleaseReply{}, fmt.Errorf("remove %s: %w", n.dir(), err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if d.from == nil && bytes.Equal(now[name], d.files[name]) {
			continue
		}
		if err := writeFile(tree, path.Join(n.dir(), name), d.files[name]); err != nil {
			return newReleaseReply{}, err
		}
	}
	subject, _, _ := strings.Cut(commitMessage(n, d), "\n")
	reply.Next = fmt.Sprintf("git add -A %s && git commit -m %s && git push, then %s", n.dir(), quote(subject), reply.Next)
	return reply, nil
}

// plainWay refuses links on the way to a directory of the work tree: they would take the
// files elsewhere.
func plainWay(tree *os.Root, dir string) error {
	for at := dir; at != "."; at = path.Dir(at) {
		if info, err := tree.Lstat(at); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a plain directory; remove it and try again", at)
		}
	}
	return nil
}

// writeFile replaces a file of the work tree as a whole.
func writeFile(tree *os.Root, name string, data []byte) error {
	if err := tree.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", path.Dir(name), err)
	}
	tmp := name + fmt.Sprintf(".%d.tmp", os.Getpid())
	if err := tree.WriteFile(tmp, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := tree.Rename(tmp, name); err != nil {
		_ = tree.Remove(tmp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// publishTries bounds how often a push is tried while others push, beside --retry-for.
const publishTries = 100

var errPushTooLong = errors.New("somebody else pushes all the time")

// publish makes the release on top of the remote branch, and again while others are
// faster. Nothing of the clone's own branch and work tree is in the way or in danger.
func (n *newRelease) publish(ctx context.Context, t *tool) (newReleaseReply, error) {
	if bare, _ := git(ctx, n.repo, "rev-parse", "--is-bare-repository"); bare == "true" && n.to.name == "" {
		n.to.name, _ = git(ctx, n.repo, "symbolic-ref", "--short", "-q", "HEAD")
	}
	to, err := upstream(ctx, n.repo, n.to)
	if err != nil {
		return newReleaseReply{}, err
	}
	if err := n.past.whole(ctx, t, to); err != nil {
		return newReleaseReply{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, n.timeout, errPushTooLong)
	defer cancel()
	for try := 1; ; try++ {
		head, err := to.tip(ctx, n.repo)
		if err != nil {
			return newReleaseReply{}, n.tooLong(ctx, to, try, err)
		}
		now, err := filesAt(n.repo, head, n.dir())
		if err != nil {
			return newReleaseReply{}, err
		}
		d, err := n.make(ctx, now, head, []string{head})
		if err != nil {
			return newReleaseReply{}, n.tooLong(ctx, to, try, err)
		}
		reply := n.reply(d)
		reply.Branch, reply.Tries = to.remote+"/"+to.name, try
		if d.unchanged {
			reply.Commit = head
			return reply, nil
		}
		if n.dry {
			return reply, nil
		}
		commit, err := n.commit(ctx, head, d)
		if err != nil {
			return newReleaseReply{}, n.tooLong(ctx, to, try, err)
		}
		_, failed := gitCall{dir: n.repo, env: []string{"LC_ALL=C"}}.run(ctx, "push", "-q", to.remote, commit+":refs/heads/"+to.name)
		if failed == nil {
			reply.Commit = commit
			n.catchUp(ctx, t, to, commit)
			return reply, nil
		}
		moved, err := to.tip(ctx, n.repo)
		if err != nil {
			return newReleaseReply{}, n.tooLong(ctx, to, try, errors.Join(failed, err))
		}
		if moved == commit {
			reply.Commit = commit // it arrived, only its answer did not
			n.catchUp(ctx, t, to, commit)
			return reply, nil
		}
		if moved == head && !lostRace(failed) {
			return newReleaseReply{}, fmt.Errorf("push to %s/%s: %w", to.remote, to.name, failed)
		}
		if try >= publishTries {
			return newReleaseReply{}, fmt.Errorf("push to %s/%s, %d times: %w; run the same line again", to.remote, to.name, try, errPushTooLong)
		}
		fmt.Fprintf(t.err, "try %d: somebody else pushed to %s/%s first (now %.7s); sequence %d is taken again\n", try, to.remote, to.name, moved, d.rel.Sequence)
		if err := sleep(ctx, pushPause(try, rand.Float64())); err != nil {
			return newReleaseReply{}, n.tooLong(ctx, to, try, err)
		}
	}
}

// tooLong says of an error whether the time for the push ended it.
func (n *newRelease) tooLong(ctx context.Context, to branch, tries int, err error) error {
	if errors.Is(context.Cause(ctx), errPushTooLong) {
		return fmt.Errorf("push to %s/%s: %w for %s (%d tries); run the same line again, or with a longer --retry-for", to.remote, to.name, errPushTooLong, n.timeout, tries)
	}
	return err
}

// lostRace reports whether the other end refused a push because another one was under way,
// before or after which the branch can look the same.
func lostRace(err error) bool {
	text := err.Error()
	for _, sign := range []string{"cannot lock ref", "failed to update ref", "(fetch first)", "(non-fast-forward)", "incorrect old value", "Unable to create '"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// pushPause is how long to wait before the next try: up to 50 ms, doubled at each try to
// at most 2 s; x, from 0 to 1, spreads those who race each other.
func pushPause(try int, x float64) time.Duration {
	most := 50 * time.Millisecond << min(try, 5)
	return time.Duration(x * float64(min(most, 2*time.Second)))
}

// tip fetches the branch under a name of this process's own, as others fetch in the same
// clone, and is its newest commit.
func (b branch) tip(ctx context.Context, repo string) (string, error) {
	own := fmt.Sprintf("refs/tealctl/%d-%016x", os.Getpid(), rand.Uint64())
	if _, err := git(ctx, repo, "-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "-q", "--no-tags", "--no-write-fetch-head", b.remote, "+refs/heads/"+b.name+":"+own); err != nil {
		return "", err
	}
	id, err := git(ctx, repo, "rev-parse", "--verify", own+"^{commit}")
	if _, gone := git(context.WithoutCancel(ctx), repo, "update-ref", "-d", own); err == nil {
		err = gone
	}
	return id, err
}

// commit makes the commit of a draft on top of head, from Git objects alone.
func (n *newRelease) commit(ctx context.Context, head string, d *draft) (string, error) {
	g, done, err := scratchIndex(ctx, n.repo, head)
	if err != nil {
		return "", err
	}
	defer done()
	if d.from != nil {
		if _, err := g.run(ctx, "rm", "-r", "-q", "--cached", "--ignore-unmatch", "--", d.dir); err != nil {
			return "", err
		}
		if _, err := g.run(ctx, "read-tree", "--prefix="+d.dir+"/", d.from.Commit+":"+d.dir); err != nil {
			return "", err
		}
	}
	put := g
	put.stdin = bytes.NewReader(d.files[release.Manifest])
	blob, err := put.run(ctx, "hash-object", "-w", "--no-filters", "--stdin")
	if err != nil {
		return "", err
	}
	if _, err := g.run(ctx, "update-index", "--add", "--cacheinfo", "100644,"+blob+","+n.file()); err != nil {
		return "", fmt.Errorf("%w; something else has the place of %s on the branch", err, n.file())
	}
	tree, err := g.run(ctx, "write-tree")
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", tree, "-p", head, "-F", "-"}
	if sign, _ := g.run(ctx, "config", "--type=bool", "--get", "commit.gpgSign"); sign == "true" {
		args = append(args, "-S") // unlike git commit, commit-tree does not look by itself
	}
	g.stdin = strings.NewReader(commitMessage(n, d))
	id, err := g.run(ctx, args...)
	if err != nil && strings.Contains(err.Error(), "identity") {
		return "", fmt.Errorf("%w; say who commits with git config user.name and user.email", err)
	}
	return id, err
}

// catchUp moves the clone's own branch along if it follows that one and its work tree is
// clean.
func (n *newRelease) catchUp(ctx context.Context, t *tool, to branch, commit string) {
	current, err := git(ctx, n.repo, "symbolic-ref", "--short", "-q", "HEAD")
	if bare, _ := git(ctx, n.repo, "rev-parse", "--is-bare-repository"); bare == "true" || err != nil {
		return
	}
	remote, _ := git(ctx, n.repo, "config", "--get", "branch."+current+".remote")
	merge, _ := git(ctx, n.repo, "config", "--get", "branch."+current+".merge")
	if remote != to.remote || merge != "refs/heads/"+to.name {
		return
	}
	dirty, err := git(ctx, n.repo, "status", "--porcelain", "--untracked-files=no")
	if err == nil && dirty == "" {
		if _, err = git(ctx, n.repo, "merge", "-q", "--ff-only", commit); err == nil {
			return
		}
	}
	fmt.Fprintf(t.err, "the clone's branch %s was left where it is: git pull\n", trust.Escape(current))
}
