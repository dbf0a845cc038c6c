package trust

// unredacted reports whether a gitleaks report in SARIF carries what it found: gitleaks
// writes the secret as the snippet of the place, and REDACTED with --redact.
// Source: gitleaks/gitleaks report/sarif.go. The report has passed checkJSON.
func unredacted(report []byte) bool {
	found := false
	c := cursor{data: report}
	var walk func(inSnippet bool)
	walk = func(inSnippet bool) {
		switch c.peek() {
		case '{':
			c.object(func(name string) {
				if text := inSnippet && name == "text"; text && c.peek() == '"' {
					s := c.word()
					found = found || s != "" && s != "REDACTED"
					return
				}
				walk(name == "snippet")
			})
		case '[':
			c.array(func() { walk(inSnippet) })
		default:
			c.skip()
		}
	}
	walk(false)
	return found
}
