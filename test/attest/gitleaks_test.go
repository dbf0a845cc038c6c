package attest

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// scanned is a source tree, a Git repository, that gitleaks looks at.
type scanned struct {
	dir, commit, secret string
}

// fakeSecret has the form of a token and was never one. It is put together here, so that
// no scanner finds it in this file.
func fakeSecret(seed int64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random, text := rand.New(rand.NewSource(seed)), "gh"+"p_"
	for range 36 {
		text += string(letters[random.Intn(len(letters))])
	}
	return text
}

// plant makes a source tree, with a secret in it when asked.
func plant(t *testing.T, secret string, message string) scanned {
	t.Helper()
	s := scanned{dir: t.TempDir(), secret: secret}
	text := "import os\n"
	if secret != "" {
		text += "TOKEN = \"" + secret + "\"\n"
	}
	if err := os.WriteFile(filepath.Join(s.dir, "settings.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, s.dir, "init", "-q", "-b", "main")
	git(t, s.dir, "add", "-A")
	git(t, s.dir, "commit", "-q", "-m", message)
	s.commit = git(t, s.dir, "rev-parse", "HEAD")
	return s
}

// gitleaks runs the real one over a tree and returns its report and its exit code. The
// report is nil when it wrote none.
func gitleaks(t *testing.T, binary string, s scanned, args ...string) (report []byte, exit int64, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "report")
	cmd := exec.CommandContext(ctx, binary, append(slices.Clone(args), "--no-banner", "--report-path", file)...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(s.dir)}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("gitleaks %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	report, err = os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return report, int64(cmd.ProcessState.ExitCode()), string(out)
}

// TestGitleaks runs the real gitleaks and carries each of its reports the whole way: read,
// attested, committed, judged. A secret blocks, a clean tree passes, and a run that left
// something out is signed by nobody and, signed all the same, refused by the host.
func TestGitleaks(t *testing.T) {
	binary := built(t, "../gitleaks", "github.com/zricethezav/gitleaks/v8")
	tealctl := filepath.Join(t.TempDir(), "tealctl")
	build(t, "../..", "./cmd/ctl", tealctl)

	secret := fakeSecret(1)
	dirty := plant(t, secret, "settings")
	clean := plant(t, "", "settings")
	told := plant(t, secret, "remove "+fakeSecret(2))
	baseline, _, _ := gitleaks(t, binary, dirty, "dir", ".", "-f", "json")
	base := filepath.Join(t.TempDir(), "baseline.json")
	if err := os.WriteFile(base, baseline, 0o600); err != nil {
		t.Fatal(err)
	}
	large := plant(t, "", "settings")
	noise := rand.New(rand.NewSource(3))
	for i := range 40 { // more than gitleaks reads in a second
		text := make([]byte, 4<<20)
		for j := range text {
			text[j] = byte('a' + noise.Intn(26))
			if noise.Intn(8) == 0 {
				text[j] = ' '
			}
		}
		if err := os.WriteFile(filepath.Join(large.dir, fmt.Sprintf("noise-%d.txt", i)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	for _, c := range []struct {
		name string
		tree scanned
		args []string
		exit int64 // -1: 0 or 1, as the deadline falls
		// Of the report: how many secrets, and whether they stand in it.
		secrets    int
		unredacted bool
		warns      string
		// Of tealctl attest scan: the code with which it refuses to sign.
		refused release.Code
		// Of the host: the first reasons; "" accepts.
		reasons string
	}{
		{name: "clean", tree: clean, args: []string{"dir", ".", "--redact"}},
		{name: "clean, of the history", tree: clean, args: []string{"git", ".", "--redact"}},
		{name: "secret, redacted", tree: dirty, args: []string{"dir", ".", "--redact"}, exit: 1, secrets: 1, reasons: "secret_found"},
		{name: "secret, redacted, of the history", tree: dirty, args: []string{"git", ".", "--redact"}, exit: 1, secrets: 1, warns: "commit messages", reasons: "secret_found"},
		{name: "secret, its exit code turned off", tree: dirty, args: []string{"dir", ".", "--redact", "--exit-code", "0"}, secrets: 1, reasons: "secret_found"},
		{name: "secret in the clear", tree: dirty, args: []string{"dir", "."}, exit: 1, secrets: 1, unredacted: true, warns: "--redact", refused: release.AttestationMalformed, reasons: "secret_found"},
		{name: "half of the secret in the clear", tree: dirty, args: []string{"dir", ".", "--redact=50"}, exit: 1, secrets: 1, unredacted: true, warns: "--redact", refused: release.AttestationMalformed, reasons: "secret_found"},
		{name: "none of it redacted", tree: dirty, args: []string{"dir", ".", "--redact=0"}, exit: 1, secrets: 1, unredacted: true, warns: "--redact", refused: release.AttestationMalformed, reasons: "secret_found"},
		{name: "another secret in the message", tree: told, args: []string{"git", ".", "--redact"}, exit: 1, secrets: 1, warns: "commit messages", reasons: "secret_found"},
		{name: "a baseline hides it", tree: dirty, args: []string{"dir", ".", "--redact", "--baseline-path", base}, refused: release.AttestationArgsRefused, reasons: "attestation_args_refused"},
		{name: "a baseline behind a switch", tree: dirty, args: []string{"dir", ".", "--redact", "-vb", base}, refused: release.AttestationArgsRefused, reasons: "attestation_args_refused"},
		{name: "one rule that is not the secret's", tree: dirty, args: []string{"dir", ".", "--redact", "--enable-rule", "aws-access-token"}, refused: release.AttestationArgsRefused, reasons: "attestation_args_refused"},
		{name: "staged changes only", tree: dirty, args: []string{"git", ".", "--redact", "--staged"}, refused: release.AttestationArgsRefused, reasons: "attestation_args_refused"},
		{name: "stopped half-way", tree: large, args: []string{"dir", ".", "--redact", "--timeout", "1"}, exit: -1, refused: release.AttestationArgsRefused, reasons: "attestation_args_refused"},
	} {
		for _, format := range []string{"json", "sarif"} {
			t.Run(c.name+"/"+format, func(t *testing.T) {
				args := append(slices.Clone(c.args), "--report-format", format)
				data, exit, log := gitleaks(t, binary, c.tree, args...)
				if exit != c.exit && (c.exit != -1 || exit > 1) {
					t.Fatalf("exit %d, want %d\n%s", exit, c.exit, log)
				}
				form := map[string]string{"json": "gitleaks-json", "sarif": "sarif-2.1.0"}[format]
				report, err := trust.ParseReport(trust.Gitleaks, form, data)
				if err != nil {
					t.Fatal(err)
				}
				secrets := 0
				for _, f := range report.Findings {
					if f.Kind == trust.FindingSecret && f.ID == "github-pat" && f.Location != "" {
						secrets++
					}
				}
				if secrets != c.secrets || secrets != len(report.Findings) || report.Incomplete != "" || report.Unredacted != c.unredacted {
					t.Errorf("read as %+v\n%s", report, data)
				}
				if c.secrets > 0 && strings.Contains(string(data), c.tree.secret) && !report.Unredacted {
					t.Errorf("the secret stands in the report and is not seen there")
				}
				if got := strings.Join(report.Warnings, "; "); c.warns == "" && got != "" || !strings.Contains(got, c.warns) {
					t.Errorf("warnings %q, want %q", got, c.warns)
				}

				r := newClone(t, tealctl, trust.Gitleaks, c.tree.commit)
				if got := reasons(r.verdict()); got != "attestation_missing" {
					t.Fatalf("before anything was attested: %s", got)
				}
				r.write("report.json", data)
				finished := time.Now().UTC()
				attest := []string{"attest", "scan", "--scanner", "gitleaks", "--scanner-version", "8.30.1", "--image", image, "--report", "report.json", "--format", form,
					"--source-commit", c.tree.commit, "--exit-code", strconv.FormatInt(exit, 10), "--finished-on", finished.Format(time.RFC3339), "--key", "ci.pem"}
				for _, word := range args {
					attest = append(attest, "--args="+word)
				}
				out, errs, code := r.run(attest...)
				if got := refusal(errs); got != c.refused || (code == 0) != (c.refused == "") {
					t.Errorf("attest: exit %d, refused as %q, want %q\n%s%s", code, got, c.refused, out, errs)
				}
				if strings.Contains(out+errs, c.tree.secret) && c.tree.secret != "" {
					t.Errorf("attest prints the secret:\n%s%s", out, errs)
				}
				if c.refused != "" {
					if got := reasons(r.verdict()); got != "attestation_missing" {
						t.Errorf("nothing was signed, and the verdict is: %s", got)
					}
					r.byHand(trust.Scan{Scanner: trust.Gitleaks, Version: "8.30.1", FinishedOn: finished, Args: args, ExitCode: exit,
						Target: trust.ScanTarget{Commit: c.tree.commit}, Format: form, Report: data})
				}
				v := r.verdict()
				if got := reasons(v); !strings.HasPrefix(got, c.reasons) || v.Accepted != (c.reasons == "") {
					t.Errorf("verdict %q, want %q: %+v", got, c.reasons, v.Reasons)
				}
			})
		}
	}
}

// TestGitleaksFails: a run that failed leaves either no report, or one that looks clean;
// what tells them apart is said where it can be seen.
func TestGitleaksFails(t *testing.T) {
	binary := built(t, "../gitleaks", "github.com/zricethezav/gitleaks/v8")
	tealctl := filepath.Join(t.TempDir(), "tealctl")
	build(t, "../..", "./cmd/ctl", tealctl)
	clean := plant(t, "", "settings")

	if report, exit, log := gitleaks(t, binary, clean, "dir", "nowhere", "-f", "json"); report != nil || exit == 0 {
		t.Errorf("a directory that is not there: exit %d, %s\n%s", exit, report, log)
	}
	if report, exit, log := gitleaks(t, binary, clean, "dir", ".", "-f", "json", "--no-such-flag"); report != nil || exit == 0 || exit == 1 {
		t.Errorf("an unknown flag: exit %d, %s\n%s", exit, report, log)
	}
	// git refuses, and gitleaks calls it a success: nothing in the report says so.
	report, exit, log := gitleaks(t, binary, scanned{dir: t.TempDir()}, "git", ".", "-f", "json")
	if strings.TrimSpace(string(report)) != "[]" || exit != 0 {
		t.Fatalf("gitleaks git where there is no repository: exit %d, %s\n%s\nif it fails by now, the note in tealctl attest scan and in docs/trust.md can go", exit, report, log)
	}
	r := newClone(t, tealctl, trust.Gitleaks, clean.commit)
	r.write("report.json", report)
	out, errs, code := r.run("attest", "scan", "--scanner", "gitleaks", "--scanner-version", "8.30.1", "--image", image, "--report", "report.json", "--source-commit", clean.commit,
		"--args", "git", "--args", ".", "--finished-on", time.Now().UTC().Format(time.RFC3339), "--key", "ci.pem")
	if code != 0 || !strings.Contains(out, "when git fails") {
		t.Errorf("exit %d, no word about git:\n%s%s", code, out, errs)
	}
	// The exit code of a failure, with the empty report that a failure may leave: as when a
	// deadline passes.
	r = newClone(t, tealctl, trust.Gitleaks, clean.commit)
	r.write("report.json", report)
	_, errs, code = r.run("attest", "scan", "--scanner", "gitleaks", "--scanner-version", "8.30.1", "--image", image, "--report", "report.json", "--source-commit", clean.commit,
		"--args", "dir", "--exit-code", "1", "--finished-on", time.Now().UTC().Format(time.RFC3339), "--key", "ci.pem")
	if code == 0 || refusal(errs) != release.AttestationIncomplete {
		t.Errorf("exit code 1 without a finding: exit %d\n%s", code, errs)
	}
	r.byHand(trust.Scan{Scanner: trust.Gitleaks, Version: "8.30.1", FinishedOn: time.Now(), Args: []string{"dir"}, ExitCode: 1,
		Target: trust.ScanTarget{Commit: clean.commit}, Format: "gitleaks-json", Report: report})
	if got := reasons(r.verdict()); got != string(release.AttestationIncomplete) {
		t.Errorf("verdict %q", got)
	}
}
