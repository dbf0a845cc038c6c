package release

import (
	"net/netip"
	"time"
)

// Host is what a host adds to a release: everything Plan needs that is not in Git.
type Host struct {
	Name        string
	Instance    string // uuid of the agent's state
	Prefix      string // "" or ends in "-"
	EdgeNetwork string // name of the network that the proxy reaches routed containers on
	Platform    string // of its engine, for example linux/amd64
	Files       string // directory of the files that teal writes for containers
	Given       Given  // what it adds to this release
	// Origin is the name that the app had here when its volumes and shared services were
	// made, where that is another one: they keep it (x-teal.formerly). "": its own.
	Origin string
	Labels map[string]string // that placements ask for
}

// Labels on every object teal makes. Compose's own stand beside them, so
// `docker compose -p shop-green ps` works on the host.
const (
	LabelInstance = "teal.instance"
	LabelApp      = "teal.app"
	LabelEnv      = "teal.env"
	LabelRelease  = "teal.release"
	LabelInputs   = "teal.inputs"
	LabelColour   = "teal.colour"
	LabelHost     = "teal.host"
	LabelToken    = "teal.token"
	LabelService  = "teal.service"
	LabelSpec     = "teal.spec" // SHA-256 (hex) of the container's specification without token and labels
)

// SetSpec is the exact description of one set of containers (or of the shared
// services): what the engine is told, nothing left to decide. Made by Plan.
type SetSpec struct {
	App        string
	ID         SetID // Colour == Shared for the shared project
	Project    string
	Networks   []NetworkSpec
	Volumes    []VolumeSpec
	Files      []FileSpec      // that the containers mount
	Containers []ContainerSpec // in an order that respects depends_on; replicas side by side
	Jobs       []ContainerSpec // one-off containers, made when they run
}

// ContainerSpec is one container, field by field as the engine's API takes it.
type ContainerSpec struct {
	Name         string
	Service      string
	Class        Class
	Image        string // name@sha256:…
	Entrypoint   []string
	Command      []string
	Env          []string // NAME=value, sorted
	Labels       map[string]string
	Hostname     string
	User         string
	GroupAdd     []string
	WorkingDir   string
	StopSignal   string
	StopGrace    time.Duration // SIGTERM to SIGKILL; 10s where the file says nothing, 0 is none
	Init         *bool
	TTY          bool
	OpenStdin    bool
	ReadOnly     bool
	Privileged   bool
	CapAdd       []string
	CapDrop      []string
	SecurityOpt  []string
	Devices      []Device
	PidMode      string
	IpcMode      string
	UsernsMode   string
	UTSMode      string
	CgroupParent string
	Runtime      string
	Sysctls      map[string]string
	Ulimits      []Ulimit
	ExtraHosts   []string
	DNS          []string
	DNSSearch    []string
	DNSOptions   []string
	ShmSize      int64 // bytes; 0 = engine's default
	Tmpfs        map[string]string
	Mounts       []Mount
	Log          LogSpec
	Resources    Resources
	Health       *HealthSpec
	Endpoints    []Endpoint // networks, the edge network last; the first is given at create
	DependsOn    []Dependency
	CrashLimit   int
	Probe        *Probe
	Route        *Route
}

// Address is the container's fixed address on the edge network, if it is routed.
func (c ContainerSpec) Address() netip.Addr {
	for _, e := range c.Endpoints {
		if e.IPv4.IsValid() {
			return e.IPv4
		}
	}
	return netip.Addr{}
}

// Device maps a host device into a container.
type Device struct{ Source, Target, Permissions string }

// Ulimit is one resource limit; -1 means unlimited.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Mount is one mount. Type is "volume", "bind", "tmpfs", or MountFile, a read-only
// bind of one of the set's Files.
type Mount struct {
	Type        string
	Source      string
	Target      string
	ReadOnly    bool
	Propagation string
	NoCopy      bool
	Subpath     string
	TmpfsSize   int64
	TmpfsMode   uint32
}

// LogSpec is the engine's log driver; the zero value is the engine's default.
type LogSpec struct {
	Driver  string
	Options map[string]string
}

// Resources are limits; 0 means none.
type Resources struct {
	NanoCPUs          int64
	CPUShares         int64
	CPUSet            string
	Memory            int64 // bytes
	MemoryReservation int64
	MemorySwap        int64
	PidsLimit         int64
	OOMKillDisable    bool
	OOMScoreAdj       int
}

// HealthSpec is the container's own health check.
type HealthSpec struct {
	Test        []string
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
}

// Endpoint joins a container to a network.
type Endpoint struct {
	Network string
	Aliases []string
	IPv4    netip.Addr // fixed address, only on the edge network
}

// Dependency is one depends_on entry. Condition is started, healthy or completed.
type Dependency struct {
	Service   string
	Condition string
	Required  bool
}

// NetworkSpec is one network to have before the containers.
type NetworkSpec struct {
	Name     string
	Driver   string
	Options  map[string]string
	Internal bool
	IPv6     bool
	External bool // must exist already; never made, never removed
	Labels   map[string]string
}

// VolumeSpec is one volume to have before the containers. Volumes are never
// removed by a swap.
type VolumeSpec struct {
	Name     string
	Driver   string
	Options  map[string]string
	External bool
	Labels   map[string]string
}
