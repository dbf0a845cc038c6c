package trust

import (
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// TestResult says whether a pipeline's tests passed.
// Source: in-toto attestation spec/predicates/test-result.md, v0.1.
type TestResult struct {
	Passed bool   // result is PASSED; WARNED and FAILED are not
	Result string // as written
	Failed []string
}

// ParseTestResult reads a test-result statement. Errors are *AttestationError.
func ParseTestResult(s InToto) (TestResult, error) {
	r := frame{cursor: cursor{data: s.Predicate}}
	var t TestResult
	r.open("predicate", []string{"result", "failedTests"}, func(name string) {
		if name == "result" {
			t.Result = r.need("predicate.result")
			return
		}
		r.list("predicate.failedTests", func() { t.Failed = append(t.Failed, r.need("predicate.failedTests")) })
	})
	if t.Result != "PASSED" && t.Result != "WARNED" && t.Result != "FAILED" {
		r.fail("predicate.result \"%s\", want PASSED, WARNED or FAILED", Escape(t.Result))
	}
	t.Passed = t.Result == "PASSED" && len(t.Failed) == 0
	return t, r.err
}

// Provenance says who built an image from which source.
// Source: SLSA v1.0 provenance.
type Provenance struct {
	Builder    string // runDetails.builder.id
	Repository string // of the resolved dependency that names a Git commit
	Commit     string // 40 or 64 hex
}

// ParseProvenance reads SLSA provenance v1. The source is the resolved dependency with a
// gitCommit digest; two different ones are malformed. Errors are *AttestationError.
func ParseProvenance(s InToto) (Provenance, error) {
	r := frame{cursor: cursor{data: s.Predicate}}
	var p Provenance
	r.open("predicate", []string{"buildDefinition", "runDetails"}, func(name string) {
		if name == "runDetails" {
			r.open("predicate.runDetails", []string{"builder"}, func(string) {
				r.open("predicate.runDetails.builder", []string{"id"}, func(string) {
					p.Builder = r.need("predicate.runDetails.builder.id")
				})
			})
			return
		}
		r.open("predicate.buildDefinition", []string{"resolvedDependencies"}, func(string) {
			r.list("predicate.buildDefinition.resolvedDependencies", func() { r.dependency(&p) })
		})
	})
	switch {
	case p.Builder == "":
		r.incomplete("predicate.runDetails.builder.id is missing")
	case p.Commit == "":
		r.incomplete("no resolved dependency names a gitCommit")
	}
	return p, r.err
}

func (r *frame) dependency(p *Provenance) {
	const where = "predicate.buildDefinition.resolvedDependencies"
	uri, commit := "", ""
	r.open(where, []string{"uri", "digest"}, func(name string) {
		if name == "uri" {
			uri = strings.TrimPrefix(r.maybe(where+".uri"), "git+")
			return
		}
		r.open(where+".digest", []string{"gitCommit"}, func(string) {
			commit = r.need(where + ".digest.gitCommit")
			if !commitForm.MatchString(commit) {
				r.fail("gitCommit \"%s\" is no commit in full", Escape(commit))
			}
		})
	})
	switch {
	case commit == "":
	case p.Commit != "" && (p.Commit != commit || p.Repository != uri):
		r.fail("two resolved dependencies name different commits or repositories")
	default:
		p.Commit, p.Repository = commit, uri
	}
}

// Deployment says that an environment's hosts ran a release and that it baked: what a
// staging host states for production's checklist (urn:teal:deployment:v1).
type Deployment struct {
	Environment string
	App         string
	Digest      release.Digest
	Commit      string // of the source; may be empty
	Baked       time.Duration
	Hosts       []string
	FinishedOn  time.Time
}

// ParseDeployment reads a deployment statement strictly. Errors are *AttestationError.
func ParseDeployment(s InToto) (Deployment, error) {
	r := frame{cursor: cursor{data: s.Predicate}}
	var d Deployment
	r.strict("predicate", []string{"environment", "app", "digest", "baked", "hosts", "finishedOn"}, []string{"commit"}, func(name string) {
		where := "predicate." + name
		switch name {
		case "environment":
			d.Environment = r.need(where)
		case "app":
			d.App = r.need(where)
		case "digest":
			d.Digest = release.Digest(r.need(where))
		case "commit":
			d.Commit = r.need(where)
		case "baked":
			text := r.need(where)
			baked, err := time.ParseDuration(text)
			if err != nil || baked <= 0 {
				r.fail("%s: \"%s\" is no duration", where, Escape(text))
			}
			d.Baked = baked
		case "hosts":
			r.list(where, func() { d.Hosts = append(d.Hosts, r.need(where)) })
		case "finishedOn":
			d.FinishedOn = r.time(where)
		}
	})
	switch {
	case r.err != nil:
	case !nameForm.MatchString(d.Environment) || !nameForm.MatchString(d.App) || !hexDigest.MatchString(string(d.Digest)):
		r.fail("environment, app or digest is no name of a release")
	case d.Commit != "" && !commitForm.MatchString(d.Commit):
		r.fail("predicate.commit is no commit in full")
	case len(d.Hosts) == 0:
		r.fail("predicate.hosts: want at least one host")
	}
	return d, r.err
}
