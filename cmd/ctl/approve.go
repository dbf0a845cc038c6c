package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
)

func (t *tool) approve() *cobra.Command {
	s := signing{verb: "Sign", suffix: ".sig"}
	c := &cobra.Command{
		Use:   "approve APP --env ENV",
		Short: "Sign an approval of the release that the repository's HEAD wants",
		Long: `Write approvals/<env>/<app>/<digest>/approval.json, or sign the one that is there,
with an SSH key: a file, or a key of ssh-agent. The same file can be signed by hand:

  ssh-keygen -Y sign -f KEY -n teal-approval-v1 < approval.json > me.sig

First it shows what the release changes against the one approved before it. The
checklist has five lines. What evidence shows by a trust policy is verified; the rest
a person confirms or calls not_applicable: asked at a terminal, said by flags otherwise.
Whoever signs says so for all of them.

With --push the signature is put on top of the branch as it is now; when another
approver's statement arrives first, that one is shown and signed.

An emergency approval (--emergency) is signed in a namespace of its own by a member of
the policy's emergency role. It lets past only what --waive names and the policy allows.`,
		Example: `  tealctl approve shop --env production --push
  tealctl approve shop --key ~/.ssh/id_ed25519 --migrations not_applicable --yes --push
  tealctl approve shop --emergency --incident INC-2041 --reason "checkout is down for all" --waive approvals`,
		Args: cobra.ExactArgs(1), Annotations: dangers(fromPush),
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.wish.check(c); err != nil {
				return err
			}
			if err := s.open(c.Context(), t, args[0]); err != nil {
				return err
			}
			done, err := s.pick(t, s.wish.kind())
			if err != nil {
				return err
			}
			defer done()
			s.list = t.checklist(&s)
			s.message = fmt.Sprintf("approve %s %s for %s", s.w.rel.App, s.w.rel.Version, s.w.rel.Environment)
			if s.wish.emergency {
				s.message = fmt.Sprintf("approve %s %s for %s in emergency %s\n\n%s", s.w.rel.App, s.w.rel.Version, s.w.rel.Environment, s.wish.incident, s.wish.reason)
			}
			return s.run(c.Context(), t)
		},
	}
	s.flags(c)
	s.keyFlags(c)
	s.wish.flags(c)
	return c
}

// checklist settles a new statement's checklist, asking at a terminal.
func (t *tool) checklist(s *signing) func() (trust.Checklist, error) {
	return func() (trust.Checklist, error) {
		ask := t.askItem
		if s.yes || s.dry || !t.canAsk() {
			ask = nil
		}
		return s.wish.checks.settle(s.ticks, ask)
	}
}
