package release

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCorpusHoldsEveryKey sees that every key which teal carries out stands in a file of
// the corpus that is compared with Compose (test/fidelity): a key that is added to the
// tables without a file there fails here.
func TestCorpusHoldsEveryKey(t *testing.T) {
	files, err := filepath.Glob("../../test/compose/corpus/*/release.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files in the corpus: %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := reader{file: file}
		root := r.document(data)
		if root == nil {
			t.Fatalf("%s: %v", file, r.problems)
		}
		mark(seen, "", root)
	}
	for _, table := range []struct {
		at   string
		keys object
	}{
		{"services.*", serviceKeys}, {"services.*.healthcheck", healthcheck}, {"services.*.deploy", deploy},
		{"services.*.networks.*", serviceNetwork}, {"services.*.depends_on.*", dependencyKeys}, {"services.*.volumes[]", mountForm},
		{"networks.*", networkKeys}, {"volumes.*", volumeKeys},
	} {
		for _, key := range sorted(table.keys) {
			if !carriedOut(table.keys[key]) || table.at == "services.*" && (key == "ports" || key == "container_name" || key == "x-teal") {
				continue
			}
			if at := table.at + "." + key; !seen[at] {
				t.Errorf("no file of test/compose/corpus holds %s", at)
			}
		}
	}
}

// carriedOut reports whether a key's shape takes anything at all: one that is not
// carried out says so whatever stands there.
func carriedOut(s shape) bool {
	r := reader{}
	s(&r, "key", &node{kind: mapping, line: 1})
	for _, p := range r.problems {
		if p.Code == ComposeNotCarried {
			return false
		}
	}
	return true
}

// mark notes where every key stands, with * for names of the people's own.
func mark(seen map[string]bool, at string, n *node) {
	names := map[string]bool{"services": true, "networks": true, "volumes": true, "services.*.networks": true, "services.*.depends_on": true}
	for _, f := range n.fields {
		key := f.key
		if names[at] {
			key = "*"
		}
		next := join(at, key)
		if key == "*" {
			next = at + ".*"
		}
		seen[next] = true
		mark(seen, next, f.value)
	}
	for _, item := range n.items {
		mark(seen, at+"[]", item)
	}
}
