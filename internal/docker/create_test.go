package docker

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// TestEngineKeepsEveryField creates a full specification and reads back what the
// engine made of it.
func TestEngineKeepsEveryField(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	spec := full()
	spec.Name, spec.Image, spec.Labels = r.lab.Name("full"), r.image, r.labels("full", "backend", "s1")
	spec.UTSMode = "" // an engine takes either this or a host name
	spec.Mounts[0].Source = r.lab.Name("full", "data")
	spec.Endpoints[0].Network, spec.Endpoints[1].Network = r.lab.Name("full", "net"), r.cfg.EdgeNetwork
	spec.Endpoints[1].IPv4 = r.address(1)
	set := r.set("full", spec)
	set.Networks = []release.NetworkSpec{{Name: spec.Endpoints[0].Network, Labels: r.labels("full", "", "")}}
	set.Volumes = []release.VolumeSpec{{Name: spec.Mounts[0].Source, Labels: r.labels("full", "", "")}}
	if err := r.Create(t.Context(), set, "no"); err != nil {
		t.Fatal(err)
	}
	have, err := r.inspect(t.Context(), spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := createOptions(spec, "no", "1.41")
	if err != nil {
		t.Fatal(err)
	}
	kept := func(part string, want, have any) {
		w, h := reflect.ValueOf(want).Elem(), reflect.ValueOf(have).Elem()
		for i := range w.NumField() {
			name := w.Type().Field(i).Name
			if w.Field(i).IsZero() {
				continue
			}
			if d := lost(w.Field(i), h.Field(i)); d != "" {
				t.Errorf("%s.%s (-sent +kept):\n%s", part, name, d)
			}
		}
	}
	kept("Config", want.Config, have.Config)
	kept("HostConfig", want.HostConfig, have.HostConfig)
	if len(have.NetworkSettings.Networks) != 2 || r.edgeAddress(have) != r.address(1) {
		t.Errorf("networks: %+v", have.NetworkSettings.Networks)
	}
	if a := have.NetworkSettings.Networks[spec.Endpoints[0].Network].Aliases; len(a) == 0 || a[0] != "backend" {
		t.Errorf("aliases: %v", a)
	}
}

// lost is what the engine did not keep. It may add to lists and maps: a PATH, the
// host's own log options.
func lost(sent, kept reflect.Value) string {
	diff := cmp.Diff(sent.Interface(), kept.Interface(), cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty())
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "-") {
			return diff
		}
	}
	return ""
}

// TestForeignNames: what has the name and is not ours is never touched.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	foreign := map[string]map[string]string{
		"nobody":  r.lab.Labels(nil),
		"another": r.lab.Labels(map[string]string{release.LabelInstance: "other\x1b[31m", release.LabelApp: "taken"}),
	}
	for who, labels := range foreign {
		t.Run("container of "+who, func(t *testing.T) {
			spec := r.spec("taken", who)
			made, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{Name: spec.Name, Config: &container.Config{Image: r.image, Labels: labels}})
			if err != nil {
				t.Fatal(err)
			}
			wantFault(t, r.Create(ctx, r.set("taken", spec), "no"), rollout.FaultHold, release.NameTaken, spec.Name)
			if have, err := r.inspect(ctx, spec.Name); err != nil || have.ID != made.ID {
				t.Errorf("it was touched: %v", err)
			}
			wantFault(t, r.Start(ctx, r.set("taken", spec), nil), rollout.FaultHold, release.NameTaken)
		})
		t.Run("network of "+who, func(t *testing.T) {
			name := r.lab.Name("taken", who, "net")
			if _, err := r.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: labels}); err != nil {
				t.Fatal(err)
			}
			set := r.set("taken")
			set.Networks = []release.NetworkSpec{{Name: name, Labels: r.labels("taken", "", "")}}
			wantFault(t, r.Create(ctx, set, "no"), rollout.FaultHold, release.NameTaken, name)
		})
		t.Run("volume of "+who, func(t *testing.T) {
			name := r.lab.Name("taken", who, "vol")
			if _, err := r.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: labels}); err != nil {
				t.Fatal(err)
			}
			set := r.set("taken")
			set.Volumes = []release.VolumeSpec{{Name: name, Labels: r.labels("taken", "", "")}}
			wantFault(t, r.Create(ctx, set, "no"), rollout.FaultHold, release.NameTaken, name)
		})
	}
	seen, err := r.Foreign(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var mine []string
	for _, c := range seen {
		if strings.HasPrefix(c.Name, r.lab.Name("taken")) {
			mine = append(mine, c.Name+" "+c.App)
		}
	}
	if len(mine) != 1 || mine[0] != r.lab.Name("taken", "another")+" taken" {
		t.Errorf("foreign containers: %q", mine)
	}
}

// TestTwoAgents: two agents on one engine have an app of the same name and colour; what
// one does is never seen at the other's objects.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	mine, theirs := newRig(t).pulled(t), newRig(t)
	ctx := t.Context()
	bring := func(r *rig, who string) release.SetSpec {
		c := r.spec("twins", who)
		c.Endpoints = []release.Endpoint{{Network: r.lab.Name("twins", who)}}
		c.Mounts = []release.Mount{{Type: "volume", Source: r.lab.Name("twins", who, "data"), Target: "/data"}}
		set := r.set("twins", c)
		set.Networks = []release.NetworkSpec{{Name: c.Endpoints[0].Network, Labels: r.labels("twins", "", "")}}
		set.Volumes = []release.VolumeSpec{{Name: c.Mounts[0].Source, Labels: r.labels("twins", "", "")}}
		if err := r.Create(ctx, set, "unless-stopped"); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx, set, nil); err != nil {
			t.Fatal(err)
		}
		return set
	}
	a, b := bring(mine, "mine"), bring(theirs, "theirs")
	before, err := theirs.Observe(ctx, "twins")
	if err != nil || len(before) != 1 {
		t.Fatalf("%+v %v", before, err)
	}
	if seen, err := mine.Observe(ctx, "twins"); err != nil || len(seen) != 1 || seen[0].Name != a.Containers[0].Name {
		t.Errorf("seen: %+v %v", seen, err)
	}
	for _, do := range []func() error{
		func() error { return mine.SetRestart(ctx, "twins", blueSet, nil, "no") },
		func() error { return mine.Stop(ctx, "twins", blueSet, nil) },
		func() error { return mine.Remove(ctx, "twins", blueSet, nil) },
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	after, err := theirs.Observe(ctx, "twins")
	if err != nil || len(after) != 1 || after[0] != before[0] || after[0].Status != rollout.Running {
		t.Errorf("the other agent's container was touched:\n%+v\n%+v %v", before, after, err)
	}
	if found, err := mine.networksNamed(ctx, b.Networks[0].Name); err != nil || len(found) != 1 {
		t.Errorf("the other agent's network: %v %v", found, err)
	}
	// The other's specification under our name, and ours under the other's: neither may
	// be taken over or started.
	wantFault(t, mine.Create(ctx, b, "no"), rollout.FaultHold, release.NameTaken)
	stray := mine.set("twins", b.Containers[0])
	wantFault(t, mine.Create(ctx, stray, "no"), rollout.FaultHold, release.NameTaken)
	wantFault(t, mine.Start(ctx, stray, nil), rollout.FaultHold, release.NameTaken)
	_, _, err = mine.RunOnce(ctx, b.Containers[0])
	wantFault(t, err, rollout.FaultHold, release.NameTaken)
}

// TestTakenOffTheEdge: somebody disconnects a running container from the edge network
// and gives its address away. Create puts it back, once the address is free.
func TestTakenOffTheEdge(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	c := r.spec("cut", "backend")
	c.Hostname = "backend"
	c.Endpoints = []release.Endpoint{{Network: r.lab.Name("cut", "net")}, {Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	set := r.set("cut", c)
	set.Networks = []release.NetworkSpec{{Name: c.Endpoints[0].Network, Labels: r.labels("cut", "", "")}}
	if err := r.Start(ctx, r.up(t, set), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.disconnect(ctx, c.Name, r.cfg.EdgeNetwork); err != nil {
		t.Fatal(err)
	}
	thief := r.spec("cut", "thief")
	thief.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	if err := r.Start(ctx, r.up(t, r.set("cut", thief)), nil); err != nil {
		t.Fatal(err)
	}
	wantFault(t, r.Create(ctx, set, "no"), rollout.FaultRetry, release.AddressTaken)
	if err := r.removeContainer(ctx, thief.Name); err != nil {
		t.Fatal(err)
	}
	r.up(t, set)
	eventually(t, "it answers at its address again", func() bool { return answers(r.address(1)) == "backend" })
}

// TestHalfMade: a crash between making a container and putting it on its networks is
// completed by the next Create.
func TestHalfMade(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	spec := r.spec("half", "backend")
	spec.Endpoints = []release.Endpoint{{Network: r.lab.Name("half", "net")}, {Network: r.cfg.EdgeNetwork, IPv4: r.address(3)}}
	set := r.set("half", spec)
	set.Networks = []release.NetworkSpec{{Name: spec.Endpoints[0].Network, Labels: r.labels("half", "", "")}}
	if err := r.ensureNetwork(t.Context(), set.Networks[0]); err != nil {
		t.Fatal(err)
	}
	id, err := r.makeContainer(t.Context(), spec, "no")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Create(t.Context(), set, "no"); err != nil {
		t.Fatal(err)
	}
	have, err := r.inspect(t.Context(), spec.Name)
	if err != nil || have.ID != id || r.edgeAddress(have) != r.address(3) {
		t.Fatalf("not completed: %v %s %+v", err, have.ID, have.NetworkSettings)
	}
	if err := r.connect(t.Context(), id, spec.Endpoints[1]); err != nil {
		t.Errorf("connecting twice: %v", err)
	}
}

func TestCreateFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	one := func(change func(*release.ContainerSpec)) release.SetSpec {
		s := r.spec("faulty", "backend")
		change(&s)
		return r.set("faulty", s)
	}
	for _, c := range []struct {
		name  string
		set   release.SetSpec
		fault rollout.Fault
		code  release.Code
		says  string
	}{
		{"image not pulled", one(func(s *release.ContainerSpec) {
			s.Image = r.lab.Registry.Addr() + "/app@sha256:" + strings.Repeat("1b", 32)
		}),
			rollout.FaultRetry, release.ImageMissing, "No such image"},
		{"bind source that does not exist", one(func(s *release.ContainerSpec) {
			s.Mounts = []release.Mount{{Type: "bind", Source: "/nowhere/at/all", Target: "/x"}}
		}), rollout.FaultRevert, release.CreateFailed, "/nowhere/at/all"},
		{"subpath on this engine", one(func(s *release.ContainerSpec) {
			s.Mounts = []release.Mount{{Type: "volume", Source: r.lab.Name("faulty"), Target: "/x", Subpath: "a"}}
		}), rollout.FaultRevert, release.CreateFailed, "subpath"},
		{"memory below the engine's least", one(func(s *release.ContainerSpec) { s.Resources.Memory = 1 }), rollout.FaultRevert, release.CreateFailed, "memory"},
		{"network that is not there", one(func(s *release.ContainerSpec) {
			s.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}, {Network: r.lab.Name("faulty", "gone")}}
		}), rollout.FaultRetry, release.ExternalMissing, "gone"},
		{"external network that is not there", release.SetSpec{App: "faulty", Networks: []release.NetworkSpec{{Name: r.lab.Name("ext"), External: true}}},
			rollout.FaultRetry, release.ExternalMissing, "docker network create"},
		{"external volume that is not there", release.SetSpec{App: "faulty", Volumes: []release.VolumeSpec{{Name: r.lab.Name("ext"), External: true}}},
			rollout.FaultRetry, release.ExternalMissing, "docker volume create"},
	} {
		t.Run(c.name, func(t *testing.T) { wantFault(t, r.Create(ctx, c.set, "no"), c.fault, c.code, c.says) })
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	spec := release.NetworkSpec{Name: r.lab.Name("nets"), Labels: r.labels("nets", "", "")}
	count := func() int {
		found, err := r.networksNamed(ctx, spec.Name)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for range 2 {
		if err := r.ensureNetwork(ctx, spec); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 1 {
		t.Fatalf("%d networks of one name", n)
	}
	// Two of one name, as two agents that did not see each other would make them: the
	// older is the one.
	older, err := r.networksNamed(ctx, spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	younger, err := r.api.NetworkCreate(ctx, spec.Name, client.NetworkCreateOptions{Driver: "bridge", Labels: r.lab.Labels(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if have, err := r.makeNetwork(ctx, spec.Name, client.NetworkCreateOptions{}); err != nil || have.ID != older[0].ID {
		t.Errorf("took %s %v, want the older %s", have.ID, err, older[0].ID)
	}
	if err := r.removeNetwork(ctx, younger.ID); err != nil {
		t.Fatal(err)
	}
	// Another shape: replaced while nobody is on it, in use otherwise.
	spec.Internal = true
	if err := r.ensureNetwork(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if now, _ := r.networksNamed(ctx, spec.Name); len(now) != 1 || !now[0].Internal {
		t.Fatalf("not replaced: %+v", now)
	}
	c := r.spec("nets", "backend")
	c.Endpoints = []release.Endpoint{{Network: spec.Name}}
	if err := r.Create(ctx, r.set("nets", c), "no"); err != nil {
		t.Fatal(err)
	}
	spec.Internal = false
	wantFault(t, r.ensureNetwork(ctx, spec), rollout.FaultHold, release.ObjectInUse, c.Name)
	// A stopped container keeps its network, which the engine itself would give away.
	if err := r.removeNetworks(ctx, "nets", release.Blue); err != nil || count() != 1 {
		t.Errorf("the network of a stopped container: %v, %d left", err, count())
	}
	if err := r.Remove(ctx, "nets", blueSet, nil); err != nil || count() != 0 {
		t.Errorf("after the last container: %v, %d left", err, count())
	}
}

// TestPruned: somebody runs `docker network prune` while a proven set is stopped.
// Going back must find the way: Create, then Start.
func TestPruned(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	c := r.spec("pruned", "backend")
	c.Hostname = "backend"
	c.Endpoints = []release.Endpoint{{Network: r.lab.Name("pruned", "net")}, {Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
	set := r.set("pruned", c)
	set.Networks = []release.NetworkSpec{{Name: c.Endpoints[0].Network, Labels: r.labels("pruned", "", "")}}
	r.up(t, set)
	if err := r.Start(ctx, set, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(ctx, "pruned", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{c.Endpoints[0].Network, r.cfg.EdgeNetwork} {
		if err := r.removeNetwork(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	r.up(t, set)
	if err := r.Start(ctx, set, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it answers", func() bool { return answers(r.address(1)) == "backend" })
}

func TestVolumesStay(t *testing.T) {
	t.Parallel()
	r := newRig(t).pulled(t)
	ctx := t.Context()
	c := r.spec("vols", "backend")
	c.Mounts = []release.Mount{{Type: "volume", Source: r.lab.Name("vols", "data"), Target: "/data"}}
	set := r.set("vols", c)
	set.Volumes = []release.VolumeSpec{{Name: c.Mounts[0].Source, Labels: r.labels("vols", "", "")}}
	for range 2 {
		if err := r.Create(ctx, set, "no"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Remove(ctx, "vols", blueSet, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.api.VolumeInspect(ctx, c.Mounts[0].Source, client.VolumeInspectOptions{}); err != nil {
		t.Errorf("the volume is gone: %v", err)
	}
	set.Volumes[0].Options = map[string]string{"type": "tmpfs"}
	wantFault(t, r.Create(ctx, set, "no"), rollout.FaultHold, release.ObjectInUse, "never replaced")
}

func TestEdge(t *testing.T) {
	t.Parallel()
	r := newRig(t).edge(t).pulled(t)
	ctx := t.Context()
	if err := r.EnsureEdge(ctx); err != nil {
		t.Errorf("the second time: %v", err)
	}
	t.Run("the host reaches containers, they do not reach each other", func(t *testing.T) {
		server := r.spec("edge", "server")
		server.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
		server.Hostname = "server"
		set := r.set("edge", server)
		if err := r.Create(ctx, set, "no"); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx, set, nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the host reaches it", func() bool { return answers(r.address(1)) == "server" })
		client := r.spec("edge", "client", "-check", "http://"+r.address(1).String()+":8080/healthz")
		client.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(2)}}
		exit, tail, err := r.RunOnce(ctx, client)
		if err != nil || exit != 1 || !strings.Contains(tail, "deadline") && !strings.Contains(tail, "Timeout") {
			t.Errorf("another container reached it: exit %d, %q, %v", exit, tail, err)
		}
	})
	t.Run("an address that is taken", func(t *testing.T) {
		thief := r.spec("edge", "thief")
		thief.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: r.address(1)}}
		set := r.set("edge", thief)
		if err := r.Create(ctx, set, "no"); err != nil {
			t.Fatal(err)
		}
		wantFault(t, r.Start(ctx, set, nil), rollout.FaultRetry, release.AddressTaken)
	})
	t.Run("an address outside", func(t *testing.T) {
		stray := r.spec("edge", "stray")
		stray.Endpoints = []release.Endpoint{{Network: r.cfg.EdgeNetwork, IPv4: netip.MustParseAddr("192.0.2.7")}}
		set := r.set("edge", stray)
		err := r.Create(ctx, set, "no")
		if err == nil {
			err = r.Start(ctx, set, nil)
		}
		wantFault(t, err, rollout.FaultHold, release.EdgeNetworkMismatch)
	})
	with := func(change func(*Config)) *Engine {
		e := &Engine{cfg: r.cfg, api: r.api, log: r.log}
		change(&e.cfg)
		return e
	}
	t.Run("another agent's", func(t *testing.T) {
		wantFault(t, with(func(c *Config) { c.Instance = "other" }).EnsureEdge(ctx), rollout.FaultHold, release.NameTaken, r.cfg.EdgeNetwork)
	})
	t.Run("another subnet", func(t *testing.T) {
		other := netip.PrefixFrom(r.subnet.Addr(), 25)
		wantFault(t, with(func(c *Config) { c.EdgeSubnet = other }).EnsureEdge(ctx), rollout.FaultHold, release.EdgeNetworkMismatch, r.subnet.String(), "docker network rm")
	})
	t.Run("a subnet in use", func(t *testing.T) {
		wantFault(t, with(func(c *Config) { c.EdgeNetwork += "2" }).EnsureEdge(ctx), rollout.FaultHold, release.EdgeNetworkMismatch, "in use by another network")
	})
	t.Run("a subnet that is none", func(t *testing.T) {
		for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("10.0.0.0/30")} {
			wantFault(t, with(func(c *Config) { c.EdgeSubnet = p }).EnsureEdge(ctx), rollout.FaultHold, release.EdgeNetworkMismatch, "edge.subnet")
		}
	})
	t.Run("with traffic between containers", func(t *testing.T) {
		name, subnet := r.lab.Name("open", "edge"), netip.Prefix{}
		var err error
		if subnet, err = r.lab.Subnet(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = r.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: r.lab.Labels(map[string]string{release.LabelInstance: r.cfg.Instance}),
			IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}})
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, with(func(c *Config) { c.EdgeNetwork, c.EdgeSubnet = name, subnet }).EnsureEdge(ctx), rollout.FaultHold, release.EdgeNetworkMismatch, "enable_icc")
	})
}
