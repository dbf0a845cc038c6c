package main

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/release"
)

// wanted is a release as a commit of the repository has it.
type wanted struct {
	repo   string // the clone, as given
	snap   gitops.Snapshot
	root   fs.FS
	rel    *release.Release
	repoID string
}

// commitOf is a commit of a clone on this machine.
func commitOf(repo, rev string) (gitops.Snapshot, error) {
	path, err := filepath.Abs(repo)
	if err != nil {
		return gitops.Snapshot{}, err
	}
	return gitops.ReadLocal(path, rev, gitops.Limits{})
}

// openRelease reads a release from a commit, never from the work tree: what is approved is
// what was committed.
func openRelease(repo, rev, env, app string) (wanted, error) {
	if !release.ValidName(env) || !release.ValidApp(app) {
		return wanted{}, usage(fmt.Errorf("%q of %q names no app", app, env))
	}
	snap, err := commitOf(repo, rev)
	if err != nil {
		return wanted{}, err
	}
	root, err := snap.Sub(".")
	if err != nil {
		return wanted{}, err
	}
	dir, err := snap.Sub(path.Join("environments", env, app))
	if err != nil {
		return wanted{}, usage(fmt.Errorf("commit %.7s has no environments/%s/%s: %w", snap.Commit(), env, app, err))
	}
	rel, problems := release.Parse(dir, env, app)
	if len(problems) > 0 {
		return wanted{}, fmt.Errorf("the release does not pass lint:\n%w", problems)
	}
	id, err := snap.RepoID() // as the hosts read it
	if err != nil {
		return wanted{}, fmt.Errorf("read the repository's identity: %w", err)
	}
	return wanted{repo, snap, root, rel, id}, nil
}

// at is the same release with the evidence of another commit of the clone.
func (w wanted) at(commit string) (wanted, error) {
	snap, err := commitOf(w.repo, commit)
	if err != nil {
		return wanted{}, err
	}
	root, err := snap.Sub(".")
	if err != nil {
		return wanted{}, err
	}
	id, err := snap.RepoID()
	if err != nil {
		return wanted{}, fmt.Errorf("read the repository's identity: %w", err)
	}
	if id != w.repoID {
		return wanted{}, exitError{exitNotAuthorised, fmt.Errorf("repo_id_mismatch: the branch's teal.yaml says %s, the clone's %s", id, w.repoID)}
	}
	w.snap, w.root = snap, root
	return w, nil
}
