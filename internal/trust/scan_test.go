package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// ownPredicate is a whole urn:teal:scan:v1 predicate around a report.
func ownPredicate(report string) string {
	sum := sha256.Sum256([]byte(report))
	return `{"scanner":{"name":"trivy","version":"0.70.0","dbUpdatedAt":"2026-11-23T06:00:00Z"},` +
		`"scan":{"type":"container-vuln","startedOn":"2026-11-23T13:58:00Z","finishedOn":"2026-11-23T14:00:00.25Z","args":["image","--format","json"],"exitCode":0,` +
		`"target":{"image":"registry.example.test/shop@sha256:` + attestedHex + `","platform":"linux/amd64"}},` +
		`"policyChecks":[{"name":"licences","result":"failed"}],` +
		`"report":{"format":"trivy-json","sha256":"` + hex.EncodeToString(sum[:]) + `","content":` + report + `}}`
}

// cosignPredicate is the example of cosign's specs/COSIGN_VULN_ATTESTATION_SPEC.md with
// db.lastUpdate filled in, as `cosign attest-blob --statement` keeps it.
const cosignPredicate = `{"invocation":{"parameters":[],"uri":"https://example.test/ci/1","event_id":"1","builder.id":"CI"},` +
	`"scanner":{"uri":"pkg:github/aquasecurity/trivy@244fd47e07d1004f0aed9c","version":"0.19.2","db":{"uri":"","version":"","lastUpdate":"2026-11-23T06:00:00Z"},"result":{"SchemaVersion":2}},` +
	`"metadata":{"scanStartedOn":"2026-11-23T13:58:00Z","scanFinishedOn":"2026-11-23T15:00:00+01:00"}}`

// vulnsPredicate is the example of in-toto's spec/predicates/vulns_02.md.
const vulnsPredicate = `{"scanner":{"uri":"pkg:github/aquasecurity/trivy@244fd47e07d1004f0aed9c","version":"0.19.2",` +
	`"db":{"uri":"pkg:github/aquasecurity/trivy-db/commit/4c76bb580b2736d67751410fa4ab66d2b6b9b27d","version":"v1-2021080612","lastUpdate":"2021-08-06T17:45:50.52Z"},` +
	`"result":[{"id":"CVE-123","severity":[{"method":"nvd","score":"medium"},{"method":"cvss_score","score":"5.2"}],"annotations":[]},` +
	`{"id":"CVE-456","severity":[{"method":"nvd","score":"critical"}]},{"id":"CVE-789"}]},` +
	`"metadata":{"scanStartedOn":"2021-08-06T17:45:50.52Z","scanFinishedOn":"2021-08-06T17:50:50.52Z"}}`

func scanOf(t testing.TB, predicateType, predicate string) (Scan, error) {
	t.Helper()
	s, err := ParseInToto(stated(predicateType, predicate))
	if err != nil {
		t.Fatalf("%v: %s", err, predicate)
	}
	return ParseScan(s)
}

func TestParseScan(t *testing.T) {
	at := func(s string) time.Time {
		out, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const report = "{ \"Results\" : [] ,\n \"big\":12345678901234567890}"
	for name, c := range map[string]struct {
		kind, predicate string
		want            Scan
	}{
		"teal's own": {PredicateTypeScan, ownPredicate(report), Scan{PredicateType: PredicateTypeScan, Scanner: Trivy, Version: "0.70.0", DBUpdatedAt: at("2026-11-23T06:00:00Z"),
			StartedOn: at("2026-11-23T13:58:00Z"), FinishedOn: at("2026-11-23T14:00:00.25Z"), Args: []string{"image", "--format", "json"},
			Target:       ScanTarget{Image: "registry.example.test/shop@sha256:" + attestedHex, Platform: "linux/amd64"},
			PolicyChecks: []PolicyCheck{{"licences", "failed"}}, Format: "trivy-json", Report: []byte(report)}},
		"cosign": {PredicateTypeCosignVuln, cosignPredicate, Scan{PredicateType: PredicateTypeCosignVuln, Scanner: Trivy, Version: "0.19.2", DBUpdatedAt: at("2026-11-23T06:00:00Z"),
			StartedOn: at("2026-11-23T13:58:00Z"), FinishedOn: at("2026-11-23T14:00:00Z"), Format: "trivy-json", Report: []byte(`{"SchemaVersion":2}`)}},
		"cosign, without the age of the database": {PredicateTypeCosignVuln, strings.Replace(cosignPredicate, "2026-11-23T06:00:00Z", "", 1),
			Scan{PredicateType: PredicateTypeCosignVuln, Scanner: Trivy, Version: "0.19.2",
				StartedOn: at("2026-11-23T13:58:00Z"), FinishedOn: at("2026-11-23T14:00:00Z"), Format: "trivy-json", Report: []byte(`{"SchemaVersion":2}`)}},
		"in-toto's": {PredicateTypeVulns, vulnsPredicate, Scan{PredicateType: PredicateTypeVulns, Scanner: Trivy, Version: "0.19.2", DBUpdatedAt: at("2021-08-06T17:45:50.52Z"),
			StartedOn: at("2021-08-06T17:45:50.52Z"), FinishedOn: at("2021-08-06T17:50:50.52Z"), Findings: []ScanFinding{
				{Scanner: Trivy, Kind: FindingVuln, ID: "CVE-123", Severity: SeverityMedium},
				{Scanner: Trivy, Kind: FindingVuln, ID: "CVE-456", Severity: SeverityCritical},
				{Scanner: Trivy, Kind: FindingVuln, ID: "CVE-789", Severity: SeverityUnknown}}}},
	} {
		got, err := scanOf(t, c.kind, c.predicate)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// TestVulnSeverity: what teal cannot read never makes a finding harmless (attack 43).
func TestVulnSeverity(t *testing.T) {
	for list, want := range map[string]Severity{
		`[]`:                                 SeverityUnknown,
		`[{"score":"LOW"}]`:                  SeverityLow,
		`[{"score":" High "}]`:               SeverityHigh,
		`[{"score":"Crit"}]`:                 SeverityUnknown,
		`[{"score":""}]`:                     SeverityUnknown,
		`[{"score":null}]`:                   SeverityUnknown,
		`[{"method":"nvd"}]`:                 SeverityUnknown,
		`[{"score":9.8}]`:                    SeverityCritical,
		`[{"score":"0x1p-2"}]`:               SeverityUnknown,
		`[{"score":"1e-5"}]`:                 SeverityUnknown,
		`[{"score":"-1"}]`:                   SeverityUnknown,
		`[{"score":"11"}]`:                   SeverityUnknown,
		`[{"score":"low"},{"score":"9.1"}]`:  SeverityCritical,
		`[{"score":"low"},{"score":"Crit"}]`: SeverityUnknown,
		`[{"score":"high"},{"score":"?"}]`:   SeverityHigh,
	} {
		s, err := scanOf(t, PredicateTypeVulns, strings.Replace(vulnsPredicate, `[{"method":"nvd","score":"critical"}]`, list, 1))
		if err != nil {
			t.Errorf("%s: %v", list, err)
		} else if got := s.Findings[1].Severity; got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

func TestParseScanRefusals(t *testing.T) {
	own := ownPredicate(`{"Results":[]}`)
	for name, c := range map[string]struct {
		kind, in, old, new string
		want               release.Code
	}{
		"another kind":                 {"urn:teal:release-approval:v1", own, "", "", release.AttestationPredicateType},
		"unknown member":               {PredicateTypeScan, own, `{"scanner":`, `{"x":1,"scanner":`, release.AttestationMalformed},
		"unknown scanner":              {PredicateTypeScan, own, `"name":"trivy"`, `"name":"grype"`, release.AttestationMalformed},
		"scanner in capitals":          {PredicateTypeScan, own, `"name":"trivy"`, `"name":"Trivy"`, release.AttestationMalformed},
		"unknown format":               {PredicateTypeScan, own, "trivy-json", "trivy-table", release.AttestationMalformed},
		"report of other bytes":        {PredicateTypeScan, own, `{"Results":[]}`, `{"Results": []}`, release.AttestationMalformed},
		"no content":                   {PredicateTypeScan, own, `"content"`, `"contents"`, release.AttestationMalformed},
		"no end":                       {PredicateTypeScan, own, `"finishedOn"`, `"finished"`, release.AttestationMalformed},
		"a day without an hour":        {PredicateTypeScan, own, "2026-11-23T14:00:00.25Z", "2026-11-23", release.AttestationMalformed},
		"a comma before the fraction":  {PredicateTypeScan, own, "14:00:00.25Z", "14:00:00,25Z", release.AttestationMalformed},
		"a time without a zone":        {PredicateTypeScan, own, "14:00:00.25Z", "14:00:00.25", release.AttestationMalformed},
		"the year 1":                   {PredicateTypeScan, own, "2026-11-23T14:00:00.25Z", "0001-01-01T00:00:00Z", release.AttestationMalformed},
		"exit code is a text":          {PredicateTypeScan, own, `"exitCode":0`, `"exitCode":"0"`, release.AttestationMalformed},
		"exit code has a fraction":     {PredicateTypeScan, own, `"exitCode":0`, `"exitCode":0.0`, release.AttestationMalformed},
		"exit code below 0":            {PredicateTypeScan, own, `"exitCode":0`, `"exitCode":-1`, release.AttestationMalformed},
		"an argument is a number":      {PredicateTypeScan, own, `"--format"`, `1`, release.AttestationMalformed},
		"a short commit":               {PredicateTypeScan, own, `"platform":"linux/amd64"`, `"commit":"0123456"`, release.AttestationMalformed},
		"a check without result":       {PredicateTypeScan, own, `,"result":"failed"`, ``, release.AttestationMalformed},
		"cosign of Snyk":               {PredicateTypeCosignVuln, cosignPredicate, "aquasecurity/trivy", "snyk/snyk", release.AttestationMalformed},
		"cosign of two":                {PredicateTypeCosignVuln, cosignPredicate, "aquasecurity/trivy", "snyk/trivy", release.AttestationMalformed},
		"cosign of a look-alike":       {PredicateTypeCosignVuln, cosignPredicate, "aquasecurity/trivy", "x/nottrivy", release.AttestationMalformed},
		"cosign without result":        {PredicateTypeCosignVuln, cosignPredicate, `,"result":{"SchemaVersion":2}`, ``, release.AttestationIncomplete},
		"cosign without an end":        {PredicateTypeCosignVuln, cosignPredicate, `"scanFinishedOn"`, `"x"`, release.AttestationIncomplete},
		"cosign, two ends by case":     {PredicateTypeCosignVuln, cosignPredicate, `"scanStartedOn"`, `"ScanFinishedOn"`, release.AttestationMalformed},
		"vulns without result":         {PredicateTypeVulns, vulnsPredicate, `"result"`, `"results"`, release.AttestationIncomplete},
		"vulns, result is null":        {PredicateTypeVulns, strings.Replace(vulnsPredicate, vulnsPredicate[strings.Index(vulnsPredicate, `[{"id"`):strings.Index(vulnsPredicate, `},"metadata"`)], "null", 1), "", "", release.AttestationMalformed},
		"vulns without database's age": {PredicateTypeVulns, vulnsPredicate, `"lastUpdate"`, `"x"`, release.AttestationIncomplete},
		"vulns without metadata":       {PredicateTypeVulns, vulnsPredicate, `"metadata"`, `"meta"`, release.AttestationIncomplete},
		"vulns without an id":          {PredicateTypeVulns, vulnsPredicate, `"id":"CVE-789"`, ``, release.AttestationMalformed},
		"vulns, a finding is a text":   {PredicateTypeVulns, vulnsPredicate, `{"id":"CVE-789"}`, `"CVE-789"`, release.AttestationMalformed},
		"vulns, severity twice":        {PredicateTypeVulns, vulnsPredicate, `"annotations":[]`, `"Severity":[]`, release.AttestationMalformed},
		"vulns, severity is a word":    {PredicateTypeVulns, vulnsPredicate, `"id":"CVE-789"`, `"id":"CVE-789","severity":"low"`, release.AttestationMalformed},
		"secrets as vulnerabilities":   {PredicateTypeVulns, vulnsPredicate, "aquasecurity/trivy@", "gitleaks/gitleaks@", release.AttestationMalformed},
	} {
		if !strings.Contains(c.in, c.old) {
			t.Fatalf("%s: no %q", name, c.old)
		}
		s, err := scanOf(t, c.kind, strings.Replace(c.in, c.old, c.new, 1))
		if got := attestationCode(t, err); got != c.want {
			t.Errorf("%s: %v %+v, want %s", name, err, s, c.want)
		}
	}
}

// TestUnreadableScanIsNotForgotten: a scan that cannot be read keeps its place in time, so
// that it cannot make room for an older one.
func TestUnreadableScanIsNotForgotten(t *testing.T) {
	for name, text := range map[string][]byte{
		"teal's own": stated(PredicateTypeScan, strings.Replace(ownPredicate("{}"), `"exitCode":0`, `"exitCode":"x"`, 1)),
		"in-toto's":  stated(PredicateTypeVulns, strings.Replace(vulnsPredicate, `"lastUpdate"`, `"x"`, 1)),
		"cosign's":   stated(PredicateTypeCosignVuln, strings.Replace(cosignPredicate, `"result"`, `"x"`, 1)),
	} {
		key := Key{ID: "ci-1", Service: "ci", Public: privateKey(t, "p256").Public()}
		a := attest(AttestationFile{Name: "a.json", Data: sealed(t, "bundle", "p256", text)}, []Key{key}, nil)
		if a.Problem == nil || a.Scan == nil || a.Scan.Scanner != Trivy || a.Scan.FinishedOn.IsZero() || a.Report != nil {
			t.Errorf("%s: %+v, scan %+v", name, a.Problem, a.Scan)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add(PredicateTypeScan, []byte(ownPredicate(`[{"a":1}]`)))
	f.Add(PredicateTypeCosignVuln, []byte(cosignPredicate))
	f.Add(PredicateTypeVulns, []byte(vulnsPredicate))
	f.Fuzz(func(t *testing.T, kind string, predicate []byte) {
		if checkJSON(predicate, maxPayloadDepth) != nil {
			return
		}
		s, err := ParseScan(InToto{PredicateType: kind, Predicate: predicate})
		if attestationCode(t, err) != "" {
			return
		}
		if s.Scanner == "" || s.FinishedOn.IsZero() || s.PredicateType != kind {
			t.Fatalf("accepted %+v", s)
		}
		if (s.Format == "") != (kind == PredicateTypeVulns) || s.Format != "" && checkJSON(s.Report, maxPayloadDepth) != nil {
			t.Fatalf("format %q with report %q", s.Format, s.Report)
		}
		for _, x := range s.Findings {
			if x.ID == "" || x.Severity == "" || x.Kind == FindingSecret {
				t.Fatalf("finding %+v", x)
			}
		}
	})
}
