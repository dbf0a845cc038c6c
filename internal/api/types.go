package api

import (
	"encoding/json"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// Version of every reply and of the manifest language.
const Version = "teal/v1"

// Meta heads every reply. Additions are compatible; nothing is ever renamed.
type Meta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func meta(kind string) Meta { return Meta{Version, kind} }

// Status is the host as it stands (`tealctl status`).
type Status struct {
	Meta
	Environment string           `json:"environment"`
	Host        string           `json:"host"`
	Instance    string           `json:"instance"`
	Now         time.Time        `json:"now"`
	Repository  RepositoryStatus `json:"repository"`
	Policy      PolicyStatus     `json:"policy"`
	Proxy       PartStatus       `json:"proxy"`
	Engine      PartStatus       `json:"engine"`
	Frozen      []rollout.Freeze `json:"frozen,omitempty"`
	Apps        []AppStatus      `json:"apps"`
}

// RepositoryStatus is how Git stands.
type RepositoryStatus struct {
	URL         string       `json:"url"`
	Branch      string       `json:"branch"`           // the short form; empty with several
	Follow      []string     `json:"follow,omitempty"` // what is followed, in words
	Refs        []RefStatus  `json:"refs,omitempty"`   // what that is now
	Head        string       `json:"head,omitempty"`   // of the first of them
	Evidence    string       `json:"evidence,omitempty"`
	Subject     string       `json:"subject,omitempty"`
	LastSuccess time.Time    `json:"lastSuccess,omitzero"`
	Code        release.Code `json:"code,omitempty"` // empty: all is well
	Detail      string       `json:"detail,omitempty"`

	Places   []PlaceStatus `json:"places,omitempty"`  // its addresses, when there are mirrors
	LastHook time.Time     `json:"lastHook,omitzero"` // when a webhook was last believed
}

// PlaceStatus is one address of the repository.
type PlaceStatus struct {
	URL    string       `json:"url"`
	InUse  bool         `json:"inUse"`          // it answered last
	Code   release.Code `json:"code,omitempty"` // why it is not used
	Detail string       `json:"detail,omitempty"`
}

// RefStatus is one followed ref.
type RefStatus struct {
	Name    string       `json:"name"`           // full: refs/heads/main; or the entry of agent.yaml that the code stands for
	Head    string       `json:"head,omitempty"` // the accepted commit in use
	Desired bool         `json:"desired"`        // false: for evidence only
	Code    release.Code `json:"code,omitempty"` // why its newest commit is not used
	Detail  string       `json:"detail,omitempty"`
}

// PolicyStatus is how the host's trust.yaml stands.
type PolicyStatus struct {
	Fingerprint string       `json:"fingerprint,omitempty"`
	Version     int64        `json:"version,omitempty"` // of the chain; 0: inline
	Code        release.Code `json:"code,omitempty"`
	Detail      string       `json:"detail,omitempty"`
}

// PartStatus says whether a part of the host answers.
type PartStatus struct {
	Reachable bool   `json:"reachable"`
	Detail    string `json:"detail,omitempty"`
}

// AppStatus is one app.
type AppStatus struct {
	App string `json:"app"`
	// State is one word: a phase of DESIGN 4.1, held, or none.
	State string `json:"state"`
	// Healthy is true when the app is live and converged, or is neither here nor meant to
	// be, and nothing is held.
	Healthy bool           `json:"healthy"`
	Live    *rollout.Set   `json:"live,omitempty"`
	Desired *rollout.Set   `json:"desired,omitempty"`
	Ref     string         `json:"ref,omitempty"` // the followed ref that Desired is from, in full
	Deploy  *Deployment    `json:"deployment,omitempty"`
	Hold    *rollout.Hold  `json:"hold,omitempty"`
	Last    *rollout.Ended `json:"last,omitempty"`
	Wait    Wait           `json:"wait"`
	Since   time.Time      `json:"since,omitzero"`
	Proven  *rollout.Set   `json:"proven,omitempty"`
	Old     []rollout.Set  `json:"rollbackTargets,omitempty"`
	Proxy   ProxyStatus    `json:"proxy"`
	// Debt is the emergency by which what is live was accepted, until a normal approval
	// of it follows.
	Debt *Debt `json:"emergencyDebt,omitempty"`
}

// Debt is an emergency that no normal approval has followed yet.
type Debt struct {
	Incident   string    `json:"incident"`
	Since      time.Time `json:"since"`
	FollowUpBy time.Time `json:"followUpBy,omitzero"`
	Overdue    bool      `json:"overdue"`
}

// Deployment is the deployment in progress, for people.
type Deployment struct {
	ID         string        `json:"id"`
	Kind       rollout.Kind  `json:"kind"`
	Phase      rollout.Phase `json:"phase"`
	Since      time.Time     `json:"since"`
	Began      time.Time     `json:"began"`
	To         rollout.Set   `json:"to"`
	From       *rollout.Set  `json:"from,omitempty"`
	Why        release.Code  `json:"why,omitempty"`
	Detail     string        `json:"detail,omitempty"`
	Samples    int           `json:"samples,omitempty"`
	Failed     int           `json:"failedSamples,omitempty"`
	SwitchedAt time.Time     `json:"switchedAt,omitzero"`
	BakeEnds   time.Time     `json:"bakeEnds,omitzero"`
	// Gates are those of the release that is being deployed, in their order.
	Gates []trust.Gate `json:"gates,omitempty"`
}

// Wait is what the app waits for.
type Wait struct {
	Why    release.Code `json:"why,omitempty"`
	Detail string       `json:"detail,omitempty"`
	Until  time.Time    `json:"until,omitzero"`
}

// ProxyStatus is what the proxy serves for the app.
type ProxyStatus struct {
	Known      bool           `json:"known"`
	Generation uint64         `json:"generation,omitempty"`
	Live       release.Colour `json:"live,omitempty"`
}

// Explanation says why an app stands where it stands (`tealctl explain APP`).
type Explanation struct {
	Meta
	App     string          `json:"app"`
	Version string          `json:"version,omitempty"`
	Summary string          `json:"summary"`
	Code    release.Code    `json:"code"`
	ID      string          `json:"id,omitempty"` // TEAL-nnnn
	Detail  string          `json:"detail,omitempty"`
	Next    string          `json:"next,omitempty"`
	Waits   bool            `json:"waits,omitempty"`
	Trace   string          `json:"traceId,omitempty"` // of the order that it stands there by
	Gates   []trust.Gate    `json:"gates,omitempty"`
	Reasons []trust.Finding `json:"reasons,omitempty"`
	Notes   []trust.Finding `json:"observations,omitempty"`
	Status  AppStatus       `json:"status"`
}

// History lists deployments, newest first.
type History struct {
	Meta
	Entries []HistoryEntry `json:"entries"`
}

// HistoryEntry is one deployment as the journal has it.
type HistoryEntry struct {
	App        string         `json:"app"`
	ID         string         `json:"id"`
	Kind       rollout.Kind   `json:"kind"`
	Version    string         `json:"version,omitempty"`
	Digest     release.Digest `json:"digest,omitempty"`
	Sequence   int64          `json:"sequence,omitempty"`
	Result     rollout.Phase  `json:"result"`          // the phase it is in or ended in
	Cause      release.Code   `json:"cause,omitempty"` // why it began where that is not Git
	Why        release.Code   `json:"why,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	Began      time.Time      `json:"began"`
	Ended      time.Time      `json:"ended,omitzero"`
	SwitchedAt time.Time      `json:"switchedAt,omitzero"`
	FlippedAt  time.Time      `json:"flippedAt,omitzero"`
	Actor      string         `json:"actor,omitempty"`
	Trace      string         `json:"traceId,omitempty"` // of the order behind it
}

// Event is one journal record as `tealctl events` shows it.
type Event struct {
	Seq  uint64          `json:"seq"`
	Time time.Time       `json:"time"`
	App  string          `json:"app,omitempty"`
	Kind string          `json:"kind"`
	Text string          `json:"text"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Plan says what would be done for the release that Git wants.
type Plan struct {
	Meta
	App       string   `json:"app"`
	From      string   `json:"from,omitempty"`
	To        string   `json:"to,omitempty"`
	Digest    string   `json:"digest,omitempty"`
	Changes   []Change `json:"changes,omitempty"`
	Steps     []string `json:"steps,omitempty"`
	Rollback  string   `json:"rollback,omitempty"`
	Blocked   *Wait    `json:"blocked,omitempty"`
	Different bool     `json:"different"`
}

// Change is one difference between what runs and what is wanted.
type Change struct {
	Service string `json:"service,omitempty"`
	Field   string `json:"field"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
}

// Command is what an operator asks for.
type Command struct {
	App    string    `json:"app,omitempty"`
	To     string    `json:"to,omitempty"` // version or digest prefix
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	DryRun bool      `json:"dryRun,omitempty"`
	// Trace is the trace id of the request, from its traceparent header.
	Trace string `json:"-"`
}

// Done answers a Command.
type Done struct {
	Meta
	Actor string `json:"actor"`
	Text  string `json:"text"`
	// Plan says what a dry run would do, one fact a line.
	Plan   []string `json:"plan,omitempty"`
	Index  uint64   `json:"index,omitempty"`
	Commit string   `json:"commit,omitempty"`
	Trace  string   `json:"traceId,omitempty"` // that the order carries in journal and log
}

// Failure is every error reply.
type Failure struct {
	Meta
	Status int          `json:"status"`
	Code   release.Code `json:"code"`
	ID     string       `json:"id,omitempty"`
	Text   string       `json:"error"`
	Next   string       `json:"next,omitempty"`
}

// About is the agent's own version.
type About struct {
	Meta
	Version  string `json:"version"`
	Go       string `json:"go"`
	Actor    string `json:"actor"`
	Role     Role   `json:"role"`
	Instance string `json:"instance"`
	Host     string `json:"host,omitempty"`
	// Environment is the host's.
	Environment string `json:"environment,omitempty"`
}

// Secrets lists what a host adds to its apps (`tealctl secrets status`). It names sources
// and holds no value.
type Secrets struct {
	Meta
	Host string       `json:"host"`
	Apps []AppSecrets `json:"apps"`
}

// AppSecrets is what a host adds to one app.
type AppSecrets struct {
	App     string `json:"app"`
	Version string `json:"version,omitempty"` // of the release that is described
	// State is one of: same (the live release runs with them), differ, missing, none (the
	// release asks nothing of the host), new (nothing of it is live).
	State  string        `json:"state"`
	Live   string        `json:"liveInputs,omitempty"`
	Now    string        `json:"inputs,omitempty"`
	Code   release.Code  `json:"code,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Next   string        `json:"next,omitempty"`
	Items  []GivenStatus `json:"items,omitempty"`
}

// GivenStatus is one secret or host value.
type GivenStatus struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`   // secret or hostEnv
	Source string `json:"source"` // age file, file, credential, label or host name
	// State is one of: same, differ, missing, new.
	State  string       `json:"state"`
	Code   release.Code `json:"code,omitempty"`
	Detail string       `json:"detail,omitempty"`
}
