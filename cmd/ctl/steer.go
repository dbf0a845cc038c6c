package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
)

// order is a verb that changes something. It shows what it would do and asks, unless
// --yes; without a terminal and without --yes it says the line to run.
type order struct {
	verb     string
	cmd      api.Command
	yes      bool
	wait     bool
	timeout  time.Duration
	question string
}

func (t *tool) give(c *cobra.Command, o order) error {
	if o.cmd.DryRun {
		done, err := t.client().Do(c.Context(), o.verb, o.cmd)
		if err != nil {
			return err
		}
		return t.print(done, func(ui.Style) string { return done.Text + "\n" })
	}
	if o.question != "" && !o.yes {
		if err := t.ask(o.question); err != nil {
			return err
		}
	}
	done, err := t.client().Do(c.Context(), o.verb, o.cmd)
	if err != nil {
		return err
	}
	if err := t.print(done, func(s ui.Style) string { return s.Mark(ui.Good, done.Text) + "\n" }); err != nil {
		return err
	}
	if o.wait {
		return t.watch(c.Context(), o.cmd.App, o.timeout)
	}
	return nil
}

// ask puts a question to a person at a terminal.
func (t *tool) ask(question string) error {
	line, err := t.answer(question + " [y/N]")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(strings.ToLower(line), "y") {
		return exitError{exitFailed, errors.New("not confirmed; nothing was done")}
	}
	return nil
}

func (t *tool) rollback() *cobra.Command {
	o := order{verb: "rollback"}
	c := &cobra.Command{
		Use:   "rollback APP",
		Short: "Go back to an older, proven release and hold the app there",
		Long: `Go back to an older, proven release. It needs no Git, no registry and no quorum.
The app is then held: a newer release, a git revert or tealctl resume lifts that.`,
		Example: `  tealctl rollback shop --reason "checkout errors"
  tealctl rollback shop --to v1.2.2 --reason "checkout errors" --yes --wait`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			if o.cmd.Reason == "" {
				return usage(errors.New("a rollback needs --reason: it is written to the journal"))
			}
			to := o.cmd.To
			if to == "" {
				to = "the last proven release before this one"
			}
			o.question = fmt.Sprintf("Roll %s back to %s?", args[0], to)
			return t.give(c, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.cmd.To, "to", "", "version or digest (default: the last proven release before the live one)")
	f.StringVar(&o.cmd.Reason, "reason", "", "why, for the journal (required)")
	f.BoolVar(&o.cmd.DryRun, "dry-run", false, "say what would be done, do nothing")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.wait, "wait", false, "wait until it is done")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "longest wait of --wait")
	return c
}

// simple is a verb on one app with an optional reason.
func (t *tool) simple(verb, short, long string) *cobra.Command {
	o := order{verb: verb}
	c := &cobra.Command{
		Use: verb + " APP", Short: short, Long: long,
		Example: fmt.Sprintf("  tealctl %s shop --reason \"corrected the database\"", verb),
		Args:    cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			return t.give(c, o)
		},
	}
	c.Flags().StringVar(&o.cmd.Reason, "reason", "", "why, for the journal")
	c.Flags().BoolVar(&o.cmd.DryRun, "dry-run", false, "say what would be done, do nothing")
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until the app settles")
	c.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "longest wait of --wait")
	return c
}

func (t *tool) resume() *cobra.Command {
	return t.simple("resume", "Lift a hold: the app follows Git again", "Lift a hold: the app follows Git again. A quarantined release stays quarantined; see retry.")
}

func (t *tool) retry() *cobra.Command {
	return t.simple("retry", "Lift a hold and clear the quarantine: try the release again", "Lift a hold and clear the quarantine of the app's releases: teal tries again what it found bad.")
}

func (t *tool) freeze() *cobra.Command {
	o := order{verb: "freeze"}
	var until string
	c := &cobra.Command{
		Use:   "freeze [APP]",
		Short: "Nothing goes forward: the whole environment, or one app",
		Long:  "Nothing goes forward until unfreeze or --until. What has switched finishes its watch; going back is always allowed.",
		Example: `  tealctl freeze --until 2026-12-24T08:00:00Z --reason "sale weekend"
  tealctl freeze shop --until 4h --reason "database move"`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = arg(args)
			if o.cmd.Reason == "" {
				return usage(errors.New("a freeze needs --reason: everybody who waits reads it"))
			}
			if until != "" {
				at, err := time.Parse(time.RFC3339, until)
				if d, derr := time.ParseDuration(until); derr == nil {
					at, err = time.Now().Add(d), nil
				}
				if err != nil || !at.After(time.Now()) {
					return usage(fmt.Errorf("--until %q: give a time to come as 2026-12-24T08:00:00Z, or a duration as 4h", until))
				}
				o.cmd.Until = at.UTC()
			}
			return t.give(c, o)
		},
	}
	c.Flags().StringVar(&until, "until", "", "a time (RFC 3339) or a duration (default: until unfreeze)")
	c.Flags().StringVar(&o.cmd.Reason, "reason", "", "why (required)")
	c.Flags().BoolVar(&o.cmd.DryRun, "dry-run", false, "say what would be done, do nothing")
	return c
}

func (t *tool) unfreeze() *cobra.Command {
	o := order{verb: "unfreeze"}
	c := &cobra.Command{
		Use: "unfreeze [APP]", Short: "Lift a freeze", Example: "  tealctl unfreeze --reason \"sale over\"",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = arg(args)
			return t.give(c, o)
		},
	}
	c.Flags().StringVar(&o.cmd.Reason, "reason", "", "why, for the journal")
	c.Flags().BoolVar(&o.cmd.DryRun, "dry-run", false, "say what would be done, do nothing")
	return c
}

func (t *tool) sync() *cobra.Command {
	o := order{verb: "sync"}
	c := &cobra.Command{
		Use: "sync [APP]", Short: "Fetch the repository now", Example: "  tealctl sync --wait",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = arg(args)
			return t.give(c, o)
		},
	}
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until every app (or APP) settles")
	c.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "longest wait of --wait")
	return c
}
