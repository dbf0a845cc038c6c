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

// shape reads one value strictly and returns it as Compose's model has it: string,
// int, float64, bool, []any or map[string]any. at names the value in messages. After a
// problem it returns nil, which leaves the key out.
type shape func(r *reader, at string, n *node) any

// object is a mapping of known keys. Keys of others' are refused by the shapes that
// stand in the table for them.
type object map[string]shape

func (o object) read(r *reader, at string, n *node) any {
	out := map[string]any{}
	if r.draws(func() schema { return o.drawn(r) }) {
		return out
	}
	for _, f := range r.fields(at, n) {
		s, known := o[f.key]
		if !known {
			r.unknown(at, f, sorted(o))
			continue
		}
		if v := s(r, join(at, f.key), f.value); v != nil {
			out[f.key] = v
		}
	}
	return out
}

// unknown refuses a key and says what it may have been.
func (r *reader) unknown(at string, f field, known []string) {
	next := "remove it"
	if near := nearest(f.key, known); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) <= 12 {
		next = "known here: " + strings.Join(known, ", ")
	}
	r.fail(UnknownKey, f.line, next, "%s: unknown key %s", orTop(at), show(f.key))
}

func orTop(at string) string {
	if at == "" {
		return "top level"
	}
	return at
}

func join(at, key string) string {
	if !plainKey.MatchString(key) {
		key = show(key)
	}
	if at == "" {
		return key
	}
	return at + "." + key
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,63}$`)

// fields lists a mapping's keys.
func (r *reader) fields(at string, n *node) []field {
	if r.drawing && n == nil {
		panic(undrawn{})
	}
	if n.empty() {
		r.wrong(lineOf(n), "write key: value lines, or remove the key", "%s has no value", orTop(at))
		return nil
	}
	if n.kind != mapping {
		r.wrong(n.line, "write key: value lines", "%s: %s where a mapping belongs", orTop(at), n.kind)
		return nil
	}
	return n.fields
}

// orNothing lets a mapping be left out behind its key: `redis:` declares a volume.
func orNothing(of shape) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema { return anyOf(schema{"type": "null"}, r.draw(of)) }) {
			return nil
		}
		if n.empty() {
			return map[string]any{}
		}
		return of(r, at, n)
	}
}

// items lists a list's values.
func (r *reader) items(at string, n *node) []*node {
	if r.drawing && n == nil {
		if r.drawn != nil {
			return nil
		}
		r.listed = true
		return []*node{{kind: mapping}}
	}
	if n.empty() {
		r.wrong(lineOf(n), "write [a, b], or remove the key", "%s has no value", at)
		return nil
	}
	if n.kind != sequence {
		r.wrong(n.line, "write [a, b], or one - a line", "%s: %s where a list belongs", at, n.kind)
		return nil
	}
	return n.items
}

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

// filled is a text that is not empty.
func filled(r *reader, at string, n *node) any {
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
	if b, err := units.RAMInBytes(s); err != nil || b < 0 || !sizeForm.MatchString(s) {
		r.wrong(n.line, "write a size such as 512m or 2g", "%s: %s is not a size", at, show(s))
		return nil
	}
	return s
}

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

// list is a list of one shape.
func list(of shape) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema { return listOf(r.draw(of)) }) {
			return nil
		}
		out := []any{}
		for i, item := range r.items(at, n) {
			if v := of(r, fmt.Sprintf("%s[%d]", at, i), item); v != nil {
				out = append(out, v)
			}
		}
		return out
	}
}

// unique is a list of different words.
func unique(r *reader, at string, n *node) any {
	if r.draws(func() schema {
		return schema{"type": "array", "items": r.draw(filled), "uniqueItems": true}
	}) {
		return nil
	}
	out := []any{}
	for i, item := range r.items(at, n) {
		v := filled(r, fmt.Sprintf("%s[%d]", at, i), item)
		if v == nil {
			continue
		}
		if slices.Contains(out, v) {
			r.wrong(item.line, "keep one of them", "%s: %s again", at, show(item.text))
			continue
		}
		out = append(out, v)
	}
	return out
}

// words is one word or a list of them.
func words(r *reader, at string, n *node) any {
	if r.draws(func() schema { return anyOf(r.draw(filled), r.draw(unique)) }) {
		return nil
	}
	if n.empty() || n.kind == scalar {
		if v := filled(r, at, n); v != nil {
			return []any{v}
		}
		return nil
	}
	return unique(r, at, n)
}

// dict is a mapping with keys of the people's own.
func dict(key *regexp.Regexp, what string, of shape) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema { return dictOf(key, r.draw(of)) }) {
			return nil
		}
		out := map[string]any{}
		for _, f := range r.fields(at, n) {
			if !key.MatchString(f.key) {
				r.wrong(f.line, hint(key), "%s: %s is not %s", at, show(f.key), what)
				continue
			}
			if v := of(r, join(at, f.key), f.value); v != nil {
				out[f.key] = v
			}
		}
		return out
	}
}

// pairs is NAME: value, or a list of NAME=value, as a mapping of words. A name without
// a value would take it from the host.
func pairs(key *regexp.Regexp, what string) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema {
			return anyOf(dictOf(key, textSchema()), listOf(schema{"type": "string", "pattern": "="}))
		}) {
			return nil
		}
		out := map[string]any{}
		if n.empty() || n.kind != sequence {
			for _, f := range r.fields(at, n) {
				switch {
				case !key.MatchString(f.key):
					r.wrong(f.line, hint(key), "%s: %s is not %s", at, show(f.key), what)
				case f.value.empty():
					r.wrong(f.line, `write the value, "" for an empty one`, "%s: %s has no value", at, show(f.key))
				default:
					if v := word(r, join(at, f.key), f.value); v != nil {
						out[f.key] = v
					}
				}
			}
			return out
		}
		for i, item := range n.items {
			v, ok := word(r, fmt.Sprintf("%s[%d]", at, i), item).(string)
			if !ok {
				continue
			}
			name, value, has := strings.Cut(v, "=")
			switch _, again := out[name]; {
			case !has:
				r.wrong(item.line, "write NAME=value", "%s: %s has no value", at, show(v))
			case !key.MatchString(name):
				r.wrong(item.line, hint(key), "%s: %s is not %s", at, show(name), what)
			case again:
				r.wrong(item.line, "keep one of them", "%s: %s again", at, show(name))
			default:
				out[name] = value
			}
		}
		return out
	}
}

// either chooses a shape by what is written.
func either(one, listed, mapped shape) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema {
			var forms []schema
			for _, of := range []shape{one, listed, mapped} {
				if of != nil {
					forms = append(forms, r.draw(of))
				}
			}
			return anyOf(forms...)
		}) {
			return nil
		}
		switch {
		case n.empty() || n.kind == scalar && one != nil:
			if one == nil {
				break
			}
			return one(r, at, n)
		case n.kind == sequence && listed != nil:
			return listed(r, at, n)
		case n.kind == mapping && mapped != nil:
			return mapped(r, at, n)
		}
		r.wrong(lineOf(n), "write "+forms(one, listed, mapped), "%s: %s means nothing here", at, kindOf(n))
		return nil
	}
}

// forms says which of the three are there.
func forms(one, listed, mapped shape) string {
	var words []string
	for k, of := range []shape{scalar: one, sequence: listed, mapping: mapped} {
		if of != nil {
			words = append(words, kind(k).String())
		}
	}
	return strings.Join(words, " or ")
}

func kindOf(n *node) string {
	if n.empty() {
		return "nothing"
	}
	return n.kind.String()
}

// refused stands for a key that is known and not carried out.
func refused(code Code, message, next string) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema { return never(message + "; " + next) }) {
			return nil
		}
		r.fail(code, lineOf(n), next, "%s %s", at, message)
		return nil
	}
}

func skip(*reader, string, *node) any { return nil }

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

// notCarried stands for a Compose key that teal does not carry out.
func notCarried(next string) shape {
	return refused(ComposeNotCarried, "is a Compose field that teal does not carry out", next)
}

const laterNext = "remove it, or wait for a version that carries it out"

// notYet checks a value and then refuses it, for the parts of the table that this
// version does not carry out.
func notYet(of shape) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema {
			if r.draw(of)["type"] == "boolean" {
				return schema{"const": false}
			}
			return never("recognised, but not carried out by this version")
		}) {
			return nil
		}
		before := len(r.problems)
		v := of(r, at, n)
		if len(r.problems) == before && v != false { // false asks for what teal does anyway
			r.fail(NotSupportedYet, lineOf(n), laterNext, "%s is recognised, but this version does not carry it out", at)
		}
		return nil
	}
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
