package trust

import (
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Severity is how bad a finding is. What teal cannot read is SeverityUnknown, never a
// low one.
type Severity string

const (
	SeverityCritical Severity = "critical"
	SeverityHigh     Severity = "high"
	SeverityMedium   Severity = "medium"
	SeverityLow      Severity = "low"
	SeverityNone     Severity = "none"
	SeverityUnknown  Severity = "unknown"
)

// FindingKind says what sort of thing a scanner found.
type FindingKind string

const (
	FindingVuln      FindingKind = "vuln"
	FindingCode      FindingKind = "code"
	FindingSecret    FindingKind = "secret"
	FindingLicense   FindingKind = "license"
	FindingMisconfig FindingKind = "misconfig"
)

// ScanFinding is one finding of any scanner in teal's own words. Texts are the
// scanner's, unescaped.
type ScanFinding struct {
	Scanner    string
	Kind       FindingKind
	ID         string   // CVE-…, rule id
	Aliases    []string // other names of the same finding
	Severity   Severity
	Package    string
	Version    string
	Location   string // file, target or path
	FixedIn    []string
	Suppressed string // by what; empty: not suppressed
}

// Report is a scanner's native report, normalised. Counters in reports are not read:
// findings are counted anew.
type Report struct {
	Findings []ScanFinding
	// Incomplete says why the scan did not look at everything; empty when it did.
	Incomplete string
	// Warnings are shown and decide nothing.
	Warnings []string
	// Skipped are dependencies that pip-audit could not audit; the policy may name them.
	Skipped []string
	// ImageID is the config digest that Trivy says it scanned (sha256:<hex>),
	// RepoDigests the names by digest; both empty when the report does not say.
	ImageID     string
	RepoDigests []string
	// NoOS: Trivy recognised no operating system, so it looked at no OS packages.
	NoOS bool
	// EndOfLife: the operating system gets no more fixes.
	EndOfLife bool
	// Unredacted: gitleaks wrote the secrets themselves into the report.
	Unredacted bool
	// DriverVersion is the scanner's version as the report says; empty when it does not.
	DriverVersion string
	// MadeAt is when the scan ended, as the report itself says; the earliest time when it
	// names several, zero when it names none. Trivy's JSON has one, SARIF may.
	MadeAt time.Time
}

// ReportError says why a native report is not usable. Code is attestation_malformed,
// attestation_incomplete or attestation_too_large.
type ReportError struct {
	Code   release.Code
	Detail string // safe to print
}

func (e *ReportError) Error() string { return string(e.Code) + ": " + e.Detail }

func reportFault(code release.Code, format string, args ...any) error {
	return &ReportError{code, fmt.Sprintf(format, args...)}
}

// ParseReport normalises a scanner's native report: JSON of the five scanners, and
// SARIF 2.1.0. It is the one place that decides what a scanner's words mean
// (research/verification.md 2.3). Errors are *ReportError; that a scan was not whole is
// Report.Incomplete.
func ParseReport(scanner, format string, data []byte) (Report, error) {
	if err := checkJSON(data, maxPayloadDepth); err != nil {
		return Report{}, reportFault(release.AttestationMalformed, "the report: %s", Escape(err.Error()))
	}
	return readReport(scanner, format, data)
}

// readReport is ParseReport of a text that passed checkJSON as a part of its statement.
func readReport(scanner, format string, data []byte) (Report, error) {
	r := reportReader{cursor: cursor{data: data}, scanner: scanner}
	parse, ok := map[string]func(){
		Trivy + "/trivy-json":        r.trivy,
		Snyk + "/snyk-json":          r.snyk,
		PipAudit + "/pip-audit-json": r.pipAudit,
		Semgrep + "/semgrep-json":    r.semgrep,
		Gitleaks + "/gitleaks-json":  r.gitleaks,
	}[scanner+"/"+format]
	switch {
	case ok:
		parse()
	case format == "sarif-2.1.0" && scanner != PipAudit: // in SARIF it leaves out what it skipped, so it proves nothing
		r.sarif()
		if scanner == Gitleaks && unredacted(data) {
			r.unredacted()
		}
	default:
		return Report{}, reportFault(release.AttestationMalformed, "%s has no report of format %s", Escape(scanner), Escape(format))
	}
	return r.out, r.err
}

// unfinished says why a scanner's exit code shows that it did not look at everything; ""
// when it does not. All five end with 1 when they found something. Some do when they
// failed, too: gitleaks then writes what it found until then, which may be nothing.
func unfinished(code int64, r *Report) string {
	switch {
	case code == 0 || code == 1 && (len(r.Findings) > 0 || r.EndOfLife):
		return ""
	case code == 1:
		return "the scanner ended with exit code 1 and its report names nothing: it failed, or the report is another run's"
	}
	return fmt.Sprintf("the scanner ended with exit code %d", code)
}

// reportReader reads one native report.
type reportReader struct {
	cursor
	scanner string
	out     Report
	err     error
}

// add keeps a finding, up to the bound.
func (r *reportReader) add(f ScanFinding) {
	if len(r.out.Findings) >= maxFindings {
		if r.err == nil {
			r.err = reportFault(release.AttestationTooLarge, "more than %d findings", maxFindings)
		}
		return
	}
	f.Scanner = r.scanner
	if f.Severity == "" {
		f.Severity = SeverityUnknown
	}
	if f.ID == "" {
		r.incomplete("a finding has no id")
	}
	r.out.Findings = append(r.out.Findings, f)
}

// incomplete keeps the first reason.
func (r *reportReader) incomplete(format string, args ...any) {
	if r.out.Incomplete == "" {
		r.out.Incomplete = fmt.Sprintf(format, args...)
	}
}

// maxWarnings bounds what is only shown.
const maxWarnings = 20

func (r *reportReader) warn(format string, args ...any) {
	if len(r.out.Warnings) < maxWarnings {
		r.out.Warnings = append(r.out.Warnings, fmt.Sprintf(format, args...))
	}
}

// fields reads an object by member name; the rest is skipped. It reports whether the
// value is an object.
func (r *reportReader) fields(read map[string]func()) bool {
	return r.object(func(name string) {
		if f, ok := read[name]; ok {
			f()
		} else {
			r.skip()
		}
	})
}

// madeAt keeps a time that the report names; a text that is none names none.
func (r *reportReader) madeAt() {
	at, err := time.Parse(time.RFC3339Nano, r.word())
	if err == nil && at.Year() > 1 && (r.out.MadeAt.IsZero() || at.Before(r.out.MadeAt)) {
		r.out.MadeAt = at.UTC()
	}
}

// into reads a string into a field.
func (r *reportReader) into(s *string) func() { return func() { *s = r.word() } }

// wordSeverity reads a scanner's word for a severity in any ASCII case. Anything else,
// numbers too, is unknown.
func wordSeverity(word string, words map[string]Severity) Severity {
	if s, ok := words[asciiLower(strings.Trim(word, " \t"))]; ok {
		return s
	}
	return SeverityUnknown
}

// plainWords are the words that most scanners use.
var plainWords = map[string]Severity{"critical": SeverityCritical, "high": SeverityHigh, "medium": SeverityMedium, "low": SeverityLow}

// splitList splits "a, b" as Trivy writes several fixed versions.
func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
