package proxy

import (
	"time"

	"github.com/tealops/teal/internal/vocab"
)

// Status is what the proxy serves for an app, and what it has counted.
type Status struct {
	App
	SwitchedAt time.Time `json:"switchedAt"`
	Durable    bool      `json:"durable"`        // false: a restart would serve the generation before
	Held       int64     `json:"held,omitempty"` // requests that wait for the end of a pause
	// Colours counts per colour, from when its present targets took it.
	Colours map[vocab.Colour]Counters `json:"colours,omitempty"`
}

// Counters are one colour's.
type Counters struct {
	Requests uint64 `json:"requests"` // answered, the proxy's own answers included
	// Errors are the answers of class 5xx, the proxy's own 502, 503 and 504 included,
	// and those that a target broke off.
	Errors   uint64            `json:"errors"`
	Classes  map[string]uint64 `json:"classes,omitempty"`  // "1xx" (upgrades) to "5xx"
	Own      uint64            `json:"own,omitempty"`      // 5xx that the proxy gave for the target
	Broken   uint64            `json:"broken,omitempty"`   // answers that the target broke off
	Aborted  uint64            `json:"aborted,omitempty"`  // the client left before the answer began; not in Requests
	Cut      uint64            `json:"cut,omitempty"`      // ended by Drain
	InFlight int64             `json:"inFlight,omitempty"` // upgraded ones included
	Upgraded int64             `json:"upgraded,omitempty"` // WebSockets now open
}

// Switched is the answer to a Put.
type Switched struct {
	SwitchedAt time.Time `json:"switchedAt"` // no request chose the generation before after this
	// Unfinished counts the requests of the generation before whose response head was
	// not written one second after the switch. They go on.
	Unfinished int  `json:"unfinished,omitempty"`
	Durable    bool `json:"durable"`
}

// Drained is the answer to a Drain.
type Drained struct {
	Cut int `json:"cut"` // requests and upgraded connections that were ended
}

// Kind is what an Event tells of.
type Kind string

const (
	EventBurst    Kind = "burst"    // the live generation answers badly
	EventSwitched Kind = "switched" // a Put or a removal took effect
	EventAlarm    Kind = "alarm"    // a person should look
)

// Event is something that the proxy saw. Seq grows strictly, restarts included.
type Event struct {
	Seq        uint64       `json:"seq"`
	Time       time.Time    `json:"time"`
	Kind       Kind         `json:"kind"`
	App        string       `json:"app,omitempty"`
	Generation uint64       `json:"generation,omitempty"`
	Colour     vocab.Colour `json:"colour,omitempty"`
	Errors     int          `json:"errors,omitempty"`   // burst: 5xx among
	Requests   int          `json:"requests,omitempty"` // so many last answers
	Text       string       `json:"text,omitempty"`
}
