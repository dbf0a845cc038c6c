package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// authors are the persons who signed commits that changed the release: they are not
// counted among its approvers.
type authors struct {
	persons  []string
	services []string
	reasons  []Finding
}

// authors reads the signatures of the commits. A listed service (the pipeline) is a
// known author and no person; a commit that nobody known signed refuses, for it may be
// an approver's own (attack 76).
func (j *judgement) authors(now time.Time) authors {
	var a authors
	if !j.policy.Rules().ExcludeCommitSigners {
		return a
	}
	changes := j.in.Evidence.Changes
	if changes.Unknown != "" {
		a.reasons = append(a.reasons, found(release.AuthorUnknown, Escape(changes.Unknown), ""))
	}
	if len(changes.Commits) == 0 && changes.Unknown == "" {
		a.reasons = append(a.reasons, found(release.AuthorUnknown, "no commit is known to have made this release", ""))
	}
	for _, c := range changes.Commits {
		key, err := j.commitSigner(c)
		if err == nil {
			err = j.mayAuthor(key, now)
		}
		switch {
		case err != nil:
			_, detail := faultOf(err, release.AuthorUnknown)
			a.reasons = append(a.reasons, found(release.AuthorUnknown, fmt.Sprintf("commit %.12s (committer %s): %s", Escape(c.ID), Escape(c.Committer), detail), ""))
		case key.Person != "":
			a.persons = append(a.persons, key.Person)
		default:
			a.services = append(a.services, key.Service)
		}
	}
	slices.Sort(a.persons)
	a.persons = slices.Compact(a.persons)
	slices.Sort(a.services)
	a.services = slices.Compact(a.services)
	return a
}

// commitSigner verifies each commit once.
func (j *judgement) commitSigner(c Commit) (Key, error) {
	if s, ok := j.commits[c.ID]; ok {
		return s.key, s.err
	}
	key, err := c.Signer(j.policy)
	if j.commits == nil {
		j.commits = map[string]commitSigner{}
	}
	j.commits[c.ID] = commitSigner{key, err}
	return key, err
}

type commitSigner struct {
	key Key
	err error
}

// mayAuthor refuses a commit by a key that is revoked or not valid now: whose it was is
// not known for sure any more.
func (j *judgement) mayAuthor(k Key, now time.Time) error {
	if reason, gone := j.policy.RevokedKey(k); gone {
		return &SignatureError{release.AuthorUnknown, fmt.Sprintf("signed by key %s, which is revoked (%s)", k.ID, Escape(reason))}
	}
	if k.Service != "" && !j.policy.MayState(k, StateCommits, j.in.Release.App) {
		return &SignatureError{release.AuthorUnknown, fmt.Sprintf("signed by key %s of service %s, which may not commit releases", k.ID, k.Service)}
	}
	if code, detail := k.ValidAt(now); code != "" {
		return &SignatureError{release.AuthorUnknown, detail}
	}
	return nil
}

// duties checks that those whom the policy does not count are known: that manifest and
// approval name the same preparer, and that every commit says who made it.
func (j *judgement) duties(count tally, who authors) gateResult {
	rules := j.policy.Rules()
	if !j.asks() || !rules.ExcludePreparer && !rules.ExcludeCommitSigners {
		return skipped("the policy does not ask for it")
	}
	var said []string
	reasons := slices.Clone(who.reasons)
	if rules.ExcludePreparer {
		g := j.preparer(count)
		reasons = append(g.reasons, reasons...)
		said = append(said, g.detail)
	}
	if rules.ExcludeCommitSigners && len(who.reasons) == 0 {
		if len(who.persons)+len(who.services) > 0 {
			said = append(said, fmt.Sprintf("changed by %s", strings.Join(slices.Concat(who.persons, who.services), ", ")))
		}
	}
	if len(reasons) > 0 {
		return refuse(reasons...)
	}
	return pass("%s", strings.Join(said, "; "))
}
