package release

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	oldImage = "registry.example.test/a@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newImage = "registry.example.test/a@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

var fullEdit = Edit{Version: "v2.0.0", Sequence: 43, Images: map[string]string{"web": newImage},
	Source: Source{"git@example.com:a.git", strings.Repeat("ab", 20)}, PreparedBy: "ci-bot"}

func TestEdit(t *testing.T) {
	service := "services:\n  web: {image: " + oldImage + "}\n"
	for name, c := range map[string]struct{ in, want, says string }{
		"block": {
			"# top\n" + service + "x-teal:   # marks\n  version: v1   # the version\n  sequence: 7\n  keep: 2\n",
			"# top\nservices:\n  web: {image: " + newImage + "}\nx-teal:   # marks\n  version: v2.0.0   # the version\n  sequence: 43\n  source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}\n  preparedBy: ci-bot\n  keep: 2\n", ""},
		"flow, no line end": {
			service + "x-teal: {version: 'v1', sequence: 7, preparedBy: \"x\", source: {commit: 0123456789012345678901234567890123456789}}",
			"services:\n  web: {image: " + newImage + "}\nx-teal: {version: 'v2.0.0', sequence: 43, preparedBy: \"ci-bot\", source: {commit: abababababababababababababababababababab, repository: git@example.com:a.git}}", ""},
		"carriage returns": {
			"services:\r\n  web:\r\n    image: " + oldImage + "\r\nx-teal:\r\n  version: v1\r\n  sequence: 7\r\n",
			"services:\r\n  web:\r\n    image: " + newImage + "\r\nx-teal:\r\n  version: v2.0.0\r\n  sequence: 43\r\n  source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}\r\n  preparedBy: ci-bot\r\n", ""},
		"characters of several bytes": {
			"services: {\"wéb ✔\": {}, web: {labels: {a: 'ü✔'}, image: " + oldImage + "}} # ü\nx-teal: {links: {ü: ✔}, version: v1, sequence: 7}\n",
			"services: {\"wéb ✔\": {}, web: {labels: {a: 'ü✔'}, image: " + newImage + "}} # ü\nx-teal: {links: {ü: ✔}, version: v2.0.0, sequence: 43, source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}, preparedBy: ci-bot}\n", ""},
		"anchors and aliases": {
			"x-i: &i " + oldImage + "\nservices:\n  web: {image: *i}\n  two: {image: *i}\nx-teal: {version: &v v1, sequence: &s 7, source: {repository: a, commit: b}, preparedBy: c}\n",
			"x-i: &i " + oldImage + "\nservices:\n  web: {image: " + newImage + "}\n  two: {image: *i}\nx-teal: {version: &v v2.0.0, sequence: &s 43, source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}, preparedBy: ci-bot}\n", ""},
		"a merged image": {
			"x-base: &b\n  image: " + oldImage + " # here\nservices:\n  web:\n    <<: *b\nx-teal: {version: v1, sequence: 7, source: {repository: a, commit: b}, preparedBy: c}\n",
			"x-base: &b\n  image: " + newImage + " # here\nservices:\n  web:\n    <<: *b\nx-teal: {version: v2.0.0, sequence: 43, source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}, preparedBy: ci-bot}\n", ""},
		"a number in quotes": {
			service + "x-teal: {version: v1, sequence: '7', source: {repository: a, commit: b}, preparedBy: ''}\n",
			"services:\n  web: {image: " + newImage + "}\nx-teal: {version: v2.0.0, sequence: 43, source: {repository: git@example.com:a.git, commit: abababababababababababababababababababab}, preparedBy: 'ci-bot'}\n", ""},
		"a loop behind a tag":              {"services: {web: !!map &a {<<: *a}}\nx-teal: {version: v1, sequence: 1}\n", "", "nested deeper"},
		"a loop behind a key that is none": {"? [a]\n: &a {<<: *a}\nservices: {web: {image: a}}\nx-teal: {version: v1, sequence: 1}\n", "", "nested deeper"},
		"a loop in a second one":           {"services: {web: {image: a}}\nservices: &a {<<: *a}\nx-teal: {version: v1, sequence: 1}\n", "", "nested deeper"},
		"a bomb behind tags":               {bomb(40) + "services: {web: *a40}\nx-teal: {version: v1, sequence: 1}\n", "", "more than 10000 values"},
		"a line that only YAML 1.1 ends":   {service + "x-teal:\n  version: v1\n  sequence: 7\u2028other: |\n  text\n", "", ":5: the character U+2028"},
		"a block in two places":            {"services: {web: {image: " + oldImage + ", labels: &t {version: v1, sequence: 7}}}\nx-teal: *t\n", "", ":1: services.web.labels.source: the manifest is written in a way that cannot be edited safely"},
		"over lines":                       {service + "x-teal:\n  version: >\n    v1\n  sequence: 7\n", "", ":4: x-teal.version: the value cannot be changed in place; write it plainly on one line"},
		"no x-teal":                        {service, "", ":1: there is no x-teal block to write the version to; write x-teal:"},
		"an unknown service":               {"services:\n  wep: {image: a}\nx-teal: {version: v1, sequence: 1}\n", "", `:1: there is no service "web"; did you mean "wep"?`},
		"no image":                         {"services:\n  web: {build: .}\nx-teal: {version: v1, sequence: 1}\n", "", `:2: services.web has no image; write image:`},
		"source is a word":                 {service + "x-teal: {version: v1, sequence: 1, source: x}\n", "", ":3: x-teal.source is no mapping"},
		"not YAML":                         {"a: [", "", "not YAML"},
		"a loop":                           {"services: &s {web: *s}\n", "", "nested deeper"},
		"two documents":                    {"a: 1\n---\nb: 1\n", "", "a second document"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, problems := fullEdit.Apply("f", []byte(c.in))
			if c.says != "" {
				if !strings.Contains(problems.Error(), c.says) {
					t.Errorf("says %q, want %q", problems.Error(), c.says)
				}
				return
			}
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
			edited(t, fullEdit, []byte(c.in), got)
		})
	}
}

// edited checks what holds of every edit: the result says what was asked, a second edit
// changes nothing, and every byte outside the changed values is where it was.
func edited(t failing, e Edit, before, after []byte) {
	t.Helper()
	m := MarksOf(after)
	if m.Version != e.Version || m.Sequence != e.Sequence || e.Source.Commit != "" && m.Source != e.Source {
		t.Errorf("marks %+v, want %+v", m, e)
	}
	for _, s := range m.Images {
		if want := e.Images[s.Service]; want != "" && s.Image != want {
			t.Errorf("%s runs %s, want %s", s.Service, s.Image, want)
		}
	}
	again, changed, problems := e.Apply("f", after)
	if len(problems) > 0 || len(changed) > 0 || !bytes.Equal(again, after) {
		t.Errorf("a second edit: %v %v", changed, problems)
	}
	// The lines that hold none of the changed values are all there, in their order.
	var kept []string
	_, changed, _ = e.Apply("f", before)
	touched := map[int]bool{}
	for _, c := range changed {
		if c.Was != "" {
			touched[c.Line] = true
		}
	}
	for i, line := range strings.Split(string(before), "\n") {
		if !touched[i+1] && !strings.HasPrefix(line, "x-teal: {") && !strings.Contains(line, "source: {") {
			kept = append(kept, line)
		}
	}
	rest := strings.Split(string(after), "\n")
	for _, line := range kept {
		i := 0
		for i < len(rest) && rest[i] != line {
			i++
		}
		if i == len(rest) {
			t.Errorf("line %q is gone or moved", line)
			return
		}
		rest = rest[i+1:]
	}
}

// TestEditCorpus edits every good manifest of the corpus: Parse still accepts it, and
// nothing but the marks and images differs.
func TestEditCorpus(t *testing.T) {
	cases := corpus(t, "good")
	for _, name := range sorted(cases) {
		data, err := fs.ReadFile(cases[name], Manifest)
		if err != nil {
			t.Fatal(err)
		}
		before := MarksOf(data)
		e := Edit{Version: "v9.9.9", Sequence: 9999, Images: map[string]string{}, Source: fullEdit.Source, PreparedBy: "ci-bot"}
		for _, s := range before.Images {
			e.Images[s.Service] = newImage
		}
		after, changed, problems := e.Apply("f", data)
		if len(problems) > 0 || len(changed) < 3 {
			t.Errorf("%s: %v %v", name, changed, problems)
			continue
		}
		edited(t, e, data, after)
		was, problems := Parse(cases[name], "staging", "shop")
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		is, problems := Parse(overlay{cases[name], after}, "staging", "shop")
		if len(problems) > 0 {
			t.Errorf("%s: after the edit:\n%v\n%s", name, problems, after)
			continue
		}
		if len(is.Services) != len(was.Services) || is.PreparedBy != "ci-bot" || is.Version != "v9.9.9" {
			t.Errorf("%s: %d services, want %d", name, len(is.Services), len(was.Services))
		}
		for i, s := range is.Services {
			if s.Image != newImage {
				t.Errorf("%s: %s runs %s", name, s.Name, s.Image)
			}
			want := was.Services[i]
			want.Image, want.Config.Image, s.Config.Image, s.Image = "", "", "", ""
			want.Line, s.Line = 0, 0 // lines may have been added above
			if diff := cmp.Diff(want, s); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// overlay is a release directory with another manifest.
type overlay struct {
	fs.FS
	manifest []byte
}

func (o overlay) Open(name string) (fs.File, error) {
	if name != Manifest {
		return o.FS.Open(name)
	}
	return manifest(string(o.manifest)).Open(name)
}

// TestEditProperties edits manifests as people write them, in any order of keys.
func TestEditProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSketch(t)
		text := []byte(s.text(nil))
		e := Edit{Version: "v" + rapid.StringMatching(`[0-9]{1,3}\.[0-9]\.[0-9]`).Draw(t, "version"), Sequence: rapid.Int64Range(1, maxSequence).Draw(t, "sequence"), Images: map[string]string{}}
		names := MarksOf(text).Images
		for _, one := range names {
			if rapid.Bool().Draw(t, "image of "+one.Service) {
				e.Images[one.Service] = newImage
			}
		}
		after, _, problems := e.Apply("f", text)
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", problems, text)
		}
		edited(t, e, text, after)
		want := maps.Clone(e.Images)
		for i, one := range MarksOf(after).Images {
			if want[one.Service] == "" && one.Image != names[i].Image {
				t.Fatalf("%s changed to %s unasked", one.Service, one.Image)
			}
		}
	})
}

// FuzzEdit: no bytes stop the editor, what it writes says what was asked, and all else
// says what it said; what Parse took, it still takes.
func FuzzEdit(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := Edit{Version: "v2.0.0", Sequence: 43, Images: map[string]string{}, Source: fullEdit.Source, PreparedBy: "a-b's\"$\""}
		for _, s := range MarksOf(data).Images {
			e.Images[s.Service] = newImage
		}
		after, changed, problems := e.Apply("f", data)
		if len(problems) > 0 {
			return
		}
		m := MarksOf(after)
		if m.Version != e.Version || m.Sequence != e.Sequence || m.Source != e.Source {
			t.Errorf("marks %+v of\n%s\nmade of\n%s", m, after, data)
		}
		for _, s := range m.Images {
			if e.Images[s.Service] != s.Image {
				t.Errorf("%s runs %s", s.Service, s.Image)
			}
		}
		// Read as an editor does, only what is named is another.
		was, is := flat(editorView(t, data)), flat(editorView(t, after))
		for _, c := range changed {
			for _, values := range []map[string]string{was, is} {
				maps.DeleteFunc(values, func(at, _ string) bool { return at == c.Field || strings.HasPrefix(at, c.Field+".") })
			}
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s\n%s\nmade of\n%s", diff, after, data)
		}
		follower := slices.ContainsFunc(changed, func(c Changed) bool {
			own := []string{"x-teal.version", "x-teal.sequence", "x-teal.source", "x-teal.source.repository", "x-teal.source.commit", "x-teal.preparedBy"}
			return !slices.Contains(own, c.Field) && !strings.HasSuffix(c.Field, ".image")
		})
		_, before := Parse(manifest(string(data)), "staging", "shop")
		if _, left := Parse(manifest(string(after)), "staging", "shop"); len(before) == 0 && len(left) > 0 && !follower {
			t.Errorf("%v of\n%s\nmade of\n%s", left, after, data)
		}
	})
}

// flat is a value of a manifest by path, without the fragments for anchors.
func flat(v any) map[string]string {
	out := map[string]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if !fragment(at, key) {
					walk(join(at, key), value)
				}
			}
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), item)
			}
		default:
			out[at] = fmt.Sprintf("%T %v", v, v)
		}
	}
	walk("", v)
	return out
}

// bomb is a document of levels that merge the one before three times, hidden behind tags.
func bomb(levels int) string {
	text := "x-0: &a0 !!map {x: 1}\n"
	for i := 1; i <= levels; i++ {
		text += fmt.Sprintf("x-%d: &a%d !!map {<<: [*a%d, *a%d, *a%d]}\n", i, i, i-1, i-1, i-1)
	}
	return text
}

// TestEditFollowed: what is another because it is written in one place with a changed
// value is named.
func TestEditFollowed(t *testing.T) {
	in := "services:\n  web: {image: &i " + oldImage + "}\n  two: {image: *i, labels: {v: *v}}\nx-teal: {version: &v v1, sequence: 7}\n"
	in = strings.Replace(in, "services:", "x-v: &v v1\nservices:", 1)
	in = strings.Replace(in, "version: &v v1", "version: v1, links: {a: &l https://a}, preparedBy: *v", 1)
	e := Edit{Version: "v2", Sequence: 8, Images: map[string]string{"web": newImage}}
	_, changed, problems := e.Apply("f", []byte(in))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, c := range changed {
		got = append(got, fmt.Sprintf("%d %s", c.Line, c.Field))
	}
	if diff := cmp.Diff([]string{"3 services.web.image", "5 x-teal.version", "5 x-teal.sequence", "3 services.two.image"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestEditDollars: a text with dollar signs is compared as it reads, not as it is written.
func TestEditDollars(t *testing.T) {
	in := "x-teal: {version: v1, sequence: 1, preparedBy: a$$b}\n"
	for text, want := range map[string]string{"a$b": in, "a$$b": strings.Replace(in, "a$$b", `"a$$$$b"`, 1)} {
		got, changed, problems := Edit{PreparedBy: text}.Apply("f", []byte(in))
		if string(got) != want || len(problems) > 0 || (len(changed) > 0) != (want != in) {
			t.Errorf("%s: %s %v %v", text, got, changed, problems)
		}
	}
}
