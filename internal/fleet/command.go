package fleet

import (
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Command is one entry of the fleet's log. Exactly one of the pointers is set.
type Command struct {
	// Request makes a command idempotent; "" only for commands that are idempotent
	// by nature.
	Request string    `json:"request,omitempty"`
	At      time.Time `json:"at"`
	Host    string    `json:"host"`

	Ask      *Ask            `json:"ask,omitempty"`
	Confirm  *Confirm        `json:"confirm,omitempty"`
	End      *End            `json:"end,omitempty"`
	Report   *Report         `json:"report,omitempty"`
	Order    *rollout.Order  `json:"order,omitempty"`
	Freeze   *rollout.Freeze `json:"freeze,omitempty"`
	Unfreeze *Unfreeze       `json:"unfreeze,omitempty"`
}

// Ask wants the turn for one app.
type Ask struct {
	App      string         `json:"app"`
	Digest   release.Digest `json:"digest"`
	Inputs   string         `json:"inputs"`
	Content  release.Digest `json:"content,omitempty"`
	Sequence int64          `json:"sequence"`
	// Urgent passes a freeze: the host's policy accepted an emergency that waives it.
	Urgent bool `json:"urgent,omitempty"`
}

// Confirm is the point of no return: after it the host may switch.
type Confirm struct {
	App   string        `json:"app"`
	Token rollout.Token `json:"token"`
}

// End gives the turn back.
type End struct {
	App   string        `json:"app"`
	Token rollout.Token `json:"token"`
}

// Report is a host's verdict on a release that it confirmed.
type Report struct {
	App     string         `json:"app"`
	Digest  release.Digest `json:"digest"`
	Inputs  string         `json:"inputs"`
	Content release.Digest `json:"content,omitempty"`
	Version string         `json:"version,omitempty"`
	Good    bool           `json:"good"`
	Why     release.Code   `json:"why,omitempty"`
	Detail  string         `json:"detail,omitempty"`
}

// Unfreeze lifts the freeze of an app, or of the environment when App is "".
type Unfreeze struct {
	App    string `json:"app,omitempty"`
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
}

// Answer is what Apply says to a command.
type Answer struct {
	Token  rollout.Token `json:"token,omitzero"`
	Index  uint64        `json:"index"`
	Denied release.Code  `json:"denied,omitempty"`
	Detail string        `json:"detail,omitempty"`
}

// back reports whether the command leads back to what already served, or stops what
// goes forward.
func (c Command) back() bool {
	return c.Order != nil || c.End != nil || c.Freeze != nil || c.Report != nil && !c.Report.Good
}
