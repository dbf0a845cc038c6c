package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// The exit codes of every command, one table.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitUnhealthy     = 3
	exitNotAuthorised = 4
	exitDifferent     = 5
	exitBlocked       = 6
	exitUnreachable   = 7
	exitTimeout       = 8
	exitInterrupted   = 130
)

var exitTable = []struct {
	code int
	text string
}{
	{exitOK, "done, healthy, no difference"},
	{exitFailed, "the command failed"},
	{exitUsage, "usage: an unknown flag, a bad argument"},
	{exitUnhealthy, "finished, and the answer is not healthy, reverted or failed"},
	{exitNotAuthorised, "not authorised, or evidence is wrong (verify)"},
	{exitDifferent, "differences found (plan --exit-code)"},
	{exitBlocked, "blocked: waiting for a person or a window"},
	{exitUnreachable, "the agent does not answer"},
	{exitTimeout, "timed out waiting; the operation goes on"},
	{exitInterrupted, "interrupted; the operation goes on"},
}

func exitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "The exit codes of every command",
		Run: func(cmd *cobra.Command, _ []string) {
			for _, e := range exitTable {
				fmt.Fprintf(cmd.OutOrStdout(), "%3d  %s\n", e.code, e.text)
			}
		},
	}
}

// exitError ends with a code of its own; err may be nil when all is said.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func usage(err error) error { return exitError{exitUsage, err} }
