package trust

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

const attestedImage = "registry.example.test/shop@sha256:" + attestedHex

// trivyReport is the least of a whole report, with white space and a number that a
// writer of JSON would change.
const trivyReport = "{ \"SchemaVersion\":2, \"ArtifactType\":\"container_image\",\n \"Metadata\":{\"OS\":{\"Family\":\"debian\",\"Name\":\"12.5\"},\"Size\":12345678901234567890}," +
	"\"Results\":[{\"Target\":\"<a>\",\"Class\":\"os-pkgs\",\"Vulnerabilities\":[{\"VulnerabilityID\":\"CVE-2026-1\",\"PkgName\":\"x\",\"Severity\":\"LOW\"}]}] }"

func goodScan() Scan {
	at := time.Date(2026, 11, 23, 14, 0, 0, 250e6, time.UTC)
	return Scan{PredicateType: PredicateTypeScan, Scanner: Trivy, Version: "0.70.0", DBUpdatedAt: at.Add(-8 * time.Hour), StartedOn: at.Add(-time.Minute), FinishedOn: at,
		Args: []string{"image", "--format", "json"}, Target: ScanTarget{Image: attestedImage, Platform: "linux/amd64"},
		PolicyChecks: []PolicyCheck{{"licences", "passed"}}, Format: "trivy-json", Report: []byte(trivyReport)}
}

// TestScanStatement: what is written is read again as the same, the report to the byte.
func TestScanStatement(t *testing.T) {
	scan := goodScan()
	scan.Report = []byte("\n " + trivyReport + "\n")
	text, report, err := scan.Statement(attestedImage)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 {
		t.Errorf("%+v", report)
	}
	s, err := ParseInToto(text)
	if err != nil {
		t.Fatal(err)
	}
	if !s.About(attestedHex) || s.Subjects[0].Name != "registry.example.test/shop" {
		t.Errorf("%+v", s.Subjects)
	}
	got, err := ParseScan(s)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goodScan(), got); d != "" {
		t.Error(d)
	}
}

func TestScanStatementRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Scan)
		want   release.Code
	}{
		"filtered":              {func(s *Scan) { s.Args = append(s.Args, "--severity=CRITICAL") }, release.AttestationArgsRefused},
		"incomplete":            {func(s *Scan) { s.Report = []byte("{}") }, release.AttestationIncomplete},
		"not a report":          {func(s *Scan) { s.Report = []byte("trivy: not found") }, release.AttestationMalformed},
		"empty":                 {func(s *Scan) { s.Report = nil }, release.AttestationMalformed},
		"the scanner failed":    {func(s *Scan) { s.ExitCode = 2 }, release.AttestationIncomplete},
		"no database age":       {func(s *Scan) { s.DBUpdatedAt = time.Time{} }, release.AttestationIncomplete},
		"no version":            {func(s *Scan) { s.Version = "" }, release.AttestationMalformed},
		"no end":                {func(s *Scan) { s.FinishedOn = time.Time{} }, release.AttestationMalformed},
		"ended before it began": {func(s *Scan) { s.FinishedOn = s.StartedOn.Add(-1) }, release.AttestationMalformed},
		"no target":             {func(s *Scan) { s.Target = ScanTarget{} }, release.AttestationIncomplete},
		"another image":         {func(s *Scan) { s.Target.Image = strings.Replace(attestedImage, "2c26", "2c27", 1) }, release.AttestationReportMismatch},
		"report of another": {func(s *Scan) {
			s.Target.Platform = ""
			s.Report = []byte(strings.Replace(trivyReport, `"OS"`, `"RepoDigests":["x@sha256:00"],"OS"`, 1))
		}, release.AttestationReportMismatch},
		"secrets in the clear": {func(s *Scan) {
			s.Scanner, s.Format = Gitleaks, "gitleaks-json"
			s.Report = []byte(`[{"RuleID":"a","File":"b","Secret":"hunter2","Match":"x"}]`)
		}, release.AttestationMalformed},
		"secrets in the clear, SARIF": {func(s *Scan) {
			s.Scanner, s.Format = Gitleaks, "sarif-2.1.0"
			s.Report = []byte(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks","semanticVersion":"v8.0.0","rules":[{"id":"a"}]}},"results":[{"ruleId":"a","locations":[{"physicalLocation":{"artifactLocation":{"uri":"b"},"region":{"startLine":1,"snippet":{"text":"hunter2"}}}}]}]}]}`)
		}, release.AttestationMalformed},
		"another scanner's format": {func(s *Scan) { s.Format = "snyk-json" }, release.AttestationMalformed},
		"a short commit":           {func(s *Scan) { s.Target.Commit = "0123456" }, release.AttestationMalformed},
	} {
		scan := goodScan()
		c.change(&scan)
		_, _, err := scan.Statement(attestedImage)
		if code, _ := faultOf(errOrNothing(err), ""); code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, image := range []string{"registry.example.test/shop:v1", "registry.example.test/shop", "@sha256:" + attestedHex, "x@sha256:" + strings.ToUpper(attestedHex), ""} {
		scan := goodScan()
		scan.Target.Image = image
		if _, _, err := scan.Statement(image); err == nil {
			t.Errorf("image %q was taken", image)
		}
	}
}

func errOrNothing(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// TestRedactedSARIF: the same report with the secret hidden is signed.
func TestRedactedSARIF(t *testing.T) {
	scan := goodScan()
	scan.Scanner, scan.Format, scan.Args = Gitleaks, "sarif-2.1.0", []string{"dir", "--redact"}
	scan.Report = []byte(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks","semanticVersion":"v8.0.0","rules":[{"id":"a"}]}},"results":[{"ruleId":"a","message":{"text":"found"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"b"},"region":{"startLine":1,"snippet":{"text":"REDACTED"}}}}]}]}]}`)
	_, report, err := scan.Statement(attestedImage)
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != FindingSecret {
		t.Errorf("%+v %v", report, err)
	}
}

// TestStatementsOfPipelines: test results, provenance and deployments are read as they
// were written, and what could not be read is not written.
func TestStatementsOfPipelines(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	tests, err := TestResultStatement(attestedImage, TestResult{Result: "FAILED", Failed: []string{"a <b>"}}, "https://git.example.test/shop", commit)
	if err != nil {
		t.Fatal(err)
	}
	provenance := Provenance{Builder: "https://example.test/builder", Repository: "https://git.example.test/shop", Commit: commit}
	built, err := ProvenanceStatement(attestedImage, provenance, "https://example.test/build/v1")
	if err != nil {
		t.Fatal(err)
	}
	d := Deployment{"staging", "shop", attestedHex, commit, 5 * time.Minute, []string{"a", "b"}, time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}
	deployed, err := d.Statement([]string{attestedImage, "other" + attestedImage[len("registry.example.test/shop"):]})
	if err != nil {
		t.Fatal(err)
	}
	read := func(text []byte) InToto {
		s, err := ParseInToto(text)
		if err != nil || !s.About(attestedHex) {
			t.Fatalf("%v: %s", err, text)
		}
		return s
	}
	if got, err := ParseTestResult(read(tests)); err != nil || got.Passed || cmp.Diff(got.Failed, []string{"a <b>"}) != "" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := ParseProvenance(read(built)); err != nil || got != provenance {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := ParseDeployment(read(deployed)); err != nil || cmp.Diff(d, got) != "" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := TestResultStatement(attestedImage, TestResult{Result: "passed"}, "", ""); err == nil {
		t.Error("another word was written")
	}
	if _, err := ProvenanceStatement(attestedImage, Provenance{Builder: "x"}, "y"); err == nil {
		t.Error("provenance without a commit was written")
	}
	if _, err := d.Statement(nil); err == nil {
		t.Error("a deployment of nothing was written")
	}
}

// TestScanRoundTrip: any scan that is written is read as the same.
func TestScanRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scan := goodScan()
		scan.Version = rapid.StringMatching(`.{1,20}`).Draw(t, "version")
		scan.Args = nil
		for _, a := range rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "args") {
			if ArgsRefused(Trivy, []string{a}, nil) == "" {
				scan.Args = append(scan.Args, a)
			}
		}
		scan.FinishedOn = scan.FinishedOn.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "later")))
		scan.ExitCode = rapid.Int64Range(0, 1).Draw(t, "exit code")
		scan.PolicyChecks = nil
		for _, name := range rapid.SliceOfN(rapid.StringN(1, 20, -1), 0, 3).Draw(t, "checks") {
			scan.PolicyChecks = append(scan.PolicyChecks, PolicyCheck{name, rapid.StringN(1, 20, -1).Draw(t, "result")})
		}
		text, _, err := scan.Statement(attestedImage)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseInToto(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseScan(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(scan, got); d != "" {
			t.Fatal(d)
		}
	})
}
