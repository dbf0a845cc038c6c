package trust

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/tealops/teal/internal/release"
)

// What an emergency approval may ask to be let past (DESIGN 5.3). Signatures, secrets
// and what a scan did not look at are not among them.
const (
	WaiveApprovals     = "approvals"     // the normal rules' persons
	WaiveScanAge       = "scan-age"      // stale scans and databases
	WaiveVulnerability = "vulnerability" // blocking findings in packages
	WaiveCode          = "code"          // blocking findings in source
	WaiveWindow        = "window"
	WaiveFreeze        = "freeze"
	WaiveHold          = "hold"
)

const (
	minReason   = 20   // characters
	maxReason   = 2000 // characters
	maxIncident = 200  // characters
)

// Waivable lists every word of waives, sorted.
func Waivable() []string {
	words := []string{WaiveApprovals, WaiveScanAge, WaiveVulnerability, WaiveCode, WaiveWindow, WaiveFreeze, WaiveHold}
	slices.Sort(words)
	return words
}

// StatementOption changes what NewStatement prepares.
type StatementOption func(*Statement)

// AsEmergency makes the statement an emergency approval of incident, for reason (20 to
// 2000 characters). waives are words of Waivable in any order; none is allowed.
func AsEmergency(incident, reason string, waives ...string) StatementOption {
	return func(s *Statement) {
		s.Kind, s.Incident, s.Reason = KindEmergency, incident, reason
		s.Waives = slices.Clone(waives)
		slices.Sort(s.Waives)
		if s.Waives = slices.Compact(s.Waives); s.Waives == nil {
			s.Waives = []string{}
		}
	}
}

// Namespace is that of the signatures which count for a statement of this kind; empty
// for a kind that nobody can sign.
func (k Kind) Namespace() string {
	switch k {
	case KindNormal:
		return NamespaceApproval
	case KindEmergency:
		return NamespaceEmergency
	}
	return ""
}

// emergencyMembers exist in a predicate if and only if its kind is emergency.
var emergencyMembers = []string{"incident", "reason", "waives"}

// readEmergency reads the three members. One that is missing makes the emergency
// invalid, not the file unreadable: it is the people's mistake, and is named so.
func (s *Statement) readEmergency(r *jsonReader, p map[string]jsonValue) error {
	for _, name := range emergencyMembers {
		if _, ok := p[name]; !ok && r.err == nil {
			return &StatementError{release.EmergencyInvalid, "an emergency without " + name}
		}
	}
	s.Incident = r.text(p["incident"], "predicate.incident")
	s.Reason = r.text(p["reason"], "predicate.reason")
	s.Waives = []string{}
	for i, word := range r.list(p["waives"], "predicate.waives") {
		if i == len(Waivable()) {
			return &StatementError{release.EmergencyInvalid, "waives has more entries than there are words for it"}
		}
		s.Waives = append(s.Waives, r.text(word, fmt.Sprintf("predicate.waives[%d]", i)))
	}
	return nil
}

// validateEmergency checks what only an emergency has. Errors are *StatementError with
// emergency_invalid.
func (s Statement) validateEmergency() error {
	invalid := func(format string, args ...any) error {
		return &StatementError{release.EmergencyInvalid, fmt.Sprintf(format, args...)}
	}
	// The policy's pattern is matched against the incident: only what looks the same to
	// everybody may stand there.
	if len(s.Incident) == 0 || len(s.Incident) > maxIncident || strings.ContainsFunc(s.Incident, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return invalid("incident \"%s\", want 1 to %d ASCII characters without spaces", Escape(s.Incident), maxIncident)
	}
	if n := len([]rune(s.Reason)); n > maxReason {
		return invalid("reason has %d characters, at most %d", n, maxReason)
	}
	said := 0
	for _, r := range strings.TrimSpace(s.Reason) {
		if unicode.IsPrint(r) {
			said++
		}
	}
	if said < minReason {
		return invalid("reason \"%s\" has %d characters, want at least %d", Escape(s.Reason), said, minReason)
	}
	for i, word := range s.Waives {
		if !slices.Contains(Waivable(), word) {
			return invalid("waives \"%s\", which nothing can waive; the words are %s", Escape(word), strings.Join(Waivable(), ", "))
		}
		if i > 0 && s.Waives[i-1] >= word {
			return invalid("waives is not sorted and unique")
		}
	}
	return nil
}
