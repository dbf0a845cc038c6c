package fidelity

import (
	"slices"
	"testing"

	"github.com/tealops/teal/test/lab"
)

func corpus(t *testing.T) []Case {
	t.Helper()
	cases, err := Corpus("../compose/corpus")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatalf("%d files in the corpus, want at least 30", len(cases))
	}
	return cases
}

func TestManifestsParse(t *testing.T) {
	for _, c := range corpus(t) {
		_, problems := c.Release()
		may := c.Refusals()
		for _, p := range problems {
			if !slices.Contains(may, string(p.Code)) {
				t.Errorf("%s: %s", c.Name, p)
			}
		}
	}
}

// TestContainers compares what teal has the engine make of every file with the record
// of what Compose does.
func TestContainers(t *testing.T) {
	l := lab.Start(t)
	bench, err := NewBench(t.Context(), l, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bench.Close()
	for _, c := range corpus(t) {
		t.Run(c.Name, func(t *testing.T) { compareWithRecord(t, bench, c) })
	}
}

func compareWithRecord(t *testing.T, bench *Bench, c Case) {
	record, err := ReadRecord(c)
	if err != nil {
		t.Fatal(err)
	}
	r, problems := c.Release()
	if len(problems) > 0 {
		if len(c.Refusals()) == 0 {
			t.Error(problems)
		}
		return
	}
	planned, err := bench.Plan(t.Context(), c, r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := bench.Clean(planned.Projects()...); err != nil {
			t.Error(err)
		}
	}()
	made, err := bench.Create(t.Context(), planned)
	if err != nil {
		t.Fatal(err)
	}
	if made, err = bench.Asked(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	own, err := c.Own()
	if err != nil {
		t.Fatal(err)
	}
	diffs, _ := Differences(record.Made, made, planned.Classes)
	_, failures := Judge(diffs, own, map[string]int{})
	for _, f := range failures {
		t.Error(f)
	}
}
