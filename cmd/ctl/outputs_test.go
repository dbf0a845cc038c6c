package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/rollout"
)

const outputsFile = "../../docs/schema/outputs.json"

// compiled is a schema as a validator that is not ours reads it.
func compiled(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(outputsID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(outputsID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fits holds every document of an output to the published schema, and to the strict one: a
// field that the schema does not name fails there.
func fits(t *testing.T, out string) (seen []string) {
	t.Helper()
	published, err := os.ReadFile(outputsFile)
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*jsonschema.Schema{"published": compiled(t, published), "strict": compiled(t, api.Schema(outputsID, true, outputs...))}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatalf("no JSON: %v: %s", err, out)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range schemas {
			if err := s.Validate(doc); err != nil {
				t.Errorf("not by the %s schema: %v\n%s", name, err, raw)
			}
		}
		kind, _ := doc.(map[string]any)["kind"].(string)
		seen = append(seen, kind)
	}
	return seen
}

// TestOutputsSchemaIsPublished: the published file is what the Go types say now.
func TestOutputsSchemaIsPublished(t *testing.T) {
	out, errs, code := ctl("schema", "outputs")
	if code != 0 {
		t.Fatal(errs)
	}
	if *update {
		if err := os.WriteFile(outputsFile, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(outputsFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), out); d != "" {
		t.Errorf("docs/schema/outputs.json is not what the types say; go test ./cmd/ctl -run TestOutputsSchemaIsPublished -update: %s", d)
	}
	for _, kind := range kinds() {
		one, errs, code := ctl("schema", "outputs", strings.ToLower(kind))
		if code != 0 || !strings.Contains(one, `"const": "`+kind+`"`) {
			t.Errorf("%s: exit %d: %s%s", kind, code, one, errs)
		}
		compiled(t, []byte(one))
	}
	if _, errs, code := ctl("schema", "outputs", "Stauts"); code != exitUsage || !strings.Contains(errs, "there are: AllowedSigners,") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestEveryKindFitsItsSchema: every kind of the list is printed by a real run, or stands in a
// golden file, and fits.
func TestEveryKindFitsItsSchema(t *testing.T) {
	var seen []string
	for path := range commands() {
		out, _, _ := perform(t, path, "-o", "json")
		if strings.HasPrefix(out, "{") {
			seen = append(seen, fits(t, out)...)
		}
	}
	for _, args := range [][]string{{"explain", "--list", "-o", "json"}, {"explain", "TEAL-3001", "-o", "json"}} {
		out, _, _ := ctl(args...)
		seen = append(seen, fits(t, out)...)
	}
	a := startAgent(t, deploying("shop", rollout.Baking))
	out, _, _ := a.ctl("plan", "-o", "json")
	seen = append(seen, fits(t, out)...)
	f := a.follow("status", "shop", "-w", "-o", "json")
	seen = append(seen, fits(t, f.next())...)
	f.stop()
	f.ended()
	goldens, err := filepath.Glob("../../internal/ui/testdata/*/json.golden")
	if err != nil || len(goldens) < 8 {
		t.Fatalf("%d golden files: %v", len(goldens), err)
	}
	for _, file := range goldens {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fits(t, string(data))...)
	}
	slices.Sort(seen)
	if d := cmp.Diff(kinds(), slices.Compact(seen)); d != "" {
		t.Errorf("kinds of the list (-) and those that were printed (+): %s", d)
	}
}

// TestSchemaOfOutputsRefuses: what is no answer of tealctl does not pass for one; a later
// version's field does.
func TestSchemaOfOutputsRefuses(t *testing.T) {
	s := compiled(t, api.Schema(outputsID, false, outputs...))
	when := time.Date(2026, 11, 23, 14, 3, 15, 0, time.UTC).Format(time.RFC3339)
	for text, good := range map[string]bool{
		`{"apiVersion": "teal/v1", "kind": "Done", "actor": "ann", "text": "done"}`:                                                                         true,
		`{"apiVersion": "teal/v1", "kind": "Done", "actor": "ann", "text": "done", "later": {"a": 1}}`:                                                      true,
		`{"apiVersion": "teal/v1", "kind": "Event", "seq": 1, "time": "` + when + `", "record": "x", "text": "y"}`:                                          true,
		`{"apiVersion": "teal/v1", "kind": "Event", "seq": 1, "time": "yesterday", "record": "x", "text": "y"}`:                                             false,
		`{"apiVersion": "teal/v1", "kind": "Event", "seq": "1", "time": "` + when + `", "record": "x", "text": "y"}`:                                        false,
		`{"apiVersion": "teal/v2", "kind": "Done", "actor": "ann", "text": "done"}`:                                                                         false,
		`{"apiVersion": "teal/v1", "kind": "Undone", "actor": "ann", "text": "done"}`:                                                                       false,
		`{"apiVersion": "teal/v1", "kind": "Done", "text": "done"}`:                                                                                         false,
		`{"apiVersion": "teal/v1", "kind": "History", "entries": [{"app": "shop", "id": 7, "kind": "release", "result": "live", "began": "` + when + `"}]}`: false,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
