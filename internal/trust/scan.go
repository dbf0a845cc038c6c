package trust

import "time"

// Predicate types that teal reads; they are signed data and never change.
const (
	PredicateTypeScan       = "urn:teal:scan:v1"
	PredicateTypeCosignVuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
	PredicateTypeVulns      = "https://in-toto.io/attestation/vulns/v0.2"
	PredicateTypeTestResult = "https://in-toto.io/attestation/test-result/v0.1"
	PredicateTypeProvenance = "https://slsa.dev/provenance/v1"
	PredicateTypeDeployment = "urn:teal:deployment:v1"
	PredicateTypeOpenVEX    = "https://openvex.dev/ns/v0.2.0"
)

// Scanners that teal knows.
const (
	Trivy    = "trivy"
	Snyk     = "snyk"
	PipAudit = "pip-audit"
	Semgrep  = "semgrep"
	Gitleaks = "gitleaks"
)

// Scan is what a scan attestation says, from any of the three predicates.
type Scan struct {
	PredicateType string
	Scanner       string // one of the five names; others are refused
	Version       string
	DBUpdatedAt   time.Time // zero when the attestation does not say
	StartedOn     time.Time // zero when the predicate has no such field
	FinishedOn    time.Time
	Args          []string
	ExitCode      int64
	Target        ScanTarget
	PolicyChecks  []PolicyCheck
	// Format is that of Report: trivy-json, snyk-json, pip-audit-json, semgrep-json,
	// gitleaks-json, sarif-2.1.0; empty when the predicate carries findings itself
	// (vulns/v0.2), which are then in Findings.
	Format   string
	Report   []byte // the native report's JSON text, a part of the payload
	Findings []ScanFinding
}

// ScanTarget is what the scanner looked at: an image or a source tree.
type ScanTarget struct {
	Image      string // name@sha256:<64 hex>
	Platform   string // linux/amd64; empty: not said
	Repository string
	Commit     string // 40 or 64 hex
	Path       string
}

// PolicyCheck is a further check of the pipeline. Any result but "passed" blocks.
type PolicyCheck struct {
	Name   string
	Result string
}
