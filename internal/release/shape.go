package release

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
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
	if i := strings.IndexFunc(f.key, func(c rune) bool { return c > 0x7f }); i >= 0 && i < 64 {
		// A letter of another script looks like one of ours.
		c, _ := utf8.DecodeRuneInString(f.key[i:])
		next = fmt.Sprintf("keys are written in ASCII, and letter %d is %U", utf8.RuneCountInString(f.key[:i])+1, c)
	} else if near := nearest(f.key, known); near != "" {
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
