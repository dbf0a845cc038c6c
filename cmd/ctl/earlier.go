package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	// maxApproved bounds how many approval directories of an app are looked at.
	maxApproved = 4096
	// maxCommits bounds how far back in history a release's files are looked for.
	maxCommits = 200
)

// earlier is the newest release before this one that people approved.
type earlier struct {
	statement trust.Statement
	// persons signed it, by the policy at hand. Empty without a policy: then it is only
	// what the repository claims.
	persons []string
	// rel is nil when its files are not found in the clone's history, else commit is the
	// newest commit that wanted it.
	rel    *release.Release
	commit string
}

// lastApproved finds it in the clone; nil when there is none. Statements are what anybody
// could push: with a policy only those count that one of its persons signed.
func lastApproved(ctx context.Context, w wanted, policy *trust.Policy) (*earlier, error) {
	parent := path.Join("approvals", w.rel.Environment, w.rel.App)
	entries, err := fs.ReadDir(w.root, parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", parent, err)
	}
	var found []trust.Statement
	for _, entry := range entries[:min(len(entries), maxApproved)] {
		name := path.Join(parent, entry.Name(), trust.StatementFile)
		if info, err := fs.Lstat(w.root, name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		raw, err := fs.ReadFile(w.root, name)
		if err != nil {
			continue
		}
		s, err := trust.ReadStatement(raw)
		if err == nil && string(s.Digest) == entry.Name() && s.App == w.rel.App && s.Environment == w.rel.Environment && s.RepoID == w.repoID && s.Sequence < w.rel.Sequence {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b trust.Statement) int { return cmp.Compare(b.Sequence, a.Sequence) })
	for _, s := range found {
		persons, signed, err := signersOf(w, s, policy)
		if err != nil {
			return nil, err
		}
		if !signed {
			continue
		}
		rel, commit, err := releaseOf(ctx, w, s.Digest)
		if err != nil {
			return nil, err
		}
		return &earlier{s, persons, rel, commit}, nil
	}
	return nil, nil
}

// signersOf names the persons of the policy that signed a statement. Without a policy
// signed only says that there is a signature by some key.
func signersOf(w wanted, s trust.Statement, policy *trust.Policy) (persons []string, signed bool, err error) {
	evidence, err := trust.Gather(w.root, s.Environment, s.App, s.Digest)
	if err != nil {
		return nil, false, err
	}
	for _, file := range evidence.Signatures {
		sig, err := trust.ParseSSHSig(file.Data)
		if err != nil || sig.Verify(evidence.Statement, s.Kind.Namespace(), sig.Key) != nil {
			continue
		}
		if policy == nil {
			return nil, true, nil
		}
		if mayCount(policy, s.Kind, sig.Key) {
			k, _ := policy.KeyOf(sig.Key)
			persons = append(persons, k.Person)
		}
	}
	slices.Sort(persons)
	persons = slices.Compact(persons)
	return persons, len(persons) > 0, nil
}

// releaseOf finds the files of a release in the history of its directory, and the commit
// that has them.
func releaseOf(ctx context.Context, w wanted, digest release.Digest) (*release.Release, string, error) {
	dir := path.Join("environments", w.rel.Environment, w.rel.App)
	out, err := git(ctx, w.repo, "rev-list", fmt.Sprint("--max-count=", maxCommits), w.snap.Commit(), "--", ":(top)"+dir)
	if err != nil {
		return nil, "", err
	}
	for _, commit := range strings.Fields(out) {
		snap, err := commitOf(w.repo, commit)
		if err != nil {
			continue // a shallow clone ends somewhere
		}
		sub, err := snap.Sub(dir)
		if err != nil {
			continue
		}
		if have, err := release.DigestOf(sub); err != nil || have != digest {
			continue
		}
		if rel, problems := release.Parse(sub, w.rel.Environment, w.rel.App); len(problems) == 0 {
			return rel, commit, nil
		}
	}
	return nil, "", nil
}
