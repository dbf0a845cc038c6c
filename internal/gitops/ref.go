package gitops

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Ref is one followed ref with its accepted commit.
type Ref struct {
	Name     string // full: refs/heads/main, refs/tags/v1.2.3
	Snapshot Snapshot

	first uint64
	apps  map[string]uint64
}

// Seen orders refs by when they were first seen with the release directory that an app
// of Config.Environment has in their accepted commit: a smaller number was seen earlier,
// equal ones in the same look. It is durable, and 0 while only one ref was ever followed.
func (r Ref) Seen(app string) uint64 {
	if at, ok := r.apps[app]; ok {
		return at
	}
	return r.first
}

// Desired are the followed refs that have an accepted commit, in the order of
// Config.Follow; those of one glob by name, those of one range highest version first.
func (r *Repo) Desired() []Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Ref
	for _, name := range r.followed {
		head, ok := r.heads[name]
		if !ok || !r.cfg.desired(name) {
			continue
		}
		seen := r.seen[name]
		out = append(out, Ref{Name: name, Snapshot: head, first: seen.First, apps: seen.Apps})
	}
	return out
}

// maxSeenApps bounds how many apps of one ref are told apart.
const maxSeenApps = 1000

// several reports whether more than one ref may ever say what is desired.
func (c Config) several() bool { return len(c.Follow) > 1 || c.Follow[0].exact() == "" }

// seenApps is a ref's record of first sights after its head moved from one commit to
// another in the given look.
func (r *Repo) seenApps(ctx context.Context, reader *store, was record, to Snapshot, look uint64) record {
	next := record{First: was.First, Apps: was.Apps}
	before, errBefore := r.apps(ctx, reader, plumbing.NewHash(was.Commit))
	after, errAfter := r.apps(ctx, reader, to.commit)
	if errBefore != nil || errAfter != nil {
		return record{First: look} // what it was before is not known any more
	}
	moved := make(map[string]uint64)
	for app, at := range was.Apps {
		if _, still := after[app]; still {
			moved[app] = at
		}
	}
	for app, tree := range after {
		if before[app] != tree {
			moved[app] = look
		}
	}
	next.Apps = moved
	if len(moved) > maxSeenApps {
		// The oldest are told apart no more: as if all had been seen when the last of them was.
		at := make([]uint64, 0, len(moved))
		for _, n := range moved {
			at = append(at, n)
		}
		slices.Sort(at)
		next.First = max(next.First, at[len(at)-maxSeenApps/2])
		for app, n := range moved {
			if n <= next.First {
				delete(moved, app)
			}
		}
	}
	if len(next.Apps) == 0 {
		next.Apps = nil
	}
	return next
}

// apps are the directories of the environment at a commit.
func (r *Repo) apps(_ context.Context, reader *store, commit plumbing.Hash) (map[string]plumbing.Hash, error) {
	if r.cfg.Environment == "" {
		return nil, nil
	}
	snap, err := newSnapshot(reader, reader, commit, r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	dir, err := snap.descend(path.Join("environments", r.cfg.Environment))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := readTree(reader, dir, r.cfg.Limits.Object)
	if err != nil {
		return nil, err
	}
	out := make(map[string]plumbing.Hash, len(entries))
	for _, e := range entries {
		if e.isDir() && legalName.MatchString(e.name) {
			out[e.name] = e.hash
		}
	}
	return out, nil
}
