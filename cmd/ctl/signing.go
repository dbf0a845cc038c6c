package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/trust"
)

// signing is one run of prepare, approve or reject.
type signing struct {
	repo, rev, env string
	policyFile     string
	key            keyChoice
	name           string // of the signature file; empty: from the key
	yes, push, dry bool
	to             branch

	wish   wish
	w      wanted
	policy *trust.Policy
	old    *earlier
	ticks  map[string]tick
	signer ssh.Signer // nil: only the statement is written

	// namespace and suffix of the signature; verb for what people read.
	namespace, suffix, verb string
	message                 string
	veto                    bool
	list                    func() (trust.Checklist, error)
	made                    *statement // the new one, made once
	shown                   []byte     // the statement that the person agreed to
	staged                  []byte     // approval.json of the work tree
	told                    bool
}

// flags adds those that prepare, approve and reject share.
func (s *signing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.repo, "repo", ".", "a clone of the repository")
	f.StringVar(&s.rev, "rev", "HEAD", "the commit whose release is meant")
	f.StringVar(&s.env, "env", "production", "environment")
	f.StringVar(&s.policyFile, "policy", "", "trust policy to verify evidence and to pick the key by (TEAL_POLICY; default "+defaultPolicy+" if there is one)")
	f.BoolVar(&s.yes, "yes", false, "do not ask")
	f.BoolVar(&s.dry, "dry-run", false, "show what would be signed, write nothing")
	f.BoolVar(&s.push, "push", false, "commit the files on top of the branch and push it")
	f.StringVar(&s.to.remote, "remote", "", "with --push: the remote (default: that of the current branch)")
	f.StringVar(&s.to.name, "branch", "", "with --push: the branch (default: the one that the current branch follows)")
}

// keyFlags adds those of the key.
func (s *signing) keyFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.key.file, "key", "", "SSH private key file, or the .pub file of a key that ssh-agent holds")
	f.BoolVar(&s.key.agent, "agent", false, "sign with a key of ssh-agent (default without --key): the only one that the policy counts")
	f.StringVar(&s.name, "name", "", "name of the signature file (default: from the key's fingerprint)")
}

var nameOfFile = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$`)

// open reads the release, the policy at hand, and what evidence says.
func (s *signing) open(ctx context.Context, t *tool, app string) (err error) {
	if s.name != "" && !nameOfFile.MatchString(s.name) {
		return usage(fmt.Errorf("--name %q: letters, digits, and . _ @ - only", s.name))
	}
	if s.w, err = openRelease(s.repo, s.rev, s.env, app); err != nil {
		return err
	}
	if s.policy, err = t.policyAtHand(s.policyFile, s.w); err != nil {
		return err
	}
	s.wish.longest = longestOf(s.policy, s.wish.kind())
	if s.old, err = lastApproved(ctx, s.w, s.policy); err != nil {
		return err
	}
	s.ticks, err = evidenceTicks(ctx, s.w, s.policy, s.old)
	return err
}

// pick finds the key to sign with.
func (s *signing) pick(t *tool, kind trust.Kind) (done func(), err error) {
	var counts func(ssh.PublicKey) bool
	if s.policy != nil {
		counts = func(k ssh.PublicKey) bool { return mayCount(s.policy, kind, k) }
	}
	s.signer, done, err = t.signer(s.key, counts)
	return done, err
}

// run makes the files and writes or pushes them.
func (s *signing) run(ctx context.Context, t *tool) error {
	tree, err := openTree(ctx, s.repo)
	switch {
	case err == nil:
		defer tree.Close()
		s.staged = staged(tree, s.w)
	case !s.push:
		return err // a bare repository can only be pushed from
	}
	if s.dry {
		s.push = false
	}
	if !s.push {
		d, err := s.deposit(t, s.w)
		if err != nil || s.dry {
			return err
		}
		return t.write(tree, d)
	}
	to, err := upstream(ctx, s.repo, s.to)
	if err != nil {
		return err
	}
	return t.publish(ctx, s.w, to, func(at wanted) (deposit, error) {
		if !s.told && !known(at) {
			fmt.Fprintf(t.err, "! %s/%s does not want this release now; its approval waits there for when it does\n", to.remote, to.name)
		}
		s.told = true
		return s.deposit(t, at)
	})
}

// deposit finds the statement as it is at a commit, shows it, and signs it.
func (s *signing) deposit(t *tool, at wanted) (deposit, error) {
	st, err := s.statement(at)
	if err != nil {
		return deposit{}, err
	}
	if !bytes.Equal(st.raw, s.shown) {
		if s.shown != nil {
			fmt.Fprintln(t.err, "! another statement of this release arrived first; this is the one to sign now:")
		}
		if err := s.agree(t, st); err != nil {
			return deposit{}, err
		}
		s.shown = st.raw
	}
	d := deposit{dir: statementDir(at), files: map[string][]byte{trust.StatementFile: st.raw}, message: s.message, replace: st.fresh && s.wish.replace}
	if s.signer == nil || s.dry {
		return d, nil
	}
	sig, err := trust.SignSSH(s.signer, s.namespaceOf(st.Kind), st.raw)
	if err != nil {
		return deposit{}, fmt.Errorf("sign: %w", err)
	}
	name := s.name
	if name == "" {
		name = signerName(s.signer)
	}
	d.files[name+s.suffix] = sig
	return d, nil
}

func (s *signing) namespaceOf(kind trust.Kind) string {
	if s.namespace != "" {
		return s.namespace
	}
	return kind.Namespace()
}

// statement is the branch's, else the work tree's, else a new one.
func (s *signing) statement(at wanted) (statement, error) {
	have, err := committed(at)
	if err != nil {
		return statement{}, err
	}
	if s.veto && (have != nil || s.staged != nil) {
		if have == nil {
			have = s.staged
		}
		st, err := ofRelease(at, have)
		if err != nil {
			return statement{}, fmt.Errorf("%w. Nobody can approve the release by this statement; remove it to reject the release", err)
		}
		return statement{st, have, false}, nil
	}
	q := s.wish
	if have == nil || s.made != nil && bytes.Equal(have, s.made.raw) {
		if s.made != nil {
			return *s.made, nil
		}
		have = s.staged
	} else if s.made != nil {
		// Somebody else wrote one meanwhile. If it can be signed it is not replaced any more.
		if _, err := usable(at, have, q.kind(), time.Now()); err == nil {
			q.replace = false
		} else if q.replace {
			return *s.made, nil
		}
	}
	st, err := q.statement(at, have, time.Now(), s.list)
	if err == nil && st.fresh {
		s.made = &st
	}
	return st, err
}
