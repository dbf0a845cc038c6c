package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/term"

	"github.com/tealops/teal/internal/ui"
)

// print writes a reply: as JSON or YAML, or as the table that draw makes.
func (t *tool) print(reply any, draw func(ui.Style) string) error {
	switch t.format {
	case "json":
		enc := json.NewEncoder(t.out)
		enc.SetIndent("", "  ")
		return enc.Encode(reply)
	case "yaml":
		data, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		var plain any
		if err := yaml.Unmarshal(data, &plain); err != nil { // JSON is YAML
			return err
		}
		enc := yaml.NewEncoder(t.out)
		enc.SetIndent(2)
		if err := enc.Encode(plain); err != nil {
			return err
		}
		return enc.Close()
	}
	_, err := fmt.Fprint(t.out, draw(t.style()))
	return err
}

// terminal reports whether stdout is one.
func (t *tool) terminal() bool {
	f, ok := t.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// style follows --color, then NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then
// whether stdout is a terminal that is not dumb.
func (t *tool) style() ui.Style {
	tty := t.terminal()
	s := ui.Style{Human: tty, Header: !t.noHeader, ASCII: t.ascii || !utf8Locale()}
	switch {
	case t.colour == "always":
		s.Colour = true
	case t.colour == "never":
	case os.Getenv("NO_COLOR") != "":
	case os.Getenv("FORCE_COLOR") != "" || os.Getenv("CLICOLOR_FORCE") != "":
		s.Colour = true
	default:
		s.Colour = tty && os.Getenv("TERM") != "dumb"
	}
	return s
}

func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}
