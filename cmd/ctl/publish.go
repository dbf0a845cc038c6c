package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/trust"
)

// pushTries is how often a push is tried while others push at the same time.
const pushTries = 8

// publish puts a deposit on top of the branch as it is now, and again when somebody else
// was faster: what is deposited is made anew from what the branch then holds. It makes its
// commit beside the work tree, so that nothing of the person's is in the way or in danger.
func (t *tool) publish(ctx context.Context, w wanted, to branch, make func(wanted) (deposit, error)) error {
	head, err := to.head(ctx, w.repo)
	if err != nil {
		return err
	}
	for try := range pushTries {
		at, err := w.at(head)
		if err != nil {
			return err
		}
		d, err := make(at)
		if err != nil {
			return err
		}
		commit, err := commitOn(ctx, at, head, d)
		if err != nil {
			return err
		}
		if commit == head {
			fmt.Fprintf(t.err, "%s/%s has it already\n", to.remote, to.name)
			return nil
		}
		_, failed := git(ctx, w.repo, "push", "-q", to.remote, commit+":refs/heads/"+to.name)
		if failed == nil {
			fmt.Fprintf(t.err, "pushed %s to %s/%s as %.7s\n", d.dir, to.remote, to.name, commit)
			t.catchUp(ctx, w, to, commit)
			return nil
		}
		// Only if the branch moved was it a race; everything else is what git says it is.
		moved, err := to.head(ctx, w.repo)
		if err != nil {
			return err
		}
		if moved == head {
			return fmt.Errorf("push: %w", failed)
		}
		head = moved
		if err := sleep(ctx, time.Duration(try+1)*50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("push to %s/%s: %w; run the same line again", to.remote, to.name, errRace)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// commitOn makes the commit of a deposit on top of head and gives its id; head itself when
// there is nothing to change.
func commitOn(ctx context.Context, at wanted, head string, d deposit) (string, error) {
	have, err := signatureFiles(at, d.dir)
	if err != nil {
		return "", err
	}
	g, done, err := scratchIndex(ctx, at.repo, head)
	if err != nil {
		return "", err
	}
	defer done()
	if d.replace {
		if _, err := g.run(ctx, "rm", "-r", "-q", "--cached", "--ignore-unmatch", "--", d.dir); err != nil {
			return "", err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if old, ok := have[name]; ok && !d.replace && name != trust.StatementFile {
			if err := sameSigner(name, old, d.files[name]); err != nil {
				return "", err
			}
		}
		put := g
		put.stdin = bytes.NewReader(d.files[name])
		blob, err := put.run(ctx, "hash-object", "-w", "--no-filters", "--stdin")
		if err != nil {
			return "", err
		}
		if _, err := g.run(ctx, "update-index", "--add", "--cacheinfo", "100644,"+blob+","+path.Join(d.dir, name)); err != nil {
			return "", fmt.Errorf("%w; something else has the place of %s on the branch", err, path.Join(d.dir, name))
		}
	}
	tree, err := g.run(ctx, "write-tree")
	if err != nil {
		return "", err
	}
	if before, err := g.run(ctx, "rev-parse", head+"^{tree}"); err != nil || before == tree {
		return head, err
	}
	args := []string{"commit-tree", tree, "-p", head, "-F", "-"}
	if sign, _ := g.run(ctx, "config", "--type=bool", "--get", "commit.gpgSign"); sign == "true" {
		args = append(args, "-S") // unlike git commit, commit-tree does not look by itself
	}
	g.stdin = strings.NewReader(d.message + "\n")
	return g.run(ctx, args...)
}

// signatureFiles are the plain files of the approval directory at a commit.
func signatureFiles(at wanted, dir string) (map[string][]byte, error) {
	evidence, err := trust.Gather(at.root, at.rel.Environment, at.rel.App, at.rel.Digest)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	out := map[string][]byte{}
	for _, f := range evidence.Signatures {
		out[f.Name] = f.Data
	}
	return out, nil
}

// catchUp moves the clone's own branch along, if it follows that one and nothing of the
// person's is in the way.
func (t *tool) catchUp(ctx context.Context, w wanted, to branch, commit string) {
	current, err := git(ctx, w.repo, "symbolic-ref", "--short", "-q", "HEAD")
	if err == nil {
		remote, _ := git(ctx, w.repo, "config", "--get", "branch."+current+".remote")
		merge, _ := git(ctx, w.repo, "config", "--get", "branch."+current+".merge")
		if remote == to.remote && merge == "refs/heads/"+to.name {
			if _, err = git(ctx, w.repo, "merge", "-q", "--ff-only", commit); err == nil {
				return
			}
		}
	}
	fmt.Fprintln(t.err, "this clone's branch was not moved: git pull")
}

// known reports whether the branch holds the release that was approved.
func known(at wanted) bool {
	_, err := fs.Stat(at.root, path.Join("environments", at.rel.Environment, at.rel.App, "release.yaml"))
	if err != nil {
		return false
	}
	now, err := openRelease(at.repo, at.snap.Commit(), at.rel.Environment, at.rel.App)
	return err == nil && now.rel.Digest == at.rel.Digest
}
