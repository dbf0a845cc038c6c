package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/ui"
)

func (t *tool) status() *cobra.Command {
	var watch, wait, exitCode bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "status [APP]",
		Short: "What runs here, what is wanted, what it waits for",
		Example: `  tealctl status
  tealctl status shop -w
  tealctl status shop --wait --timeout 15m   # until it is live, reverted or held
  tealctl status -o json | jq '.apps[].state'`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: named(reads(fromAgent, exitUnhealthy, exitBlocked, exitTimeout)),
		RunE: func(cmd *cobra.Command, args []string) error {
			app := arg(args)
			switch {
			case wait:
				return t.watch(cmd.Context(), watching{app: app, timeout: timeout, over: allSettled, verdict: verdictOf})
			case watch:
				return t.watch(cmd.Context(), watching{app: app})
			}
			st, err := t.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if app != "" {
				if _, err := find(st, app); err != nil {
					return err
				}
				st.Apps = only(st.Apps, app)
			}
			if err := t.print(st, func(s ui.Style) string { return s.Status(st, app) }); err != nil {
				return err
			}
			if exitCode {
				return verdictOf(st.Apps)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "follow: repaint on a terminal, one line per change in a pipe")
	c.Flags().BoolVar(&wait, "wait", false, "wait until live, reverted, held or blocked; the exit code says which")
	c.Flags().DurationVar(&timeout, "timeout", defaultWait, "longest wait of --wait")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit 3 when an app is not healthy, 6 when one waits for a person")
	return c
}

func arg(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return ""
}

func find(st api.Status, app string) (api.AppStatus, error) {
	var names []string
	for _, a := range st.Apps {
		if a.App == app {
			return a, nil
		}
		names = append(names, a.App)
	}
	return api.AppStatus{}, usage(fmt.Errorf("no app %q here; there are: %s", app, strings.Join(names, ", ")))
}

func only(apps []api.AppStatus, app string) []api.AppStatus {
	for _, a := range apps {
		if a.App == app {
			return []api.AppStatus{a}
		}
	}
	return nil
}

// allHistory is as much as an agent lists.
const allHistory = 10000

func (t *tool) history() *cobra.Command {
	var n int
	var since string
	c := &cobra.Command{
		Use:     "history [APP]",
		Short:   "Deployments with their outcome, newest first",
		Example: "  tealctl history shop -n 5\n  tealctl history --since 7d -o json | jq '.entries[] | select(.result == \"reverted\")'",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: named(reads(fromAgent)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var from time.Time
			if since != "" {
				var err error
				if from, err = moment(since, time.Now(), -1); err != nil {
					return usage(fmt.Errorf("--since %w", err))
				}
				if !cmd.Flags().Changed("number") {
					n = allHistory
				}
			}
			h, err := t.client().History(cmd.Context(), arg(args), n, from)
			if err != nil {
				return err
			}
			return t.print(h, func(s ui.Style) string { return s.History(h, time.Now()) })
		},
	}
	c.Flags().IntVarP(&n, "number", "n", 20, "how many (with --since: all)")
	c.Flags().StringVar(&since, "since", "", "only what ended later or goes on: a time, or how long ago as 24h or 7d")
	return c
}

func (t *tool) logs() *cobra.Command {
	var q api.LogQuery
	var colour string
	c := &cobra.Command{
		Use:     "logs APP [SERVICE]",
		Short:   "Container logs of a colour",
		Example: "  tealctl logs shop backend -f\n  tealctl logs shop --colour green --tail 50",
		Args:    cobra.RangeArgs(1, 2), ValidArgsFunction: t.completeServices,
		Annotations: reads(fromAgent),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.App, q.Colour = args[0], release.Colour(colour)
			if len(args) > 1 {
				q.Service = args[1]
			}
			if t.draws() {
				return t.client().Logs(cmd.Context(), q, t.out)
			}
			lines := &logLines{t: t, app: q.App}
			return errors.Join(t.client().Logs(cmd.Context(), q, lines), lines.flush())
		},
	}
	c.Flags().StringVar(&colour, "colour", "", "blue or green (default: the live one)")
	c.Flags().IntVar(&q.Tail, "tail", 100, "lines from the end")
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on as lines are written")
	return c
}

func (t *tool) events() *cobra.Command {
	var follow bool
	var since uint64
	c := &cobra.Command{
		Use:     "events [APP]",
		Short:   "The agent's journal, record by record",
		Example: "  tealctl events shop -w\n  tealctl events --since 120 -o json",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		Annotations: reads(fromAgent),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.journal(cmd.Context(), arg(args), since, follow)
		},
	}
	c.Flags().BoolVarP(&follow, "watch", "w", false, "go on as records are written")
	c.Flags().Uint64Var(&since, "since", 0, "only records after this number")
	return c
}

// versionReply are the versions of both ends.
type versionReply struct {
	api.Meta
	Client string     `json:"client"`
	Agent  *api.About `json:"agent,omitempty"`
	Error  string     `json:"error,omitempty"` // why the agent says nothing
}

func (t *tool) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Versions of tealctl and the agent", Args: cobra.NoArgs, Annotations: reads([]int{exitOK, exitUsage}),
		Example: "  tealctl version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply := versionReply{Meta: api.Meta{APIVersion: api.Version, Kind: "Version"}, Client: version}
			about, err := t.client().Version(cmd.Context())
			if err == nil {
				reply.Agent = &about
			} else {
				reply.Error = err.Error()
			}
			return t.print(reply, func(ui.Style) string {
				if reply.Agent == nil {
					return fmt.Sprintf("tealctl     %s\nteal-agent  %s\n", version, reply.Error)
				}
				return fmt.Sprintf("tealctl     %s\nteal-agent  %s (%s)\nyou are     %s, role %s\n", version, about.Version, about.Go, about.Actor, about.Role)
			})
		},
	}
}
