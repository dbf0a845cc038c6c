package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/release"
)

// wanted is a release as a commit of the repository has it.
type wanted struct {
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
	head, err := fs.ReadFile(root, "teal.yaml")
	if err != nil {
		return wanted{}, fmt.Errorf("read the repository's identity: %w; commit a teal.yaml with its repoId", err)
	}
	m := repoIDForm.FindSubmatch(head)
	if m == nil {
		return wanted{}, errors.New("teal.yaml: no repoId; add the repository's uuid")
	}
	return wanted{snap, root, rel, string(m[1])}, nil
}

var repoIDForm = regexp.MustCompile(`(?m)^repoId:\s*"?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"?\s*$`)
