package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/trust"
)

// chainOf is the newest policy of the chain in a clone's HEAD, judged from the host's own
// root on, and its mark.
func chainOf(host *trust.Policy, repo string) (*trust.Policy, trust.ChainMark, error) {
	snap, err := commitOf(repo, "HEAD")
	if err != nil {
		return nil, trust.ChainMark{}, err
	}
	tree, err := snap.Sub(".")
	if err != nil {
		return nil, trust.ChainMark{}, err
	}
	return advance(host, tree)
}

func advance(host *trust.Policy, tree fs.FS) (*trust.Policy, trust.ChainMark, error) {
	files, err := trust.GatherChain(tree, host.MinVersion())
	if err != nil {
		return nil, trust.ChainMark{}, err
	}
	p, mark, why := trust.Advance(host, trust.ChainMark{}, files)
	if p == nil {
		return nil, mark, fmt.Errorf("%s: %s", why.Code, why.Detail)
	}
	return p, mark, nil
}

func (t *tool) trustRotate() *cobra.Command {
	var host, repo, key, name string
	var useAgent, dry bool
	c := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Publish the next policy of the chain, or sign one that is being published",
		Long: `Put FILE, the next policy, into the clone as trust/policy.<N>.json and sign it with an
SSH key in the namespace teal-policy-v1. Its version must be the one after the newest
policy that hosts would accept. When the file is there already with the same bytes only
the signature is added, so the members of the root run the same command one after the
other. What is still missing is said.`,
		Example: "  tealctl trust rotate next.json --policy trust.yaml --key ~/.ssh/id_ed25519",
		Args:    cobra.ExactArgs(1), Annotations: writes(fromFiles),
		RunE: func(c *cobra.Command, args []string) error {
			floor, err := readTrust(host)
			if err != nil {
				return err
			}
			if floor.Root == nil {
				return usage(fmt.Errorf("%s names no policyRoot: its policy is inline and is changed on the hosts", host))
			}
			body, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the policy: %w", err)
			}
			next, err := trust.ParsePolicyBody(args[0], body, floor)
			if err != nil {
				return err
			}
			now, mark, err := chainOf(floor, repo)
			want := mark.Version + 1
			if now == nil { // the first one
				if want = max(floor.MinVersion(), 1); next.Version != want {
					return errors.Join(usage(fmt.Errorf("%s: version %d; the chain begins with %d", args[0], next.Version, want)), err)
				}
			} else if next.Version != want {
				return usage(fmt.Errorf("%s: version %d; the newest that hosts accept is %d, so it must be %d", args[0], next.Version, mark.Version, want))
			}
			signer, done, err := t.signer(keyChoice{file: key, agent: useAgent}, func(k ssh.PublicKey) bool { _, ok := next.KeyOf(k); return ok })
			if err != nil {
				return err
			}
			defer done()
			sig, err := trust.SignSSH(signer, trust.NamespacePolicy, body)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			if name == "" {
				name = signerName(signer)
			}
			tree, err := openTree(c.Context(), repo)
			if err != nil {
				return err
			}
			defer tree.Close()
			file := trust.PolicyFile(next.Version)
			if have, err := tree.ReadFile(file); err == nil && string(have) != string(body) {
				return fmt.Errorf("%s is there with other content; sign that one, or remove it", file)
			}
			if dry {
				fmt.Fprintf(t.err, "would write %s and %s/%s.sig\n", file, trust.PolicySignatures(next.Version), name)
				return nil
			}
			message := fmt.Sprintf("trust policy, version %d", next.Version)
			if err := t.write(tree, deposit{dir: path.Dir(file), files: map[string][]byte{path.Base(file): body}, message: message}); err != nil {
				return err
			}
			if err := t.write(tree, deposit{dir: trust.PolicySignatures(next.Version), files: map[string][]byte{name + ".sig": sig}, message: message}); err != nil {
				return err
			}
			if p, _, err := advance(floor, tree.FS()); err != nil || p.Version != next.Version {
				if err == nil && p.Chain != nil {
					err = fmt.Errorf("%s: %s", p.Chain.Code, p.Chain.Detail)
				}
				fmt.Fprintf(t.err, "hosts do not accept it yet: %v\n", err)
				return nil
			}
			fmt.Fprintf(t.err, "hosts accept version %d once it is pushed\n", next.Version)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&host, "policy", defaultPolicy, "the hosts' trust.yaml with policyRoot")
	f.StringVar(&repo, "repo", ".", "a clone of the repository")
	f.StringVar(&key, "key", "", "SSH private key file, or the .pub file of a key that ssh-agent holds")
	f.BoolVar(&useAgent, "agent", false, "sign with a key of ssh-agent")
	f.BoolVar(&dry, "dry-run", false, "say what would be written, write nothing")
	f.StringVar(&name, "name", "", "name of the signature file (default: from the key's fingerprint)")
	return c
}
