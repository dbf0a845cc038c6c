package main

import (
	"fmt"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// planSteps says in order what a deployment of what is wanted would do.
func planSteps(past rollout.State, want rollout.Want) []string {
	w := want.Set
	colour := release.Blue
	if past.Live != nil {
		colour = past.Live.ID.Colour.Other()
	}
	steps := []string{"pull and create everything as " + string(colour) + "; nothing that serves is touched"}
	add := func(format string, names []string) {
		if len(names) > 0 {
			steps = append(steps, fmt.Sprintf(format, strings.Join(names, ", ")))
		}
	}
	jobs := func(when release.JobWhen) (names []string) {
		for _, j := range w.Jobs {
			if j.When == when {
				names = append(names, j.Name)
			}
		}
		return names
	}
	var replaced []string
	for _, name := range want.Replace {
		if was, have := past.Shared[name]; have && was != want.Shared[name] {
			replaced = append(replaced, name)
		}
	}
	add("replace the shared %s: stop, then start; there is none in between", replaced)
	add("run %s to the end before what waits for it", w.Once)
	add("start and check %s", w.Routed)
	add("run the job %s", jobs(release.BeforeSwitch))
	steps = append(steps, "switch all routes at once")
	add("hand over %s", w.Workers)
	add("run the job %s", jobs(release.AfterSwitch))
	steps = append(steps, fmt.Sprintf("watch for %s, a sample every %s, back after %d failed ones", w.Bake.For, w.Bake.Every, w.Bake.Failures))
	add("if it goes back: run the job %s", jobs(release.OnRevert))
	if past.Live != nil {
		steps = append(steps, "drain and stop "+string(past.Live.ID.Colour))
	}
	return steps
}
