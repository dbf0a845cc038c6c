package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
)

const (
	defaultValid          = 7 * 24 * time.Hour
	defaultEmergencyValid = 4 * time.Hour
	// clockSkew is how far in the future a statement may have been issued.
	clockSkew = 5 * time.Minute
)

// wish is what a person asks of a statement that does not exist yet.
type wish struct {
	valid     time.Duration // 0: the kind's default
	emergency bool
	incident  string
	reason    string
	waive     []string
	replace   bool
	checks    checkFlags
	// longest is how long the policy at hand lets such an approval hold; 0: not known.
	longest time.Duration
}

// flags adds the flags that describe a new statement.
func (q *wish) flags(c *cobra.Command) {
	f := c.Flags()
	f.DurationVar(&q.valid, "valid", 0, "how long the approval can start a deployment (default 168h, an emergency's 4h); only when the statement is new")
	f.BoolVar(&q.emergency, "emergency", false, "an emergency approval: its own role, its own namespace, a debt until a normal one follows")
	f.StringVar(&q.incident, "incident", "", "emergency: the incident's id")
	f.StringVar(&q.reason, "reason", "", "emergency: why, in 20 characters or more")
	f.StringSliceVar(&q.waive, "waive", []string{trust.WaiveApprovals}, "emergency: what to let past (repeatable): approvals, scan-age, vulnerability, code, window, freeze, hold")
	f.BoolVar(&q.replace, "replace", false, "put a new statement in the place of one that is expired, unusable or of the other kind")
	q.checks.flags(c)
}

// check refuses flags that contradict each other.
func (q wish) check(c *cobra.Command) error {
	for _, name := range []string{"incident", "reason", "waive"} {
		if c.Flags().Changed(name) && !q.emergency {
			return usage(fmt.Errorf("--%s belongs to --emergency", name))
		}
	}
	return q.checks.check()
}

func (q wish) kind() trust.Kind {
	if q.emergency {
		return trust.KindEmergency
	}
	return trust.KindNormal
}

// statement is approval.json with what the command needs to know about it.
type statement struct {
	trust.Statement
	raw   []byte
	fresh bool // written by this run
}

// statementDir is where the statement of a release lies.
func statementDir(w wanted) string {
	return trust.ApprovalDir(w.rel.Environment, w.rel.App, w.rel.Digest)
}

// committed reads the statement that the commit holds; nil when there is none.
func committed(w wanted) ([]byte, error) {
	file := path.Join(statementDir(w), trust.StatementFile)
	info, err := fs.Lstat(w.root, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a plain file", file)
	}
	if err != nil {
		return nil, err
	}
	return fs.ReadFile(w.root, file)
}

// staged reads the statement that lies in the work tree, not committed yet. What is no
// plain file there is looked at when writing.
func staged(tree *os.Root, w wanted) []byte {
	file := path.Join(statementDir(w), trust.StatementFile)
	if info, err := tree.Lstat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := tree.ReadFile(file)
	if err != nil {
		return nil
	}
	return data
}

// unusableError says why a statement that is there cannot be signed. A new one may take
// its place, with --replace.
type unusableError struct{ why string }

func (e *unusableError) Error() string { return e.why }

// ofRelease reads an existing statement. Whoever pushes can put any statement there: it
// must say what is signed here, word for word, or it would be carried to where it does.
// Its times and its checklist are its first signer's, and are shown.
func ofRelease(w wanted, raw []byte) (trust.Statement, error) {
	dir := statementDir(w)
	s, err := trust.ReadStatement(raw)
	if err != nil {
		return s, &unusableError{fmt.Sprintf("the statement in %s is not usable: %v", dir, err)}
	}
	var options []trust.StatementOption
	if s.Kind == trust.KindEmergency {
		options = append(options, trust.AsEmergency(s.Incident, s.Reason, s.Waives...))
	}
	want, err := trust.NewStatement(w.rel, w.repoID, s.IssuedAt, s.ExpiresAt, s.Checklist, options...)
	if err != nil || !reflect.DeepEqual(s, want) {
		return s, &unusableError{fmt.Sprintf("the statement in %s is not of this release in this environment and repository", dir)}
	}
	return s, nil
}

// usable reads an existing statement that can be approved by signing it now.
func usable(w wanted, raw []byte, kind trust.Kind, now time.Time) (trust.Statement, error) {
	s, err := ofRelease(w, raw)
	if err != nil {
		return s, err
	}
	no := func(format string, args ...any) (trust.Statement, error) {
		return s, &unusableError{"the statement in " + statementDir(w) + " " + fmt.Sprintf(format, args...)}
	}
	switch {
	case s.Kind != kind && kind == trust.KindNormal:
		return no("is an emergency's (%s); to sign that one, add --emergency", trust.Escape(s.Incident))
	case s.Kind != kind:
		return no("is a normal approval's, not an emergency's")
	case s.IssuedAt.After(now.Add(clockSkew)):
		return no("says that it was issued at %s, which is to come", s.IssuedAt.Format(time.RFC3339))
	case !now.Before(s.ExpiresAt):
		return no("expired at %s", s.ExpiresAt.Format(time.RFC3339))
	}
	return s, nil
}

// statement is the one that is there, byte for byte, or a new one. An existing valid one
// is never rewritten. have is nil when there is none; list gives the checklist of a new
// one.
func (q wish) statement(w wanted, have []byte, now time.Time, list func() (trust.Checklist, error)) (statement, error) {
	if have != nil {
		s, err := usable(w, have, q.kind(), now)
		var bad *unusableError
		switch {
		case err == nil && q.replace:
			return statement{}, usage(errors.New("the statement that is there is valid and of this kind: it is signed, not replaced; leave out --replace"))
		case err == nil:
			return statement{s, have, false}, q.contradicts(s)
		case errors.As(err, &bad) && !q.replace:
			return statement{}, fmt.Errorf("%w; put a new one in its place with --replace", err)
		case !q.replace:
			return statement{}, err
		}
	}
	checklist, err := list()
	if err != nil {
		return statement{}, err
	}
	valid, options := defaultValid, []trust.StatementOption(nil)
	if q.emergency {
		if q.incident == "" || q.reason == "" {
			return statement{}, usage(errors.New("an emergency needs --incident and --reason: they are signed, logged and shown"))
		}
		valid, options = defaultEmergencyValid, append(options, trust.AsEmergency(q.incident, q.reason, q.waive...))
	}
	if q.longest > 0 {
		valid = min(valid, q.longest)
	}
	if q.valid != 0 {
		valid = q.valid
	}
	s, err := trust.NewStatement(w.rel, w.repoID, now, now.Add(valid), checklist, options...)
	if err != nil {
		return statement{}, usage(err)
	}
	raw, err := s.Marshal()
	return statement{s, raw, true}, err
}

// contradicts refuses to sign a statement that says something else than the flags: who
// signs assents to what is there.
func (q wish) contradicts(s trust.Statement) error {
	switch {
	case q.incident != "" && q.incident != s.Incident:
		return usage(fmt.Errorf("the statement that is there is for incident %s; leave out --incident to sign that one", trust.Escape(s.Incident)))
	case q.reason != "" && q.reason != s.Reason:
		return usage(fmt.Errorf("the statement that is there gives another reason (%s); leave out --reason to sign that one", trust.Escape(s.Reason)))
	}
	return q.checks.contradicts(s.Checklist)
}

// longestOf is how long an approval of that kind may hold by the policy; 0: no limit is
// known.
func longestOf(policy *trust.Policy, kind trust.Kind) time.Duration {
	if policy == nil {
		return 0
	}
	if kind == trust.KindNormal {
		return policy.Rules().MaxApprovalAge
	}
	ttl := policy.Minimums.EmergencyTTL
	if e := policy.Rules().Emergency; e != nil && e.MaxTTL > 0 && (ttl == 0 || e.MaxTTL < ttl) {
		ttl = e.MaxTTL
	}
	return ttl
}
