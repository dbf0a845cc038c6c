package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

// evidenceCase is a predicate with one change, and what becomes of it.
type evidenceCase struct {
	old, new string
	want     release.Code
}

// testResult is the example of in-toto's spec/predicates/test-result.md.
const testResult = `{"result":"PASSED","configuration":[{"name":".github/workflows/ci.yml","downloadLocation":"https://example.test","digest":{"gitBlob":"85f"}}],` +
	`"passedTests":["build (3.7, ubuntu-latest)"],"warnedTests":[],"failedTests":[]}`

func TestParseTestResult(t *testing.T) {
	for name, c := range map[string]struct {
		evidenceCase
		passed bool
	}{
		"passed":                   {evidenceCase{}, true},
		"warned":                   {evidenceCase{"PASSED", "WARNED", ""}, false},
		"failed":                   {evidenceCase{"PASSED", "FAILED", ""}, false},
		"passed, with a failure":   {evidenceCase{`"failedTests":[]`, `"failedTests":["a"]`, ""}, false},
		"passed, with something":   {evidenceCase{`"failedTests":[]`, `"failedTests":[{}]`, release.AttestationMalformed}, false},
		"failures are a text":      {evidenceCase{`"failedTests":[]`, `"failedTests":"a"`, release.AttestationMalformed}, false},
		"failures, by case":        {evidenceCase{`"warnedTests"`, `"FailedTests"`, release.AttestationMalformed}, false},
		"another word":             {evidenceCase{"PASSED", "passed", release.AttestationMalformed}, false},
		"no result":                {evidenceCase{`"result"`, `"results"`, release.AttestationMalformed}, false},
		"a result that is no text": {evidenceCase{`"PASSED"`, `true`, release.AttestationMalformed}, false},
	} {
		got, err := ParseTestResult(changed(t, PredicateTypeTestResult, testResult, c.evidenceCase))
		if code := attestationCode(t, err); code != c.want || code == "" && got.Passed != c.passed {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// provenance is SLSA v1 as a pipeline writes it, cut to what matters.
const provenance = `{"buildDefinition":{"buildType":"https://example.test/build/v1","externalParameters":{"ref":"main"},"internalParameters":{},` +
	`"resolvedDependencies":[{"uri":"git+https://git.example.test/shop@refs/heads/main","digest":{"gitCommit":"0123456789012345678901234567890123456789"}},{"uri":"pkg:docker/base","digest":{"sha256":"ff"}}]},` +
	`"runDetails":{"builder":{"id":"https://example.test/builder","version":{"x":"1"}},"metadata":{"invocationId":"1"}}}`

func TestParseProvenance(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	for name, c := range map[string]evidenceCase{
		"whole":                    {},
		"no builder":               {`"builder"`, `"maker"`, release.AttestationIncomplete},
		"an empty builder":         {`"https://example.test/builder"`, `""`, release.AttestationMalformed},
		"no source":                {`"gitCommit"`, `"sha1"`, release.AttestationIncomplete},
		"no dependencies":          {`"resolvedDependencies"`, `"materials"`, release.AttestationIncomplete},
		"dependencies by case":     {`"internalParameters"`, `"ResolvedDependencies"`, release.AttestationMalformed},
		"a commit cut short":       {commit, commit[:12], release.AttestationMalformed},
		"a commit in capitals":     {commit, "A" + commit[1:], release.AttestationMalformed},
		"two commits":              {`{"sha256":"ff"}`, `{"gitCommit":"1` + commit[1:] + `"}`, release.AttestationMalformed},
		"one commit of two places": {`{"sha256":"ff"}`, `{"gitCommit":"` + commit + `"}`, release.AttestationMalformed},
		"the builder is a text":    {`{"id":"https://example.test/builder","version":{"x":"1"}}`, `"x"`, release.AttestationMalformed},
	} {
		got, err := ParseProvenance(changed(t, PredicateTypeProvenance, provenance, c))
		if code := attestationCode(t, err); code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if want := (Provenance{"https://example.test/builder", "https://git.example.test/shop@refs/heads/main", commit}); c.want == "" && got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

const deployment = `{"environment":"staging","app":"shop","digest":"` + attestedHex + `","commit":"0123456789012345678901234567890123456789","baked":"5m0s","hosts":["a","b"],"finishedOn":"2026-11-23T14:00:00Z"}`

func TestParseDeployment(t *testing.T) {
	for name, c := range map[string]evidenceCase{
		"whole":                       {},
		"without a commit":            {`"commit":"0123456789012345678901234567890123456789",`, ``, ""},
		"unknown member":              {`{"environment"`, `{"x":1,"environment"`, release.AttestationMalformed},
		"no hosts":                    {`["a","b"]`, `[]`, release.AttestationMalformed},
		"a host without a name":       {`["a","b"]`, `["a",""]`, release.AttestationMalformed},
		"a host that is a number":     {`["a","b"]`, `["a",1]`, release.AttestationMalformed},
		"baked for no time":           {"5m0s", "0s", release.AttestationMalformed},
		"baked for less than no time": {"5m0s", "-5m", release.AttestationMalformed},
		"baked without a unit":        {"5m0s", "300", release.AttestationMalformed},
		"environment with a slash":    {"staging", "a/b", release.AttestationMalformed},
		"a short commit":              {"0123456789012345678901234567890123456789", "0123456", release.AttestationMalformed},
		"no end":                      {`"finishedOn"`, `"finished"`, release.AttestationMalformed},
		"a digest in capitals":        {`"digest":"2c`, `"digest":"2C`, release.AttestationMalformed},
	} {
		got, err := ParseDeployment(changed(t, PredicateTypeDeployment, deployment, c))
		if code := attestationCode(t, err); code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		want := Deployment{"staging", "shop", attestedHex, "0123456789012345678901234567890123456789", 5 * time.Minute, []string{"a", "b"}, time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}
		if d := cmp.Diff(want, got); name == "whole" && d != "" {
			t.Error(d)
		}
	}
}

// changed is a statement whose predicate was changed in one place.
func changed(t *testing.T, kind, predicate string, c evidenceCase) InToto {
	t.Helper()
	if !strings.Contains(predicate, c.old) {
		t.Fatalf("no %q", c.old)
	}
	s, err := ParseInToto(stated(kind, strings.Replace(predicate, c.old, c.new, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzEvidenceKinds(f *testing.F) {
	f.Add([]byte(testResult))
	f.Add([]byte(provenance))
	f.Add([]byte(deployment))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		if checkJSON(predicate, maxPayloadDepth) != nil {
			return
		}
		s := InToto{Predicate: predicate}
		if r, err := ParseTestResult(s); attestationCode(t, err) == "" && r.Passed && (r.Result != "PASSED" || len(r.Failed) > 0) {
			t.Fatalf("accepted %+v", r)
		}
		if p, err := ParseProvenance(s); attestationCode(t, err) == "" && (p.Builder == "" || !commitForm.MatchString(p.Commit)) {
			t.Fatalf("accepted %+v", p)
		}
		if d, err := ParseDeployment(s); attestationCode(t, err) == "" && (d.Baked <= 0 || len(d.Hosts) == 0 || d.FinishedOn.IsZero()) {
			t.Fatalf("accepted %+v", d)
		}
	})
}
