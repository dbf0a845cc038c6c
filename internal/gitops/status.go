package gitops

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// Status is where following stands.
type Status struct {
	// Head and Evidence are the accepted commits of the first followed ref that has one and
	// of the evidence branch, 40 hex; "" before the first.
	Head, Evidence string
	// Refs are the followed refs, evidence included, and what was refused of them.
	Refs []RefStatus
	// Code is "" when the last look accepted everything; else it is that of the first ref
	// that was refused, or why the repository could not be looked at. history_rewritten stays until
	// the branch descends from the accepted commit again, also while the repository
	// cannot be reached.
	Code   release.Code
	Detail string // one line for people, escaped; "" when Code is
	// LastAttempt is the end of the last look, LastSuccess of the last one that reached
	// the repository and read all of it, whether or not the head was acceptable.
	LastAttempt, LastSuccess time.Time
	// Next is when Run looks again; zero without Run.
	Next time.Time
	// Failures counts looks in a row that did not reach the repository.
	Failures int
	// Places are the addresses of the repository in the order in which they are asked;
	// nil when there is only one.
	Places []PlaceStatus
}

// PlaceStatus is where one address of the repository stands.
type PlaceStatus struct {
	URL    string       // without credentials
	InUse  bool         // it answered last
	Code   release.Code // why it is not used, or what was refused of it; "" when it is or was not asked
	Detail string       // one line for people, escaped; "" when Code is
}

// RefStatus is where one followed ref stands.
type RefStatus struct {
	// Name is the ref's full name, or the entry of Config.Follow that Code stands for
	// ("branches phase-*/**", when that matches too many).
	Name string
	// Head is the accepted commit in use, 40 hex; "" when there is none.
	Head string
	// Desired: it says what is desired. Else it is followed for evidence only.
	Desired bool
	Code    release.Code // why its newest head is not used; "" when it is
	Detail  string       // one line for people, escaped; "" when Code is
}
