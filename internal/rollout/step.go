package rollout

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// Step is the one thing to do next. The set of Steps is closed: Wait, Note, Act
// and Cancel.
type Step interface{ step() }

// Wait does nothing until something changes or Until passes. It always says why.
type Wait struct {
	Why    release.Code
	Detail string
	// Until is when to look again at the latest; zero when only an event or a person
	// can change anything.
	Until time.Time
}

// Note writes a record and looks again: a transition that touches nothing.
type Note struct{ Record Record }

// Act journals the effect as an intent and starts it beside the loop.
type Act struct{ Effect Effect }

// Cancel asks the effect in flight to stop; its outcome is still awaited.
type Cancel struct {
	Effect string
	Why    release.Code
}

func (Wait) step()   {}
func (Note) step()   {}
func (Act) step()    {}
func (Cancel) step() {}

// Defaults of DESIGN 4.2 that no manifest sets.
const (
	ConfirmDeadline  = 30 * time.Second
	SwitchDeadline   = 60 * time.Second
	ReportDeadline   = 30 * time.Second
	HandoverDeadline = 60 * time.Second
	ProgressDeadline = 15 * time.Minute
	StartDeadline    = 60 * time.Second
	OnceDeadline     = 10 * time.Minute // instead, for a set whose services wait for others to complete
	ProbeWarmTimeout = time.Second
	RevertDeadline   = 2 * time.Minute
	FlapWindow       = 300 * time.Second
	FlapLimit        = 5
	BlockedRecheck   = 30 * time.Second
	blockedMax       = 5 * time.Minute
	MaxErrorsInRow   = 4
	retryFirst       = time.Second
	retryMax         = time.Minute
	backRetryMax     = 10 * time.Second // going back is tried again soon
	backTries        = 5                // failures in a row, past RevertDeadline, that end a step of going back
	maxOwed          = 16
	pullRetryFirst   = 5 * time.Second
	pullRetryMax     = 5 * time.Minute
)

// backoff doubles from first to max.
func backoff(count int, first, max time.Duration) time.Duration {
	d := first
	for range count - 1 {
		if d >= max/2 {
			return max
		}
		d *= 2
	}
	return min(d, max)
}
