package api

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Output is one kind of reply that programs read.
type Output struct {
	Kind  string
	Reply any // a zero value of its type
}

// Schema draws the JSON Schema (draft 2020-12) of replies from their Go types, so that it
// cannot say anything else than what is written. A reply is one of the kinds. Fields are
// only ever added, so a reader must pass over those that it does not know; a strict schema
// refuses them, for tests.
func Schema(id string, strict bool, outputs ...Output) []byte {
	d := drawing{strict: strict, defs: map[string]any{}}
	var of []any
	for _, o := range outputs {
		s := d.object(reflect.TypeOf(o.Reply))
		keys := s["properties"].(map[string]any)
		keys["apiVersion"] = map[string]any{"const": Version}
		keys["kind"] = map[string]any{"const": o.Kind}
		d.defs[o.Kind] = s
		of = append(of, map[string]any{"$ref": "#/$defs/" + o.Kind})
	}
	root := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": id, "title": "What tealctl -o json prints",
		"description": "One document; logs, events and everything with -w print one a line. Fields are only ever added: pass over those that you do not know.",
		"oneOf":       of, "$defs": d.defs,
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("api: the schema is not JSON: " + err.Error()) // it is made of maps, lists and words
	}
	return append(out, '\n')
}

type drawing struct {
	strict bool
	defs   map[string]any // of types that occur within others, by package and name
}

// object is a struct, with what is embedded in it.
func (d *drawing) object(t reflect.Type) map[string]any {
	keys, required := map[string]any{}, map[string]bool{}
	d.fields(t, keys, required)
	s := map[string]any{"type": "object", "properties": keys}
	if len(required) > 0 {
		s["required"] = slices.Sorted(maps.Keys(required))
	}
	if d.strict {
		s["additionalProperties"] = false
	}
	return s
}

func (d *drawing) fields(t reflect.Type, keys map[string]any, required map[string]bool) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			d.fields(f.Type, keys, required)
			continue
		case name == "-" || !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		s := d.value(f.Type)
		if !strings.Contains(options, "omit") {
			required[name] = true
			switch f.Type.Kind() { // nil is written as null
			case reflect.Pointer, reflect.Slice, reflect.Map:
				s = map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
			}
		}
		keys[name] = s
	}
}

// value is what a field holds.
func (d *drawing) value(t reflect.Type) map[string]any {
	switch {
	case t.Kind() == reflect.Pointer:
		return d.value(t.Elem())
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()), t == reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return d.named(t)
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": d.value(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.value(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	}
	return map[string]any{"type": "integer"}
}

// named refers to a struct's own entry, made when it is met first.
func (d *drawing) named(t reflect.Type) map[string]any {
	if t.Name() == "" {
		return d.object(t)
	}
	name := t.String() // package.Type
	if _, have := d.defs[name]; !have {
		d.defs[name] = true // a type may hold itself
		d.defs[name] = d.object(t)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}
