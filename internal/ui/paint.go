package ui

import (
	"fmt"
	"slices"
	"strings"
)

// Painter repaints one region of a terminal in place. It moves the cursor over what it
// painted before, so that what stood above stays, and nothing flickers. The zero value is
// ready; it belongs to one terminal.
type Painter struct {
	lines         []string
	width, height int
}

// Paint is what to write to the terminal so that it shows frame, cut to width columns and
// to height lines. It is empty when nothing changed. A terminal that was resized is
// cleared first: it has broken the old lines anew.
func (p *Painter) Paint(frame string, width, height int) string {
	width, height = max(width, 20), max(height, 3)
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	if most := height - 1; len(lines) > most { // the last line is the cursor's
		more := fmt.Sprintf("… %d more lines", len(lines)-most+1)
		lines = append(slices.Clone(lines[:most-1]), more)
	}
	for i := range lines {
		lines[i] = fit(lines[i], width)
	}
	first, resized := p.lines == nil, p.width != width || p.height != height
	if !first && !resized && slices.Equal(lines, p.lines) {
		return ""
	}
	var b strings.Builder
	switch {
	case first:
	case resized:
		b.WriteString("\x1b[H\x1b[2J")
	default:
		fmt.Fprintf(&b, "\r\x1b[%dA", len(p.lines))
	}
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	p.lines, p.width, p.height = lines, width, height
	return b.String()
}
