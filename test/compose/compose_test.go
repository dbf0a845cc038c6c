package compose

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/docker/compose/v5/pkg/api"

	"github.com/tealops/teal/test/fidelity"
	"github.com/tealops/teal/test/lab"
)

var (
	write = flag.Bool("record", false, "write Compose's side to testdata")
	only  = flag.String("case", "", "only this case")
)

// wantDeployed is how many files of the corpus have to deploy after only the documented
// edits.
const wantDeployed = 25

// TestCorpus has Compose and teal make the containers of every file, compares them, and
// starts teal's.
func TestCorpus(t *testing.T) {
	// What the machine's user has set must not get into the reference.
	for _, name := range []string{"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTEXT"} {
		t.Setenv(name, "")
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	l := lab.Start(t)
	bench, err := fidelity.NewBench(t.Context(), l, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bench.Close()
	reference, err := NewReference(bench)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := fidelity.Corpus("corpus")
	if err != nil {
		t.Fatal(err)
	}
	var rows []fidelity.Row
	used, deployed := map[string]int{}, 0
	for _, c := range cases {
		if *only != "" && c.Name != *only {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			row := compare(t, bench, reference, c, used)
			for _, f := range row.Failures {
				t.Error(f)
			}
			if row.Error != nil && !c.BeyondEngine(row.Error) {
				t.Error(row.Error)
			}
			for _, p := range row.Refused {
				if !slices.Contains(c.Refusals(), string(p.Code)) {
					t.Error(p)
				}
			}
			if row.Deployed {
				deployed++
			}
			rows = append(rows, row)
		})
	}
	t.Logf("Compose %s\n%s\n%s", version(), fidelity.Table(rows), fidelity.ReasonTable(rows))
	if *only != "" {
		return
	}
	if len(rows) < 30 || deployed < wantDeployed {
		t.Errorf("%d files, %d deployed; want at least 30 and %d", len(rows), deployed, wantDeployed)
	}
	for _, why := range fidelity.Reasons() {
		if used[why] == 0 {
			t.Errorf("no file shows the intended difference %q", why)
		}
	}
}

func version() string {
	if api.ComposeVersion != "" {
		return api.ComposeVersion
	}
	return "v5.6.0"
}

func compare(t *testing.T, bench *fidelity.Bench, reference *Reference, c fidelity.Case, used map[string]int) fidelity.Row {
	row := fidelity.Row{Case: c}
	fail := func(err error) fidelity.Row {
		row.Error = err
		return row
	}
	ctx := t.Context()
	project, err := reference.Load(ctx, c, "compose.yaml")
	if err != nil {
		return fail(err)
	}
	row.Services = len(project.Services)
	if _, err := reference.Load(ctx, c, "release.yaml"); err != nil {
		row.Failures = append(row.Failures, "Compose does not accept release.yaml: "+err.Error())
	}
	compose, err := reference.Create(ctx, c, project)
	if cleaned := bench.Clean(project.Name); cleaned != nil || err != nil {
		return fail(errors.Join(err, cleaned))
	}
	asked, err := bench.Asked(ctx, compose)
	if err != nil {
		return fail(err)
	}
	record(t, fidelity.Record{Compose: version(), Made: asked}, c)

	release, problems := c.Release()
	if len(problems) > 0 {
		row.Refused = problems
		return row
	}
	planned, err := bench.Plan(ctx, c, release)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := bench.Clean(planned.Projects()...); err != nil {
			t.Error(err)
		}
	}()
	teal, err := bench.Create(ctx, planned)
	if err != nil {
		return fail(err)
	}
	own, err := c.Own()
	if err != nil {
		return fail(err)
	}
	var diffs []fidelity.Diff
	diffs, row.Fields = fidelity.Differences(compose, teal, planned.Classes)
	var failures []string
	row.Intended, failures = fidelity.Judge(diffs, own, used)
	row.Failures = append(row.Failures, failures...)
	if err := bench.Start(ctx, planned); err != nil {
		return fail(err)
	}
	row.Deployed = true
	return row
}

// record writes Compose's side, or sees that it is still the one that is written.
func record(t *testing.T, r fidelity.Record, c fidelity.Case) {
	t.Helper()
	data, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	file := fidelity.RecordFile(c)
	if *write {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v; run `make compose-record`", err)
		return
	}
	if !bytes.Equal(have, data) {
		t.Errorf("Compose makes something else than %s says; run `make compose-record`, read the difference and see whether teal follows", file)
	}
}
