package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// buildTimeout is for a cold build on a small machine.
const buildTimeout = 20 * time.Minute

// built builds the tool that a module beside this one names, once for each content of its
// go.sum and each Go version, into the user's cache directory.
func built(t *testing.T, module, tool string) string {
	t.Helper()
	name := path.Base(module)
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(sums, runtime.Version()...))
	binary := filepath.Join(cache, "teal-test", name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("building %s; a cold build takes minutes", name)
	fresh := fmt.Sprintf("%s.%d", binary, os.Getpid())
	build(t, module, tool, fresh)
	if err := os.Rename(fresh, binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// build builds one program of a module.
func build(t *testing.T, module, program, binary string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), buildTimeout, fmt.Errorf("building %s took more than %s", program, buildTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-ldflags", "-s -w", "-o", binary, program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
}
