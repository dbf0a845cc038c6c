package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Case is one directory of the corpus.
type Case struct {
	Name string // of the directory, for example 01-django
	App  string // django
	Dir  string
}

var caseName = regexp.MustCompile(`^[0-9]{2}-([a-z0-9-]+)$`)

// Corpus lists the cases of a directory, by name.
func Corpus(dir string) ([]Case, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	var out []Case
	for _, e := range entries {
		m := caseName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("read the corpus: %s is not named NN-app", e.Name())
		}
		out = append(out, Case{Name: e.Name(), App: m[1], Dir: filepath.Join(dir, e.Name())})
	}
	return out, nil
}

// Environment is the one that the corpus's manifests are read in.
const Environment = "production"

// Release reads the case's manifest.
func (c Case) Release() (*release.Release, release.Problems) {
	return release.Parse(os.DirFS(c.Dir), Environment, c.App)
}

// File is the path of a file of the case.
func (c Case) File(name string) string { return filepath.Join(c.Dir, name) }

// words are the lines of one of the case's own small files; none if it has none.
func (c Case) words(name string) []string {
	data, err := os.ReadFile(c.File(name))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// Refusals are the reason codes with which the manifest may be refused until what it
// needs is built: its refused.txt.
func (c Case) Refusals() []string { return c.words("refused.txt") }

// BeyondEngine reports whether a container did not start for what some engines may not
// do at all, such as one that has few privileges itself: the texts in its limits.txt.
func (c Case) BeyondEngine(err error) bool {
	return slices.ContainsFunc(c.words("limits.txt"), func(text string) bool { return strings.Contains(err.Error(), text) })
}
