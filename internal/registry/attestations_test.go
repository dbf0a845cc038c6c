package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/trust"
)

// One image, attested in each of the three places.
func TestAttestations(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %v", referrers), func(t *testing.T) {
			s := newShelf(t, referrers, nil)
			ref, image, _ := s.image("config")
			attached := s.manifest("", typeOCIManifest, s.attachment(image, typeBundle, "BUNDLE"))
			other := s.manifest("", typeOCIManifest, s.attachment(image, "application/spdx+json", "SBOM"))
			foreign := s.manifest("", typeOCIManifest, s.attachment(descriptor{MediaType: typeOCIManifest, Digest: digestOf([]byte("x"))}, typeBundle, "ANOTHER IMAGE'S"))
			if !referrers { // the list under the fallback tag, whose types are wrong
				attached.MediaType, other.MediaType = typeOCIManifest, typeOCIManifest
				s.manifest(tagOf(image), typeOCIIndex, doc{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []doc{
					{"mediaType": typeOCIManifest, "digest": attached.Digest, "size": attached.Size, "artifactType": "application/vnd.oci.empty.v1+json"},
					{"mediaType": typeOCIManifest, "digest": other.Digest, "size": other.Size, "artifactType": typeBundle},
					{"mediaType": typeOCIManifest, "digest": foreign.Digest, "size": foreign.Size, "artifactType": typeBundle},
				}})
			}
			old := s.manifest(tagOf(image)+".att", typeOCIManifest, s.attachment(descriptor{}, typeDSSE, "DSSE 1", "DSSE 2", "DSSE 1"))

			got, err := client(t).Attestations(t.Context(), ref)
			if err != nil || got.TooLarge != "" {
				t.Fatal(err, got.TooLarge)
			}
			hex := hexOf(image.Digest)
			want := []trust.AttestationFile{
				{Source: trust.SourceRegistry, Name: attached.Digest, Image: hex, Data: []byte("BUNDLE")},
				{Source: trust.SourceRegistry, Name: old.Digest + "#1", Image: hex, Data: []byte("DSSE 1")},
				{Source: trust.SourceRegistry, Name: old.Digest + "#2", Image: hex, Data: []byte("DSSE 2")},
			}
			if d := cmp.Diff(want, got.Files); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAttestationsOfAnImageWithout(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		s := newShelf(t, referrers, nil)
		ref, _, _ := s.image("config")
		if got, err := client(t).Attestations(t.Context(), ref); err != nil || len(got.Files) != 0 || got.TooLarge != "" {
			t.Errorf("referrers API %v: %+v %v", referrers, got, err)
		}
	}
}

// What is listed and withheld is left out; bytes that are not those named are an error.
func TestAttestationsOfALyingRegistry(t *testing.T) {
	var lie func(w http.ResponseWriter, r *http.Request) bool
	s := newShelf(t, true, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if lie == nil || !lie(w, r) {
				h.ServeHTTP(w, r)
			}
		})
	})
	ref, image, _ := s.image("config")
	one := s.manifest("", typeOCIManifest, s.attachment(image, typeBundle, "ONE"))
	s.manifest("", typeOCIManifest, s.attachment(image, typeBundle, "TWO"))
	blob := digestOf([]byte("ONE"))
	answer := func(part string, status int, mediaType, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
				return false
			}
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	index := func(entries string) string {
		return `{"schemaVersion":2,"mediaType":"` + typeOCIIndex + `","manifests":` + entries + `}`
	}
	many := func(n int) string {
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":1}`, typeOCIManifest, digestOf([]byte{byte(i)})))
		}
		return index("[" + strings.Join(entries, ",") + "]")
	}
	for name, c := range map[string]struct {
		lie   func(http.ResponseWriter, *http.Request) bool
		want  string // envelopes, in any order
		large string
		err   string
	}{
		"honest":                        {nil, "ONE TWO", "", ""},
		"a manifest withheld":           {answer("/manifests/"+one.Digest, 404, "", ""), "TWO", "", ""},
		"an envelope withheld":          {answer("/blobs/"+blob, 404, "", ""), "TWO", "", ""},
		"another manifest":              {answer("/manifests/"+one.Digest, 200, typeOCIManifest, `{"config":{},"layers":[]}`), "", "", "do not have the digest"},
		"another envelope":              {answer("/blobs/"+blob, 200, "", "EVIL"), "", "", "do not have the digest"},
		"an envelope and a byte":        {answer("/blobs/"+blob, 200, "", "ONE\n"), "", "", "do not have the digest"},
		"an error":                      {answer("/blobs/"+blob, 500, "", "\x1b[2Jhello"), "", "", "answers 500"},
		"not allowed":                   {answer("/referrers/", 403, "", ""), "", "", "answers 403"},
		"no referrers API, 400":         {answer("/referrers/", 400, "", ""), "", "", ""},
		"no referrers API, 405":         {answer("/referrers/", 405, "", ""), "", "", ""},
		"a page for people":             {answer("/referrers/", 200, "text/html", "<html>"), "", "", ""},
		"a list that is no list":        {answer("/referrers/", 200, typeOCIIndex, "[]"), "", "", "not JSON of a manifest"},
		"a list that is an image, too":  {answer("/referrers/", 200, typeOCIIndex, `{"manifests":[],"layers":[]}`), "", "", "at once"},
		"an empty list as null":         {answer("/referrers/", 200, typeOCIIndex, index("null")), "", "", ""},
		"entries by another hash":       {answer("/referrers/", 200, typeOCIIndex, index(`[{"digest":"sha512:00"},{"digest":"../../x"},{}]`)), "", "", ""},
		"64 entries, all withheld":      {answer("/referrers/", 200, typeOCIIndex, many(64)), "", "", ""},
		"65 entries":                    {answer("/referrers/", 200, typeOCIIndex, many(65)), "", "more than 64 things", ""},
		"a list of 5 MiB":               {answer("/referrers/", 200, typeOCIIndex, index("["+strings.Repeat(" ", 5<<20)+"]")), "", "more than 4194304 bytes", ""},
		"an envelope of 17 MiB":         {answer("/blobs/"+blob, 200, "", strings.Repeat("x", 17<<20)), "", "more than 16777216 bytes", ""},
		"an error with a text for eyes": {answer("/v2/", 401, "", "\x1b[2J\nhello"), "", "", "answers 401"},
	} {
		t.Run(name, func(t *testing.T) {
			lie = c.lie
			got, err := client(t).Attestations(t.Context(), ref)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%v, want %q", err, c.err)
			}
			if err != nil && trust.Escape(err.Error()) != strings.ReplaceAll(err.Error(), `\`, `\\`) {
				t.Errorf("not fit to be shown: %q", err)
			}
			have := data(got.Files)
			if have == "TWO ONE" {
				have = "ONE TWO" // the order is the registry's
			}
			if have != c.want {
				t.Errorf("got %q, want %q", have, c.want)
			}
			if (got.TooLarge == "") != (c.large == "") || !strings.Contains(got.TooLarge, c.large) {
				t.Errorf("too large: %q, want %q", got.TooLarge, c.large)
			}
		})
	}
}

func TestAttestationsOverPages(t *testing.T) {
	var link func(page string) string
	s := newShelf(t, true, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				h.ServeHTTP(w, r)
				return
			}
			page := r.URL.Query().Get("page")
			if l := link(page); l != "" {
				w.Header().Set("Link", l)
			}
			w.Header().Set("Content-Type", typeOCIIndex+"; charset=utf-8")
			entry := ""
			if page == "2" {
				entry = fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":1}`, typeOCIManifest, r.URL.Query().Get("have"))
			}
			fmt.Fprintf(w, `{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}`, typeOCIIndex, entry)
		})
	})
	ref, image, _ := s.image("config")
	d := s.manifest("", typeOCIManifest, s.attachment(image, typeBundle, "PAGE 2"))
	for name, c := range map[string]struct {
		link             func(string) string
		want, large, err string
	}{
		"two pages": {func(page string) string {
			if page == "" {
				return `<?page=2&have=` + d.Digest + `>; rel="next"`
			}
			return ""
		}, "PAGE 2", "", ""},
		"without end":        {func(string) string { return `<?page=x>; rel="next"` }, "", "more than 8 pages", ""},
		"elsewhere":          {func(string) string { return `<http://169.254.169.254/x>; rel="next"` }, "", "", "elsewhere"},
		"another path":       {func(string) string { return `</v2/other/referrers/x>; rel="next"` }, "", "", "elsewhere"},
		"a link unreadable":  {func(string) string { return `next` }, "", "", "cannot be read"},
		"an unfinished list": {func(page string) string { return "" }, "", "", ""},
	} {
		link = c.link
		got, err := client(t).Attestations(t.Context(), ref)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
			continue
		}
		if data(got.Files) != c.want || !strings.Contains(got.TooLarge, c.large) || (c.large == "") != (got.TooLarge == "") {
			t.Errorf("%s: %q %q", name, data(got.Files), got.TooLarge)
		}
	}
}

func TestAttestationsAddUp(t *testing.T) {
	s := newShelf(t, true, nil)
	ref, image, _ := s.image("config")
	for i := range 5 {
		s.manifest("", typeOCIManifest, s.attachment(image, typeBundle, fmt.Sprint(i)+strings.Repeat("x", 14<<20)))
	}
	got, err := client(t).Attestations(t.Context(), ref)
	if err != nil || !strings.Contains(got.TooLarge, "more than 64 MiB") || len(got.Files) != 0 {
		t.Errorf("%v %q %d", err, got.TooLarge, len(got.Files))
	}
}

func TestRefusesOtherNames(t *testing.T) {
	c := client(t)
	for _, image := range []string{"", "shop", "shop:v1", "127.0.0.1:1/shop:v1", "shop@sha512:" + strings.Repeat("0", 128), "shop@sha256:0", "a b@sha256:" + strings.Repeat("0", 64), "\x1b[2J@sha256:x"} {
		_, err := c.Attestations(t.Context(), image)
		_, err2 := c.Facts(t.Context(), image, "linux/amd64")
		for _, err := range []error{err, err2} {
			if err == nil || !strings.Contains(err.Error(), "digest") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q: %v", image, err)
			}
		}
	}
}
