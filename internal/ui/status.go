package ui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Status draws `tealctl status`.
func (s Style) Status(st api.Status, only string) string {
	return s.out(s.status(clean(s, st), only))
}

func (s Style) status(st api.Status, only string) string {
	var b strings.Builder
	if s.Header {
		b.WriteString(s.paragraph(s.headline(st), "") + "\n")
		for _, note := range s.troubles(st) {
			b.WriteString(s.paragraph(note, "  ") + "\n")
		}
		for _, a := range st.Apps {
			if note := winner(st, a); note != "" && a.App == only {
				b.WriteString(s.paragraph(note, "  ") + "\n")
			}
		}
		b.WriteString("\n")
	}
	var rows [][]string
	var why []string
	counts := map[string]int{}
	for _, a := range st.Apps {
		if only != "" && a.App != only {
			continue
		}
		rows = append(rows, s.appRow(a, st.Now))
		if !a.Healthy && a.Wait.Why != "" && a.Wait.Why != release.Converged {
			why = append(why, a.App)
			counts[a.State]++
		}
	}
	if len(rows) == 0 {
		b.WriteString(s.paragraph("no app is deployed here and the repository names none for this environment", "") + "\n")
		return b.String()
	}
	for _, a := range st.Apps {
		if a.Debt != nil && (only == "" || a.App == only) {
			b.WriteString(s.paragraph(s.Mark(Note, s.debt(a, st.Now)), "  ") + "\n")
		}
	}
	header := []string{"APP", "STATE", "VERSION", "DESIRED", "COLOUR", "SINCE"}
	if s.Wide {
		header = append(header, "RELEASE", "SEQUENCE", "PROVEN", "DEPLOYMENT", "GENERATION")
	}
	b.WriteString(s.Table(append(header, "WHY"), rows))
	if s.Human && len(why) > 0 {
		var parts []string
		for _, state := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
		}
		b.WriteString("\n" + s.paragraph(strings.Join(parts, ", ")+".   Why?  tealctl explain "+why[0], "") + "\n")
	}
	return b.String()
}

// Paragraph is one line of text that is fit to print, wrapped on a terminal with what
// follows indented by lead.
func (s Style) Paragraph(text, lead string) string { return s.out(s.paragraph(text, lead)) }

func (s Style) paragraph(text, lead string) string {
	if s.Width == 0 || width(text) <= s.Width {
		return text
	}
	words := strings.TrimLeft(text, " ")
	begin := text[:len(text)-len(words)]
	lines := wrap(words, s.Width-max(len(lead), len(begin)))
	return begin + strings.Join(lines, "\n"+lead)
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
	if at := st.Repository.LastHook; !at.IsZero() {
		repo += ", last hook " + s.Ago(at, st.Now)
	}
	if refs := desired(st); refs > 1 {
		repo += fmt.Sprintf(" and %d refs more", refs-1)
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
	return strings.Join(append(parts, frozen), " · ")
}

// desired counts the refs that say what is desired.
func desired(st api.Status) (refs int) {
	for _, ref := range st.Repository.Refs {
		if ref.Desired && ref.Head != "" {
			refs++
		}
	}
	return refs
}

// winner says which of several refs decides about an app; "" when only one can.
func winner(st api.Status, a api.AppStatus) string {
	refs := desired(st)
	if refs < 2 || a.Ref == "" {
		return ""
	}
	name := a.Ref
	if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
		name = "branch " + branch
	} else if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
		name = "tag " + tag
	}
	text := fmt.Sprintf("%s: %s wins of %d refs", a.App, name, refs)
	if a.Desired != nil {
		text += fmt.Sprintf(": %s, sequence %d", label(a.Desired), a.Desired.Sequence)
	}
	return text
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
		line := s.Mark(Note, string(code)+": "+strings.ReplaceAll(detail, "\n", "; "))
		if r, ok := release.Lookup(code); ok {
			line += "  " + r.Next + " (" + r.ID() + ")"
		}
		out = append(out, line)
	}
	if st.Repository.Code != "" {
		add(st.Repository.Code, st.Repository.Detail)
	}
	for i, p := range st.Repository.Places {
		switch {
		case p.InUse && i > 0:
			first := st.Repository.Places[0]
			add(release.MirrorInUse, fmt.Sprintf("%s answers; %s: %s", p.URL, first.URL, first.Detail))
		case i > 0 && p.Code != "" && p.Detail != st.Repository.Detail:
			add(p.Code, "mirror "+p.URL+": "+p.Detail)
		}
	}
	for _, ref := range st.Repository.Refs {
		if ref.Code != "" && ref.Detail != st.Repository.Detail {
			add(ref.Code, ref.Detail)
		}
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
	}
	desired := "-"
	if a.Desired != nil {
		desired = label(a.Desired)
	}
	row := []string{a.App, s.Mark(StateTone(a), a.State), version, desired, colour, s.Ago(a.Since, now)}
	if s.Wide {
		row = append(row, s.wideRow(a)...)
	}
	return append(row, s.whyText(a))
}

// wideRow are the further columns of -o wide.
func (s Style) wideRow(a api.AppStatus) []string {
	digest, sequence, proven, deployment, generation := "-", "-", "-", "-", "-"
	if a.Live != nil {
		digest, sequence = a.Live.ID.Digest.Short(), fmt.Sprint(a.Live.Sequence)
	}
	if a.Proven != nil {
		proven = label(a.Proven)
	}
	if a.Deploy != nil {
		deployment = a.Deploy.ID
	} else if a.Last != nil {
		deployment = a.Last.ID
	}
	if a.Proxy.Known {
		generation = fmt.Sprint(a.Proxy.Generation)
	}
	return []string{orDash(digest), sequence, proven, orDash(deployment), generation}
}

func label(set *rollout.Set) string {
	if set == nil {
		return "nothing"
	}
	if set.Version != "" {
		return set.Version
	}
	return orDash(set.ID.Digest.Short())
}

func (s Style) whyText(a api.AppStatus) string {
	switch {
	case a.Wait.Why == release.Converged || a.Wait.Why == "":
		return "-"
	case a.Wait.Detail != "":
		return string(a.Wait.Why) + ": " + s.firstLine(a.Wait.Detail)
	}
	return string(a.Wait.Why)
}

// firstLine is the first line of a detail for people, and all of it on one line for pipes.
func (s Style) firstLine(detail string) string {
	if s.Human {
		detail, _, _ = strings.Cut(detail, "\n")
		return fit(detail, 160)
	}
	return strings.ReplaceAll(detail, "\n", "; ")
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
	a = clean(s, a)
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
