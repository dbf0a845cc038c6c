package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
)

// item is one line of the checklist.
type item struct {
	name, asks string // asks is the question to a person
}

var items = []item{
	{"tests", "Do the tests of exactly this build pass?"},
	{"scans", "Are the scans of these images clear?"},
	{"staging", "Did this release run well in staging?"},
	{"migrations", "Are the migrations reviewed?"},
	{"rollback", "Is there a release to go back to?"},
}

// lineOf is the checklist's line of that name.
func lineOf(c *trust.Checklist, name string) *trust.Check {
	switch name {
	case "tests":
		return &c.Tests
	case "scans":
		return &c.Scans
	case "staging":
		return &c.Staging
	case "migrations":
		return &c.Migrations
	}
	return &c.Rollback
}

// checkFlags is what a person says of the lines on the command line. A line that teal
// itself verified needs no word of theirs, and no word of theirs makes one verified.
type checkFlags struct {
	state, note map[string]*string
	given       func(flag string) bool
}

func (q *checkFlags) flags(c *cobra.Command) {
	q.state, q.note = map[string]*string{}, map[string]*string{}
	for _, i := range items {
		q.state[i.name] = c.Flags().String(i.name, string(trust.Confirmed), "checklist: confirmed or not_applicable, where nothing was verified by evidence")
		q.note[i.name] = c.Flags().String(i.name+"-note", "", "checklist: a note on "+i.name)
	}
	q.given = c.Flags().Changed
}

func (q checkFlags) check() error {
	for _, i := range items {
		switch state := trust.CheckState(*q.state[i.name]); state {
		case trust.Confirmed, trust.NotApplicable:
		case trust.Verified:
			return usage(fmt.Errorf("--%s verified: a person says confirmed or not_applicable; verified is said by evidence alone", i.name))
		default:
			return usage(fmt.Errorf("--%s %q: say confirmed or not_applicable", i.name, state))
		}
	}
	return nil
}

// contradicts refuses flags that say something else than a statement that is there.
func (q checkFlags) contradicts(have trust.Checklist) error {
	for _, i := range items {
		line := lineOf(&have, i.name)
		if q.given(i.name) && line.State != trust.Verified && *q.state[i.name] != string(line.State) {
			return usage(fmt.Errorf("the statement that is there says %s %s; leave out --%s to sign that one", i.name, line.State, i.name))
		}
		if q.given(i.name+"-note") && *q.note[i.name] != line.Note {
			return usage(fmt.Errorf("the statement that is there has no such note on %s; who signs assents to what is there: leave out --%s-note", i.name, i.name))
		}
	}
	return nil
}

// tick is what evidence says of one line: that it is so (Note: why), that it is not
// (Against), or nothing.
type tick struct {
	Verified bool
	Note     string
	Against  string
}

// settle makes the checklist: what evidence shows is verified; the rest a person says, by
// flag or asked by ask.
func (q checkFlags) settle(ticks map[string]tick, ask func(item) (trust.CheckState, error)) (trust.Checklist, error) {
	var list trust.Checklist
	for _, i := range items {
		line, seen := lineOf(&list, i.name), ticks[i.name]
		line.Note = *q.note[i.name]
		if seen.Verified {
			line.State = trust.Verified
			if line.Note == "" {
				line.Note = seen.Note
			}
			continue
		}
		line.State = trust.CheckState(*q.state[i.name])
		if ask != nil && !q.given(i.name) {
			state, err := ask(i)
			if err != nil {
				return list, err
			}
			line.State = state
		}
		if seen.Against != "" && line.State == trust.NotApplicable {
			return list, usage(fmt.Errorf("%s cannot be not_applicable: %s", i.name, seen.Against))
		}
	}
	return list, nil
}

// askItem asks a person for one line at the terminal.
func (t *tool) askItem(i item) (trust.CheckState, error) {
	answer, err := t.answer(fmt.Sprintf("%-11s %s [y/N, - does not apply]", i.name, i.asks))
	if err != nil {
		return "", err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return trust.Confirmed, nil
	case "-", "na", "n/a":
		return trust.NotApplicable, nil
	}
	return "", exitError{exitFailed, errors.New("not confirmed: " + i.name + "; nothing was signed")}
}

// checklistText shows the lines, and what evidence here says of those that claim more or
// hide something.
func checklistText(list trust.Checklist, ticks map[string]tick) string {
	var b strings.Builder
	for _, i := range items {
		line, seen := lineOf(&list, i.name), ticks[i.name]
		box := "[x]"
		if line.State != trust.Verified {
			box = "[ ]"
		}
		fmt.Fprintf(&b, "  %s %-11s %-14s %s\n", box, i.name, line.State, trust.Escape(line.Note))
		switch {
		case seen.Against != "":
			fmt.Fprintf(&b, "  !   %-11s %s\n", "", seen.Against)
		case line.State == trust.Verified && !seen.Verified:
			fmt.Fprintf(&b, "  !   %-11s the statement says verified; nothing here verifies it\n", "")
		}
	}
	return b.String()
}
