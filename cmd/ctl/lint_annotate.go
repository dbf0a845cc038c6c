package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// found is a problem or a warning.
type found struct {
	release.Problem
	warns bool
}

// found are all that lint found, in its order.
func (r lintReply) found() (out []found) {
	for _, l := range r.Releases {
		for _, p := range l.Problems {
			out = append(out, found{p, false})
		}
		for _, p := range l.Warnings {
			out = append(out, found{p, true})
		}
	}
	return out
}

// text is a problem's message with what to do.
func problemText(p release.Problem) string {
	if p.Next == "" {
		return p.Message
	}
	return p.Message + "; " + p.Next
}

// problemTitle names the reason by number and word: TEAL-1003 unknown_key.
func problemTitle(p release.Problem) string {
	if r, ok := release.Lookup(p.Code); ok {
		return r.ID() + " " + string(p.Code)
	}
	return string(p.Code)
}

var (
	// What GitHub's runner reads as a part of a workflow command, written so that it does not.
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotateGitHub writes one workflow command for each problem, which GitHub shows at the
// line of the file.
func annotateGitHub(w io.Writer, reply lintReply) error {
	for _, p := range reply.found() {
		command := "error"
		if p.warns {
			command = "warning"
		}
		if _, err := fmt.Fprintf(w, "::%s file=%s,line=%d,title=%s::%s\n", command, githubProperty.Replace(p.File), max(1, p.Line),
			githubProperty.Replace(problemTitle(p.Problem)), githubData.Replace(problemText(p.Problem))); err != nil {
			return err
		}
	}
	return nil
}

// codeQuality is one entry of GitLab's code quality report.
type codeQuality struct {
	Description string          `json:"description"`
	CheckName   string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"`
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string       `json:"path"`
	Lines qualityLines `json:"lines"`
}

type qualityLines struct {
	Begin int `json:"begin"`
}

// annotateGitLab writes a code quality report. A fingerprint holds no line, so that GitLab
// knows a problem again that only moved.
func annotateGitLab(w io.Writer, reply lintReply) error {
	report, seen := []codeQuality{}, map[string]int{}
	for _, p := range reply.found() {
		severity := "major"
		if p.warns {
			severity = "minor"
		}
		key := p.File + "\x00" + string(p.Code) + "\x00" + p.Message
		seen[key]++
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, seen[key]))
		report = append(report, codeQuality{problemText(p.Problem), string(p.Code), hex.EncodeToString(sum[:]), severity,
			qualityLocation{p.File, qualityLines{max(1, p.Line)}}})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
