package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/ui"
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

// ending is one line of the table.
type ending struct {
	Code int    `json:"code"`
	Text string `json:"meaning"`
}

var exitTable = []ending{
	{exitOK, "done, healthy, no difference"},
	{exitFailed, "the command failed"},
	{exitUsage, "usage: an unknown flag, a bad argument, or --yes is needed"},
	{exitUnhealthy, "finished, and the answer is not healthy, reverted or failed"},
	{exitNotAuthorised, "not authorised, or evidence is wrong"},
	{exitDifferent, "differences found (plan --exit-code)"},
	{exitBlocked, "blocked: waiting for a person or a window"},
	{exitUnreachable, "the agent does not answer"},
	{exitTimeout, "timed out waiting; the operation goes on"},
	{exitInterrupted, "interrupted; what the agent does goes on"},
}

// What a command can end with, for reads and writes.
var (
	fromAgent = []int{exitOK, exitFailed, exitUsage, exitNotAuthorised, exitUnreachable, exitInterrupted}
	fromFiles = []int{exitOK, exitFailed, exitUsage}
	fromPush  = []int{exitOK, exitFailed, exitUsage, exitNotAuthorised, exitInterrupted}
)

// Keys of a command's annotations.
const (
	doesKey  = "teal-does"
	exitsKey = "teal-exits"
	namesKey = "teal-names"
)

// reads marks a command that only looks, with the exit codes it can end with. It answers
// -o json.
func reads(base []int, more ...int) map[string]string {
	return map[string]string{doesKey: "reads", exitsKey: codeList(base, more)}
}

// named marks a command whose answer is a list of names, for -o name.
func named(annotations map[string]string) map[string]string {
	annotations[namesKey] = "yes"
	return annotations
}

// writes marks a command that changes something. It has --dry-run.
func writes(base []int, more ...int) map[string]string {
	return map[string]string{doesKey: "writes", exitsKey: codeList(base, more)}
}

// dangers marks a command that changes what serves or whom it holds up: it shows a plan
// and asks, unless --yes.
func dangers(base []int, more ...int) map[string]string {
	return map[string]string{doesKey: "dangers", exitsKey: codeList(base, more)}
}

func codeList(base, more []int) string {
	var words []string
	for _, c := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(base, more)))) {
		words = append(words, strconv.Itoa(c))
	}
	return strings.Join(words, ",")
}

// endings are the exit codes that a command says it can end with.
func endings(c *cobra.Command) []ending {
	var all []ending
	for word := range strings.SplitSeq(c.Annotations[exitsKey], ",") {
		for _, e := range exitTable {
			if strconv.Itoa(e.Code) == word {
				all = append(all, e)
			}
		}
	}
	return all
}

// endingsText is the part of a command's help that lists its exit codes.
func endingsText(c *cobra.Command) string {
	var b strings.Builder
	for _, e := range endings(c) {
		fmt.Fprintf(&b, "  %3d  %s\n", e.Code, e.Text)
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nExit codes:\n" + b.String()
}

// exitCodesReply is the table for programs.
type exitCodesReply struct {
	api.Meta
	Codes []ending `json:"codes"`
}

func (t *tool) exitCodes() *cobra.Command {
	var table strings.Builder
	for _, e := range exitTable {
		fmt.Fprintf(&table, "%3d  %s\n", e.Code, e.Text)
	}
	return &cobra.Command{
		Use:         "exit-codes",
		Short:       "The exit codes of every command",
		Long:        "The exit codes are the same for all commands; each command's help lists those it can end with.\n\n" + table.String(),
		Example:     "  tealctl exit-codes\n  tealctl status shop --wait; case $? in 0) echo live;; 3) echo bad;; 6) echo blocked;; esac",
		Args:        cobra.NoArgs,
		Annotations: reads([]int{exitOK, exitUsage}),
		RunE: func(*cobra.Command, []string) error {
			reply := exitCodesReply{api.Meta{APIVersion: api.Version, Kind: "ExitCodes"}, exitTable}
			return t.print(reply, func(ui.Style) string { return table.String() })
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
