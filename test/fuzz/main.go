// Command fuzz runs fuzz targets for a set time each and prints, for each, how many
// executions there were and how much of the accept path the found inputs cover: the
// statements of the functions that an accepted input passes. A target whose inputs are
// all refused early would show here. It ends with 1 when a target finds something.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/tools/cover"
)

// target is one fuzz target with the functions of its package that an accepted input
// passes.
type target struct {
	pkg, name string
	files     string // of its accept path
	accept    string // regular expression over function names in those files
}

const module = "github.com/tealops/teal/"

var targets = []target{
	{"internal/trust", "FuzzParseSSHSig", `sshsig\.go`, `^(ParseSSHSig|unarmour|parseSSHSigBlob|fits)$`},
	{"internal/trust", "FuzzParseSSHSigBlob", `sshsig\.go`, `^(parseSSHSigBlob|fits)$`},
	{"internal/trust", "FuzzEnvelope", `envelope\.go`, `^(ParseEnvelope|top|dsse|signature|bundle|material|legacy|name|base64)$`},
	{"internal/trust", "FuzzCheckJSON", `jsonscan\.go`, `^(checkJSON|space|peek|text|value|push|next|key|distinct|plainEnd|str|escape|jsonUnit|number)$`},
	{"internal/trust", "FuzzStrictJSON", `json\.go`, `^(strictJSON|jsonDepth|pairedSurrogates|readJSON)$`},
	{"internal/trust", "FuzzReadStatement", `statement_parse\.go|statement_emergency\.go`, `^(ReadStatement|parseStatement|readPredicate|readEmergency|readTime|parseTime)$`},
	{"internal/trust", "FuzzInToto", `intoto\.go`, `^(ParseInToto|strict|open|list|maybe|need|subject|time)$`},
	{"internal/trust", "FuzzScan", `scan_parse\.go|scan_foreign\.go|vulns\.go`, `.`},
	{"internal/trust", "FuzzEvidenceKinds", `evidence_kinds\.go`, `.`},
	{"internal/trust", "FuzzTrivy", `report_trivy\.go`, `.`},
	{"internal/trust", "FuzzSnyk", `report_snyk\.go`, `.`},
	{"internal/trust", "FuzzPipAudit", `report_small\.go`, `^pip`},
	{"internal/trust", "FuzzSemgrep", `report_small\.go`, `^semgrep`},
	{"internal/trust", "FuzzGitleaks", `report_small\.go`, `^gitleaks`},
	{"internal/trust", "FuzzSARIF", `report_sarif\.go`, `.`},
	{"internal/trust", "FuzzPolicy", `policyfile\.go|policykeys\.go|policyrules\.go|hostaccess\.go`, `.`},
	{"internal/trust", "FuzzPolicyBody", `chain\.go`, `^(ParsePolicyBody|body|root|withBody)$`},
	{"internal/release", "FuzzParse", `parse\.go|manifest\.go|compose\.go|service\.go|route\.go|mount\.go|command\.go|file\.go|shape\.go|value\.go|xteal\.go|yaml\.go`, `.`},
	{"internal/release", "FuzzEnvFile", `envfile\.go`, `.`},
	{"internal/release", "FuzzSchema", `shape\.go|value\.go|xteal\.go|schema\.go`, `.`},
	{"internal/release", "FuzzEdit", `edit\.go`, `.`},
	{"internal/release", "FuzzAdopt", `adopt\.go`, `.`},
}

func main() {
	of := flag.String("run", ".", "regular expression of the targets to run")
	each := flag.Duration("time", 10*time.Minute, "how long each target runs")
	jobs := flag.Int("jobs", 2, "targets at a time, with one worker each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *of, *each, *jobs); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, of string, each time.Duration, jobs int) error {
	chosen, err := regexp.Compile(of)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "teal-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, chosen); err != nil {
		return err
	}
	fmt.Printf("fuzz: %s each, %d at a time with one worker each\n", each, max(jobs, 1))
	fmt.Printf("%-42s %12s %10s %9s %9s  %s\n", "target", "executions", "inputs", "took", "accept", "result")
	var (
		room  = make(chan struct{}, max(jobs, 1))
		wait  sync.WaitGroup
		guard sync.Mutex // of bad and of stdout
		bad   []string
	)
	for _, t := range targets {
		if !chosen.MatchString(t.name) {
			continue
		}
		wait.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			r, err := t.fuzz(ctx, dir, each)
			guard.Lock()
			defer guard.Unlock()
			result := "no finding"
			if err != nil {
				result = "FAIL"
				bad = append(bad, fmt.Sprintf("%s: %v", t.name, err))
			}
			fmt.Printf("%-42s %12d %10d %9s %8.1f%%  %s\n", t.pkg+" "+t.name, r.executions, r.inputs, r.took.Round(time.Second), r.covered, result)
		})
	}
	wait.Wait()
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

// build compiles each package's test binary twice: with the fuzzer's instrumentation and
// with coverage. Later changes to the tree do not mix into a long run.
func build(ctx context.Context, dir string, chosen *regexp.Regexp) error {
	for _, t := range targets {
		if !chosen.MatchString(t.name) {
			continue
		}
		for _, with := range [][2]string{{"fuzz", "-fuzz=."}, {"cover", "-cover"}} {
			binary := filepath.Join(dir, strings.ReplaceAll(t.pkg, "/", "-")+"."+with[0])
			if _, err := os.Stat(binary); err == nil {
				continue
			}
			out, err := exec.CommandContext(ctx, "go", "test", "-c", with[1], "-o", binary, module+t.pkg).CombinedOutput()
			if err != nil {
				return fmt.Errorf("build %s: %w\n%s", t.pkg, err, out)
			}
		}
	}
	return nil
}

// outcome is what one target's run came to. covered is a percentage.
type outcome struct {
	executions, inputs int
	took               time.Duration
	covered            float64
}

var progress = regexp.MustCompile(`execs: (\d+)`)

// fuzz runs the target in a directory of its own: a copy of the package's testdata, and
// a cache that keeps what is found.
func (t target) fuzz(ctx context.Context, dir string, each time.Duration) (r outcome, err error) {
	home := filepath.Join(dir, t.name)
	source, err := packageDir(ctx, t.pkg)
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return r, err
	}
	if err := os.CopyFS(filepath.Join(home, "testdata"), os.DirFS(filepath.Join(source, "testdata"))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("copy the testdata: %w", err)
	}
	cache := filepath.Join(home, "cache")
	began := time.Now()
	out, err := t.start(ctx, home, filepath.Join(dir, strings.ReplaceAll(t.pkg, "/", "-")+".fuzz"),
		"-test.fuzz=^"+t.name+"$", "-test.run=^$", "-test.fuzztime="+each.String(), "-test.fuzzminimizetime=10x", "-test.parallel=1", "-test.fuzzcachedir="+cache)
	r.took = time.Since(began)
	for _, m := range progress.FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		r.executions = max(r.executions, n)
	}
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, tail(out))
	}
	if r.inputs, err = gather(filepath.Join(cache, t.name), filepath.Join(home, "testdata", "fuzz", t.name)); err != nil {
		return r, err
	}
	profile := filepath.Join(home, "cover.out")
	if out, err := t.start(ctx, home, filepath.Join(dir, strings.ReplaceAll(t.pkg, "/", "-")+".cover"),
		"-test.run=^"+t.name+"$", "-test.coverprofile="+profile); err != nil {
		return r, fmt.Errorf("cover the found inputs: %w\n%s", err, tail(out))
	}
	r.covered, err = t.covered(source, profile)
	return r, err
}

func (t target) start(ctx context.Context, home, binary string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = home
	return cmd.CombinedOutput()
}

func packageDir(ctx context.Context, pkg string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+pkg).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", pkg, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// gather puts the inputs that were found beside the seeds and counts them.
func gather(from, to string) (int, error) {
	found, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return 0, err
	}
	for _, f := range found {
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), data, 0o644); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// covered is the share of the accept path's statements that the inputs reached, in per
// cent.
func (t target) covered(source, profile string) (float64, error) {
	profiles, err := cover.ParseProfiles(profile)
	if err != nil {
		return 0, fmt.Errorf("read the coverage: %w", err)
	}
	files, accept := regexp.MustCompile(`^(`+t.files+`)$`), regexp.MustCompile(t.accept)
	total, reached := 0, 0
	for _, p := range profiles {
		if !files.MatchString(filepath.Base(p.FileName)) {
			continue
		}
		spans, err := functions(filepath.Join(source, filepath.Base(p.FileName)), accept)
		if err != nil {
			return 0, err
		}
		for _, b := range p.Blocks {
			if !slices.ContainsFunc(spans, func(s span) bool { return b.StartLine >= s.from && b.EndLine <= s.to }) {
				continue
			}
			total += b.NumStmt
			if b.Count > 0 {
				reached += b.NumStmt
			}
		}
	}
	if total == 0 {
		return 0, errors.New("its table names no function that exists")
	}
	return 100 * float64(reached) / float64(total), nil
}

// span is the lines of one function.
type span struct{ from, to int }

// functions are the lines of the functions whose names match.
func functions(file string, accept *regexp.Regexp) ([]span, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []span
	for _, d := range f.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && accept.MatchString(f.Name.Name) {
			all = append(all, span{set.Position(f.Pos()).Line, set.Position(f.End()).Line})
		}
	}
	return all, nil
}

func tail(out []byte) []byte {
	const most = 4000
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return bytes.TrimSpace(out)
}
