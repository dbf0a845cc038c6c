package trust

import (
	"slices"
	"strconv"
	"strings"
)

// sarifRule is what a result's rule says.
type sarifRule struct {
	id       string
	level    string // of defaultConfiguration
	word     string // the scanner's own word for the severity, where it has one
	score    string // security-severity
	kind     FindingKind
	resolved bool
}

// sarif reads SARIF 2.1.0 of Trivy, Snyk, Semgrep and Gitleaks. The severity of a result
// is the worst of the scanner's word, the level (the result's, else the rule's default,
// else "warning") and security-severity; a result whose rule is not there is unknown.
// Source: OASIS SARIF 2.1.0; what the scanners write: research/verification.md 2.3.
func (r *reportReader) sarif() {
	version, runs := "", 0
	list := false
	if !r.fields(map[string]func(){
		"version": r.into(&version),
		"runs": func() {
			list = r.array(func() {
				runs++
				r.sarifRun(r.raw())
			})
		},
	}) || version != "2.1.0" || !list {
		r.incomplete("not SARIF 2.1.0")
		return
	}
	if runs == 0 {
		r.incomplete("SARIF without a run")
	}
}

// sub reads a part of the report with the same results.
func (r *reportReader) sub(data []byte, read func(*reportReader)) {
	s := *r
	s.cursor = cursor{data: data}
	read(&s)
	r.out, r.err = s.out, s.err
}

// sarifRun reads a run twice: rules first, for results may stand before them.
func (r *reportReader) sarifRun(run []byte) {
	var rules []sarifRule
	results, list, looked := 0, false, false
	r.sub(run, func(s *reportReader) { rules, looked = s.sarifTool() })
	r.sub(run, func(s *reportReader) {
		if !s.fields(map[string]func(){
			"results":     func() { list = s.array(func() { results++; s.sarifResult(rules) }) },
			"invocations": func() { s.array(s.sarifInvocation) },
			"properties": func() {
				s.fields(map[string]func(){"imageID": s.into(&s.out.ImageID), "repoDigests": func() { s.out.RepoDigests = s.texts() },
					"coverage": func() { looked = s.snykCoverage() || looked }})
			},
		}) || !list {
			s.incomplete("a run without results")
		}
	})
	if r.scanner == Snyk && results == 0 && !looked {
		r.incomplete("nothing was found, and the report does not say that Snyk looked at anything (artifactsScanned)")
	}
	if r.scanner == Trivy && results == 0 {
		r.out.NoOS = true // nothing found, or nothing looked at: Trivy's SARIF does not say
	}
}

// snykCoverage reports whether Snyk Code looked at a file: [{files, isSupported, lang}].
func (r *reportReader) snykCoverage() (looked bool) {
	r.array(func() {
		files, supported := int64(0), false
		r.fields(map[string]func(){
			"files":       func() { files = r.count() },
			"isSupported": func() { supported, _ = r.boolean() },
		})
		looked = looked || supported && files > 0
	})
	return looked
}

// count reads an integer; 0 for anything else.
func (r *reportReader) count() int64 {
	n, _ := r.number()
	v, _ := n.Int64()
	return v
}

// sarifTool reads the driver and its rules. looked says that the driver tells how much it
// looked at, and that it is not nothing.
func (r *reportReader) sarifTool() (rules []sarifRule, looked bool) {
	name := ""
	r.fields(map[string]func(){"tool": func() {
		r.fields(map[string]func(){"driver": func() {
			r.fields(map[string]func(){
				"name":            r.into(&name),
				"semanticVersion": r.into(&r.out.DriverVersion),
				"version":         r.into(&r.out.DriverVersion),
				"properties": func() {
					r.fields(map[string]func(){"artifactsScanned": func() { looked = r.count() > 0 }})
				},
				"rules": func() { r.array(func() { rules = append(rules, r.sarifRule()) }) },
			})
		}})
	}})
	if !strings.Contains(asciiLower(name), r.scanner) {
		r.incomplete("the report is of \"%s\", not of %s", name, r.scanner)
	}
	if r.scanner == Gitleaks {
		r.out.DriverVersion = "" // always v8.0.0
	}
	return rules, looked
}

func (r *reportReader) sarifRule() sarifRule {
	rule := sarifRule{resolved: true}
	var tags []string
	r.fields(map[string]func(){
		"id": r.into(&rule.id),
		"defaultConfiguration": func() {
			r.fields(map[string]func(){"level": r.into(&rule.level)})
		},
		"shortDescription": func() {
			r.fields(map[string]func(){"text": func() {
				if word, _, ok := strings.Cut(r.word(), " severity"); ok && r.scanner == Snyk {
					rule.word = word
				}
			}})
		},
		"properties": func() {
			r.fields(map[string]func(){
				"tags": func() { tags = r.texts() },
				"security-severity": func() {
					if r.peek() == '"' {
						rule.score = r.word()
					} else { // Snyk writes a number
						n, _ := r.number()
						rule.score = n.String()
					}
				},
			})
		},
	})
	rule.kind = FindingVuln
	if r.scanner == Semgrep {
		rule.kind = FindingCode
	}
	for _, tag := range tags {
		switch tag = asciiLower(tag); {
		case tag == "secret":
			rule.kind = FindingSecret
		case tag == "misconfiguration":
			rule.kind = FindingMisconfig
		case tag == "license":
			rule.kind = FindingLicense
		case r.scanner == Trivy && (plainWords[tag] != "" || tag == "unknown"):
			rule.word = tag
		}
	}
	if r.scanner == Snyk && strings.Contains(rule.id, ":lic:") {
		rule.kind = FindingLicense
	}
	return rule
}

func (r *reportReader) sarifResult(rules []sarifRule) {
	f := ScanFinding{}
	level, kind, index, suppressed := "", "fail", -1, ""
	number := func() {
		n, _ := r.number()
		if v, err := strconv.Atoi(string(n)); err == nil {
			index = v
		}
	}
	r.fields(map[string]func(){
		"ruleId":    r.into(&f.ID),
		"ruleIndex": number,
		"rule": func() {
			r.fields(map[string]func(){"id": r.into(&f.ID), "index": number})
		},
		"level": r.into(&level),
		"kind":  r.into(&kind),
		"locations": func() {
			r.array(func() {
				r.fields(map[string]func(){"physicalLocation": func() {
					r.fields(map[string]func(){"artifactLocation": func() {
						r.fields(map[string]func(){"uri": r.into(&f.Location)})
					}})
				}})
			})
		},
		"partialFingerprints": func() { // gitleaks keeps the commit there
			r.fields(map[string]func(){"commitMessage": func() {
				if r.word() != "" && r.scanner == Gitleaks {
					r.commitMessage()
				}
			}})
		},
		"suppressions": func() {
			r.array(func() {
				by, status := "", ""
				r.fields(map[string]func(){"kind": r.into(&by), "status": r.into(&status)})
				if status == "" || status == "accepted" {
					suppressed = "suppressed " + by
				}
			})
		},
	})
	if kind != "fail" && kind != "" {
		return
	}
	rule := sarifRule{}
	at := slices.IndexFunc(rules, func(x sarifRule) bool { return x.id == f.ID && f.ID != "" })
	switch {
	case index >= 0 && index < len(rules) && (f.ID == "" || rules[index].id == f.ID):
		rule = rules[index]
	case at >= 0:
		rule = rules[at]
	}
	if f.ID == "" {
		f.ID = rule.id
	}
	f.Kind, f.Suppressed = rule.kind, suppressed
	switch {
	case r.scanner == Gitleaks:
		f.Kind = FindingSecret
	case f.Kind == "" && r.scanner == Semgrep:
		f.Kind = FindingCode
	case f.Kind == "":
		f.Kind = FindingVuln
	}
	f.Severity = rule.severity(level)
	r.add(f)
}

// severity is the worst of what result and rule say.
func (rule sarifRule) severity(level string) Severity {
	if !rule.resolved {
		return SeverityUnknown
	}
	if level == "" {
		level = rule.level
	}
	if level == "" {
		level = "warning"
	}
	levels := map[string]Severity{"error": SeverityHigh, "warning": SeverityMedium, "note": SeverityLow, "none": SeverityNone}
	word := SeverityUnknown
	worst := SeverityUnknown
	if s, ok := levels[level]; ok {
		worst = s
	} else {
		return SeverityUnknown
	}
	if rule.word != "" {
		word = wordSeverity(rule.word, plainWords)
		worst = worse(worst, word)
	}
	if score, err := strconv.ParseFloat(rule.score, 64); err == nil && score > 0 {
		worst = worse(worst, cvss(score))
	}
	if rule.word != "" && word == SeverityUnknown && severityRank[worst] < severityRank[SeverityHigh] {
		return SeverityUnknown // the scanner itself did not know: its level says nothing
	}
	return worst
}

// sarifInvocation: an error notification means that the run was not whole, whatever
// executionSuccessful says.
func (r *reportReader) sarifInvocation() {
	notification := func() {
		r.array(func() {
			level, text := "warning", "" // SARIF's default
			r.fields(map[string]func(){
				"level":   r.into(&level),
				"message": func() { r.fields(map[string]func(){"text": r.into(&text)}) },
			})
			if level == "error" {
				r.incomplete("%s ended with an error: %s", r.scanner, firstLineOf(text))
			} else if level == "warning" {
				r.warn("%s warned: %s", r.scanner, firstLineOf(text))
			}
		})
	}
	r.fields(map[string]func(){
		"executionSuccessful": func() {
			if yes, ok := r.boolean(); !ok || !yes {
				r.incomplete("the run was not successful")
			}
		},
		"endTimeUtc":                     r.madeAt,
		"toolExecutionNotifications":     notification,
		"toolConfigurationNotifications": notification,
	})
}
