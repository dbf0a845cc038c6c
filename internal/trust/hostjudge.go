package trust

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// maxDenials is how many denials of host access a verdict lists.
const maxDenials = 100

// hostJudge compares what the resolved sets ask of the host with what the policy
// gives the app. Everything that is not known to stay inside the app is denied.
type hostJudge struct {
	app    string
	edge   string
	allow  HostAccess
	never  neverPaths
	seen   map[string]bool
	denied []Finding
}

// judgeHost returns a finding for each thing that is denied, in the order of the sets.
func judgeHost(in Input) []Finding {
	j := hostJudge{app: in.Release.App, edge: in.Edge, allow: in.Policy.HostAccess[in.Release.App],
		never: newNeverPaths(in.Never), seen: map[string]bool{}}
	for _, set := range in.Sets {
		own, ok := ownNames(set, in.Origin)
		if !ok {
			j.forbid("set", fmt.Sprintf("project name %s does not belong to the app", set.Project), "report it: teal made that name itself")
			continue
		}
		for _, n := range set.Networks {
			j.network(n, own)
		}
		for _, v := range set.Volumes {
			j.volume(v, own)
		}
		for _, c := range set.Containers {
			j.container(c, set, own)
		}
	}
	for _, s := range in.Release.Services {
		if !slices.Contains(in.Elsewhere, s.Name) {
			j.route("service "+s.Name, s.Route)
		}
	}
	for _, s := range in.Release.Smoke {
		if s.Host != "" {
			j.host("smoke "+s.Path, s.Host)
		}
	}
	if extra := len(j.denied) - maxDenials; extra > 0 {
		j.denied = append(j.denied[:maxDenials:maxDenials], found(release.HostAccessDenied, fmt.Sprintf("and %d more", extra), ""))
	}
	return j.denied
}

// own tells the app's volumes and networks from everybody else's by their names.
type own struct {
	volumes  string // prefix
	networks []string
}

func (o own) volume(name string) bool { return strings.HasPrefix(name, o.volumes) }

func (o own) network(name string) bool {
	return slices.ContainsFunc(o.networks, func(p string) bool { return strings.HasPrefix(name, p) })
}

// ownNames takes the prefix out of a set's project, which is <prefix><app> with the
// colour behind it. An app's name has no underscore and no colour at its end, so that
// no app's names are another's. origin is the name that its volumes and shared networks
// have where that is another one, which the host's own journal says.
func ownNames(set release.SetSpec, origin string) (own, bool) {
	base, ok := set.Project, true
	if set.ID.Colour != release.Shared {
		base, ok = strings.CutSuffix(set.Project, "-"+string(set.ID.Colour))
	}
	prefix, isApp := strings.CutSuffix(base, set.App)
	if !ok || !isApp || set.App == "" || prefix != "" && !strings.HasSuffix(prefix, "-") {
		return own{}, false
	}
	home := base + "_"
	if origin != "" {
		home = prefix + origin + "_"
	}
	return own{volumes: home, networks: []string{home, base + "_", base + "-blue_", base + "-green_"}}, true
}

func (j *hostJudge) network(n release.NetworkSpec, own own) {
	who := "network " + n.Name
	if own.network(n.Name) && !n.External && orElse(n.Driver, "bridge") == "bridge" && len(n.Options) == 0 {
		return
	}
	if has(j.allow.Networks, n.Name, n.Driver, "bridge", n.Options) {
		return
	}
	j.deny(who, foreign(own.network(n.Name), n.External, n.Driver, n.Options), "networks: ["+named(n.Name, n.Driver, n.Options)+"]")
}

func (j *hostJudge) volume(v release.VolumeSpec, own own) {
	who := "volume " + v.Name
	if hidden := optionPaths(v.Options); len(hidden) > 0 {
		for _, p := range hidden {
			if rule, yes := j.never.covers(p); yes {
				j.forbid(who, fmt.Sprintf("driver options that reach %s", p), rule+" can never be allowed")
				return
			}
		}
	}
	if own.volume(v.Name) && !v.External && orElse(v.Driver, "local") == "local" && len(v.Options) == 0 {
		return
	}
	if has(j.allow.Volumes, v.Name, v.Driver, "local", v.Options) {
		return
	}
	j.deny(who, foreign(own.volume(v.Name), v.External, v.Driver, v.Options), "volumes: ["+named(v.Name, v.Driver, v.Options)+"]")
}

// foreign says in words what is not plain about a volume or network.
func foreign(own, external bool, driver string, options map[string]string) string {
	var what []string
	if external {
		what = append(what, "external")
	} else if !own {
		what = append(what, "a name outside the app's own")
	}
	if driver != "" {
		what = append(what, "driver "+driver)
	}
	if len(options) > 0 {
		what = append(what, "driver options "+strings.Join(sortedKeys(options), ", "))
	}
	return strings.Join(what, ", ")
}

// optionPaths finds host paths in the options of a volume driver: a local volume
// with {type: none, o: bind, device: /} is a bind mount by another name. The device of
// a network file system is a path elsewhere, unless it is bound.
func optionPaths(options map[string]string) []string {
	words := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",=:; \t", r) })
	}
	bound := slices.ContainsFunc(words(options["o"]), func(w string) bool {
		return strings.Contains(w, "bind") || w == "move" || w == "remount"
	})
	remote := !bound && slices.Contains([]string{"nfs", "nfs4", "cifs"}, options["type"])
	var paths []string
	for _, key := range sortedKeys(options) {
		if remote && key == "device" {
			continue
		}
		for _, w := range words(options[key]) {
			if path.IsAbs(w) {
				paths = append(paths, w)
			}
		}
	}
	return paths
}

func (j *hostJudge) container(c release.ContainerSpec, set release.SetSpec, own own) {
	who := "service " + c.Service
	if c.Privileged && !j.allow.Privileged {
		j.deny(who, "privileged", "privileged: true")
	}
	for _, raw := range c.CapAdd {
		if name := capability(raw); !slices.Contains(j.allow.Capabilities, name) {
			j.deny(who, "capability "+name, "capabilities: ["+quoted(name)+"]")
		}
	}
	for _, d := range c.Devices {
		j.device(who, d)
	}
	for _, o := range c.SecurityOpt {
		o = securityOpt(o)
		if o != "no-new-privileges" && o != "no-new-privileges=true" && !slices.Contains(j.allow.SecurityOpts, o) {
			j.deny(who, "security option "+o, "securityOpts: ["+quoted(o)+"]")
		}
	}
	for _, name := range sortedKeys(c.Sysctls) {
		if !slices.Contains(j.allow.Sysctls, name) {
			j.deny(who, "sysctl "+name, "sysctls: ["+quoted(name)+"]")
		}
	}
	if c.Hostname != "" && slices.ContainsFunc(c.Endpoints, func(e release.Endpoint) bool { return !own.network(e.Network) }) {
		j.forbid(who, "hostname "+c.Hostname, "on a network of others it would be a name for them too")
	}
	j.namespace(who, "pid", c.PidMode)
	j.namespace(who, "ipc", c.IpcMode, "none", "private", "shareable")
	j.namespace(who, "uts", c.UTSMode)
	j.namespace(who, "userns", c.UsernsMode)
	if c.CgroupParent != "" && !slices.Contains(j.allow.CgroupParents, c.CgroupParent) {
		j.deny(who, "cgroup parent "+c.CgroupParent, "cgroupParents: ["+quoted(c.CgroupParent)+"]")
	}
	if c.Runtime != "" && c.Runtime != "runc" && !slices.Contains(j.allow.Runtimes, c.Runtime) {
		j.deny(who, "runtime "+c.Runtime, "runtimes: ["+quoted(c.Runtime)+"]")
	}
	if c.Resources.OOMKillDisable || c.Resources.OOMScoreAdj < 0 {
		j.forbid(who, "protection from the out-of-memory killer", "the host must be able to end it")
	}
	for _, m := range c.Mounts {
		j.mount(who, m, set.Files, own)
	}
	for _, e := range c.Endpoints {
		j.endpoint(who, e, c, set, own)
	}
	j.log(who, c.Log)
	j.route(who, c.Route)
}

func (j *hostJudge) device(who string, d release.Device) {
	what := fmt.Sprintf("device %s", d.Source)
	switch {
	case !strings.HasPrefix(d.Source, "/dev/") || path.Clean(d.Source) != d.Source:
		j.forbid(who, what, "only plain paths below /dev can be allowed")
	case neverDevice(d.Source):
		j.forbid(who, what, "it is the host itself and can never be allowed")
	case !j.allow.allowsDevice(d):
		entry := d.Source
		if p := orElse(d.Permissions, "rwm"); p != "rwm" {
			entry += ":" + p
		}
		j.deny(who, what, "devices: ["+quoted(entry)+"]")
	}
}

// namespace allows the container's own, and the host's if the policy lists it.
// Another container's can never be allowed: its name is not the app's to know.
func (j *hostJudge) namespace(who, kind, mode string, plain ...string) {
	switch {
	case mode == "" || slices.Contains(plain, mode):
	case mode == "host":
		if entry := kind + ":host"; !slices.Contains(j.allow.Namespaces, entry) {
			j.deny(who, "the host's "+kind+" namespace", "namespaces: ["+quoted(entry)+"]")
		}
	default:
		j.forbid(who, fmt.Sprintf("%s namespace %s", kind, mode), "only the container's own or the host's can be allowed")
	}
}

func (j *hostJudge) mount(who string, m release.Mount, files []release.FileSpec, own own) {
	switch m.Type {
	case "tmpfs":
	case "volume":
		switch {
		case strings.Contains(m.Source, "/") || strings.HasPrefix(m.Source, "."):
			j.forbid(who, fmt.Sprintf("volume with a path for a name, %s", m.Source), "use a bind mount")
		case path.IsAbs(m.Subpath) || slices.Contains(strings.Split(m.Subpath, "/"), ".."):
			j.forbid(who, fmt.Sprintf("volume subpath %s", m.Subpath), "it must stay inside the volume")
		case m.Source == "" || own.volume(m.Source):
		case !slices.ContainsFunc(j.allow.Volumes, func(n Named) bool { return n.Name == m.Source }):
			j.deny("volume "+m.Source, "a name outside the app's own", "volumes: ["+quoted(m.Source)+"]")
		}
	case "bind":
		j.bind(who, m)
	case release.MountFile:
		if !m.ReadOnly || !slices.ContainsFunc(files, func(f release.FileSpec) bool { return f.Path == m.Source }) {
			j.forbid(who, "file "+m.Source, "only files that teal wrote for the release, read-only")
		}
	default:
		j.forbid(who, fmt.Sprintf("mount of type %s", m.Type), "only volume, tmpfs and bind can be allowed")
	}
}

func (j *hostJudge) bind(who string, m release.Mount) {
	what := "bind mount of " + m.Source
	if !path.IsAbs(m.Source) || slices.Contains(strings.Split(m.Source, "/"), "..") {
		j.forbid(who, what, "write a clean absolute path")
		return
	}
	if rule, yes := j.never.covers(m.Source); yes {
		j.forbid(who, what, rule+" can never be allowed, nor what lies above or below it")
		return
	}
	m.Source = path.Clean(m.Source)
	if j.allow.allowsBind(m) {
		return
	}
	entry := "source: " + quoted(m.Source)
	if m.ReadOnly {
		entry += ", readOnly: true"
	} else {
		what += ", writable"
	}
	if !private(m.Propagation) {
		entry += ", propagation: " + quoted(m.Propagation)
		what += ", propagation " + m.Propagation
	}
	j.deny(who, what, "binds: [{"+entry+"}]")
}

// endpoint judges a network that a container joins. Those that the set makes were
// judged with the set; a routed container is on the edge network by teal's own doing.
func (j *hostJudge) endpoint(who string, e release.Endpoint, c release.ContainerSpec, set release.SetSpec, own own) {
	switch {
	case e.Network == "host":
		j.namespace(who, "network", "host")
	case strings.Contains(e.Network, ":"):
		j.forbid(who, "network "+e.Network, "another container's network can never be allowed")
	case e.Network == "none" || own.network(e.Network):
	case j.edge != "" && e.Network == j.edge && c.Route != nil:
	case slices.ContainsFunc(set.Networks, func(n release.NetworkSpec) bool { return n.Name == e.Network }):
	case !slices.ContainsFunc(j.allow.Networks, func(n Named) bool { return n.Name == e.Network }):
		j.deny(who, "network "+e.Network+", a name outside the app's own", "networks: ["+quoted(e.Network)+"]")
	}
}

// logDrivers keep what a container writes on the host, in the engine's own place.
var logDrivers = []string{"", "json-file", "local", "journald", "none"}

// logOptions size and label the log. The engine's default driver may be one that
// takes addresses or files, so that no other option passes.
var logOptions = []string{"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"}

func (j *hostJudge) log(who string, l release.LogSpec) {
	if !slices.Contains(logDrivers, l.Driver) {
		j.forbid(who, "log driver "+l.Driver, "use json-file, local, journald or none")
		return
	}
	for _, name := range sortedKeys(l.Options) {
		if !slices.Contains(logOptions, name) {
			j.forbid(who, "log option "+name, "use one of "+strings.Join(logOptions, ", "))
		}
	}
}

func (j *hostJudge) route(who string, r *release.Route) {
	if r != nil {
		j.host(who, r.Host)
	}
}

func (j *hostJudge) host(who, host string) {
	host = strings.ToLower(host)
	switch {
	case slices.Contains(j.allow.Routes, host):
	case !hostForm.MatchString(host) || strings.Contains(host, ".."):
		j.forbid(who, fmt.Sprintf("route for the host %s", host), "write one plain host name")
	default:
		j.deny(who, "route for the host "+host, "routes: ["+quoted(host)+"]")
	}
}

// deny records something that root may allow, with the text that would.
func (j *hostJudge) deny(who, what, allow string) {
	j.add(who, what, fmt.Sprintf("Remove it from the manifest, or have root add to /etc/teal/trust.yaml: hostAccess: {%s: {%s}}", quoted(j.app), allow))
}

// forbid records something that no policy allows.
func (j *hostJudge) forbid(who, what, why string) {
	j.add(who, what, "Remove it from the manifest: "+Escape(why)+".")
}

func (j *hostJudge) add(who, what, next string) {
	detail := Escape(who) + ": " + Escape(what)
	if !j.seen[detail] { // replicas, and both colours
		j.seen[detail] = true
		j.denied = append(j.denied, found(release.HostAccessDenied, detail, next))
	}
}

// named writes a volume or network as it would stand in trust.yaml.
func named(name, driver string, options map[string]string) string {
	if driver == "" && len(options) == 0 {
		return quoted(name)
	}
	parts := []string{"name: " + quoted(name)}
	if driver != "" {
		parts = append(parts, "driver: "+quoted(driver))
	}
	if len(options) > 0 {
		var list []string
		for _, k := range sortedKeys(options) {
			list = append(list, quoted(k)+": "+quoted(options[k]))
		}
		parts = append(parts, "options: {"+strings.Join(list, ", ")+"}")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quoted writes a text for YAML's flow form: as it is when it is a plain word, else
// in double quotes with all that is special escaped.
func quoted(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r)) {
			return strconv.QuoteToASCII(s)
		}
	}
	if s == "" || strings.ContainsRune("-.0123456789~", rune(s[0])) || slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(s)) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
