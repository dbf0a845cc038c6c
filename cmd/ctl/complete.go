package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
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

// completeScopes completes the environment and apps.
func (t *tool) completeScopes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	st, ok := t.live(c)
	all := appNames(st)
	if ok && release.ValidName(st.Environment) {
		all = append(all, described(st.Environment, "the whole environment"))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
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

// completeExplain completes apps and their versions, and reason codes or numbers when the
// word begins so.
func (t *tool) completeExplain(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if strings.HasPrefix(strings.ToLower(word), "teal-") {
		var all []string
		for _, e := range release.Entries() {
			all = append(all, described(e.ID, string(e.Code)))
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
	st, _ := t.live(c)
	if app, _, at := strings.Cut(word, "@"); at {
		var all []string
		for _, a := range st.Apps {
			if a.App == app {
				for _, v := range versions(a) {
					all = append(all, app+"@"+v)
				}
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
	all := appNames(st)
	if word != "" {
		for _, e := range release.Entries() {
			all = append(all, described(string(e.Code), e.Summary))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// versions are those that an app has in sight here: wanted, live and kept.
func versions(a api.AppStatus) []string {
	var all []string
	add := func(set *rollout.Set, what string) {
		if set != nil && plainWord.MatchString(set.Version) {
			word := described(set.Version, what)
			if !slices.ContainsFunc(all, func(have string) bool { return strings.HasPrefix(have, set.Version+"\t") }) {
				all = append(all, word)
			}
		}
	}
	add(a.Live, "live")
	add(a.Desired, "wanted by Git")
	if a.Deploy != nil {
		add(&a.Deploy.To, "being deployed")
	}
	add(a.Proven, "proven")
	for i := range a.Old {
		add(&a.Old[i], "kept")
	}
	return all
}

// completeTargets completes what a rollback can go back to.
func (t *tool) completeTargets(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, _ := t.live(c)
	var all []string
	for _, a := range st.Apps {
		if len(args) == 0 || a.App != args[0] {
			continue
		}
		for i, set := range append([]rollout.Set{}, a.Old...) {
			if plainWord.MatchString(set.Version) {
				all = append(all, described(set.Version, fmt.Sprintf("kept, sequence %d", a.Old[i].Sequence)))
			}
		}
		if p := a.Proven; p != nil && (a.Live == nil || p.ID != a.Live.ID) && plainWord.MatchString(p.Version) {
			all = append(all, described(p.Version, "proven"))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeColours completes colours, the live one named.
func (t *tool) completeColours(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, _ := t.live(c)
	live := release.Colour("")
	for _, a := range st.Apps {
		if len(args) > 0 && a.App == args[0] && a.Live != nil {
			live = a.Live.ID.Colour
		}
	}
	var all []string
	for _, colour := range []release.Colour{release.Blue, release.Green} {
		word := string(colour)
		if colour == live {
			word = described(word, "live")
		}
		all = append(all, word)
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeServices completes an app, then its services.
func (t *tool) completeServices(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return t.completeApps(c, args, word)
	}
	st, _ := t.live(c)
	var all []string
	for _, a := range st.Apps {
		for _, set := range []*rollout.Set{a.Live, a.Desired} {
			if a.App == args[0] && set != nil {
				all = append(all, set.Routed...)
				all = append(all, set.Workers...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
}

// completeEnvironments completes the environments of the clone at hand and the agent's.
func (t *tool) completeEnvironments(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	repo := "."
	if f := c.Flags().Lookup("repo"); f != nil {
		repo = f.Value.String()
	}
	var all []string
	dirs, _ := os.ReadDir(filepath.Join(repo, "environments"))
	for _, d := range dirs {
		if d.IsDir() && release.ValidName(d.Name()) {
			all = append(all, d.Name())
		}
	}
	if st, ok := t.live(c); ok && release.ValidName(st.Environment) && !slices.Contains(all, st.Environment) {
		all = append(all, described(st.Environment, "of this host"))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeSequences completes APP=N with the highest sequence that each app has here.
func (t *tool) completeSequences(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, _ := t.live(c)
	var all []string
	for _, a := range st.Apps {
		highest := int64(0)
		for _, set := range []*rollout.Set{a.Live, a.Desired, a.Proven} {
			if set != nil {
				highest = max(highest, set.Sequence)
			}
		}
		if release.ValidName(a.App) {
			all = append(all, fmt.Sprintf("%s=%d", a.App, highest))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeHost completes the host that the agent is of.
func (t *tool) completeHost(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if st, ok := t.live(c); ok && plainWord.MatchString(st.Host) {
		return []string{described(st.Host, "this host, "+st.Environment)}, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags gives flags of one name the same completion in every command.
func (t *tool) completeFlags(c *cobra.Command) {
	for _, sub := range c.Commands() {
		t.completeFlags(sub)
	}
	for name, f := range map[string]cobra.CompletionFunc{
		"to": t.completeTargets, "host": t.completeHost, "colour": t.completeColours, "env": t.completeEnvironments, "sequence": t.completeSequences,
		"output": cobra.FixedCompletions([]string{"table", "wide", "json", "yaml", "name"}, cobra.ShellCompDirectiveNoFileComp),
		"color":  cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		if c.LocalFlags().Lookup(name) != nil {
			if _, has := c.GetFlagCompletionFunc(name); !has {
				_ = c.RegisterFlagCompletionFunc(name, f) // fails only for flags that are not there
			}
		}
	}
}
