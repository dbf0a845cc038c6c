package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Explain draws `tealctl explain APP`: ordered gates, the first that does not pass,
// the next action.
func (s Style) Explain(e api.Explanation) string {
	e = clean(s, e)
	var b strings.Builder
	b.WriteString(s.paragraph(e.Summary, "  ") + "\n")
	if e.Detail != "" {
		for line := range strings.Lines(e.Detail) {
			b.WriteString(s.indented(line) + "\n")
		}
	}
	b.WriteString(s.gates(e.Gates, e.Reasons, e.Notes))
	if e.Trace != "" {
		b.WriteString(s.indented("trace of the order: "+e.Trace) + "\n")
	}
	if e.Next != "" {
		next := "Next: " + e.Next
		if e.ID != "" {
			next += "  (" + e.ID + ")"
		}
		b.WriteString(s.paragraph(next, "      ") + "\n")
	}
	return s.out(b.String())
}

// indented is a line of a detail, wrapped on a terminal.
func (s Style) indented(line string) string {
	line = strings.TrimRight(line, "\n ")
	if s.Width > 0 && width(line)+2 > s.Width {
		return "  " + strings.Join(wrap(line, s.Width-2), "\n  ")
	}
	return "  " + line
}

// Gates draws the gates of a verdict with the reasons and observations.
func (s Style) Gates(gates []trust.Gate, reasons, notes []trust.Finding) string {
	return s.out(s.gates(clean(s, gates), clean(s, reasons), clean(s, notes)))
}

func (s Style) gates(gates []trust.Gate, reasons, notes []trust.Finding) string {
	var b strings.Builder
	if len(gates) > 0 {
		b.WriteString("\n")
		var rows [][]string
		for i, g := range gates {
			detail := g.Detail
			if len(g.Who) > 0 && !strings.Contains(detail, g.Who[0]) {
				detail = strings.TrimPrefix(detail+" ("+strings.Join(g.Who, ", ")+")", " ")
			}
			rows = append(rows, []string{fmt.Sprintf(" %2d %s", i+1, s.gate(g)), orDash(detail)})
		}
		plain := s
		plain.Header = false
		b.WriteString(plain.Table(nil, rows))
	}
	for _, f := range reasons {
		b.WriteString(s.finding(Bad, f))
	}
	for _, f := range notes {
		b.WriteString(s.finding(Note, f))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func (s Style) finding(t Tone, f trust.Finding) string {
	text := s.Mark(t, string(f.Code)) + " " + strings.ReplaceAll(f.Detail, "\n", "; ")
	if s.Width > 0 && width(text)+2 > s.Width {
		return "  " + strings.Join(wrap(text, s.Width-4), "\n    ") + "\n"
	}
	return "  " + text + "\n"
}

func (s Style) gate(g trust.Gate) string {
	switch g.State {
	case trust.GatePass:
		return s.Mark(Good, g.Name)
	case trust.GateFail:
		return s.Mark(Bad, g.Name)
	case trust.GateWait:
		return s.Mark(Waiting, g.Name)
	}
	return "- " + g.Name
}

// History draws `tealctl history`.
func (s Style) History(h api.History, now time.Time) string {
	h = clean(s, h)
	var rows [][]string
	for _, e := range h.Entries {
		took, why := "-", string(e.Why)
		if !e.Ended.IsZero() {
			took = Short(e.Ended.Sub(e.Began))
		}
		if e.Detail != "" {
			why = strings.TrimPrefix(why+": "+s.firstLine(e.Detail), ": ")
		}
		if e.Cause != "" {
			why = strings.TrimSuffix(string(e.Cause)+"; "+why, "; ")
		}
		if why == "" {
			why = "-"
		}
		version := e.Version
		if version == "" {
			version = e.Digest.Short()
		}
		row := []string{e.App, e.ID, orDash(version), s.Mark(resultTone(e.Result), string(e.Result)), s.Ago(e.Began, now), took, orDash(e.Actor)}
		if s.Wide {
			row = append(row, orDash(string(e.Kind)), orDash(e.Digest.Short()), fmt.Sprint(e.Sequence), s.Ago(e.SwitchedAt, now), s.Ago(e.FlippedAt, now), orDash(e.Trace))
		}
		rows = append(rows, append(row, why))
	}
	if len(rows) == 0 {
		return "nothing was deployed here yet\n"
	}
	header := []string{"APP", "DEPLOYMENT", "VERSION", "RESULT", "BEGAN", "TOOK", "BY"}
	if s.Wide {
		header = append(header, "KIND", "RELEASE", "SEQUENCE", "SWITCHED", "FLIPPED", "TRACE")
	}
	return s.out(s.Table(append(header, "DETAIL"), rows))
}

func resultTone(p rollout.Phase) Tone {
	switch p {
	case rollout.Live:
		return Good
	case rollout.Reverted, rollout.Reverting:
		return Back
	case rollout.Failed:
		return Bad
	case rollout.Held:
		return Paused
	case rollout.Superseded:
		return Waiting
	}
	return Working
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Plan draws `tealctl plan`.
func (s Style) Plan(p api.Plan) string {
	p = clean(s, p)
	var b strings.Builder
	if text := s.unwanted(p); text != "" {
		return s.out(text)
	}
	if !p.Different {
		fmt.Fprintf(&b, "%s  %s is what runs; nothing to do\n", p.App, orDash(p.From))
		return b.String()
	}
	b.WriteString(s.paragraph(fmt.Sprintf("%s   %s → %s   (release %s)", p.App, orDash(p.From), p.To, p.Digest), "  ") + "\n")
	b.WriteString(s.changes(p))
	for i, step := range p.Steps {
		b.WriteString(s.indented(fmt.Sprintf("%d. %s", i+1, step)) + "\n")
	}
	if p.Rollback != "" {
		b.WriteString(s.indented("rollback: "+p.Rollback) + "\n")
	}
	if p.Blocked != nil {
		b.WriteString(s.indented(fmt.Sprintf("%s  %s", s.Mark(Waiting, "would wait: "+string(p.Blocked.Why)), s.firstLine(p.Blocked.Detail))) + "\n")
	}
	return s.out(b.String())
}

// Diff draws what differs between what runs and what is wanted.
func (s Style) Diff(p api.Plan) string {
	p = clean(s, p)
	if text := s.unwanted(p); text != "" {
		return s.out(text)
	}
	if !p.Different {
		return fmt.Sprintf("%s  %s is what runs; no difference\n", p.App, orDash(p.From))
	}
	return s.out(s.paragraph(fmt.Sprintf("%s   %s → %s   (release %s)", p.App, orDash(p.From), p.To, p.Digest), "  ") + "\n" + s.changes(p))
}

// unwanted says why there is no release to compare with; "" when there is one.
func (s Style) unwanted(p api.Plan) string {
	if p.Different || p.Blocked == nil {
		return ""
	}
	var text string
	switch {
	case p.Blocked.Why == release.NotPlaced:
		text = fmt.Sprintf("%s   %s is for other hosts; nothing is done here: %s", p.App, p.To, p.Blocked.Why)
	case p.To == "":
		text = fmt.Sprintf("%s   %s is what runs; what is wanted is not known: %s", p.App, orDash(p.From), p.Blocked.Why)
	default:
		return ""
	}
	text = s.paragraph(text, "  ") + "\n"
	if p.Blocked.Detail != "" {
		text += s.indented(s.firstLine(p.Blocked.Detail)) + "\n"
	}
	return text
}

// changes is the table of differences.
func (s Style) changes(p api.Plan) string {
	var rows [][]string
	for _, c := range p.Changes {
		change := c.From + " → " + c.To
		switch {
		case c.From == "":
			change = "+ " + c.To
		case c.To == "":
			change = "- " + c.From
		}
		rows = append(rows, []string{"  " + c.Service, c.Field, change})
	}
	plain := s
	plain.Header = false
	return plain.Table(nil, rows)
}

// Event draws one journal record.
func (s Style) Event(e api.Event) string {
	e.Data = nil
	e = clean(s, e)
	return fmt.Sprintf("%s  %-6d %-10s %-8s %s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Seq, orDash(e.App), e.Kind, e.Text)
}

// OrderPlan draws what a dangerous verb would do.
func (s Style) OrderPlan(d api.Done) string {
	d = clean(s, d)
	var b strings.Builder
	b.WriteString(s.paragraph(d.Text, "  ") + "\n")
	for _, line := range d.Plan {
		b.WriteString(s.indented(line) + "\n")
	}
	return s.out(b.String())
}

// Done draws the answer to an operator's verb.
func (s Style) Done(d api.Done) string {
	return s.out(s.Mark(Good, clean(s, d).Text) + "\n")
}
