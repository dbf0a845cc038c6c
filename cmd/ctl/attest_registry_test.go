package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	attached "github.com/tealops/teal/internal/registry"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	dsseType    = "application/vnd.dsse.envelope.v1+json"
	ciCommit    = "0123456789012345678901234567890123456789"
)

// shelf is a registry in this process, to which a pipeline pushes.
type shelf struct {
	t   *testing.T
	url string
}

// thing names what was pushed.
type thing struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

func newShelf(t *testing.T, referrers bool) *shelf {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
	t.Cleanup(srv.Close)
	return &shelf{t, srv.URL}
}

func (s *shelf) send(method, path, mediaType string, body []byte) thing {
	s.t.Helper()
	sum := sha256.Sum256(body)
	d := thing{mediaType, "sha256:" + hex.EncodeToString(sum[:]), len(body)}
	path = strings.ReplaceAll(path, "DIGEST", d.Digest)
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/v2/acme/shop"+path, bytes.NewReader(body))
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
	return d
}

func (s *shelf) blob(mediaType string, data []byte) thing {
	s.t.Helper()
	return s.send(http.MethodPost, "/blobs/uploads/?digest=DIGEST", mediaType, data)
}

// manifest pushes under a tag, or under its digest.
func (s *shelf) manifest(tag, mediaType string, doc any) thing {
	s.t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		s.t.Fatal(err)
	}
	if tag == "" {
		tag = "DIGEST"
	}
	return s.send(http.MethodPut, "/manifests/"+tag, mediaType, data)
}

type doc = map[string]any

// image pushes an image and returns its name by digest, and its manifest and config.
func (s *shelf) image(text string) (name string, manifest, config thing) {
	s.t.Helper()
	config = s.blob("application/vnd.oci.image.config.v1+json", fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{"Env":[%q]}}`, runtime.GOARCH, text))
	manifest = s.manifest("", ociManifest, doc{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []thing{}})
	return strings.TrimPrefix(s.url, "http://") + "/acme/shop@" + manifest.Digest, manifest, config
}

// attach pushes envelopes as one of the three forms that pipelines use.
func (s *shelf) attach(form string, image thing, bundles [][]byte) {
	s.t.Helper()
	tag := strings.Replace(image.Digest, ":", "-", 1)
	empty := s.blob("application/vnd.oci.empty.v1+json", []byte("{}"))
	if form == "att" { // cosign's older one: bare envelopes, a layer each
		layers := []thing{}
		for _, b := range bundles {
			var bundle struct {
				DSSE json.RawMessage `json:"dsseEnvelope"`
			}
			if err := json.Unmarshal(b, &bundle); err != nil || bundle.DSSE == nil {
				s.t.Fatalf("no bundle: %v\n%s", err, b)
			}
			layers = append(layers, s.blob(dsseType, bundle.DSSE))
		}
		s.manifest(tag+".att", ociManifest, doc{"schemaVersion": 2, "mediaType": ociManifest, "config": empty, "layers": layers})
		return
	}
	index := []thing{}
	for _, b := range bundles {
		index = append(index, s.manifest("", ociManifest, doc{"schemaVersion": 2, "mediaType": ociManifest, "artifactType": bundleType,
			"config": empty, "layers": []thing{s.blob(bundleType, b)}, "subject": image}))
	}
	if form == "fallback tag" {
		s.manifest(tag, ociIndex, doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": index})
	}
}

// pipeline is a clone of the release repository and what CI and a host do with it.
type pipeline struct {
	t          *testing.T
	dir, image string
	config     string // sha256:…
	began      time.Time
}

func newPipeline(t *testing.T, image, config string) *pipeline {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline{t: t, dir: t.TempDir(), image: image, config: config, began: time.Now().UTC().Truncate(time.Second)}
	p.write("ci.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	p.write(".gitignore", "ci.pem\n*.json\nattestations\n") // nothing of this reaches Git
	p.write("teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11\n")
	p.write("environments/staging/shop/release.yaml", fmt.Sprintf(`name: shop
services:
  backend:
    image: %s
    x-teal: {route: {host: shop.example.test, path: /, port: 8000}, probe: {path: /health/}}
x-teal: {version: v1.0.0, sequence: 1, preparedBy: ci-bot, source: {repository: git@git.example.test:shop.git, commit: %s}}
`, image, ciCommit))
	p.write("trust.yaml", fmt.Sprintf(`apiVersion: teal/v1
kind: Trust
repoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11
environment: staging
policy:
  services:
    ci: {keys: [{id: ci-1, pem: %q}], scanners: [trivy, gitleaks], statements: [test-result, provenance], apps: [shop]}
  environments: {staging: {approvals: [], requireProvenance: true, scans: {trivy: {maxAge: 24h, maxDbAge: 48h}, gitleaks: {maxAge: 24h}}}}
hostAccess: {shop: {routes: [shop.example.test]}}
`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "shop v1.0.0"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = p.dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return p
}

func (p *pipeline) write(name, text string) {
	p.t.Helper()
	file := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// attest runs tealctl attest and takes the bundle that it wrote out of the clone.
func (p *pipeline) attest(args ...string) []byte {
	p.t.Helper()
	out, errs, code := ctl(append(append([]string{"attest"}, args...), "--image", p.image, "--key", filepath.Join(p.dir, "ci.pem"), "--repo", p.dir, "-o", "json")...)
	var reply attestedReply
	if err := json.Unmarshal([]byte(out), &reply); err != nil || code != 0 {
		p.t.Fatalf("attest %v: exit %d, %v\n%s%s", args, code, err, out, errs)
	}
	file := filepath.Join(p.dir, reply.File)
	bundle, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		p.t.Fatal(err)
	}
	return bundle
}

// trivy attests a scan of the image that ended at a time, as its report says itself.
func (p *pipeline) trivy(ended time.Time, config, vulnerabilities string) []byte {
	p.t.Helper()
	p.write("trivy.json", fmt.Sprintf(`{"SchemaVersion":2,"Trivy":{"Version":"0.75.0"},"CreatedAt":%q,"ArtifactType":"container_image",
"Metadata":{"OS":{"Family":"debian","Name":"13.1"},"ImageID":%q,"RepoDigests":[%q]},"Results":[{"Target":"shop","Class":"os-pkgs","Vulnerabilities":[%s]}]}`,
		ended.Format(time.RFC3339Nano), config, p.image, vulnerabilities))
	return p.attest("scan", "--scanner", "trivy", "--report", filepath.Join(p.dir, "trivy.json"), "--args", "image", "--args", "--format", "--args", "json",
		"--platform", "linux/"+runtime.GOARCH, "--db-updated-at", ended.Add(-time.Hour).Format(time.RFC3339))
}

// gitleaks attests a scan of the source without a finding.
func (p *pipeline) gitleaks(commit string) []byte {
	p.t.Helper()
	p.write("gitleaks.json", "[]\n")
	return p.attest("scan", "--scanner", "gitleaks", "--scanner-version", "8.30.1", "--report", filepath.Join(p.dir, "gitleaks.json"), "--args", "dir", "--args", "--redact",
		"--source-commit", commit, "--finished-on", p.began.Format(time.RFC3339))
}

func (p *pipeline) tests() []byte {
	p.t.Helper()
	return p.attest("tests", "--result", "PASSED", "--source-commit", ciCommit)
}

func (p *pipeline) provenance(commit string) []byte {
	p.t.Helper()
	return p.attest("provenance", "--builder", "https://ci.example.test/builder", "--source-repository", "https://git.example.test/shop", "--source-commit", commit)
}

// verdict judges the release with what Git and the registry hold, as a host does.
func (p *pipeline) verdict() (trust.Verdict, bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	w, err := openRelease(p.dir, "HEAD", "staging", "shop")
	if err != nil {
		p.t.Fatal(err)
	}
	policy, err := readPolicy(filepath.Join(p.dir, "trust.yaml"), w)
	if err != nil {
		p.t.Fatal(err)
	}
	evidence, err := gatherEvidence(ctx, w, policy, "")
	if err != nil {
		p.t.Fatal(err)
	}
	if len(evidence.Attestations) > 0 {
		p.t.Fatal("something came from Git: the registry is not what is tested")
	}
	client := attached.New(attached.Config{DockerConfig: p.t.TempDir()})
	evidence.Images = map[string]trust.ImageFacts{}
	for _, image := range trust.Images(w.rel) {
		held, err := client.Attestations(ctx, image)
		if err != nil || held.TooLarge != "" {
			p.t.Fatal(err, held.TooLarge)
		}
		facts, err := client.Facts(ctx, image, "linux/"+runtime.GOARCH)
		if err != nil {
			p.t.Fatal(err)
		}
		_, hex, _ := strings.Cut(image, "@sha256:")
		evidence.Attestations, evidence.Images[hex] = append(evidence.Attestations, held.Files...), facts
	}
	evidence.Attest(policy)
	ticked, _ := testsTick(evidence, w, policy, time.Now())
	verdict, err := judge(w, policy, evidence, time.Now().UTC())
	if err != nil {
		p.t.Fatal(err)
	}
	return verdict, ticked.Verified
}

// TestAttestedThroughARegistry carries what tealctl attest signs through a registry to the
// verdict, in each of the three forms in which registries hold it, and changes one thing
// at a time.
func TestAttestedThroughARegistry(t *testing.T) {
	const critical = `{"VulnerabilityID":"CVE-2026-1","PkgName":"openssl","InstalledVersion":"3.0.1","FixedVersion":"3.0.2","Severity":"CRITICAL"}`
	for _, form := range []string{"referrers", "fallback tag", "att"} {
		for _, c := range []struct {
			name   string
			push   func(p *pipeline) [][]byte
			to     string // "": the image's
			want   []release.Code
			tested bool
		}{
			{"all of it", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, p.config, ""), p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "", nil, true},
			{"nothing", func(*pipeline) [][]byte { return nil }, "", []release.Code{release.AttestationMissing}, false},
			{"attached to another image", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, p.config, ""), p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "another", []release.Code{release.AttestationMissing}, false},
			{"no scan of the source", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, p.config, ""), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.AttestationMissing}, true},
			{"a newer scan with a critical finding", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began.Add(-time.Hour), p.config, ""), p.trivy(p.began, p.config, critical), p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.FindingBlocked}, true},
			{"a report that is two days old", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began.Add(-48*time.Hour), p.config, ""), p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.AttestationStale}, true},
			{"a report about another build of the tag", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, "sha256:"+strings.Repeat("0", 64), ""), p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.AttestationReportMismatch}, true},
			{"source of another commit", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, p.config, ""), p.gitleaks(strings.Repeat("f", 40)), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.AttestationSourceMismatch}, true},
			{"no provenance", func(p *pipeline) [][]byte {
				return [][]byte{p.trivy(p.began, p.config, ""), p.gitleaks(ciCommit), p.tests()}
			}, "", []release.Code{release.ProvenanceMissing}, true},
			{"a signature over something else", func(p *pipeline) [][]byte {
				damaged := bytes.Replace(p.trivy(p.began, p.config, critical), []byte(`"sig":"ME`), []byte(`"sig":"MF`), 1)
				return [][]byte{damaged, p.gitleaks(ciCommit), p.tests(), p.provenance(ciCommit)}
			}, "", []release.Code{release.AttestationUntrusted}, true},
		} {
			t.Run(form+"/"+c.name, func(t *testing.T) {
				s := newShelf(t, form == "referrers")
				image, manifest, config := s.image("shop")
				_, another, _ := s.image("another")
				p := newPipeline(t, image, config.Digest)
				if c.to == "another" {
					manifest = another
				}
				if bundles := c.push(p); bundles != nil {
					s.attach(form, manifest, bundles)
				}
				v, tested := p.verdict()
				codes := []release.Code{}
				for _, r := range v.Reasons {
					codes = append(codes, r.Code)
				}
				for _, want := range c.want {
					if !slices.Contains(codes, want) {
						t.Errorf("no %s", want)
					}
				}
				if v.Accepted != (c.want == nil) || len(c.want) > 0 && codes[0] != c.want[0] {
					t.Errorf("accepted %v, want %v: %+v", v.Accepted, c.want, v.Reasons)
				}
				if tested != c.tested {
					t.Errorf("tests ticked %v, want %v", tested, c.tested)
				}
			})
		}
	}
}
