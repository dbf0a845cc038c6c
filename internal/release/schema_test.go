package release

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ManifestSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// editorView is a manifest as an editor's YAML reader hands it to a validator; nil if it is
// not YAML.
func editorView(t testing.TB, data []byte) any {
	t.Helper()
	var r reader
	root := r.document(data)
	if root == nil {
		return nil
	}
	return asValue(root)
}

func asValue(n *node) any {
	switch n.kind {
	case mapping:
		out := map[string]any{}
		for _, f := range n.fields {
			out[f.key] = asValue(f.value)
		}
		return out
	case sequence:
		out := []any{}
		for _, item := range n.items {
			out = append(out, asValue(item))
		}
		return out
	}
	switch n.tag {
	case "!!null":
		return nil
	case "!!bool":
		return n.reads == "true"
	case "!!int", "!!float":
		if i, err := strconv.ParseInt(n.reads, 10, 64); err == nil {
			return json.Number(strconv.FormatInt(i, 10))
		}
		if f, err := strconv.ParseFloat(n.reads, 64); err == nil {
			return f
		}
	}
	return n.text
}

// TestSchemaIsPublished: the published file is what the tables say now.
func TestSchemaIsPublished(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "schema", "manifest.json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, ManifestSchema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(ManifestSchema())); diff != "" {
		t.Errorf("docs/schema/manifest.json is old; go test ./internal/release -run Schema -update\n%s", diff)
	}
}

// TestSchemaTakesWhatParseTakes: an editor marks nothing that a host accepts.
func TestSchemaTakesWhatParseTakes(t *testing.T) {
	s := compiled(t)
	cases := corpus(t, "good")
	for _, name := range sorted(cases) {
		data, err := fs.ReadFile(cases[name], Manifest)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(editorView(t, data)); err != nil {
			t.Errorf("good/%s: %v", name, err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := drawSketch(rt).text(nil)
		dir := manifest(text)
		if _, problems := Parse(dir, "staging", "shop"); len(problems) > 0 {
			rt.Skip()
		}
		if err := s.Validate(editorView(t, []byte(text))); err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
	})
}

// FuzzSchema: the same of anything that Parse accepts.
func FuzzSchema(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	s := compiled(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, problems := Parse(manifest(string(data)), "staging", "shop"); len(problems) > 0 {
			return
		}
		if err := s.Validate(editorView(t, data)); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}

// TestSchemaRefuses: what people get wrong most is marked by the editor, as lint does it.
func TestSchemaRefuses(t *testing.T) {
	const sound = `name: shop
services:
  web:
    image: registry.example.test/a@sha256:1111111111111111111111111111111111111111111111111111111111111111
    restart: always
    environment: {A: "1"}
    mem_limit: 512m
    stop_grace_period: 10s
    cap_drop: [ALL]
    x-teal: {route: {host: a.example.com, path: /, port: 8000}, probe: {path: /health/, every: 1s, status: 2xx}}
x-teal:
  version: v1.0.0
  sequence: 7
  bake: {for: 5m, errorRate: 1%}
  smoke: [{http: {path: /ping}}]
  keep: 3
`
	s := compiled(t)
	both := func(text string) (parse, schema bool) {
		_, problems := Parse(manifest(text), "staging", "shop")
		return len(problems) == 0, s.Validate(editorView(t, []byte(text))) == nil
	}
	if parse, schema := both(sound); !parse || !schema {
		t.Fatalf("the sound one: parse %v, schema %v", parse, schema)
	}
	for _, edit := range [][2]string{
		{"restart: always", "restrat: always"},
		{"restart: always", "restart: sometimes"},
		{"@sha256:1111111111111111111111111111111111111111111111111111111111111111", ":latest"},
		{"@sha256:1111111111111111111111111111111111111111111111111111111111111111", "@sha256:1111"},
		{"    restart: always\n", "    build: .\n"},
		{"    restart: always\n", "    container_name: [x]\n    expose: [80]\n"},
		{"    restart: always\n", "    extends: {service: x}\n"},
		{"    restart: always\n", "    privileged: \"yes\"\n"},
		{"    restart: always\n", "    replicas: 2\n"},
		{"    restart: always\n", "    scale: 0\n"},
		{"    restart: always\n", "    deploy: {restart_policy: {condition: any}}\n"},
		{"    restart: always\n", "    healthcheck: {interval: 5}\n"},
		{"    restart: always\n", "    depends_on: web2\n"},
		{"    restart: always\n", "    volumes: {data: /data}\n"},
		{"    restart: always\n", "    ulimits: {NOFILE: 5}\n"},
		{"    restart: always\n", "    logging: json-file\n"},
		{"mem_limit: 512m", "mem_limit: 512 megabytes"},
		{"mem_limit: 512m", "mem_limit: 0.5"},
		{"stop_grace_period: 10s", "stop_grace_period: 10"},
		{"cap_drop: [ALL]", "cap_drop: ALL"},
		{"cap_drop: [ALL]", "cap_drop: [ALL, ALL]"},
		{`{A: "1"}`, `{A: [1]}`},
		{`{A: "1"}`, `{"1A": x}`},
		{"port: 8000", "port: 80000"},
		{"port: 8000", `port: "8000"`},
		{"host: a.example.com", "host: A.example.com:443"},
		{"path: /health/", "path: health"},
		{"every: 1s", "every: 1"},
		{"{route:", "{routes:"},
		{"version: v1.0.0\n", ""},
		{"version: v1.0.0", "version: v1 final"},
		{"sequence: 7", `sequence: "7"`},
		{"sequence: 7", "sequence: 0"},
		{"sequence: 7", "sequence: 7.5"},
		{"sequence: 7\n", ""},
		{"for: 5m", "for: 5 minutes"},
		{"errorRate: 1%", "errorRate: 0.01"},
		{"smoke: [{http: {path: /ping}}]", "smoke: {http: {path: /ping}}"},
		{"{path: /ping}", "{path: /ping, method: FETCH}"},
		{"keep: 3", "keep: many"},
		{"keep: 3", "keeps: 3"},
		{"keep: 3", "source: {commit: abc1234}"},
		{"keep: 3", "volumes: {data: shared}"},
		{"keep: 3", "links: {docs: docs.example.com}"},
		{"x-teal:\n", "x-teel:\n"},
		{"name: shop\n", ""},
		{"name: shop", "name: Shop"},
		{"services:\n", "version: \"3.8\"\nservices:\n"},
		{"services:\n", "include: [a.yaml]\nservices:\n"},
	} {
		text := strings.Replace(sound, edit[0], edit[1], 1)
		if text == sound {
			t.Fatalf("%q is not there", edit[0])
		}
		if parse, schema := both(text); parse || schema {
			t.Errorf("%q for %q: accepted by parse %v, by schema %v", edit[1], edit[0], parse, schema)
		}
	}
}

// TestSchemaIsDrawn lists the keys that the schema says nothing of: a new one is a
// decision. They are read by hand, or refused with advice that depends on the service.
func TestSchemaIsDrawn(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(ManifestSchema(), &doc); err != nil {
		t.Fatal(err)
	}
	var open []string
	var walk func(at string, v any)
	walk = func(at string, v any) {
		m, _ := v.(map[string]any)
		if m == nil {
			return
		}
		if len(m) == 0 {
			open = append(open, at)
			return
		}
		props, _ := m["properties"].(map[string]any)
		for _, key := range sorted(props) {
			walk(join(at, key), props[key])
		}
		walk(at+"[]", m["items"])
		if more, ok := m["additionalProperties"].(map[string]any); ok {
			walk(at+".*", more)
		}
		of, _ := m["anyOf"].([]any)
		for _, one := range of {
			walk(at, one)
		}
		if p, ok := m["pattern"].(string); ok && (strings.Contains(p, "[[:") || strings.Contains(p, "(?")) && !strings.Contains(p, "(?:") {
			t.Errorf("%s: pattern %s is not for every reader of JSON Schema", at, p)
		}
		if p, ok := m["pattern"].(string); ok {
			if _, err := regexp.Compile(p); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
	}
	walk("", doc)
	known := map[string]bool{}
	for _, at := range []string{"services.*.configs", "services.*.secrets", "services.*.container_name", "services.*.env_file", "services.*.ports",
		"configs.*.content", "configs.*.file", "secrets.*.file"} {
		known[at] = true
	}
	for _, at := range open {
		if !known[at] {
			t.Errorf("the schema says nothing of %s: let its shape draw it (schema.go), or name it here", at)
		}
	}
}
