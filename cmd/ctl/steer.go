package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
)

// order is a verb that changes something at the agent. A dangerous one shows what it would
// do and asks, unless --yes; without a terminal and without --yes it says the line to run.
type order struct {
	verb     string
	cmd      api.Command
	yes      bool
	wait     bool
	timeout  time.Duration
	question string // empty: it is not asked
}

// flags adds those that orders share.
func (o *order) flags(c *cobra.Command, reason string) {
	f := c.Flags()
	if reason != "" {
		f.StringVar(&o.cmd.Reason, "reason", "", reason)
	}
	f.BoolVar(&o.cmd.DryRun, "dry-run", false, "say what would be done, do nothing")
}

func (o *order) waitFlags(c *cobra.Command) {
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until the order is carried out; the exit code says how it ended")
	c.Flags().DurationVar(&o.timeout, "timeout", defaultWait, "longest wait of --wait")
}

// needsReason refuses an order that everybody who meets it later must be able to read.
func (o *order) needsReason(who string) error {
	if o.cmd.Reason == "" {
		return usage(fmt.Errorf("%s needs --reason: %s", o.verb, who))
	}
	return nil
}

func (t *tool) give(c *cobra.Command, o order) error {
	asks := o.question != "" && !o.yes && !o.cmd.DryRun
	if asks && !t.canAsk() {
		return t.needsYes()
	}
	if asks || o.cmd.DryRun {
		trial := o.cmd
		trial.DryRun = true
		plan, err := t.client().Do(c.Context(), o.verb, trial)
		if err != nil {
			return err
		}
		if o.cmd.DryRun {
			return t.print(plan, func(s ui.Style) string { return s.OrderPlan(plan) })
		}
		fmt.Fprint(t.err, t.style().OrderPlan(plan))
		if err := t.ask(o.question); err != nil {
			return err
		}
	}
	var before api.Status
	if o.wait {
		var err error
		if before, err = t.client().Status(c.Context()); err != nil {
			return err
		}
	}
	done, err := t.client().Do(c.Context(), o.verb, o.cmd)
	if err != nil {
		return err
	}
	if err := t.print(done, func(s ui.Style) string { return s.Done(done) }); err != nil {
		return err
	}
	if o.wait {
		return t.waitFor(c.Context(), o, before)
	}
	return nil
}

func (t *tool) rollback() *cobra.Command {
	o := order{verb: "rollback"}
	c := &cobra.Command{
		Use:   "rollback APP",
		Short: "Go back to an older, proven release and hold the app there",
		Long: `Go back to an older, proven release. It needs no Git, no registry and no quorum. It shows
what it would do and asks. The app is then held: a newer release, a git revert or tealctl
resume lifts that.`,
		Example: `  tealctl rollback shop --reason "checkout errors"
  tealctl rollback shop --to v1.2.2 --reason "checkout errors" --yes --wait`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: dangers(fromAgent, exitUnhealthy, exitTimeout),
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			if err := o.needsReason("it is written to the journal"); err != nil {
				return err
			}
			to := o.cmd.To
			if to == "" {
				to = "the last proven release before this one"
			}
			o.question = fmt.Sprintf("Roll %s back to %s?", args[0], to)
			return t.give(c, o)
		},
	}
	c.Flags().StringVar(&o.cmd.To, "to", "", "version or digest (default: the last proven release before the live one)")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	o.flags(c, "why, for the journal (required)")
	o.waitFlags(c)
	return c
}

// simple is a verb on one app with an optional reason.
func (t *tool) simple(verb, short, long string) *cobra.Command {
	o := order{verb: verb}
	c := &cobra.Command{
		Use: verb + " APP", Short: short, Long: long,
		Example: fmt.Sprintf("  tealctl %[1]s shop --reason \"corrected the database\"\n  tealctl %[1]s shop --wait --timeout 15m", verb),
		Args:    cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: writes(fromAgent, exitUnhealthy, exitBlocked, exitTimeout),
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			return t.give(c, o)
		},
	}
	o.flags(c, "why, for the journal")
	o.waitFlags(c)
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
		Use:   "freeze [ENV|APP]",
		Short: "Nothing goes forward: the whole environment, or one app",
		Long: `Nothing goes forward until unfreeze or --until. What has switched finishes its watch; going
back is always allowed. It shows what it holds up and asks.`,
		Example: `  tealctl freeze production --until "2026-12-24 08:00" --reason "sale weekend"
  tealctl freeze shop --until 4h --reason "database move" --yes`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: t.completeScopes,
		Annotations: dangers(fromAgent),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.needsReason("everybody who waits reads it"); err != nil {
				return err
			}
			if until != "" {
				at, err := moment(until, time.Now(), 1)
				if err != nil {
					return usage(fmt.Errorf("--until %w", err))
				}
				o.cmd.Until = at.UTC()
			}
			var err error
			if o.cmd.App, err = t.frozen(c.Context(), arg(args)); err != nil {
				return err
			}
			o.question = "Freeze the whole environment?"
			if o.cmd.App != "" {
				o.question = fmt.Sprintf("Freeze %s?", o.cmd.App)
			}
			return t.give(c, o)
		},
	}
	c.Flags().StringVar(&until, "until", "", "a time (RFC 3339, or 2026-12-24 08:00 in this machine's zone) or a duration as 4h or 2d (default: until unfreeze)")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	o.flags(c, "why (required)")
	return c
}

// frozen is the app that a freeze names; "" for the whole environment, which can be named
// too. An app of the environment's name goes first.
func (t *tool) frozen(ctx context.Context, name string) (app string, err error) {
	if name == "" {
		return "", nil
	}
	st, err := t.client().Status(ctx)
	if err != nil {
		return "", err
	}
	if name == st.Environment && only(st.Apps, name) == nil {
		return "", nil
	}
	return name, nil
}

func (t *tool) unfreeze() *cobra.Command {
	o := order{verb: "unfreeze"}
	c := &cobra.Command{
		Use:     "unfreeze [ENV|APP]",
		Short:   "Lift a freeze",
		Example: "  tealctl unfreeze production --reason \"sale over\"\n  tealctl unfreeze shop --reason \"database moved\"",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeScopes,
		Annotations: writes(fromAgent),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.needsReason("it is written to the journal"); err != nil {
				return err
			}
			var err error
			if o.cmd.App, err = t.frozen(c.Context(), arg(args)); err != nil {
				return err
			}
			return t.give(c, o)
		},
	}
	o.flags(c, "why, for the journal (required)")
	return c
}

func (t *tool) sync() *cobra.Command {
	o := order{verb: "sync"}
	c := &cobra.Command{
		Use:     "sync [APP]",
		Short:   "Fetch the repository now",
		Example: "  tealctl sync\n  tealctl sync shop --wait --timeout 15m",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: writes(fromAgent, exitUnhealthy, exitBlocked, exitTimeout),
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = arg(args)
			return t.give(c, o)
		},
	}
	o.flags(c, "")
	o.waitFlags(c)
	return c
}

var errTimeout = errors.New("not settled in time; the deployment goes on")
