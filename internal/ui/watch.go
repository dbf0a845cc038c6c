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

// Watch draws one frame of `status -w`: the status, and each deployment as a tree.
func (s Style) Watch(st api.Status, only string) string {
	st = clean(s, st)
	var b strings.Builder
	b.WriteString(s.status(st, only))
	busy := false
	for _, a := range st.Apps {
		if a.Deploy != nil && (only == "" || a.App == only) {
			busy = true
			b.WriteString("\n" + s.tree(a, st.Now))
		}
	}
	if busy {
		b.WriteString("Ctrl-C leaves the deployment running\n")
	} else {
		b.WriteString("nothing is being deployed; Ctrl-C ends this\n")
	}
	return s.out(b.String())
}

// tree is one deployment, phase by phase.
func (s Style) tree(a api.AppStatus, now time.Time) string {
	d := a.Deploy
	from := ""
	if d.From != nil && d.From.ID != d.To.ID {
		from = label(d.From) + " → "
	}
	var b strings.Builder
	b.WriteString(s.paragraph(fmt.Sprintf("%s %s%s   %s   began %s   %s", a.App, from, label(&d.To), d.Kind, s.Ago(d.Began, now), d.ID), "  ") + "\n")
	var lines []string
	if len(d.Gates) > 0 {
		lines = append(lines, "gates       "+s.gateWords(d.Gates))
	}
	for _, p := range rollout.Phases() {
		if (p == rollout.Blocked || p == rollout.Reverting) && p != d.Phase {
			continue
		}
		tone, note := Waiting, ""
		if done(p, d.Phase) {
			tone = Good
		}
		if p == d.Phase {
			if tone, note = Working, s.phaseNote(a, now); p == rollout.Blocked {
				tone = StateTone(a)
			} else if p == rollout.Reverting {
				tone = Back
			}
		}
		lines = append(lines, s.Mark(tone, string(p))+note)
	}
	switch {
	case d.From != nil && !d.SwitchedAt.IsZero():
		lines = append(lines, fmt.Sprintf("going back  %s is kept warm as %s: one switch", label(d.From), d.From.ID.Colour))
	case d.From != nil:
		lines = append(lines, fmt.Sprintf("going back  %s serves as %s until the switch", label(d.From), d.From.ID.Colour))
	default:
		lines = append(lines, "going back  there is nothing to go back to: this is the first release")
	}
	for i, line := range lines {
		branch, trunk := "├─ ", "│    "
		if i == len(lines)-1 {
			branch, trunk = "└─ ", "     "
		}
		parts := []string{strings.ReplaceAll(line, glue, " ")}
		if s.Width > 0 {
			parts = wrap(line, s.Width-len(trunk))
		}
		b.WriteString(branch + strings.Join(parts, "\n"+trunk) + "\n")
	}
	return b.String()
}

// gateWords are the gates of the release that is being deployed, on one line.
func (s Style) gateWords(gates []trust.Gate) string {
	var words []string
	for _, g := range gates {
		if g.State != trust.GateSkipped {
			words = append(words, strings.ReplaceAll(s.gate(g), " ", glue))
		}
	}
	return strings.Join(words, "  ")
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
	note := " for " + Short(now.Sub(d.Since))
	if d.Phase == rollout.Baking {
		note = fmt.Sprintf(" %s of %s, %d samples, %d failed", Short(now.Sub(d.Since)), Short(d.BakeEnds.Sub(d.Since)), d.Samples, d.Failed)
	}
	if a.Wait.Why != "" && a.Wait.Why != release.Working && a.Wait.Why != release.StillBaking {
		note += "  " + s.whyText(a)
	}
	return note
}
