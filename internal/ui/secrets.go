package ui

import (
	"fmt"
	"strings"

	"github.com/tealops/teal/internal/api"
)

// Secrets draws `tealctl secrets status`.
func (s Style) Secrets(r api.Secrets) string {
	var b strings.Builder
	var rows [][]string
	words := map[string]string{"same": "as it runs", "differ": "differs", "missing": "missing", "new": "not live yet", "none": "asks nothing of the host"}
	tones := map[string]Tone{"same": Good, "differ": Note, "missing": Bad, "new": Note, "none": Good}
	for _, a := range r.Apps {
		if len(a.Items) == 0 {
			rows = append(rows, []string{a.App, "-", "-", "-", s.Mark(tones[a.State], words[a.State])})
		}
		for _, i := range a.Items {
			state := s.Mark(tones[i.State], words[i.State])
			if i.Code != "" {
				state += " (" + string(i.Code) + ")"
			}
			rows = append(rows, []string{a.App, i.Name, i.Kind, i.Source, state})
		}
	}
	if len(rows) == 0 {
		return "no app on " + r.Host + " yet\n"
	}
	b.WriteString(s.Table([]string{"APP", "NAME", "KIND", "SOURCE", "STATE"}, rows))
	for _, a := range r.Apps {
		if a.Detail != "" {
			fmt.Fprintf(&b, "%s: %s\n", a.App, a.Detail)
		}
		if a.Next != "" {
			fmt.Fprintf(&b, "Next: %s\n", a.Next)
		}
	}
	return b.String()
}
