package release

import (
	"time"

	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// Release is one parsed, defaulted and validated release directory. It is a pure
// function of the directory's bytes: two hosts that read one commit hold equal
// Releases. What differs by host (prefix, addresses, inputs) enters in Plan.
type Release struct {
	Environment string
	App         string
	Digest      Digest
	// Content is the SHA-256 (hex) of what would run: services, volumes, networks,
	// without version, sequence, source, links and preparedBy. Two releases with
	// equal Content behave alike, which is how `same_as_quarantined` is known.
	Content    Digest
	Version    string
	Sequence   int64
	Source     Source
	PreparedBy string
	Links      map[string]string
	// Formerly is the app's name before this one: a host that knows it under that name goes
	// on from there. "": it had none.
	Formerly     string
	FormerlyLine int `json:"-"`
	// Absent: an approved removal. It has no services; Purge names the volumes, as the
	// manifest declared them, that go with the app.
	Absent    bool
	Purge     []string
	Placement Placement // of the app: hosts that do not fit run none of it
	Services  []Service // sorted by name
	Volumes   []Volume  // sorted by name
	Networks  []Network // sorted by name; the app's own, the implicit default included
	Configs   []Config  // in the order of the manifest
	Secrets   []Secret  // in the order of the manifest
	// HostEnv are variables of every service whose values are the host's: name →
	// host.name or label.<name>.
	HostEnv map[string]string
	Smoke   []Smoke
	Jobs    []Job // in the order that the manifest has
	Bake    Bake
	Drain   Drain
	Keep    int // how many older releases keep images and stored spec; default 3
}

// Source says which commit of which repository the images were built from.
type Source struct {
	Repository string `json:"repository,omitempty"`
	Commit     string `json:"commit,omitempty"` // 40 or 64 hex
}

// Service is one Compose service with its x-teal block.
type Service struct {
	Name  string
	Image string // name@sha256:<64 hex>, normalised, tag dropped
	// Shared services run once per host, outside the colours.
	Shared bool
	// Replace: when the specification of this shared service changes, its container is
	// stopped and one of the new specification takes its place, before the switch.
	Replace bool
	// Placement is on which hosts it runs; Singleton says on at most one in the fleet.
	Placement Placement
	Singleton bool
	// Overlap: without a route it starts with green and runs beside blue's; else it is
	// handed over.
	Overlap bool
	// Completes: another service waits for it to complete successfully, so it runs to its
	// end before that one starts, once for each set.
	Completes bool
	Route     *Route // nil: not routed
	Probe     *Probe // nil: container health, else "ran 10 s without exit"
	// CrashLimit is how many exits in a minute make the service bad: N of
	// `on-failure:N`, else 3; 0 means any exit is bad (`restart: "no"`).
	CrashLimit int
	Replicas   int                        // default 1
	Files      []FileUse                  // configs, then secrets
	Config     composetypes.ServiceConfig // normalised by compose-go, env_file resolved from the Snapshot
	File       string                     // file the service stands in, for messages
	Line       int                        // line of the service's key
}

// Class says how a service takes part in a swap.
func (s Service) Class() Class {
	switch {
	case s.Shared:
		return ClassShared
	case s.Route != nil:
		return ClassRouted
	case s.Completes:
		return ClassOnce
	case s.Overlap:
		return ClassOverlap
	default:
		return ClassHandover
	}
}

// Class is how a service takes part in a swap: routed and overlap services start before
// the switch, handover services (workers) after it, once services before those that wait
// for their end, shared ones not at all.
type Class string

const (
	ClassRouted   Class = "routed"
	ClassOverlap  Class = "overlap"
	ClassOnce     Class = "once"
	ClassHandover Class = "handover"
	ClassShared   Class = "shared"
	ClassJob      Class = "job" // of no service: a one-off container
)

// Route is what the proxy sends to a service.
type Route struct {
	Host      string `json:"host"`
	Path      string `json:"path"` // prefix, default "/"
	Port      int    `json:"port"`
	StripPath bool   `json:"stripPath,omitempty"`
}

// Probe is an HTTP health check of a service against its own address.
type Probe struct {
	Path     string        `json:"path"`           // default "/"
	Port     int           `json:"port"`           // default: the route's port
	Every    time.Duration `json:"every"`          // default 1s
	Timeout  time.Duration `json:"timeout"`        // default 2s
	Passes   int           `json:"passes"`         // passes in a row before the switch; default 3
	Deadline time.Duration `json:"deadline"`       // start and check together; default 60s
	Status   StatusRange   `json:"status"`         // default 2xx
	Host     string        `json:"host,omitempty"` // Host header: the route's host
}

// StatusRange is a range of accepted HTTP status codes, both ends included.
type StatusRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Has reports whether code lies in the range.
func (r StatusRange) Has(code int) bool { return code >= r.From && code <= r.To }

// Smoke is one request made before the switch (against green's own address) and
// again from the front door after a switch, revert or rollback.
type Smoke struct {
	Method   string      `json:"method"` // default GET
	Path     string      `json:"path"`
	Host     string      `json:"host"` // default: host of the app's first route that covers Path
	Status   StatusRange `json:"status"`
	Contains string      `json:"contains,omitempty"`
	Line     int         `json:"-"`
}

// Bake is how long and how strictly a switched release is watched (DESIGN 4.4).
type Bake struct {
	For            time.Duration `json:"for"`         // default 5m
	Every          time.Duration `json:"every"`       // default 30s
	Failures       int           `json:"failures"`    // failed samples that revert; default 2
	ErrorRate      float64       `json:"errorRate"`   // share of 5xx above baseline, 0..1; default 0.01
	MinRequests    int           `json:"minRequests"` // below it the error rate is no_data; default 20
	Burst          Burst         `json:"burst"`
	RequireTraffic bool          `json:"requireTraffic"` // default false
}

// Burst is the fast rule: Errors (share 0..1, above baseline) among the last Requests.
type Burst struct {
	Errors   float64 `json:"errors"`   // default 0.5
	Requests int     `json:"requests"` // default 25
}

// Drain is how long the old colour may finish what it began.
type Drain struct {
	HTTP      time.Duration `json:"http"`      // default 30s
	WebSocket time.Duration `json:"websocket"` // default 60s
}

// Volume is a named volume of the app. Both colours mount the same one.
type Volume struct {
	Name   string
	Mode   string // overlap or exclusive; required when a swapped service may write it
	Config composetypes.VolumeConfig
}

// Network is one network of the app; each colour has its own of each.
type Network struct {
	Name   string
	Config composetypes.NetworkConfig
}

// Problem is one thing wrong with a release directory. File is the path in the
// repository, environments/<env>/<app>/release.yaml or a file beside it.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Code    Code   `json:"code"`
	Message string `json:"message"`        // what is wrong
	Next    string `json:"next,omitempty"` // what to write instead
}

// Problems is every problem found at once, in file and line order. As an error it
// prints one problem a line, `file:line: message; next`.
type Problems []Problem
