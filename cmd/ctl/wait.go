package main

import (
	"context"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// defaultWait is the longest wait of --wait.
const defaultWait = 10 * time.Minute

const (
	// calm is how long an app must stay settled after an order before it counts: the
	// agent's loops take an order a moment after it was given.
	calm = time.Second
	// taking is how long an order may show no effect before it is taken for one that
	// changes nothing.
	taking = 10 * time.Second
)

// settled reports whether nothing will move without a person, a window or a commit.
func settled(a api.AppStatus) bool {
	if d := a.Deploy; d != nil {
		return d.Phase == rollout.Blocked || a.Wait.Why == release.Frozen
	}
	return a.Wait.Why != release.Working && a.Wait.Why != ""
}

func allSettled(st api.Status) bool {
	for _, a := range st.Apps {
		if !settled(a) {
			return false
		}
	}
	return len(st.Apps) > 0
}

// verdictOf is the exit code of a list of apps: 3 when one is not well, else 6 when one
// waits for a person or a window.
func verdictOf(apps []api.AppStatus) error {
	code := exitOK
	for _, a := range apps {
		r, known := release.Lookup(a.Wait.Why)
		switch {
		case a.Healthy:
		case a.Hold == nil && known && r.Waits:
			code = exitBlocked
		default:
			return exitError{code: exitUnhealthy}
		}
	}
	if code == exitOK {
		return nil
	}
	return exitError{code: code}
}

// rolledBack is the exit code after a rollback: the app is held where the operator wants
// it, which is what it means to be done.
func rolledBack(apps []api.AppStatus) error {
	for _, a := range apps {
		if a.Hold == nil || a.Hold.Why != release.RolledBack || a.Deploy != nil {
			return exitError{code: exitUnhealthy}
		}
	}
	return nil
}

// waitFor follows an order until it is carried out.
func (t *tool) waitFor(ctx context.Context, o order, before api.Status) error {
	w := watching{app: o.cmd.App, timeout: o.timeout, verdict: verdictOf}
	if o.verb == "rollback" {
		w.verdict = rolledBack
	}
	if o.verb == "remove" {
		w.verdict = removed
	}
	began := time.Now()
	var taken bool
	var since time.Time // settled since
	w.over = func(st api.Status) bool {
		if o.verb == "rollback" && len(st.Apps) > 0 && rolledBack(st.Apps) == nil && moved(before, st) {
			return true // a newer release may go forward in the next moment
		}
		taken = taken || o.verb == "sync" || moved(before, st) || time.Since(began) > taking
		if !taken || !allSettled(st) {
			since = time.Time{}
			return false
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= calm
	}
	return t.watch(ctx, w)
}

// moved reports whether an order shows: something is being deployed that was not, a
// deployment ended since, or a hold came or went.
func moved(before, now api.Status) bool {
	old := map[string]api.AppStatus{}
	for _, a := range before.Apps {
		old[a.App] = a
	}
	for _, a := range now.Apps {
		b := old[a.App]
		switch {
		case id(a) != id(b), (a.Hold == nil) != (b.Hold == nil), a.Hold != nil && !a.Hold.At.Equal(b.Hold.At):
			return true
		}
	}
	return false
}

// id names the deployment in progress and the last one that ended.
func id(a api.AppStatus) string {
	var text string
	if a.Deploy != nil {
		text = a.Deploy.ID
	}
	if a.Last != nil {
		text += " " + a.Last.ID
	}
	return text
}
