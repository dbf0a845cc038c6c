package release

import (
	"fmt"
	"slices"
)

// Code is a reason code: one lower snake_case word that status, explain, the
// metric, the notification and the log share. Its number TEAL-nnnn is stable for
// ever. Numbers: 1xxx manifest, 2xxx host and engine, 3xxx trust, 4xxx rollout,
// 5xxx Git, 6xxx control.
type Code string

// Reason explains a Code.
type Reason struct {
	Number  int
	Code    Code
	Summary string // one sentence: what it means
	Next    string // one sentence: what to do
	// Waits is true when only time or a person is missing (exit code 6), false
	// when something is wrong (exit code 3 or 4).
	Waits bool
}

// ID is the stable public name, for example TEAL-3001.
func (r Reason) ID() string { return fmt.Sprintf("TEAL-%04d", r.Number) }

// Lookup finds a code's reason.
func Lookup(c Code) (Reason, bool) {
	r, ok := byCode[c]
	return r, ok
}

// LookupID finds a reason by its public name (TEAL-3001).
func LookupID(id string) (Reason, bool) {
	for _, r := range reasons {
		if r.ID() == id {
			return r, true
		}
	}
	return Reason{}, false
}

// Reasons returns the whole table, by number.
func Reasons() []Reason { return append([]Reason(nil), reasons...) }

var byCode = func() map[Code]Reason {
	m := make(map[Code]Reason, len(reasons))
	for _, r := range reasons {
		m[r.Code] = r
	}
	return m
}()

// reasons is the one table, in the order of the numbers. Each room of the tree
// keeps its part in a file of its own.
var reasons = concat(manifestReasons, hostReasons, trustReasons, rolloutReasons, gitReasons, controlReasons, secretReasons)

func concat(parts ...[]Reason) []Reason {
	var all []Reason
	for _, p := range parts {
		all = append(all, p...)
	}
	slices.SortStableFunc(all, func(a, b Reason) int { return a.Number - b.Number })
	return all
}
