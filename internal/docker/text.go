package docker

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// escape makes outside text safe to print on one line: control characters, escape
// sequences and invalid UTF-8 become \x1b and the like; what can be read stays.
func escape(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// clip shortens s to at most n bytes without cutting a character, and says so.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for len(s) > 0 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + "…"
}
