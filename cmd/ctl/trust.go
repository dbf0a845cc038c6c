package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

func (t *tool) trust() *cobra.Command {
	c := &cobra.Command{Use: "trust", Short: "The trust policy: check it, show it, publish the next one",
		Example: "  tealctl trust lint /etc/teal/trust.yaml\n  tealctl trust show"}
	c.AddCommand(t.trustLint(), t.trustShow(), t.trustRotate(), t.exportAllowedSigners())
	return c
}

// readTrust reads a trust.yaml as it is.
func readTrust(file string) (*trust.Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	return trust.ParsePolicy(file, data)
}

func (t *tool) trustLint() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use:   "lint FILE",
		Short: "Check a trust.yaml, or with --host a policy of the chain, with file and line",
		Long: `Read a trust policy as an agent does and print every problem with its line. With --host
FILE is a policy of the chain (trust/policy.<N>.json), read for the host that the
trust.yaml after --host describes: its minimums apply.`,
		Example: "  tealctl trust lint /etc/teal/trust.yaml\n  tealctl trust lint next.json --host /etc/teal/trust.yaml",
		Args:    cobra.ExactArgs(1), Annotations: reads(fromFiles),
		RunE: func(_ *cobra.Command, args []string) error {
			if host == "" {
				p, err := readTrust(args[0])
				if err != nil {
					return err
				}
				reply := policyLint{api.Meta{APIVersion: api.Version, Kind: "PolicyLint"}, args[0], p.Environment, p.Fingerprint(), p.Version, p.ExpiresAt}
				return t.print(reply, func(ui.Style) string {
					return fmt.Sprintf("%s: good, policy %.12s of %s\n", args[0], p.Fingerprint(), p.Environment)
				})
			}
			floor, err := readTrust(host)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the policy: %w", err)
			}
			p, err := trust.ParsePolicyBody(args[0], data, floor)
			if err != nil {
				return err
			}
			reply := policyLint{api.Meta{APIVersion: api.Version, Kind: "PolicyLint"}, args[0], p.Environment, p.Fingerprint(), p.Version, p.ExpiresAt}
			return t.print(reply, func(ui.Style) string {
				return fmt.Sprintf("%s: good, version %d, until %s\n", args[0], p.Version, p.ExpiresAt.Format(time.RFC3339))
			})
		},
	}
	c.Flags().StringVar(&host, "host", "", "the trust.yaml of the host that the policy is for")
	return c
}

// policyLint is a policy that reads well.
type policyLint struct {
	api.Meta
	File        string    `json:"file"`
	Environment string    `json:"environment"`
	Fingerprint string    `json:"fingerprint"`
	Version     int64     `json:"version,omitempty"` // of the chain; 0: inline
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
}

// signersReply are lines of ssh-keygen's allowed_signers.
type signersReply struct {
	api.Meta
	Lines []string `json:"lines"`
}

// trustReply is a policy for people and for jq.
type trustReply struct {
	api.Meta
	Environment string       `json:"environment"`
	RepoID      string       `json:"repoId"`
	Version     int64        `json:"version,omitempty"`
	ExpiresAt   time.Time    `json:"expiresAt,omitzero"`
	Approvals   []trust.Rule `json:"approvals"`
	Scans       []string     `json:"scans"`
	Waivers     []waiverLine `json:"waivers"`
	Keys        []trustKey   `json:"keys"`
}

type waiverLine struct {
	ID        string    `json:"id"`
	Scanner   string    `json:"scanner"`
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expiresAt"`
}

type trustKey struct {
	Owner       string   `json:"owner"`
	Key         string   `json:"key"`
	Fingerprint string   `json:"fingerprint"`
	Does        []string `json:"does"` // roles, scanners, statements
	State       string   `json:"state"`
}

func (t *tool) trustShow() *cobra.Command {
	var file, repo string
	c := &cobra.Command{
		Use:     "show",
		Short:   "Who may do what, with which keys, and until when",
		Long:    "Show a trust.yaml: rules, waivers, and every key with its owner's roles and its state\ntoday. With policyRoot the policy is the newest of the chain in --repo.",
		Example: "  tealctl trust show\n  tealctl trust show --policy trust.yaml --repo . -o json",
		Args:    cobra.NoArgs, Annotations: reads(fromFiles),
		RunE: func(*cobra.Command, []string) error {
			p, err := readTrust(file)
			if err != nil {
				return err
			}
			if p.Root != nil {
				if p, _, err = chainOf(p, repo); err != nil {
					return err
				}
			}
			reply := describe(p, time.Now())
			return t.print(reply, func(s ui.Style) string { return trustText(s, reply) })
		},
	}
	c.Flags().StringVar(&file, "policy", defaultPolicy, "the trust policy")
	c.Flags().StringVar(&repo, "repo", ".", "a clone of the repository, for a chain")
	return c
}

func describe(p *trust.Policy, now time.Time) trustReply {
	rules := p.Rules()
	r := trustReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Trust"}, Environment: p.Environment, RepoID: p.RepoID, Version: p.Version, ExpiresAt: p.ExpiresAt,
		Approvals: append([]trust.Rule{}, rules.Approvals...), Scans: []string{}, Waivers: []waiverLine{}, Keys: []trustKey{}}
	for name := range rules.Scans {
		r.Scans = append(r.Scans, name)
	}
	slices.Sort(r.Scans)
	for _, w := range rules.Waivers {
		r.Waivers = append(r.Waivers, waiverLine{w.ID, w.Scanner, w.Reason, w.ExpiresAt})
	}
	add := func(k trust.Key, owner string, does []string) {
		state := "good"
		if why, gone := p.RevokedKey(k); gone {
			state = "revoked: " + why
		} else if code, _ := k.ValidAt(now); code != "" {
			state = string(code)
		} else if !k.NotAfter.IsZero() {
			state = "until " + k.NotAfter.Format(time.DateOnly)
		}
		r.Keys = append(r.Keys, trustKey{owner, k.ID, k.Fingerprint(), does, state})
	}
	for _, k := range p.PersonKeys() {
		var roles []string
		for _, role := range p.Roles() {
			if p.HasRole(k.Person, role) {
				roles = append(roles, role)
			}
		}
		add(k, k.Person, roles)
	}
	for _, k := range p.ServiceKeys("*") {
		s := p.Services[k.Service]
		add(k, k.Service, slices.Concat(s.Scanners, s.Statements))
	}
	return r
}

func trustText(s ui.Style, r trustReply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, repository %s", r.Environment, r.RepoID)
	if r.Version > 0 {
		fmt.Fprintf(&b, ", version %d until %s", r.Version, r.ExpiresAt.Format(time.RFC3339))
	}
	b.WriteString("\n")
	for _, rule := range r.Approvals {
		fmt.Fprintf(&b, "  approvals  %d of role %s\n", rule.Threshold, rule.Role)
	}
	if len(r.Scans) > 0 {
		fmt.Fprintf(&b, "  scans      %s\n", strings.Join(r.Scans, ", "))
	}
	for _, w := range r.Waivers {
		fmt.Fprintf(&b, "  waiver     %s of %s until %s: %s\n", trust.Escape(w.ID), w.Scanner, w.ExpiresAt.Format(time.RFC3339), trust.Escape(w.Reason))
	}
	var rows [][]string
	for _, k := range r.Keys {
		rows = append(rows, []string{k.Owner, k.Key, strings.Join(k.Does, ", "), trust.Escape(k.State), k.Fingerprint})
	}
	return b.String() + "\n" + s.Table([]string{"OWNER", "KEY", "MAY", "STATE", "FINGERPRINT"}, rows)
}

func (t *tool) exportAllowedSigners() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export-allowed-signers",
		Short: "The people's SSH keys as ssh-keygen -Y verify reads them",
		Long: `Print an allowed_signers file (ssh-keygen(1)) with the people's SSH keys, each limited to
teal's namespaces and to its own time. Revoked keys are left out. The agent itself does
not read that format.`,
		Example: "  tealctl trust export-allowed-signers > allowed\n  ssh-keygen -Y verify -f allowed -I ann@example.com -n teal-approval-v1 -s ann.sig < approval.json",
		Args:    cobra.NoArgs, Annotations: reads(fromFiles),
		RunE: func(*cobra.Command, []string) error {
			p, err := readTrust(file)
			if err != nil {
				return err
			}
			signers := signersReply{api.Meta{APIVersion: api.Version, Kind: "AllowedSigners"}, []string{}}
			for _, k := range p.PersonKeys() {
				if _, gone := p.RevokedKey(k); gone || k.SSH == nil {
					continue
				}
				options := fmt.Sprintf("namespaces=%q", strings.Join([]string{trust.NamespaceApproval, trust.NamespaceEmergency, trust.NamespaceReject, trust.NamespacePolicy}, ","))
				const form = "20060102150405Z"
				if !k.NotBefore.IsZero() {
					options += fmt.Sprintf(",valid-after=%q", k.NotBefore.UTC().Format(form))
				}
				if !k.NotAfter.IsZero() {
					options += fmt.Sprintf(",valid-before=%q", k.NotAfter.UTC().Format(form))
				}
				signers.Lines = append(signers.Lines, fmt.Sprintf("%s %s %s", k.Person, options, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.SSH)))))
			}
			return t.print(signers, func(ui.Style) string {
				var b strings.Builder
				for _, line := range signers.Lines {
					b.WriteString(line + "\n")
				}
				return b.String()
			})
		},
	}
	c.Flags().StringVar(&file, "policy", defaultPolicy, "the trust policy")
	return c
}
