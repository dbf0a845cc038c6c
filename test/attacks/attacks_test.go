package attacks

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// expectation is one line of testdata/attacks.yaml.
type expectation struct {
	Attack int    `yaml:"attack"`
	Name   string `yaml:"name"`
	// Expect is accept, refuse, or elsewhere: another test carries it out, named in By.
	Expect string `yaml:"expect"`
	By     string `yaml:"by"`
	// Reason is the first reason of a refusal, or why nothing is known (a refused head).
	Reason release.Code `yaml:"reason"`
	// Observed stands among the observations, Policy is what the newest policy is refused
	// with, Repository what the newest head is.
	Observed   release.Code `yaml:"observed"`
	Policy     release.Code `yaml:"policy"`
	Repository release.Code `yaml:"repository"`
	// Pulls: what was accepted before goes on.
	Pulls bool `yaml:"pulls"`
}

func expectations(t *testing.T) []expectation {
	t.Helper()
	data, err := os.ReadFile("testdata/attacks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var list []expectation
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAttacks carries out the whole table and prints it.
func TestAttacks(t *testing.T) {
	expected := expectations(t)
	want := map[string]expectation{}
	rows := map[int]bool{}
	for _, e := range expected {
		key := fmt.Sprintf("%d %s", e.Attack, e.Name)
		if _, twice := want[key]; twice {
			t.Errorf("attacks.yaml has %q twice", key)
		}
		want[key] = e
		rows[e.Attack] = true
	}
	for row := 1; row <= 76; row++ {
		if !rows[row] {
			t.Errorf("attack %d is not in attacks.yaml", row)
		}
	}
	results := make([]string, len(attacks))
	t.Run("all", func(t *testing.T) {
		for i, a := range attacks {
			key := fmt.Sprintf("%d %s", a.row, a.name)
			e, ok := want[key]
			delete(want, key)
			t.Run(key, func(t *testing.T) {
				t.Parallel()
				if !ok {
					t.Fatalf("attacks.yaml does not say what is expected of %q", key)
				}
				results[i] = carryOut(t, a, e)
			})
		}
	})
	for key, e := range want {
		if e.Expect != "elsewhere" || e.By == "" {
			t.Errorf("attacks.yaml expects %q, which nobody carries out", key)
		}
	}
	table(t, expected, results)
}

// carryOut builds the fixture, attacks, looks, and says what happened.
func carryOut(t *testing.T, a attack, e expectation) string {
	f := newFixture(t)
	a.do(f)
	f.build()
	out := f.look()
	if f.afterLook != nil {
		f.afterLook(f)
		out = f.look()
	}
	first := out.unknown
	if first == "" && len(out.reasons) > 0 {
		first = out.reasons[0]
	}
	problems := []string{}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch e.Expect {
	case "accept":
		if !out.accepted {
			wrong("refused: %s", first)
		}
	case "refuse":
		if out.accepted || out.pulls != e.Pulls {
			wrong("accepted %v, pulled %v", out.accepted, out.pulls)
		}
		if first != e.Reason {
			wrong("first reason %s, want %s", first, e.Reason)
		}
	default:
		wrong("expect is %q", e.Expect)
	}
	if e.Observed != "" && !slices.Contains(out.observations, e.Observed) {
		wrong("observed %v, want %s among them", out.observations, e.Observed)
	}
	if e.Policy != out.policy {
		wrong("policy refused with %q, want %q", out.policy, e.Policy)
	}
	if e.Repository != out.repo {
		wrong("repository refused with %q, want %q", out.repo, e.Repository)
	}
	if strings.ContainsAny(out.text, "\x1b\x07") || strings.Contains(out.text, "\\u001b") {
		wrong("control characters in the verdict")
	}
	if _, err := os.Stat(f.dir + "/ran"); err == nil {
		wrong("something of the repository was executed")
	}
	for _, p := range problems {
		t.Errorf("%s\n%s", p, out.text)
	}
	if len(problems) > 0 {
		return "FAIL " + strings.Join(problems, "; ")
	}
	if e.Expect == "accept" {
		return "accepted"
	}
	return "refused: " + string(first)
}

func table(t *testing.T, expected []expectation, results []string) {
	failed, cases := 0, map[int]int{}
	for i, a := range attacks {
		mark := "pass"
		if results[i] == "" || strings.HasPrefix(results[i], "FAIL") {
			mark, failed = "FAIL", failed+1
		}
		cases[a.row]++
		fmt.Printf("%3d  %-66s %s  %s\n", a.row, a.name, mark, strings.TrimPrefix(results[i], "FAIL "))
	}
	for _, e := range expected {
		if e.Expect == "elsewhere" {
			cases[e.Attack]++
			fmt.Printf("%3d  %-66s by %s\n", e.Attack, e.Name, e.By)
		}
	}
	delete(cases, 0)
	fmt.Printf("%d of 76 attacks, %d cases, %d failed\n", len(cases), len(attacks), failed)
}
