package release

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestAdopt makes manifests of Compose files as people have them. The golden file is the
// manifest, what was done, and what is left to people.
func TestAdopt(t *testing.T) {
	files, err := filepath.Glob("testdata/adopt/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(err, files)
	}
	whole := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := Adoption{App: name, Version: "v0.1.0", Host: name + ".example.com", Images: map[string]string{}}
			for _, s := range MarksOf(data).Images {
				a.Images[s.Service] = "registry.example.test/" + s.Service + "@" + oldImage[strings.Index(oldImage, "sha256"):]
				if strings.HasPrefix(s.Image, "registry.") { // services of one image keep one
					a.Images[s.Service] = oldImage
				}
			}
			made, done, problems := a.Apply("compose.yaml", data)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			dir := fstest.MapFS{Manifest: {Data: made}, "app.env": {Data: []byte("A=1\n")}, "prometheus.yml": {Data: []byte("global: {}\n")}}
			_, left := Parse(dir, "staging", name)
			if len(left) == 0 {
				whole++
			}
			var b strings.Builder
			b.Write(made)
			b.WriteString("--- done\n")
			for _, d := range done {
				fmt.Fprintf(&b, "compose.yaml:%d: %s\n", d.Line, d.Text)
				if d.Line < 1 || d.Line > strings.Count(string(data), "\n")+1 {
					t.Errorf("line %d is not one of the file", d.Line)
				}
			}
			b.WriteString("--- left\n")
			for _, p := range left {
				b.WriteString(p.String() + "\n")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
			// Comments stay, but for those of what is removed.
			for line := range strings.Lines(string(data)) {
				if text := strings.TrimSpace(line); strings.HasPrefix(text, "#") && !strings.Contains(string(made), text) {
					t.Errorf("the comment %q is gone", text)
				}
			}
			if _, _, again := a.Apply("compose.yaml", made); !strings.Contains(again.Error(), "a manifest already") {
				t.Errorf("a second time: %v", again)
			}
		})
	}
	if whole < 8 {
		t.Errorf("%d of %d deploy after these edits alone", whole, len(files))
	}
}

func TestAdoptRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                             "empty",
		"a: [":                         "not YAML",
		"{services: {a: {image: b}}}":  "one flow mapping",
		"volumes: {}\n":                "no services",
		"services: {}\nx-teal: {a: 1}": ":2: it is a manifest already",
		"a: 1\n---\nb: 1\n":            "a second document",
	} {
		if _, _, problems := (Adoption{App: "a"}).Apply("f", []byte(text)); !strings.Contains(problems.Error(), says) {
			t.Errorf("%q: %v, want %q", text, problems, says)
		}
	}
}

// TestFilesBeside: env files and configs go beside the manifest; a secret's plain file never
// does, nor does what lies outside.
func TestFilesBeside(t *testing.T) {
	got := FilesBeside([]byte(`services:
  a: {image: x, env_file: a.env}
  b: {image: x, env_file: [./b.env, {path: c/d.env}, ../out.env, /etc/passwd, a.env, release.yaml]}
  c: {image: x, secrets: [s]}
configs: {one: {file: ./conf/app.ini}, two: {content: x}}
secrets: {s: {file: ./password.txt}}
`))
	if diff := cmp.Diff([]string{"a.env", "b.env", "c/d.env", "conf/app.ini"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzAdopt: no bytes stop it, and what it makes of YAML is YAML.
func FuzzAdopt(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	files, _ := filepath.Glob("testdata/adopt/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := Adoption{App: "a", Version: "v1", Host: "a.example.com", Images: map[string]string{}}
		for _, s := range MarksOf(data).Images {
			a.Images[s.Service] = oldImage
		}
		FilesBeside(data)
		made, _, problems := a.Apply("f", data)
		if len(problems) > 0 {
			return
		}
		if _, err := decode(made); err != nil {
			t.Errorf("%v of\n%s\nmade of\n%s", err, made, data)
		}
	})
}
