package trust

import (
	"slices"
	"strings"
)

// pipAudit reads pip-audit's JSON: {dependencies: [{name, version, vulns} or {name,
// skip_reason}]}, in older versions the array alone. It knows no severity.
// Source: pypa/pip-audit pip_audit/_format/json.py, test/format/test_json.py.
func (r *reportReader) pipAudit() {
	audited := 0
	list := false
	read := func() {
		list = r.array(func() {
			name, version, skip, has := "", "", "", false
			first := len(r.out.Findings)
			isObject := r.fields(map[string]func(){
				"name":        r.into(&name),
				"version":     r.into(&version),
				"skip_reason": func() { skip = r.word() + " " },
				"vulns":       func() { has = r.array(r.pipVulnerability) },
			})
			for i := first; i < len(r.out.Findings); i++ {
				r.out.Findings[i].Package, r.out.Findings[i].Version = name, version
			}
			switch {
			case skip != "":
				r.out.Skipped = append(r.out.Skipped, name)
			case !isObject || !has || name == "":
				r.incomplete("a dependency without name or vulns")
			default:
				audited++
			}
		})
	}
	if r.peek() == '[' {
		read()
	} else {
		r.fields(map[string]func(){"dependencies": read})
	}
	switch {
	case !list:
		r.incomplete("no list of dependencies")
	case audited == 0:
		r.incomplete("no dependency was audited")
	}
}

func (r *reportReader) pipVulnerability() {
	f := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown}
	r.fields(map[string]func(){
		"id":           r.into(&f.ID),
		"aliases":      func() { f.Aliases = r.texts() },
		"fix_versions": func() { f.FixedIn = r.texts() },
	})
	r.add(f)
}

// semgrepWords: the older and the newer words of Semgrep.
var semgrepWords = map[string]Severity{"error": SeverityHigh, "warning": SeverityMedium, "info": SeverityLow,
	"critical": SeverityCritical, "high": SeverityHigh, "medium": SeverityMedium, "low": SeverityLow}

// semgrep reads Semgrep's JSON: results, errors, paths.scanned. An error of level
// "error" means that a file or a rule was left out.
// Source: semgrep/semgrep cli/src/semgrep/formatter/json.py and its output schema.
func (r *reportReader) semgrep() {
	scanned, results, hasErrors := 0, false, false
	isObject := r.fields(map[string]func(){
		"version": r.into(&r.out.DriverVersion),
		"results": func() { results = r.array(r.semgrepResult) },
		"errors": func() {
			hasErrors = r.array(func() {
				level, kind, message := "", "", ""
				r.fields(map[string]func(){
					"level": r.into(&level), "message": r.into(&message),
					"type": func() {
						if text, ok := r.text(); ok {
							kind = text
						}
					},
				})
				text := strings.TrimSpace(kind + " " + firstLineOf(message))
				if level == "warn" || level == "info" {
					r.warn("Semgrep warned: %s", text)
				} else {
					r.incomplete("Semgrep ended with an error: %s", text)
				}
			})
		},
		"paths": func() {
			r.fields(map[string]func(){"scanned": func() { scanned = len(r.texts()) }})
		},
	})
	switch {
	case !isObject || !results || !hasErrors:
		r.incomplete("no results or no errors: not a report of Semgrep")
	case scanned == 0:
		r.incomplete("Semgrep scanned no file")
	}
}

func (r *reportReader) semgrepResult() {
	f := ScanFinding{Kind: FindingCode, Severity: SeverityUnknown}
	sca := false
	r.fields(map[string]func(){
		"check_id": r.into(&f.ID),
		"path":     r.into(&f.Location),
		"extra": func() {
			r.fields(map[string]func(){
				"severity": func() { f.Severity = wordSeverity(r.word(), semgrepWords) },
				"is_ignored": func() {
					if yes, _ := r.boolean(); yes {
						f.Suppressed = "nosemgrep"
					}
				},
				"sca_info": func() { sca = r.peek() == '{'; r.skip() },
			})
		},
	})
	if sca {
		f.Kind = FindingVuln
	}
	r.add(f)
}

// gitleaks reads Gitleaks' JSON: an array, [] when clean. Every entry is a secret. The
// secret itself is never kept: a report that carries it is marked.
// Source: gitleaks/gitleaks report/finding.go.
func (r *reportReader) gitleaks() {
	if !r.array(func() {
		f := ScanFinding{Kind: FindingSecret, Severity: SeverityUnknown}
		secret, message := "", ""
		r.fields(map[string]func(){"RuleID": r.into(&f.ID), "File": r.into(&f.Location), "Secret": r.into(&secret), "Message": r.into(&message)})
		if secret != "" && secret != "REDACTED" {
			r.unredacted()
		}
		if message != "" {
			r.commitMessage()
		}
		r.add(f)
	}) {
		r.incomplete("the report is no array")
	}
}

// unredacted marks a report that must not leave the pipeline.
func (r *reportReader) unredacted() {
	if !r.out.Unredacted {
		r.warn("the report carries the secrets themselves; run gitleaks with --redact")
	}
	r.out.Unredacted = true
}

// commitMessage warns, once, that `gitleaks git` leaves messages as they are with
// --redact, too: a secret in one would be published.
func (r *reportReader) commitMessage() {
	const text = "the report carries commit messages and authors, which gitleaks does not redact; gitleaks dir leaves them out"
	if !slices.Contains(r.out.Warnings, text) {
		r.warn(text)
	}
}

// firstLineOf is the first line of a text, shortened.
func firstLineOf(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 200 {
		s = s[:200]
	}
	return s
}
