package ui

import (
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Reason draws one entry of the table of reasons (`tealctl explain TEAL-3001`).
func (s Style) Reason(e release.Entry) string {
	var b strings.Builder
	b.WriteString(e.ID + "  " + string(e.Code) + "\n\n")
	b.WriteString(s.indented(e.Summary) + "\n")
	plain := s
	plain.Header = false
	rows := [][]string{{"Why", e.Why}, {"Next", e.Next}, {"Who", e.Who}, {"Example", e.Example}}
	if e.Waits {
		rows = append(rows, []string{"Exit", "6: only time or a person is missing"})
	}
	b.WriteString("\n" + plain.Table(nil, rows))
	return s.out(b.String())
}

// Reasons draws the whole table, one code a line.
func (s Style) Reasons(all []release.Entry) string {
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.ID, string(e.Code), e.Summary})
	}
	return s.out(s.Table([]string{"NUMBER", "CODE", "MEANING"}, rows))
}
