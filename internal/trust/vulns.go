package trust

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// maxFindings bounds the findings of one report.
const maxFindings = 100_000

// vulns reads in-toto's vulns/v0.2: scanner.result is [{id, severity [{method, score}]}],
// findings already normalised by their writer, without packages.
// Source: in-toto attestation spec/predicates/vulns_02.md.
func (r *frame) vulns(s *Scan) {
	r.foreignScan(s, func() {
		r.list("predicate.scanner.result", func() { r.vuln(s) })
	})
	if s.DBUpdatedAt.IsZero() {
		r.incomplete("scanner.db.lastUpdate is missing")
	}
	for i := range s.Findings {
		s.Findings[i].Scanner = s.Scanner
	}
}

// vuln reads one finding. Several scores count as the worst of them; one that teal cannot
// read beside harmless ones leaves the severity unknown.
func (r *frame) vuln(s *Scan) {
	const where = "predicate.scanner.result"
	f := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown}
	unread := false
	r.open(where, []string{"id", "severity"}, func(name string) {
		if name == "id" {
			f.ID = r.need(where + ".id")
			return
		}
		r.list(where+".severity", func() {
			severity := SeverityUnknown
			r.open(where+".severity", []string{"method", "score"}, func(name string) {
				if name == "method" {
					r.maybe(where + ".severity.method")
					return
				}
				severity = severityOf(strings.Trim(string(r.raw()), `"`)) // a text or a number
			})
			unread = unread || severity == SeverityUnknown
			f.Severity = worse(f.Severity, severity)
		})
	})
	if unread && severityRank[f.Severity] < severityRank[SeverityHigh] {
		f.Severity = SeverityUnknown
	}
	switch {
	case f.ID == "":
		r.fail("%s: an entry without id", where)
	case len(s.Findings) < maxFindings:
		s.Findings = append(s.Findings, f)
	case r.err == nil:
		r.err = attestationFault(release.AttestationTooLarge, "more than %d findings", maxFindings)
	}
}

// scoreForm is that of a score; the parser alone would take hexadecimal ones, too.
var scoreForm = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]{1,3})?$`)

// severityOf reads a word in any ASCII case, or a CVSS score from 0 to 10. Anything else
// is unknown, never low.
func severityOf(text string) Severity {
	word := Severity(asciiLower(strings.Trim(text, " \t")))
	if slices.Contains([]Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNone}, word) {
		return word
	}
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || !scoreForm.MatchString(text) {
		return SeverityUnknown
	}
	return cvss(score)
}

// cvss is the qualitative rating of a CVSS v3 score. Source: CVSS v3.1 specification 5.
func cvss(score float64) Severity {
	switch {
	case score >= 9 && score <= 10:
		return SeverityCritical
	case score >= 7 && score < 9:
		return SeverityHigh
	case score >= 4 && score < 7:
		return SeverityMedium
	case score > 0 && score < 4:
		return SeverityLow
	case score == 0:
		return SeverityNone
	}
	return SeverityUnknown
}

// severityRank orders severities. Unknown ranks below the known ones: it gives way to
// any word that was understood, and blocks by itself.
var severityRank = map[Severity]int{SeverityNone: 1, SeverityLow: 2, SeverityMedium: 3, SeverityHigh: 4, SeverityCritical: 5}

// worse is the higher of two severities.
func worse(a, b Severity) Severity {
	if severityRank[b] > severityRank[a] {
		return b
	}
	return a
}

// asciiLower folds ASCII only: no other letter may become one of a known word.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
