package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/tealops/teal/internal/trust"
)

// shelf is a registry in this process.
type shelf struct {
	t    *testing.T
	srv  *httptest.Server
	host string
}

const repo = "acme/shop"

// newShelf starts a registry, with the referrers API or without; wrap may misbehave.
func newShelf(t *testing.T, referrers bool, wrap func(http.Handler) http.Handler) *shelf {
	t.Helper()
	h := http.Handler(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &shelf{t: t, srv: srv, host: strings.TrimPrefix(srv.URL, "http://")}
}

func (s *shelf) send(method, path, mediaType string, body []byte) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.srv.URL+"/v2/"+repo+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
}

func (s *shelf) blob(data []byte) descriptor {
	s.t.Helper()
	d := descriptor{Digest: digestOf(data), Size: int64(len(data))}
	s.send(http.MethodPost, "/blobs/uploads/?digest="+d.Digest, "application/octet-stream", data)
	return d
}

// manifest stores a manifest under its digest, and under a tag if one is given.
func (s *shelf) manifest(tag, mediaType string, doc any) descriptor {
	s.t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		s.t.Fatal(err)
	}
	d := descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}
	if tag == "" {
		tag = d.Digest
	}
	s.send(http.MethodPut, "/manifests/"+tag, mediaType, data)
	return d
}

// image stores an image whose config has that text.
func (s *shelf) image(config string) (ref string, d descriptor, configDigest string) {
	s.t.Helper()
	c := s.blob([]byte(config))
	c.MediaType = "application/vnd.oci.image.config.v1+json"
	d = s.manifest("", typeOCIManifest, doc{"schemaVersion": 2, "mediaType": typeOCIManifest, "config": c, "layers": []descriptor{}})
	return s.ref(d.Digest), d, c.Digest
}

func (s *shelf) ref(digest string) string { return s.host + "/" + repo + "@" + digest }

type doc = map[string]any

// attachment is the manifest of an attached envelope, as cosign writes it.
func (s *shelf) attachment(subject descriptor, mediaType string, envelopes ...string) doc {
	var layers []descriptor
	for _, e := range envelopes {
		l := s.blob([]byte(e))
		l.MediaType = mediaType
		layers = append(layers, l)
	}
	empty := s.blob([]byte("{}"))
	empty.MediaType = "application/vnd.oci.empty.v1+json"
	return doc{"schemaVersion": 2, "mediaType": typeOCIManifest, "artifactType": mediaType, "config": empty, "layers": layers, "subject": subject}
}

// client reads with nobody's credentials.
func client(t *testing.T) *Client {
	t.Helper()
	return New(Config{DockerConfig: t.TempDir()})
}

func data(files []trust.AttestationFile) string {
	var out []string
	for _, f := range files {
		out = append(out, string(f.Data))
	}
	return strings.Join(out, " ")
}

func tagOf(d descriptor) string { return strings.Replace(d.Digest, ":", "-", 1) }
