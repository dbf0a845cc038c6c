package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

// lintReply is what lint found.
type lintReply struct {
	api.Meta
	Releases []lintedRelease `json:"releases"`
	Problems int             `json:"problems"`
}

type lintedRelease struct {
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Version     string            `json:"version,omitempty"`
	Digest      release.Digest    `json:"digest,omitempty"`
	Problems    []release.Problem `json:"problems,omitempty"`
}

func (t *tool) lint() *cobra.Command {
	var rev, env string
	c := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check the release manifests of a repository, with file and line",
		Long: `Check every release directory of a repository. By default the files of the work
tree are read, as they would be committed; --rev reads a commit instead.`,
		Example: "  tealctl lint\n  tealctl lint --rev HEAD --env production -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			var root fs.FS = os.DirFS(dir)
			if rev != "" {
				snap, err := commitOf(dir, rev)
				if err != nil {
					return err
				}
				if root, err = snap.Sub("."); err != nil {
					return err
				}
			}
			reply, err := lintTree(root, env)
			if err != nil {
				return err
			}
			if err := t.print(reply, func(s ui.Style) string { return lintText(s, reply) }); err != nil {
				return err
			}
			if reply.Problems > 0 {
				return exitError{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&rev, "rev", "", "read this commit instead of the work tree")
	c.Flags().StringVar(&env, "env", "", "only this environment")
	return c
}

// lintTree parses every environments/<env>/<app> of a tree.
func lintTree(root fs.FS, env string) (lintReply, error) {
	reply := lintReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Lint"}}
	dirs, err := fs.Glob(root, "environments/*/*/release.yaml")
	if err != nil {
		return reply, err
	}
	if len(dirs) == 0 {
		return reply, usage(errors.New("there is no environments/<env>/<app>/release.yaml here; run lint in the repository of release manifests"))
	}
	claimed := map[string]string{}
	for _, file := range dirs {
		parts := strings.Split(file, "/")
		if env != "" && parts[1] != env {
			continue
		}
		dir, err := fs.Sub(root, path.Dir(file))
		if err != nil {
			return reply, err
		}
		l := lintedRelease{Environment: parts[1], App: parts[2]}
		rel, problems := release.Parse(dir, parts[1], parts[2])
		l.Problems = problems
		if rel != nil {
			l.Version, l.Digest = rel.Version, rel.Digest
			for _, r := range rel.Routes() { // two apps on one route: only one of them can have it
				key := parts[1] + " " + r.Host + r.Path
				if other := claimed[key]; other != "" && other != parts[2] {
					l.Problems = append(l.Problems, release.Problem{File: file, Code: release.RouteConflict,
						Message: fmt.Sprintf("route %s%s is claimed by app %s too", r.Host, r.Path, other), Next: "give one of them another host or path"})
				}
				claimed[key] = parts[2]
			}
		}
		reply.Problems += len(l.Problems)
		reply.Releases = append(reply.Releases, l)
	}
	return reply, nil
}

func lintText(s ui.Style, reply lintReply) string {
	var b strings.Builder
	for _, l := range reply.Releases {
		for _, p := range l.Problems {
			b.WriteString(p.String() + "\n")
		}
		if len(l.Problems) == 0 {
			b.WriteString(s.Mark(ui.Good, fmt.Sprintf("%s/%s %s %s", l.Environment, l.App, l.Version, l.Digest.Short())) + "\n")
		}
	}
	if reply.Problems > 0 {
		fmt.Fprintf(&b, "%d problems\n", reply.Problems)
	}
	return b.String()
}

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

func (t *tool) approve() *cobra.Command {
	var repo, rev, env, key, name string
	var yes, push bool
	var valid time.Duration
	confirmed := map[string]*string{}
	c := &cobra.Command{
		Use:   "approve APP --env ENV --key FILE",
		Short: "Sign an approval of the release that the repository's HEAD wants",
		Long: `Write approvals/<env>/<app>/<digest>/approval.json, or sign the one that is there,
with an SSH key. The same file can be signed by hand:

  ssh-keygen -Y sign -f KEY -n teal-approval-v1 < approval.json > me.sig

The checklist has five lines; each is confirmed or not_applicable. Whoever signs says
so for all of them.`,
		Example: `  tealctl approve shop --env production --key ~/.ssh/id_ed25519
  tealctl approve shop --env production --key ~/.ssh/id_ed25519 --migrations not_applicable --yes --push`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			w, err := openRelease(repo, rev, env, args[0])
			if err != nil {
				return err
			}
			if key == "" {
				return usage(errors.New("approve needs --key: the SSH private key to sign with"))
			}
			signer, err := t.signer(key)
			if err != nil {
				return err
			}
			statement, raw, fresh, err := statementOf(w, valid, confirmed)
			if err != nil {
				return err
			}
			fmt.Fprint(t.err, approvalText(w, statement, signer))
			if !yes {
				if err := t.ask("Sign as " + ssh.FingerprintSHA256(signer.PublicKey()) + "?"); err != nil {
					return err
				}
			}
			sig, err := trust.SignSSH(signer, trust.NamespaceApproval, raw)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			if name == "" {
				name = signerName(signer)
			}
			return t.writeApproval(c.Context(), repo, w, raw, sig, name, fresh, push)
		},
	}
	f := c.Flags()
	f.StringVar(&repo, "repo", ".", "a clone of the repository")
	f.StringVar(&rev, "rev", "HEAD", "the commit whose release is approved")
	f.StringVar(&env, "env", "production", "environment")
	f.StringVar(&key, "key", "", "SSH private key file")
	f.StringVar(&name, "name", "", "name of the signature file (default: from the key's fingerprint)")
	f.DurationVar(&valid, "valid", 7*24*time.Hour, "how long the approval can start a deployment; only when the statement is new")
	f.BoolVar(&yes, "yes", false, "do not ask")
	f.BoolVar(&push, "push", false, "commit the files and push them")
	for _, item := range []string{"tests", "scans", "staging", "migrations", "rollback"} {
		confirmed[item] = f.String(item, string(trust.Confirmed), "checklist: confirmed or not_applicable")
	}
	return c
}

// signer loads a private key, asking for its passphrase at the terminal if it has one.
func (t *tool) signer(file string) (ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		in, ok := t.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return nil, usage(fmt.Errorf("%s has a passphrase and there is no terminal to ask for it", file))
		}
		fmt.Fprintf(t.err, "passphrase of %s: ", file)
		phrase, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(t.err)
		if err != nil {
			return nil, err
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, phrase)
		if err != nil {
			return nil, fmt.Errorf("unlock %s: %w", file, err)
		}
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return signer, nil
}

func signerName(s ssh.Signer) string {
	sum := strings.TrimPrefix(ssh.FingerprintSHA256(s.PublicKey()), "SHA256:")
	return strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(sum, ""))[:12]
}

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

func approvalText(w wanted, s trust.Statement, signer ssh.Signer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s → %s   release %s, sequence %d, commit %.7s\n", s.App, trust.Escape(w.rel.Version), s.Environment, s.Digest.Short(), s.Sequence, w.snap.Commit())
	for _, image := range s.Images {
		fmt.Fprintf(&b, "  image       %s\n", image)
	}
	for _, item := range []struct {
		name  string
		check trust.Check
	}{{"tests", s.Checklist.Tests}, {"scans", s.Checklist.Scans}, {"staging", s.Checklist.Staging}, {"migrations", s.Checklist.Migrations}, {"rollback", s.Checklist.Rollback}} {
		fmt.Fprintf(&b, "  %-11s %s %s\n", item.name, item.check.State, trust.Escape(item.check.Note))
	}
	fmt.Fprintf(&b, "  prepared by %s\n  issued      %s\n", trust.Escape(s.PreparedBy), s.IssuedAt.Format(time.RFC3339))
	fmt.Fprintf(&b, "  expires     %s\n  signing as  %s\n", s.ExpiresAt.Format(time.RFC3339), ssh.FingerprintSHA256(signer.PublicKey()))
	return b.String()
}

// writeApproval puts the files into the work tree and, with push, into the branch.
func (t *tool) writeApproval(ctx context.Context, repo string, w wanted, raw, sig []byte, name string, fresh, push bool) error {
	top, err := git(ctx, repo, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	top = strings.TrimSpace(top)
	rel := trust.ApprovalDir(w.rel.Environment, w.rel.App, w.rel.Digest)
	// The clone's links were made by whoever could push: nothing is written through them.
	tree, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := tree.MkdirAll(rel, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", rel, err)
	}
	statement := path.Join(rel, trust.StatementFile)
	if have, err := tree.ReadFile(statement); err == nil && !bytes.Equal(have, raw) && !fresh {
		return fmt.Errorf("%s differs from the committed one; restore it with git checkout and approve again", statement)
	}
	for file, data := range map[string][]byte{statement: raw, path.Join(rel, name+".sig"): sig} {
		if info, err := tree.Lstat(file); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a plain file; remove it and approve again", file)
		}
		if err := tree.WriteFile(file, data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	fmt.Fprintf(t.err, "wrote %s and %s.sig\n", path.Join(rel, trust.StatementFile), path.Join(rel, name))
	if !push {
		fmt.Fprintf(t.err, "next: git add %s && git commit -m 'approve %s %s' && git push\n", rel, w.rel.App, w.rel.Version)
		return nil
	}
	if _, err := git(ctx, top, "add", "--", rel); err != nil {
		return err
	}
	if _, err := git(ctx, top, "commit", "-q", "-m", fmt.Sprintf("approve %s %s for %s", w.rel.App, w.rel.Version, w.rel.Environment), "--", rel); err != nil {
		return err
	}
	for try := range 5 { // somebody else may push at the same time
		if _, err = git(ctx, top, "push", "-q"); err == nil {
			fmt.Fprintln(t.err, "pushed")
			return nil
		}
		if _, rerr := git(ctx, top, "pull", "-q", "--rebase"); rerr != nil {
			return fmt.Errorf("push: %w; and rebase: %w", err, rerr)
		}
		if have, rerr := tree.ReadFile(statement); rerr != nil || !bytes.Equal(have, raw) {
			return errors.New("another approver's statement arrived first; run approve again to sign that one")
		}
		time.Sleep(time.Duration(try+1) * 100 * time.Millisecond)
	}
	return fmt.Errorf("push: %w", err)
}

// git runs the git command of the person's own machine, with their configuration.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// verifyReply is a verdict with its release.
type verifyReply struct {
	api.Meta
	App     string        `json:"app"`
	Version string        `json:"version"`
	Commit  string        `json:"commit"`
	Digest  string        `json:"digest"`
	Verdict trust.Verdict `json:"verdict"`
}

func (t *tool) verify() *cobra.Command {
	var repo, rev, env, policyFile string
	c := &cobra.Command{
		Use:   "verify APP --env ENV",
		Short: "Judge a release by a trust policy, offline",
		Long: `Judge the release that a commit of the repository wants, with the evidence in the same
commit, by a trust.yaml. No agent is asked. What only a host knows (the sequence it
accepted last) is not judged.

Exit code 0: accepted; 4: evidence is wrong; 6: only something is missing.`,
		Example: "  tealctl verify shop --env production --policy /etc/teal/trust.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := openRelease(repo, rev, env, args[0])
			if err != nil {
				return err
			}
			data, err := os.ReadFile(policyFile)
			if err != nil {
				return fmt.Errorf("read the policy: %w", err)
			}
			policy, err := trust.ParsePolicy(policyFile, data)
			if err != nil {
				return err
			}
			if policy.RepoID != w.repoID {
				return exitError{exitNotAuthorised, fmt.Errorf("repo_id_mismatch: the repository says %s, the policy %s", w.repoID, policy.RepoID)}
			}
			verdict, err := judge(w, policy)
			if err != nil {
				return err
			}
			reply := verifyReply{api.Meta{APIVersion: api.Version, Kind: "Verification"}, w.rel.App, w.rel.Version, w.snap.Commit(), string(w.rel.Digest), verdict}
			if err := t.print(reply, func(s ui.Style) string { return verifyText(s, reply) }); err != nil {
				return err
			}
			switch {
			case verdict.Accepted:
				return nil
			case verdict.Waits():
				return exitError{code: exitBlocked}
			}
			return exitError{code: exitNotAuthorised}
		},
	}
	f := c.Flags()
	f.StringVar(&repo, "repo", ".", "a clone of the repository")
	f.StringVar(&rev, "rev", "HEAD", "the commit to judge")
	f.StringVar(&env, "env", "production", "environment")
	f.StringVar(&policyFile, "policy", "/etc/teal/trust.yaml", "the trust policy")
	return c
}

func judge(w wanted, policy *trust.Policy) (trust.Verdict, error) {
	host := release.Host{Name: "offline", Instance: "offline", EdgeNetwork: "teal-edge"}
	target := release.Target{Digest: w.rel.Digest}
	shared, err := release.PlanShared(w.rel, host, target)
	if err != nil {
		return trust.Verdict{}, err
	}
	swapped, err := release.Plan(w.rel, host, release.Blue, target, "", noAddress)
	if err != nil {
		return trust.Verdict{}, err
	}
	evidence, err := trust.Gather(w.root, w.rel.Environment, w.rel.App, w.rel.Digest)
	if err != nil {
		return trust.Verdict{}, fmt.Errorf("read the approvals: %w", err)
	}
	return trust.Evaluate(trust.Input{Policy: policy, Release: w.rel, Sets: []release.SetSpec{swapped, shared}, Evidence: evidence, Now: time.Now().UTC(), Never: trust.DefaultNever(), Edge: host.EdgeNetwork}), nil
}

func verifyText(s ui.Style, r verifyReply) string {
	word := s.Mark(ui.Good, "accepted")
	if !r.Verdict.Accepted {
		word = s.Mark(ui.Bad, "refused")
		if r.Verdict.Waits() {
			word = s.Mark(ui.Waiting, "not yet")
		}
	}
	text := fmt.Sprintf("%s  %s %s   release %.12s, commit %.7s\n", word, r.App, r.Version, r.Digest, r.Commit)
	text += s.Gates(r.Verdict.Gates, r.Verdict.Reasons, r.Verdict.Observations)
	if f := r.Verdict.Reason(); f.Next != "" {
		text += "Next: " + f.Next + "\n"
	}
	return text
}

func (t *tool) state() *cobra.Command {
	c := &cobra.Command{Use: "state", Short: "The agent's identity and marks on this host (root, offline)"}
	var dir string
	var sequences []string
	var newFleet bool
	initialise := &cobra.Command{
		Use:   "init",
		Short: "Give a new host its identity, or set floors after its state was lost",
		Long: `Give this host's agent an identity. Without one it starts nothing.

When the state was lost although containers of this agent still run, name the floor of
each app: the highest sequence that was ever accepted here. Nothing at or below it can
start again, except what is live.`,
		Example: "  tealctl state init\n  tealctl state init --sequence shop=41",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			floors := map[string]int64{}
			for _, s := range sequences {
				app, n, ok := strings.Cut(s, "=")
				var v int64
				if _, err := fmt.Sscanf(n, "%d", &v); !ok || err != nil || v < 0 || !release.ValidName(app) {
					return usage(fmt.Errorf("--sequence %q: write APP=N", s))
				}
				floors[app] = v
			}
			return initState(t.err, dir, floors, newFleet)
		},
	}
	initialise.Flags().StringVar(&dir, "state", "/var/lib/teal", "the agent's state directory")
	initialise.Flags().StringArrayVar(&sequences, "sequence", nil, "APP=N: nothing of the app at or below N may start (repeatable)")
	initialise.Flags().BoolVar(&newFleet, "new-fleet", false, "begin without the quarantines and freezes of a lost fleet.json")
	c.AddCommand(initialise)
	return c
}
