package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
)

// scans is the one place that decides on scanners' reports: for every image and every
// scanner that the policy asks for, the newest trusted scan decides
// (research/verification.md 2.4). "One clean scan is enough" would let an old one win.
func (j *judgement) scans(now time.Time, waives func(string) bool) (gateResult, []Finding) {
	rules := j.policy.Rules()
	if len(rules.Scans) == 0 {
		return skipped("the policy asks for no scans"), nil
	}
	if why := j.in.Evidence.TooLarge; why != "" {
		return fails(release.AttestationTooLarge, "%s", Escape(why)), nil
	}
	var reasons, notes []Finding
	passed := map[string]bool{}
	for _, image := range j.images() {
		for _, scanner := range slices.Sorted(maps.Keys(rules.Scans)) {
			s := scanJudge{j: j, now: now, image: image, scanner: scanner, rule: rules.Scans[scanner], waives: waives}
			s.judge()
			reasons, notes = append(reasons, s.reasons...), append(notes, s.notes...)
			if len(s.reasons) == 0 {
				passed[scanner] = true
			}
		}
	}
	if len(reasons) > 0 {
		return refuse(reasons...), notes
	}
	return pass("%s, %d images", strings.Join(slices.Sorted(maps.Keys(passed)), ", "), len(j.images())), notes
}

// images are the digests (hex) that the release runs, sorted, each once.
func (j *judgement) images() []string {
	var out []string
	for _, s := range j.in.Release.Services {
		if _, hex, ok := strings.Cut(s.Image, "@sha256:"); ok {
			out = append(out, hex)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// attested are the attestations, read. Those that were read with the keys of an earlier
// policy are good as long as this one still lists the key: each use asks for that.
func (j *judgement) attested() []Attestation {
	if j.in.Evidence.Attestations != nil {
		j.in.Evidence.Attest(j.policy)
	}
	return j.in.Evidence.Attested
}

// scanJudge judges one image for one scanner.
type scanJudge struct {
	j       *judgement
	now     time.Time
	image   string // hex
	scanner string
	rule    ScanRule
	waives  func(string) bool

	reasons, notes []Finding
}

// no is a reason against the release.
func (s *scanJudge) no(code release.Code, format string, args ...any) {
	s.reasons = append(s.reasons, found(code, s.where()+fmt.Sprintf(format, args...), ""))
}

func (s *scanJudge) where() string {
	return fmt.Sprintf("%s of image %.12s: ", s.scanner, s.image)
}

func (s *scanJudge) judge() {
	facts := s.j.in.Evidence.Images[s.image]
	var deciding []Attestation
	var problems []Finding
	for _, a := range s.j.attested() {
		if !s.concerns(a, facts) {
			continue
		}
		if f := s.unusable(a, facts); f != nil {
			problems = append(problems, *f)
			continue
		}
		switch {
		case len(deciding) == 0 || a.Scan.FinishedOn.After(deciding[0].Scan.FinishedOn):
			deciding = []Attestation{a}
		case a.Scan.FinishedOn.Equal(deciding[0].Scan.FinishedOn):
			deciding = append(deciding, a)
		}
	}
	if len(deciding) == 0 {
		s.missing(problems)
		return
	}
	for _, f := range problems { // beside a good one they decide nothing, and are shown
		f.Waits = false
		s.notes = append(s.notes, f)
	}
	if newest, ok := s.j.in.Marks.Scans[s.image+"/"+s.scanner]; ok && deciding[0].Scan.FinishedOn.Before(newest) {
		s.no(release.AttestationRollback, "a scan of %s was seen, now the newest is of %s", newest.Format(timeForm), deciding[0].Scan.FinishedOn.UTC().Format(timeForm))
		return
	}
	for _, a := range deciding { // equal times: all must pass
		s.decide(a, facts)
	}
}

// concerns reports whether a file may be about this image and this scanner: it lies in
// the image's folder or is about the image, and is not known to be of another scanner
// or kind.
func (s *scanJudge) concerns(a Attestation, facts ImageFacts) bool {
	if a.File.Image != s.image && !a.about(s.image, facts) {
		return false
	}
	if a.Scan != nil {
		return a.Scan.Scanner == s.scanner
	}
	return a.Problem != nil && a.Tests == nil && a.Provenance == nil && a.Deployment == nil && a.VEX == nil
}

// unusable says why an attestation does not count; nil when it does.
func (s *scanJudge) unusable(a Attestation, facts ImageFacts) *Finding {
	why := func(code release.Code, format string, args ...any) *Finding {
		f := found(code, s.where()+Escape(a.File.Name)+": "+fmt.Sprintf(format, args...), "")
		return &f
	}
	if a.Problem != nil && a.Scan == nil {
		return a.Problem
	}
	switch {
	case !s.j.policy.MayAttest(a.Key, s.scanner, s.j.in.Release.App):
		return why(release.AttestationUntrusted, "key %s of %s may not attest %s for %s", a.Key.ID, a.Key.Service, s.scanner, s.j.in.Release.App)
	case !a.about(s.image, facts):
		return why(release.AttestationMissing, "it is about another image")
	}
	if reason, yes := s.j.policy.RevokedKey(a.Key); yes {
		return why(release.AttestationUntrusted, "key %s is revoked (%s)", a.Key.ID, Escape(reason))
	}
	if code, detail := a.Key.ValidAt(s.now); code != "" {
		return why(release.AttestationUntrusted, "%s", detail)
	}
	if a.Problem != nil {
		return nil // signed by whom it should be: it decides, and refuses
	}
	want := s.j.in.Platform
	index := facts.Manifest != "" && facts.Manifest != s.image
	if got := a.Scan.Target.Platform; want != "" && !sourceScanner(a.Scan) {
		switch {
		case got != "" && got != want:
			return why(release.AttestationMissing, "it is of platform %s, this host is %s", Escape(got), want)
		case got == "" && index && !slices.Contains(a.Subjects, facts.Manifest):
			return why(release.AttestationMissing, "the image has several platforms and the scan does not say which it looked at; this host is %s", want)
		}
	}
	return nil
}

// sourceScanner reports whether a scan looked at source code, not at an image.
func sourceScanner(s *Scan) bool { return s.Target.Image == "" && s.Target.Commit != "" }

// missing is the reason when nothing counts: what is wrong with what is there, or that
// there is nothing.
func (s *scanJudge) missing(problems []Finding) {
	if at, ok := s.j.in.Marks.Scans[s.image+"/"+s.scanner]; ok {
		s.no(release.AttestationRollback, "a scan of %s was seen and is gone", at.UTC().Format(timeForm))
		return
	}
	if why := s.j.in.Evidence.Unreachable; why != "" {
		s.no(release.AttestationUnreachable, "none in Git; %s", Escape(why))
		return
	}
	for _, f := range problems {
		if f.Code != release.AttestationMissing {
			s.reasons = append(s.reasons, f)
			return
		}
	}
	if len(problems) > 0 {
		s.reasons = append(s.reasons, problems[0])
		return
	}
	s.no(release.AttestationMissing, "no attestation")
}

// decide judges the newest scan.
func (s *scanJudge) decide(a Attestation, facts ImageFacts) {
	if a.Problem != nil {
		s.reasons = append(s.reasons, *a.Problem)
		return
	}
	scan, report := a.Scan, a.Report
	s.times(scan, report)
	s.completeness(scan, report)
	s.subject(scan, report, facts)
	for _, c := range scan.PolicyChecks {
		if c.Result != "passed" {
			s.no(release.PolicyCheckFailed, "policy check \"%s\": %s", Escape(c.Name), Escape(c.Result))
		}
	}
	s.findings(report)
}

func (s *scanJudge) times(scan *Scan, report *Report) {
	at := scan.FinishedOn
	if !scan.StartedOn.IsZero() && at.Before(scan.StartedOn) {
		s.no(release.AttestationMalformed, "it ended at %s, before it began", at.UTC().Format(timeForm))
	}
	if at.After(s.now.Add(MaxSkew)) {
		s.no(release.AttestationFuture, "made at %s, in this host's future", at.UTC().Format(timeForm))
	}
	if scan.DBUpdatedAt.After(s.now.Add(MaxSkew)) {
		s.no(release.AttestationFuture, "its database is of %s, in this host's future", scan.DBUpdatedAt.UTC().Format(timeForm))
	}
	if report.MadeAt.After(s.now.Add(MaxSkew)) {
		s.no(release.AttestationFuture, "its report was made at %s, in this host's future", report.MadeAt.Format(timeForm))
	}
	if s.waives(WaiveScanAge) {
		return
	}
	if !report.MadeAt.IsZero() && report.MadeAt.Before(at) { // an old report, signed late
		at = report.MadeAt
	}
	if age := s.now.Sub(at); s.rule.MaxAge > 0 && age >= s.rule.MaxAge {
		s.no(release.AttestationStale, "made at %s, older than %s", at.UTC().Format(timeForm), s.rule.MaxAge)
	}
	if s.rule.MaxDBAge == 0 {
		return
	}
	if scan.DBUpdatedAt.IsZero() {
		s.no(release.AttestationIncomplete, "it does not say how old its database was (dbUpdatedAt)")
	} else if age := at.Sub(scan.DBUpdatedAt); age > s.rule.MaxDBAge {
		s.no(release.AttestationDBStale, "its database was %s old, at most %s is allowed", age.Round(time.Second), s.rule.MaxDBAge)
	}
}

func (s *scanJudge) completeness(scan *Scan, report *Report) {
	app := s.j.in.Release.App
	if arg := ArgsRefused(s.scanner, scan.Args, s.rule.AllowArgs); arg != "" {
		s.no(release.AttestationArgsRefused, "it ran with %s", Escape(arg))
	}
	if report.Incomplete != "" {
		s.no(release.AttestationIncomplete, "%s", Escape(report.Incomplete))
	}
	if why := unfinished(scan.ExitCode, report); why != "" {
		s.no(release.AttestationIncomplete, "%s", why)
	}
	if report.NoOS && !slices.Contains(s.rule.AllowNoOS, app) && !slices.Contains(s.rule.AllowNoOS, "*") {
		s.no(release.AttestationIncomplete, "no operating system was recognised in the image, so its packages were not looked at (allowNoOS lets such an app pass)")
	}
	if report.EndOfLife && s.rule.BlockEndOfLife {
		s.no(release.FindingBlocked, "the image's operating system gets no more fixes")
	}
	for _, name := range report.Skipped {
		if !slices.Contains(s.rule.AllowSkipped, name) {
			s.no(release.AttestationIncomplete, "dependency \"%s\" was not looked at", Escape(name))
		}
	}
	for _, w := range report.Warnings {
		s.notes = append(s.notes, found(release.EvidenceIgnored, s.where()+Escape(w), ""))
	}
}

// subject checks that the scanner's own words are about this image, or this source.
func (s *scanJudge) subject(scan *Scan, report *Report, facts ImageFacts) {
	hexes := []string{s.image}
	if facts.Manifest != "" {
		hexes = append(hexes, facts.Manifest)
	}
	ours := func(name string) bool {
		return slices.ContainsFunc(hexes, func(hex string) bool { return strings.HasSuffix(name, "@sha256:"+hex) })
	}
	if name := scan.Target.Image; name != "" && !ours(name) {
		s.no(release.AttestationReportMismatch, "it looked at %s", Escape(name))
	}
	if len(report.RepoDigests) > 0 && !slices.ContainsFunc(report.RepoDigests, ours) {
		s.no(release.AttestationReportMismatch, "the report is about %s", Escape(report.RepoDigests[0]))
	}
	if facts.Config != "" && report.ImageID != "" && report.ImageID != "sha256:"+facts.Config {
		s.no(release.AttestationReportMismatch, "the report is about the image with config %.19s, this one has sha256:%.12s", Escape(report.ImageID), facts.Config)
	}
	switch commit := s.j.in.Release.Source.Commit; {
	case scan.Target.Image != "" && scan.Target.Commit == "":
	case s.scanner == Trivy && scan.Target.Commit == "" && scan.PredicateType != PredicateTypeScan: // cosign's form names no target
	case scan.Target.Commit == "" && scan.PredicateType == PredicateTypeScan:
		s.no(release.AttestationIncomplete, "it does not say what it looked at (scan.target)")
	case scan.Target.Commit != "" && commit != scan.Target.Commit:
		s.no(release.AttestationSourceMismatch, "it looked at commit %.12s, the release says %.12s", Escape(scan.Target.Commit), Escape(commit))
	}
}

// findings judges what was found. Counters of the report play no part.
func (s *scanJudge) findings(report *Report) {
	rules := s.j.policy.Rules()
	blocked, secrets, hidden, waived := []string{}, 0, 0, map[string]int{}
	for _, f := range report.Findings {
		if f.Kind == FindingSecret {
			secrets++
			if len(blocked) < maxFindingsShown {
				blocked = append(blocked, f.words())
			}
			continue
		}
		severity := f.Severity
		if severity == SeverityUnknown && s.rule.UnknownSeverityAs != "" {
			severity = s.rule.UnknownSeverityAs
		}
		if !rules.Blocks(s.scanner, severity) {
			continue
		}
		switch {
		case f.Suppressed != "" && s.rule.HonourSuppressions:
			hidden++
		case s.waived(f, waived):
		default:
			if len(blocked) < maxFindingsShown {
				blocked = append(blocked, f.words())
			}
			waived[""]++
		}
	}
	n := waived[""]
	delete(waived, "")
	switch {
	case secrets > 0:
		s.no(release.SecretFound, "%d secrets: %s", secrets, strings.Join(blocked, "; "))
	case n > 0:
		s.no(release.FindingBlocked, "%d blocking findings: %s", n, strings.Join(blocked, "; "))
	}
	for _, by := range slices.Sorted(maps.Keys(waived)) {
		s.notes = append(s.notes, found(release.FindingWaived, s.where()+by, ""))
	}
	if hidden > 0 {
		s.notes = append(s.notes, found(release.FindingSuppressed, fmt.Sprintf("%s%d findings were suppressed where the scanner ran", s.where(), hidden), ""))
	}
}

// maxFindingsShown is how many findings a reason names.
const maxFindingsShown = 5

// waived reports whether a waiver or the emergency lets the finding pass, and notes which.
func (s *scanJudge) waived(f ScanFinding, notes map[string]int) bool {
	if f.Kind == FindingVuln && s.waives(WaiveVulnerability) || f.Kind == FindingCode && s.waives(WaiveCode) {
		notes[fmt.Sprintf("%s passes by the emergency approval", f.words())]++
		return true
	}
	for _, w := range s.j.waivers(s.now) {
		if w.lets(f, s.j.in.Release.App, s.now) {
			notes[fmt.Sprintf("%s is waived until %s: %s", f.words(), w.ExpiresAt.UTC().Format(timeForm), Escape(w.Reason))]++
			return true
		}
	}
	return false
}

// words names a finding for people.
func (f ScanFinding) words() string {
	text := fmt.Sprintf("%s %s", f.Severity, Escape(f.ID))
	if f.Kind == FindingSecret {
		text = "secret " + Escape(f.ID)
	}
	if f.Package != "" {
		text += " in " + strings.TrimSpace(Escape(f.Package)+" "+Escape(f.Version))
	} else if f.Location != "" {
		text += " in " + Escape(f.Location)
	}
	if len(f.FixedIn) > 0 {
		text += ", fixed in " + Escape(f.FixedIn[0])
	}
	return text
}

// newest is the newest trusted scan of every image and scanner, for the host to
// remember: a bad one that is deleted later must not give way to an older good one.
func (j *judgement) newest(now time.Time) map[string]time.Time {
	var out map[string]time.Time
	for _, a := range j.attested() {
		if a.Scan == nil || a.Scan.FinishedOn.After(now.Add(MaxSkew)) {
			continue
		}
		for _, image := range j.images() {
			facts := j.in.Evidence.Images[image]
			s := scanJudge{j: j, now: now, image: image, scanner: a.Scan.Scanner}
			if !s.concerns(a, facts) || s.unusable(a, facts) != nil {
				continue
			}
			if key := image + "/" + a.Scan.Scanner; a.Scan.FinishedOn.After(out[key]) {
				if out == nil {
					out = map[string]time.Time{}
				}
				out[key] = a.Scan.FinishedOn
			}
		}
	}
	return out
}
