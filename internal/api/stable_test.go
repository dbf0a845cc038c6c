package api

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata anew")

// paths lists what a reply may hold: one line a field, with its JSON type. People's
// scripts read these names: additions are fine, a changed or missing line breaks one.
func paths(at string, t reflect.Type, depth int) []string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return []string{at + " time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return []string{at + " any"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return []string{at + " string"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return []string{at + " " + t.Name()}
	case depth > 12:
		return []string{at + " …"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return paths(at, t.Elem(), depth)
	case reflect.Slice, reflect.Array:
		return paths(at+"[]", t.Elem(), depth+1)
	case reflect.Map:
		return paths(at+"{}", t.Elem(), depth+1)
	case reflect.Struct:
		var out []string
		for f := range t.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-" || !f.IsExported():
			case f.Anonymous && name == "":
				out = append(out, paths(at, f.Type, depth)...)
			default:
				if name == "" {
					name = f.Name
				}
				if strings.Contains(options, "omit") {
					name += "?"
				}
				out = append(out, paths(at+"."+name, f.Type, depth+1)...)
			}
		}
		return out
	case reflect.String:
		return []string{at + " string"}
	case reflect.Bool:
		return []string{at + " bool"}
	case reflect.Interface:
		return []string{at + " any"}
	}
	return []string{at + " number"}
}

func TestRepliesAreStable(t *testing.T) {
	var lines []string
	for _, reply := range []any{Status{}, Explanation{}, History{}, Plan{}, Event{}, About{}, Done{}, Failure{}, Command{}} {
		t := reflect.TypeOf(reply)
		lines = append(lines, paths(t.Name(), t, 0)...)
	}
	const file = "testdata/replies.golden"
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(stored)), "\n") {
		if !slices.Contains(lines, line) {
			t.Errorf("somebody's script reads %q, and it is gone or has another type", line)
		}
	}
	if diff := cmp.Diff(string(stored), got); diff != "" && !t.Failed() {
		t.Errorf("new in a reply; run with -update to promise it:\n%s", diff)
	}
}

// A reply is served as it is promised: indented, with a line end, with its kind.
func TestServedText(t *testing.T) {
	s := mine(t)
	for path, kind := range map[string]string{"/v1/status": "Status", "/v1/explain?app=shop": "Explanation", "/v1/history": "History", "/v1/plan?app=shop": "Plan", "/v1/version": "Version"} {
		status, body := s.raw(t, "GET", path, "")
		if status != 200 || !strings.HasPrefix(body, fmt.Sprintf("{\n  \"apiVersion\": \"teal/v1\",\n  \"kind\": %q,\n", kind)) || !strings.HasSuffix(body, "}\n") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := s.raw(t, "GET", "/v1/status", ""); !strings.Contains(body, `"apps": []`) {
		t.Errorf("no apps must be an empty list: %s", body)
	}
	status, body := s.raw(t, "GET", "/v1/events", "")
	if want := "{\"seq\":1,\"time\":\"0001-01-01T00:00:00Z\",\"kind\":\"record\",\"text\":\"first\"}\n"; status != 200 || body != want {
		t.Errorf("events: %d %q, want %q", status, body, want)
	}
}
