package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// clone is a clone of a release repository with one release in it, a trust.yaml that asks
// for scans of one scanner, and a pipeline's key.
type clone struct {
	t       *testing.T
	tealctl string
	dir     string
	key     *ecdsa.PrivateKey
}

// newClone makes a clone whose release was built from a commit.
func newClone(t *testing.T, tealctl, scanner, commit string) *clone {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &clone{t: t, tealctl: tealctl, dir: t.TempDir(), key: key}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c.write("ci.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	c.write(".gitignore", []byte("ci.pem\ntrust.yaml\n"))
	c.write("teal.yaml", []byte("apiVersion: teal/v1\nkind: Repository\nrepoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11\n"))
	c.write("environments/staging/shop/release.yaml", fmt.Appendf(nil, `name: shop
services:
  backend:
    image: %s
    x-teal: {route: {host: shop.example.test, path: /, port: 8000}, probe: {path: /health/}}
x-teal: {version: v1.0.0, sequence: 1, preparedBy: ci-bot, source: {repository: git@git.example.test:shop.git, commit: %s}}
`, image, commit))
	c.write("trust.yaml", fmt.Appendf(nil, `apiVersion: teal/v1
kind: Trust
repoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11
environment: staging
policy:
  services:
    ci: {keys: [{id: ci-1, pem: %q}], scanners: [%s], apps: [shop]}
  environments: {staging: {approvals: [], scans: {%s: {maxAge: 24h}}}}
hostAccess: {shop: {routes: [shop.example.test]}}
`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), scanner, scanner))
	git(t, c.dir, "init", "-q", "-b", "main")
	c.commit()
	return c
}

func (c *clone) write(name string, data []byte) {
	c.t.Helper()
	file := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clone) commit() {
	c.t.Helper()
	git(c.t, c.dir, "add", "-A")
	git(c.t, c.dir, "commit", "-q", "--allow-empty", "-m", "release")
}

// run runs tealctl in the clone.
func (c *clone) run(args ...string) (out, errs string, code int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.tealctl, args...)
	cmd.Dir = c.dir
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// verdict is what `tealctl verify` says of the commit.
func (c *clone) verdict() trust.Verdict {
	c.t.Helper()
	c.commit()
	out, errs, _ := c.run("verify", "shop", "--env", "staging", "--policy", "trust.yaml", "-o", "json")
	var reply struct{ Verdict trust.Verdict }
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		c.t.Fatalf("verify: %v\n%s%s", err, out, errs)
	}
	return reply.Verdict
}

// reasons are the codes of a verdict.
func reasons(v trust.Verdict) string {
	codes := []string{}
	for _, r := range v.Reasons {
		codes = append(codes, string(r.Code))
	}
	return strings.Join(codes, " ")
}

// byHand puts a scan into the clone that was signed without asking tealctl, which refuses
// some: the host decides for itself.
func (c *clone) byHand(s trust.Scan) {
	c.t.Helper()
	stamp := s.FinishedOn.UTC().Format("2006-01-02T15:04:05Z")
	args, err := json.Marshal(append([]string{}, s.Args...))
	if err != nil {
		c.t.Fatal(err)
	}
	name, hex, _ := strings.Cut(image, "@sha256:")
	statement := fmt.Appendf(nil, `{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{
"scanner":{"name":%q,"version":%q},"scan":{"startedOn":%q,"finishedOn":%q,"args":%s,"exitCode":%d,"target":{"commit":%q,"path":"."}},
"report":{"format":%q,"content":%s}}}`, trust.StatementType, name, hex, trust.PredicateTypeScan, s.Scanner, s.Version, stamp, stamp, args, s.ExitCode, s.Target.Commit, s.Format, s.Report)
	bundle, err := trust.SignEnvelope(c.key, statement)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("attestations/sha256/"+hex+"/by-hand.sigstore.json", bundle)
}

// git runs git without anybody's configuration.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com",
		"GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// refusal is the code in an error of package trust, "" when there is none.
func refusal(stderr string) release.Code {
	_, after, ok := strings.Cut(stderr, "nothing was signed: ")
	if !ok {
		return ""
	}
	code, _, _ := strings.Cut(after, ":")
	return release.Code(code)
}
