package release

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxProblems bounds how many problems one release directory reports.
const maxProblems = 200

// String is the problem on one line: `file:line: message; next`. The text of a
// manifest in it is quoted, so that it is fit for a terminal.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": " + p.Message)
	if p.Next != "" {
		b.WriteString("; " + p.Next)
	}
	return b.String()
}

// Error is one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Err is the problems as an error, nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Sort puts the problems in the order of files and lines; those of one line stay in
// the order in which they were found.
func (p Problems) Sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// tidy sorts, drops repetitions (one node can be reached through several aliases)
// and bounds the list.
func (p Problems) tidy() Problems {
	p.Sort()
	seen := map[Problem]bool{}
	p = slices.DeleteFunc(p, func(one Problem) bool {
		again := seen[one]
		seen[one] = true
		return again
	})
	if more := len(p) - maxProblems; more > 0 {
		last := p[maxProblems-1]
		p = append(p[:maxProblems:maxProblems], Problem{File: last.File, Line: last.Line, Code: ManifestInvalid,
			Message: fmt.Sprintf("%d more problems", more), Next: "correct those above first"})
	}
	return p
}

// reader collects the problems of one file while its values are taken out. A value
// that is wrong reads as its zero value, so that reading goes on.
type reader struct {
	file     string
	problems Problems
	drawing  bool   // no value is read: the shapes write down what they take
	drawn    schema // by the shape at work
	listed   bool   // it reads a list of what it draws
}

func (r *reader) fail(code Code, line int, next, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Code: code, Message: fmt.Sprintf(format, args...), Next: next})
}

// wrong records that a value is not acceptable.
func (r *reader) wrong(line int, next, format string, args ...any) {
	r.fail(ManifestInvalid, line, next, format, args...)
}

// show quotes text from the manifest for a message.
func show(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "…"
	}
	return strconv.Quote(s)
}

// plainText is a library's words for a message: escaped like show's, without the quotes
// around them.
func plainText(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	s = strconv.Quote(s)
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
}
