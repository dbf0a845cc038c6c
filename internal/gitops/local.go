package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/tealops/teal/internal/release"
)

// localSource reads a repository on this machine directly, without a process.
type localSource struct {
	path   string
	limits Limits
	peeled *peels
	packed *packedCache
}

func (l localSource) look(context.Context) (visit, error) {
	dir, err := gitDirs(l.path)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", l.path, err)
	}
	if err := dir.check(); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", l.path, err)
	}
	dir.cache = l.packed
	return &localVisit{dir: dir, limits: l.limits, peeled: l.peeled}, nil
}

type localVisit struct {
	dir    gitDir
	limits Limits
	peeled *peels
	store  *store // opened when objects are needed; a poll only reads a ref
}

func (v *localVisit) tips(ctx context.Context, what ask) (map[string]tip, error) {
	out := make(map[string]tip)
	names := what.exact
	for _, prefix := range what.prefixes {
		found, err := v.dir.list(ctx, prefix)
		if err != nil {
			return nil, fmt.Errorf("list %s*: %w", prefix, err)
		}
		names = append(slices.Clone(names), found...)
	}
	for _, name := range names {
		if _, twice := out[name]; twice {
			continue
		}
		h, ok, err := v.dir.ref(name, 0)
		if err == nil && ok {
			h, err = v.peel(name, h)
		}
		switch {
		case err != nil && slices.Contains(what.exact, name):
			return nil, fmt.Errorf("read %s: %w", shortRef(name), err)
		case err != nil: // one that a pattern found does not stop the others
			out[name] = tip{problem: refuse(release.RepoUnreachable, "read %s: %s", escape(shortRef(name), 200), plain(err.Error(), 200))}
		case ok:
			out[name] = tip{commit: h, want: h}
		}
	}
	return out, nil
}

// peel finds the commit that an annotated tag stands for. Only tags are looked at, and
// each object once: a poll opens no store.
func (v *localVisit) peel(name string, h plumbing.Hash) (plumbing.Hash, error) {
	if !strings.HasPrefix(name, tagPrefix) {
		return h, nil
	}
	if commit, ok := v.peeled.get(h); ok {
		return commit, nil
	}
	s, err := v.objects()
	if err != nil {
		return h, err
	}
	commit, err := peel(s, h)
	if missing := (*objectError)(nil); errors.As(err, &missing) {
		return h, refuse(release.RepoUnreachable, "the repository lacks an object or holds it damaged (%v); run git fsck in it", err)
	}
	if err != nil {
		return h, err
	}
	v.peeled.put(h, commit)
	return commit, nil
}

func (v *localVisit) objects() (*store, error) {
	if v.store == nil {
		dirs, err := v.dir.objectDirs()
		if err != nil {
			return nil, err
		}
		v.store = openStore(true, gitFilesystems(dirs)...)
	}
	return v.store, nil
}

func (v *localVisit) knows(ctx context.Context, h plumbing.Hash) bool {
	s, err := v.objects()
	if err != nil {
		return false
	}
	c, err := readCommit(s, h)
	if err != nil {
		return false
	}
	_, err = complete(ctx, s, c.TreeHash, nil, false, v.limits)
	return err == nil
}

func (v *localVisit) pack(ctx context.Context, w io.Writer, wants, haves []plumbing.Hash, has func(plumbing.Hash) bool) error {
	s, err := v.objects()
	if err != nil {
		return err
	}
	if len(haves) > 0 {
		err = copyPack(ctx, w, s, wants, has, v.limits)
	} else {
		err = v.whole(ctx, w, s, wants)
	}
	missing := (*objectError)(nil)
	if errors.As(err, &missing) {
		if exists(filepath.Join(v.dir.common, "shallow")) {
			return refuse(release.RepoUnreachable, "the repository is shallow and lacks its history; run git fetch --unshallow in it")
		}
		// Not our clone's fault: do not let the caller take it for that.
		return refuse(release.RepoUnreachable, "the repository lacks an object or holds it damaged (%v); run git fsck in it", err)
	}
	return err
}

// whole writes the repository's own packs as they are, which keeps their deltas, and
// the loose objects that wants reach. When the packs hold much more than the limit,
// of other branches perhaps, only what is reachable is written.
func (v *localVisit) whole(ctx context.Context, w io.Writer, s *store, wants []plumbing.Hash) error {
	dirs, err := v.dir.objectDirs()
	if err != nil {
		return err
	}
	bodies, total, err := openBodies(dirs)
	defer closeBodies(bodies)
	if err != nil {
		return err
	}
	if total > v.limits.Pack {
		bodies = bodies[:0:0]
	}
	names, err := reachable(ctx, s, wants, func(plumbing.Hash) bool { return false }, v.limits)
	if err != nil {
		return err
	}
	if len(bodies) > 0 {
		names = slices.DeleteFunc(names, func(h plumbing.Hash) bool { return !loose(dirs, h) })
	}
	return writePack(ctx, w, s, bodies, names, v.limits)
}

func loose(dirs []string, h plumbing.Hash) bool {
	name := h.String()
	return slices.ContainsFunc(dirs, func(dir string) bool { return exists(filepath.Join(dir, name[:2], name[2:])) })
}

func (v *localVisit) close() {
	if v.store != nil {
		v.store.close()
	}
}

// gitDir is where a repository keeps its things: common differs from own in a linked
// worktree.
type gitDir struct {
	own, common string
	cache       *packedCache // nil: packed-refs is read each time
}

// gitDirs finds the Git directory of a bare repository, a checkout, or a linked
// worktree.
func gitDirs(path string) (gitDir, error) {
	own := path
	switch info, err := os.Stat(filepath.Join(path, ".git")); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(path); err != nil {
			return gitDir{}, err
		}
	case err != nil:
		return gitDir{}, err
	case info.IsDir():
		own = filepath.Join(path, ".git")
	default:
		line, err := readSmall(filepath.Join(path, ".git"))
		if err != nil {
			return gitDir{}, err
		}
		to, ok := strings.CutPrefix(line, "gitdir: ")
		if !ok {
			return gitDir{}, errors.New(".git is a file that names no directory")
		}
		own = under(path, to)
	}
	common := own
	switch line, err := readSmall(filepath.Join(own, "commondir")); {
	case err == nil:
		common = under(own, line)
	case !errors.Is(err, fs.ErrNotExist):
		return gitDir{}, err
	}
	for _, part := range []string{"objects", "refs"} {
		if info, err := os.Stat(filepath.Join(common, part)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return gitDir{}, errors.New("there is no Git repository")
		} else if err != nil {
			return gitDir{}, err
		}
	}
	return gitDir{own: own, common: common}, nil
}

func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// openPlain opens a file and nothing else: a pipe that lies where a file should would
// be waited for without end.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is not a plain file")}
	}
	if err != nil {
		_ = f.Close() // nothing was done with it
		return nil, err
	}
	return f, nil
}

// readSmall reads a file of one line.
func readSmall(path string) (string, error) {
	f, err := openPlain(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 8<<10))
	return strings.TrimSpace(string(data)), err
}

// check refuses formats that go-git would read wrongly. Only this one file is read:
// includes are not followed.
func (d gitDir) check() error {
	f, err := openPlain(filepath.Join(d.common, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	cfg := config.New()
	if err := config.NewDecoder(io.LimitReader(f, 1<<20)).Decode(cfg); err != nil {
		return fmt.Errorf("read its config: %w", err)
	}
	for _, opt := range cfg.Section("extensions").Options {
		key, value := strings.ToLower(opt.Key), strings.ToLower(opt.Value)
		switch {
		case key == "objectformat" && value != "sha1", key == "refstorage" && value != "files", key == "partialclone":
			return refuse(release.NotSupportedYet, "the repository uses extensions.%s = %s, which is not supported yet", escape(opt.Key, 40), escape(opt.Value, 40))
		}
	}
	return nil
}

// ref reads a reference. go-git falls back to packed-refs when a loose file is empty
// or broken, which after a crash of the machine names an older commit; here that is
// an error. Loose before packed, as git pack-refs writes packed-refs first.
func (d gitDir) ref(name string, depth int) (plumbing.Hash, bool, error) {
	if depth > 5 {
		return plumbing.ZeroHash, false, fmt.Errorf("reference %s: symbolic references lead nowhere", name)
	}
	base := d.common
	if name == "HEAD" {
		base = d.own
	}
	file := filepath.Join(base, filepath.FromSlash(name))
	line, err := readSmall(file)
	if info, statErr := os.Stat(file); err != nil && statErr == nil && info.IsDir() {
		err = fs.ErrNotExist // heads/a/b left its directory behind
	}
	switch {
	case err == nil && commitHex.MatchString(line):
		return plumbing.NewHash(line), true, nil
	case err == nil:
		if to, ok := strings.CutPrefix(line, "ref: "); ok && plumbing.ReferenceName(to).Validate() == nil && strings.HasPrefix(to, "refs/") {
			return d.ref(to, depth+1)
		}
		return plumbing.ZeroHash, false, fmt.Errorf("reference %s: its file is damaged", name)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // ENOTDIR: heads/a is a branch, name is a/b
		return d.packedRef(name)
	}
	return plumbing.ZeroHash, false, err
}

func (d gitDir) packedRef(name string) (plumbing.Hash, bool, error) {
	h, _, err := d.packed(name, "")
	return h, !h.IsZero(), err
}

// objectDirs are the object directories of the repository: its own and its alternates
// (git clone --shared), resolved as Git does. go-git's own reading of alternates
// misses relative ones.
func (d gitDir) objectDirs() ([]string, error) {
	dirs := []string{filepath.Join(d.common, "objects")}
	for i := 0; i < len(dirs) && len(dirs) < 32; i++ {
		list, err := readSmall(filepath.Join(dirs[i], "info", "alternates"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if alt := under(dirs[i], line); filepath.Base(alt) == "objects" && !slices.Contains(dirs, alt) {
				dirs = append(dirs, alt)
			}
		}
	}
	return dirs, nil
}

func gitFilesystems(objectDirs []string) []billy.Filesystem {
	var dirs []billy.Filesystem
	for _, dir := range objectDirs {
		dirs = append(dirs, osfs.New(filepath.Dir(dir)))
	}
	return dirs
}

// ReadLocal is a Snapshot of a local repository (bare or not, absolute path) without
// a clone and without any check of history, for offline commands. rev is "" or HEAD,
// a branch, a full reference name or 40 hex. Zero Limits mean the defaults.
func ReadLocal(path, rev string, limits Limits) (Snapshot, error) {
	limits = limits.orDefault()
	dir, err := gitDirs(path)
	if err == nil {
		err = dir.check()
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("open repository %s: %w", path, err)
	}
	var h plumbing.Hash
	switch found := false; {
	case commitHex.MatchString(rev):
		h = plumbing.NewHash(rev)
	default:
		name := rev
		switch {
		case rev == "" || rev == "HEAD":
			name = "HEAD"
		case !strings.HasPrefix(rev, "refs/"):
			name = "refs/heads/" + rev
		}
		if name != "HEAD" && plumbing.ReferenceName(name).Validate() != nil {
			return Snapshot{}, fmt.Errorf("%s is not the name of a reference", escape(rev, 100))
		}
		h, found, err = dir.ref(name, 0)
		if err != nil {
			return Snapshot{}, fmt.Errorf("open repository %s: %w", path, err)
		}
		if !found {
			return Snapshot{}, refuse(release.BranchMissing, "%s has no %s", path, escape(name, 100))
		}
	}
	dirs, err := dir.objectDirs()
	if err != nil {
		return Snapshot{}, fmt.Errorf("open repository %s: %w", path, err)
	}
	s := openStore(false, gitFilesystems(dirs)...)
	return newSnapshot(s, s, h, limits)
}
