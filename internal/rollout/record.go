package rollout

import (
	"net/netip"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// Record is one line of an app's journal: the only way State changes. Exactly one
// of the pointers is set, the one Kind names.
type Record struct {
	Kind     RecordKind  `json:"kind"`
	Begin    *Deployment `json:"begin,omitempty"`
	Enter    *Enter      `json:"enter,omitempty"`
	Intent   *Effect     `json:"intent,omitempty"`
	Outcome  *Outcome    `json:"outcome,omitempty"`
	Settle   *Settle     `json:"settle,omitempty"`
	Order    *OrderTaken `json:"order,omitempty"`
	Lift     *Lift       `json:"lift,omitempty"`
	Hold     *Hold       `json:"hold,omitempty"`
	Remember *Remember   `json:"remember,omitempty"`
	TakeOver *TakeOver   `json:"takeOver,omitempty"`
}

// RecordKind names what a Record holds.
type RecordKind string

const (
	RecBegin    RecordKind = "begin"    // a deployment begins
	RecEnter    RecordKind = "enter"    // it enters a phase
	RecIntent   RecordKind = "intent"   // an effect is about to touch the world
	RecOutcome  RecordKind = "outcome"  // the effect ended
	RecSettle   RecordKind = "settle"   // the deployment ends
	RecOrder    RecordKind = "order"    // an operator's order was taken up or refused
	RecLift     RecordKind = "lift"     // a hold ends
	RecHold     RecordKind = "hold"     // a settled app is held
	RecRemember RecordKind = "remember" // something about the evidence must not be forgotten
	RecTakeOver RecordKind = "takeover" // the app takes the place of the one under its former name
)

// Enter moves the deployment into a phase.
type Enter struct {
	Phase  Phase        `json:"phase"`
	Was    Phase        `json:"was"`
	Why    release.Code `json:"why,omitempty"`
	Detail string       `json:"detail,omitempty"`
	// Bad goes with reverting: the release is at fault and will be quarantined.
	Bad bool `json:"bad,omitempty"`
	// Person goes with reverting: not the release's fault for sure, a person must look.
	Person bool `json:"person,omitempty"`
	// Until goes with blocked: when to look again at the latest.
	Until time.Time `json:"until,omitzero"`
	// Extend goes with baking: the bake starts over, once.
	Extend bool `json:"extend,omitempty"`
	// Dropped goes with blocked: the new colour was dropped, what it held is free.
	Dropped bool `json:"dropped,omitempty"`
	// Emergency goes with preparing: by which emergency the release was accepted.
	Emergency *trust.EmergencyMark `json:"emergency,omitempty"`
	// Urgent goes with preparing: the emergency passes a freeze.
	Urgent bool `json:"urgent,omitempty"`
}

// Remember is what evidence taught that outlives it: newer scans, and that the debt of an
// emergency was settled by a normal approval.
type Remember struct {
	Scans   map[string]time.Time `json:"scans,omitempty"`
	Settled release.Digest       `json:"settled,omitempty"`
}

// Settle ends the deployment.
type Settle struct {
	Phase  Phase        `json:"phase"`
	Why    release.Code `json:"why,omitempty"`
	Detail string       `json:"detail,omitempty"`
	Hold   *Hold        `json:"hold,omitempty"`
}

// OrderTaken records that an order was looked at.
type OrderTaken struct {
	Order   Order        `json:"order"`
	Refused release.Code `json:"refused,omitempty"`
	Detail  string       `json:"detail,omitempty"`
}

// Lift ends a hold.
type Lift struct {
	Why   release.Code `json:"why"`
	Actor string       `json:"actor,omitempty"`
}

// Order is an operator's replicated command (DESIGN 7).
type Order struct {
	Index uint64         `json:"index"`
	Kind  OrderKind      `json:"kind"`
	App   string         `json:"app"`
	To    release.Digest `json:"to,omitempty"` // rollback: "" = the last proven one before the live one
	// Inputs and Above are filled in when a rollback is taken up: which inputs of To,
	// and the highest sequence known then, which the hold afterwards covers.
	Inputs string    `json:"inputs,omitempty"`
	Above  int64     `json:"above,omitempty"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Trace is the W3C trace id that who gave it asked with; "" for none.
	Trace string `json:"trace,omitempty"`
}

// OrderKind names an order.
type OrderKind string

const (
	OrderRollback OrderKind = "rollback"
	OrderResume   OrderKind = "resume"
	OrderRetry    OrderKind = "retry"
	OrderRotate   OrderKind = "rotate" // swap the live release with the host's present inputs
	OrderRemove   OrderKind = "remove" // from this host, keeping volumes
)

// Effect is one thing to do to the world: plain data that reconcile dispatches.
type Effect struct {
	ID   string     `json:"id"` // <deployment>/<n>, n counts the app's effects
	Kind EffectKind `json:"kind"`
	// Set is what the effect is about; Other the second colour where one matters.
	Set   Set  `json:"set,omitzero"`
	Other *Set `json:"other,omitempty"`
	// Services limits the effect to some of the set's services; nil means all.
	Services []string          `json:"services,omitempty"`
	Shared   map[string]string `json:"shared,omitempty"` // shared services to make or to remove
	// SharedOf says of which release each of Shared is, where not of the set's.
	SharedOf   map[string]release.Digest `json:"sharedOf,omitempty"`
	Generation uint64                    `json:"generation,omitempty"`
	Baseline   float64                   `json:"baseline,omitempty"`
	Token      Token                     `json:"token,omitzero"`
	Request    string                    `json:"request,omitempty"`
	Bad        bool                      `json:"bad,omitempty"`
	Why        release.Code              `json:"why,omitempty"`
	Detail     string                    `json:"detail,omitempty"`
	Burst      uint64                    `json:"burst,omitempty"` // probe_warm: the burst that it answers
	Job        string                    `json:"job,omitempty"`   // run_job: its name
	Local      bool                      `json:"local,omitempty"` // prepare without registry: going back
	// Back is true for effects that lead to what already served: they may use the reserves.
	Back bool `json:"back,omitempty"`
	// Deploy is the deployment it belongs to, "" for a settled app's upkeep.
	Deploy  string    `json:"deploy,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// EffectKind names an effect. The set is closed.
type EffectKind string

const (
	Prepare    EffectKind = "prepare"    // store the release, pull, create; nothing live is touched
	AskTurn    EffectKind = "ask_turn"   // ask the fleet for the permission to deploy
	Start      EffectKind = "start"      // start services (and new shared ones)
	Check      EffectKind = "check"      // probes in a row, container health, smoke on the set's own address
	Confirm    EffectKind = "confirm"    // the fleet's commit: point of no return
	SwitchTo   EffectKind = "switch"     // keep the set across reboots, then one atomic swap in the proxy
	HandStop   EffectKind = "hand_stop"  // stop services without route
	HandStart  EffectKind = "hand_start" // start services without route and see them stay
	EndTurn    EffectKind = "end_turn"   // give the permission back
	TakeSample EffectKind = "sample"     // one look at every rule of the bake
	ProbeWarm  EffectKind = "probe_warm" // one probe of the old colour, at most 1 s
	Report     EffectKind = "report"     // tell the fleet good or bad; bad quarantines
	FrontDoor  EffectKind = "front_door" // smoke through the proxy after a switch back
	Retire     EffectKind = "retire"     // drain, then stop the set; containers stay
	Withdraw   EffectKind = "withdraw"   // take the app's routes out of the proxy
	Remove     EffectKind = "remove"     // remove everything of the app but its volumes, and those to purge
	Drop       EffectKind = "drop"       // stop and remove the set's containers
	Restore    EffectKind = "restore"    // put back what someone removed or stopped
	// ReplaceShared stops shared services and starts them with another specification. It
	// ends before anything else begins, for in between there is none.
	ReplaceShared EffectKind = "replace_shared"
	RunJob        EffectKind = "run_job" // one of the release's one-off runs, to its end
)

// EffectKinds lists them all.
func EffectKinds() []EffectKind {
	return []EffectKind{Prepare, AskTurn, Start, Check, Confirm, SwitchTo, HandStop, HandStart, EndTurn,
		TakeSample, ProbeWarm, Report, FrontDoor, Retire, Withdraw, Remove, Drop, Restore, RunJob, ReplaceShared}
}

// Outcome is how an effect ended.
type Outcome struct {
	Effect string       `json:"effect"`
	Kind   EffectKind   `json:"kind"`
	Result Result       `json:"result"`
	Code   release.Code `json:"code,omitempty"`
	Detail string       `json:"detail,omitempty"`
	// Facts that later steps need.
	Token      Token                 `json:"token,omitzero"`
	Generation uint64                `json:"generation,omitempty"` // switch: the proxy's own, when it refused ours as stale
	Unfinished int                   `json:"unfinished,omitempty"` // switch: requests of the old colour whose head was not written after 1 s
	At         time.Time             `json:"at,omitzero"`          // switch: when traffic moved
	Returned   time.Time             `json:"returned,omitzero"`    // switch: when the proxy's answer was here
	Sample     *Sample               `json:"sample,omitempty"`
	Addresses  map[string]netip.Addr `json:"addresses,omitempty"`
	Cut        int                   `json:"cut,omitempty"` // retire: requests and connections cut at the drain's end
}

// Result classifies an Outcome: what the caller may do (STYLE 4).
type Result string

const (
	OK          Result = "ok"
	Retryable   Result = "retry"
	Bad         Result = "revert"
	NeedsPerson Result = "hold"
	Cancelled   Result = "cancelled"
	Interrupted Result = "interrupted" // the agent died in between; repeat
)

// Token fences effects: (epoch, index of the grant) in the fleet's log.
type Token struct {
	Epoch uint64 `json:"epoch"`
	Index uint64 `json:"index"`
}

// Zero reports whether no permission is held.
func (t Token) Zero() bool { return t == Token{} }
