package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
)

// advice gives an error its reason code, and its next action where the table's is too
// general.
type advice struct {
	err  error
	code release.Code
	next string // empty: the table's
}

func (a *advice) Error() string { return a.err.Error() }
func (a *advice) Unwrap() error { return a.err }

// end is how a run ends: the exit code and, unless all is said, what failed and why.
type end struct {
	code int
	text string // empty: nothing is left to say
	id   string // TEAL-nnnn
	next string
}

// endOf judges an error. Each has a stable number and a next action.
func endOf(ctx context.Context, cmd *cobra.Command, err error) end {
	var coded exitError
	var failed *api.Failure
	var given *advice
	e := end{code: exitFailed, text: err.Error()}
	code := release.CommandFailed
	switch {
	case errors.As(err, &coded):
		if coded.err == nil {
			return end{code: coded.code}
		}
		e.code = coded.code
		switch coded.code {
		case exitUsage:
			code = release.CommandLine
		case exitNotAuthorised:
			code = release.Refused
		case exitTimeout:
			code = release.WaitTimeout
		case exitInterrupted:
			code = release.Interrupted
		case exitUnreachable:
			code = release.AgentUnreachable
		}
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.code, e.text, code = exitInterrupted, "interrupted; what the agent does goes on", release.Interrupted
		if !talksToAgent(cmd) {
			e.text = "interrupted; what was not reported as done was not done"
		}
	case errors.As(err, &failed):
		e.text, code, e.next = failed.Text, failed.Code, failed.Next
		switch failed.Code {
		case release.NotAuthorised:
			e.code = exitNotAuthorised
		case release.BadRequest, release.UnknownApp, release.NoSuchRelease:
			e.code = exitUsage
		}
	case errors.Is(err, api.ErrUnreachable):
		e.code, code = exitUnreachable, release.AgentUnreachable
	case errors.Is(err, context.DeadlineExceeded):
		e.code, code = exitTimeout, release.WaitTimeout
	}
	// Who wrote the error may have named the reason, by type or as a word before a colon.
	if errors.As(err, &given) {
		code, e.next = given.code, given.next
	} else {
		for word := range strings.SplitSeq(e.text, ": ") {
			if _, known := release.Lookup(release.Code(word)); known {
				code = release.Code(word)
				break
			}
		}
	}
	if r, ok := release.Lookup(code); ok {
		e.id = r.ID()
		if e.next == "" {
			e.next = r.Next
			if code == release.CommandLine && cmd != nil {
				e.next = "Read " + cmd.CommandPath() + " --help."
			}
		}
	} else if failed != nil {
		e.id = failed.ID // an agent newer than this tealctl
	}
	return e
}

// talksToAgent reports whether a command says that it can fail to reach the agent.
func talksToAgent(cmd *cobra.Command) bool {
	if cmd != nil {
		for _, e := range endings(cmd) {
			if e.Code == exitUnreachable {
				return true
			}
		}
	}
	return false
}

// safe is a message that may quote what others wrote: it moves no cursor, and a line of it
// cannot pass for one of ours.
func (t *tool) safe(text string) string {
	s := t.style()
	s.Width = 0
	return strings.ReplaceAll(s.Paragraph(s.Text(text, true), ""), "\n", "\n  ")
}

// exit says what is left to say and gives the exit code: what failed and why, its stable
// number, and the next action.
func (t *tool) exit(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	e := endOf(ctx, cmd, err)
	if e.text == "" {
		return e.code
	}
	path := "tealctl"
	if cmd != nil {
		path = cmd.CommandPath()
	}
	text := path + ": " + e.text
	if e.id != "" {
		text += " (" + e.id + ")"
	}
	fmt.Fprintln(t.err, t.safe(text))
	if e.next != "" {
		fmt.Fprintln(t.err, "  next: "+t.safe(e.next))
	}
	if t.asked && e.code != exitUnreachable {
		fmt.Fprintln(t.err, "  trace: "+t.trace+"   (in the agent's log)")
	}
	return e.code
}
