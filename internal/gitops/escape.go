package gitops

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes text from a repository or a server safe to print on one line: what
// is not printable (controls, bidirectional marks, broken UTF-8) becomes \x.. or
// \u...., and what is longer than limit bytes ends in an ellipsis.
func escape(s string, limit int) string { return readable(s, limit, `\\`) }

// plain is escape for a text whose outside parts may be escaped already: what can be
// printed stays as it is, so that it may be applied twice.
func plain(s string, limit int) string { return readable(s, limit, `\`) }

func readable(s string, limit int, backslash string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if b.Len() >= limit {
			b.WriteString("…")
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' || r == '\n':
			b.WriteByte(' ')
		case r == '\\':
			b.WriteString(backslash)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}
