package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/ui"
)

// reasonReply is one reason code with all that the binary knows of it.
type reasonReply struct {
	api.Meta
	release.Entry
}

// reasonsReply is the whole table.
type reasonsReply struct {
	api.Meta
	Reasons []release.Entry `json:"reasons"`
}

func (t *tool) explain() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "explain APP[@VERSION] | TEAL-nnnn | REASON",
		Short: "Why an app is or is not deploying, or what a reason code means",
		Long: `Say why an app stands where it stands: every gate in its order, the first that does not
pass, the next action, and who can do it. @VERSION checks that the answer is about that
release. A reason code or its number is explained from the binary, without an agent.`,
		Example: `  tealctl explain shop
  tealctl explain shop@v1.3.0 -o json
  tealctl explain TEAL-3001
  tealctl explain approval_threshold
  tealctl explain --list`,
		Args: func(c *cobra.Command, args []string) error {
			if all {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		ValidArgsFunction: t.completeExplain,
		Annotations:       named(reads(fromAgent, exitBlocked)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				reply := reasonsReply{api.Meta{APIVersion: api.Version, Kind: "Reasons"}, release.Entries()}
				return t.print(reply, func(s ui.Style) string { return s.Reasons(reply.Reasons) })
			}
			if e, ok := release.Explain(args[0]); ok {
				reply := reasonReply{api.Meta{APIVersion: api.Version, Kind: "Reason"}, e}
				return t.print(reply, func(s ui.Style) string { return s.Reason(e) })
			}
			return t.explainApp(cmd, args[0])
		},
	}
	c.Flags().BoolVar(&all, "list", false, "every reason code with its number")
	return c
}

func (t *tool) explainApp(cmd *cobra.Command, name string) error {
	app, version, _ := strings.Cut(name, "@")
	if !release.ValidName(app) { // a code with a slip of the finger; no app is called so
		return usage(unknownReason(name))
	}
	e, err := t.client().Explain(cmd.Context(), app)
	var failed *api.Failure
	switch {
	case errors.As(err, &failed) && failed.Code == release.UnknownApp:
		if near := release.Near(name); len(near) > 0 {
			return usage(&advice{err: fmt.Errorf("%s, and no reason code of that name", failed.Text), code: release.UnknownApp, next: "Did you mean " + strings.Join(near, " or ") + "?"})
		}
		return err
	case err != nil:
		return err
	}
	if version != "" && !about(e, version) {
		return usage(&advice{err: fmt.Errorf("%s has no release %s in sight: Git wants %s, %s is live", app, version, orNone(e.Version), liveOf(e)), code: release.NoSuchRelease})
	}
	if err := t.print(e, func(s ui.Style) string { return s.Explain(e) }); err != nil {
		return err
	}
	if e.Waits {
		return exitError{code: exitBlocked}
	}
	return nil
}

// about reports whether an explanation is about a version: what Git wants, what is being
// deployed, or what is live.
func about(e api.Explanation, version string) bool {
	if e.Version == version || e.Status.Live != nil && e.Status.Live.Version == version {
		return true
	}
	return e.Status.Deploy != nil && e.Status.Deploy.To.Version == version
}

func liveOf(e api.Explanation) string {
	if e.Status.Live == nil {
		return "nothing"
	}
	return orNone(e.Status.Live.Version)
}

func orNone(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// unknownReason says which codes may have been meant.
func unknownReason(name string) error {
	a := &advice{err: fmt.Errorf("%q is no app and no reason code", name), code: release.CommandLine, next: "Run tealctl explain --list for the codes, tealctl status for the apps."}
	if near := release.Near(name); len(near) > 0 {
		a.next = "Did you mean " + strings.Join(near, " or ") + "?"
	}
	return a
}
