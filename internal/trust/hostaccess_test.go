package trust

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// TestHostAccess asks for one thing at a time. Each is denied with a reason that
// names the service and the thing; what can be allowed at all is then allowed by
// exactly the lines that the reason says to add, and by nothing less.
func TestHostAccess(t *testing.T) {
	const never = "never" // no policy can allow it
	mount := func(m release.Mount) func(*release.ContainerSpec) {
		return func(c *release.ContainerSpec) { c.Mounts = append(c.Mounts, m) }
	}
	for name, c := range map[string]struct {
		ask  func(c *release.ContainerSpec)
		what string // in the detail
		can  string // never, or ""
	}{
		"privileged":             {func(c *release.ContainerSpec) { c.Privileged = true }, "privileged", ""},
		"capability":             {func(c *release.ContainerSpec) { c.CapAdd = []string{"CAP_NET_ADMIN"} }, "capability NET_ADMIN", ""},
		"capability, lower case": {func(c *release.ContainerSpec) { c.CapAdd = []string{"sys_ptrace"} }, "capability SYS_PTRACE", ""},
		"all capabilities":       {func(c *release.ContainerSpec) { c.CapAdd = []string{"ALL"} }, "capability ALL", ""},
		"device": {func(c *release.ContainerSpec) {
			c.Devices = []release.Device{{Source: "/dev/fuse", Target: "/dev/fuse"}}
		}, "device /dev/fuse", ""},
		"device, read": {func(c *release.ContainerSpec) {
			c.Devices = []release.Device{{Source: "/dev/snd", Target: "/dev/snd", Permissions: "r"}}
		}, "device /dev/snd", ""},
		"all devices":             {func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "/dev"}} }, "device /dev", never},
		"memory":                  {func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "/dev/mem"}} }, "device /dev/mem", never},
		"device elsewhere":        {func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "/srv/loop"}} }, "device /srv/loop", never},
		"device by detour":        {func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "/dev/x/../mem"}} }, "device /dev/x/../mem", never},
		"device class":            {func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "vendor.com/gpu=all"}} }, "vendor.com/gpu", never},
		"seccomp":                 {func(c *release.ContainerSpec) { c.SecurityOpt = []string{"seccomp:unconfined"} }, "security option seccomp=unconfined", ""},
		"apparmor":                {func(c *release.ContainerSpec) { c.SecurityOpt = []string{"apparmor=unconfined"} }, "security option apparmor=unconfined", ""},
		"masked paths":            {func(c *release.ContainerSpec) { c.SecurityOpt = []string{"systempaths=unconfined"} }, "systempaths", ""},
		"new privileges":          {func(c *release.ContainerSpec) { c.SecurityOpt = []string{"no-new-privileges:false"} }, "no-new-privileges=false", ""},
		"sysctl":                  {func(c *release.ContainerSpec) { c.Sysctls = map[string]string{"net.core.somaxconn": "1"} }, "sysctl net.core.somaxconn", ""},
		"pid of the host":         {func(c *release.ContainerSpec) { c.PidMode = "host" }, "the host's pid namespace", ""},
		"pid of a container":      {func(c *release.ContainerSpec) { c.PidMode = "container:x" }, "pid namespace container:x", never},
		"ipc of the host":         {func(c *release.ContainerSpec) { c.IpcMode = "host" }, "the host's ipc namespace", ""},
		"ipc of a container":      {func(c *release.ContainerSpec) { c.IpcMode = "container:x" }, "ipc namespace container:x", never},
		"uts of the host":         {func(c *release.ContainerSpec) { c.UTSMode = "host" }, "the host's uts namespace", ""},
		"userns of the host":      {func(c *release.ContainerSpec) { c.UsernsMode = "host" }, "the host's userns namespace", ""},
		"cgroup parent":           {func(c *release.ContainerSpec) { c.CgroupParent = "/system.slice" }, "cgroup parent /system.slice", ""},
		"runtime":                 {func(c *release.ContainerSpec) { c.Runtime = "nvidia" }, "runtime nvidia", ""},
		"unkillable":              {func(c *release.ContainerSpec) { c.Resources.OOMKillDisable = true }, "out-of-memory killer", never},
		"hardly killable":         {func(c *release.ContainerSpec) { c.Resources.OOMScoreAdj = -1000 }, "out-of-memory killer", never},
		"bind":                    {mount(release.Mount{Type: "bind", Source: "/srv/media", Target: "/media"}), "bind mount of /srv/media, writable", ""},
		"bind, read-only":         {mount(release.Mount{Type: "bind", Source: "/srv/media", Target: "/media", ReadOnly: true}), "bind mount of /srv/media", ""},
		"bind, odd name":          {mount(release.Mount{Type: "bind", Source: "/srv/a b\"'\u00e9: {#", Target: "/m"}), "bind mount of /srv/a b", ""},
		"bind, shared":            {mount(release.Mount{Type: "bind", Source: "/srv/media", Propagation: "rshared"}), "propagation rshared", ""},
		"bind of the root":        {mount(release.Mount{Type: "bind", Source: "/", Target: "/host"}), "bind mount of /", never},
		"bind of the socket":      {mount(release.Mount{Type: "bind", Source: "/var/run/docker.sock"}), "docker.sock", never},
		"bind of the socket, run": {mount(release.Mount{Type: "bind", Source: "/run/docker.sock", ReadOnly: true}), "docker.sock", never},
		"bind of the socket's":    {mount(release.Mount{Type: "bind", Source: "/var/run"}), "/var/run", never},
		"bind of the data root":   {mount(release.Mount{Type: "bind", Source: "/var/lib/docker/volumes"}), "/var/lib/docker", never},
		"bind of proc":            {mount(release.Mount{Type: "bind", Source: "/proc/1/root"}), "/proc/1/root", never},
		"bind of etc":             {mount(release.Mount{Type: "bind", Source: "/etc", ReadOnly: true}), "/etc", never},
		"bind of teal's":          {mount(release.Mount{Type: "bind", Source: "/var/lib/teal/releases"}), "/var/lib/teal", never},
		"bind of this agent's":    {mount(release.Mount{Type: "bind", Source: "/opt/agent2/state"}), "/opt/agent2", never},
		"bind by detour":          {mount(release.Mount{Type: "bind", Source: "/srv/media/../../etc/teal"}), "..", never},
		"bind, relative":          {mount(release.Mount{Type: "bind", Source: "./x"}), "./x", never},
		"bind, empty":             {mount(release.Mount{Type: "bind"}), "bind mount of", never},
		"named pipe":              {mount(release.Mount{Type: "npipe", Source: "x"}), "mount of type npipe", never},
		"another app's volume":    {mount(release.Mount{Type: "volume", Source: "t1-other_data"}), "volume t1-other_data", ""},
		"app with a longer name":  {mount(release.Mount{Type: "volume", Source: "t1-shop2_data"}), "volume t1-shop2_data", ""},
		"volume that is a path":   {mount(release.Mount{Type: "volume", Source: "/etc"}), "path for a name", never},
		"subpath upwards":         {mount(release.Mount{Type: "volume", Source: "t1-shop_data", Subpath: "a/../../b"}), "subpath", never},
		"host network":            {func(c *release.ContainerSpec) { c.Endpoints = []release.Endpoint{{Network: "host"}} }, "the host's network namespace", ""},
		"container's network":     {func(c *release.ContainerSpec) { c.Endpoints = []release.Endpoint{{Network: "container:db"}} }, "network container:db", never},
		"default bridge":          {func(c *release.ContainerSpec) { c.Endpoints = []release.Endpoint{{Network: "bridge"}} }, "network bridge", ""},
		"another app's network":   {func(c *release.ContainerSpec) { c.Endpoints = []release.Endpoint{{Network: "t1-other-green_default"}} }, "network t1-other-green_default", ""},
		"remote log":              {func(c *release.ContainerSpec) { c.Log = release.LogSpec{Driver: "syslog"} }, "log driver syslog", never},
		"log plugin":              {func(c *release.ContainerSpec) { c.Log = release.LogSpec{Driver: "x/y:latest"} }, "log driver", never},
		"log address": {func(c *release.ContainerSpec) {
			c.Log = release.LogSpec{Options: map[string]string{"syslog-address": "unix:///run/docker.sock"}}
		}, "log option syslog-address", never},
		"route":               {func(c *release.ContainerSpec) { c.Route = &release.Route{Host: "admin.example.com"} }, "route for the host admin.example.com", ""},
		"route, upper case":   {func(c *release.ContainerSpec) { c.Route = &release.Route{Host: "ADMIN.example.com"} }, "route for the host admin.example.com", ""},
		"route, any host":     {func(c *release.ContainerSpec) { c.Route = &release.Route{Host: ""} }, "route for the host", never},
		"route, wildcard":     {func(c *release.ContainerSpec) { c.Route = &release.Route{Host: "*.example.com"} }, "route for the host", never},
		"route, trailing dot": {func(c *release.ContainerSpec) { c.Route = &release.Route{Host: "api.example.com."} }, "route for the host", never},
		"escape sequence":     {func(c *release.ContainerSpec) { c.CgroupParent = "\x1b[2Jx\n" }, `cgroup parent \x1b[2Jx\n`, "unlisted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t).approved("ed25519/ann", "p256/bob")
			s.sets = func(sets []release.SetSpec) {
				w := slices.IndexFunc(sets[0].Containers, func(c release.ContainerSpec) bool { return c.Service == "worker" })
				c.ask(&sets[0].Containers[w])
			}
			in := s.input()
			in.Never = []string{"/opt/agent2"}
			hostAccess(t, in, c.what, c.can)
		})
	}
	for name, c := range map[string]struct {
		ask  func(set *release.SetSpec)
		what string
		can  string
	}{
		"external volume":     {func(s *release.SetSpec) { s.Volumes = []release.VolumeSpec{{Name: "media", External: true}} }, "volume media: external", ""},
		"own external volume": {func(s *release.SetSpec) { s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", External: true}} }, "volume t1-shop_x: external", ""},
		"foreign volume":      {func(s *release.SetSpec) { s.Volumes = []release.VolumeSpec{{Name: "t1-other_x"}} }, "volume t1-other_x: a name outside the app's own", ""},
		"prefix without line": {func(s *release.SetSpec) { s.Volumes = []release.VolumeSpec{{Name: "t1-shopx"}} }, "volume t1-shopx", ""},
		"volume driver":       {func(s *release.SetSpec) { s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Driver: "rexray"}} }, "driver rexray", ""},
		"volume that binds": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "none", "o": "bind", "device": "/srv/media"}}}
		}, "driver options device, o, type", ""},
		"volume of the root": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "none", "o": "bind", "device": "/"}}}
		}, "driver options that reach /", never},
		"root as nfs, bound": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "nfs", "o": "rw,bind", "device": "/"}}}
		}, "driver options that reach /", never},
		"overlay of the root": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "overlay", "o": "lowerdir=/etc:/srv,upperdir=/srv/u", "device": "overlay"}}}
		}, "driver options that reach /etc", never},
		"disk as a volume": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "ext4", "device": "/dev/sda1"}}}
		}, "driver options that reach /dev/sda1", never},
		"nfs": {func(s *release.SetSpec) {
			s.Volumes = []release.VolumeSpec{{Name: "t1-shop_x", Options: map[string]string{"type": "nfs", "o": "addr=10.0.0.9,rw", "device": ":/"}}}
		}, "driver options device, o, type", ""},
		"external network":    {func(s *release.SetSpec) { s.Networks = []release.NetworkSpec{{Name: "corp", External: true}} }, "network corp: external", ""},
		"edge network, asked": {func(s *release.SetSpec) { s.Networks = []release.NetworkSpec{{Name: "t1-teal-edge", External: true}} }, "network t1-teal-edge: external", ""},
		"foreign network":     {func(s *release.SetSpec) { s.Networks = []release.NetworkSpec{{Name: "t1-other-green_default"}} }, "a name outside the app's own", ""},
		"network driver": {func(s *release.SetSpec) {
			s.Networks = []release.NetworkSpec{{Name: "t1-shop-green_x", Driver: "macvlan"}}
		}, "driver macvlan", ""},
		"network options": {func(s *release.SetSpec) {
			s.Networks = []release.NetworkSpec{{Name: "t1-shop-green_x", Options: map[string]string{"com.docker.network.bridge.name": "docker0"}}}
		}, "driver options com.docker.network.bridge.name", ""},
		"project of another": {func(s *release.SetSpec) { s.Project = "t1-other-green" }, "does not belong to the app", never},
		"project, glued":     {func(s *release.SetSpec) { s.Project = "t1shop-green" }, "does not belong to the app", never},
		"worker on the edge": {func(s *release.SetSpec) {
			s.Containers[1].Endpoints = append(s.Containers[1].Endpoints, release.Endpoint{Network: "t1-teal-edge"})
		}, "network t1-teal-edge", ""},
		"the other way around": {func(s *release.SetSpec) {
			s.Containers[0].Endpoints = append(s.Containers[0].Endpoints, release.Endpoint{Network: "t2-teal-edge"})
		}, "network t2-teal-edge", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t).approved("ed25519/ann", "p256/bob")
			s.sets = func(sets []release.SetSpec) { c.ask(&sets[0]) }
			hostAccess(t, s.input(), c.what, c.can)
		})
	}
}

func hostAccess(t *testing.T, in Input, what, can string) {
	t.Helper()
	v := Evaluate(in)
	checkShape(t, v)
	if v.Accepted || len(v.Reasons) != 1 || v.Reason().Code != release.HostAccessDenied || v.Waits() {
		t.Fatalf("want exactly one denial\n%s", pretty(v))
	}
	if !strings.Contains(v.Reason().Detail, what) {
		t.Errorf("detail %q does not say %q", v.Reason().Detail, what)
	}
	_, lines, offered := strings.Cut(v.Reason().Next, "trust.yaml: hostAccess: {shop: ")
	if offered != (can != "never") {
		t.Fatalf("next step: %s", v.Reason().Next)
	}
	if can != "" {
		return
	}
	// The policy with those lines added accepts; the control for all of the above.
	lines = strings.TrimSuffix(lines, "}")
	text := strings.Replace(production(t), "routes: [api.example.com]}}", "routes: [api.example.com]}, other: "+lines+"}", 1)
	if p, err := ParsePolicy("trust.yaml", []byte(text)); err != nil {
		t.Fatalf("%v\nthe lines to add do not load: %s", err, lines)
	} else if in.Policy = p; Evaluate(in).Accepted {
		t.Error("what another app may do opens it for this one")
	}
	merged := strings.TrimSuffix(strings.TrimPrefix(lines, "{"), "}")
	if strings.HasPrefix(merged, "routes: [") {
		merged = strings.Replace(merged, "routes: [", "routes: [api.example.com, ", 1)
	} else {
		merged += ", routes: [api.example.com]"
	}
	base := production(t)
	in.Policy = parsePolicy(t, base[:strings.Index(base, "hostAccess:")]+"hostAccess: {shop: {"+merged+"}}\n")
	if v := Evaluate(in); !v.Accepted {
		t.Errorf("refused with the lines that it asked for: %s\n%s", merged, pretty(v))
	}
}

func TestHostAccessIsNotWiderThanListed(t *testing.T) {
	for name, c := range map[string]struct {
		allow string
		ask   func(c *release.ContainerSpec)
	}{
		"below a bind": {"binds: [{source: /srv/media}]", func(c *release.ContainerSpec) {
			c.Mounts = []release.Mount{{Type: "bind", Source: "/srv/media/link"}}
		}},
		"above a bind": {"binds: [{source: /srv/media/x}]", func(c *release.ContainerSpec) { c.Mounts = []release.Mount{{Type: "bind", Source: "/srv/media"}} }},
		"writable": {"binds: [{source: /srv/media, readOnly: true}]", func(c *release.ContainerSpec) {
			c.Mounts = []release.Mount{{Type: "bind", Source: "/srv/media"}}
		}},
		"propagation": {"binds: [{source: /srv/media}]", func(c *release.ContainerSpec) {
			c.Mounts = []release.Mount{{Type: "bind", Source: "/srv/media", Propagation: "shared"}}
		}},
		"device writable": {"devices: [\"/dev/snd:r\"]", func(c *release.ContainerSpec) { c.Devices = []release.Device{{Source: "/dev/snd"}} }},
		"ALL by one":      {"capabilities: [NET_ADMIN]", func(c *release.ContainerSpec) { c.CapAdd = []string{"ALL"} }},
		"ipc by pid":      {"namespaces: [pid:host]", func(c *release.ContainerSpec) { c.IpcMode = "host" }},
		"seccomp profile": {"securityOpts: [seccomp=unconfined]", func(c *release.ContainerSpec) { c.SecurityOpt = []string{"seccomp=/x.json"} }},
		"socket by privilege": {"privileged: true", func(c *release.ContainerSpec) {
			c.Mounts = []release.Mount{{Type: "bind", Source: "/run/docker.sock"}}
		}},
		"subdomain": {"routes: [example.com]", func(c *release.ContainerSpec) { c.Route = &release.Route{Host: "x.example.com"} }},
	} {
		s := newScene(t).approved("ed25519/ann", "p256/bob")
		allow := c.allow
		if !strings.HasPrefix(allow, "routes") {
			allow += ", routes: [api.example.com]"
		}
		s.policy = s.policy[:strings.Index(s.policy, "hostAccess:")] + "hostAccess: {shop: {" + allow + "}}\n"
		s.sets = func(sets []release.SetSpec) { c.ask(&sets[0].Containers[1]) }
		if v := s.judge(); v.Accepted {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHostAccessReportsEverythingOnce(t *testing.T) {
	s := newScene(t).approved("ed25519/ann", "p256/bob")
	s.sets = func(sets []release.SetSpec) {
		for i := range sets[0].Containers {
			c := &sets[0].Containers[i]
			c.Privileged, c.PidMode = true, "host"
		}
		sets[0].Containers = append(sets[0].Containers, sets[0].Containers[0]) // a replica
	}
	s.release.Smoke = []release.Smoke{{Path: "/x", Host: "other.example.com"}, {Path: "/y", Host: "api.example.com"}, {Path: "/z"}}
	var details []string
	for _, r := range s.judge().Reasons {
		details = append(details, r.Detail)
	}
	want := []string{"service backend: privileged", "service backend: the host's pid namespace", "service worker: privileged",
		"service worker: the host's pid namespace", "smoke /x: route for the host other.example.com"}
	if d := cmp.Diff(want, details); d != "" {
		t.Error(d)
	}
	s.sets = func(sets []release.SetSpec) {
		for i := range 500 {
			sets[0].Containers[0].CapAdd = append(sets[0].Containers[0].CapAdd, fmt.Sprintf("C%d", i))
		}
	}
	if n := len(s.judge().Reasons); n != maxDenials+1 {
		t.Errorf("%d reasons", n)
	}
}

func TestAppWithoutHostAccessGetsNothing(t *testing.T) {
	s := newScene(t).approved("ed25519/ann", "p256/bob")
	s.policy = s.policy[:strings.Index(s.policy, "hostAccess:")]
	if got := codes(s.judge().Reasons); !slices.Equal(got, []release.Code{release.HostAccessDenied}) {
		t.Errorf("%v", got)
	}
}

// A mount of teal's own files needs no leave of the policy: a manifest cannot say it.
// One that is not among the files of the set, or that could be written, is somebody
// else's doing.
func TestOwnFiles(t *testing.T) {
	own := release.Mount{Type: release.MountFile, Source: "/var/lib/teal/files/shop/configs/x", Target: "/app", ReadOnly: true}
	scene := func(files []release.FileSpec, m release.Mount) Input {
		s := newScene(t).approved("ed25519/ann", "p256/bob")
		s.sets = func(sets []release.SetSpec) {
			sets[0].Files = files
			sets[0].Containers[0].Mounts = append(sets[0].Containers[0].Mounts, m)
		}
		in := s.input()
		in.Never = []string{"/var/lib/teal"}
		return in
	}
	listed := []release.FileSpec{{Path: own.Source}}
	if v := Evaluate(scene(listed, own)); !v.Accepted {
		t.Errorf("refused: %+v", v.Reasons)
	}
	writable, bind := own, own
	writable.ReadOnly, bind.Type = false, "bind"
	hostAccess(t, scene(nil, own), "file /var/lib/teal/files/shop/configs/x", "never")
	hostAccess(t, scene(listed, writable), "file /var/lib/teal/files/shop/configs/x", "never")
	hostAccess(t, scene(listed, bind), "bind mount of /var/lib/teal/files/shop/configs/x", "never")
}
