package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/lab"
	"github.com/tealops/teal/test/rig"
)

// smallDisk is a filesystem of its own of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "teal-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount a small filesystem: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file until the disk is full, but for the last keep bytes.
func fill(t *testing.T, dir string, keep int64) (file string) {
	t.Helper()
	file = filepath.Join(dir, "ballast")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var size int64
	for _, block := range []int{1 << 20, 64 << 10, 4 << 10} {
		buf := make([]byte, block)
		for {
			n, err := f.Write(buf)
			size += int64(n)
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(max(0, size-keep)); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestFullStateDisk fills the filesystem of the agent's state: nothing goes forward,
// with one clear reason; a forced rollback still works, from the reserves; with room
// again teal goes on by itself.
func TestFullStateDisk(t *testing.T) {
	disk := smallDisk(t, "24m")
	state := filepath.Join(disk, "state")
	r := open(t, rig.Options{State: state})
	up(t, r)
	deploy(t, r, rig.Manifest{Version: "v1.1.0", Sequence: 2})
	load := r.StartLoad(rig.LoadShape{Fast: 4, Slow: 2, SlowFor: 300e6, Pause: 20e6})
	defer load.Stop()

	ballast := fill(t, disk, 0)
	if _, err := r.Release(t.Context(), rig.Manifest{Version: "v1.2.0", Sequence: 3}); err != nil {
		t.Fatal(err)
	}
	st := awaitStatus(t, r, "a reason that names the full disk", func(st api.Status) bool {
		if st.Repository.Code == release.DiskFull || st.Repository.Code == release.JournalFull {
			return true
		}
		for _, a := range st.Apps {
			if a.Wait.Why == release.JournalFull || a.Wait.Why == release.DiskFull {
				return true
			}
		}
		return false
	})
	t.Logf("full disk: repository %s %q, app %s %q", st.Repository.Code, st.Repository.Detail, st.Apps[0].Wait.Why, st.Apps[0].Wait.Detail)
	serves(t, r, "v1.1.0")

	out, errs, code := r.Ctl(t.Context(), "rollback", "shop", "--reason", "the disk is full and v1.1.0 is bad", "--yes")
	if code != 0 {
		t.Fatalf("rollback on a full disk: exit %d: %s%s", code, out, errs)
	}
	// The newer release may go on right after: its sequence is above the hold's, and the
	// reserves that the rollback freed may be enough to fetch it.
	await(t, r, "rolled back", func(a api.AppStatus) bool {
		return a.Live != nil && a.Live.Version == "v1.0.0" || a.Last != nil && a.Last.Kind == rollout.KindRollback && a.Last.Phase == rollout.Live
	})
	out, _, _ = r.Ctl(t.Context(), "history", "shop")
	t.Logf("the history on the full disk:\n%s", out)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, r, "v1.2.0 live, with room again", rig.Live("v1.2.0"))
	load.Stop()
	if n := load.Failed.Load(); n > 0 {
		t.Errorf("%d requests failed: %v", n, load.Failures())
	}
}

// TestFullEngineDisk fills the engine's filesystem so that a pull cannot end: the
// release waits with one clear reason, what is live serves on, and with room again
// teal goes on by itself.
func TestFullEngineDisk(t *testing.T) {
	disk := smallDisk(t, "160m")
	r := open(t, rig.Options{Engine: true, EngineData: filepath.Join(disk, "data")})
	up(t, r)
	big, err := r.Lab.Build(t.Context(), lab.Image{Program: rig.Shop, Name: "shop/big", Tag: "v2", Pad: 24 << 20})
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Text(t.Context(), rig.Manifest{Version: "v1.1.0", Sequence: 2})
	if err != nil {
		t.Fatal(err)
	}
	small, err := r.Image(t.Context(), "shop/backend")
	if err != nil {
		t.Fatal(err)
	}
	ballast := fill(t, disk, 6<<20)
	if _, err := r.Commit(t.Context(), "shop v1.1.0", map[string]string{r.ManifestPath("shop"): strings.Replace(text, small, big, 1)}); err != nil {
		t.Fatal(err)
	}
	a := await(t, r, "disk_full", func(a api.AppStatus) bool { return a.Wait.Why == release.DiskFull })
	t.Logf("full disk at a pull: %s", a.Wait.Detail)
	if !strings.Contains(a.Wait.Detail, "shop/big") {
		t.Errorf("the reason does not name the image: %s", a.Wait.Detail)
	}
	serves(t, r, "v1.0.0")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a = await(t, r, "v1.1.0 live, with room again", rig.Live("v1.1.0"))
	tidy(t, r, a)
}
