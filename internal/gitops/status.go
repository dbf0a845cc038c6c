package gitops

import (
	"time"

	"github.com/tealops/teal/internal/release"
)

// Status is where following stands.
type Status struct {
	// Head and Evidence are the accepted commits, 40 hex; "" before the first.
	Head, Evidence string
	// Code is "" when the last look accepted everything. history_rewritten stays until
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
}
