package ui

import (
	"strings"
	"unicode/utf8"
)

// Style says how a screen is drawn.
type Style struct {
	Colour bool
	ASCII  bool // no symbols outside ASCII
	Human  bool // relative times; false for pipes: RFC 3339
	Header bool
}

// Tone is the meaning of a word on the screen; it picks symbol and colour.
type Tone int

const (
	Plain Tone = iota
	Good
	Working
	Waiting
	Bad
	Back
	Paused
	Note
)

var tones = map[Tone]struct{ symbol, ascii, colour string }{
	Good:    {"✔", "[ok]", "32"},
	Working: {"●", "[..]", "36"},
	Waiting: {"◌", "[wait]", "33"},
	Bad:     {"✖", "[FAIL]", "31"},
	Back:    {"⟲", "[back]", "35"},
	Paused:  {"⏸", "[hold]", "33"},
	Note:    {"!", "!", "33"},
}

// Mark is the tone's symbol with its word.
func (s Style) Mark(t Tone, word string) string {
	m, ok := tones[t]
	if !ok {
		return word
	}
	symbol := m.symbol
	if s.ASCII {
		symbol = m.ascii
	}
	text := strings.TrimSpace(symbol + " " + word)
	if s.Colour {
		return "\x1b[" + m.colour + "m" + text + "\x1b[0m"
	}
	return text
}

// width is the number of columns text takes: escape sequences take none, every
// symbol we use takes one.
func width(text string) int {
	n := 0
	for len(text) > 0 {
		if strings.HasPrefix(text, "\x1b[") {
			if end := strings.IndexByte(text, 'm'); end >= 0 {
				text = text[end+1:]
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		n++
	}
	return n
}

// Table aligns rows by display width. The last column is never padded.
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
			widths[i] = max(widths[i], width(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-width(cell)+3)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
