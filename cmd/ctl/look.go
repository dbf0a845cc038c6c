package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			app := arg(args)
			switch {
			case watch:
				return t.watch(cmd.Context(), app, 0)
			case wait:
				return t.watch(cmd.Context(), app, timeout)
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
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "longest wait of --wait")
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

// settled reports whether nothing will move without a person or a commit.
func settled(a api.AppStatus) bool {
	return a.Deploy == nil && a.Wait.Why != release.Working && a.Wait.Why != "" || a.Deploy != nil && a.Deploy.Phase == rollout.Blocked
}

// verdictOf is the exit code of a list of apps.
func verdictOf(apps []api.AppStatus) error {
	code := exitOK
	for _, a := range apps {
		switch {
		case a.Healthy:
		case a.Deploy != nil && a.Deploy.Phase == rollout.Blocked:
			code = max(code, exitBlocked)
			if r, ok := release.Lookup(a.Wait.Why); ok && !r.Waits {
				return exitError{code: exitUnhealthy}
			}
		default:
			return exitError{code: exitUnhealthy}
		}
	}
	if code == exitOK {
		return nil
	}
	return exitError{code: code}
}

// watch follows the status. wait 0 means for ever; else until all shown apps settled
// or the time is over.
func (t *tool) watch(ctx context.Context, app string, wait time.Duration) error {
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	style, tty := t.style(), t.terminal() && t.format == "table"
	last := map[string]string{}
	began := time.Now()
	for {
		st, err := t.client().Status(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return t.watchEnded(ctx)
			}
			return err
		}
		if app != "" {
			if _, err := find(st, app); err != nil {
				if wait > 0 && time.Since(began) < 30*time.Second { // the commit may not be fetched yet
					if !pause(ctx) {
						return t.watchEnded(ctx)
					}
					continue
				}
				return err
			}
			st.Apps = only(st.Apps, app)
		}
		if tty {
			fmt.Fprint(t.out, "\x1b[H\x1b[2J"+style.Watch(st, app))
		} else {
			for _, a := range st.Apps {
				line := style.Transition(a, st.Now)
				_, key, _ := strings.Cut(line, " ")
				if last[a.App] == key {
					continue
				}
				last[a.App] = key
				if t.format == "json" {
					if err := json.NewEncoder(t.out).Encode(a); err != nil {
						return err
					}
				} else {
					fmt.Fprintln(t.out, line)
				}
			}
		}
		if wait > 0 && len(st.Apps) > 0 {
			all := true
			for _, a := range st.Apps {
				all = all && settled(a)
			}
			if all {
				return verdictOf(st.Apps)
			}
		}
		if !pause(ctx) {
			return t.watchEnded(ctx)
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(250 * time.Millisecond):
		return true
	}
}

func (t *tool) watchEnded(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return exitError{exitTimeout, errors.New("not settled in time; the deployment goes on")}
	}
	return exitError{code: exitInterrupted}
}

func (t *tool) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain APP|TEAL-nnnn|REASON",
		Short: "Why an app is or is not deploying, or what a reason code means",
		Example: `  tealctl explain shop
  tealctl explain TEAL-3001
  tealctl explain approval_threshold`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			reason, ok := release.LookupID(strings.ToUpper(args[0]))
			if !ok {
				reason, ok = release.Lookup(release.Code(args[0]))
			}
			if ok {
				return t.print(reasonReply{api.Meta{APIVersion: api.Version, Kind: "Reason"}, reason.ID(), reason.Code, reason.Summary, reason.Next, reason.Waits},
					func(s ui.Style) string { return s.Reason(reason) })
			}
			e, err := t.client().Explain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := t.print(e, func(s ui.Style) string { return s.Explain(e) }); err != nil {
				return err
			}
			if e.Waits {
				return exitError{code: exitBlocked}
			}
			return nil
		},
	}
}

type reasonReply struct {
	api.Meta
	ID      string       `json:"id"`
	Code    release.Code `json:"code"`
	Summary string       `json:"summary"`
	Next    string       `json:"next"`
	Waits   bool         `json:"waits"`
}

func (t *tool) history() *cobra.Command {
	var n int
	c := &cobra.Command{
		Use:     "history [APP]",
		Short:   "Deployments with their outcome, newest first",
		Example: "  tealctl history shop -n 5",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := t.client().History(cmd.Context(), arg(args), n)
			if err != nil {
				return err
			}
			return t.print(h, func(s ui.Style) string { return s.History(h, time.Now()) })
		},
	}
	c.Flags().IntVarP(&n, "number", "n", 20, "how many")
	return c
}

func (t *tool) plan() *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use:     "plan APP",
		Short:   "What would be done for the release that Git wants",
		Example: "  tealctl plan shop\n  tealctl plan shop --exit-code   # 5 when something would change",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := t.client().Plan(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := t.print(p, func(s ui.Style) string { return s.Plan(p) }); err != nil {
				return err
			}
			if exitCode && p.Different {
				return exitError{code: exitDifferent}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit 5 when something would change")
	return c
}

func (t *tool) logs() *cobra.Command {
	var q api.LogQuery
	var colour string
	c := &cobra.Command{
		Use:     "logs APP [SERVICE]",
		Short:   "Container logs of a colour",
		Example: "  tealctl logs shop backend -f\n  tealctl logs shop --colour green --tail 50",
		Args:    cobra.RangeArgs(1, 2), ValidArgsFunction: t.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.App, q.Colour = args[0], release.Colour(colour)
			if len(args) > 1 {
				q.Service = args[1]
			}
			return t.client().Logs(cmd.Context(), q, t.out)
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
		RunE: func(cmd *cobra.Command, args []string) error {
			style := t.style()
			return t.client().Events(cmd.Context(), arg(args), since, follow, func(e api.Event) error {
				if t.format == "json" {
					return json.NewEncoder(t.out).Encode(e)
				}
				e.Data = nil
				return t.print(e, func(ui.Style) string { return style.Event(e, time.Now()) })
			})
		},
	}
	c.Flags().BoolVarP(&follow, "watch", "w", false, "go on as records are written")
	c.Flags().Uint64Var(&since, "since", 0, "only records after this number")
	return c
}

func (t *tool) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Versions of tealctl and the agent", Args: cobra.NoArgs,
		Example: "  tealctl version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply := struct {
				api.Meta
				Client string     `json:"client"`
				Agent  *api.About `json:"agent,omitempty"`
				Error  string     `json:"error,omitempty"`
			}{Meta: api.Meta{APIVersion: api.Version, Kind: "Version"}, Client: version}
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

// completeApps completes app names within 300 ms, silently nothing when the agent is
// slow or absent.
func (t *tool) completeApps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	st, err := t.client().Status(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, a := range st.Apps {
		names = append(names, a.App+"\t"+a.State)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
