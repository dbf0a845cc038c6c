package trust

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// recorded is where reports lie that the scanners wrote; README.md beside them says where
// each is from.
const recorded = "testdata/reports"

// recordedAs tells the scanner and the format by a file's name.
func recordedAs(name string) (scanner, format string) {
	for _, s := range Scanners() {
		if strings.HasPrefix(name, s+"-") {
			scanner = s
		}
	}
	if format = scanner + "-json"; strings.HasSuffix(name, ".sarif") {
		format = "sarif-2.1.0"
	}
	return scanner, format
}

// TestRecordedReports reads what the scanners wrote and compares all that teal makes of it
// with testdata/reports/golden.txt.
func TestRecordedReports(t *testing.T) {
	files, err := os.ReadDir(recorded)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(recorded, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	seen := map[string]bool{}
	for _, file := range files {
		name := file.Name()
		if name == "README.md" || name == "golden.txt" {
			continue
		}
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not say where %s is from", name)
		}
		data, err := os.ReadFile(filepath.Join(recorded, name))
		if err != nil {
			t.Fatal(err)
		}
		scanner, format := recordedAs(name)
		seen[scanner+" "+format] = true
		r, err := ParseReport(scanner, format, data)
		fmt.Fprintf(&out, "== %s\n", name)
		if err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
			continue
		}
		out.WriteString(whole(r))
	}
	for _, form := range []string{"trivy trivy-json", "trivy sarif-2.1.0", "snyk snyk-json", "snyk sarif-2.1.0", "pip-audit pip-audit-json",
		"semgrep semgrep-json", "semgrep sarif-2.1.0", "gitleaks gitleaks-json", "gitleaks sarif-2.1.0"} {
		if !seen[form] {
			t.Errorf("there is no report of %s", form)
		}
	}
	golden := filepath.Join(recorded, "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", golden, diff)
	}
}

// whole is all of a report, a line each.
func whole(r Report) string {
	var out strings.Builder
	line := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%s: %s\n", what, value)
		}
	}
	line("version", r.DriverVersion)
	if !r.MadeAt.IsZero() {
		line("made at", stamp(r.MadeAt))
	}
	line("image id", r.ImageID)
	line("repo digests", strings.Join(r.RepoDigests, " "))
	for _, f := range r.Findings {
		text := fmt.Sprintf("%s %s %s", f.Kind, f.Severity, f.ID)
		if len(f.Aliases) > 0 {
			text += " = " + strings.Join(f.Aliases, " = ")
		}
		if f.Package != "" {
			text += " in " + f.Package + " " + f.Version
		}
		if f.Location != "" {
			text += " at " + f.Location
		}
		if len(f.FixedIn) > 0 {
			text += " fixed in " + strings.Join(f.FixedIn, " or ")
		}
		line("finding", text)
		line("  suppressed", f.Suppressed)
	}
	line("skipped", strings.Join(r.Skipped, " "))
	line("incomplete", r.Incomplete)
	for what, yes := range map[string]bool{"no operating system recognised": r.NoOS, "end of life": r.EndOfLife, "unredacted": r.Unredacted} {
		if yes {
			r.Warnings = append(r.Warnings, "("+what+")")
		}
	}
	slices.Sort(r.Warnings)
	for _, w := range r.Warnings {
		line("note", w)
	}
	return out.String()
}
