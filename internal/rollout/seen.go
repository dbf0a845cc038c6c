package rollout

import (
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Container is one container as the engine has it now, found by teal's labels.
type Container struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Instance  string          `json:"instance"` // teal.instance; another's is foreign
	App       string          `json:"app"`
	Service   string          `json:"service"`
	Set       release.SetID   `json:"set"` // colour "" for a shared service
	Status    ContainerStatus `json:"status"`
	ExitCode  int             `json:"exitCode,omitempty"`
	OOM       bool            `json:"oom,omitempty"`
	Restarts  int             `json:"restarts,omitempty"` // by the engine, since start
	StartedAt time.Time       `json:"startedAt,omitzero"`
	EndedAt   time.Time       `json:"endedAt,omitzero"`
	Health    HealthStatus    `json:"health,omitempty"`
	Address   netip.Addr      `json:"address,omitzero"`  // configured on the edge network
	Spec      string          `json:"spec,omitempty"`    // label teal.spec
	Restart   string          `json:"restart,omitempty"` // restart policy name
}

// ContainerStatus is the engine's word.
type ContainerStatus string

const (
	Created    ContainerStatus = "created"
	Running    ContainerStatus = "running"
	Restarting ContainerStatus = "restarting"
	Paused     ContainerStatus = "paused"
	Exited     ContainerStatus = "exited"
	Dead       ContainerStatus = "dead"
	Removing   ContainerStatus = "removing"
)

// HealthStatus is the container's own health check; "" when it has none.
type HealthStatus string

const (
	HealthStarting  HealthStatus = "starting"
	HealthHealthy   HealthStatus = "healthy"
	HealthUnhealthy HealthStatus = "unhealthy"
)

// Fault says what the caller may do about an error from an edge (STYLE 4). Edges
// classify at their boundary; the planner never reads error text.
type Fault string

const (
	FaultRetry  Fault = "retry"  // not the release's doing: try again later
	FaultRevert Fault = "revert" // the release is bad on this host
	FaultHold   Fault = "hold"   // a person must look
)

// EffectError is an edge's classified error.
type EffectError struct {
	Fault  Fault
	Code   release.Code
	Detail string // one line: what was attempted on what, for people
	Err    error
}

func (e *EffectError) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	if e.Detail == "" {
		return e.Err.Error()
	}
	return e.Detail + ": " + e.Err.Error()
}

func (e *EffectError) Unwrap() error { return e.Err }

// ProbeResult is one sample of one rule.
type ProbeResult string

const (
	Pass   ProbeResult = "pass"
	Fail   ProbeResult = "fail"
	Error  ProbeResult = "error"   // could not measure
	NoData ProbeResult = "no_data" // nothing to measure yet
)

// RuleSample is what one rule of the bake said in one sample.
type RuleSample struct {
	Rule   string      `json:"rule"` // probe:<service>, container:<service>, error_rate, smoke:<n>
	Result ProbeResult `json:"result"`
	Detail string      `json:"detail,omitempty"`
}

// Sample is one look at a released colour.
type Sample struct {
	At    time.Time    `json:"at"`
	Rules []RuleSample `json:"rules"`
}

// Traffic is what the proxy counted for a colour since it began to serve.
type Traffic struct {
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"` // answers of class 5xx, the proxy's own included
}
