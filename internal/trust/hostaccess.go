package trust

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// HostAccess is what the manifest of one app may ask of the host beyond plain
// containers of its own. The zero value allows nothing. Source: `hostAccess` in
// trust.yaml, never Git.
type HostAccess struct {
	Binds        []Bind
	Volumes      []Named  // volumes that are not the app's own, or not plain
	Networks     []Named  // networks that are not the app's own, or not plain
	Capabilities []string // without CAP_, upper case
	Devices      []DeviceAccess
	Namespaces   []string // pid:host, ipc:host, uts:host, userns:host, network:host
	SecurityOpts []string // as key=value
	Sysctls      []string // names
	// CgroupParents and Runtimes are engine settings that change what a container is.
	CgroupParents []string
	Runtimes      []string
	Privileged    bool
	// Routes are the host names that the app may serve, exactly as they stand.
	Routes []string
}

// Bind is one host path that may be mounted: exactly this path, not what lies below
// it.
type Bind struct {
	Source   string
	ReadOnly bool // true: only read-only mounts; false: either
	// Propagation is the mount propagation that is allowed beside the engine's
	// private default; empty: only that.
	Propagation string
}

// Named is a volume or network by the engine's name for it, with the driver and
// driver options that it must have exactly.
type Named struct {
	Name    string
	Driver  string // empty: the engine's default
	Options map[string]string
}

// DeviceAccess is one device node that may be passed on.
type DeviceAccess struct {
	Path        string
	Permissions string // of r, w, m; default rwm
}

var (
	capabilityForm = regexp.MustCompile(`^[A-Z][A-Z_]{0,40}$`)
	deviceForm     = regexp.MustCompile(`^(/dev/[^:]+)(?::(r?w?m?))?$`)
	sysctlForm     = regexp.MustCompile(`^[a-z0-9_]+(\.[a-zA-Z0-9_-]+)+$`)
	hostForm       = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	engineName     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)
	cgroupForm     = regexp.MustCompile(`^/?[a-zA-Z0-9_.@-]+(/[a-zA-Z0-9_.@-]+)*$`)
	hostSpaces     = []string{"pid:host", "ipc:host", "uts:host", "userns:host", "network:host"}
)

func (b *policyBuilder) hostAccess(n *yaml.Node, at string) HostAccess {
	m := b.mapping(n, at, "binds", "volumes", "networks", "capabilities", "devices", "namespaces", "securityOpts", "sysctls",
		"cgroupParents", "runtimes", "privileged", "routes")
	h := HostAccess{
		Volumes: b.named(m["volumes"], at+".volumes"), Networks: b.named(m["networks"], at+".networks"),
		Privileged: b.boolean(m["privileged"], at+".privileged"),
	}
	for _, item := range b.list(m["binds"], at+".binds") {
		if bind, ok := b.bind(item, at+".binds"); ok {
			h.Binds = append(h.Binds, bind)
		}
	}
	for _, c := range b.texts(m["capabilities"], at+".capabilities") {
		c = capability(c)
		b.form(m["capabilities"], at+".capabilities", c, capabilityForm, "a capability such as NET_BIND_SERVICE")
		h.Capabilities = append(h.Capabilities, c)
	}
	for _, d := range b.texts(m["devices"], at+".devices") {
		parts := deviceForm.FindStringSubmatch(d)
		if parts == nil || path.Clean(parts[1]) != parts[1] || strings.HasSuffix(d, ":") {
			b.wrong(m["devices"], "%s.devices: \"%s\" is not a device such as /dev/fuse or /dev/fuse:rw", at, Escape(d))
			continue
		}
		if neverDevice(parts[1]) {
			b.wrong(m["devices"], "%s.devices: %s can never be allowed", at, Escape(d))
			continue
		}
		h.Devices = append(h.Devices, DeviceAccess{Path: parts[1], Permissions: orElse(parts[2], "rwm")})
	}
	h.Namespaces = b.texts(m["namespaces"], at+".namespaces")
	for _, s := range h.Namespaces {
		if !slices.Contains(hostSpaces, s) {
			b.wrong(m["namespaces"], "%s.namespaces: \"%s\" is not one of %s", at, Escape(s), strings.Join(hostSpaces, ", "))
		}
	}
	for _, s := range b.texts(m["securityOpts"], at+".securityOpts") {
		h.SecurityOpts = append(h.SecurityOpts, securityOpt(s))
	}
	h.Sysctls = b.texts(m["sysctls"], at+".sysctls")
	for _, s := range h.Sysctls {
		b.form(m["sysctls"], at+".sysctls", s, sysctlForm, "the name of a sysctl")
	}
	h.CgroupParents = b.texts(m["cgroupParents"], at+".cgroupParents")
	for _, s := range h.CgroupParents {
		b.form(m["cgroupParents"], at+".cgroupParents", s, cgroupForm, "a cgroup path or slice")
	}
	h.Runtimes = b.texts(m["runtimes"], at+".runtimes")
	for _, s := range h.Runtimes {
		b.form(m["runtimes"], at+".runtimes", s, engineName, "the name of a runtime in the engine's configuration")
	}
	h.Routes = b.texts(m["routes"], at+".routes")
	for _, s := range h.Routes {
		b.form(m["routes"], at+".routes", s, hostForm, "a lower-case host name without wildcards")
	}
	return h
}

func (b *policyBuilder) form(n *yaml.Node, at, s string, form *regexp.Regexp, want string) {
	if !form.MatchString(s) || strings.Contains(s, "..") {
		b.wrong(n, "%s: \"%s\" is not %s", at, Escape(s), want)
	}
}

func (b *policyBuilder) bind(n *yaml.Node, at string) (Bind, bool) {
	m := b.mapping(n, at, "source", "readOnly", "propagation")
	if !b.present(n, m["source"], at+".source") {
		return Bind{}, false
	}
	bind := Bind{Source: b.text(m["source"], at+".source"), ReadOnly: b.boolean(m["readOnly"], at+".readOnly")}
	if !path.IsAbs(bind.Source) || path.Clean(bind.Source) != bind.Source {
		b.wrong(m["source"], "%s.source: \"%s\" is not a clean absolute path", at, Escape(bind.Source))
		return Bind{}, false
	}
	if rule, never := newNeverPaths(nil).covers(bind.Source); never {
		b.wrong(m["source"], "%s.source: %s can never be allowed (%s)", at, Escape(bind.Source), rule)
		return Bind{}, false
	}
	if m["propagation"] != nil {
		bind.Propagation = b.text(m["propagation"], at+".propagation")
		if !slices.Contains([]string{"slave", "rslave", "shared", "rshared"}, bind.Propagation) {
			b.wrong(m["propagation"], "%s.propagation: want slave, rslave, shared or rshared", at)
		}
	}
	return bind, true
}

// named reads volumes or networks: a plain name, or {name, driver, options}.
func (b *policyBuilder) named(n *yaml.Node, at string) []Named {
	var out []Named
	for _, item := range b.list(n, at) {
		v := Named{}
		if item.Kind == yaml.ScalarNode {
			v.Name = b.matching(item, at, engineName, "a name")
		} else {
			m := b.mapping(item, at, "name", "driver", "options")
			if !b.present(item, m["name"], at+".name") {
				continue
			}
			v.Name = b.matching(m["name"], at+".name", engineName, "a name")
			if m["driver"] != nil {
				v.Driver = b.text(m["driver"], at+".driver")
			}
			for _, f := range b.fields(m["options"], at+".options") {
				if v.Options == nil {
					v.Options = map[string]string{}
				}
				if f.value.Kind != yaml.ScalarNode || isNull(f.value) {
					b.wrong(f.value, "%s.options.%s: want a text", at, Escape(f.key.Value))
				}
				v.Options[f.key.Value] = f.value.Value
			}
		}
		if v.Name != "" {
			out = append(out, v)
		}
	}
	return out
}

// has reports whether the list holds exactly this name, driver and options.
// defaultDriver is what the engine takes for an empty driver.
func has(list []Named, name, driver, defaultDriver string, options map[string]string) bool {
	return slices.ContainsFunc(list, func(n Named) bool {
		return n.Name == name && orElse(n.Driver, defaultDriver) == orElse(driver, defaultDriver) && maps.Equal(n.Options, options)
	})
}

func (h HostAccess) allowsBind(m release.Mount) bool {
	return slices.ContainsFunc(h.Binds, func(b Bind) bool {
		return b.Source == m.Source && (m.ReadOnly || !b.ReadOnly) && (private(m.Propagation) || m.Propagation == b.Propagation)
	})
}

func (h HostAccess) allowsDevice(d release.Device) bool {
	want := orElse(d.Permissions, "rwm")
	return slices.ContainsFunc(h.Devices, func(a DeviceAccess) bool {
		return a.Path == d.Source && strings.Trim(want, a.Permissions) == ""
	})
}

// capability writes a capability as the engine does, without CAP_.
func capability(c string) string { return strings.TrimPrefix(strings.ToUpper(c), "CAP_") }

// securityOpt writes key:value as key=value; the engine takes both.
func securityOpt(s string) string {
	if i := strings.IndexAny(s, ":="); i >= 0 {
		return s[:i] + "=" + s[i+1:]
	}
	return s
}

func private(propagation string) bool {
	return propagation == "" || propagation == "private" || propagation == "rprivate"
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
