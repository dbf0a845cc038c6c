package release

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	units "github.com/docker/go-units"
)

// Shapes of one value: texts, numbers, sizes, durations, words of a list. shape.go has
// those of lists and mappings.

// text takes a scalar's text as it is written, whatever YAML would make of it.
func (r *reader) text(at string, n *node) (string, bool) {
	if r.draws(textSchema) {
		return "", false
	}
	switch {
	case n.empty():
		r.wrong(lineOf(n), "write one, or remove the key", "%s has no value", at)
	case n.kind != scalar:
		r.wrong(n.line, "write one plain value", "%s: %s where a text belongs", at, n.kind)
	case strings.ContainsRune(n.text, 0):
		r.wrong(n.line, "remove it", "%s holds a NUL character", at)
	default:
		return n.text, true
	}
	return "", false
}

func lineOf(n *node) int {
	if n == nil {
		return 0
	}
	return n.line
}

// word is a text that Compose reads as it is written: `3.10` without quotes is not,
// for it would become 3.1.
func word(r *reader, at string, n *node) any {
	s, ok := r.text(at, n)
	if !ok {
		return nil
	}
	if n.reads != n.text {
		r.wrong(n.line, fmt.Sprintf("write it in quotes: %q", n.text), "%s: Compose would read %s as %s", at, show(n.text), show(n.reads))
		return nil
	}
	return s
}

// str is a word that is a text for YAML as well, which Compose asks for in most places.
func str(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": "string"})) {
		return nil
	}
	v := word(r, at, n)
	if v != nil && n.tag != "!!str" {
		r.wrong(n.line, fmt.Sprintf("write it in quotes: %q", n.text), "%s: Compose wants a text, and %s is none", at, show(n.text))
		return nil
	}
	return v
}

// optionValue is a word or a number, which the options of drivers may be.
func optionValue(r *reader, at string, n *node) any {
	if v := word(r, at, n); v == nil || n.tag == "!!int" || n.tag == "!!float" {
		return v
	}
	return str(r, at, n)
}

// filled is a text of one line that is not empty: a name, a path, an option.
func filled(r *reader, at string, n *node) any {
	v, ok := lines(r, at, n).(string)
	if !ok {
		return nil
	}
	if c := control(v); c != "" || strings.ContainsRune(v, '\t') {
		r.wrong(n.line, "remove it", "%s: %s holds a control character", at, show(v))
		return nil
	}
	return v
}

// lines is a text that is not empty, of one line or several: a script.
func lines(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": "string", "minLength": 1})) {
		return nil
	}
	v := str(r, at, n)
	if v == "" {
		r.wrong(n.line, "write one, or remove the key", "%s is empty", at)
		return nil
	}
	return v
}

// flag is true or false; nothing else means either.
func flag(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": "boolean"})) {
		return nil
	}
	if n.empty() || n.kind != scalar || n.tag != "!!bool" || n.text != "true" && n.text != "false" {
		r.wrong(lineOf(n), "write true or false", "%s is neither true nor false", at)
		return nil
	}
	return n.text == "true"
}

// whole is a whole number in plain decimal digits: 010 and 1_000 mean other things to
// others.
func whole(low, high int64) shape {
	return func(r *reader, at string, n *node) any {
		i, ok := r.integer(at, n, low, high)
		if !ok {
			return nil
		}
		return int(i)
	}
}

func (r *reader) integer(at string, n *node, low, high int64) (int64, bool) {
	if r.draws(func() schema { return wholeSchema(low, high) }) {
		return 0, false
	}
	if n.empty() || n.kind != scalar || n.tag != "!!int" {
		r.wrong(lineOf(n), "write plain digits without quotes", "%s is not a whole number", at)
		return 0, false
	}
	i, err := strconv.ParseInt(n.text, 10, 64)
	switch {
	case err != nil || strconv.FormatInt(i, 10) != n.text:
		r.wrong(n.line, "write plain decimal digits", "%s: %s is not a plain whole number", at, show(n.text))
		return 0, false
	case i < low || i > high:
		r.wrong(n.line, fmt.Sprintf("write a number from %d to %d", low, high), "%s: %d is out of range", at, i)
		return 0, false
	}
	return i, true
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$`)

// number is a decimal number of zero or more.
func number(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": []string{"string", "number"}, "pattern": portable(decimal), "minimum": 0})) {
		return nil
	}
	s, ok := r.text(at, n)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !decimal.MatchString(s) {
		r.wrong(n.line, "write a number such as 0.5", "%s: %s is not a plain decimal number", at, show(s))
		return nil
	}
	return f
}

// size is a number of bytes, with or without a unit.
func size(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": []string{"string", "integer"}, "pattern": portable(sizeForm), "minimum": 0, "description": "a size such as 512m"})) {
		return nil
	}
	s, ok := r.text(at, n)
	if !ok {
		return nil
	}
	if n.tag == "!!float" {
		r.wrong(n.line, fmt.Sprintf("write it in quotes: %q", s), "%s: Compose wants a text or a whole number, and %s is neither", at, show(s))
		return nil
	}
	if n.tag == "!!int" && n.reads != s { // 010 is eight
		r.wrong(n.line, "write plain decimal digits", "%s: Compose would read %s as %s", at, show(s), show(n.reads))
		return nil
	}
	// What is too large for the type comes out as any number, another on each processor.
	if b, err := units.RAMInBytes(s); err != nil || b < 0 || b > maxSize || !sizeForm.MatchString(s) {
		r.wrong(n.line, "write a size such as 512m or 2g", "%s: %s is not a size", at, show(s))
		return nil
	}
	return s
}

const maxSize = 1 << 60 // bytes

var sizeForm = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,3})?([kKmMgGtT]i?)?[bB]?$`)

// sizeText is a size where Compose wants a text.
func sizeText(r *reader, at string, n *node) any {
	if r.draws(takes(schema{"type": "string", "pattern": portable(sizeForm), "description": "a size such as 512m"})) {
		return nil
	}
	if str(r, at, n) == nil {
		return nil
	}
	return size(r, at, n)
}

// sizeOrAll is a size, or -1 for no limit.
func sizeOrAll(r *reader, at string, n *node) any {
	if r.draws(func() schema { return anyOf(r.draw(size), schema{"enum": []any{-1, "-1"}}) }) {
		return nil
	}
	if n != nil && n.kind == scalar && n.text == "-1" {
		return "-1"
	}
	return size(r, at, n)
}

// span is a duration with units.
func span(r *reader, at string, n *node) any {
	if _, ok := r.duration(at, n, 0, 24*time.Hour); !ok {
		return nil
	}
	return n.text
}

func (r *reader) duration(at string, n *node, low, high time.Duration) (time.Duration, bool) {
	if r.draws(func() schema { return spanSchema(low, high) }) {
		return 0, false
	}
	s, ok := r.text(at, n)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") || s == "0":
		r.wrong(n.line, "write it with a unit, such as 30s or 5m", "%s: %s is not a duration", at, show(s))
		return 0, false
	case d < low || d > high:
		r.wrong(n.line, fmt.Sprintf("write one from %s to %s", plain(low), plain(high)), "%s: %s is out of range", at, s)
		return 0, false
	}
	return d, true
}

// plain is a duration without its empty parts: 5m, not 5m0s.
func plain(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// share is a percentage, as a number from 0 to 1.
func (r *reader) share(at string, n *node) (float64, bool) {
	if r.draws(takes(schema{"type": "string", "pattern": `^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?%$`, "description": "a percentage such as 1%"})) {
		return 0, false
	}
	s, ok := r.text(at, n)
	if !ok {
		return 0, false
	}
	digits, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(digits, 64)
	if !percent || err != nil || !decimal.MatchString(digits) || f > 100 {
		r.wrong(n.line, "write one from 0% to 100%, such as 1%", "%s: %s is not a percentage", at, show(s))
		return 0, false
	}
	return f / 100, true
}

func percent(r *reader, at string, n *node) any {
	f, ok := r.share(at, n)
	if !ok {
		return nil
	}
	return f
}

// oneOf is one of some words.
func oneOf(words ...string) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema { return enum(words) }) {
			return nil
		}
		s, ok := r.text(at, n)
		if !ok {
			return nil
		}
		if !slices.Contains(words, s) {
			next := "write " + strings.Join(words, ", ")
			if near := nearest(s, words); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			r.wrong(n.line, next, "%s: %s means nothing here", at, show(s))
			return nil
		}
		return s
	}
}

// matching is a text of some form; next is what to write, "" for the form's hint.
func matching(form *regexp.Regexp, what, next string) shape {
	if next == "" {
		next = hint(form)
	}
	return func(r *reader, at string, n *node) any {
		if r.draws(takes(schema{"type": "string", "pattern": portable(form), "description": next})) {
			return nil
		}
		v, ok := filled(r, at, n).(string)
		switch {
		case !ok:
			return nil
		case form.MatchString(v):
			return v
		case what == "":
			r.wrong(n.line, next, "%s: %s means nothing here", at, show(v))
		default:
			r.wrong(n.line, next, "%s: %s is not %s", at, show(v), what)
		}
		return nil
	}
}
