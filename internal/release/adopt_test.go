package release

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

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

// TestAdoptNames: a name that YAML would read as something else is written in quotes.
func TestAdoptNames(t *testing.T) {
	for _, app := range []string{"shop", "1e3", "true", "null", "2001-01-01", "010", "0x1f"} {
		for _, head := range []string{"", "name: x\n"} {
			made, _, problems := Adoption{App: app, Version: "v1", Images: map[string]string{"w": oldImage}}.Apply("f", []byte(head+"services:\n  w:\n    image: x\n"))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, left := Parse(manifest(string(made)), "staging", app); len(left) > 0 {
				t.Errorf("%v of\n%s", left, made)
			}
		}
	}
}

// TestAdoptSafely: what cannot be written as it was asked for is refused with its line.
func TestAdoptSafely(t *testing.T) {
	for text, says := range map[string]string{
		"services: {web: !!map &a {<<: *a}}\n":                                                                           "nested deeper",
		bomb(40) + "services: {web: {<<: *a40}}\n":                                                                       "more than 10000 values",
		"x-b: &b\n  image: y\nservices:\n  w:\n    <<: *b\n  v:\n    <<: *b\n":                                           "f:2: services.w.image and services.v.image are one value here",
		"services:\n  w:\n    image: >\n      x\n":                                                                       "f:3: services.w.image: the value cannot be changed in place",
		"services:\n  w:\n    image: x\n# \u2028  v: {image: y}\n":                                                       "f:4: the character U+2028",
		"x-b: &b\n  deploy: {replicas: 9}\nservices:\n  w:\n    <<: *b\n    image: x\n    deploy:\n      mode: global\n": "",
		"x-b: &b\n  expose: [1]\nservices:\n  w:\n    <<: *b\n    image: x\n    expose: [2]\n":                           "f:7: services.w.expose: the file is written in a way that cannot be edited safely",
	} {
		_, _, problems := Adoption{App: "a", Version: "v1", Host: "h.example.com", Images: map[string]string{"w": oldImage, "v": newImage}}.Apply("f", []byte(text))
		if !strings.Contains(problems.Error(), says) || (says == "") != (len(problems) == 0) {
			t.Errorf("%.100q: %v, want %q", text, problems, says)
		}
	}
	if _, _, problems := (Adoption{App: "a", Host: "h}, shared: true"}).Apply("f", []byte("services: {}\n")); !strings.Contains(problems.Error(), "not a host") {
		t.Error(problems)
	}
}

// FuzzAdopt: no bytes stop it, what it makes can be read, and holds what the file held:
// nothing is another but what is documented, and nothing is gone but what says so.
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
		for _, name := range FilesBeside(data) {
			if strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
				t.Errorf("%s is not beside the manifest", name)
			}
		}
		made, done, problems := a.Apply("f", data)
		if len(problems) > 0 {
			return
		}
		adopted(t, a, data, made, done)
		Parse(manifest(string(made)), "staging", "a")
	})
}

// removable are the keys that an adoption may take out, wherever they stand.
var removable = map[string]bool{"build": true, "develop": true, "container_name": true, "ports": true, "hostname": true, "deploy": true, "restart_policy": true}

// adopted checks an adoption against the file it was made of.
func adopted(t *testing.T, a Adoption, data, made []byte, done []Adopted) {
	t.Helper()
	was, is := flat(editorView(t, data)), flat(editorView(t, made))
	r := reader{drawing: true}
	for _, keys := range []object{topKeys, serviceKeys, healthcheck, deploy, serviceNetwork, networkKeys, volumeKeys} {
		for key, s := range keys {
			if s != nil {
				if why, _ := r.draw(s)["description"].(string); dropForm.MatchString(why) {
					removable[key] = true
				}
			}
		}
	}
	for at, text := range is {
		old, had := was[at]
		image := strings.HasPrefix(at, "services.") && strings.HasSuffix(at, ".image") && text == "string "+oldImage
		proposed := strings.HasPrefix(at, "x-teal.") || strings.HasPrefix(at, "services.") && strings.Contains(at, ".x-teal.")
		if old != text && !image && !(at == "name" && text == "string "+a.App) && !(proposed && !had) && text != "<nil> <nil>" {
			t.Errorf("%s: %q became %q of\n%s\nmade of\n%s", at, old, text, made, data)
		}
	}
	for at := range was {
		if _, still := is[at]; !still && !slices.ContainsFunc(strings.FieldsFunc(at, func(c rune) bool { return c == '.' || c == '[' }), func(key string) bool { return removable[key] }) {
			t.Errorf("%s is gone from\n%s\nmade of\n%s", at, made, data)
		}
	}
	for _, d := range done {
		if d.Line < 1 || d.Line > bytes.Count(data, []byte("\n"))+1 || strings.ContainsFunc(d.Text, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("not fit to be shown: %+v", d)
		}
	}
	if _, _, again := a.Apply("f", made); !strings.Contains(again.Error(), "a manifest already") {
		t.Errorf("a second time: %v", again)
	}
}
