package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

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
