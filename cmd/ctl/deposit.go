package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/tealops/teal/internal/trust"
)

// writeApproval puts the files into the work tree and, with push, into the branch.
func (t *tool) writeApproval(ctx context.Context, repo string, w wanted, raw, sig []byte, name string, fresh, push bool) error {
	top, err := git(ctx, repo, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	top = strings.TrimSpace(top)
	rel := trust.ApprovalDir(w.rel.Environment, w.rel.App, w.rel.Digest)
	// The clone's links were made by whoever could push: nothing is written through them.
	tree, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := tree.MkdirAll(rel, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", rel, err)
	}
	statement := path.Join(rel, trust.StatementFile)
	if have, err := tree.ReadFile(statement); err == nil && !bytes.Equal(have, raw) && !fresh {
		return fmt.Errorf("%s differs from the committed one; restore it with git checkout and approve again", statement)
	}
	for file, data := range map[string][]byte{statement: raw, path.Join(rel, name+".sig"): sig} {
		if info, err := tree.Lstat(file); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a plain file; remove it and approve again", file)
		}
		if err := tree.WriteFile(file, data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	fmt.Fprintf(t.err, "wrote %s and %s.sig\n", path.Join(rel, trust.StatementFile), path.Join(rel, name))
	if !push {
		fmt.Fprintf(t.err, "next: git add %s && git commit -m 'approve %s %s' && git push\n", rel, w.rel.App, w.rel.Version)
		return nil
	}
	if _, err := git(ctx, top, "add", "--", rel); err != nil {
		return err
	}
	if _, err := git(ctx, top, "commit", "-q", "-m", fmt.Sprintf("approve %s %s for %s", w.rel.App, w.rel.Version, w.rel.Environment), "--", rel); err != nil {
		return err
	}
	for try := range 5 { // somebody else may push at the same time
		if _, err = git(ctx, top, "push", "-q"); err == nil {
			fmt.Fprintln(t.err, "pushed")
			return nil
		}
		if _, rerr := git(ctx, top, "pull", "-q", "--rebase"); rerr != nil {
			return fmt.Errorf("push: %w; and rebase: %w", err, rerr)
		}
		if have, rerr := tree.ReadFile(statement); rerr != nil || !bytes.Equal(have, raw) {
			return errors.New("another approver's statement arrived first; run approve again to sign that one")
		}
		time.Sleep(time.Duration(try+1) * 100 * time.Millisecond)
	}
	return fmt.Errorf("push: %w", err)
}
