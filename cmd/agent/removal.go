package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Remove orders an app off this host.
func (a *agent) Remove(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	s, err := a.one(c.App)
	if err != nil {
		return api.Done{}, err
	}
	if c.Reason == "" {
		return api.Done{}, api.Fail(http.StatusBadRequest, release.BadRequest, "a removal needs a reason")
	}
	if why := rollout.Removable(s.State, s.Want); why != "" {
		return api.Done{}, api.Fail(http.StatusConflict, release.NotRemovable, fmt.Sprintf("%s is not removed from this host: %s", c.App, why))
	}
	text := c.App + " is removed from this host; its volumes stay"
	if c.DryRun {
		return api.Done{Text: "would do: " + text, Plan: removalSteps(s, nil)}, nil
	}
	if err := a.audit(actor, "remove", c); err != nil {
		return api.Done{}, err
	}
	index, err := a.fleet.Order(ctx, rollout.Order{Kind: rollout.OrderRemove, App: c.App, Actor: actor, Reason: c.Reason, Trace: c.Trace})
	return api.Done{Text: text, Index: index}, err
}

// removalSteps says what a removal does, one fact a line.
func removalSteps(s reconcile.Status, purge []string) []string {
	var steps []string
	if s.State.Live != nil {
		steps = append(steps, "withdraw all its routes: users get what an unknown host gets",
			fmt.Sprintf("drain and stop %s (%s)", s.State.Live.ID.Colour, name(s.State.Live)))
	}
	what := "remove the containers and networks of both colours"
	if shared := slices.Sorted(maps.Keys(s.State.Shared)); len(shared) > 0 {
		what += " and of the shared services " + strings.Join(shared, ", ")
	}
	steps = append(steps, what)
	if len(purge) == 0 {
		return append(steps, "keep its volumes; tealctl rollback brings the last proven release back")
	}
	return append(steps, "remove the volumes "+strings.Join(purge, ", ")+" with their data; no older release can come back")
}

// planRemoval is the plan of an approved removal.
func (a *agent) planRemoval(p *api.Plan, s reconcile.Status) {
	w := s.Want.Set
	if s.Wait.Why == release.Removed {
		p.From = p.To
		return
	}
	p.Different, p.Steps = true, removalSteps(s, w.Purge)
	for _, c := range a.desk.Changes(p.App, s.State.Live, w) {
		p.Changes = append(p.Changes, api.Change(c))
	}
	switch {
	case !s.Want.Verdict.Accepted && len(s.Want.Verdict.Reasons) > 0:
		p.Blocked = &api.Wait{Why: s.Want.Verdict.Reasons[0].Code, Detail: s.Want.Verdict.Reasons[0].Detail}
	case s.State.Hold != nil && w.Sequence <= s.State.Hold.Sequence:
		p.Blocked = &api.Wait{Why: s.State.Hold.Why, Detail: s.State.Hold.Detail}
	}
}
