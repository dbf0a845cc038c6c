package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
)

// completionBudget is how long a key press may wait for the agent. A slow, a hung and an
// absent agent all complete to nothing, silently.
const completionBudget = 300 * time.Millisecond

// live is the agent's status within the budget; without it nothing is completed.
func (t *tool) live(c *cobra.Command) (api.Status, bool) {
	ctx, cancel := context.WithTimeout(c.Context(), completionBudget)
	defer cancel()
	st, err := t.client().Status(ctx)
	return st, err == nil
}

// completeApps completes app names with their state.
func (t *tool) completeApps(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	st, _ := t.live(c)
	return appNames(st), cobra.ShellCompDirectiveNoFileComp
}

func appNames(st api.Status) []string {
	var all []string
	for _, a := range st.Apps {
		if release.ValidName(a.App) { // what the shell reads again must be a name
			all = append(all, described(a.App, a.State))
		}
	}
	return all
}

// described is a completion with its description, which shells show beside it.
func described(word, text string) string {
	return word + "\t" + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
}

// completeExplain completes apps, and reason codes or numbers when the word begins so.
func (t *tool) completeExplain(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	st, _ := t.live(c)
	all := appNames(st)
	for _, e := range release.Entries() {
		if strings.HasPrefix(strings.ToLower(word), "teal-") {
			all = append(all, described(e.ID, string(e.Code)))
		} else if word != "" {
			all = append(all, described(string(e.Code), e.Summary))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
