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
	r.object(func(name string) {
		switch name {
		case "result":
			t.Result = r.need("predicate.result")
		case "failedTests":
			t.Failed = r.texts()
		default:
			r.skip()
		}
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
	r.object(func(name string) {
		switch name {
		case "buildDefinition":
			r.object(func(name string) {
				if name != "resolvedDependencies" {
					r.skip()
					return
				}
				r.array(func() { r.dependency(&p) })
			})
		case "runDetails":
			r.object(func(name string) {
				if name != "builder" {
					r.skip()
					return
				}
				r.object(func(name string) {
					if name == "id" {
						p.Builder = r.need("predicate.runDetails.builder.id")
					} else {
						r.skip()
					}
				})
			})
		default:
			r.skip()
		}
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
	uri, commit := "", ""
	r.object(func(name string) {
		switch name {
		case "uri":
			uri = r.word()
		case "digest":
			r.object(func(name string) {
				if text := r.word(); name == "gitCommit" {
					commit = text
				}
			})
		default:
			r.skip()
		}
	})
	switch {
	case commit == "":
	case !commitForm.MatchString(commit):
		r.fail("gitCommit \"%s\" is no commit in full", Escape(commit))
	case p.Commit != "" && p.Commit != commit:
		r.fail("two resolved dependencies name different commits")
	default:
		p.Commit, p.Repository = commit, strings.TrimPrefix(uri, "git+")
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
			d.Hosts = r.texts()
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
