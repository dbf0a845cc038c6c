package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// Statement writes the scan as an urn:teal:scan:v1 statement about an image
// (name@sha256:<64 hex>), with the native report in it byte for byte. It refuses what an
// agent would refuse whatever its policy: a filtered or incomplete scan, a report about
// another image, secrets in the clear. The version is the report's own when it is empty.
// Findings are no reason to refuse. Errors are
// *AttestationError, or *ReportError when the report cannot be read.
func (s Scan) Statement(image string) ([]byte, Report, error) {
	s.Report = bytes.TrimSpace(s.Report)
	report, err := ParseReport(s.Scanner, s.Format, s.Report)
	if err != nil {
		return nil, Report{}, err
	}
	if s.Version == "" {
		s.Version = report.DriverVersion
	}
	if err := s.usable(image, report); err != nil {
		return nil, report, err
	}
	scanner := map[string]any{"name": s.Scanner, "version": s.Version}
	if !s.DBUpdatedAt.IsZero() {
		scanner["dbUpdatedAt"] = stamp(s.DBUpdatedAt)
	}
	target := map[string]any{}
	for name, text := range map[string]string{"image": s.Target.Image, "platform": s.Target.Platform, "repository": s.Target.Repository, "commit": s.Target.Commit, "path": s.Target.Path} {
		if text != "" {
			target[name] = text
		}
	}
	args := []any{}
	for _, a := range s.Args {
		args = append(args, a)
	}
	predicate := map[string]any{"scanner": scanner, "scan": map[string]any{"startedOn": stamp(s.StartedOn), "finishedOn": stamp(s.FinishedOn),
		"args": args, "exitCode": s.ExitCode, "target": target}}
	if len(s.PolicyChecks) > 0 {
		checks := []any{}
		for _, c := range s.PolicyChecks {
			checks = append(checks, map[string]any{"name": c.Name, "result": c.Result})
		}
		predicate["policyChecks"] = checks
	}
	text, err := canonicalJSON(predicate)
	if err != nil {
		return nil, report, err
	}
	// The report goes in as it stands: writing it anew could change its numbers.
	sum := sha256.Sum256(s.Report)
	text = fmt.Appendf(text[:len(text)-1], `,"report":{"format":"%s","sha256":"%s","content":`, s.Format, hex.EncodeToString(sum[:]))
	text = append(append(text, s.Report...), "}}"...)
	out, err := newStatement(PredicateTypeScan, []string{image}, text)
	if err != nil {
		return nil, report, err
	}
	return out, report, check(out, ParseScan)
}

// usable says why the scan would prove nothing.
func (s Scan) usable(image string, report Report) error {
	_, hex, _ := strings.Cut(image, "@")
	needsDB := s.Scanner == Trivy || s.Scanner == Snyk || s.Scanner == PipAudit
	arg := ArgsRefused(s.Scanner, s.Args, nil)
	switch {
	case arg != "":
		return attestationFault(release.AttestationArgsRefused, "the scanner ran with %s, which leaves things out", Escape(arg))
	case report.Unredacted:
		return attestationFault(release.AttestationMalformed, "the report holds the secrets themselves; run gitleaks with --redact, and revoke them")
	case report.Incomplete != "":
		return attestationFault(release.AttestationIncomplete, "%s", Escape(report.Incomplete))
	case unfinished(s.ExitCode, &report) != "":
		return attestationFault(release.AttestationIncomplete, "%s", unfinished(s.ExitCode, &report))
	case s.Version == "":
		return attestationFault(release.AttestationMalformed, "the report does not say which version of the scanner wrote it")
	case needsDB && s.DBUpdatedAt.IsZero():
		return attestationFault(release.AttestationIncomplete, "it does not say how old the scanner's database was")
	case s.FinishedOn.IsZero() || s.StartedOn.IsZero() || s.FinishedOn.Before(s.StartedOn):
		return attestationFault(release.AttestationMalformed, "it must say when it began and ended, in this order")
	case !report.MadeAt.IsZero() && s.FinishedOn.After(report.MadeAt.Add(MaxSkew)):
		return attestationFault(release.AttestationReportMismatch, "the scan is said to have ended at %s, and its report was made before, at %s", stamp(s.FinishedOn), stamp(report.MadeAt))
	case s.Target.Image == "" && s.Target.Commit == "":
		return attestationFault(release.AttestationIncomplete, "it does not say what it looked at: an image or a commit")
	case s.Target.Image != "" && s.Target.Image != image:
		return attestationFault(release.AttestationReportMismatch, "it looked at %s", Escape(s.Target.Image))
	case len(report.RepoDigests) > 0 && s.Target.Platform == "": // with a platform, it may be the platform's own manifest
		for _, name := range report.RepoDigests {
			if strings.HasSuffix(name, "@"+hex) {
				return nil
			}
		}
		return attestationFault(release.AttestationReportMismatch, "the report is about %s", Escape(report.RepoDigests[0]))
	}
	return nil
}

// TestResultStatement writes an in-toto test-result v0.1 statement about an image.
// repository and commit name what was tested; both may be empty.
func TestResultStatement(image string, t TestResult, repository, commit string) ([]byte, error) {
	failed := []any{}
	for _, name := range t.Failed {
		failed = append(failed, name)
	}
	configuration := []any{}
	if commit != "" {
		configuration = append(configuration, gitSource(repository, commit))
	}
	text, err := canonicalJSON(map[string]any{"result": t.Result, "configuration": configuration, "failedTests": failed})
	if err != nil {
		return nil, err
	}
	out, err := newStatement(PredicateTypeTestResult, []string{image}, text)
	if err != nil {
		return nil, err
	}
	return out, check(out, ParseTestResult)
}

// ProvenanceStatement writes a SLSA provenance v1 statement about an image.
func ProvenanceStatement(image string, p Provenance, buildType string) ([]byte, error) {
	text, err := canonicalJSON(map[string]any{
		"buildDefinition": map[string]any{"buildType": buildType, "externalParameters": map[string]any{}, "resolvedDependencies": []any{gitSource(p.Repository, p.Commit)}},
		"runDetails":      map[string]any{"builder": map[string]any{"id": p.Builder}},
	})
	if err != nil {
		return nil, err
	}
	out, err := newStatement(PredicateTypeProvenance, []string{image}, text)
	if err != nil {
		return nil, err
	}
	return out, check(out, ParseProvenance)
}

// gitSource is a resource descriptor of a commit.
func gitSource(repository, commit string) map[string]any {
	source := map[string]any{"digest": map[string]any{"gitCommit": commit}}
	if repository != "" {
		source["uri"] = "git+" + strings.TrimPrefix(repository, "git+")
	}
	return source
}

// Statement writes the deployment as an urn:teal:deployment:v1 statement about all
// images of the release.
func (d Deployment) Statement(images []string) ([]byte, error) {
	hosts := []any{}
	for _, h := range d.Hosts {
		hosts = append(hosts, h)
	}
	predicate := map[string]any{"environment": d.Environment, "app": d.App, "digest": string(d.Digest), "baked": d.Baked.String(), "hosts": hosts, "finishedOn": stamp(d.FinishedOn)}
	if d.Commit != "" {
		predicate["commit"] = d.Commit
	}
	text, err := canonicalJSON(predicate)
	if err != nil {
		return nil, err
	}
	out, err := newStatement(PredicateTypeDeployment, images, text)
	if err != nil {
		return nil, err
	}
	return out, check(out, ParseDeployment)
}

// newStatement puts a predicate into a statement about images, name@sha256:<64 hex>.
func newStatement(predicateType string, images []string, predicate []byte) ([]byte, error) {
	subjects := []any{}
	for _, image := range images {
		if !imageForm.MatchString(image) {
			return nil, attestationFault(release.ImageNotPinned, "image \"%s\" is not name@sha256:<64 hex> without tag", Escape(image))
		}
		name, hex, _ := strings.Cut(image, "@sha256:")
		subjects = append(subjects, map[string]any{"name": name, "digest": map[string]any{"sha256": hex}})
	}
	if len(subjects) == 0 {
		return nil, errors.New("write statement: it is about no image")
	}
	head, err := canonicalJSON(map[string]any{"_type": StatementType, "subject": subjects, "predicateType": predicateType})
	if err != nil {
		return nil, err
	}
	head = append(head[:len(head)-1], `,"predicate":`...)
	return append(append(head, predicate...), '}'), nil
}

// check reads a new statement as an agent would.
func check[T any](statement []byte, parse func(InToto) (T, error)) error {
	s, err := ParseInToto(statement)
	if err == nil {
		_, err = parse(s)
	}
	return err
}

// stamp writes a time as RFC 3339, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
