package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"time"

	"github.com/tealops/teal/internal/trust"
)

// statementOf is the statement that is there, byte for byte, or a new one. An existing
// valid one is never rewritten.
func statementOf(w wanted, valid time.Duration, confirmed map[string]*string) (trust.Statement, []byte, bool, error) {
	dir := trust.ApprovalDir(w.rel.Environment, w.rel.App, w.rel.Digest)
	raw, err := fs.ReadFile(w.root, path.Join(dir, trust.StatementFile))
	if err == nil {
		s, err := trust.ParseStatement(raw)
		if err != nil {
			return s, nil, false, fmt.Errorf("the statement in the repository is not usable: %w; remove %s and approve again", err, dir)
		}
		// Whoever pushes can put any statement there: it must say what is signed here, word
		// for word, or it would be carried to where it does.
		want, err := trust.NewStatement(w.rel, w.repoID, s.IssuedAt, s.ExpiresAt, s.Checklist)
		if err != nil || !reflect.DeepEqual(s, want) {
			return s, nil, false, fmt.Errorf("the statement in %s is not of this release in this environment and repository; remove it and approve again", dir)
		}
		if s.IssuedAt.After(time.Now().Add(5 * time.Minute)) {
			return s, nil, false, fmt.Errorf("the statement in %s says that it was issued at %s, which is to come; remove it and approve again", dir, s.IssuedAt.Format(time.RFC3339))
		}
		if time.Now().After(s.ExpiresAt) {
			return s, nil, false, fmt.Errorf("the statement expired at %s; remove %s and approve again", s.ExpiresAt.Format(time.RFC3339), dir)
		}
		return s, raw, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return trust.Statement{}, nil, false, err
	}
	check := func(item string) trust.Check { return trust.Check{State: trust.CheckState(*confirmed[item])} }
	now := time.Now()
	s, err := trust.NewStatement(w.rel, w.repoID, now, now.Add(valid), trust.Checklist{Tests: check("tests"), Scans: check("scans"),
		Staging: check("staging"), Migrations: check("migrations"), Rollback: check("rollback")})
	if err != nil {
		return s, nil, false, usage(err)
	}
	raw, err = s.Marshal()
	return s, raw, true, err
}
