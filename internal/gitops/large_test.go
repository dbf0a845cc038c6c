package gitops

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// grow adds commits to main, each of which changes one of 400 apps: a repository of
// some years.
func (o *origin) grow(commits int) string {
	o.t.Helper()
	var in bytes.Buffer
	for i := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\ndata 8\nrelease\n\n", 1_700_000_000+i)
		if i == 0 {
			in.WriteString("from refs/heads/main^0\n")
		}
		text := fmt.Sprintf("name: app-%d\nservices: {web: {image: registry.example.com/app@sha256:%064x}}\nx-teal: {version: v1.0.%d, sequence: %d}\n", i%400, i*7919, i, i+1)
		fmt.Fprintf(&in, "M 100644 inline environments/production/app-%d/release.yaml\ndata %d\n%s\n", i%400, len(text), text)
	}
	cmd := exec.CommandContext(o.t.Context(), gitBin, "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = o.bare, &in
	cmd.Env = append(os.Environ(), gitEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	return run(o.t, o.bare, nil, "rev-parse", "refs/heads/main")
}

// peakHeap is the most heap that was in use while f ran, above what was before.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapInuse, m.HeapInuse
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
	})
	f()
	close(stop)
	wg.Wait()
	return peak - before
}

// A repository of 10,000 commits is cloned and followed with memory that does not grow
// with the history, over each transport. That is some 60,000 objects, and more than
// 100 MiB inflated.
func TestLargeRepositoryInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds; the whole run has it")
	}
	const commits = 10_000
	o := newOrigin(t)
	head := o.grow(commits)
	_, overSSH := newSSHD(t, o)
	old, overOldSSH := newSSHD(t, o)
	old.old = true
	overHTTP := o.config()
	overHTTP.URL = o.serve(asItIs).URL + "/origin.git"
	for name, cfg := range map[string]Config{"local": o.config(), "http": overHTTP, "ssh": overSSH, "ssh, protocol 0": overOldSSH} {
		t.Run(name, func(t *testing.T) {
			most := uint64(150 << 20)
			if name == "local" {
				most = 200 << 20 // the repository's own objects are walked as well
			}
			cfg.Dir = filepath.Join(t.TempDir(), "git")
			cfg.Timeout = 10 * time.Minute // the machine may be busy
			r := open(t, cfg)
			whole := peakHeap(func() { syncOK(t, r) })
			wantHead(t, r, head)
			none := peakHeap(func() { syncOK(t, r) })
			t.Logf("clone: %d MiB of heap, a look without a change: %d KiB", whole>>20, none>>10)
			if whole > most || none > most/4 {
				t.Errorf("%d MiB to clone, %d MiB to look", whole>>20, none>>20)
			}
			if n := strings.TrimSpace(run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "rev-list", "--count", head)); n != fmt.Sprint(commits+1) {
				t.Errorf("the clone has %s commits", n)
			}
		})
	}
}
