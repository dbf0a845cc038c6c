package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/trust"
)

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
