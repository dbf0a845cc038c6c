package release

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants are the names and values of all constants of type Code in the package.
func constants(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := goparser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "Code" {
					continue
				}
				for i, name := range v.Names {
					value, err := strconv.Unquote(v.Values[i].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					out[name.Name] = value
				}
			}
		}
	}
	return out
}

// TestReasons: each code is one word with one number, a meaning and a next action, and
// the table and the constants name the same codes.
func TestReasons(t *testing.T) {
	word := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	numbers, codes := map[int]Code{}, map[Code]bool{}
	last := 0
	for _, r := range Reasons() {
		if other, again := numbers[r.Number]; again {
			t.Errorf("%d is %s and %s", r.Number, other, r.Code)
		}
		if codes[r.Code] {
			t.Errorf("%s stands twice", r.Code)
		}
		numbers[r.Number], codes[r.Code] = r.Code, true
		if !word.MatchString(string(r.Code)) {
			t.Errorf("%s is not lower snake_case", r.Code)
		}
		for what, s := range map[string]string{"summary": r.Summary, "next": r.Next} {
			if len(s) < 10 || !strings.HasSuffix(s, ".") {
				t.Errorf("%s: the %s is no sentence: %q", r.Code, what, s)
			}
		}
		if id := r.ID(); len(id) != 9 {
			t.Errorf("%s: ID %s", r.Code, id)
		}
		if found, ok := Lookup(r.Code); !ok || found != r {
			t.Errorf("Lookup(%s) is %+v", r.Code, found)
		}
		if found, ok := LookupID(r.ID()); !ok || found != r {
			t.Errorf("LookupID(%s) is %+v", r.ID(), found)
		}
		last = max(last, r.Number)
	}
	if last > 9999 {
		t.Errorf("number %d has no room in TEAL-nnnn", last)
	}
	declared := constants(t)
	if len(declared) < 50 {
		t.Fatalf("only %d constants found", len(declared))
	}
	var values []string
	for name, value := range declared {
		if !codes[Code(value)] {
			t.Errorf("%s (%s) is not in the table", name, value)
		}
		values = append(values, value)
	}
	for code := range codes {
		if !slices.Contains(values, string(code)) {
			t.Errorf("%s has no constant", code)
		}
	}
}

// TestReasonNumbers: a number is stable for ever, so that this list only grows.
func TestReasonNumbers(t *testing.T) {
	var b strings.Builder
	for _, r := range Reasons() {
		b.WriteString(r.ID() + " " + string(r.Code) + "\n")
	}
	golden(t, "reasons.golden", b.String())
}
