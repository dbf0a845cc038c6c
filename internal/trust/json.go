package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxJSONDepth is how deep objects and arrays may nest.
	maxJSONDepth = 16
	// maxJSONInteger is the largest integer that every JSON reader keeps exact: 2^53-1.
	maxJSONInteger = 1<<53 - 1
)

// jsonValue is one strictly read JSON value: nil, bool, string, int64, []jsonValue
// or jsonObject.
type jsonValue any

// jsonObject keeps the members in the order of the text.
type jsonObject []jsonMember

type jsonMember struct {
	name  string
	value jsonValue
}

// strictJSON reads exactly one JSON text and refuses what two readers could
// understand differently: duplicate names at any depth, invalid UTF-8, unpaired
// surrogates, a byte order mark, fractions, exponents, negative numbers and those
// above 2^53-1, text after the value, deep nesting. The caller bounds the size.
func strictJSON(data []byte) (jsonValue, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if err := jsonDepth(data); err != nil { // before anything recursive sees it
		return nil, err
	}
	if !json.Valid(data) {
		return nil, errors.New("not one JSON value")
	}
	if err := pairedSurrogates(data); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := readJSON(dec, "")
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("text after the value")
	}
	return v, nil
}

// jsonDepth counts brackets outside strings.
func jsonDepth(data []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("nested deeper than %d", maxJSONDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// pairedSurrogates finds \uD800 to \uDFFF that do not form a pair; the decoder would
// replace them silently. data is valid JSON, so a backslash is only in a string.
func pairedSurrogates(data []byte) error {
	unit := func(i int) (rune, bool) {
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r, ok := unit(i)
		if !ok {
			i++ // skips the escaped character, a backslash among them
			continue
		}
		i += 5
		switch {
		case r >= 0xd800 && r < 0xdc00:
			if low, ok := unit(i + 1); !ok || low < 0xdc00 || low > 0xdfff {
				return errors.New("unpaired surrogate in a string")
			}
			i += 6
		case r >= 0xdc00 && r <= 0xdfff:
			return errors.New("unpaired surrogate in a string")
		}
	}
	return nil
}

// readJSON reads the next value. The text is known to be valid and not deep.
func readJSON(dec *json.Decoder, path string) (jsonValue, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			list := []jsonValue{}
			for dec.More() {
				v, err := readJSON(dec, fmt.Sprintf("%s[%d]", path, len(list)))
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := dec.Token()
			return list, err
		}
		object, seen := jsonObject{}, map[string]bool{}
		for dec.More() {
			tok, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, ok := tok.(string)
			if !ok {
				return nil, fmt.Errorf("%s: member name is not a string", at(path))
			}
			if seen[name] {
				return nil, fmt.Errorf("%s: duplicate member \"%s\"", at(path), Escape(name))
			}
			seen[name] = true
			v, err := readJSON(dec, path+"."+Escape(name))
			if err != nil {
				return nil, err
			}
			object = append(object, jsonMember{name, v})
		}
		_, err := dec.Token()
		return object, err
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || n < 0 || n > maxJSONInteger || strconv.FormatInt(n, 10) != t.String() {
			return nil, fmt.Errorf("%s: number %s is not an integer from 0 to 2^53-1", at(path), Escape(t.String()))
		}
		return n, nil
	default:
		return tok, nil // string, bool, nil
	}
}

// at names a place in the document for people.
func at(path string) string {
	if path == "" {
		return "document"
	}
	return strings.TrimPrefix(path, ".")
}

// jsonReader takes members out of an object by exact name and keeps the first error.
type jsonReader struct{ err error }

func (r *jsonReader) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", at(path), fmt.Sprintf(format, args...))
	}
}

// object requires v to be an object with every required member, and none that is
// neither required nor optional.
func (r *jsonReader) object(v jsonValue, path string, required, optional []string) map[string]jsonValue {
	members := map[string]jsonValue{}
	object, ok := v.(jsonObject)
	if !ok {
		r.fail(path, "want an object")
		return members
	}
	for _, m := range object {
		if !slices.Contains(required, m.name) && !slices.Contains(optional, m.name) {
			r.fail(path, "unknown member \"%s\"", Escape(m.name))
		}
		members[m.name] = m.value
	}
	for _, name := range required {
		if _, ok := members[name]; !ok {
			r.fail(path, "member %q is missing", name)
		}
	}
	return members
}

func (r *jsonReader) text(v jsonValue, path string) string {
	s, ok := v.(string)
	if !ok {
		r.fail(path, "want a string")
	}
	return s
}

func (r *jsonReader) integer(v jsonValue, path string) int64 {
	n, ok := v.(int64)
	if !ok {
		r.fail(path, "want an integer")
	}
	return n
}

func (r *jsonReader) list(v jsonValue, path string) []jsonValue {
	l, ok := v.([]jsonValue)
	if !ok {
		r.fail(path, "want an array")
	}
	return l
}
