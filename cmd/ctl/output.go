package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/term"

	"github.com/tealops/teal/internal/api"
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
	case "name":
		for _, name := range names(reply) {
			if _, err := fmt.Fprintln(t.out, t.style().Text(name, false)); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := fmt.Fprint(t.out, draw(t.style()))
	return err
}

// terminal reports whether stdout is one.
func (t *tool) terminal() bool {
	f, ok := t.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// draws reports whether the output is for people.
func (t *tool) draws() bool { return t.format == "table" || t.format == "wide" }

// size is the terminal's, or the usual one when it does not say.
func (t *tool) size() (width, height int) {
	if f, ok := t.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

// names are what -o name prints of a reply, one a line: what other commands take.
func names(reply any) []string {
	var all []string
	switch r := reply.(type) {
	case api.Status:
		for _, a := range r.Apps {
			all = append(all, a.App)
		}
	case api.History:
		for _, e := range r.Entries {
			all = append(all, e.App+"/"+e.ID)
		}
	case api.Explanation:
		all = append(all, r.App)
	case api.Plan:
		if r.Different {
			all = append(all, r.App)
		}
	case plansReply:
		for _, p := range r.Plans {
			all = append(all, names(p)...)
		}
	case lintReply:
		for _, l := range r.Releases {
			all = append(all, l.Environment+"/"+l.App)
		}
	case verifyReply:
		all = append(all, r.App+"@"+r.Version)
	case reasonReply:
		all = append(all, r.ID)
	case reasonsReply:
		for _, x := range r.Reasons {
			all = append(all, x.ID)
		}
	}
	return all
}

// style follows --color, then NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then
// CLICOLOR=0, then whether stdout is a terminal that is not dumb.
func (t *tool) style() ui.Style {
	tty := t.terminal()
	s := ui.Style{Human: tty, Header: !t.noHeader, ASCII: t.ascii || !utf8Locale(), Wide: t.format == "wide"}
	if tty {
		s.Width, _ = t.size()
	}
	switch {
	case t.colour == "always":
		s.Colour = true
	case t.colour == "never":
	case os.Getenv("NO_COLOR") != "":
	case os.Getenv("FORCE_COLOR") != "" || os.Getenv("CLICOLOR_FORCE") != "":
		s.Colour = true
	case os.Getenv("CLICOLOR") == "0":
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
