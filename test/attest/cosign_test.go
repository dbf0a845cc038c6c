// Package attest holds teal's envelopes against cosign, the tool that most pipelines
// sign with: what cosign signs teal reads, what teal signs cosign verifies, and whatever
// teal accepts of a damaged envelope cosign accepts, too.
package attest

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cosign is a built cosign with a home of its own, in which keys and files lie.
type cosign struct {
	t      *testing.T
	binary string
	dir    string
}

// reference is the cosign that test/cosign/go.mod names.
func reference(t *testing.T) *cosign {
	t.Helper()
	binary := built(t, "../cosign", "github.com/sigstore/cosign/v3/cmd/cosign")
	c := &cosign{t: t, binary: binary, dir: t.TempDir()}
	c.must("signing-config", "create", "--out", "no-services.json")
	return c
}

// run runs cosign in its directory.
func (c *cosign) run(args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "COSIGN_PASSWORD=test-only")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cosign) must(args ...string) {
	c.t.Helper()
	if out, err := c.run(args...); err != nil {
		c.t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (c *cosign) file(name string) []byte {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

func (c *cosign) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// key gives cosign a key of ours as NAME.key and NAME.pub.
func (c *cosign) key(name string, key crypto.Signer) {
	c.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	c.must("import-key-pair", "--key", name+".pem", "--output-key-prefix", name)
}

// verifies asks cosign whether a bundle is a statement of the kind about the digest, by
// the key NAME.pub.
func (c *cosign) verifies(bundle []byte, key, kind, digest string) (string, bool) {
	c.t.Helper()
	c.write("asked.json", bundle)
	out, err := c.run("verify-blob-attestation", "--key", key+".pub", "--bundle", "asked.json", "--type", kind,
		"--insecure-ignore-tlog", "--digest", digest, "--digestAlg", "sha256")
	return out, err == nil
}
