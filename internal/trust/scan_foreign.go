package trust

import (
	"slices"
	"strings"
	"time"
)

// foreignScan reads what cosign's vuln/v1 and in-toto's vulns/v0.2 have in common:
// scanner {uri, version, db {lastUpdate}, result}, metadata {scanStartedOn,
// scanFinishedOn}. Other members are the writer's own. result consumes scanner.result.
// Sources: cosign specs/COSIGN_VULN_ATTESTATION_SPEC.md, in-toto attestation
// spec/predicates/vulns_02.md.
func (r *frame) foreignScan(s *Scan, result func()) {
	uri, seen := "", false
	r.open("predicate", []string{"scanner", "metadata"}, func(name string) {
		if name == "metadata" {
			r.open("predicate.metadata", []string{"scanStartedOn", "scanFinishedOn"}, func(name string) {
				if name == "scanStartedOn" {
					s.StartedOn = r.time("predicate.metadata.scanStartedOn")
				} else {
					s.FinishedOn = r.time("predicate.metadata.scanFinishedOn")
				}
			})
			return
		}
		r.open("predicate.scanner", []string{"uri", "version", "db", "result"}, func(name string) {
			switch name {
			case "uri":
				uri = r.maybe("predicate.scanner.uri")
			case "version":
				s.Version = r.maybe("predicate.scanner.version")
			case "db":
				r.open("predicate.scanner.db", []string{"uri", "version", "lastUpdate"}, func(name string) {
					if name == "lastUpdate" {
						s.DBUpdatedAt = r.maybeTime("predicate.scanner.db.lastUpdate")
					} else {
						r.maybe("predicate.scanner.db." + name)
					}
				})
			case "result":
				seen = true
				result()
			}
		})
	})
	s.Scanner = scannerOf(uri)
	switch {
	case s.Scanner == "":
		r.fail("scanner.uri \"%s\" does not name exactly one of %s", Escape(uri), strings.Join(foreignScanners, ", "))
	case s.FinishedOn.IsZero():
		r.incomplete("metadata.scanFinishedOn is missing")
	case !seen:
		r.incomplete("scanner.result is missing")
	}
}

// foreignScanners are those whose findings are vulnerabilities: the only kind that the
// foreign predicates can carry. What a secret scanner found must not come in as
// something that can be waived.
var foreignScanners = []string{PipAudit, Snyk, Trivy}

// scannerOf takes the scanner's name out of a URI such as
// pkg:github/aquasecurity/trivy@0.70.0; empty unless it names exactly one scanner, once
// as a word of its own.
func scannerOf(uri string) string {
	words := strings.FieldsFunc(asciiLower(uri), func(c rune) bool {
		return c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	})
	found := ""
	for _, w := range words {
		if !slices.Contains(Scanners(), w) || w == found {
			continue
		}
		if found != "" {
			return ""
		}
		found = w
	}
	if !slices.Contains(foreignScanners, found) {
		return ""
	}
	return found
}

// maybeTime is a time; an empty text is none, as cosign writes what it does not know.
func (r *frame) maybeTime(where string) time.Time {
	from := r.i
	if r.maybe(where) == "" {
		return time.Time{}
	}
	r.i = from
	return r.time(where)
}

// cosignScan reads what `cosign attest --type vuln` writes, with a Trivy report. cosign
// drops db.lastUpdate when it makes the predicate itself, so it is usually missing.
func (r *frame) cosignScan(s *Scan) {
	r.foreignScan(s, func() { s.Report = r.raw() })
	if s.Scanner != Trivy {
		r.fail("scanner \"%s\": only Trivy's report is read in cosign's predicate", Escape(s.Scanner))
	}
	s.Format = "trivy-json"
}
