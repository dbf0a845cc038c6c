package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// noticeKind is the journal's kind of what needs a person although nothing changed.
const noticeKind = "notice"

// notice says that a release has waited for approval for long, that an emergency is
// still a debt, or that the newest commit of a followed ref is refused.
type notice struct {
	Code   release.Code   `json:"code"`
	App    string         `json:"app"`           // empty: it is about the repository
	Ref    string         `json:"ref,omitempty"` // that it is about
	Digest release.Digest `json:"digest"`
	Detail string         `json:"detail"`
}

// noticeEvery is how often a debt that is overdue is said again.
const noticeEvery = 24 * time.Hour

// notices writes a notice for each thing once, and again each day while it lasts.
func (a *agent) notices(ctx context.Context) error {
	said := map[string]time.Time{}
	tick := time.NewTicker(min(time.Minute, a.config.ApprovalWaitAlert))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now().UTC()
		all := refused(a.repo.Status())
		for _, s := range a.runner.Status() {
			all = append(all, due(s, now, a.config.ApprovalWaitAlert)...)
		}
		for _, n := range all {
			key := fmt.Sprintf("%s/%s/%s/%s", n.App, n.Ref, n.Digest, n.Code)
			if at, ok := said[key]; ok && now.Sub(at) < noticeEvery {
				continue
			}
			said[key] = now
			a.log.Warn("notice", "app", n.App, "code", string(n.Code), "detail", n.Detail)
			if _, err := a.journal.Append(n.App, noticeKind, n, journal.Forward); err != nil {
				a.log.Warn("notice not recorded", "err", err)
			}
		}
	}
}

// refused are the notices about refs whose newest commit is not used. No app waits for
// that by itself, so it would be seen by nobody who does not ask for the status.
func refused(s gitops.Status) []notice {
	var out []notice
	for _, ref := range s.Refs {
		if ref.Code != "" {
			out = append(out, notice{Code: ref.Code, Ref: ref.Name, Detail: ref.Detail})
		}
	}
	return out
}

// due are the notices that an app deserves now.
func due(s reconcile.Status, now time.Time, wait time.Duration) []notice {
	var out []notice
	if d := s.State.Deploy; d != nil && d.Phase == rollout.Blocked && d.Why == release.ApprovalThreshold && now.Sub(d.Began) >= wait {
		out = append(out, notice{Code: release.ApprovalWaiting, App: s.App, Digest: d.To.ID.Digest, Detail: fmt.Sprintf("%s has waited for approval since %s: %s", d.To.Version, d.Began.Format(time.RFC3339), d.Detail)})
	}
	if debt := s.State.Debt(); debt != nil && !debt.FollowUpBy.IsZero() && now.After(debt.FollowUpBy) {
		out = append(out, notice{Code: release.EmergencyDebt, App: s.App, Digest: debt.Digest, Detail: fmt.Sprintf("emergency %s was to be followed by a normal approval by %s", debt.Incident, debt.FollowUpBy.Format(time.RFC3339))})
	}
	return out
}
