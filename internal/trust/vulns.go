package trust

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// maxFindings bounds the findings of one report.
const maxFindings = 100_000

// vulns reads in-toto's vulns/v0.2: scanner {uri, version, db {lastUpdate}, result
// [{id, severity [{method, score}]}]}, metadata. It carries findings already normalised
// by its writer, without packages.
// Source: in-toto attestation spec/predicates/vulns_02.md.
func (r *frame) vulns(s *Scan) {
	uri := ""
	if !r.object(func(name string) {
		switch name {
		case "scanner":
			if !r.object(func(name string) {
				switch name {
				case "uri":
					uri = r.word()
				case "version":
					s.Version = r.word()
				case "db":
					r.object(func(name string) {
						if name == "lastUpdate" {
							s.DBUpdatedAt = r.parse("scanner.db.lastUpdate", r.word())
						} else {
							r.skip()
						}
					})
				case "result":
					if !r.array(func() { r.vuln(s) }) {
						r.fail("predicate.scanner.result: want an array")
					}
				default:
					r.skip()
				}
			}) {
				r.fail("predicate.scanner: want an object")
			}
		case "metadata":
			r.object(func(name string) {
				switch name {
				case "scanStartedOn":
					s.StartedOn = r.parse("metadata.scanStartedOn", r.word())
				case "scanFinishedOn":
					s.FinishedOn = r.parse("metadata.scanFinishedOn", r.word())
				default:
					r.skip()
				}
			})
		default:
			r.skip()
		}
	}) {
		r.fail("predicate: want an object")
	}
	for _, name := range Scanners() {
		if strings.Contains(strings.ToLower(uri), name) {
			s.Scanner = name
		}
	}
	switch {
	case s.DBUpdatedAt.IsZero():
		r.incomplete("scanner.db.lastUpdate is missing")
	case s.FinishedOn.IsZero():
		r.incomplete("metadata.scanFinishedOn is missing")
	}
	for i := range s.Findings {
		s.Findings[i].Scanner = s.Scanner
	}
}

func (r *frame) vuln(s *Scan) {
	f := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown}
	if !r.object(func(name string) {
		switch name {
		case "id":
			f.ID = r.need("predicate.scanner.result.id")
		case "severity":
			r.array(func() {
				score := ""
				r.object(func(name string) {
					if name != "score" {
						r.skip()
						return
					}
					raw := string(r.raw())
					score = strings.Trim(raw, `"`)
				})
				f.Severity = worse(f.Severity, severityOf(score))
			})
		default:
			r.skip()
		}
	}) || f.ID == "" {
		r.fail("predicate.scanner.result: an entry without id")
	}
	if len(s.Findings) >= maxFindings {
		if r.err == nil {
			r.err = attestationFault(release.AttestationTooLarge, "more than %d findings", maxFindings)
		}
		return
	}
	s.Findings = append(s.Findings, f)
}

// severityOf reads a word in any ASCII case, or a CVSS score from 0 to 10. Anything else
// is unknown, never low.
func severityOf(text string) Severity {
	word := Severity(asciiLower(strings.Trim(text, " \t")))
	if slices.Contains([]Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNone}, word) {
		return word
	}
	score, err := strconv.ParseFloat(text, 64)
	if err != nil {
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
