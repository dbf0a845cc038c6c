package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// brief is what the tests of reports compare.
func brief(r Report) string {
	var parts []string
	for _, f := range r.Findings {
		text := fmt.Sprintf("%s %s %s", f.Kind, f.Severity, f.ID)
		if f.Package != "" {
			text += " " + f.Package + "@" + f.Version
		}
		if len(f.FixedIn) > 0 {
			text += " fixed " + strings.Join(f.FixedIn, "|")
		}
		if f.Suppressed != "" {
			text += " (" + f.Suppressed + ")"
		}
		parts = append(parts, text)
	}
	if r.DriverVersion == "0.75.0" {
		parts = append(parts, "version "+r.DriverVersion)
	}
	if !r.MadeAt.IsZero() {
		parts = append(parts, "made "+stamp(r.MadeAt))
	}
	if r.Incomplete != "" {
		parts = append(parts, "incomplete: "+r.Incomplete)
	}
	if r.NoOS {
		parts = append(parts, "no OS")
	}
	if r.EndOfLife {
		parts = append(parts, "EOL")
	}
	if r.Unredacted {
		parts = append(parts, "unredacted")
	}
	for _, s := range r.Skipped {
		parts = append(parts, "skipped "+s)
	}
	return strings.Join(parts, "; ")
}

const (
	trivyHead = `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian","Name":"12.5"},"ImageID":"sha256:aa","RepoDigests":["r/x@sha256:bb"]}`
	semgrepOK = `"errors":[],"paths":{"scanned":["a.py"]}`
)

// TestReports: every sentence of the table of scanners' quirks (research/verification.md
// 2.3) as a case.
func TestReports(t *testing.T) {
	sarif := func(driver, rules, results, rest string) string {
		return fmt.Sprintf(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"%s","rules":[%s]}},"results":[%s]%s}]}`, driver, rules, results, rest)
	}
	for _, c := range []struct{ scanner, format, text, want string }{
		{Trivy, "trivy-json", trivyHead + `}`, ""},
		{Trivy, "trivy-json", trivyHead + `,"Results":[{"Target":"x","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"openssl","InstalledVersion":"1","FixedVersion":"2, 3","Severity":"CRITICAL"},{"VulnerabilityID":"CVE-2","PkgName":"a","InstalledVersion":"1","Severity":"low"}]}]}`,
			"vuln critical CVE-1 openssl@1 fixed 2|3; vuln low CVE-2 a@1"},
		{Trivy, "trivy-json", trivyHead + `,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"C1","Severity":"High "},{"VulnerabilityID":"C2","Severity":"Crit"},{"VulnerabilityID":"C3","Severity":""},{"VulnerabilityID":"C4","Severity":null},{"VulnerabilityID":"C5","Severity":9},{"VulnerabilityID":"C6"},{"VulnerabilityID":"C7","Severity":"UNKNOWN"},{"VulnerabilityID":"C8","Severity":"` + "ｈigh" + `"}]}]}`,
			"vuln high C1; vuln unknown C2; vuln unknown C3; vuln unknown C4; vuln unknown C5; vuln unknown C6; vuln unknown C7; vuln unknown C8"},
		{Trivy, "trivy-json", trivyHead + `,"Results":[{"Secrets":[{"RuleID":"aws","Severity":"LOW"}],"Misconfigurations":[{"ID":"DS1","Status":"FAIL","Severity":"HIGH"},{"ID":"DS2","Status":"PASS","Severity":"HIGH"}],"Licenses":[{"Name":"GPL","PkgName":"p","Severity":"HIGH"}]}]}`,
			"secret low aws; misconfig high DS1; license high GPL p@"},
		{Trivy, "trivy-json", trivyHead + `,"Results":[{"ExperimentalModifiedFindings":[{"Type":"vulnerability","Status":"ignored","Source":".trivyignore","Finding":{"VulnerabilityID":"CVE-3","PkgName":"p","InstalledVersion":"1","Severity":"HIGH"}}]}]}`,
			"vuln high CVE-3 p@1 (ignored .trivyignore)"},
		{Trivy, "trivy-json", `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{}}`, "no OS"},
		{Trivy, "trivy-json", `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"OS":{"Family":"alpine","EOSL":true}}}`, "EOL"},
		{Trivy, "trivy-json", `{"SchemaVersion":2,"ArtifactType":"filesystem","Metadata":{"OS":{"Family":"alpine"}}}`, `incomplete: ArtifactType is "filesystem", want container_image`},
		{Trivy, "trivy-json", `{}`, "incomplete: no SchemaVersion: not a report of Trivy; no OS"},
		{Trivy, "trivy-json", `[]`, "incomplete: the report is no object"},

		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3,"vulnerabilities":[],"uniqueCount":4}`, ""},
		{Snyk, "snyk-json", `{"ok":false,"dependencyCount":3,"vulnerabilities":[{"id":"S1","packageName":"p","version":"1","severity":"medium","from":["a"]},{"id":"S1","packageName":"p","version":"1","severity":"medium","from":["b"]}],"summary":"0"}`, "vuln medium S1 p@1"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3,"vulnerabilities":[{"id":"S1","packageName":"p","version":"1","severity":"low","originalSeverity":"high","identifiers":{"CVE":["CVE-9"],"CWE":["CWE-1"]},"fixedIn":["2"]}]}`, "vuln high S1 p@1 fixed 2"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3,"vulnerabilities":[{"id":"S1","severity":"low","originalSeverity":"weird"}]}`, "vuln unknown S1"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3,"vulnerabilities":[],"filtered":{"ignore":[{"id":"S2","packageName":"q","version":"1","severity":"high"}],"patch":[]}}`, "vuln high S2 q@1 (ignored by Snyk's policy)"},
		{Snyk, "snyk-json", `{"ok":false,"dependencyCount":3,"vulnerabilities":[{"id":"S1","severity":"high","severityWithCritical":"critical"},{"id":"S2","severity":"low","severityWithCritical":"Severe"},{"id":"S3","severity":"low","originalSeverity":"medium","severityWithCritical":"low"}]}`, "vuln critical S1; vuln unknown S2; vuln medium S3"},
		{Snyk, "snyk-json", `[{"ok":true,"dependencyCount":3,"vulnerabilities":[]},{"ok":false,"error":"no lock file"}]`, "incomplete: Snyk ended with an error: no lock file"},
		{Snyk, "snyk-json", `{"ok":true,"vulnerabilities":[]}`, "incomplete: Snyk looked at no dependencies"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":0,"vulnerabilities":[]}`, "incomplete: Snyk looked at no dependencies"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3}`, "incomplete: a project has no list of vulnerabilities"},
		{Snyk, "snyk-json", `{"ok":true,"dependencyCount":3,"hasUnknownVersions":true,"vulnerabilities":[]}`, "incomplete: some dependencies have no known version"},
		{Snyk, "snyk-json", `[]`, "incomplete: no project was tested"},

		{PipAudit, "pip-audit-json", `{"dependencies":[{"name":"django","version":"4.2","vulns":[{"id":"PYSEC-1","fix_versions":["4.2.1"],"aliases":["CVE-1"]}]}],"fixes":[]}`, "vuln unknown PYSEC-1 django@4.2 fixed 4.2.1"},
		{PipAudit, "pip-audit-json", `[{"name":"django","version":"4.2","vulns":[]}]`, ""},
		{PipAudit, "pip-audit-json", `{"dependencies":[{"name":"django","version":"4.2","vulns":[]},{"name":"own","skip_reason":"not on PyPI"}]}`, "skipped own"},
		{PipAudit, "pip-audit-json", `{"dependencies":[]}`, "incomplete: no dependency was audited"},
		{PipAudit, "pip-audit-json", `{"dependencies":[{"name":"own","skip_reason":""}]}`, "incomplete: no dependency was audited; skipped own"},
		{PipAudit, "pip-audit-json", `{"dependencies":[{"name":"x","version":"1"}]}`, "incomplete: a dependency without name or vulns"},
		{PipAudit, "pip-audit-json", `{}`, "incomplete: no list of dependencies"},

		{Semgrep, "semgrep-json", `{"results":[{"check_id":"r1","path":"a.py","extra":{"severity":"ERROR"}},{"check_id":"r2","path":"a.py","extra":{"severity":"WARNING","is_ignored":true}},{"check_id":"r3","extra":{"severity":"INFO"}},{"check_id":"r4","extra":{"severity":"CRITICAL"}},{"check_id":"r5","extra":{"severity":"INVENTORY"}},{"check_id":"r6","extra":{"severity":"HIGH","sca_info":{}}}],` + semgrepOK + `}`,
			"code high r1; code medium r2 (nosemgrep); code low r3; code critical r4; code unknown r5; vuln high r6"},
		{Semgrep, "semgrep-json", `{"results":[],"errors":[{"level":"error","type":"SyntaxError","message":"x\ny"}],"paths":{"scanned":["a"]}}`, "incomplete: Semgrep ended with an error: SyntaxError x"},
		{Semgrep, "semgrep-json", `{"results":[],"errors":[{"type":["PartialParsing",[]],"message":"no level"}],"paths":{"scanned":["a"]}}`, "incomplete: Semgrep ended with an error: no level"},
		{Semgrep, "semgrep-json", `{"results":[],"errors":[{"level":"warn","message":"x"}],"paths":{"scanned":["a"]}}`, ""},
		{Semgrep, "semgrep-json", `{"results":[],"errors":[],"paths":{"scanned":[]}}`, "incomplete: Semgrep scanned no file"},
		{Semgrep, "semgrep-json", `{}`, "incomplete: no results or no errors: not a report of Semgrep"},

		{Gitleaks, "gitleaks-json", `[]`, ""},
		{Gitleaks, "gitleaks-json", `[{"RuleID":"aws","File":"a","Secret":"REDACTED","Match":"x"}]`, "secret unknown aws"},
		{Gitleaks, "gitleaks-json", `[{"RuleID":"aws","File":"a","Secret":"AKIA"}]`, "secret unknown aws; unredacted"},
		{Gitleaks, "gitleaks-json", `[{"RuleID":"aws","File":"a","Secret":"AKIA..."}]`, "secret unknown aws; unredacted"},
		{Gitleaks, "gitleaks-json", `{}`, "incomplete: the report is no array"},
		{Gitleaks, "gitleaks-json", `[{"File":"a"}]`, "secret unknown ; incomplete: a finding has no id"},

		{Trivy, "sarif-2.1.0", sarif("Trivy", `{"id":"CVE-1","defaultConfiguration":{"level":"note"},"properties":{"tags":["vulnerability","security","CRITICAL"],"security-severity":"2.0"}}`, `{"ruleId":"CVE-1","ruleIndex":0,"level":"note"}`, ""), "vuln critical CVE-1"},
		{Trivy, "sarif-2.1.0", sarif("Trivy", `{"id":"CVE-1","properties":{"tags":["UNKNOWN"],"security-severity":"0.0"}}`, `{"ruleId":"CVE-1","level":"note"}`, ""), "vuln unknown CVE-1"},
		{Trivy, "sarif-2.1.0", sarif("Trivy", `{"id":"AWS","properties":{"tags":["secret","LOW"]}}`, `{"ruleId":"AWS","level":"note"}`, ""), "secret low AWS"},
		{Trivy, "sarif-2.1.0", sarif("Trivy", ``, ``, ""), "no OS"},
		{Trivy, "sarif-2.1.0", sarif("Snyk Container", ``, `{"ruleId":"x"}`, ""), `vuln unknown x; incomplete: the report is of "Snyk Container", not of trivy`},
		{Snyk, "sarif-2.1.0", sarif("Snyk Open Source", `{"id":"S","shortDescription":{"text":"Low severity - x"},"defaultConfiguration":{"level":"warning"},"properties":{"security-severity":"undefined"}}`, `{"ruleId":"S","level":"note"}`, ""), "vuln low S"},
		{Snyk, "sarif-2.1.0", sarif("Snyk Container", `{"id":"S","shortDescription":{"text":"Low severity - x"},"properties":{"security-severity":9.8}}`, `{"ruleId":"S","level":"note"}`, ""), "vuln critical S"},
		{Snyk, "sarif-2.1.0", sarif("Snyk Open Source", "", "", ""), "incomplete: nothing was found, and the report does not say that Snyk looked at anything (artifactsScanned)"},
		{Snyk, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"results":[],"tool":{"driver":{"name":"Snyk Container","properties":{"artifactsScanned":0}}}}]}`, "incomplete: nothing was found, and the report does not say that Snyk looked at anything (artifactsScanned)"},
		{Snyk, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"results":[],"tool":{"driver":{"name":"Snyk Container","properties":{"artifactsScanned":7}}}}]}`, ""},
		{Snyk, "sarif-2.1.0", sarif("SnykCode", "", "", `,"properties":{"coverage":[{"files":3,"isSupported":false},{"files":2,"isSupported":true}]}`), ""},
		{Snyk, "sarif-2.1.0", sarif("SnykCode", "", "", `,"properties":{"coverage":[{"files":3,"isSupported":false}]}`), "incomplete: nothing was found, and the report does not say that Snyk looked at anything (artifactsScanned)"},
		{Semgrep, "sarif-2.1.0", sarif("semgrep", "", "", `,"invocations":[{"executionSuccessful":true,"endTimeUtc":"2026-11-23T14:00:00Z"},{"executionSuccessful":true,"endTimeUtc":"2026-11-23T13:00:00.5Z"},{"endTimeUtc":"yesterday"}]`), "made 2026-11-23T13:00:00.5Z"},
		{Trivy, "trivy-json", `{"SchemaVersion":2,"Trivy":{"Version":"0.75.0"},"CreatedAt":"2026-11-23T15:00:00.123456789+01:00","ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian"}}}`, "version 0.75.0; made 2026-11-23T14:00:00.123456789Z"},
		{Trivy, "trivy-json", `{"SchemaVersion":2,"CreatedAt":"0001-01-01T00:00:00Z","ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian"}}}`, ""},
		{Snyk, "sarif-2.1.0", sarif("Snyk Open Source", `{"id":"S","shortDescription":{"text":"Critical severity - x"}}`, `{"ruleId":"S","level":"error"}`, ""), "vuln critical S"},
		{Semgrep, "sarif-2.1.0", sarif("Semgrep OSS", `{"id":"r","defaultConfiguration":{"level":"error"}}`, `{"ruleId":"r"},{"ruleId":"r","suppressions":[{"kind":"inSource"}]},{"ruleId":"gone"},{"ruleId":"r","kind":"pass"}`, ""),
			"code high r; code high r (suppressed inSource); code unknown gone"},
		{Semgrep, "sarif-2.1.0", sarif("Semgrep OSS", `{"id":"r"}`, `{"ruleId":"r"}`, ""), "code medium r"},
		{Semgrep, "sarif-2.1.0", sarif("Semgrep OSS", ``, ``, `,"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"error","message":{"text":"file not found"}}]}]`), "incomplete: semgrep ended with an error: file not found"},
		{Semgrep, "sarif-2.1.0", sarif("Semgrep OSS", ``, ``, `,"invocations":[{"executionSuccessful":false}]`), "incomplete: the run was not successful"},
		{Gitleaks, "sarif-2.1.0", sarif("gitleaks", `{"id":"aws"}`, `{"ruleId":"aws","message":{"text":"x"}}`, ""), "secret medium aws"},
		{Gitleaks, "sarif-2.1.0", `{"version":"2.1.0","runs":[]}`, "incomplete: SARIF without a run"},
		{Gitleaks, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"results":[],"tool":{"driver":{"name":"gitleaks"}}}]}`, ""},
		{Gitleaks, "sarif-2.1.0", `{"runs":[]}`, "incomplete: not SARIF 2.1.0"},
		// Results before the rules that they name.
		{Semgrep, "sarif-2.1.0", `{"runs":[{"results":[{"ruleIndex":0}],"tool":{"driver":{"rules":[{"id":"r","defaultConfiguration":{"level":"error"}}],"name":"semgrep"}}}],"version":"2.1.0"}`, "code high r"},
		{Semgrep, "sarif-2.1.0", sarif("semgrep", `{"id":"r","defaultConfiguration":{"level":"none"},"properties":{"security-severity":"9.8"}}`, `{"ruleId":"r"}`, ""), "code critical r"},
		{Semgrep, "sarif-2.1.0", sarif("semgrep", `{"id":"r"}`, `{"ruleId":"r","level":"fatal"}`, ""), "code unknown r"},
	} {
		r, err := ParseReport(c.scanner, c.format, []byte(c.text))
		if err != nil {
			t.Errorf("%s %s: %v", c.format, c.text, err)
			continue
		}
		if got := brief(r); got != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.scanner, c.text, got, c.want)
		}
	}
}

func TestReportRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		scanner, format, text string
		want                  release.Code
	}{
		"another scanner's format":  {Trivy, "snyk-json", `{}`, release.AttestationMalformed},
		"pip-audit writes no SARIF": {PipAudit, "sarif-2.1.0", `{}`, release.AttestationMalformed},
		"duplicate names":           {Trivy, "trivy-json", `{"Results":[{"Vulnerabilities":[{"Severity":"LOW","Severity":"CRITICAL"}]}]}`, release.AttestationMalformed},
		"deep":                      {Trivy, "trivy-json", strings.Repeat("[", 100), release.AttestationMalformed},
		"too many findings":         {Gitleaks, "gitleaks-json", "[" + strings.TrimSuffix(strings.Repeat(`{"RuleID":"a"},`, maxFindings+1), ",") + "]", release.AttestationTooLarge},
	} {
		_, err := ParseReport(c.scanner, c.format, []byte(c.text))
		var e *ReportError
		if !errors.As(err, &e) || e.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestExitCodes: with 1 a scanner says that it found something.
func TestExitCodes(t *testing.T) {
	one := Report{Findings: []ScanFinding{{ID: "x"}}}
	for _, c := range []struct {
		code int64
		r    Report
		want string
	}{
		{0, Report{}, ""}, {0, one, ""}, {1, one, ""}, {1, Report{EndOfLife: true}, ""},
		{1, Report{}, "names nothing"}, {2, one, "exit code 2"}, {126, Report{}, "exit code 126"},
	} {
		if got := unfinished(c.code, &c.r); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%d %+v: %q, want %q", c.code, c.r, got, c.want)
		}
	}
}

func TestArgsRefused(t *testing.T) {
	for _, c := range []struct {
		scanner string
		args    string
		allow   []string
		want    string
	}{
		{Trivy, "image --format json x", nil, ""},
		{Trivy, "image --severity LOW x", nil, "--severity"},
		{Trivy, "image --severity=LOW x", nil, "--severity=LOW"},
		{Trivy, "image -s LOW", nil, "-s"},
		{Trivy, "image -sLOW", nil, "-sLOW"},
		{Trivy, "image --ignore-unfixed", nil, "--ignore-unfixed"},
		{Trivy, "image --scanners vuln", []string{"--scanners"}, ""},
		{Trivy, "image --scanners=vuln", []string{"--scanners=vuln"}, ""},
		{Trivy, "image --scanners=vuln", []string{"--scanners=secret"}, "--scanners=vuln"},
		{PipAudit, "-r requirements.txt --ignore-vuln PYSEC-1", nil, "--ignore-vuln"},
		{Gitleaks, "dir --baseline-path b.json", nil, "--baseline-path"},
		{Gitleaks, "dir -b b.json", nil, "-b"},
		{Gitleaks, "dir -vb b.json", nil, "-vb"},
		{Gitleaks, "dir -v -f json -r b.json", nil, ""},
		{Gitleaks, "dir --timeout 60", nil, "--timeout"},
		{Gitleaks, "git --staged", nil, "--staged"},
		{Gitleaks, "protect", nil, "protect"},
		{Trivy, "image -qsLOW", nil, "-qsLOW"},
		{Trivy, "image -q -f json", nil, ""},
		{PipAudit, "--ignore-v PYSEC-1", nil, "--ignore-v"},
		{PipAudit, "-r requirements.txt --format json", nil, ""},
		{Semgrep, "scan --exclu tests", nil, "--exclu"},
		{Semgrep, "scan -- x", nil, ""},
		{Semgrep, "scan --exclude tests", nil, "--exclude"},
		{Snyk, "test --severity-threshold=high", nil, "--severity-threshold=high"},
	} {
		if got := ArgsRefused(c.scanner, strings.Fields(c.args), c.allow); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.scanner, c.args, got, c.want)
		}
	}
}

// fuzzReport holds for every report: no panic, a closed set of severities, and no word
// that blocks lost.
func fuzzReport(f *testing.F, scanner, format string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReport(scanner, format, data)
		if err != nil {
			if code, _ := faultOf(err, ""); code == "" {
				t.Fatalf("an error without code: %v", err)
			}
			return
		}
		if len(r.Findings) > maxFindings {
			t.Fatal("findings without bound")
		}
		for _, x := range r.Findings {
			known := x.Severity == SeverityUnknown || severityRank[x.Severity] > 0
			if !known || x.Scanner != scanner || x.Kind == "" {
				t.Fatalf("%+v", x)
			}
			if x.ID == "" && r.Incomplete == "" {
				t.Fatalf("a finding without id in a complete report: %+v", x)
			}
		}
	})
}

func FuzzTrivy(f *testing.F) {
	fuzzReport(f, Trivy, "trivy-json", trivyHead+`,"Results":[{"Target":"x","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"openssl","InstalledVersion":"1","FixedVersion":"2, 3","Severity":"CRITICAL"}],"Secrets":[{"RuleID":"a"}],"ExperimentalModifiedFindings":[{"Type":"vulnerability","Finding":{"VulnerabilityID":"C"}}]}]}`)
}

func FuzzSnyk(f *testing.F) {
	fuzzReport(f, Snyk, "snyk-json", `{"ok":false,"dependencyCount":3,"vulnerabilities":[{"id":"S1","packageName":"p","version":"1","severity":"medium","originalSeverity":"high"}],"filtered":{"ignore":[{"id":"S2"}]}}`, `[{"dependencyCount":1,"vulnerabilities":[]}]`)
}

func FuzzPipAudit(f *testing.F) {
	fuzzReport(f, PipAudit, "pip-audit-json", `{"dependencies":[{"name":"django","version":"4.2","vulns":[{"id":"PYSEC-1","fix_versions":["4.2.1"],"aliases":["CVE-1"]}]},{"name":"x","skip_reason":"y"}]}`, `[{"name":"django","version":"4.2","vulns":[]}]`)
}

func FuzzSemgrep(f *testing.F) {
	fuzzReport(f, Semgrep, "semgrep-json", `{"results":[{"check_id":"r1","path":"a.py","extra":{"severity":"ERROR","is_ignored":true}}],`+semgrepOK+`}`)
}

func FuzzGitleaks(f *testing.F) {
	fuzzReport(f, Gitleaks, "gitleaks-json", `[{"RuleID":"aws","File":"a","Secret":"REDACTED"}]`, `[]`)
}

func FuzzSARIF(f *testing.F) {
	fuzzReport(f, Semgrep, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"semgrep","rules":[{"id":"r","defaultConfiguration":{"level":"error"},"properties":{"tags":["x"],"security-severity":"9.1"}}]}},"results":[{"ruleId":"r","ruleIndex":0,"suppressions":[{"kind":"inSource"}]}],"invocations":[{"executionSuccessful":true}]}]}`)
}

// TestNoWordIsLost: whatever else a report says, a finding with a blocking word blocks.
func TestNoWordIsLost(t *testing.T) {
	r, err := ParseReport(Trivy, "trivy-json", []byte(trivyHead+`,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"C","Severity":"CRITICAL"}],"Summary":{"Critical":0}}]}`))
	if err != nil || !slices.ContainsFunc(r.Findings, func(f ScanFinding) bool { return f.Severity == SeverityCritical }) {
		t.Errorf("%+v %v", r, err)
	}
}
