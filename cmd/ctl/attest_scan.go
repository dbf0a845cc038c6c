package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tealops/teal/internal/trust"
	"github.com/tealops/teal/internal/ui"
)

// scanFlags say how a scanner was run.
type scanFlags struct {
	attesting
	scanner, version, report, format    string
	platform, repository, commit, place string
	args, checks                        []string
	exitCode                            int64
	dbUpdatedAt, startedOn, finishedOn  string
}

func (t *tool) attestScan() *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan --scanner NAME --image NAME@sha256:… --report FILE --key PEM",
		Short: "Sign a scanner's report about an image",
		Long: `Sign the native report of trivy, snyk, pip-audit, semgrep or gitleaks, as it stands. The
agent reads it and decides; findings are no reason not to sign. Refused is what proves
nothing: a scan that was told to leave things out (--severity, --ignore-unfixed, …), one
that is incomplete, and a gitleaks report with the secrets in it.

When the scan ended is the report's own time where it has one; else say it with
--finished-on, not later than it was: freshness is judged by it.

Say with --args how the scanner was run, one word each time. Scanners of source code
(semgrep, gitleaks; pip-audit and snyk when they read the source) need --source-commit.`,
		Example: `  trivy image --format json --output trivy.json registry.example.com/shop@sha256:…
  tealctl attest scan --scanner trivy --image registry.example.com/shop@sha256:… --report trivy.json \
    --args image --args --format --args json --db-updated-at 2026-11-23T06:00:00Z --platform linux/amd64 --key ci.pem
  tealctl attest scan --scanner gitleaks --scanner-version 8.30.1 --image registry.example.com/shop@sha256:… \
    --report gitleaks.json --finished-on "$(date -u +%FT%TZ)" --source-commit $(git rev-parse HEAD) --args dir --args --redact --key env://CI_KEY`,
		Args: cobra.NoArgs, Annotations: writes(fromFiles, exitNotAuthorised),
		RunE: func(c *cobra.Command, _ []string) error {
			image, err := f.subject()
			if err != nil {
				return err
			}
			scan, err := f.scan(t, image)
			if err != nil {
				return err
			}
			statement, report, err := scan.Statement(image)
			if err != nil {
				return refused(err)
			}
			reply, err := f.sign(c.Context(), t, scan.Scanner, image, trust.PredicateTypeScan, statement)
			if err != nil {
				return err
			}
			reply.Findings = map[string]int{}
			for _, x := range report.Findings {
				reply.Findings[string(x.Severity)]++
			}
			for _, w := range report.Warnings {
				reply.Notes = append(reply.Notes, trust.Escape(w))
			}
			if report.NoOS {
				reply.Notes = append(reply.Notes, "trivy recognised no operating system: the policy must list the app under allowNoOS")
			}
			if scan.Scanner == trust.Gitleaks && slices.Contains(scan.Args, "git") && len(report.Findings) == 0 {
				reply.Notes = append(reply.Notes, "gitleaks git writes an empty report and ends with 0 when git fails, too: look at its log, or scan the tree with gitleaks dir")
			}
			return t.print(reply, func(s ui.Style) string { return attestedText(s, reply) })
		},
	}
	f.flags(c)
	l := c.Flags()
	l.StringVar(&f.scanner, "scanner", "", "trivy, snyk, pip-audit, semgrep or gitleaks")
	l.StringVar(&f.version, "scanner-version", "", "the scanner's version; default: as the report says")
	l.StringVar(&f.report, "report", "", "the report, a file or - for stdin")
	l.StringVar(&f.format, "format", "", "the report's format: SCANNER-json or sarif-2.1.0; default: SCANNER-json")
	l.StringVar(&f.platform, "platform", "", "the platform that was scanned, such as linux/amd64; needed for images with several")
	l.StringVar(&f.repository, "source-repository", "", "the repository that was scanned")
	l.StringVar(&f.commit, "source-commit", "", "the commit that was scanned, in full")
	l.StringVar(&f.place, "source-path", "", "the directory of it that was scanned; default: all of it")
	l.StringArrayVar(&f.args, "args", nil, "a word of the scanner's command line, without the program (repeatable)")
	l.StringArrayVar(&f.checks, "policy-check", nil, "NAME=RESULT of a further check; anything but passed blocks (repeatable)")
	l.Int64Var(&f.exitCode, "exit-code", 0, "the scanner's exit code")
	l.StringVar(&f.dbUpdatedAt, "db-updated-at", "", "when the scanner's database was updated, RFC 3339; snyk: as finished-on")
	l.StringVar(&f.startedOn, "started-on", "", "when the scan began, RFC 3339; default: as finished-on")
	l.StringVar(&f.finishedOn, "finished-on", "", "when the scan ended, RFC 3339; default: as the report says, if it does (trivy's JSON, SARIF with endTimeUtc)")
	return c
}

// scan is what the flags say.
func (f *scanFlags) scan(t *tool, image string) (trust.Scan, error) {
	s := trust.Scan{Scanner: f.scanner, Version: f.version, Args: f.args, ExitCode: f.exitCode, Format: f.format}
	if f.scanner == "" || f.report == "" {
		return s, usage(errors.New("attest scan needs --scanner and --report"))
	}
	if s.Format == "" {
		s.Format = f.scanner + "-json"
	}
	err := f.read(t, &s)
	if err != nil {
		return s, err
	}
	for _, at := range []struct {
		flag, text string
		to         *time.Time
	}{{"finished-on", f.finishedOn, &s.FinishedOn}, {"started-on", f.startedOn, &s.StartedOn}, {"db-updated-at", f.dbUpdatedAt, &s.DBUpdatedAt}} {
		if at.text == "" {
			continue
		}
		if *at.to, err = time.Parse(time.RFC3339Nano, at.text); err != nil {
			return s, usage(fmt.Errorf("--%s %s: write a time as 2026-11-23T14:00:00Z", at.flag, trust.Escape(at.text)))
		}
	}
	if s.FinishedOn.IsZero() {
		// Never the file's time: that of a copy, or of an artifact that was fetched, is later.
		report, err := trust.ParseReport(s.Scanner, s.Format, s.Report)
		if err != nil {
			return s, refused(err)
		}
		if report.MadeAt.IsZero() {
			return s, usage(fmt.Errorf("the report does not say when the scan ended: give --finished-on, taken right after %s ran (date -u +%%FT%%TZ)", trust.Escape(f.scanner)))
		}
		s.FinishedOn = report.MadeAt
	}
	if s.StartedOn.IsZero() {
		s.StartedOn = s.FinishedOn
	}
	if s.DBUpdatedAt.IsZero() && f.scanner == trust.Snyk { // its database is a service
		s.DBUpdatedAt = s.FinishedOn
	}
	for _, check := range f.checks {
		name, result, ok := strings.Cut(check, "=")
		if !ok || name == "" || result == "" {
			return s, usage(fmt.Errorf("--policy-check %s: write NAME=passed, NAME=failed or NAME=error", trust.Escape(check)))
		}
		s.PolicyChecks = append(s.PolicyChecks, trust.PolicyCheck{Name: name, Result: result})
	}
	return s, f.target(&s, image)
}

// target says what was looked at: the source, the image, or (Trivy) the image and the
// source that it was built from.
func (f *scanFlags) target(s *trust.Scan, image string) error {
	onlySource := f.scanner == trust.Semgrep || f.scanner == trust.Gitleaks
	if onlySource && f.commit == "" {
		return usage(fmt.Errorf("%s scans source code: say which with --source-commit", f.scanner))
	}
	if f.commit == "" && (f.repository != "" || f.place != "") {
		return usage(errors.New("--source-repository and --source-path need --source-commit"))
	}
	s.Target = trust.ScanTarget{Repository: f.repository, Commit: f.commit, Path: f.place}
	if f.commit != "" && s.Target.Path == "" {
		s.Target.Path = "."
	}
	if f.scanner == trust.Trivy || f.commit == "" {
		s.Target.Image, s.Target.Platform = image, f.platform
	} else if f.platform != "" {
		return usage(errors.New("--platform is an image's; this is a scan of source code"))
	}
	return nil
}

// read reads the report.
func (f *scanFlags) read(t *tool, s *trust.Scan) error {
	var in io.Reader = t.stdin
	if f.report != "-" {
		file, err := os.Open(f.report)
		if err != nil {
			return usage(fmt.Errorf("read the report: %w", err))
		}
		defer file.Close()
		in = file
	}
	var err error
	if s.Report, err = io.ReadAll(io.LimitReader(in, trust.MaxAttestation+1)); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	if len(s.Report) > trust.MaxAttestation {
		return refused(fmt.Errorf("the report is longer than %d bytes", trust.MaxAttestation))
	}
	return nil
}
