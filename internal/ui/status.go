package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Status draws `tealctl status`.
func (s Style) Status(st api.Status, only string) string {
	var b strings.Builder
	if s.Header {
		b.WriteString(s.headline(st) + "\n")
		for _, note := range s.troubles(st) {
			b.WriteString(note + "\n")
		}
		b.WriteString("\n")
	}
	var rows [][]string
	var why []string
	for _, a := range st.Apps {
		if only != "" && a.App != only {
			continue
		}
		rows = append(rows, s.appRow(a, st.Now))
		if !a.Healthy && a.Wait.Why != "" && a.Wait.Why != release.Converged {
			why = append(why, a.App)
		}
	}
	if len(rows) == 0 {
		b.WriteString("no app is deployed here and the repository names none for this environment\n")
		return b.String()
	}
	for _, a := range st.Apps {
		if a.Debt != nil && (only == "" || a.App == only) {
			b.WriteString(s.Mark(Note, s.debt(a, st.Now)) + "\n")
		}
	}
	b.WriteString(s.Table([]string{"APP", "STATE", "VERSION", "DESIRED", "COLOUR", "SINCE", "WHY"}, rows))
	if s.Human && len(why) > 0 {
		b.WriteString("\nWhy?  tealctl explain " + why[0] + "\n")
	}
	return b.String()
}

func (s Style) headline(st api.Status) string {
	parts := []string{st.Environment, "host " + st.Host}
	repo := "no commit yet"
	if st.Repository.Head != "" {
		repo = short(st.Repository.Head)
		if !st.Repository.LastSuccess.IsZero() {
			repo += " (synced " + s.Ago(st.Repository.LastSuccess, st.Now) + ")"
		}
	}
	parts = append(parts, "repo "+repo)
	frozen := "not frozen"
	for _, f := range st.Frozen {
		if !f.Covers(f.App, st.Now) {
			continue
		}
		frozen = s.Mark(Paused, "frozen")
		if f.App != "" {
			frozen += " " + f.App
		}
		if !f.Until.IsZero() {
			frozen += " until " + f.Until.UTC().Format(time.RFC3339)
		}
		frozen += " by " + f.Actor
		if f.Reason != "" {
			frozen += ": " + f.Reason
		}
	}
	sep := " · "
	if s.ASCII {
		sep = " | "
	}
	return strings.Join(append(parts, frozen), sep)
}

// debt says that an emergency approval still waits for a normal one.
func (s Style) debt(a api.AppStatus, now time.Time) string {
	text := fmt.Sprintf("%s: %s runs by emergency %s since %s", a.App, label(a.Live), a.Debt.Incident, s.Ago(a.Debt.Since, now))
	switch {
	case a.Debt.Overdue:
		text += fmt.Sprintf("; a normal approval was due by %s", a.Debt.FollowUpBy.UTC().Format(time.RFC3339))
	case !a.Debt.FollowUpBy.IsZero():
		text += fmt.Sprintf("; a normal approval must follow by %s", a.Debt.FollowUpBy.UTC().Format(time.RFC3339))
	default:
		text += "; a normal approval must follow"
	}
	return text + ": tealctl approve " + a.App
}

// troubles are the host's own problems, each with the next action.
func (s Style) troubles(st api.Status) []string {
	var out []string
	add := func(code release.Code, detail string) {
		line := s.Mark(Note, string(code)+": "+detail)
		if r, ok := release.Lookup(code); ok {
			line += "  " + r.Next + " (" + r.ID() + ")"
		}
		out = append(out, line)
	}
	if st.Repository.Code != "" {
		add(st.Repository.Code, st.Repository.Detail)
	}
	if st.Policy.Code != "" {
		add(st.Policy.Code, st.Policy.Detail)
	}
	if !st.Proxy.Reachable {
		add(release.ProxyUnreachable, st.Proxy.Detail)
	}
	if !st.Engine.Reachable {
		add(release.EngineUnreachable, st.Engine.Detail)
	}
	return out
}

func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}

func (s Style) appRow(a api.AppStatus, now time.Time) []string {
	version, colour := "-", "-"
	if a.Live != nil {
		version, colour = label(a.Live), string(a.Live.ID.Colour)
	}
	if d := a.Deploy; d != nil && !d.SwitchedAt.IsZero() && d.From != nil && d.From.ID != d.To.ID {
		version = label(d.From) + " → " + label(&d.To)
		if s.ASCII {
			version = label(d.From) + " -> " + label(&d.To)
		}
	}
	desired := "-"
	if a.Desired != nil {
		desired = label(a.Desired)
	}
	return []string{a.App, s.Mark(StateTone(a), a.State), version, desired, colour, s.Ago(a.Since, now), whyText(a)}
}

func label(set *rollout.Set) string {
	if set.Version != "" {
		return set.Version
	}
	return set.ID.Digest.Short()
}

func whyText(a api.AppStatus) string {
	switch {
	case a.Wait.Why == release.Converged:
		return "-"
	case a.Wait.Detail != "":
		return string(a.Wait.Why) + ": " + clip(a.Wait.Detail, 100)
	}
	return string(a.Wait.Why)
}

// clip keeps one line of at most n characters.
func clip(text string, n int) string {
	text, _, _ = strings.Cut(text, "\n")
	r := []rune(text)
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// StateTone is the tone of an app's state.
func StateTone(a api.AppStatus) Tone {
	switch rollout.Phase(a.State) {
	case rollout.Live:
		if a.Healthy {
			return Good
		}
		return Working
	case rollout.Blocked, rollout.Waiting:
		if r, ok := release.Lookup(a.Wait.Why); ok && !r.Waits {
			return Bad
		}
		return Waiting
	case rollout.Reverted, rollout.Reverting:
		return Back
	case rollout.Held:
		return Paused
	case rollout.Failed:
		return Bad
	case "none":
		return Waiting
	}
	return Working
}

// Transition is one line for pipes and CI: what changed, key=value.
func (s Style) Transition(a api.AppStatus, now time.Time) string {
	line := fmt.Sprintf("%s %s %s", now.UTC().Format(time.RFC3339), a.App, a.State)
	if d := a.Deploy; d != nil {
		line += fmt.Sprintf(" deployment=%s version=%s colour=%s", d.ID, label(&d.To), d.To.ID.Colour)
	} else if a.Live != nil {
		line += fmt.Sprintf(" version=%s colour=%s", label(a.Live), a.Live.ID.Colour)
	}
	if a.Wait.Why != "" && a.Wait.Why != release.Working {
		line += " why=" + string(a.Wait.Why)
	}
	return line
}

// Watch draws one app's deployment as a tree for `status APP -w`.
func (s Style) Watch(st api.Status, only string) string {
	var b strings.Builder
	b.WriteString(s.Status(st, only))
	for _, a := range st.Apps {
		d := a.Deploy
		if d == nil || only != "" && a.App != only {
			continue
		}
		fmt.Fprintf(&b, "\n%s %s   %s   began %s\n", a.App, label(&d.To), d.ID, s.Ago(d.Began, st.Now))
		for _, p := range rollout.Phases() {
			switch {
			case p == rollout.Blocked || p == rollout.Reverting:
				if p != d.Phase {
					continue
				}
			}
			tone, note := Waiting, ""
			if done(p, d.Phase) {
				tone = Good
			}
			if p == d.Phase {
				tone, note = Working, s.phaseNote(a, st.Now)
			}
			branch := "├─ "
			if s.ASCII {
				branch = "|- "
			}
			b.WriteString(branch + s.Mark(tone, string(p)) + note + "\n")
		}
		b.WriteString("Ctrl-C leaves the deployment running\n")
	}
	return b.String()
}

func done(p, current rollout.Phase) bool {
	if current == rollout.Reverting || current == rollout.Blocked {
		return false
	}
	for _, x := range rollout.Phases() {
		if x == current {
			return false
		}
		if x == p {
			return true
		}
	}
	return false
}

func (s Style) phaseNote(a api.AppStatus, now time.Time) string {
	d := a.Deploy
	note := "  for " + Short(now.Sub(d.Since))
	if d.Phase == rollout.Baking {
		note = fmt.Sprintf("  %s of %s, %d samples, %d failed", Short(now.Sub(d.Since)), Short(d.BakeEnds.Sub(d.Since)), d.Samples, d.Failed)
	}
	if a.Wait.Why != "" && a.Wait.Why != release.Working && a.Wait.Why != release.StillBaking {
		note += "  " + whyText(a)
	}
	return note
}
