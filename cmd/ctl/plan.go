package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
)

// plansReply are the plans of all apps.
type plansReply struct {
	api.Meta
	Plans []api.Plan `json:"plans"`
}

func (t *tool) plan() *cobra.Command {
	return t.planning(&cobra.Command{
		Use:     "plan [APP]",
		Short:   "What would be done for the release that Git wants",
		Example: "  tealctl plan\n  tealctl plan shop\n  tealctl plan shop --exit-code   # 5 when something would change",
	}, func(s ui.Style, p api.Plan) string { return s.Plan(p) })
}

func (t *tool) diff() *cobra.Command {
	return t.planning(&cobra.Command{
		Use:     "diff [APP]",
		Short:   "What differs between what runs and what Git wants",
		Long:    "Say what differs between what runs and what Git wants; plan adds the steps that would be done. The answer of -o json is that of plan.",
		Example: "  tealctl diff shop\n  tealctl diff --exit-code || echo something would change",
	}, func(s ui.Style, p api.Plan) string { return s.Diff(p) })
}

// planning makes a command that asks for the plan of one app, or of all.
func (t *tool) planning(c *cobra.Command, draw func(ui.Style, api.Plan) string) *cobra.Command {
	var exitCode bool
	c.Args, c.ValidArgsFunction, c.Annotations = cobra.MaximumNArgs(1), t.completeApps, named(reads(fromAgent, exitDifferent))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := t.plans(cmd.Context(), arg(args))
		if err != nil {
			return err
		}
		changes := 0
		for _, p := range all {
			if p.Different {
				changes++
			}
		}
		if len(args) > 0 {
			err = t.print(all[0], func(s ui.Style) string { return draw(s, all[0]) })
		} else {
			err = t.print(plansReply{api.Meta{APIVersion: api.Version, Kind: "Plans"}, all}, func(s ui.Style) string {
				var b strings.Builder
				for _, p := range all {
					b.WriteString(draw(s, p))
				}
				fmt.Fprintf(&b, "%d of %d apps to change\n", changes, len(all))
				return b.String()
			})
		}
		if err == nil && exitCode && changes > 0 {
			return exitError{code: exitDifferent}
		}
		return err
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit 5 when something would change")
	return c
}

// plans asks for the plan of one app, or of each.
func (t *tool) plans(ctx context.Context, app string) ([]api.Plan, error) {
	names := []string{app}
	if app == "" {
		st, err := t.client().Status(ctx)
		if err != nil {
			return nil, err
		}
		names = nil
		for _, a := range st.Apps {
			names = append(names, a.App)
		}
	}
	all := []api.Plan{}
	for _, name := range names {
		p, err := t.client().Plan(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
