package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// TestTagsAreResolved asks a registry for what tags name: release new and init write
// digests, an index of platforms as it is.
func TestTagsAreResolved(t *testing.T) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	const mediaType = "application/vnd.oci.image.index.v1+json"
	req, err := http.NewRequest(http.MethodPut, srv.URL+"/v2/shop/manifests/v1.2.4", strings.NewReader(`{"schemaVersion":2,"mediaType":"`+mediaType+`","manifests":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	digest := resp.Header.Get("Docker-Content-Digest")
	t.Setenv("DOCKER_CONFIG", t.TempDir())

	c := newClone(t)
	out, errs, code := c.ctl("release", "new", "shop", "v1.2.4", "--env", "production", "--repo", "CLONE", "--image", "backend="+host+"/shop:v1.2.4")
	data, err := os.ReadFile(c.paths["CLONE"] + "/environments/production/shop/release.yaml")
	if err != nil || code != 0 || !strings.Contains(string(data), "image: "+host+"/shop@"+digest+"\n") {
		t.Errorf("exit %d: %v: %s%s\n%s", code, err, out, errs, data)
	}
	_, errs, code = c.ctl("release", "new", "shop", "v1.2.5", "--env", "production", "--repo", "CLONE", "--image", "backend="+host+"/shop:none")
	if code != exitFailed || !strings.Contains(errs, "not there") {
		t.Errorf("exit %d: %s", code, errs)
	}

	c.write("compose.yaml", "services:\n  web:\n    image: "+host+"/shop:${TAG:-v1.2.4}\n  gone:\n    image: "+host+"/gone:1\n")
	out, errs, code = c.ctl("init", "--from", "COMPOSE", "--env", "staging", "--app", "shop")
	if code != exitFailed || !strings.Contains(out, "image: "+host+"/shop@"+digest) || !strings.Contains(errs, "service gone keeps its tag") || !strings.Contains(errs, "1 left to you") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
