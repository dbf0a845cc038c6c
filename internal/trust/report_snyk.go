package trust

import "slices"

// snyk reads the JSON of `snyk test` or `snyk container test`: one object, or an array
// with one object a project. ok says nothing: it is false when anything was found.
// Source: snyk/cli test/fixtures and src/lib/snyk-test/legacy.ts.
func (r *reportReader) snyk() {
	projects := 0
	read := func() { projects++; r.snykProject() }
	if r.peek() == '[' {
		r.array(read)
	} else {
		read()
	}
	if projects == 0 {
		r.incomplete("no project was tested")
	}
}

func (r *reportReader) snykProject() {
	seen := map[string]bool{}
	count, hasCount, list, failed := int64(0), false, false, ""
	if !r.fields(map[string]func(){
		"error": func() { failed = r.word() },
		"dependencyCount": func() {
			n, ok := r.number()
			v, err := n.Int64()
			count, hasCount = v, ok && err == nil
		},
		"hasUnknownVersions": func() {
			if yes, _ := r.boolean(); yes {
				r.incomplete("some dependencies have no known version")
			}
		},
		"vulnerabilities": func() {
			list = r.array(func() { r.snykIssue(seen, "") })
		},
		"filtered": func() {
			r.fields(map[string]func(){
				"ignore": func() { r.array(func() { r.snykIssue(seen, "ignored by Snyk's policy") }) },
				"patch":  func() { r.array(func() { r.snykIssue(seen, "patched by Snyk") }) },
			})
		},
		"docker": func() {
			r.fields(map[string]func(){"os": r.skip})
		},
	}) {
		r.incomplete("a project is no object")
		return
	}
	switch {
	case failed != "":
		r.incomplete("Snyk ended with an error: %s", failed)
	case !list:
		r.incomplete("a project has no list of vulnerabilities")
	case !hasCount || count <= 0:
		r.incomplete("Snyk looked at no dependencies")
	}
}

// snykIssue reads one issue. The same one stands there once for each path to it.
func (r *reportReader) snykIssue(seen map[string]bool, suppressed string) {
	f := ScanFinding{Kind: FindingVuln, Severity: SeverityUnknown, Suppressed: suppressed}
	worst, known, kind := Severity(""), true, ""
	more := func() {
		s := wordSeverity(r.word(), plainWords)
		worst, known = worse(worst, s), known && s != SeverityUnknown
	}
	if !r.fields(map[string]func(){
		"id":          r.into(&f.ID),
		"packageName": r.into(&f.Package),
		"version":     r.into(&f.Version),
		"severity":    func() { f.Severity = wordSeverity(r.word(), plainWords) },
		"type":        r.into(&kind),
		"fixedIn":     func() { f.FixedIn = r.texts() },
		// An organisation's policy changed the word; or severity is of the time before
		// critical was one: the worst of them counts.
		"originalSeverity":     more,
		"severityWithCritical": more,
		"identifiers": func() {
			r.object(func(name string) {
				ids := r.texts()
				if name != "CWE" {
					f.Aliases = append(f.Aliases, ids...)
				}
			})
		},
	}) {
		r.incomplete("an issue is no object")
		return
	}
	if kind == "license" {
		f.Kind = FindingLicense
	}
	switch {
	case !known:
		f.Severity = SeverityUnknown
	case worst != "":
		f.Severity = worse(f.Severity, worst)
	}
	slices.Sort(f.Aliases)
	key := f.ID + "\x00" + f.Package + "\x00" + f.Version + "\x00" + suppressed + "\x00" + string(f.Severity)
	if f.ID != "" && seen[key] {
		return
	}
	seen[key] = true
	r.add(f)
}
