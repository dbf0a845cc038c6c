package main

import (
	"context"
	"fmt"
	"path"

	"slices"
	"strings"
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
	var repo, rev, env, policyFile, at, since string
	c := &cobra.Command{
		Use:   "verify APP --env ENV",
		Short: "Judge a release by a trust policy, offline",
		Long: `Judge the release that a commit of the repository wants, with the evidence in the same
commit, by a trust.yaml: every gate in its order, who signed with which key, what was
found, and what to do next. No agent and no registry is asked. What only a host knows (the sequence
it accepted last, the scans it has seen, its platform) is not judged. --at judges as of another time.

Exit code 0: accepted; 4: evidence is wrong; 6: only something is missing.`,
		Example: `  tealctl verify shop --env production --policy /etc/teal/trust.yaml
  tealctl verify shop --rev 1f0c2a9e… --at 2026-11-23T14:00:00Z -o json`,
		Args: cobra.ExactArgs(1), Annotations: named(reads(fromFiles, exitNotAuthorised, exitBlocked)),
		RunE: func(c *cobra.Command, args []string) error {
			now := time.Now().UTC()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return usage(fmt.Errorf("--at %q: give a time as 2026-11-23T14:00:00Z", at))
				}
			}
			w, err := openRelease(repo, rev, env, args[0])
			if err != nil {
				return err
			}
			policy, err := readPolicy(policyFile, w)
			if err != nil {
				return err
			}
			if since == "" && policy.Needs().Changes {
				old, err := lastApproved(c.Context(), w, policy)
				if err != nil {
					return err
				}
				since = sinceOf(old)
			}
			evidence, err := gatherEvidence(c.Context(), w, policy, since)
			if err != nil {
				return err
			}
			verdict, err := judge(w, policy, evidence, now.UTC())
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
	f.StringVar(&policyFile, "policy", orEnv("TEAL_POLICY", defaultPolicy), "the trust policy (TEAL_POLICY)")
	f.StringVar(&since, "since", "", "commit of the release that hosts accepted before: whoever signed a commit after it is no approver (default: that of the last approved one)")
	f.StringVar(&at, "at", "", "judge as of this time (RFC 3339; default: now)")
	return c
}

// sinceOf is the commit from which on commits made the release: that of the one before
// it. A host takes that of the last one that it accepted.
func sinceOf(old *earlier) string {
	if old == nil || len(old.persons) == 0 {
		return ""
	}
	return old.commit
}

// gatherEvidence collects what the repository holds about a release: approvals,
// attestations, and the commits since another one that changed it ("": all of them). What
// only the registry holds is not asked for, and said so where the policy needs it.
func gatherEvidence(ctx context.Context, w wanted, policy *trust.Policy, since string) (trust.Evidence, error) {
	evidence, err := trust.Gather(w.root, w.rel.Environment, w.rel.App, w.rel.Digest)
	if err != nil {
		return evidence, fmt.Errorf("read the approvals: %w", err)
	}
	if evidence.Attestations, evidence.TooLarge, err = trust.GatherAttestations(w.root, imageHexes(w)); err != nil {
		return evidence, fmt.Errorf("read the attestations: %w", err)
	}
	if policy.Needs().Changes {
		if evidence.Changes, err = w.snap.Changes(ctx, path.Join("environments", w.rel.Environment, w.rel.App), since); err != nil {
			return evidence, err
		}
	}
	return evidence, nil
}

// judge evaluates a release as a host without any past would.
func judge(w wanted, policy *trust.Policy, evidence trust.Evidence, now time.Time) (trust.Verdict, error) {
	host := release.Host{Name: "offline", Instance: "offline", EdgeNetwork: "teal-edge", Files: "/var/lib/teal/files"}
	target := release.Target{Digest: w.rel.Digest}
	shared, err := release.PlanShared(w.rel, host, target)
	if err != nil {
		return trust.Verdict{}, err
	}
	swapped, err := release.Plan(w.rel, host, release.Blue, target, "", noAddress)
	if err != nil {
		return trust.Verdict{}, err
	}
	return trust.Evaluate(trust.Input{Policy: policy, Release: w.rel, Sets: []release.SetSpec{swapped, shared}, Evidence: evidence, Now: now, Never: trust.DefaultNever(), Edge: host.EdgeNetwork}), nil
}

// verifyText draws a verdict whole. Its texts were escaped when they were made; what the
// manifest says was not.
func verifyText(s ui.Style, r verifyReply) string {
	word := s.Mark(ui.Good, "accepted")
	if !r.Verdict.Accepted {
		word = s.Mark(ui.Bad, "refused")
		if r.Verdict.Waits() {
			word = s.Mark(ui.Waiting, "not yet")
		}
	}
	var b strings.Builder
	b.WriteString(s.Paragraph(fmt.Sprintf("%s  %s %s   release %.12s, commit %.7s", word, r.App, trust.Escape(r.Version), r.Digest, r.Commit), "  ") + "\n")
	if e := r.Verdict.Emergency; e != nil {
		b.WriteString(s.Paragraph(s.Mark(ui.Bad, fmt.Sprintf("EMERGENCY %s by %s, lets past %s, until %s: %s", e.Incident, strings.Join(e.By, ", "), orNothing(e.Waives), e.Until.UTC().Format(time.RFC3339), e.Reason)), "  ") + "\n")
	}
	b.WriteString(s.Gates(r.Verdict.Gates, r.Verdict.Reasons, r.Verdict.Observations))
	for _, signer := range r.Verdict.Signers {
		tone, says := ui.Good, "counted"
		if signer.Veto {
			tone, says = ui.Bad, "a veto"
		} else if !signer.Counted {
			tone, says = ui.Note, "not counted: "+string(signer.Why)
		}
		b.WriteString(s.Paragraph("  "+s.Mark(tone, fmt.Sprintf("%s  key %s %s  in %s  %s", signer.Person, signer.Key, signer.Fingerprint, signer.File, says)), "    ") + "\n")
	}
	if len(r.Verdict.Signers) > 0 {
		b.WriteString("\n")
	}
	var steps []string
	for _, reason := range r.Verdict.Reasons {
		if reason.Next != "" && !slices.Contains(steps, reason.Next) {
			steps = append(steps, reason.Next)
		}
	}
	for i, step := range steps {
		b.WriteString(s.Paragraph(map[bool]string{true: "Next: ", false: "      "}[i == 0]+step, "      ") + "\n")
	}
	if !r.Verdict.Until.IsZero() {
		fmt.Fprintf(&b, "Until %s, by time alone.\n", r.Verdict.Until.UTC().Format(time.RFC3339))
	}
	return b.String()
}
