package release

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// defaultStopGrace is what a container gets between SIGTERM and SIGKILL, as Compose
// has it.
const defaultStopGrace = 10 * time.Second

// container is the n-th replica of a service, with everything the engine is told.
func (p plan) container(s Service, n int) (ContainerSpec, error) {
	c := s.Config
	spec := ContainerSpec{
		Name: p.containerName(s.Name, n), Service: s.Name, Class: s.Class(), Image: s.Image,
		Entrypoint: slices.Clone(c.Entrypoint), Command: slices.Clone(c.Command), Env: p.env(c.Environment), Labels: p.containerLabels(s, n),
		Hostname: c.Hostname, User: c.User, GroupAdd: slices.Clone(c.GroupAdd), WorkingDir: c.WorkingDir,
		StopSignal: c.StopSignal, StopGrace: defaultStopGrace, Init: c.Init, TTY: c.Tty, OpenStdin: c.StdinOpen,
		ReadOnly: c.ReadOnly, Privileged: c.Privileged, CapAdd: slices.Clone(c.CapAdd), CapDrop: slices.Clone(c.CapDrop), SecurityOpt: slices.Clone(c.SecurityOpt),
		PidMode: c.Pid, IpcMode: c.Ipc, UsernsMode: c.UserNSMode, UTSMode: c.Uts, CgroupParent: c.CgroupParent, Runtime: c.Runtime,
		Sysctls: maps.Clone(map[string]string(c.Sysctls)), Ulimits: ulimits(c.Ulimits), ExtraHosts: extraHostList(c.ExtraHosts),
		DNS: slices.Clone(c.DNS), DNSSearch: slices.Clone(c.DNSSearch), DNSOptions: slices.Clone(c.DNSOpts), ShmSize: int64(c.ShmSize), Tmpfs: tmpfsMap(c.Tmpfs),
		Resources: resources(c), Health: health(c.HealthCheck), DependsOn: dependencies(c.DependsOn), CrashLimit: s.CrashLimit, Probe: s.Probe, Route: s.Route,
	}
	if c.StopGracePeriod != nil {
		spec.StopGrace = time.Duration(*c.StopGracePeriod)
	}
	if c.Logging != nil {
		spec.Log = LogSpec{Driver: c.Logging.Driver, Options: maps.Clone(map[string]string(c.Logging.Options))}
	}
	for _, d := range c.Devices {
		spec.Devices = append(spec.Devices, Device{d.Source, d.Target, d.Permissions})
	}
	var err error
	if spec.Mounts, err = p.mounts(c.Volumes); err != nil {
		return spec, err
	}
	files, err := p.fileMounts(s)
	if err != nil {
		return spec, err
	}
	spec.Mounts = append(spec.Mounts, files...)
	if spec.Endpoints, err = p.endpoints(s, n); err != nil {
		return spec, err
	}
	p.noRawSockets(&spec)
	sum, err := specSum(spec)
	if err != nil {
		return spec, err
	}
	spec.Labels[LabelSpec] = sum
	// Compose lists only what carries it.
	spec.Labels["com.docker.compose.config-hash"] = sum
	return spec, nil
}

// noRawSockets takes NET_RAW, which the engine gives by default, from a container that
// shares a network with others: with raw frames it could answer ARP for their
// addresses and get their traffic. cap_add, which host access judges, gives it back.
func (p plan) noRawSockets(spec *ContainerSpec) {
	raw := func(c string) bool {
		c = strings.TrimPrefix(strings.ToUpper(c), "CAP_")
		return c == "NET_RAW" || c == "ALL"
	}
	others := slices.ContainsFunc(spec.Endpoints, func(e Endpoint) bool {
		return !strings.HasPrefix(e.Network, p.home()+"_") && !strings.HasPrefix(e.Network, p.base()+"_") && !strings.HasPrefix(e.Network, p.base()+"-blue_") && !strings.HasPrefix(e.Network, p.base()+"-green_")
	})
	if others && !slices.ContainsFunc(spec.CapAdd, raw) && !slices.ContainsFunc(spec.CapDrop, raw) {
		spec.CapDrop = append(spec.CapDrop, "NET_RAW")
	}
}

// env is what the manifest says and what the host adds, by name.
func (p plan) env(m composetypes.MappingWithEquals) []string {
	if len(p.HostEnv) > 0 {
		m = maps.Clone(m)
		if m == nil {
			m = composetypes.MappingWithEquals{}
		}
		for name := range p.HostEnv {
			value := p.host.Given.Env[name]
			m[name] = &value
		}
	}
	var out []string
	for _, name := range sorted(m) {
		if v := m[name]; v != nil {
			out = append(out, name+"="+*v)
		}
	}
	return out
}

func (p plan) mounts(volumes []composetypes.ServiceVolumeConfig) ([]Mount, error) {
	var out []Mount
	for _, v := range volumes {
		m := Mount{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		switch v.Type {
		case "volume":
			named, ok := p.volume(v.Source)
			if !ok {
				return nil, fmt.Errorf("mount %s: there is no volume %q", v.Target, v.Source)
			}
			m.Source = p.volumeName(named)
			if v.Volume != nil {
				m.NoCopy, m.Subpath = v.Volume.NoCopy, v.Volume.Subpath
			}
		case "bind":
			if v.Bind != nil {
				m.Propagation = v.Bind.Propagation
			}
		case "tmpfs":
			if v.Tmpfs != nil {
				m.TmpfsSize, m.TmpfsMode = int64(v.Tmpfs.Size), v.Tmpfs.Mode
			}
		default:
			return nil, fmt.Errorf("mount %s: type %q", v.Target, v.Type)
		}
		out = append(out, m)
	}
	return out, nil
}

// endpoints are the networks of a container. A swapped service has its aliases on its
// colour's networks only: on the shared network and on external ones a name would mean
// both colours. The edge network comes last, with the fixed address that the proxy
// knows.
func (p plan) endpoints(s Service, n int) ([]Endpoint, error) {
	if mode := s.Config.NetworkMode; mode != "" {
		return []Endpoint{{Network: mode}}, nil
	}
	var own, shared []Endpoint
	for _, name := range s.Config.NetworksByPriority() {
		i := slices.IndexFunc(p.Networks, func(n Network) bool { return n.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no network %q", name)
		}
		network := p.Networks[i]
		e := Endpoint{Network: networkName(p.project(), network)}
		if p.colour == Shared || !bool(network.Config.External) {
			e.Aliases = []string{s.Name}
			if c := s.Config.Networks[name]; c != nil {
				for _, a := range c.Aliases {
					if !slices.Contains(e.Aliases, a) {
						e.Aliases = append(e.Aliases, a)
					}
				}
			}
		}
		own = append(own, e)
		if p.colour != Shared && !bool(network.Config.External) && p.sharedOn(name) {
			shared = append(shared, Endpoint{Network: networkName(p.home(), network)})
		}
	}
	all := append(own, shared...)
	if s.Class() != ClassRouted {
		return all, nil
	}
	if p.host.EdgeNetwork == "" {
		return nil, errors.New("the host has no edge network")
	}
	var ip netip.Addr
	if p.address != nil {
		ip = p.address(s.Name, n)
	}
	if ip.IsValid() && !ip.Is4() {
		return nil, fmt.Errorf("%s is not an IPv4 address", ip)
	}
	return append(all, Endpoint{Network: p.host.EdgeNetwork, IPv4: ip}), nil
}

func tmpfsMap(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, t := range list {
		target, options, _ := strings.Cut(t, ":")
		out[target] = options
	}
	return out
}

func ulimits(m map[string]*composetypes.UlimitsConfig) []Ulimit {
	var out []Ulimit
	for _, name := range sorted(m) {
		u := Ulimit{Name: name, Soft: int64(m[name].Soft), Hard: int64(m[name].Hard)}
		if m[name].Single != 0 {
			u.Soft, u.Hard = int64(m[name].Single), int64(m[name].Single)
		}
		out = append(out, u)
	}
	return out
}

func extraHostList(h composetypes.HostsList) []string {
	var out []string
	for _, name := range sorted(h) {
		for _, address := range h[name] {
			out = append(out, name+":"+address)
		}
	}
	return out
}

// resources merges the two ways in which Compose writes them; deploy wins, and where
// both are written they are equal.
func resources(c composetypes.ServiceConfig) Resources {
	r := Resources{
		NanoCPUs: nano(c.CPUS), CPUShares: c.CPUShares, CPUSet: c.CPUSet,
		Memory: int64(c.MemLimit), MemoryReservation: int64(c.MemReservation), MemorySwap: int64(c.MemSwapLimit),
		PidsLimit: c.PidsLimit, OOMKillDisable: c.OomKillDisable, OOMScoreAdj: int(c.OomScoreAdj),
	}
	if c.Deploy == nil {
		return r
	}
	if l := c.Deploy.Resources.Limits; l != nil {
		r.NanoCPUs = cmp.Or(nano(l.NanoCPUs.Value()), r.NanoCPUs)
		r.Memory = cmp.Or(int64(l.MemoryBytes), r.Memory)
		r.PidsLimit = cmp.Or(l.Pids, r.PidsLimit)
	}
	if l := c.Deploy.Resources.Reservations; l != nil {
		r.MemoryReservation = cmp.Or(int64(l.MemoryBytes), r.MemoryReservation)
	}
	return r
}

// nano is a number of processors in billionths, of the decimal that was written and not
// of the float nearest to it.
func nano(cpus float32) int64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(float64(cpus), 'f', -1, 32), 64)
	if err != nil {
		return 0
	}
	return int64(math.Round(f * 1e9))
}

func health(h *composetypes.HealthCheckConfig) *HealthSpec {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &HealthSpec{Test: []string{"NONE"}}
	}
	s := &HealthSpec{Test: slices.Clone(h.Test)}
	if h.Interval != nil {
		s.Interval = time.Duration(*h.Interval)
	}
	if h.Timeout != nil {
		s.Timeout = time.Duration(*h.Timeout)
	}
	if h.StartPeriod != nil {
		s.StartPeriod = time.Duration(*h.StartPeriod)
	}
	if h.Retries != nil {
		s.Retries = int(*h.Retries)
	}
	return s
}

func dependencies(m composetypes.DependsOnConfig) []Dependency {
	conditions := map[string]string{
		composetypes.ServiceConditionStarted: "started", composetypes.ServiceConditionHealthy: "healthy",
		composetypes.ServiceConditionCompletedSuccessfully: "completed",
	}
	var out []Dependency
	for _, name := range sorted(m) {
		out = append(out, Dependency{Service: name, Condition: conditions[m[name].Condition], Required: m[name].Required})
	}
	return out
}
