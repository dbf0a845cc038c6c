package release

import (
	"slices"
	"strings"
)

// Entry is what tealctl explain says of one reason code.
type Entry struct {
	ID      string `json:"id"`
	Code    Code   `json:"code"`
	Summary string `json:"summary"`
	Why     string `json:"why"` // how it comes about
	Next    string `json:"next"`
	Who     string `json:"who"`     // who can do it
	Example string `json:"example"` // a command, a line of a manifest or of a configuration
	Waits   bool   `json:"waits"`   // only time or a person is missing
}

// page is what the table of reasons leaves out: who acts, how it comes about, an example.
type page struct{ who, why, example string }

// Who can do what is to be done next.
const (
	byNobody   = "nobody has to: teal goes on by itself"
	byAnyone   = "whoever runs tealctl"
	byAuthor   = "whoever prepares the release, by a commit with the next sequence"
	byApp      = "whoever looks after the app"
	byApprover = "a person of the role that the verdict names"
	byPipeline = "whoever looks after the pipeline that builds, scans and attests"
	bySecurity = "whoever looks after the trust policy"
	byRepo     = "whoever looks after the release repository"
	byOperator = "an operator: a member of the group teal-operators on this host"
	byRoot     = "root on this host"
)

// pages is by room, as the reasons are. A reason without a page fails a test.
var pages = []map[Code]page{manifestPages, hostPages, trustPages, rolloutPages, gitPages, controlPages}

func entry(r Reason) Entry {
	e := Entry{ID: r.ID(), Code: r.Code, Summary: r.Summary, Next: r.Next, Waits: r.Waits}
	for _, room := range pages {
		if p, ok := room[r.Code]; ok {
			e.Why, e.Who, e.Example = p.why, p.who, p.example
		}
	}
	return e
}

// Entries is the whole table, explained, by number.
func Entries() []Entry {
	var all []Entry
	for _, r := range reasons {
		all = append(all, entry(r))
	}
	return all
}

// Explain finds an entry by code or by number, in any case: approval_threshold, TEAL-3001,
// teal-3001 or 3001.
func Explain(name string) (Entry, bool) {
	if r, ok := Lookup(Code(snake(name))); ok {
		return entry(r), true
	}
	id := strings.ToUpper(name)
	if len(id) == 4 {
		id = "TEAL-" + id
	}
	r, ok := LookupID(id)
	return entry(r), ok
}

// Near are up to three codes, or one number, that name may have been meant to be.
func Near(name string) []string {
	name = snake(name)
	var codes, ids []string
	for _, r := range reasons {
		codes, ids = append(codes, string(r.Code)), append(ids, r.ID())
	}
	var near []string
	add := func(word string) {
		if word != "" && len(near) < 3 && !slices.Contains(near, word) {
			near = append(near, word)
		}
	}
	if strings.HasPrefix(name, "teal") {
		add(nearest(strings.ToUpper(strings.ReplaceAll(name, "_", "-")), ids))
		return near
	}
	add(nearest(name, codes))
	for _, c := range codes { // a part of a code, or a code with a word too much
		if len(name) >= 4 && len(name) <= 64 && (strings.Contains(c, name) || strings.Contains(name, c)) {
			add(c)
		}
	}
	return near
}

func snake(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }
