package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/docker/contract"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/test/lab"
)

// The tests of this package share one lab and one image; each has an agent of its own.
var place struct {
	sync.Once
	*lab.Lab
	image string
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if place.Lab != nil {
		if err := place.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close lab:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// rig is one agent's engine with an edge network.
type rig struct {
	*Engine
	lab    *lab.Lab
	image  string
	subnet netip.Prefix
}

var instances atomic.Int64

func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Getenv("TEAL_NO_DOCKER") == "1" && os.Getenv("CI") != "true" {
		t.Skip("TEAL_NO_DOCKER=1: this test needs a container engine")
	}
	place.Do(func() {
		if place.Lab, place.err = lab.New(t.Context(), nil); place.err == nil {
			place.image, place.err = place.Build(t.Context(), lab.Image{Name: "app"})
		}
	})
	if place.err != nil {
		t.Fatalf("%v\nThis test needs a container engine; set TEAL_NO_DOCKER=1 to skip such tests.", place.err)
	}
	subnet, err := place.Subnet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	instance := place.Name("agent", fmt.Sprint(instances.Add(1)))
	e, err := Open(t.Context(), Config{Host: place.Host, Instance: instance, EdgeNetwork: instance + "-edge", EdgeSubnet: subnet,
		DockerConfig: t.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Engine: e, lab: place.Lab, image: place.image, subnet: subnet}
	t.Cleanup(func() {
		r.clean(t, true)
		r.Close()
	})
	return r
}

// edge makes the edge network.
func (r *rig) edge(t *testing.T) *rig {
	t.Helper()
	if err := r.EnsureEdge(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// pulled makes the image available.
func (r *rig) pulled(t *testing.T) *rig {
	t.Helper()
	if err := r.Pull(t.Context(), r.image, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// clean removes what the agent made, so that tests do not see each other.
func (r *rig) clean(t *testing.T, edge bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := r.ObserveAll(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, list := range all {
		for _, c := range list {
			if err := r.removeContainer(ctx, c.ID); err != nil {
				t.Error(err)
			}
		}
	}
	nets, err := r.networks(ctx, make(client.Filters).Add("label", r.mine()))
	if err != nil {
		t.Error(err)
	}
	for _, n := range nets {
		if n.Name == r.cfg.EdgeNetwork && !edge {
			continue
		}
		if err := r.removeNetwork(ctx, n.ID); err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) address(n int) netip.Addr {
	a := r.subnet.Addr()
	for range n + 1 { // the first is the bridge's own
		a = a.Next()
	}
	return a
}

// answers is the host name that the app at an address says, or "".
func answers(a netip.Addr) string {
	return ask200(&http.Client{Timeout: time.Second}, a)
}

func ask200(c *http.Client, a netip.Addr) string {
	resp, err := c.Get("http://" + netip.AddrPortFrom(a, 8080).String() + "/")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if f := strings.Fields(string(body)); len(f) > 2 {
		return f[2]
	}
	return ""
}

// labels are teal's own for a test's object.
func (r *rig) labels(app, service, spec string) map[string]string {
	return r.lab.Labels(map[string]string{
		release.LabelInstance: r.cfg.Instance, release.LabelApp: app, release.LabelColour: "blue", release.LabelService: service,
		release.LabelRelease: strings.Repeat("ab", 32), release.LabelSpec: spec,
	})
}

var blueSet = release.SetID{Colour: release.Blue, Target: release.Target{Digest: release.Digest(strings.Repeat("ab", 32))}}

// spec is a container of the app's image on no network but its own.
func (r *rig) spec(app, service string, args ...string) release.ContainerSpec {
	return release.ContainerSpec{Name: r.lab.Name(app, service), Service: service, Class: release.ClassHandover, Image: r.image, Command: args,
		Labels: r.labels(app, service, "s1"), StopGrace: time.Second}
}

func (r *rig) set(app string, containers ...release.ContainerSpec) release.SetSpec {
	return release.SetSpec{App: app, ID: blueSet, Project: r.lab.Name(app), Containers: containers}
}

func wantFault(t *testing.T, err error, fault rollout.Fault, code release.Code, phrases ...string) {
	t.Helper()
	var e *rollout.EffectError
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want %s %s", err, err, fault, code)
	}
	if e.Fault != fault || e.Code != code {
		t.Fatalf("got %s %s (%v), want %s %s", e.Fault, e.Code, err, fault, code)
	}
	for _, p := range phrases {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("message %q does not say %q", err, p)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("message is not one escaped line: %q", err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	contract.Run(t, func(t *testing.T) contract.World {
		t.Cleanup(func() { r.clean(t, false) })
		return contract.World{
			Containers: r.Engine,
			Host:       release.Host{Name: "host", Instance: r.cfg.Instance, Prefix: r.lab.Prefix(), EdgeNetwork: r.cfg.EdgeNetwork},
			Labels:     r.lab.Labels(nil),
			Program: func(b contract.Behaviour) (string, []string) {
				switch {
				case b.Exits:
					return r.image, []string{"-exit", fmt.Sprint(b.Code)}
				case b.Deaf:
					return r.image, []string{"-ignore-term"}
				}
				return r.image, nil
			},
			Address: r.address,
			Answers: answers,
			Kill: func(name string) {
				// As if its program died: the engine's own kill would count as asked for.
				c, err := r.inspect(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				p, err := os.FindProcess(c.State.Pid)
				if err == nil {
					err = p.Kill()
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			Vanish: func(name string) {
				if err := r.removeContainer(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
