package ui

import (
	"strings"

	"unicode"
	"unicode/utf8"

	eastasian "golang.org/x/text/width"
)

// runeWidth is the number of columns that r takes: none for marks that combine, two for
// wide characters of East Asian scripts and emoji, else one.
func runeWidth(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch eastasian.LookupRune(r).Kind() {
	case eastasian.EastAsianWide, eastasian.EastAsianFullwidth:
		return 2
	}
	return 1
}

// escape is the colour sequence that text begins with, "" if none.
func escape(text string) string {
	if strings.HasPrefix(text, "\x1b[") {
		if end := strings.IndexByte(text, 'm'); end >= 0 {
			return text[:end+1]
		}
	}
	return ""
}

// width is the number of columns text takes; colour sequences take none.
func width(text string) int {
	n := 0
	for len(text) > 0 {
		if e := escape(text); e != "" {
			text = text[len(e):]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		n += runeWidth(r)
	}
	return n
}

// fit cuts text to most columns, with … where something is gone. Colour ends with it.
func fit(text string, most int) string {
	if width(text) <= most {
		return text
	}
	var b strings.Builder
	n, coloured := 0, false
	for len(text) > 0 {
		if e := escape(text); e != "" {
			b.WriteString(e)
			coloured = e != "\x1b[0m"
			text = text[len(e):]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		if n+runeWidth(r) > most-1 {
			break
		}
		b.WriteString(text[:size])
		n += runeWidth(r)
		text = text[size:]
	}
	b.WriteString("…")
	if coloured {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// glue is a space at which a line is not broken.
const glue = "\x00"

// wrap breaks text into lines of at most most columns, between words where it can. Colour
// that goes on over a break is ended and begun anew.
func wrap(text string, most int) []string {
	var lines []string
	line := ""
	for text != "" {
		word := strings.TrimLeft(text, " ")
		space := text[:len(text)-len(word)]
		word, _, _ = strings.Cut(word, " ")
		text = text[len(space)+len(word):]
		if line != "" && width(line)+len(space)+width(word) <= most {
			line += space + word
			continue
		}
		if line != "" {
			lines, line = append(lines, line), ""
		}
		for width(word) > most { // one word longer than a line
			cut := 0
			for n := 0; cut < len(word); {
				if e := escape(word[cut:]); e != "" {
					cut += len(e)
					continue
				}
				r, size := utf8.DecodeRuneInString(word[cut:])
				if n+runeWidth(r) > most && n > 0 {
					break
				}
				n += runeWidth(r)
				cut += size
			}
			lines, word = append(lines, word[:cut]), word[cut:]
		}
		line = word
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	colour := ""
	for i, l := range lines {
		l = colour + strings.ReplaceAll(l, glue, " ")
		for rest := l; ; {
			at := strings.Index(rest, "\x1b[")
			if at < 0 {
				break
			}
			if colour = escape(rest[at:]); colour == "\x1b[0m" {
				colour = ""
			}
			rest = rest[at+2:]
		}
		if colour != "" {
			l += "\x1b[0m"
		}
		lines[i] = l
	}
	return lines
}

const (
	gap = 3
	// narrowest is the room below which the last column goes on lines of its own.
	narrowest = 24
	indent    = "    "
)

// Table aligns rows by display width. The last column is never padded. Where the terminal
// is too narrow the last column is wrapped, then put below its row; only then are the
// widest of the others cut.
func (s Style) Table(header []string, rows [][]string) string {
	if s.Header && len(header) > 0 {
		rows = append([][]string{header}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			row[i] = strings.ReplaceAll(cell, "\n", "; ")
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	if len(widths) == 0 {
		return ""
	}
	last := len(widths) - 1
	before := 0 // columns before the last one
	for _, w := range widths[:last] {
		before += w + gap
	}
	room := widths[last]
	below := false
	if s.Width > 0 && before+room > s.Width {
		if room = s.Width - before; room < narrowest {
			below, room = true, max(s.Width-len(indent), narrowest)
			shrink(widths[:last], s.Width)
		}
	}
	var b strings.Builder
	for r, row := range rows {
		line := ""
		for i, cell := range row[:min(len(row), last)] {
			cell = fit(cell, widths[i])
			line += cell + strings.Repeat(" ", widths[i]-width(cell)+gap)
		}
		lead := strings.Repeat(" ", max(before, 0))
		if below {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			if lead = indent; s.Header && len(header) > 0 && r == 0 || len(row) <= last || row[last] == "-" || row[last] == "" {
				continue
			}
			line = lead
		}
		if len(row) > last {
			cell := []string{row[last]}
			if s.Width > 0 && width(row[last]) > room {
				cell = wrap(row[last], room)
			}
			line += strings.Join(cell, "\n"+lead)
		}
		b.WriteString(trimLines(line) + "\n")
	}
	return b.String()
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// shrink makes the widest columns narrower until all fit, or none is wider than 6.
func shrink(widths []int, most int) {
	for {
		total, widest := -gap, 0
		for i, w := range widths {
			total += w + gap
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= most || len(widths) == 0 || widths[widest] <= 6 {
			return
		}
		widths[widest]--
	}
}
