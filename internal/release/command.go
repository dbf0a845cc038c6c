package release

import (
	"net/netip"
	"regexp"
	"strings"

	shellwords "github.com/mattn/go-shellwords"
)

// command is a program with its arguments, as a list or as one line in a shell's
// quoting. There is no shell: what only a shell could carry out is refused.
func command(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": []string{"null", "string", "array"}, "items": schema{"type": "string"}})) {
		return nil
	}
	if n.empty() {
		return nil // the image's own
	}
	if n.kind == sequence {
		return list(str)(r, at, n)
	}
	line, ok := str(r, at, n).(string)
	if !ok {
		return nil
	}
	parser := shellwords.Parser{}
	args, err := parser.Parse(line)
	if err != nil || parser.Position >= 0 || strings.ContainsAny(line, "`") {
		r.wrong(n.line, `write it as a list, with a shell if you need one: [sh, -c, "…"]`, "%s: no shell reads this, so quotes must pair up and ; & | < > ( ) ` mean nothing", at)
		return nil
	}
	out := []any{}
	for _, a := range args {
		out = append(out, a)
	}
	return out
}

// testCommand is a health check as a list.
func testCommand(r *reader, at string, n *node) any {
	v, ok := list(str)(r, at, n).([]any)
	if !ok {
		return nil
	}
	switch {
	case len(v) > 0 && v[0] == "NONE" && len(v) == 1, len(v) > 1 && v[0] == "CMD", len(v) == 2 && v[0] == "CMD-SHELL":
		return v
	}
	r.wrong(n.line, "write [CMD, program, argument, …], [CMD-SHELL, line] or [NONE]", "%s: not a health check", at)
	return nil
}

// addressList is one IP address or a list of them.
func addressList(r *reader, at string, n *node) any {
	v, ok := words(r, at, n).([]any)
	if !ok {
		return nil
	}
	for _, a := range v {
		if !plainAddress(a.(string)) {
			r.wrong(n.line, "write an IP address", "%s: %s is not an IP address", at, show(a.(string)))
			return nil
		}
	}
	return v
}

var zone = regexp.MustCompile(`^[A-Za-z0-9._-]{0,15}$`)

// plainAddress reports whether s is an IP address; a zone is the name of an interface,
// of which net/netip takes any text.
func plainAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && zone.MatchString(a.Zone())
}
