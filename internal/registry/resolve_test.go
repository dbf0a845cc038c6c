package registry

import (
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	s := newShelf(t, true, nil)
	_, one, _ := s.image("amd64")
	entry := doc{"mediaType": one.MediaType, "digest": one.Digest, "size": one.Size, "platform": doc{"os": "linux", "architecture": "amd64"}}
	index := s.manifest("v1.2.3", typeOCIIndex, doc{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []doc{entry}})
	s.manifest("odd", typeOCIManifest, doc{"mediaType": typeOCIManifest})
	name := s.host + "/" + repo
	for _, c := range []struct{ given, want, says string }{
		{name + ":v1.2.3", name + "@" + index.Digest, ""}, // the index itself, not one of its platforms
		{name, "", "neither tag nor digest"},
		{name + ":none", "", "not there"},
		{name + ":odd", "", "neither an image nor an index"},
		{"UPPER/x:1", "", "not the name of an image"},
		{"registry.example.invalid/x\x1b:1", "", `x\x1b`},
	} {
		got, err := client(t).Resolve(t.Context(), c.given)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %s %v, want %s %q", c.given, got, err, c.want, c.says)
		}
	}
}
