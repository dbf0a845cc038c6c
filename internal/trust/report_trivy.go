package trust

import (
	"bytes"
	"strings"
)

// trivy reads Trivy's JSON: Results[].{Vulnerabilities, Secrets, Misconfigurations,
// Licenses}. Results is left out both when nothing was found and when no operating
// system was recognised, so the metadata must say which.
// Source: aquasecurity/trivy pkg/types/report.go, integration/testdata/*.golden.
func (r *reportReader) trivy() {
	if n := bytes.Count(r.data, []byte(`"VulnerabilityID"`)); n > 0 {
		r.out.Findings = make([]ScanFinding, 0, min(n, maxFindings))
	}
	kind, hasOS, schema := "", false, false
	if !r.fields(map[string]func(){
		"SchemaVersion": func() { _, schema = r.number() },
		"ArtifactType":  r.into(&kind),
		"CreatedAt":     r.madeAt,
		"Trivy": func() { // newer versions say which they are
			r.fields(map[string]func(){"Version": r.into(&r.out.DriverVersion)})
		},
		"Metadata": func() {
			r.fields(map[string]func(){
				"OS": func() {
					family := ""
					r.fields(map[string]func(){
						"Family": r.into(&family),
						"EOSL":   func() { r.out.EndOfLife, _ = r.boolean() },
					})
					hasOS = family != "" && family != "none"
				},
				"ImageID":     r.into(&r.out.ImageID),
				"RepoDigests": func() { r.out.RepoDigests = r.texts() },
			})
		},
		"Results": func() {
			r.array(func() { r.trivyResult() })
		},
	}) {
		r.incomplete("the report is no object")
		return
	}
	switch {
	case !schema:
		r.incomplete("no SchemaVersion: not a report of Trivy")
	case kind != "container_image":
		r.incomplete("ArtifactType is \"%s\", want container_image", kind)
	}
	r.out.NoOS = !hasOS
}

func (r *reportReader) trivyResult() {
	target := ""
	first := len(r.out.Findings)
	r.fields(map[string]func(){
		"Target":          r.into(&target),
		"Vulnerabilities": func() { r.array(r.trivyVulnerability) },
		"Secrets": func() {
			r.array(func() {
				f := ScanFinding{Kind: FindingSecret}
				r.fields(map[string]func(){"RuleID": r.into(&f.ID), "Severity": func() { f.Severity = wordSeverity(r.word(), plainWords) }})
				r.add(f)
			})
		},
		"Misconfigurations": func() {
			r.array(func() {
				f, status := ScanFinding{Kind: FindingMisconfig}, ""
				r.fields(map[string]func(){"ID": r.into(&f.ID), "Status": r.into(&status), "Severity": func() { f.Severity = wordSeverity(r.word(), plainWords) }})
				if status != "PASS" && status != "EXCEPTION" {
					r.add(f)
				}
			})
		},
		"Licenses": func() {
			r.array(func() {
				f := ScanFinding{Kind: FindingLicense}
				r.fields(map[string]func(){"Name": r.into(&f.ID), "PkgName": r.into(&f.Package), "Severity": func() { f.Severity = wordSeverity(r.word(), plainWords) }})
				r.add(f)
			})
		},
		"ExperimentalModifiedFindings": func() { r.array(r.trivyModified) },
	})
	for i := first; i < len(r.out.Findings); i++ {
		r.out.Findings[i].Location = target
	}
}

func (r *reportReader) trivyVulnerability() { r.add(r.trivyFinding()) }

func (r *reportReader) trivyFinding() ScanFinding {
	f, fixed := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown}, ""
	r.object(func(name string) { // a switch: there may be 100,000 of them
		switch name {
		case "VulnerabilityID":
			f.ID = r.word()
		case "VendorIDs":
			f.Aliases = r.texts()
		case "PkgName":
			f.Package = r.word()
		case "InstalledVersion":
			f.Version = r.word()
		case "FixedVersion":
			fixed = r.word()
		case "Severity":
			f.Severity = wordSeverity(r.word(), plainWords)
		default:
			r.skip()
		}
	})
	f.FixedIn = splitList(fixed)
	return f
}

// trivyModified reads a finding that was ignored or VEX-ed where Trivy ran.
func (r *reportReader) trivyModified() {
	f, status, source, kind := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown}, "", "", ""
	r.fields(map[string]func(){
		"Type":    r.into(&kind),
		"Status":  r.into(&status),
		"Source":  r.into(&source),
		"Finding": func() { f = r.trivyFinding() },
	})
	if strings.Contains(kind, "secret") {
		f.Kind = FindingSecret
	}
	f.Suppressed = strings.TrimSpace(status + " " + source)
	if f.Suppressed == "" {
		f.Suppressed = "modified"
	}
	if f.ID == "" { // of a kind that names its id otherwise
		f.ID = "modified " + kind
	}
	r.add(f)
}
