package release

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// FuzzParse: no bytes stop the parser, every answer is fit for a terminal, and what is
// accepted can be planned, and Compose reads the same of the same bytes.
func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) { judged(t, data) })
}

// failing is what a test, a fuzz target and a property have in common.
type failing interface {
	Helper()
	Errorf(string, ...any)
}

// judged parses bytes that may be anything; ok says that they were accepted.
func judged(t failing, data []byte) (ok bool) {
	t.Helper()
	dir := fstest.MapFS{Manifest: {Data: data}, "app.env": {Data: []byte("A=1\n")}}
	r, problems := Parse(dir, "staging", "shop")
	if len(problems) > maxProblems {
		t.Errorf("%d problems", len(problems))
	}
	for i, p := range problems {
		line := p.String()
		if strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) || c == unicode.ReplacementChar || !unicode.IsPrint(c) }) {
			t.Errorf("not fit for a terminal: %q", line)
		}
		if p.Next == "" || p.Message == "" || len(line) > 4096 {
			t.Errorf("no next action, no message or too long: %q", line)
		}
		if i > 0 && p.File == problems[i-1].File && p.Line < problems[i-1].Line {
			t.Errorf("not in order: %s after %s", p, problems[i-1])
		}
	}
	again, problemsAgain := Parse(dir, "staging", "shop")
	if problems.Error() != problemsAgain.Error() || r.Content != again.Content {
		t.Errorf("not the same twice:\n%s\n%s", problems.Error(), problemsAgain.Error())
	}
	if len(problems) > 0 {
		return false
	}
	for _, colour := range []Colour{Blue, Green} {
		if _, err := Plan(r, testHost, colour, testTarget(r), "1.1", testAddress(r)); err != nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := PlanShared(r, testHost, testTarget(r)); err != nil {
		t.Errorf("%v", err)
	}
	project, err := loader.LoadWithContext(context.Background(), composetypes.ConfigDetails{WorkingDir: "/", Environment: composetypes.Mapping{},
		ConfigFiles: []composetypes.ConfigFile{{Filename: Manifest, Content: data}}}, func(o *loader.Options) {
		o.SetProjectName("shop", true)
		o.SkipResolveEnvironment = true
		o.PruneUnnecessaryResources = true
	})
	if err != nil {
		t.Errorf("Compose refuses what teal takes: %v", err)
		return true
	}
	for name, s := range project.Services { // FuzzEnvFile has what is in the files
		if len(s.EnvFiles) > 0 {
			one, _ := r.Service(name)
			s.Environment = one.Config.Environment
			project.Services[name] = s
		}
	}
	if diff := unlike(project, r); diff != "" {
		t.Errorf("Compose reads the same bytes in another way:\n%s", diff)
	}
	return true
}

// FuzzEnvFile: what the strict reader takes, Compose's own reads in the same way.
func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"", "A=1", "A=1\nB='$x'\n", "# c\n\nA=\n", "A=\"a b\"", "export A=1", "A=$B", "A=1 # c", "A='a\nb'", "A=\\n", "A:1", "\ufeffA=1", "A=1\r\n", "A=\u00a0x", "A='x'y", "A[0]=1", "É=1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { sameEnv(t, data) })
}

func sameEnv(t failing, data []byte) {
	t.Helper()
	r := reader{file: "app.env"}
	got := r.variables(data)
	if len(r.problems) > 0 {
		for _, p := range r.problems {
			if p.Code != EnvFileInvalid || p.Next == "" {
				t.Errorf("%+v", p)
			}
		}
		return
	}
	want, err := dotenv.ParseWithLookup(strings.NewReader(string(data)), func(string) (string, bool) { return "from the host", true })
	if err != nil {
		t.Errorf("Compose refuses %q: %v", data, err)
		return
	}
	if !maps.Equal(got, want) {
		t.Errorf("%q\nteal    %q\nCompose %q", data, got, want)
	}
}
