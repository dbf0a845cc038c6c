package trust

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

// Report is a scanner's native report, normalised.
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
}
