package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// Snapshot is one commit and its tree. It is a value and stays readable as long as
// the commit is in the history of an accepted head. The zero value holds nothing.
type Snapshot struct {
	objs            objects
	dirs            *dirCache // of the Repo; nil for one that nobody follows
	limits          Limits
	commit, tree    plumbing.Hash
	when            time.Time
	author, subject string
}

func newSnapshot(objs, reader objects, h plumbing.Hash, limits Limits) (Snapshot, error) {
	c, err := readCommit(reader, h)
	if err != nil {
		return Snapshot{}, err
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return Snapshot{
		objs: objs, limits: limits, commit: h, tree: c.TreeHash, when: c.Committer.When,
		author:  escape(fmt.Sprintf("%s <%s>", c.Author.Name, c.Author.Email), 200),
		subject: escape(subject, 200),
	}, nil
}

// Commit is the commit's name, 40 hex; "" for the zero Snapshot.
func (s Snapshot) Commit() string {
	if s.commit.IsZero() {
		return ""
	}
	return s.commit.String()
}

// When is the committer's time: what the committer's machine said, never to be
// trusted for a decision.
func (s Snapshot) When() time.Time { return s.when }

// Author is "Name <address>" as the commit claims it, escaped, at most about 200 bytes.
func (s Snapshot) Author() string { return s.author }

// Subject is the message's first line, escaped, at most about 200 bytes.
func (s Snapshot) Subject() string { return s.subject }

// Tree is the object id (40 hex) of a directory, for caches: an equal id means equal
// content. ok is false when there is no such directory or it cannot be read.
func (s Snapshot) Tree(dir string) (hash string, ok bool) {
	h, err := s.descend(dir)
	return h.String(), err == nil
}

// Sub is a directory ("." for the whole tree) as a read-only file system of plain
// files and directories. It fails with fs.ErrNotExist when there is none. Entries
// beside the path to dir are not looked at, so one team's mistake does not hide
// another's directory; everything below dir that is listed or opened is checked, and
// what is not a plain file, not a plain name, or too large is an *EntryError. A
// directory with more than Limits.Below entries anywhere below it is refused here.
func (s Snapshot) Sub(dir string) (fs.FS, error) {
	h, err := s.descend(dir)
	if err != nil {
		return nil, err
	}
	if err := s.count(h, dir); err != nil {
		return nil, err
	}
	return newTreeFS(s.objs, h, path.Clean(dir), s.limits), nil
}

// descend finds a directory's tree, checking only the names on the way.
func (s Snapshot) descend(dir string) (plumbing.Hash, error) {
	if dir == "" {
		dir = "."
	}
	fail := func(err error) (plumbing.Hash, error) {
		return plumbing.ZeroHash, &fs.PathError{Op: "open", Path: escape(dir, 500), Err: err}
	}
	if s.objs == nil {
		return fail(fs.ErrNotExist)
	}
	if s.dirs != nil {
		if h, ok := s.dirs.known(s.tree, dir, s.parents().Entries); ok {
			return h, nil
		}
	}
	t := newTreeFS(s.objs, s.tree, ".", s.parents())
	t.dirs = s.dirs
	e, err := t.resolve(dir)
	if i := strings.LastIndexByte(dir, '/'); err == nil && s.dirs != nil && i > 0 {
		if parent, err := t.resolve(dir[:i]); err == nil {
			s.dirs.place(s.tree, dir[:i], parent.hash)
		}
	}
	if err != nil {
		return fail(err)
	}
	if !e.isDir() {
		return fail(fs.ErrNotExist)
	}
	return e.hash, nil
}

// parents are the limits for directories on the way, which may hold every app or
// every approval that was ever given.
func (s Snapshot) parents() Limits {
	l := s.limits
	l.Entries = max(l.Entries, l.Below)
	return l
}

// count refuses trees that are small as objects and endless when walked: a few trees
// that hold each other many times. Each tree object is read once.
func (s Snapshot) count(root plumbing.Hash, dir string) error {
	known := make(map[plumbing.Hash]int)
	limit, visited := s.limits.Below, 0
	endless := &EntryError{release.EntryTooLarge, escape(dir, 500), modeDir, fmt.Sprintf("more than %d entries below it", limit)}
	var visit func(plumbing.Hash) (int, error)
	visit = func(h plumbing.Hash) (int, error) {
		if n, ok := known[h]; ok {
			return n, nil
		}
		if visited++; visited > limit+1 {
			return 0, endless
		}
		entries, err := readTree(s.objs, h, int64(limit)*entryBytes)
		large := (*tooLargeError)(nil)
		switch {
		case errors.As(err, &large):
			return 0, endless
		case errors.Is(err, errMalformedTree), errors.Is(err, errWrongType):
			return 0, nil // said when that directory is listed
		case err != nil:
			return 0, err
		}
		n := len(entries)
		for _, e := range entries {
			if e.isDir() {
				below, err := visit(e.hash)
				if err != nil {
					return 0, err
				}
				n += below
			}
			if n > limit {
				return 0, endless
			}
		}
		known[h] = n
		return n, nil
	}
	_, err := visit(root)
	if err != nil {
		return &fs.PathError{Op: "open", Path: escape(dir, 500), Err: err}
	}
	return nil
}

var legalName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Apps are the names of the directories in environments/<env>, sorted. The error
// joins an *EntryError for each directory, link or submodule whose name or mode is
// not an app's; the legal ones are returned beside it. An environment that is not
// there is fs.ErrNotExist.
func (s Snapshot) Apps(env string) ([]string, error) {
	dir := path.Join("environments", env)
	if !legalName.MatchString(env) {
		return nil, &EntryError{release.UnsafePath, shown("environments", env), "", "not the name of an environment (lower-case letters, digits and dashes)"}
	}
	h, err := s.descend(dir)
	if err != nil {
		return nil, err
	}
	if s.dirs != nil {
		if list := s.dirs.appsOf(h); list != nil {
			return slices.Clone(list.names), list.err
		}
	}
	entries, err := newTreeFS(s.objs, h, dir, s.limits).entries(h, dir)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
	}
	list := listApps(dir, entries)
	if s.dirs != nil {
		s.dirs.keepApps(h, list)
	}
	return slices.Clone(list.names), list.err
}

// listApps says which entries of an environment's directory are apps.
func listApps(dir string, entries []entry) *appList {
	var apps []string
	var problems []error
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		var bad *EntryError
		switch {
		case e.isFile() || e.mode == modeExec:
			continue // recipients.txt and the like
		case !e.isDir():
			bad = checkEntry(dir, e)
		case !legalName.MatchString(e.name):
			bad = &EntryError{release.UnsafePath, shown(dir, e.name), e.mode, "not the name of an app (lower-case letters, digits and dashes)"}
		case strings.HasSuffix(e.name, "-blue") || strings.HasSuffix(e.name, "-green"):
			bad = &EntryError{release.UnsafePath, shown(dir, e.name), e.mode, "the name of an app may not end in -blue or -green"}
		case seen[e.name]:
			bad = twins(dir, e, e.name)
		}
		if bad == nil {
			seen[e.name] = true
			apps = append(apps, e.name)
		} else if len(problems) < reportMax {
			problems = append(problems, bad)
		}
	}
	slices.Sort(apps)
	return &appList{apps, errors.Join(problems...)}
}
