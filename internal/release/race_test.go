package release

import (
	"io/fs"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestParseBesideItself: apps are parsed by goroutines of their own.
func TestParseBesideItself(t *testing.T) {
	cases := corpus(t, "good")
	text, err := fs.ReadFile(cases["full"], Manifest)
	if err != nil {
		t.Fatal(err)
	}
	want := parsed(t, manifest(string(text))).Content
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			r, problems := Parse(manifest(string(text)), "staging", "shop")
			if r.Content != want {
				t.Errorf("content %s, want %s", r.Content, want)
			}
			return problems.Err()
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
