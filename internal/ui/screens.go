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
	var b strings.Builder
	b.WriteString(e.Summary + "\n")
	if e.Detail != "" {
		for line := range strings.Lines(e.Detail) {
			b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	b.WriteString(s.Gates(e.Gates, e.Reasons, e.Notes))
	if e.Next != "" {
		b.WriteString("Next: " + e.Next)
		if e.ID != "" {
			b.WriteString("  (" + e.ID + ")")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Gates draws the gates of a verdict with the reasons and observations.
func (s Style) Gates(gates []trust.Gate, reasons, notes []trust.Finding) string {
	var b strings.Builder
	if len(gates) > 0 {
		b.WriteString("\n")
		var rows [][]string
		for i, g := range gates {
			rows = append(rows, []string{fmt.Sprintf("  %d %s", i+1, s.gate(g)), g.Detail, strings.Join(g.Who, ", ")})
		}
		plain := s
		plain.Header = false
		b.WriteString(plain.Table(nil, rows))
	}
	for _, f := range reasons {
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(Bad, string(f.Code)), f.Detail)
	}
	for _, f := range notes {
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(Note, string(f.Code)), f.Detail)
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
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

// Reason draws one entry of the table of reasons (`tealctl explain TEAL-3001`).
func (s Style) Reason(r release.Reason) string {
	return fmt.Sprintf("%s  %s\n\n  %s\n\nNext: %s\n", r.ID(), r.Code, r.Summary, r.Next)
}

// History draws `tealctl history`.
func (s Style) History(h api.History, now time.Time) string {
	var rows [][]string
	for _, e := range h.Entries {
		took, why := "-", string(e.Why)
		if !e.Ended.IsZero() {
			took = Short(e.Ended.Sub(e.Began))
		}
		if e.Detail != "" {
			why = strings.TrimPrefix(why+": "+clip(e.Detail, 90), ": ")
		}
		if why == "" {
			why = "-"
		}
		rows = append(rows, []string{e.App, e.ID, label(&rollout.Set{Version: e.Version, ID: release.SetID{Target: release.Target{Digest: e.Digest}}}),
			s.Mark(resultTone(e.Result), string(e.Result)), s.Ago(e.Began, now), took, orDash(e.Actor), why})
	}
	if len(rows) == 0 {
		return "nothing was deployed here yet\n"
	}
	return s.Table([]string{"APP", "DEPLOYMENT", "VERSION", "RESULT", "BEGAN", "TOOK", "BY", "DETAIL"}, rows)
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
	var b strings.Builder
	if !p.Different {
		fmt.Fprintf(&b, "%s  %s is what runs; nothing to do\n", p.App, orDash(p.From))
		return b.String()
	}
	fmt.Fprintf(&b, "%s   %s → %s   (release %s)\n", p.App, orDash(p.From), p.To, p.Digest)
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
	b.WriteString(plain.Table(nil, rows))
	for i, step := range p.Steps {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	if p.Rollback != "" {
		b.WriteString("  rollback: " + p.Rollback + "\n")
	}
	if p.Blocked != nil {
		fmt.Fprintf(&b, "would wait: %s %s\n", p.Blocked.Why, p.Blocked.Detail)
	}
	text := b.String()
	if s.ASCII {
		text = strings.ReplaceAll(text, "→", "->")
	}
	return text
}

// Event draws one journal record.
func (s Style) Event(e api.Event, now time.Time) string {
	return fmt.Sprintf("%s  %-6d %-10s %-8s %s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Seq, orDash(e.App), e.Kind, e.Text)
}
