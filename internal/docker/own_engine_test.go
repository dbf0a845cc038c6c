package docker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/lab"
)

// ownEngine is an agent on an engine of the test's own, which may be stopped and
// filled up. data is its data root; "" is on the machine's disk.
func ownEngine(t *testing.T, data string) (*rig, *lab.Engine) {
	t.Helper()
	r := newRig(t) // its lab, registry and image
	for _, program := range []string{"dockerd", "ip", "nsenter"} {
		if _, err := exec.LookPath(program); (err != nil || os.Geteuid() != 0) && os.Getenv("CI") != "true" {
			t.Skipf("an engine of its own needs root and %s", program)
		}
	}
	engine, err := r.lab.Engine(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	e, err := Open(t.Context(), Config{Host: engine.Host, Instance: r.cfg.Instance, EdgeNetwork: r.cfg.EdgeNetwork, EdgeSubnet: r.subnet,
		DockerConfig: t.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return &rig{Engine: e, lab: r.lab, image: r.image, subnet: r.subnet}, engine
}

// answersIn is answers inside the engine's network namespace.
func answersIn(e *lab.Engine, a netip.Addr) string {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return e.Dial(ctx, network, address)
	}}
	return ask200(&http.Client{Timeout: time.Second, Transport: transport}, a)
}

// TestEngineRestarts: the engine goes away and comes back. While it is away every
// call says so; afterwards what was switched serves at its address again without
// anybody's help, what was not stays down, and Watch has everything looked at.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	r, engine := ownEngine(t, "")
	r.edge(t).pulled(t)
	ctx := t.Context()
	var sets []release.SetSpec
	for n, app := range []string{"switched", "unproven"} {
		c := r.spec(app, "backend")
		c.Hostname = app
		c.Endpoints = []release.Endpoint{{Network: r.lab.Name(app)}, {Network: r.cfg.EdgeNetwork, IPv4: r.address(n + 1)}}
		set := r.set(app, c)
		set.Networks = []release.NetworkSpec{{Name: c.Endpoints[0].Network, Labels: r.labels(app, "", "")}}
		if err := r.Start(ctx, r.up(t, set), nil); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	if err := r.SetRestart(ctx, "switched", blueSet, nil, "unless-stopped"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both answer", func() bool {
		return answersIn(engine, r.address(1)) == "switched" && answersIn(engine, r.address(2)) == "unproven"
	})
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var looks atomic.Int64
	ended := make(chan error, 1)
	go func() {
		ended <- r.Watch(watching, func(app string) {
			if app == "" {
				looks.Add(1)
			}
		})
	}()
	eventually(t, "it listens", func() bool { return looks.Load() == 1 })

	if err := engine.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Observe":    func() error { _, err := r.Observe(ctx, "switched"); return err },
		"ObserveAll": func() error { _, err := r.ObserveAll(ctx); return err },
		"Pull":       func() error { return r.Pull(ctx, r.image, nil) },
		"Images":     func() error { _, err := r.Images(ctx, []string{r.image}); return err },
		"EnsureEdge": func() error { return r.EnsureEdge(ctx) },
		"Create":     func() error { return r.Create(ctx, sets[0], "no") },
		"Start":      func() error { return r.Start(ctx, sets[0], nil) },
		"Stop":       func() error { return r.Stop(ctx, "switched", blueSet, nil) },
		"SetRestart": func() error { return r.SetRestart(ctx, "switched", blueSet, nil, "no") },
		"Remove":     func() error { return r.Remove(ctx, "switched", blueSet, nil) },
		"RunOnce":    func() error { _, _, err := r.RunOnce(ctx, sets[0].Containers[0]); return err },
		"Logs":       func() error { _, err := r.Logs(ctx, sets[0].Containers[0].Name, false, 1); return err },
		"Info":       func() error { _, err := r.Info(ctx); return err },
		"Space":      func() error { _, err := r.Space(ctx); return err },
	} {
		t.Run("away: "+name, func(t *testing.T) { wantFault(t, call(), rollout.FaultRetry, release.EngineUnreachable) })
	}
	if n := looks.Load(); n != 1 {
		t.Errorf("woken %d times by an engine that is away", n)
	}

	if err := engine.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Watch listens again", func() bool { return looks.Load() > 1 })
	eventually(t, "what was switched answers", func() bool { return answersIn(engine, r.address(1)) == "switched" })
	seen, err := r.ObserveAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s, u := seen["switched"], seen["unproven"]; len(s) != 1 || s[0].Status != rollout.Running || s[0].Address != r.address(1) ||
		len(u) != 1 || u[0].Status != rollout.Exited || u[0].Address != r.address(2) {
		t.Errorf("after the restart: %+v", seen)
	}
	if err := r.Start(ctx, sets[1], nil); err != nil {
		t.Error(err)
	}
	eventually(t, "the other answers too", func() bool { return answersIn(engine, r.address(2)) == "unproven" })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Watch: %v", err)
	}
}

// TestFullDisk: an image that does not fit is disk_full and leaves nothing that looks
// like it; what is there can still be created and started; with room the pull goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("a file system of its own needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("teal-test", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r, engine := ownEngine(t, filepath.Join(disk, "data"))
	r.edge(t).pulled(t)
	big := r.lab.Image(t, lab.Image{Name: "large", Pad: 32 << 20})
	filler := filepath.Join(disk, "filler")
	if err := fill(filler, disk, 24<<20); err != nil {
		t.Fatal(err)
	}
	wantFault(t, r.Pull(t.Context(), big, nil), rollout.FaultRetry, release.DiskFull, "no space left")
	if there, err := r.Images(t.Context(), []string{big, r.image}); err != nil || there[big] || !there[r.image] {
		t.Errorf("images: %v %v", there, err)
	}
	c := r.spec("cold", "backend")
	c.Hostname = "backend"
	c.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	set := r.up(t, r.set("cold", c))
	if err := r.Start(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was there answers", func() bool { return answersIn(engine, r.address(1)) == "backend" })
	space, err := r.Space(t.Context())
	if err != nil || space.FreeBytes > 32<<20 || !strings.HasPrefix(space.DataRoot, disk) {
		t.Errorf("space %+v %v", space, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := r.Pull(t.Context(), big, nil); err != nil {
		t.Error(err)
	}
}

// fill writes a file until only that many bytes are free.
func fill(path, disk string, leave uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); ; {
		var s syscall.Statfs_t
		if err := syscall.Statfs(disk, &s); err != nil || s.Bavail*uint64(s.Bsize) <= leave {
			return err
		}
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
}
