package sim

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// named is manifest under a name, with a volume that the worker alone writes.
func named(app, formerly, version string, sequence int) map[string]string {
	text := manifest(version, sequence)["environments/staging/shop/release.yaml"]
	text = strings.Replace(text, "name: shop\n", "name: "+app+"\n", 1)
	text = strings.Replace(text, "check]}\n", "check]}\n    volumes: [data:/data]\n", 1)
	text = strings.Replace(text, "x-teal:\n  version", "volumes: {data: {}}\nx-teal:\n  volumes: {data: exclusive}\n  version", 1)
	if formerly != "" {
		text += "  formerly: " + formerly + "\n"
	}
	return map[string]string{"environments/staging/" + app + "/release.yaml": text}
}

// commitAs commits a release under a name. The directory of the former name goes with the
// same commit.
func commitAs(app, formerly, version string, sequence int) func(*World, *Agent) error {
	return func(w *World, _ *Agent) error {
		files := named(app, formerly, version, sequence)
		if formerly != "" {
			files["environments/staging/"+formerly+"/release.yaml"] = ""
		}
		w.Commit(files)
		return nil
	}
}

// orderOf orders something of an app, once.
func orderOf(app string, kind rollout.OrderKind) func(*World, *Agent) error {
	return func(_ *World, a *Agent) error {
		if len(a.Fleet.Orders(app)) > 0 {
			return nil // it was durable before the crash
		}
		_, err := a.Fleet.Order(context.Background(), rollout.Order{Kind: kind, App: app, Actor: "ann (uid 1000)", Reason: "checkout errors"})
		return err
	}
}

// as says that the app has a name, beside what else must hold.
func as(app string, and func(rollout.State) bool) func(rollout.State) bool {
	return func(s rollout.State) bool { return s.App == app && and(s) }
}

// refuses says what the app under a name waits for.
func refuses(app string, why release.Code) func(*World, *Agent) error {
	return func(_ *World, a *Agent) error {
		for _, s := range a.Status() {
			if s.App == app && s.Wait.Why == why {
				return nil
			}
		}
		return fmt.Errorf("%s does not wait for %s", app, why)
	}
}

// formerlyStories are of an app that gets another name; calm ones add nothing to where a
// crash can come.
func formerlyStories() (crash, calm []story) {
	v1 := step{commitAs("shop", "", "v1.0.0", 1), ended("v1.0.0")}
	v2 := step{commitAs("shop2", "shop", "v2.0.0", 2), as("shop2", ended("v2.0.0"))}
	errors := release.BakeBurst + "|" + release.BakeFailed + "|" + release.ProbeFailed
	data := []string{"shop_data"}
	crash = []story{
		{name: "renamed", steps: []step{v1, v2,
			{func(w *World, _ *Agent) error { w.Commit(named("shop", "", "v1.0.0", 1)); return nil }, atRest}, // a replay
			{refuses("shop", release.AppRenamed), atRest},
			{func(w *World, _ *Agent) error { w.Commit(named("shop", "", "v9.0.0", 9)); return nil }, atRest}, // a newer one
			{refuses("shop", release.AppRenamed), as("shop2", atRest)}},
			live: "v2.0.0", ends: rollout.Live, volumes: data},
		{name: "renamed, and bad in the bake", behave: map[string]Behaviour{"v2.0.0": {ErrorsAfter: 9 * time.Second}}, steps: []step{v1, v2},
			live: "v1.0.0", ends: rollout.Reverted, why: errors, refused: "v2.0.0", volumes: data},
		{name: "renamed twice, and back", steps: []step{v1, v2, {commitAs("shop3", "shop2", "v3.0.0", 3), as("shop3", ended("v3.0.0"))},
			{commitAs("shop", "shop3", "v4.0.0", 4), as("shop", ended("v4.0.0"))}}, live: "v4.0.0", ends: rollout.Live, volumes: data},
		{name: "renamed, then removed with its data", steps: []step{v1, v2, {func(w *World, _ *Agent) error {
			w.Commit(map[string]string{"environments/staging/shop2/release.yaml": "name: shop2\nx-teal: {version: v3.0.0, sequence: 3, preparedBy: ci-bot, absent: true, purge: [data]}\n"})
			return nil
		}, gone}}, ends: rollout.Absent, volumes: []string{}},
	}
	calm = []story{
		{name: "renamed, then rolled back", steps: []step{v1, v2, {orderOf("shop2", rollout.OrderRollback), func(s rollout.State) bool { return atRest(s) && s.Hold != nil }}},
			live: "v1.0.0", ends: rollout.Live, why: release.RolledBack, volumes: data},
		{name: "renamed in the bake", steps: []step{v1, {commitAs("shop", "", "v1.1.0", 2), either(in(rollout.Baking, "v1.1.0"), ended("v1.1.0"))},
			{commitAs("shop2", "shop", "v2.0.0", 3), as("shop2", ended("v2.0.0"))}}, live: "v2.0.0", ends: rollout.Live, volumes: data},
		{name: "renamed, and never ready", behave: map[string]Behaviour{"v2.0.0": {NeverReady: true}}, steps: []step{v1, v2, {commitAs("shop2", "shop", "v3.0.0", 3), ended("v3.0.0")}},
			live: "v3.0.0", ends: rollout.Live, refused: "v2.0.0", volumes: data},
		{name: "renamed with an older sequence, then a newer one", steps: []step{v1, {commitAs("shop", "", "v1.1.0", 5), ended("v1.1.0")},
			{commitAs("shop2", "shop", "v2.0.0", 4), func(rollout.State) bool { return true }}, {refuses("shop2", release.SequenceRollback), ended("v1.1.0")},
			{commitAs("shop2", "shop", "v2.0.0", 6), as("shop2", ended("v2.0.0"))}}, live: "v2.0.0", ends: rollout.Live, volumes: data},
		{name: "renamed while it still stands", steps: []step{v1,
			{func(w *World, _ *Agent) error { w.Commit(named("shop2", "shop", "v2.0.0", 2)); return nil }, ended("v1.0.0")},
			{refuses("shop2", release.FormerStands), as("shop", ended("v1.0.0"))}, v2}, live: "v2.0.0", ends: rollout.Live, volumes: data},
	}
	return crash, calm
}

func TestRenamed(t *testing.T) {
	_, calm := formerlyStories()
	for _, s := range calm {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, 0, false)
		})
	}
}
