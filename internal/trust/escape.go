package trust

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds, in characters, what Escape returns of one piece of outside text.
const maxShown = 1024

// Escape makes text from outside fit to be printed on one line of a terminal or a
// log: control characters, line ends, bidirectional and invisible characters and
// invalid UTF-8 are written as \n, \x1b, \u202e and so on, and a backslash as \\,
// so that what was escaped can be told from what was written so. Text beyond 1024
// characters is cut, with "…" at the end.
func Escape(s string) string {
	var b strings.Builder
	shown := 0
	for i := 0; i < len(s); {
		if shown == maxShown {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
		shown++
	}
	return b.String()
}
