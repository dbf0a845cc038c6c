package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
)

func (t *tool) reject() *cobra.Command {
	s := signing{verb: "Reject", suffix: ".reject.sig", namespace: trust.NamespaceReject}
	var reason string
	c := &cobra.Command{
		Use:   "reject APP --env ENV --reason WHY",
		Short: "Sign a veto: the release does not start, whoever else approved it",
		Long: `Sign the release's approval.json in the namespace of vetoes. One veto by a person whose
approval would count blocks the release on every host, until that person's file is
removed. The statement is written first if nobody has. The same by hand:

  ssh-keygen -Y sign -f KEY -n teal-reject-v1 < approval.json > me.reject.sig

The reason goes into the commit's message.`,
		Example: `  tealctl reject shop --env production --reason "the migration locks orders" --push`,
		Args:    cobra.ExactArgs(1), Annotations: dangers(fromPush),
		RunE: func(c *cobra.Command, args []string) error {
			if reason = strings.TrimSpace(reason); reason == "" {
				return usage(errors.New("a veto needs --reason: it is what the others read in the history"))
			}
			if err := s.open(c.Context(), t, args[0]); err != nil {
				return err
			}
			done, err := s.pick(t, trust.KindNormal)
			if err != nil {
				return err
			}
			defer done()
			// A veto is over whatever statement is there, an emergency's and an expired one
			// too. A new one claims nothing.
			s.veto = true
			s.list = func() (trust.Checklist, error) {
				line := trust.Check{State: trust.NotApplicable, Note: "not looked at: the release was rejected"}
				return trust.Checklist{Tests: line, Scans: line, Staging: line, Migrations: line, Rollback: line}, nil
			}
			s.message = fmt.Sprintf("reject %s %s for %s\n\n%s", s.w.rel.App, s.w.rel.Version, s.w.rel.Environment, reason)
			return s.run(c.Context(), t)
		},
	}
	s.flags(c)
	s.keyFlags(c)
	c.Flags().StringVar(&reason, "reason", "", "why (required)")
	return c
}
