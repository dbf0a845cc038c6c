package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

var noTime time.Time

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "✔ ok": 4, "店": 2, "ｖ１": 4, "cafe\u0301": 4, "\x1b[32m✔ ok\x1b[0m": 4, "👩": 2, "한국": 4, "\u200b": 0} {
		if got := width(text); got != want {
			t.Errorf("width(%q) is %d, want %d", text, got, want)
		}
	}
}

// anyText draws text with everything in it that could hurt a terminal.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[2J", "\x1b]0;x\a", "\u202e", "\u2066", "店", "e\u0301", "\n", "\r", "\t", "\xff", "\x9b", "word ", "-"}))).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

// TestCleanShowsEverythingAsText: whatever a reply holds, no byte of it moves the cursor,
// changes a colour or turns the direction; what is plain stays as it is.
func TestCleanShowsEverythingAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Style{ASCII: rapid.Bool().Draw(t, "ascii")}
		in := anyText().Draw(t, "text")
		for _, r := range s.Text(in, false) {
			if !unicode.IsPrint(r) || s.ASCII && r > unicode.MaxASCII && !ours(r) {
				t.Fatalf("%U of %q is shown", r, in)
			}
		}
	})
	for _, text := range []string{"v1.2.3", "a b  c", `back\slash`, "naïve 店", "50% → 100%"} {
		if got := (Style{}).Text(text, false); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestCleanCopies: the reply that is drawn is not the one that is changed.
func TestCleanCopies(t *testing.T) {
	st := hostileStatus()
	was := fmt.Sprintf("%+v %+v", st.Apps, *st.Apps[0].Live)
	if got := clean(Style{}, st); strings.ContainsAny(fmt.Sprintf("%+v %+v", got.Apps, *got.Apps[0].Live), "\x1b\u202e\ufeff") {
		t.Errorf("not clean: %+v", got)
	}
	if is := fmt.Sprintf("%+v %+v", st.Apps, *st.Apps[0].Live); is != was {
		t.Errorf("the reply itself was changed: %s", is)
	}
}

// TestTableFits: on a terminal no line is wider than it, and no text of the last column is
// lost; in a pipe nothing at all is.
func TestTableFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Style{Width: rapid.IntRange(50, 160).Draw(t, "width"), Header: rapid.Bool().Draw(t, "header")}
		columns := rapid.IntRange(1, 6).Draw(t, "columns")
		cell := rapid.StringMatching(`[a-z店]{0,30}`)
		var header []string
		var rows [][]string
		for i := range columns {
			header = append(header, fmt.Sprintf("H%d", i))
		}
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			var row []string
			for range columns - 1 {
				row = append(row, cell.Draw(t, "cell"))
			}
			rows = append(rows, append(row, rapid.StringMatching(`([a-z店]{1,12} ?){0,20}`).Draw(t, "last")))
		}
		last := func() (all string) {
			for _, row := range rows {
				all += row[columns-1]
			}
			return strings.ReplaceAll(all, " ", "")
		}()
		out := s.Table(header, rows)
		for line := range strings.SplitSeq(out, "\n") {
			if width(line) > s.Width {
				t.Fatalf("%d columns of %d: %q", width(line), s.Width, line)
			}
		}
		if columns == 1 && !s.Header && strings.Join(strings.Fields(out), "") != last {
			t.Fatalf("lost: %q of %q", out, last)
		}
		pipe := Style{}.Table(header, rows)
		if strings.Contains(pipe, "…") || strings.Count(pipe, "\n") != len(rows) {
			t.Fatalf("cut or broken in a pipe: %q", pipe)
		}
	})
}

func TestWrapKeepsAllWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z店]{1,30} {0,3}){0,25}`).Draw(t, "text")
		most := rapid.IntRange(4, 80).Draw(t, "most")
		lines := wrap(text, most)
		for _, l := range lines {
			if width(l) > most {
				t.Fatalf("%q is wider than %d", l, most)
			}
		}
		if got, want := strings.Join(strings.Fields(strings.Join(lines, "")), ""), strings.Join(strings.Fields(text), ""); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

// screen is a terminal as far as Painter uses one.
type screen struct {
	lines         []string
	row           int
	width, height int
}

func (s *screen) write(t *rapid.T, text string) {
	line := func() *string {
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		return &s.lines[s.row]
	}
	at := 0 // written in this line
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, "\x1b[H\x1b[2J"):
			s.lines, s.row, at, text = nil, 0, 0, text[len("\x1b[H\x1b[2J"):]
		case strings.HasPrefix(text, "\x1b[K"):
			*line() = (*line())[:at]
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			line()
			s.lines, text = s.lines[:s.row+1], text[3:]
			s.lines[s.row] = s.lines[s.row][:at]
		case strings.HasPrefix(text, "\x1b["):
			var up int
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &up); err != nil {
				t.Fatalf("an unknown sequence: %q", text)
			}
			if s.row -= up; s.row < 0 {
				t.Fatalf("above the screen")
			}
			text = text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\r':
			at, text = 0, text[1:]
		case text[0] == '\n':
			if s.row, at, text = s.row+1, 0, text[1:]; s.row >= s.height {
				t.Fatalf("the screen scrolled")
			}
		default:
			l := line()
			if at == 0 {
				*l = ""
			}
			*l = (*l)[:at] + text[:1] + strings.TrimPrefix((*l)[at:], "\x00")
			at, text = at+1, text[1:]
		}
	}
}

// TestPainterShowsTheLastFrame: after any frames and resizes the terminal shows the last
// frame, cut to its size, and never scrolls.
func TestPainterShowsTheLastFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Painter
		s := &screen{width: 80, height: 24}
		for range rapid.IntRange(1, 8).Draw(t, "frames") {
			if rapid.Bool().Draw(t, "resize") {
				s.width, s.height = rapid.IntRange(20, 100).Draw(t, "width"), rapid.IntRange(3, 30).Draw(t, "height")
			}
			frame := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,120}`), 1, 40).Draw(t, "frame")
			s.write(t, p.Paint(strings.Join(frame, "\n")+"\n", s.width, s.height))
			shown := strings.TrimRight(strings.Join(s.lines, "\n"), "\n")
			if again := p.Paint(strings.Join(frame, "\n")+"\n", s.width, s.height); again != "" {
				t.Fatalf("the same frame was painted again: %q", again)
			}
			want := strings.TrimRight(strings.Join(p.lines, "\n"), "\n")
			if shown != want {
				t.Fatalf("shown:\n%s\nwant:\n%s", shown, want)
			}
			full := strings.Split(strings.TrimRight(strings.Join(frame, "\n"), "\n"), "\n")
			if len(full) <= s.height-1 && len(p.lines) != len(full) {
				t.Fatalf("%d lines of %d fit", len(p.lines), len(full))
			}
			if len(p.lines) > s.height-1 {
				t.Fatalf("%d lines on %d", len(p.lines), s.height)
			}
		}
	})
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0ms", 90 * time.Millisecond: "90ms", 3100 * time.Millisecond: "3.1s", 64 * time.Second: "1m04s", 125 * time.Minute: "2h05m", 72 * time.Hour: "3d"} {
		if got := Short(d); got != want {
			t.Errorf("Short(%s) is %s, want %s", d, got, want)
		}
	}
	if got := (Style{Human: true}).Ago(now.Add(time.Minute), now); got != "in 1m00s" {
		t.Error(got)
	}
	if got := (Style{}).Ago(now, now); got != "2026-11-23T14:03:15Z" {
		t.Error(got)
	}
}
