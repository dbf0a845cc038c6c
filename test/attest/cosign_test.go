// Package attest holds teal's envelopes against cosign, the tool that most pipelines
// sign with: what cosign signs teal reads, what teal signs cosign verifies, and whatever
// teal accepts of a damaged envelope cosign accepts, too.
package attest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// buildTimeout is for a cold build on a small machine.
const buildTimeout = 20 * time.Minute

// reference builds the cosign that test/cosign/go.mod names, once for each content of its
// go.sum and each Go version.
func reference(t *testing.T) *cosign {
	t.Helper()
	const module, tool = "../cosign", "github.com/sigstore/cosign/v3/cmd/cosign"
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(sums, runtime.Version()...))
	binary := filepath.Join(cache, "teal-test", "cosign-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(binary); err != nil {
		if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Log("building cosign; a cold build takes minutes")
		ctx, cancel := context.WithTimeoutCause(t.Context(), buildTimeout, fmt.Errorf("building cosign took more than %s", buildTimeout))
		defer cancel()
		fresh := fmt.Sprintf("%s.%d", binary, os.Getpid())
		build := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-ldflags", "-s -w", "-o", fresh, tool)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build cosign: %v\n%s", err, out)
		}
		if err := os.Rename(fresh, binary); err != nil {
			t.Fatal(err)
		}
	}
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
