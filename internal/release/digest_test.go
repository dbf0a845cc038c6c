package release

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// recipe is what a person runs in the directory to get its digest (DESIGN 3.4).
const recipe = `set -o pipefail; find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum -- | sha256sum`

func shellDigest(t testing.TB, dir string) Digest {
	t.Helper()
	c := exec.Command("bash", "-c", recipe)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v", recipe, err)
	}
	sum, _, _ := strings.Cut(string(out), " ")
	return Digest(sum)
}

func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "release")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDigestIsTheRecipe runs the shell's recipe on directories with odd names that are
// allowed, and whose order differs from that of a walk or of a locale.
func TestDigestIsTheRecipe(t *testing.T) {
	many := map[string]string{}
	for i := range 700 { // more than one sha256sum, whatever xargs does
		many[fmt.Sprintf("a-directory-with-a-long-name/a-file-with-a-long-name-that-fills-the-command-line-%d", i)] = fmt.Sprint(i)
	}
	trees := map[string]map[string]string{
		"one":      {"release.yaml": "name: shop\n"},
		"order":    {"a.b": "2", "a/b": "3", "a-b": "4", "a_b": "5", "ab": "6", "A": "7", "B/a": "8", "b": "9", "0": "10"},
		"odd":      {".hidden": "1", "...": "2", "..x": "3", "x..": "4", "_-": "5", ".-": "6", "a.": "7"},
		"contents": {"empty": "", "newline": "\n", "zero": "\x00", "crlf": "a\r\nb", "binary": "\xff\xfe"},
		"nested":   {"d/e/f/g/release.yaml": "1", "d/e/f.g": "2", "d/e.f/g": "3", "d.e/f/g": "4"},
		"many":     many,
	}
	for i := range 8 {
		trees[fmt.Sprintf("random %d", i)] = randomTree(rand.New(rand.NewPCG(uint64(i), 0)))
	}
	for name, files := range trees {
		t.Run(name, func(t *testing.T) {
			dir := writeTree(t, files)
			got, err := DigestOf(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			if want := shellDigest(t, dir); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// randomTree has names of few letters, so that prefixes of each other are likely.
func randomTree(r *rand.Rand) map[string]string {
	const letters = "aB0_.-"
	files := map[string]string{}
	for range 1 + r.IntN(20) {
		parts := make([]string, 1+r.IntN(3))
		for i := range parts {
			for !validElement(parts[i]) {
				parts[i] = ""
				for range 1 + r.IntN(3) {
					parts[i] += string(letters[r.IntN(len(letters))])
				}
			}
		}
		name := strings.Join(parts, "/")
		for other := range files { // no file is a directory too
			if strings.HasPrefix(other+"/", name+"/") || strings.HasPrefix(name+"/", other+"/") {
				delete(files, other)
			}
		}
		files[name] = name
	}
	return files
}

// TestNoDigest: what cannot be named cannot be approved.
func TestNoDigest(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("x")}
	for name, c := range map[string]struct {
		dir  fstest.MapFS
		want string
	}{
		"nothing":       {fstest.MapFS{}, "it holds no file"},
		"a space":       {fstest.MapFS{"a b": file}, `"a b": a name has letters`},
		"a dash":        {fstest.MapFS{"-rf": file}, `"-rf": a name has letters`},
		"a dash inside": {fstest.MapFS{"a/-rf": file}, `"a/-rf": a name has letters`},
		"a line end":    {fstest.MapFS{"a\nb": file}, `"a\nb": a name has letters`},
		"a backslash":   {fstest.MapFS{`a\b`: file}, `"a\\b": a name has letters`},
		"not ASCII":     {fstest.MapFS{"é": file}, "a name has letters"},
		"an escape":     {fstest.MapFS{"\x1b[31m": file}, `"\x1b[31m": a name has letters`},
		"a link":        {fstest.MapFS{"x": {Mode: fs.ModeSymlink, Data: []byte("y")}}, `"x" is not a plain file`},
		"a pipe":        {fstest.MapFS{"x": {Mode: fs.ModeNamedPipe}}, `"x" is not a plain file`},
		"a device":      {fstest.MapFS{"x": {Mode: fs.ModeDevice}}, `"x" is not a plain file`},
		"too deep":      {fstest.MapFS{strings.Repeat("d/", 40) + "x": file}, "deeper than 32 directories"},
	} {
		got, err := DigestOf(c.dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestDigestBounds: a directory that is too large has no digest.
func TestDigestBounds(t *testing.T) {
	big := fstest.MapFS{}
	for i := range 5 {
		big[fmt.Sprint(i)] = &fstest.MapFile{Data: make([]byte, 15<<20)}
	}
	many := fstest.MapFS{}
	for i := range maxFiles + 1 {
		many[fmt.Sprintf("f%d", i)] = &fstest.MapFile{}
	}
	for want, dir := range map[string]fstest.MapFS{"larger than 64 MiB": big, "more than 10000 files": many} {
		if _, err := DigestOf(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestNearest: a word that was probably meant.
func TestNearest(t *testing.T) {
	words := []string{"environment", "env_file", "ports", "preparedBy", "pid", "shm_size"}
	for s, want := range map[string]string{"enviroment": "environment", "environments": "environment", "envFile": "env_file", "prepared_by": "preparedBy",
		"PORTS": "ports", "prots": "ports", "shmSize": "shm_size", "pids": "pid", "x": "", "banana": "", strings.Repeat("e", 100): ""} {
		if got := nearest(s, words); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
