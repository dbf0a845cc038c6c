package trust

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// Verdict is what the host's policy says of one release with the evidence at hand,
// at one time. A refusal is a result, not an error. It is stored with the release
// and shown as it is: all text in it that came from outside went through Escape, and
// is not to be escaped again.
type Verdict struct {
	// Accepted is true when no gate failed and none waits.
	Accepted bool `json:"accepted"`
	// Reasons says why a refused release is refused, in the order of the gates; the
	// first one is the reason. Empty when accepted.
	Reasons []Finding `json:"reasons,omitempty"`
	// Gates are all checks in their order, passed and skipped ones included.
	Gates []Gate `json:"gates"`
	// Observations decided nothing by themselves: signatures that were not counted
	// and why, files that were ignored.
	Observations []Finding `json:"observations,omitempty"`
	// Signers are the persons whose signature verified, counted or not, by file name.
	Signers []Signer `json:"signers,omitempty"`
	// Emergency is set when an emergency approval accepted the release.
	Emergency *EmergencyUse `json:"emergency,omitempty"`
	// Seen are the newest trusted scans, by "<image hex>/<scanner>", for the host to
	// remember (Marks.Scans), whatever the verdict is.
	Seen map[string]time.Time `json:"-"`
	// Policy is the fingerprint of the policy that judged.
	Policy string `json:"policy,omitempty"`
	// At is the time of judging, as given in Input.Now.
	At time.Time `json:"at"`
	// Until is when an accepted verdict stops holding, or when the reasons of a
	// refused one change, by time alone. Zero means never.
	Until time.Time `json:"until,omitzero"`
}

// Reason is the first reason of a refusal; the zero Finding when accepted.
func (v Verdict) Reason() Finding {
	if len(v.Reasons) == 0 {
		return Finding{}
	}
	return v.Reasons[0]
}

// Waits reports whether a refusal is only for something that time or a person can
// still supply (exit code 6), nothing being wrong (exit code 4).
func (v Verdict) Waits() bool {
	for _, r := range v.Reasons {
		if !r.Waits {
			return false
		}
	}
	return len(v.Reasons) > 0
}

// Finding is one reason or observation.
type Finding struct {
	Code   release.Code `json:"code"`
	Detail string       `json:"detail"`         // one line: what exactly, with names
	Next   string       `json:"next,omitempty"` // what to do; default: the code's own
	Waits  bool         `json:"waits,omitempty"`
}

// found makes a Finding from the table of reasons. next "" takes the table's.
func found(code release.Code, detail, next string) Finding {
	f := Finding{Code: code, Detail: detail, Next: next}
	if r, ok := release.Lookup(code); ok {
		f.Waits = r.Waits
		if next == "" {
			f.Next = r.Next
		}
	}
	return f
}

// Gate is one check of a verdict.
type Gate struct {
	Name   string    `json:"name"`
	State  GateState `json:"state"`
	Detail string    `json:"detail,omitempty"`
	Who    []string  `json:"who,omitempty"` // persons it counted
}

// GateState is how a gate ended.
type GateState string

const (
	GatePass    GateState = "pass"
	GateFail    GateState = "fail"    // something is wrong
	GateWait    GateState = "wait"    // only time or a person is missing
	GateSkipped GateState = "skipped" // the policy does not ask for it, or an earlier gate left nothing to judge
)

// Names of the gates, in their order.
const (
	GateManifest   = "manifest"
	GateRepository = "repository"
	GateSequence   = "sequence"
	GateHostAccess = "host access"
	GatePolicy     = "policy"
	GateClock      = "clock"
	GateStatement  = "statement"
	GateEmergency  = "emergency"
	GateApprovals  = "approvals"
	GateDuties     = "separation of duties"
	GateScans      = "scans"
	GateProvenance = "provenance"
	GateWindow     = "window"
)

// Signer is one signature that verified against a key of the policy.
type Signer struct {
	Person      string       `json:"person"`
	Key         string       `json:"key"`         // the key's id in the policy
	Fingerprint string       `json:"fingerprint"` // as ssh-keygen -l prints it
	File        string       `json:"file"`        // name in the approval directory
	Roles       []string     `json:"roles,omitempty"`
	Counted     bool         `json:"counted"`
	Veto        bool         `json:"veto,omitempty"` // it rejects the release
	Why         release.Code `json:"why,omitempty"`  // why it was not counted
}
