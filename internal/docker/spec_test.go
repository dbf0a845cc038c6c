package docker

import (
	"github.com/moby/moby/api/types/mount"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tealops/teal/internal/release"
)

// full has every field set that reaches the engine at create.
func full() release.ContainerSpec {
	yes := true
	return release.ContainerSpec{
		Name: "shop-blue-backend-1-0123abcd", Image: "r.example.com/shop@sha256:" + strings.Repeat("0a", 32),
		Entrypoint: []string{"/app"}, Command: []string{"-listen", ":9000"}, Env: []string{"A=1"}, Labels: map[string]string{"teal.app": "shop"},
		Hostname: "web", User: "1000:1000", GroupAdd: []string{"44"}, WorkingDir: "/srv", StopSignal: "SIGINT", StopGrace: 2500 * time.Millisecond,
		Init: &yes, TTY: true, OpenStdin: true, ReadOnly: true, Privileged: true, CapAdd: []string{"CAP_NET_RAW"}, CapDrop: []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges"}, Devices: []release.Device{{Source: "/dev/null", Target: "/dev/x", Permissions: "r"}},
		PidMode: "host", IpcMode: "private", UsernsMode: "host", UTSMode: "host", CgroupParent: "/teal", Runtime: "runc",
		Sysctls: map[string]string{"net.ipv4.ip_forward": "0"}, Ulimits: []release.Ulimit{{Name: "nofile", Soft: 10, Hard: -1}},
		ExtraHosts: []string{"db:10.0.0.9"}, DNS: []string{"10.0.0.1"}, DNSSearch: []string{"example.com"}, DNSOptions: []string{"ndots:1"},
		ShmSize: 1 << 20, Tmpfs: map[string]string{"/run": "size=1m"},
		Mounts: []release.Mount{
			{Type: "volume", Source: "shop_data", Target: "/data", NoCopy: true},
			{Type: "bind", Source: "/etc/ssl", Target: "/ssl", ReadOnly: true, Propagation: "rslave"},
			{Type: "tmpfs", Target: "/tmp", TmpfsSize: 1 << 20, TmpfsMode: 0o1777},
		},
		Log: release.LogSpec{Driver: "json-file", Options: map[string]string{"max-size": "1m"}},
		Resources: release.Resources{NanoCPUs: 5e8, CPUShares: 512, CPUSet: "0", Memory: 64 << 20, MemoryReservation: 32 << 20, MemorySwap: -1,
			PidsLimit: 100, OOMKillDisable: true, OOMScoreAdj: 100},
		Health: &release.HealthSpec{Test: []string{"CMD", "/app", "-check", "x"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4},
		Endpoints: []release.Endpoint{
			{Network: "shop-blue_default", Aliases: []string{"backend"}},
			{Network: "teal-edge", IPv4: netip.MustParseAddr("10.213.0.9")},
		},
	}
}

// TestEveryFieldReachesTheEngine takes each field of a full specification away and
// sees the request change, so that a field added to release.ContainerSpec cannot be
// forgotten here.
func TestEveryFieldReachesTheEngine(t *testing.T) {
	elsewhere := map[string]string{
		"Service":    "in the labels",
		"Class":      "only tells teal when to start it",
		"DependsOn":  "Start waits for it",
		"CrashLimit": "the rollout judges it",
		"Probe":      "health asks it",
		"Route":      "the proxy has it",
	}
	all, err := createOptions(full(), "no", "1.41")
	if err != nil {
		t.Fatal(err)
	}
	without := func(path string, field reflect.Value, spec *release.ContainerSpec) {
		if field.IsZero() {
			t.Errorf("%s is not set in the full specification", path)
			return
		}
		old := reflect.ValueOf(field.Interface())
		field.SetZero()
		got, err := createOptions(*spec, "no", "1.41")
		if err == nil && cmp.Equal(all, got, cmpopts.EquateComparable(netip.Addr{})) {
			t.Errorf("%s does not reach the engine", path)
		}
		field.Set(old)
	}
	spec := full()
	v := reflect.ValueOf(&spec).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if elsewhere[name] != "" {
			continue
		}
		without(name, v.Field(i), &spec)
	}
	for _, inner := range []struct {
		path string
		of   func(*release.ContainerSpec) reflect.Value
		skip string
	}{
		{"Log", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Log).Elem() }, ""},
		{"Resources", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Resources).Elem() }, ""},
		{"Health", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(s.Health).Elem() }, ""},
		{"Devices", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Devices[0]).Elem() }, ""},
		{"Ulimits", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Ulimits[0]).Elem() }, ""},
		{"Mounts[0]", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Mounts[0]).Elem() }, "ReadOnly Propagation Subpath TmpfsSize TmpfsMode"},
		{"Mounts[1]", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Mounts[1]).Elem() }, "NoCopy Subpath TmpfsSize TmpfsMode"},
		{"Mounts[2]", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Mounts[2]).Elem() }, "Source ReadOnly Propagation NoCopy Subpath"},
		{"Endpoints[0]", func(s *release.ContainerSpec) reflect.Value { return reflect.ValueOf(&s.Endpoints[0]).Elem() }, "IPv4"},
	} {
		s := full()
		v := inner.of(&s)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if strings.Contains(" "+inner.skip+" ", " "+name+" ") {
				continue
			}
			without(inner.path+"."+name, v.Field(i), &s)
		}
	}
}

func TestSpecLimits(t *testing.T) {
	s := full()
	s.Mounts = []release.Mount{{Type: "volume", Source: "v", Target: "/v", Subpath: "a"}}
	if _, err := createOptions(s, "no", "1.41"); err == nil || !strings.Contains(err.Error(), "1.45") {
		t.Errorf("a subpath on an old engine: %v", err)
	}
	if o, err := createOptions(s, "no", "1.45"); err != nil || o.HostConfig.Mounts[0].VolumeOptions.Subpath != "a" {
		t.Errorf("a subpath on a new engine: %v", err)
	}
	s.Mounts = []release.Mount{{Type: "npipe", Target: "/v"}}
	if _, err := createOptions(s, "no", "1.41"); err == nil {
		t.Error("a mount of an unknown type was taken")
	}
	s = full()
	s.DNS = []string{"not an address"}
	if _, err := createOptions(s, "no", "1.41"); err == nil {
		t.Error("a DNS server that is no address was taken")
	}
	s = release.ContainerSpec{}
	o, err := createOptions(s, "unless-stopped", "1.41")
	if err != nil || o.HostConfig.NetworkMode != "none" || *o.Config.StopTimeout != 0 || o.Config.Healthcheck != nil ||
		o.HostConfig.PidsLimit != nil || o.HostConfig.OomKillDisable != nil || o.HostConfig.RestartPolicy.Name != "unless-stopped" {
		t.Errorf("the empty specification: %+v %v", o.HostConfig, err)
	}
	for grace, want := range map[time.Duration]int{0: 0, time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2} {
		if got := seconds(grace); *got != want {
			t.Errorf("grace %s became %d s, want %d", grace, *got, want)
		}
	}
}

// A file of teal's own is a bind that nobody can write through, and no propagation or
// option of a manifest reaches it.
func TestFilesAreReadOnlyBinds(t *testing.T) {
	got, err := mounts([]release.Mount{{Type: release.MountFile, Source: "/var/lib/teal/files/shop/configs/x", Target: "/app", ReadOnly: true}}, "1.41")
	want := []mount.Mount{{Type: mount.TypeBind, Source: "/var/lib/teal/files/shop/configs/x", Target: "/app", ReadOnly: true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}
