package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	cloneDir    = "clone.git"
	cloneOld    = "clone.git.old"
	cloneBeside = "clone.git.new-"
	packsMax    = 50 // above it the clone is written anew as one pack
)

// clonePath is the cache: a bare repository of packs. Its references are written for
// people and for git gc, and never read.
func (r *Repo) clonePath() string { return filepath.Join(r.cfg.Dir, cloneDir) }

// sweepClones brings the directory back to one clone after a crash: a swap that was
// half done is undone, what was half built is removed.
func sweepClones(dir string) error {
	current, old := filepath.Join(dir, cloneDir), filepath.Join(dir, cloneOld)
	if !exists(current) && exists(old) {
		if err := os.Rename(old, current); err != nil {
			return fmt.Errorf("restore clone: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	for _, e := range entries {
		name := e.Name()
		if name == cloneOld || strings.HasPrefix(name, cloneBeside) || strings.HasPrefix(name, "."+acceptedFile+"-") {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("remove unfinished clone: %w", err)
			}
		}
	}
	for _, pattern := range []string{"tmp_pack_*", "tmp_idx_*"} {
		left, _ := filepath.Glob(filepath.Join(current, "objects", "pack", pattern)) // the pattern is constant
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove unfinished pack: %w", err)
			}
		}
	}
	return nil
}

// newClone makes an empty bare repository beside the clone.
func (r *Repo) newClone() (string, error) {
	dir, err := os.MkdirTemp(r.cfg.Dir, cloneBeside+"*")
	if err != nil {
		return "", fmt.Errorf("make clone: %w", err)
	}
	for _, sub := range []string{"objects/pack", "objects/info", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return "", fmt.Errorf("make clone: %w", err)
		}
	}
	files := map[string]string{
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
		"HEAD":   r.headLine(),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("make clone: %w", err)
		}
	}
	return dir, nil
}

// swapClone puts a clone in the place of the current one. Readers that are in the
// middle find the object again through the Repo.
func (r *Repo) swapClone(dir string) error {
	current, old := r.clonePath(), filepath.Join(r.cfg.Dir, cloneOld)
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("replace clone: %w", err)
	}
	if err := os.Rename(current, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace clone: %w", err)
	}
	if err := os.Rename(dir, current); err != nil {
		return fmt.Errorf("replace clone: %w", err)
	}
	if err := syncDir(r.cfg.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove replaced clone: %w", err)
	}
	return nil
}

// mark makes the clone a repository that the git program agrees with: HEAD and
// one reference for each accepted head, so that git log works and git gc keeps all.
// It repairs them too; nothing is read from them.
func (r *Repo) mark() {
	if err := r.writeRefs(); err != nil {
		r.cfg.Log.Debug("references of the clone not written", "err", err)
	}
}

func (r *Repo) writeRefs() error {
	dir := r.clonePath()
	want := map[string]string{"HEAD": r.headLine()}
	for _, name := range r.names() {
		if head, ok := r.head(name); ok {
			want[name] = head.Commit() + "\n"
		}
	}
	if !exists(dir) {
		return nil
	}
	if err := sweepRefs(dir, want); err != nil {
		return err
	}
	for name, text := range want {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if have, err := readBounded(path, 4<<10); err == nil && string(have) == text {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write reference: %w", err)
		}
		if err := replaceFile(path, []byte(text)); err != nil {
			return err
		}
	}
	// git gc makes it, and a damaged one breaks every git command.
	if err := os.Remove(filepath.Join(dir, "packed-refs")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write reference: %w", err)
	}
	return nil
}

// sweepRefs removes references that are not wanted, and the directories that they leave
// behind: a branch a that was removed stands in the way of a new one a/b.
func sweepRefs(dir string, want map[string]string) error {
	var dirs []string
	for _, top := range []string{"refs/heads", "refs/tags"} {
		root := filepath.Join(dir, filepath.FromSlash(top))
		err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, at)
			switch _, ok := want[filepath.ToSlash(rel)]; {
			case err != nil:
				return err
			case e.IsDir():
				if at != root {
					dirs = append(dirs, at)
				}
			case !ok:
				return os.Remove(at)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove reference: %w", err)
		}
	}
	for _, at := range slices.Backward(dirs) { // deepest first
		_ = os.Remove(at) // what is not empty stays
	}
	return nil
}

// headLine is the HEAD of the clone: what is followed first, if it is a branch.
func (r *Repo) headLine() string {
	name := branchRef(r.cfg.Evidence)
	if first := r.cfg.Follow[0]; first.Branch != "" {
		name = branchRef(first.Branch)
	}
	return "ref: " + name + "\n"
}

// fingerprint tells whether somebody touched the clone's packs: names, sizes and
// times. It costs a directory listing, so every poll can afford it.
func (r *Repo) fingerprint() string {
	entries, err := os.ReadDir(filepath.Join(r.clonePath(), "objects", "pack"))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return ""
		}
		fmt.Fprintf(&b, "%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

func (r *Repo) packs() int {
	found, _ := filepath.Glob(filepath.Join(r.clonePath(), "objects", "pack", "*.pack")) // the pattern is constant
	return len(found)
}
