package ui

import "strings"

// Style says how a screen is drawn.
type Style struct {
	Colour bool
	ASCII  bool // nothing outside ASCII, in texts from elsewhere either
	Human  bool // relative times; false for pipes: RFC 3339, nothing cut
	Header bool
	Wide   bool // more columns
	Width  int  // columns of the terminal; 0: no limit
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

var plainSymbols = strings.NewReplacer("→", "->", "…", "...", " · ", " | ", "├─", "|-", "│", "|", "└─", "`-", "–", "-")

// out is a whole screen, with our own symbols in ASCII where it must be.
func (s Style) out(text string) string {
	if s.ASCII {
		return plainSymbols.Replace(text)
	}
	return text
}
