package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/rollout"
)

// app are the verbs on an app as a whole.
func (t *tool) app() *cobra.Command {
	c := &cobra.Command{Use: "app", Short: "Take an app off this host",
		Example: "  tealctl app remove shop --host --reason \"moved to eu-2\""}
	c.AddCommand(t.appRemove())
	return c
}

func (t *tool) appRemove() *cobra.Command {
	o := order{verb: "remove"}
	var host bool
	c := &cobra.Command{
		Use:   "remove APP --host",
		Short: "Remove what still runs of an app that Git does not want on this host",
		Long: `Remove an app from this host whose placement names other hosts, or which the repository
does not have any more: its routes first, then, drained, its containers and networks. Its
volumes stay. What Git wants here is not removed by an order: commit absent: true. It shows
what it would do and asks.`,
		Example: `  tealctl app remove shop --host --reason "moved to eu-2"
  tealctl app remove shop --host --reason "moved to eu-2" --yes --wait`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: dangers(fromAgent, exitUnhealthy, exitTimeout),
		RunE: func(c *cobra.Command, args []string) error {
			o.cmd.App = args[0]
			if !host {
				return usage(errors.New("say --host: the app is removed from this host; to remove it everywhere, commit a release with absent: true"))
			}
			if err := o.needsReason("it is written to the journal"); err != nil {
				return err
			}
			o.question = fmt.Sprintf("Remove %s from this host?", args[0])
			return t.give(c, o)
		},
	}
	c.Flags().BoolVar(&host, "host", false, "from this host (required)")
	o.flags(c, "why, for the journal (required)")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	o.waitFlags(c)
	return c
}

// removed is the exit code of a removal: the apps are gone.
func removed(apps []api.AppStatus) error {
	for _, a := range apps {
		if a.Deploy != nil || a.Live != nil || a.Last == nil || a.Last.Phase != rollout.Absent {
			return exitError{code: exitUnhealthy}
		}
	}
	return nil
}
