package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const (
	testImage  = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	testRepoID = "5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11"
)

// clone is a repository with one release, keys, policies and a scanner's report beside it.
// Its paths stand in arguments as CLONE, KEY, PEM, POLICY, ROOTPOLICY, NEXT, REPORT, STATE.
type clone struct {
	t     *testing.T
	dir   string
	paths map[string]string
}

func newClone(t *testing.T) *clone {
	t.Helper()
	c := &clone{t: t, dir: t.TempDir(), paths: map[string]string{}}
	for word, file := range map[string]string{"CLONE": "repo", "KEY": "ann", "PEM": "ci.pem", "POLICY": "trust.yaml", "ROOTPOLICY": "root.yaml",
		"NEXT": "next.json", "REPORT": "trivy.json", "STATE": "state", "OTHERPOLICY": "other.yaml", "BADPOLICY": "bad.yaml", "BARE": "bare", "COMPOSE": "compose.yaml"} {
		c.paths[word] = filepath.Join(c.dir, file)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	t.Setenv("GIT_CONFIG_SYSTEM", "/dev/null")
	t.Setenv("SSH_AUTH_SOCK", "")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Dev")
		t.Setenv("GIT_"+who+"_EMAIL", "dev@example.com")
	}
	public, private, err := ed25519.GenerateKey(nil)
	c.check(err)
	block, err := ssh.MarshalPrivateKey(private, "ann")
	c.check(err)
	c.write("ann", string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	c.check(err)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.check(err)
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	c.check(err)
	c.write("ci.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))

	head := "apiVersion: teal/v1\nkind: Trust\nrepoId: " + testRepoID + "\nenvironment: production\n"
	inline := `policy:
  people: {ann@example.com: {keys: [{id: ann-1, ssh: "` + line + `"}]}}
  roles: {devops: {members: [ann@example.com]}}
  environments: {production: {approvals: [{role: devops, threshold: 1}]}}
hostAccess: {shop: {routes: [shop.example.test]}}
`
	c.write("trust.yaml", head+inline)
	c.write("repo/environments/production/recipients.txt", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n")
	c.write("other.yaml", strings.Replace(head, testRepoID, "11111111-2222-4333-8444-555555555555", 1)+inline)
	c.write("bad.yaml", head+"policy: {peoples: {}}\n")
	c.write("root.yaml", head+`policyRoot: {threshold: 1, keys: [{person: ann@example.com, ssh: "`+line+`"}], minVersion: 1}`+"\n")
	c.write("next.json", `{"apiVersion": "teal/v1", "kind": "TrustPolicy", "repoId": "`+testRepoID+`", "version": 1, "expiresAt": "2099-01-01T00:00:00Z",
 "root": {"threshold": 1, "members": ["ann@example.com"]},
 "people": {"ann@example.com": {"keys": [{"id": "ann-1", "ssh": "`+line+`"}]}},
 "roles": {"devops": {"members": ["ann@example.com"]}},
 "environments": {"production": {"approvals": [{"role": "devops", "threshold": 1}]}}}`)
	c.write("trivy.json", `{"SchemaVersion":2,"CreatedAt":"2026-11-23T14:00:00Z","Trivy":{"Version":"0.70.0"},"ArtifactName":"registry.example.test/shop@sha256:`+testImage+`","ArtifactType":"container_image",
 "Metadata":{"OS":{"Family":"alpine","Name":"3.22.1"},"RepoDigests":["registry.example.test/shop@sha256:`+testImage+`"]},
 "Results":[{"Target":"alpine","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[]}]}`)
	c.write("compose.yaml", "services:\n  web:\n    image: registry.example.test/web:1\n    ports: [\"80:8080\"]\n")
	c.write("repo/teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+testRepoID+"\n")
	c.write("repo/environments/production/shop/release.yaml", `name: shop
services:
  backend:
    image: registry.example.test/shop@sha256:`+testImage+`
    x-teal: {route: {host: shop.example.test, path: /, port: 8000}, probe: {path: /health/}}
x-teal: {version: v1.2.3, sequence: 3, preparedBy: ci-bot}
`)
	c.git("init", "-q", "-b", "main")
	c.git("add", "-A")
	c.git("commit", "-q", "-m", "shop v1.2.3")
	return c
}

func (c *clone) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *clone) write(file, text string) {
	c.t.Helper()
	file = filepath.Join(c.dir, file)
	c.check(os.MkdirAll(filepath.Dir(file), 0o755))
	c.check(os.WriteFile(file, []byte(text), 0o600))
}

func (c *clone) git(args ...string) {
	c.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = c.paths["CLONE"]
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// ctl runs tealctl with the words of its arguments replaced by paths.
func (c *clone) ctl(args ...string) (out, errs string, code int) {
	return c.ctlIn(c.t.Context(), args...)
}

func (c *clone) ctlIn(ctx context.Context, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	words := append([]string(nil), args...)
	for i, w := range words {
		if path, ok := c.paths[w]; ok {
			words[i] = path
		}
	}
	code = run(ctx, words, strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}
