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
	Next    string `json:"next"`
	Waits   bool   `json:"waits"` // only time or a person is missing
}

func entry(r Reason) Entry {
	return Entry{ID: r.ID(), Code: r.Code, Summary: r.Summary, Next: r.Next, Waits: r.Waits}
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
	if r, ok := Lookup(Code(strings.ToLower(name))); ok {
		return entry(r), true
	}
	id := strings.ToUpper(name)
	if len(id) == 4 {
		id = "TEAL-" + id
	}
	r, ok := LookupID(id)
	return entry(r), ok
}

// Near are up to three codes that name may have been meant to be.
func Near(name string) []string {
	name = strings.ToLower(name)
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
		add(nearest(strings.ToUpper(name), ids))
		return near
	}
	add(nearest(name, codes))
	for _, c := range codes { // a part of a code, or a code with a word too much
		if len(name) >= 4 && (strings.Contains(c, snake(name)) || strings.Contains(snake(name), c)) {
			add(c)
		}
	}
	return near
}

func snake(name string) string { return strings.ReplaceAll(name, "-", "_") }
