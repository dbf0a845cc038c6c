package registry

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/trust"
)

func TestFacts(t *testing.T) {
	s := newShelf(t, true, nil)
	amd, amdManifest, amdConfig := s.image("amd64")
	_, armManifest, armConfig := s.image("arm64")
	index := func(entries ...doc) string {
		return s.ref(s.manifest("", typeOCIIndex, doc{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": entries}).Digest)
	}
	entry := func(d descriptor, os, arch, variant string) doc {
		return doc{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size, "platform": doc{"os": os, "architecture": arch, "variant": variant}}
	}
	both := index(entry(amdManifest, "linux", "amd64", ""), entry(armManifest, "linux", "arm64", ""), entry(armManifest, "unknown", "unknown", ""))
	facts := func(platform string, m descriptor, config string) trust.ImageFacts {
		return trust.ImageFacts{Platform: platform, Manifest: hexOf(m.Digest), Config: hexOf(config)}
	}
	inner := s.manifest("", typeOCIIndex, doc{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []doc{entry(amdManifest, "linux", "amd64", "")}})
	for name, c := range map[string]struct {
		image, platform string
		want            trust.ImageFacts
		err             string
	}{
		"one image":                {amd, "linux/amd64", facts("", amdManifest, amdConfig), ""},
		"of an index":              {both, "linux/amd64", facts("linux/amd64", amdManifest, amdConfig), ""},
		"the other of an index":    {both, "linux/arm64", facts("linux/arm64", armManifest, armConfig), ""},
		"with the usual variant":   {both, "linux/arm64/v8", facts("linux/arm64/v8", armManifest, armConfig), ""},
		"another variant":          {both, "linux/arm64/v9", trust.ImageFacts{}, "no image for linux/arm64/v9"},
		"another platform":         {both, "windows/amd64", trust.ImageFacts{}, "no image for windows/amd64"},
		"the builder's own":        {both, "linux/unknown", trust.ImageFacts{}, "no image for"},
		"no platform":              {both, "", trust.ImageFacts{}, "not a platform"},
		"half a platform":          {both, "linux", trust.ImageFacts{}, "not a platform"},
		"two for one platform":     {index(entry(amdManifest, "linux", "amd64", ""), entry(armManifest, "linux", "amd64", "v1")), "linux/amd64", trust.ImageFacts{}, "2 images"},
		"an index in an index":     {index(entry(inner, "linux", "amd64", "")), "linux/amd64", trust.ImageFacts{}, "index within an index"},
		"not there":                {s.ref(digestOf([]byte("nothing"))), "linux/amd64", trust.ImageFacts{}, "not there"},
		"an image and an index":    {s.ref(s.manifest("", typeOCIManifest, doc{"mediaType": typeOCIManifest, "config": doc{}, "layers": []doc{}, "manifests": []doc{}}).Digest), "linux/amd64", trust.ImageFacts{}, "at once"},
		"a config by no digest":    {s.ref(s.manifest("", typeOCIManifest, doc{"mediaType": typeOCIManifest, "config": doc{"digest": "x"}, "layers": []doc{}}).Digest), "linux/amd64", trust.ImageFacts{}, "names no config"},
		"an index that is called":  {s.ref(s.manifest("", typeOCIManifest, doc{"mediaType": typeOCIManifest, "manifests": []doc{}}).Digest), "linux/amd64", trust.ImageFacts{}, "holds an index"},
		"another type":             {s.ref(s.manifest("", typeOCIManifest, doc{"mediaType": "x\x1b[2J", "config": doc{}}).Digest), "linux/amd64", trust.ImageFacts{}, `x\x1b[2J`},
		"an image with no members": {s.ref(s.manifest("", typeOCIManifest, doc{}).Digest), "linux/amd64", trust.ImageFacts{}, "neither"},
	} {
		got, err := client(t).Facts(t.Context(), c.image, c.platform)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v %v, want %+v %q", name, got, err, c.want, c.err)
		}
	}
}

// Attack 23: the registry sends another manifest for the digest.
func TestFactsOfOtherBytes(t *testing.T) {
	swapped := ""
	s := newShelf(t, true, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && swapped != "" && strings.Contains(r.URL.Path, "/manifests/") {
				r.URL.Path = "/v2/" + repo + "/manifests/" + swapped
			}
			h.ServeHTTP(w, r)
		})
	})
	ref, _, _ := s.image("good")
	_, evil, _ := s.image("evil")
	swapped = evil.Digest
	if got, err := client(t).Facts(t.Context(), ref, "linux/amd64"); !errors.Is(err, ErrDigest) {
		t.Errorf("%+v %v", got, err)
	}
}
