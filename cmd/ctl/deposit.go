package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/trust"
)

// deposit is what a command puts into the approval directory of a release.
type deposit struct {
	dir     string
	files   map[string][]byte // by name in dir
	replace bool              // what else lies in dir goes: it is over a statement that goes too
	message string            // of the commit
}

// openTree opens the clone's work tree. Its links were made by whoever could push: nothing
// is read or written through them to the outside.
func openTree(ctx context.Context, repo string) (*os.Root, error) {
	top, err := git(ctx, repo, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(top)
}

// write puts the files into the work tree and says what is left to do.
func (t *tool) write(tree *os.Root, d deposit) error {
	// A directory on the way that is a link would take the files elsewhere in the clone.
	for at := d.dir; at != "."; at = path.Dir(at) {
		if info, err := tree.Lstat(at); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a plain directory; remove it and try again", at)
		}
	}
	if err := tree.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", d.dir, err)
	}
	for name := range d.files {
		if info, err := tree.Lstat(path.Join(d.dir, name)); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a plain file; remove it and try again", path.Join(d.dir, name))
		}
	}
	if d.replace {
		if err := empty(tree, d.dir); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		file := path.Join(d.dir, name)
		have, err := tree.ReadFile(file)
		if err == nil && string(have) == string(d.files[name]) {
			continue
		}
		if err == nil {
			if name == trust.StatementFile {
				return fmt.Errorf("%s differs from the committed one; restore it with git checkout and try again", file)
			}
			if err := sameSigner(name, have, d.files[name]); err != nil {
				return err
			}
		}
		if err := tree.WriteFile(file, d.files[name], 0o644); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		fmt.Fprintf(t.err, "wrote %s\n", file)
	}
	var message strings.Builder
	for part := range strings.SplitSeq(d.message, "\n\n") {
		message.WriteString(" -m " + quote(part))
	}
	fmt.Fprintf(t.err, "next: git add -A %s && git commit%s && git push\n", d.dir, message.String())
	return nil
}

// empty removes what lies in the directory, links themselves and not what they name.
func empty(tree *os.Root, dir string) error {
	f, err := tree.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := tree.Remove(path.Join(dir, name)); err != nil {
			return fmt.Errorf("remove %s: %w", path.Join(dir, name), err)
		}
	}
	return nil
}

// sameSigner refuses to write over a signature by somebody else.
func sameSigner(name string, have, mine []byte) error {
	old, err := trust.ParseSSHSig(have)
	if err != nil {
		return nil // nothing that counts
	}
	sig, err := trust.ParseSSHSig(mine)
	if err != nil {
		return err
	}
	if string(old.Key.Marshal()) != string(sig.Key.Marshal()) {
		return fmt.Errorf("%s holds a signature by another key; choose another --name", name)
	}
	return nil
}

// quote makes a word of the shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(trust.Escape(text), "'", `'\''`) + "'"
}

var errRace = errors.New("somebody else pushes all the time")
