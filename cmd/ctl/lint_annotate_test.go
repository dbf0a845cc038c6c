package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// TestAnnotations: nothing that a manifest or a file name holds ends a workflow command
// early or begins another, and GitLab's fingerprints tell problems apart.
func TestAnnotations(t *testing.T) {
	hostile := release.Problem{File: "a,b:c%\n::error::x/release.yaml", Line: 0, Code: release.UnknownKey, Message: "100%\r\n::set-output name=x::y", Next: "do, this: now"}
	same := release.Problem{File: "f", Line: 3, Code: release.UnknownKey, Message: "m"}
	moved := same
	moved.Line = 9
	reply := lintReply{Releases: []lintedRelease{{Problems: []release.Problem{hostile, same}}, {Problems: []release.Problem{moved}}}}
	var out bytes.Buffer
	if err := annotateGitHub(&out, reply); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := "::error file=a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax/release.yaml,line=1,title=TEAL-"
	if len(lines) != 3 || !strings.HasPrefix(lines[0], want) || !strings.HasSuffix(lines[0], "::100%25%0D%0A::set-output name=x::y; do, this: now") {
		t.Errorf("%q", lines)
	}
	out.Reset()
	if err := annotateGitLab(&out, reply); err != nil {
		t.Fatal(err)
	}
	var report []codeQuality
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report) != 3 {
		t.Fatal(err, report)
	}
	prints := map[string]bool{}
	for _, r := range report {
		prints[r.Fingerprint] = true
		if r.Location.Lines.Begin < 1 || r.Severity != "major" || len(r.Fingerprint) != 64 {
			t.Errorf("%+v", r)
		}
	}
	if len(prints) != 3 {
		t.Errorf("%d fingerprints for 3 problems", len(prints))
	}
	var warned bytes.Buffer
	warning := lintReply{Releases: []lintedRelease{{Warnings: []release.Problem{{File: "f", Line: 3, Code: release.ExitIsBad, Message: "m"}}}}}
	if err := annotateGitHub(&warned, warning); err != nil || warned.String() != "::warning file=f,line=3,title=TEAL-1017 exit_is_bad::m\n" {
		t.Errorf("%v %q", err, warned.String())
	}
	warned.Reset()
	if err := annotateGitLab(&warned, warning); err != nil || !strings.Contains(warned.String(), `"severity": "minor"`) {
		t.Errorf("%v %q", err, warned.String())
	}
	var again bytes.Buffer
	reply.Releases[0].Problems[1].Line = 100
	if err := annotateGitLab(&again, reply); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(again.String(), report[1].Fingerprint) {
		t.Error("a problem that moved is another one")
	}
}
