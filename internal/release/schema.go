package release

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// SchemaID is where the schema of the manifest is published.
const SchemaID = "https://raw.githubusercontent.com/tealops/teal/main/docs/schema/manifest.json"

// ManifestSchema is the JSON Schema (draft 2020-12) of release.yaml, for editors. It is
// drawn from the tables that Parse reads by: their shapes are run once more with a reader
// that writes down what they would take. It accepts whatever Parse accepts; Parse refuses
// more, such as references to what is not there.
func ManifestSchema() []byte {
	p := &parser{rel: defaults("staging", "app"), model: map[string]any{}, envs: map[string]map[string]string{}, files: map[string]map[string]bool{}}
	p.drawing = true
	r := &p.reader
	service := r.draw(object(serviceKeys).read)
	service["required"] = []string{"image"}
	keys := service["properties"].(map[string]any)
	keys["image"] = schema{"type": "string", "pattern": "@sha256:[0-9a-f]{64}$", "description": "name@sha256:<64 hex>; tealctl release new writes it"}
	block := &node{kind: mapping}
	keys["x-teal"] = r.draw(func(*reader, string, *node) any {
		p.serviceTeal("", &draft{node: &node{kind: mapping, fields: []field{{key: "x-teal", value: block}}}})
		return nil
	})
	app := r.draw(p.appKeys().read)
	app["required"] = []string{"version", "sequence"}
	top := map[string]any{}
	for key, shape := range topKeys {
		if shape == nil {
			top[key] = schema{} // read apart, below or as it is
		} else {
			top[key] = r.draw(shape)
		}
	}
	top["name"] = schema{"type": "string", "pattern": portable(nameForm), "description": "the app: the name of the directory"}
	top["services"] = dictOf(serviceForm, service)
	top["networks"] = r.draw(dict(keyForm, "", orNothing(networkKeys.read)))
	top["volumes"] = r.draw(dict(keyForm, "", orNothing(volumeKeys.read)))
	top["configs"] = dictOf(keyForm, r.draw(func(*reader, string, *node) any {
		one := &node{kind: mapping, fields: []field{{key: "x", value: block}}}
		p.configs(&node{kind: mapping, fields: []field{{key: "configs", value: one}}})
		return nil
	}))
	top["secrets"] = dictOf(keyForm, r.draw(func(*reader, string, *node) any {
		one := &node{kind: mapping, fields: []field{{key: "x", value: block}}}
		p.secrets(&node{kind: mapping, fields: []field{{key: "secrets", value: one}}})
		return nil
	}))
	top["x-teal"] = app
	root := schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SchemaID, "title": "release.yaml of teal", "type": "object",
		"description": "A Compose file with x-teal: what an app runs in an environment.",
		"properties":  top, "patternProperties": map[string]any{"^x-": schema{}}, "additionalProperties": false, "required": []string{"name", "x-teal"},
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("release: the schema is not JSON: " + err.Error()) // it is made of maps, lists and words
	}
	return append(out, '\n')
}

// schema is a JSON Schema in the making.
type schema map[string]any

// undrawn ends a shape that reads by hand what nobody drew.
type undrawn struct{}

// draw runs a shape with no value and returns what it wrote down; {}, which takes
// everything, when it wrote nothing. A shape that goes on to look at its value after its
// parts have drawn themselves ends there: what it would refuse comes on top. One that
// walks a list finds one empty mapping in it.
func (r *reader) draw(s shape) (out schema) {
	before, listed := r.drawn, r.listed
	r.drawn, r.listed = nil, false
	defer func() {
		if recover() != nil && r.drawn == nil {
			r.drawn = schema{}
		}
		if out = r.drawn; out == nil {
			out = schema{}
		}
		if r.listed {
			out = listOf(out)
		}
		r.drawn, r.listed = before, listed
	}()
	s(r, "", nil)
	return nil
}

// draws writes down what a shape takes, while a schema is drawn; the first and outermost
// word counts. It reports whether that is so: then there is no value to read.
func (r *reader) draws(what func() schema) bool {
	if r.drawing && r.drawn == nil {
		drawn := what()
		r.drawn = drawn
	}
	return r.drawing
}

func takes(s schema) func() schema { return func() schema { return s } }

// A text in an x-teal block is one by its place, whatever YAML makes of it.
func textSchema() schema { return schema{"type": []string{"string", "number", "boolean"}} }

func formSchema(form *regexp.Regexp, what string) func() schema {
	return func() schema {
		s := textSchema()
		s["pattern"] = portable(form)
		if what != "" {
			s["description"] = what
		}
		return s
	}
}

// portable is a pattern that every reader of JSON Schema takes.
func portable(form *regexp.Regexp) string {
	return strings.ReplaceAll(form.String(), "[[:graph:]]", "[!-~]")
}

func dictOf(key *regexp.Regexp, value schema) schema {
	return schema{"type": "object", "propertyNames": schema{"pattern": portable(key)}, "additionalProperties": value}
}

func listOf(item schema) schema { return schema{"type": "array", "items": item} }

func anyOf(of ...schema) schema { return schema{"anyOf": of} }

// never is a key that is known and refused; a hover says why.
func never(why string) schema { return schema{"not": schema{}, "description": why} }

func wholeSchema(low, high int64) schema {
	return schema{"type": "integer", "minimum": low, "maximum": high}
}

func spanSchema(low, high time.Duration) schema {
	return schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`,
		"description": fmt.Sprintf("a duration with its unit, from %s to %s", plain(low), plain(high))}
}

// enum takes the words, as numbers too where YAML reads them so.
func enum(words []string) schema {
	all := []any{}
	for _, w := range words {
		all = append(all, w)
		if n, err := strconv.ParseInt(w, 10, 64); err == nil {
			all = append(all, n)
		}
	}
	return schema{"enum": all}
}

// drawn is the schema of an object's keys.
func (o object) drawn(r *reader) schema {
	keys := map[string]any{}
	for _, key := range sorted(o) {
		keys[key] = r.draw(o[key])
	}
	return schema{"type": "object", "properties": keys, "additionalProperties": false}
}
