package fidelity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Row is one case in the table.
type Row struct {
	Case     Case
	Services int
	Fields   int // compared
	Intended []Explained
	Failures []string
	Refused  release.Problems // by release.Parse
	Error    error            // of the engine
	Deployed bool
}

// Table is the rows as text: file, fields, equal or intended difference, deployed or
// named why not.
func Table(rows []Row) string {
	var b strings.Builder
	deployed := 0
	fmt.Fprintf(&b, "%-28s %9s %7s %6s %9s %7s  %s\n", "file", "services", "fields", "equal", "intended", "failed", "deployed")
	for _, r := range rows {
		verdict := "yes"
		switch {
		case len(r.Refused) > 0:
			var codes []string
			for _, p := range r.Refused {
				codes = append(codes, fmt.Sprintf("%s:%d %s", p.File[strings.LastIndexByte(p.File, '/')+1:], p.Line, p.Code))
			}
			verdict = "no: " + strings.Join(slices.Compact(codes), ", ")
		case r.Error != nil:
			verdict = "no: " + r.Error.Error()
		case !r.Deployed:
			verdict = "not tried"
		default:
			deployed++
		}
		fmt.Fprintf(&b, "%-28s %9d %7d %6d %9d %7d  %s\n", r.Case.Name, r.Services, r.Fields, r.Fields-len(r.Intended)-len(r.Failures), len(r.Intended), len(r.Failures), verdict)
	}
	fmt.Fprintf(&b, "%d of %d files deployed\n", deployed, len(rows))
	return b.String()
}

// ReasonTable counts the intended differences of all rows by their reason.
func ReasonTable(rows []Row) string {
	count := map[string]int{}
	for _, r := range rows {
		for _, e := range r.Intended {
			count[e.Why]++
		}
	}
	reasons := make([]string, 0, len(count))
	for why := range count {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	var b strings.Builder
	for _, why := range reasons {
		fmt.Fprintf(&b, "%6d  %s\n", count[why], why)
	}
	return b.String()
}
