package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/fleet"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

func kind(name string) api.Meta { return api.Meta{APIVersion: api.Version, Kind: name} }

// Status is the host as it stands.
func (a *agent) Status() api.Status {
	repo := a.repo.Status()
	st := api.Status{Meta: kind("Status"), Environment: a.config.Environment, Host: a.config.Host, Instance: a.identity.Instance, Now: time.Now().UTC(),
		Repository: api.RepositoryStatus{URL: a.config.Repository.URL, Branch: a.config.Repository.Branch, Head: repo.Head, LastSuccess: repo.LastSuccess, Code: repo.Code, Detail: repo.Detail}}
	st.Repository.Follow, st.Repository.Evidence = a.config.Repository.follows(), repo.Evidence
	for _, ref := range repo.Refs {
		st.Repository.Refs = append(st.Repository.Refs, api.RefStatus{Name: ref.Name, Head: ref.Head, Desired: ref.Desired, Code: ref.Code, Detail: ref.Detail})
	}
	for _, p := range repo.Places {
		st.Repository.Places = append(st.Repository.Places, api.PlaceStatus{URL: p.URL, InUse: p.InUse, Code: p.Code, Detail: p.Detail})
	}
	if a.hooks != nil {
		st.Repository.LastHook = a.hooks.Stats().Last.UTC()
	}
	if head, ok := a.repo.Head(); ok {
		st.Repository.Subject = head.Subject()
	}
	p, code, detail := a.policy.current()
	st.Policy.Code, st.Policy.Detail = code, detail
	if p != nil {
		st.Policy.Fingerprint, st.Policy.Version = p.Fingerprint(), p.Version
	}
	for _, f := range a.fleet.View().Frozen {
		if f.Until.IsZero() || st.Now.Before(f.Until) {
			st.Frozen = append(st.Frozen, f)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { st.Proxy = part(a.proxy.Health(ctx)) })
	both.Go(func() {
		_, err := a.engine.Info(ctx)
		st.Engine = part(err)
	})
	both.Wait()
	a.mu.Lock()
	if a.absent != nil {
		st.Engine = part(a.absent)
	}
	for _, app := range slices.Sorted(maps.Keys(a.lost)) {
		st.Policy.Code, st.Policy.Detail = release.StateLost, lostText(app)
	}
	a.mu.Unlock()
	st.Apps = []api.AppStatus{}
	for _, s := range a.apps() {
		st.Apps = append(st.Apps, appStatus(s))
	}
	return st
}

func part(err error) api.PartStatus {
	if err != nil {
		return api.PartStatus{Detail: err.Error()}
	}
	return api.PartStatus{Reachable: true}
}

func appStatus(s reconcile.Status) api.AppStatus {
	a := api.AppStatus{App: s.App, State: string(s.State.Phase()), Live: s.State.Live, Proven: s.State.Proven, Hold: s.State.Hold, Last: s.State.Last,
		Wait:  api.Wait{Why: s.Wait.Why, Detail: s.Wait.Detail, Until: s.Wait.Until},
		Proxy: api.ProxyStatus{Known: s.Seen.Switch.Known, Generation: s.Seen.Switch.Generation, Live: s.Seen.Switch.Live}}
	if !s.Want.Absent && s.Want.Unknown == "" {
		want := s.Want.Set
		a.Desired, a.Ref = &want, s.Want.Ref
	}
	a.Old = s.State.Old
	if d := s.State.Deploy; d != nil {
		a.Deploy = &api.Deployment{ID: d.ID, Kind: d.Kind, Phase: d.Phase, Since: d.Since, Began: d.Began, To: d.To, From: d.From, Why: d.Why, Detail: d.Detail,
			Samples: d.Bake.Samples, Failed: d.Bake.Failed, SwitchedAt: d.SwitchedAt}
		if s.Want.Set.ID.Target == d.To.ID.Target {
			a.Deploy.Gates = s.Want.Verdict.Gates
		}
		if d.Phase == rollout.Baking {
			a.Deploy.BakeEnds = d.Since.Add(d.To.Bake.For)
		}
		a.Since = d.Since
	} else if s.State.Last != nil {
		a.Since = s.State.Last.At
		if s.State.Last.Phase == rollout.Superseded && s.State.Live != nil { // nothing is going on: what is live counts
			a.State = string(rollout.Live)
		}
		if s.State.Hold != nil && s.State.Last.Phase == rollout.Live {
			a.State = string(rollout.Held)
		}
		if s.State.Hold == nil && s.State.Live != nil && s.Wait.Why == release.Converged {
			a.State = string(rollout.Live)
		}
	}
	if a.State == "" {
		a.State = "none"
	}
	if m := s.State.Debt(); m != nil {
		a.Debt = &api.Debt{Incident: m.Incident, Since: m.At, FollowUpBy: m.FollowUpBy, Overdue: !m.FollowUpBy.IsZero() && time.Now().After(m.FollowUpBy)}
	}
	a.Healthy = s.State.Settled() && s.State.Hold == nil &&
		(s.State.Live != nil && s.Wait.Why == release.Converged || s.State.Live == nil && (s.Wait.Why == release.NotPlaced || s.Wait.Why == release.Removed))
	return a
}

// apps lists every app but the names that were given away, unless Git asks for one again.
func (a *agent) apps() []reconcile.Status {
	return slices.DeleteFunc(a.runner.Status(), func(s reconcile.Status) bool {
		return s.State.Renamed != nil && (s.Want.Absent || s.Want.Unknown != "")
	})
}

// one finds an app, or says which there are.
func (a *agent) one(app string) (reconcile.Status, error) {
	var names []string
	for _, s := range a.apps() {
		if s.App == app {
			return s, nil
		}
		names = append(names, s.App)
	}
	for _, s := range a.apps() {
		if s.State.Was(app) {
			return reconcile.Status{}, api.Fail(http.StatusNotFound, release.AppRenamed, fmt.Sprintf("%s is named %s on this host; say %s", app, s.App, s.App))
		}
	}
	if len(names) == 0 {
		names = []string{"none yet"}
	}
	return reconcile.Status{}, api.Fail(http.StatusNotFound, release.UnknownApp, fmt.Sprintf("no app %q here; there are: %s", app, strings.Join(names, ", ")))
}

// Explain says why an app stands where it stands.
func (a *agent) Explain(app string) (api.Explanation, error) {
	s, err := a.one(app)
	if err != nil {
		return api.Explanation{}, err
	}
	e := api.Explanation{Meta: kind("Explanation"), App: app, Version: s.Want.Set.Version, Code: s.Wait.Why, Detail: s.Wait.Detail, Status: appStatus(s)}
	if !s.Want.Absent && s.Want.Unknown == "" {
		e.Gates, e.Reasons, e.Notes = s.Want.Verdict.Gates, s.Want.Verdict.Reasons, s.Want.Verdict.Observations
	}
	d := s.State.Deploy
	switch {
	case d != nil && d.Phase == rollout.Reverting:
		e.Code, e.Detail = d.Why, d.Detail
		e.Summary = fmt.Sprintf("%s goes back from %s: %s", app, name(&d.To), d.Why)
	case d != nil && d.Phase == rollout.Blocked:
		e.Summary = fmt.Sprintf("%s %s is not deploying: %s", app, name(&d.To), d.Why)
	case d != nil:
		e.Summary = fmt.Sprintf("%s %s is being deployed, it is %s", app, name(&d.To), d.Phase)
		if e.Code == "" {
			e.Code = release.Working
		}
	case s.State.Hold != nil:
		e.Code, e.Detail = s.State.Hold.Why, s.State.Hold.Detail
		e.Summary = fmt.Sprintf("%s is held at %s: %s", app, name(s.State.Live), s.State.Hold.Why)
		if last := s.State.Last; last != nil && last.Phase == rollout.Reverted {
			e.Summary = fmt.Sprintf("%s went back from %s to %s and is held: %s", app, last.Version, name(s.State.Live), last.Why)
		}
	case s.Wait.Why == release.Converged:
		e.Summary = fmt.Sprintf("%s %s is live and is what Git wants", app, name(s.State.Live))
	case s.Wait.Why == release.NotPlaced && s.State.Live == nil:
		e.Summary = fmt.Sprintf("%s does not run on this host: its placement names others", app)
	case s.Wait.Why == release.Removed:
		e.Summary = fmt.Sprintf("%s was removed from this host, as Git wants it", app)
	case s.Wait.Why == release.NotPlaced:
		e.Summary = fmt.Sprintf("%s %s keeps running although its placement names other hosts", app, name(s.State.Live))
	default:
		e.Summary = fmt.Sprintf("%s waits: %s", app, s.Wait.Why)
	}
	switch {
	case d != nil && d.Order != nil:
		e.Trace = d.Order.Trace
	case d == nil && s.State.Hold != nil:
		e.Trace = s.State.Hold.Trace
	}
	if len(e.Reasons) > 0 && e.Reasons[0].Code == e.Code && e.Reasons[0].Next != "" {
		e.Next, e.Waits = e.Reasons[0].Next, e.Reasons[0].Waits
	}
	if r, ok := release.Lookup(e.Code); ok {
		e.ID, e.Waits = r.ID(), r.Waits
		if e.Next == "" {
			e.Next = r.Next
		}
		if e.Detail == "" {
			e.Detail = r.Summary
		}
	}
	if e.Code == release.Converged {
		e.Waits = false
	}
	return e, nil
}

func name(set *rollout.Set) string {
	if set == nil {
		return "nothing"
	}
	if set.Version != "" {
		return set.Version
	}
	return set.ID.Digest.Short()
}

// History is a reader of the journal.
func (a *agent) History(app string, n int, since time.Time) (api.History, error) {
	byID := map[string]int{}
	all := []api.HistoryEntry{} // programs read a list, though it is empty
	states := map[string]rollout.State{}
	names := a.names(app)
	err := a.journal.Replay(0, func(e journal.Entry) error {
		if e.Kind == journal.CheckpointKind && len(states) == 0 { // what came before it is no longer kept
			return json.Unmarshal(e.Data, &states)
		}
		r, ok := record(e)
		if !ok {
			return nil
		}
		reconcile.Replay(states, e.App, r, e.Time)
		if app != "" && !slices.Contains(names, e.App) {
			return nil
		}
		s := states[e.App]
		put := func(h api.HistoryEntry) {
			key := h.App + "/" + h.ID
			if i, ok := byID[key]; ok {
				all[i] = h
				return
			}
			byID[key] = len(all)
			all = append(all, h)
		}
		switch d, last := s.Deploy, s.Last; {
		case d != nil:
			h := api.HistoryEntry{App: e.App, ID: d.ID, Kind: d.Kind, Version: d.To.Version, Digest: d.To.ID.Digest, Sequence: d.To.Sequence, Result: d.Phase,
				Cause: d.Cause, Why: d.Why, Detail: d.Detail, Began: d.Began, SwitchedAt: d.SwitchedAt}
			if d.Order != nil {
				h.Actor, h.Trace = d.Order.Actor, d.Order.Trace
			}
			put(h)
		case r.Settle != nil && last != nil:
			put(api.HistoryEntry{App: e.App, ID: last.ID, Kind: last.Kind, Version: last.Version, Digest: last.Digest, Sequence: last.Sequence, Result: last.Phase,
				Cause: last.Cause, Why: last.Why, Detail: last.Detail, Began: last.Began, Ended: last.At, SwitchedAt: last.SwitchedAt, FlippedAt: last.FlippedAt, Actor: last.Actor, Trace: last.Trace})
		}
		return nil
	})
	all = slices.DeleteFunc(all, func(h api.HistoryEntry) bool { return !h.Ended.IsZero() && h.Ended.Before(since) })
	slices.Reverse(all)
	return api.History{Meta: kind("History"), Entries: all[:min(n, len(all))]}, err
}

// Plan says what would be done for what Git wants.
func (a *agent) Plan(app string) (api.Plan, error) {
	s, err := a.one(app)
	if err != nil {
		return api.Plan{}, err
	}
	var takes []string
	if f := s.Want.Former; f != nil && f.Renamed == nil { // planned as it will be then
		s.State, _ = s.State.TakeOver(rollout.TakeOver{From: f.App}, *f, time.Now())
		takes = []string{"take the place of " + f.App + ": its volumes and shared services as they are, its routes with the switch, its sequence and history"}
	}
	p := api.Plan{Meta: kind("Plan"), App: app, From: name(s.State.Live)}
	switch {
	case s.Want.Unknown != "":
		p.Blocked = &api.Wait{Why: s.Want.Unknown, Detail: s.Want.Detail}
		return p, nil
	case s.Want.Absent:
		p.Blocked = &api.Wait{Why: release.NotInRepository}
		return p, nil
	case s.Want.Elsewhere != "":
		w := s.Want.Set
		p.To, p.Digest = name(&w), w.ID.Digest.Short()
		p.Blocked = &api.Wait{Why: release.NotPlaced, Detail: s.Want.Elsewhere}
		return p, nil
	}
	w := s.Want.Set
	p.To, p.Digest = name(&w), w.ID.Digest.Short()
	if s.State.Live != nil && s.State.Live.ID.Target == w.ID.Target {
		return p, nil
	}
	if w.Absent {
		a.planRemoval(&p, s)
		return p, nil
	}
	p.Different = true
	for _, c := range a.desk.Changes(app, s.State.Live, w) {
		p.Changes = append(p.Changes, api.Change(c))
	}
	p.Steps = append(takes, planSteps(s.State, s.Want)...)
	if s.State.Live != nil {
		p.Rollback = fmt.Sprintf("to %s, kept on this host", name(s.State.Live))
	}
	switch {
	case s.Wait.Why == release.FormerStands || s.Wait.Why == release.FormerConflict || s.Wait.Why == release.AppRenamed:
		p.Blocked = &api.Wait{Why: s.Wait.Why, Detail: s.Wait.Detail}
	case !s.Want.Verdict.Accepted && len(s.Want.Verdict.Reasons) > 0:
		p.Blocked = &api.Wait{Why: s.Want.Verdict.Reasons[0].Code, Detail: s.Want.Verdict.Reasons[0].Detail}
	case a.fleet.View().Ambiguous(s.Want.Singletons) != "":
		p.Blocked = &api.Wait{Why: release.SingletonAmbiguous, Detail: a.fleet.View().Ambiguous(s.Want.Singletons)}
	case s.State.Hold != nil && w.Sequence <= s.State.Hold.Sequence:
		p.Blocked = &api.Wait{Why: s.State.Hold.Why, Detail: s.State.Hold.Detail}
	}
	return p, nil
}

// Logs copies the logs of an app's containers, service by service.
func (a *agent) Logs(ctx context.Context, q api.LogQuery, w io.Writer) error {
	s, err := a.one(q.App)
	if err != nil {
		return err
	}
	var found []rollout.Container
	for _, name := range s.State.Called() {
		more, err := a.engine.Observe(ctx, name)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	if q.Colour == "" && s.State.Live != nil {
		q.Colour = s.State.Live.ID.Colour
	}
	found = slices.DeleteFunc(found, func(c rollout.Container) bool {
		return q.Service != "" && c.Service != q.Service || c.Set.Colour != q.Colour && c.Set.Colour != release.Shared || q.Service == "" && c.Set.Colour == release.Shared
	})
	if len(found) == 0 {
		return api.Fail(http.StatusNotFound, release.UnknownApp, fmt.Sprintf("%s has no container of service %q in colour %q", q.App, q.Service, q.Colour))
	}
	out := &lines{w: w}
	var all sync.WaitGroup
	errs := make([]error, len(found))
	for i, c := range found {
		copyLog := func() {
			r, err := a.engine.Logs(ctx, c.ID, q.Follow, q.Tail)
			if err != nil {
				errs[i] = err
				return
			}
			defer r.Close()
			prefix := ""
			if len(found) > 1 {
				prefix = c.Name + " | "
			}
			errs[i] = out.copy(prefix, r)
		}
		if q.Follow {
			all.Go(copyLog)
		} else {
			copyLog()
		}
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// Refused is journalled: somebody tried. Who tries again and again is noted once a
// minute, so that nobody can write the journal full.
func (a *agent) Refused(actor, verb string) {
	if !a.refusals.first(actor+" "+verb, time.Now()) {
		return
	}
	if _, err := a.journal.Append("", operatorKind, operatorRecord{Actor: actor, Verb: verb, Refused: string(release.NotAuthorised)}, journal.Forward); err != nil {
		a.log.Warn("refusal not journalled", "err", err)
	}
}

// seldom lets a key through once a minute.
type seldom struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

const maxSeldom = 64 // different keys a minute

func (s *seldom) first(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.last, func(_ string, at time.Time) bool { return now.Sub(at) >= time.Minute || now.Before(at) })
	if _, again := s.last[key]; again || len(s.last) >= maxSeldom {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[key] = now
	return true
}

// operatorRecord is what a peer asked for, in the journal.
type operatorRecord struct {
	Actor   string `json:"actor"`
	Verb    string `json:"verb"`
	App     string `json:"app,omitempty"`
	To      string `json:"to,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Refused string `json:"refused,omitempty"`
	Trace   string `json:"trace,omitempty"`
}

// audit makes an operator's command durable before it is carried out. Going back may
// use the reserve.
func (a *agent) audit(actor, verb string, c api.Command) error {
	going := journal.Forward
	if verb == "rollback" || verb == "freeze" {
		going = journal.Back
	}
	if len(c.Reason) > 2000 || len(c.To) > 200 {
		return api.Fail(http.StatusBadRequest, release.BadRequest, "the reason or the target is too long")
	}
	if _, err := a.journal.Append(c.App, operatorKind, operatorRecord{Actor: actor, Verb: verb, App: c.App, To: c.To, Reason: c.Reason, Trace: c.Trace}, going); err != nil {
		return api.Fail(http.StatusInsufficientStorage, release.JournalFull, "record the command: "+err.Error())
	}
	return nil
}

// Rollback orders an older, proven release.
func (a *agent) Rollback(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	s, err := a.one(c.App)
	if err != nil {
		return api.Done{}, err
	}
	if c.Reason == "" {
		return api.Done{}, api.Fail(http.StatusBadRequest, release.BadRequest, "a rollback needs a reason")
	}
	target, err := resolve(s.State, c.To)
	if err != nil {
		return api.Done{}, err
	}
	text := fmt.Sprintf("%s goes back to %s and is held there", c.App, name(&target))
	if c.DryRun {
		return api.Done{Text: "would do: " + text, Plan: rollbackPlan(s.State, target)}, nil
	}
	if err := a.audit(actor, "rollback", c); err != nil {
		return api.Done{}, err
	}
	index, err := a.fleet.Order(ctx, rollout.Order{Kind: rollout.OrderRollback, App: c.App, To: target.ID.Digest, Actor: actor, Reason: c.Reason, Trace: c.Trace})
	return api.Done{Text: text, Index: index}, err
}

// rollbackPlan says what a rollback would do, before somebody orders it.
func rollbackPlan(s rollout.State, target rollout.Set) []string {
	lines := []string{fmt.Sprintf("%s → %s   (release %s, proven %s)", name(s.Live), name(&target), target.ID.Digest.Short(), target.ProvenAt.UTC().Format(time.RFC3339))}
	switch d := s.Deploy; {
	case d != nil && d.From != nil && d.From.ID == target.ID && !d.SwitchedAt.IsZero():
		lines = append(lines, "it is warm as "+string(target.ID.Colour)+": one switch")
	case s.Live != nil && s.Live.ID.Target == target.ID.Target:
		lines = append(lines, "it is live already; what is being deployed is dropped")
	default:
		lines = append(lines, "start it from this host's own copy, check it, switch all routes at once; no Git and no registry is asked")
	}
	return append(lines, "then the app is held there: a newer release, a git revert or tealctl resume lifts that")
}

// freezePlan says whom a freeze would hold up.
func (a *agent) freezePlan(c api.Command) []string {
	lines := []string{"reason: " + c.Reason}
	if !c.Until.IsZero() {
		lines = append(lines, "until "+c.Until.UTC().Format(time.RFC3339)+", then by itself as before")
	}
	for _, s := range a.runner.Status() {
		d := s.State.Deploy
		switch {
		case d == nil || c.App != "" && c.App != s.App:
		case d.SwitchedAt.IsZero():
			lines = append(lines, fmt.Sprintf("%s %s waits: it is %s and has not switched", s.App, name(&d.To), d.Phase))
		default:
			lines = append(lines, fmt.Sprintf("%s %s finishes its watch: it has switched", s.App, name(&d.To)))
		}
	}
	return append(lines, "going back stays possible: reverts and tealctl rollback pass a freeze")
}

// resolve finds what a version or a digest names among the kept, proven releases.
func resolve(s rollout.State, to string) (rollout.Set, error) {
	targets := rollout.Targets(s)
	leaving := release.Digest("")
	switch {
	case s.Deploy != nil && s.Deploy.Kind == rollout.KindRelease:
		leaving = s.Deploy.To.ID.Digest
	case s.Live != nil:
		leaving = s.Live.ID.Digest
	}
	var have []string
	for _, t := range targets {
		switch {
		case to == "" && t.ID.Digest != leaving, to != "" && (t.Version == to || len(to) >= 6 && strings.HasPrefix(string(t.ID.Digest), to)):
			return t, nil
		}
		have = append(have, fmt.Sprintf("%s (%s)", t.Version, t.ID.Digest.Short()))
	}
	if len(have) == 0 {
		have = []string{"none"}
		if g := s.Gone; g != nil && len(g.Purged) > 0 {
			have = []string{fmt.Sprintf("none; the removal %s purged the volumes %s, so commit a newer release", g.Version, strings.Join(g.Purged, ", "))}
		}
	}
	if to == "" {
		to = "an earlier release"
	}
	return rollout.Set{}, api.Fail(http.StatusNotFound, release.NoSuchRelease, fmt.Sprintf("cannot roll back to %s: proven and kept on this host: %s", to, strings.Join(have, ", ")))
}

// Resume lifts a hold.
func (a *agent) Resume(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	return a.order(ctx, actor, c, rollout.OrderResume, "resume", "the hold of "+c.App+" is lifted: it follows Git again")
}

// Retry lifts a hold and clears the app's quarantine.
func (a *agent) Retry(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	done, err := a.order(ctx, actor, c, rollout.OrderRetry, "retry", "hold and quarantine of "+c.App+" are cleared: what Git wants is tried again")
	for _, name := range a.names(c.App)[1:] { // what was found bad under a former name
		if err == nil && !c.DryRun {
			_, err = a.fleet.Order(ctx, rollout.Order{Kind: rollout.OrderRetry, App: name, Actor: actor, Reason: c.Reason})
		}
	}
	return done, err
}

func (a *agent) order(ctx context.Context, actor string, c api.Command, k rollout.OrderKind, verb, text string) (api.Done, error) {
	if _, err := a.one(c.App); err != nil {
		return api.Done{}, err
	}
	if c.DryRun {
		return api.Done{Text: "would do: " + text}, nil
	}
	if err := a.audit(actor, verb, c); err != nil {
		return api.Done{}, err
	}
	index, err := a.fleet.Order(ctx, rollout.Order{Kind: k, App: c.App, Actor: actor, Reason: c.Reason, Trace: c.Trace})
	return api.Done{Text: text, Index: index}, err
}

// Freeze stops the environment, or one app, from going forward.
func (a *agent) Freeze(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	text := "frozen: nothing goes forward in " + scope(a.config.Environment, c.App)
	if c.Reason == "" {
		return api.Done{}, api.Fail(http.StatusBadRequest, release.BadRequest, "a freeze needs a reason")
	}
	if c.App != "" {
		if _, err := a.one(c.App); err != nil {
			return api.Done{}, err
		}
	}
	if c.DryRun {
		return api.Done{Text: "would do: " + text, Plan: a.freezePlan(c)}, nil
	}
	if err := a.audit(actor, "freeze", c); err != nil {
		return api.Done{}, err
	}
	return api.Done{Text: text}, a.fleet.Freeze(ctx, rollout.Freeze{App: c.App, Until: c.Until, Reason: c.Reason, Actor: actor})
}

// Unfreeze lifts a freeze.
func (a *agent) Unfreeze(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	text := "unfrozen: " + scope(a.config.Environment, c.App)
	if !slices.ContainsFunc(a.fleet.View().Frozen, func(f rollout.Freeze) bool { return f.App == c.App }) {
		return api.Done{}, api.Fail(http.StatusConflict, release.NotFrozen, scope(a.config.Environment, c.App)+" is not frozen")
	}
	if c.DryRun {
		return api.Done{Text: "would do: " + text}, nil
	}
	if err := a.audit(actor, "unfreeze", c); err != nil {
		return api.Done{}, err
	}
	return api.Done{Text: text}, a.fleet.Unfreeze(ctx, fleet.Unfreeze{App: c.App, Actor: actor, Reason: c.Reason})
}

func scope(env, app string) string {
	if app == "" {
		return env
	}
	return app
}

// Sync fetches now and wakes every loop.
func (a *agent) Sync(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	if c.DryRun {
		return api.Done{Text: "would fetch the repository"}, nil
	}
	st, err := a.repo.Sync(ctx)
	a.runner.Wake("")
	if err != nil {
		return api.Done{}, api.Fail(http.StatusBadGateway, orCode(st.Code, release.RepoUnreachable), err.Error())
	}
	if st.Code != "" {
		return api.Done{}, api.Fail(http.StatusConflict, st.Code, st.Detail)
	}
	return api.Done{Text: "fetched; head is " + st.Head, Commit: st.Head}, nil
}

func orCode(code, other release.Code) release.Code {
	if code == "" {
		return other
	}
	return code
}
