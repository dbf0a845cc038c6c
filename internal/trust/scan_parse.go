package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// commitForm is a Git commit's name in full.
var commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Scanners lists the scanners that teal knows.
func Scanners() []string { return []string{Gitleaks, PipAudit, Semgrep, Snyk, Trivy} }

// maxArgs bounds a scanner's recorded arguments.
const maxArgs = 1000

// ParseScan reads a scan attestation in any of the three predicates that teal knows:
// its own with the native report inside, cosign's vuln/v1 with a Trivy report, and
// in-toto's vulns/v0.2. The report is not parsed. Errors are *AttestationError. Beside an
// error stands what could be read of scanner and FinishedOn, without report and findings:
// a scan that cannot be read is still newer than those before it.
func ParseScan(s InToto) (Scan, error) {
	r := frame{cursor: cursor{data: s.Predicate}}
	scan := Scan{PredicateType: s.PredicateType}
	switch s.PredicateType {
	case PredicateTypeScan:
		r.ownScan(&scan)
	case PredicateTypeCosignVuln:
		r.cosignScan(&scan)
	case PredicateTypeVulns:
		r.vulns(&scan)
	default:
		return Scan{}, attestationFault(release.AttestationPredicateType, "predicate type \"%s\" is no scan", Escape(s.PredicateType))
	}
	if !slices.Contains(Scanners(), scan.Scanner) {
		r.fail("scanner \"%s\" is not one of %s", Escape(scan.Scanner), strings.Join(Scanners(), ", "))
		scan.Scanner = ""
	}
	if r.err != nil {
		return Scan{PredicateType: scan.PredicateType, Scanner: scan.Scanner, FinishedOn: scan.FinishedOn, Target: scan.Target}, r.err
	}
	return scan, nil
}

// ownScan reads urn:teal:scan:v1 (research/verification.md 2.2).
func (r *frame) ownScan(s *Scan) {
	sum := ""
	r.strict("predicate", []string{"scanner", "scan", "report"}, []string{"policyChecks"}, func(name string) {
		switch name {
		case "scanner":
			r.strict("predicate.scanner", []string{"name", "version"}, []string{"dbUpdatedAt"}, func(name string) {
				switch name {
				case "name":
					s.Scanner = r.need("predicate.scanner.name")
				case "version":
					s.Version = r.need("predicate.scanner.version")
				case "dbUpdatedAt":
					s.DBUpdatedAt = r.time("predicate.scanner.dbUpdatedAt")
				}
			})
		case "scan":
			r.run(s)
		case "policyChecks":
			if !r.array(func() {
				var c PolicyCheck
				r.strict("predicate.policyChecks", []string{"name", "result"}, nil, func(name string) {
					if name == "name" {
						c.Name = r.need("predicate.policyChecks.name")
					} else {
						c.Result = r.need("predicate.policyChecks.result")
					}
				})
				s.PolicyChecks = append(s.PolicyChecks, c)
			}) {
				r.fail("predicate.policyChecks: want an array")
			}
		case "report":
			r.strict("predicate.report", []string{"format", "content"}, []string{"sha256"}, func(name string) {
				switch name {
				case "format":
					s.Format = r.need("predicate.report.format")
				case "sha256":
					sum = r.need("predicate.report.sha256")
				case "content":
					s.Report = r.raw()
				}
			})
		}
	})
	if !slices.Contains(ReportFormats(), s.Format) {
		r.fail("predicate.report.format \"%s\" is not one of %s", Escape(s.Format), strings.Join(ReportFormats(), ", "))
	}
	if sum != "" && r.err == nil {
		if got := sha256.Sum256(s.Report); hex.EncodeToString(got[:]) != sum {
			r.fail("predicate.report.sha256 is not that of the report as it stands")
		}
	}
}

// ReportFormats are the native reports that a scan attestation may carry.
func ReportFormats() []string {
	return []string{"trivy-json", "snyk-json", "pip-audit-json", "semgrep-json", "gitleaks-json", "sarif-2.1.0"}
}

// run reads how the scanner was run.
func (r *frame) run(s *Scan) {
	r.strict("predicate.scan", []string{"startedOn", "finishedOn", "args", "exitCode", "target"}, []string{"type"}, func(name string) {
		switch name {
		case "type":
			r.need("predicate.scan.type")
		case "startedOn":
			s.StartedOn = r.time("predicate.scan.startedOn")
		case "finishedOn":
			s.FinishedOn = r.time("predicate.scan.finishedOn")
		case "args":
			if !r.array(func() {
				arg, ok := r.text()
				if !ok || len(s.Args) >= maxArgs {
					r.fail("predicate.scan.args: want at most %d strings", maxArgs)
					return
				}
				s.Args = append(s.Args, arg)
			}) {
				r.fail("predicate.scan.args: want an array")
			}
		case "exitCode":
			n, ok := r.number()
			code, err := n.Int64()
			if !ok || err != nil || code < 0 || code > 255 {
				r.fail("predicate.scan.exitCode: want an integer from 0 to 255")
			}
			s.ExitCode = code
		case "target":
			r.target(s)
		}
	})
}

func (r *frame) target(s *Scan) {
	r.strict("predicate.scan.target", nil, []string{"image", "platform", "repository", "commit", "path"}, func(name string) {
		text := r.need("predicate.scan.target." + name)
		switch name {
		case "image":
			s.Target.Image = text
		case "platform":
			s.Target.Platform = text
		case "repository":
			s.Target.Repository = text
		case "commit":
			s.Target.Commit = text
		case "path":
			s.Target.Path = text
		}
	})
	if c := s.Target.Commit; c != "" && !commitForm.MatchString(c) {
		r.fail("predicate.scan.target.commit \"%s\" is no commit in full", Escape(c))
	}
}
