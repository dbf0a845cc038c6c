package ui

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean is a copy of a reply in which every text can be shown on a terminal: control
// characters, those that turn the direction of writing, invisible ones and broken UTF-8
// are escaped. A reply carries what people and programs elsewhere wrote, and a field that
// is added tomorrow is cleaned too. Lines are kept in fields named Detail alone, which are
// drawn line by line.
func clean[T any](s Style, reply T) T {
	v := reflect.New(reflect.TypeFor[T]()).Elem()
	v.Set(reflect.ValueOf(reply))
	s.scrub(v, false)
	return v.Interface().(T)
}

// scrub cleans v in place; what v points to is copied first.
func (s Style) scrub(v reflect.Value, lines bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s.Text(v.String(), lines))
	case reflect.Pointer:
		if !v.IsNil() {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(v.Elem())
			s.scrub(c.Elem(), lines)
			v.Set(c)
		}
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			s.scrub(c.Index(i), lines)
		}
		v.Set(c)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				s.scrub(v.Field(i), f.Name == "Detail")
			}
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		c := reflect.MakeMap(v.Type())
		for at := v.MapRange(); at.Next(); {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.Set(at.Key())
			value.Set(at.Value())
			s.scrub(key, false)
			s.scrub(value, lines)
			c.SetMapIndex(key, value)
		}
		v.Set(c)
	}
}

// Text is text from elsewhere as it may be shown: what is not printed as itself is
// escaped as in Go. Backslashes stay: most texts were escaped once where they were made.
func (s Style) Text(text string, lines bool) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n' && lines:
			b.WriteByte('\n')
		case r == '\t' && lines:
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r) && (!s.ASCII || r < utf8.RuneSelf || ours(r)):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// ours reports whether r is a symbol that the agent itself uses in texts; out turns it
// into ASCII.
func ours(r rune) bool { return strings.ContainsRune("→…–", r) }
