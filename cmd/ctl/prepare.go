package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (t *tool) prepare() *cobra.Command {
	s := signing{verb: "Write"}
	c := &cobra.Command{
		Use:   "prepare APP --env ENV",
		Short: "Write the statement that approvers sign, without signing it",
		Long: `Write approvals/<env>/<app>/<digest>/approval.json with its checklist, for people who
sign by hand or with keys that are elsewhere. approve does the same by itself when the
file is not there yet. A valid one is never rewritten.`,
		Example: `  tealctl prepare shop --env production --push
  tealctl prepare shop --emergency --incident INC-2041 --reason "checkout is down for all" --waive approvals --yes`,
		Args: cobra.ExactArgs(1), Annotations: dangers(fromPush),
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.wish.check(c); err != nil {
				return err
			}
			if err := s.open(c.Context(), t, args[0]); err != nil {
				return err
			}
			s.list = t.checklist(&s)
			s.message = fmt.Sprintf("prepare the approval of %s %s for %s", s.w.rel.App, s.w.rel.Version, s.w.rel.Environment)
			return s.run(c.Context(), t)
		},
	}
	s.flags(c)
	s.wish.flags(c)
	return c
}
