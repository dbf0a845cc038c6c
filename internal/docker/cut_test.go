package docker

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
)

// cutter passes requests on to the real engine and cuts the n-th one that changes
// something: before the engine hears of it, or before its answer is heard. Everything
// after it is cut too, as for an agent that died there.
type cutter struct {
	engine http.Handler
	at     int64 // 1-based; 0: never
	before bool
	count  atomic.Int64
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	n := c.count.Load()
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		n = c.count.Add(1)
	} else if n >= c.at {
		n++ // reading after the cut
	}
	switch {
	case c.at == 0 || n < c.at:
		c.engine.ServeHTTP(w, q)
		return
	case n == c.at && !c.before:
		c.engine.ServeHTTP(httptest.NewRecorder(), q)
	}
	panic(http.ErrAbortHandler)
}

// through is the same agent with a cutter between it and the engine.
func (r *rig) through(t *testing.T, at int64, before bool) (*Engine, *cutter) {
	t.Helper()
	socket := strings.TrimPrefix(r.cfg.Host, "unix://")
	if socket == r.cfg.Host {
		t.Skip("the engine is not on a socket")
	}
	c := &cutter{at: at, before: before, engine: &httputil.ReverseProxy{
		Rewrite:  func(q *httputil.ProxyRequest) { q.Out.URL.Scheme, q.Out.URL.Host = "http", "engine" },
		ErrorLog: log.New(io.Discard, "", 0),
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
	}}
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "cut.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	cfg := r.cfg
	cfg.Host, cfg.Log = "unix://"+listener.Addr().String(), slog.New(slog.DiscardHandler)
	api, err := client.New(client.WithHost(cfg.Host), client.WithAPIVersion(r.api.ClientVersion()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	return &Engine{cfg: cfg, api: api, log: cfg.Log}, c
}

// TestCutAtEveryCall: the agent dies before or after each request that changes
// something. The next life does the same again, and all is as if nothing had happened.
func TestCutAtEveryCall(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	c := r.spec("cutup", "backend")
	c.Endpoints = []release.Endpoint{{Network: r.lab.Name("cutup", "net")}, {Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	c.Mounts = []release.Mount{{Type: "volume", Source: r.lab.Name("cutup", "data"), Target: "/data"}}
	set := r.set("cutup", c)
	set.Networks = []release.NetworkSpec{{Name: c.Endpoints[0].Network, Labels: r.labels("cutup", "", "")}}
	set.Volumes = []release.VolumeSpec{{Name: c.Mounts[0].Source, Labels: r.labels("cutup", "", "")}}
	check := func(t *testing.T, there bool) {
		t.Helper()
		found, err := r.find(ctx, label(release.LabelApp, "cutup"), r.mine())
		if err != nil || len(found) != map[bool]int{true: 1}[there] {
			t.Fatalf("%d containers, %v", len(found), err)
		}
		if nets, err := r.networksNamed(ctx, set.Networks[0].Name); err != nil || len(nets) != map[bool]int{true: 1}[there] {
			t.Errorf("%d networks, %v", len(nets), err)
		}
		if there && (len(found[0].NetworkSettings.Networks) != 2 || r.edgeAddress(found[0]) != r.address(1) || found[0].HostConfig.RestartPolicy.Name != "no") {
			t.Errorf("%+v", found[0].NetworkSettings.Networks)
		}
	}
	ops := []struct {
		name  string
		run   func(*Engine) error
		calls int64 // at least
		there bool
	}{
		{"create", func(e *Engine) error { return e.Create(ctx, set, "no") }, 4, true},
		{"remove", func(e *Engine) error { return e.Remove(ctx, "cutup", blueSet, nil) }, 2, false},
	}
	for i, op := range ops {
		undo := func(t *testing.T) {
			t.Helper()
			if err := ops[1-i].run(r.Engine); err != nil {
				t.Fatal(err)
			}
			if ops[1-i].there {
				return
			}
			if _, err := r.api.VolumeRemove(ctx, set.Volumes[0].Name, client.VolumeRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		undo(t)
		e, whole := r.through(t, 0, false)
		if err := op.run(e); err != nil {
			t.Fatal(err)
		}
		calls := whole.count.Load()
		if calls < op.calls {
			t.Fatalf("%s takes %d calls, at least %d were expected", op.name, calls, op.calls)
		}
		for at := int64(1); at <= calls; at++ {
			for _, before := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s cut at %d, before %v", op.name, at, before), func(t *testing.T) {
					undo(t)
					e, cut := r.through(t, at, before)
					if err := op.run(e); err == nil || cut.count.Load() != at {
						t.Errorf("cut at %d of %d: %v", cut.count.Load(), calls, err)
					}
					if err := op.run(r.Engine); err != nil {
						t.Fatal(err)
					}
					check(t, op.there)
				})
			}
		}
	}
}
