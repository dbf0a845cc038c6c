package ui

import (
	"strings"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

var now = time.Date(2026, 11, 23, 14, 3, 15, 0, time.UTC)

func head(kind string) api.Meta { return api.Meta{APIVersion: api.Version, Kind: kind} }

func before(d time.Duration) time.Time { return now.Add(-d) }

func aSet(version string, colour release.Colour, sequence int64, digit string) *rollout.Set {
	return &rollout.Set{ID: release.SetID{Colour: colour, Target: release.Target{Digest: release.Digest(strings.Repeat(digit, 64))}},
		Version: version, Sequence: sequence, Routed: []string{"backend"}, ProvenAt: before(48 * time.Hour)}
}

// fullStatus is a host on which everything is going on at once.
func fullStatus() api.Status {
	live, next := aSet("v2.14.0", release.Blue, 14, "a"), aSet("v5.3.0", release.Green, 53, "c")
	apiLive := aSet("v5.2.0", release.Blue, 52, "b")
	search, mail := aSet("v1.9.4", release.Blue, 19, "d"), aSet("v0.8.1", release.Green, 8, "e")
	return api.Status{Meta: head("Status"), Environment: "production", Host: "web-2", Instance: "one", Now: now,
		Repository: api.RepositoryStatus{Head: "9f31c2a4d5e6f70891a2b3c4d5e6f70891a2b3c4", LastSuccess: before(12 * time.Second)},
		Proxy:      api.PartStatus{Reachable: true}, Engine: api.PartStatus{Reachable: true},
		Apps: []api.AppStatus{
			{App: "shop", State: "live", Healthy: true, Live: live, Desired: live, Proven: live, Since: before(2 * time.Hour), Wait: api.Wait{Why: release.Converged},
				Last: &rollout.Ended{ID: "d-41"}, Proxy: api.ProxyStatus{Known: true, Generation: 17, Live: release.Blue}},
			{App: "api", State: "baking", Live: apiLive, Desired: next, Proven: apiLive, Since: before(15 * time.Second), Wait: api.Wait{Why: release.StillBaking},
				Deploy: &api.Deployment{ID: "d-42", Kind: rollout.KindRelease, Phase: rollout.Baking, Since: before(15 * time.Second), Began: before(64 * time.Second), To: *next, From: apiLive,
					Samples: 3, SwitchedAt: before(15 * time.Second), BakeEnds: now.Add(285 * time.Second), Gates: gates(trust.GatePass)},
				Proxy: api.ProxyStatus{Known: true, Generation: 9, Live: release.Green}},
			{App: "search", State: "blocked", Live: search, Desired: aSet("v1.10.0", release.Green, 20, "f"), Proven: search, Since: before(18 * time.Minute),
				Wait: api.Wait{Why: release.ApprovalThreshold, Detail: "1 of 2 persons of role devops have approved; jo@example.com and lee@example.com can"},
				Deploy: &api.Deployment{ID: "d-43", Kind: rollout.KindRelease, Phase: rollout.Blocked, Since: before(18 * time.Minute), Began: before(18 * time.Minute),
					To: *aSet("v1.10.0", release.Green, 20, "f"), From: search, Why: release.ApprovalThreshold, Gates: gates(trust.GateWait)}},
			{App: "mail", State: "reverted", Live: mail, Desired: aSet("v0.9.0", release.Blue, 9, "1"), Proven: mail, Since: before(26 * time.Hour),
				Hold: &rollout.Hold{Why: release.BakeBurst, At: before(26 * time.Hour), Sequence: 9}, Last: &rollout.Ended{ID: "d-40", Phase: rollout.Reverted, Version: "v0.9.0"},
				Wait: api.Wait{Why: release.BakeBurst, Detail: "31 of the last 40 requests failed\nlog: 500 Internal Server Error"}},
		}}
}

func gates(approvals trust.GateState) []trust.Gate {
	return []trust.Gate{
		{Name: trust.GateManifest, State: trust.GatePass, Detail: "environments/production/search/release.yaml, sequence 20"},
		{Name: trust.GateRepository, State: trust.GatePass},
		{Name: trust.GateSequence, State: trust.GatePass, Detail: "20 after 19"},
		{Name: trust.GateHostAccess, State: trust.GatePass, Detail: "routes search.example.com"},
		{Name: trust.GateApprovals, State: approvals, Detail: "1 of 2 of role devops", Who: []string{"maria@example.com"}},
		{Name: trust.GateScans, State: trust.GatePass, Detail: "trivy 2026-11-23, 0 critical, 0 high"},
		{Name: trust.GateWindow, State: trust.GateSkipped, Detail: "the policy has none"},
	}
}

func blockedExplanation() api.Explanation {
	st := fullStatus().Apps[2]
	return api.Explanation{Meta: head("Explanation"), App: "search", Version: "v1.10.0", Summary: "search v1.10.0 is not deploying: approval_threshold", Code: release.ApprovalThreshold, ID: "TEAL-3001",
		Detail: st.Wait.Detail, Next: "jo@example.com or lee@example.com runs tealctl approve search --env production --push.", Waits: true, Gates: gates(trust.GateWait),
		Reasons: []trust.Finding{{Code: release.ApprovalThreshold, Detail: "1 of 2 persons of role devops have approved"}},
		Notes:   []trust.Finding{{Code: release.SignerPrepared, Detail: "ci.sig is by ci-bot, who prepared the release"}}, Status: st}
}

func someHistory() api.History {
	return api.History{Meta: head("History"), Entries: []api.HistoryEntry{
		{App: "api", ID: "d-42", Kind: rollout.KindRelease, Version: "v5.3.0", Digest: release.Digest(strings.Repeat("c", 64)), Sequence: 53, Result: rollout.Baking, Began: before(64 * time.Second), SwitchedAt: before(15 * time.Second)},
		{App: "api", ID: "d-39", Kind: rollout.KindRelease, Version: "v5.2.0", Digest: release.Digest(strings.Repeat("b", 64)), Sequence: 52, Result: rollout.Live, Began: before(27 * time.Hour), Ended: before(27*time.Hour - 171*time.Second), SwitchedAt: before(27*time.Hour - 40*time.Second)},
		{App: "api", ID: "d-38", Kind: rollout.KindRollback, Version: "v5.1.0", Digest: release.Digest(strings.Repeat("9", 64)), Sequence: 50, Result: rollout.Held, Why: release.RolledBack, Detail: "checkout errors", Actor: "ann (uid 1000)", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
			Began: before(28 * time.Hour), Ended: before(28*time.Hour - 7*time.Second), FlippedAt: before(28*time.Hour - 2*time.Second)},
		{App: "api", ID: "d-37", Kind: rollout.KindRelease, Digest: release.Digest(strings.Repeat("8", 64)), Sequence: 51, Result: rollout.Reverted, Why: release.BakeErrorRate, Detail: "error rate 8.1% is above 1% and blue's 0.2%\nlog: panic: nil map",
			Began: before(29 * time.Hour), Ended: before(29*time.Hour - 44*time.Second), SwitchedAt: before(29*time.Hour - 20*time.Second), FlippedAt: before(29*time.Hour - 30*time.Second)},
	}}
}

func somePlan() api.Plan {
	return api.Plan{Meta: head("Plan"), App: "search", From: "v1.9.4", To: "v1.10.0", Digest: "ffffffffffff", Different: true,
		Changes: []api.Change{
			{Service: "backend", Field: "image", From: "registry.example.com/search@sha256:aa41aa41aa41", To: "registry.example.com/search@sha256:c09ec09ec09e"},
			{Service: "backend", Field: "environment SEARCH_INDEX_V2", To: "on"},
			{Service: "worker", Field: "command", From: "celery -A search worker"},
		},
		Steps:    []string{"pull and create everything as green; nothing that serves is touched", "start and check backend", "switch all routes at once", "hand over worker", "watch for 5m0s, a sample every 30s, back after 2 failed ones", "drain and stop blue"},
		Rollback: "to v1.9.4, kept on this host",
		Blocked:  &api.Wait{Why: release.ApprovalThreshold, Detail: "1 of 2 persons of role devops have approved"}}
}

func rollbackPlan() api.Done {
	return api.Done{Meta: head("Done"), Actor: "ann (uid 1000)", Text: "would do: api goes back to v5.2.0 and is held there", Plan: []string{"v5.3.0 → v5.2.0   (release bbbbbbbbbbbb, proven 2026-11-21T14:03:15Z)", "it is warm as blue: one switch",
		"then the app is held there: a newer release, a git revert or tealctl resume lifts that"}}
}

func freezePlan() api.Done {
	return api.Done{Meta: head("Done"), Actor: "ann (uid 1000)", Text: "would do: frozen: nothing goes forward in production", Plan: []string{"reason: sale weekend", "until 2026-11-30T08:00:00Z, then by itself as before", "api v5.3.0 finishes its watch: it has switched",
		"search v1.10.0 waits: it is blocked and has not switched", "going back stays possible: reverts and tealctl rollback pass a freeze"}}
}

// hostileStatus is what somebody may have written who wants to lie to an operator.
func hostileStatus() api.Status {
	st := fullStatus()
	st.Frozen = []rollout.Freeze{{Reason: "sale\nproduction · host web-2 · not frozen", Actor: "eve\x1b[2J"}}
	st.Repository.Code, st.Repository.Detail = release.RepoUnreachable, "remote: \x1b]0;owned\x07\x1b[1A\x1b[2Kall is well\r\n✔ healthy"
	live := aSet("v1\x1b[31m\u202e0.2v", release.Blue, 1, "a")
	st.Apps = []api.AppStatus{
		{App: "shop", State: "held", Live: live, Desired: aSet("v1.0.0\tv2", release.Green, 2, "b"), Wait: api.Wait{Why: release.ProbeFailed, Detail: "\u2066answer\u2069 \x9b31m\u200b\ufeff 'ok'\xff\xfe\n✔ all is well"}},
		{App: "店", State: "live", Healthy: true, Live: aSet("版本一", release.Blue, 1, "c"), Desired: aSet("版本一", release.Blue, 1, "c"), Wait: api.Wait{Why: release.Converged}},
		{App: "cafe\u0301", State: "blocked", Desired: aSet("ｖ１", release.Green, 1, "d"), Wait: api.Wait{Why: release.ApprovalThreshold, Detail: "等待两个人的批准 👩 한국어 텍스트가 여기에 있습니다 и ещё немного текста"}},
	}
	return st
}
