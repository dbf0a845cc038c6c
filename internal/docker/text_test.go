package docker

import (
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"tab\tline\nend":  `tab\tline\nend`,
		"\x1b[2Jgone":     `\x1b[2Jgone`,
		"bad \xff utf":    `bad \xff utf`,
		`say "hi"`:        `say "hi"`,
		"grün \u202e abc": `grün \u202e abc`,
		"":                "",
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
	for n := range 8 {
		if got := clip("aéé€", n); !utf8.ValidString(got) || len(got) > n+len("…") {
			t.Errorf("clip to %d: %q", n, got)
		}
	}
}
