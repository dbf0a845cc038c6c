package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

// Each case is a directory that holds a good file and one bad entry, made of raw
// objects where git itself would refuse.
func TestUnsafeEntries(t *testing.T) {
	o := newOrigin(t)
	blob := o.object("blob", []byte("content\n"))
	link := o.object("blob", []byte("/etc/passwd"))
	commit := o.git("rev-parse", "HEAD")
	tree := o.object("tree", line("100644", "inner", blob))
	good := line("100644", "good", blob)
	cases := map[string]struct {
		mode, name, hash string
		code             release.Code
	}{
		"symlink":            {"120000", "link", link, release.UnsafeEntry},
		"executable":         {"100755", "tool", blob, release.UnsafeEntry},
		"submodule":          {"160000", "module", commit, release.UnsafeEntry},
		"group writable":     {"100664", "file", blob, release.UnsafeEntry},
		"zero padded mode":   {"0100644", "file", blob, release.UnsafeEntry},
		"zero padded tree":   {"040000", "dir", tree, release.UnsafeEntry},
		"fifo":               {"10644", "file", blob, release.UnsafeEntry},
		"setuid":             {"104755", "file", blob, release.UnsafeEntry},
		"parent":             {"40000", "..", tree, release.UnsafePath},
		"itself":             {"40000", ".", tree, release.UnsafePath},
		"git directory":      {"40000", ".git", tree, release.UnsafePath},
		"git in capitals":    {"40000", ".GiT", tree, release.UnsafePath},
		"git with dots":      {"40000", ".git..", tree, release.UnsafePath},
		"git short name":     {"40000", "git~1", tree, release.UnsafePath},
		"slash":              {"100644", "a/b", blob, release.UnsafePath},
		"parent with slash":  {"100644", "../b", blob, release.UnsafePath},
		"backslash":          {"100644", `a\b`, blob, release.UnsafePath},
		"dash":               {"100644", "-rf", blob, release.UnsafePath},
		"space":              {"100644", "a b", blob, release.UnsafePath},
		"newline":            {"100644", "a\nb", blob, release.UnsafePath},
		"escape":             {"100644", "a\x1b[2Jb", blob, release.UnsafePath},
		"not ascii":          {"100644", "gö", blob, release.UnsafePath},
		"invisible in .git":  {"40000", ".g\u200cit", tree, release.UnsafePath},
		"broken utf-8":       {"100644", "a\xff", blob, release.UnsafePath},
		"too long":           {"100644", strings.Repeat("a", 256), blob, release.UnsafePath},
		"case twin":          {"100644", "GOOD", blob, release.UnsafePath},
		"twin directory":     {"40000", "Good", tree, release.UnsafePath},
		"same name":          {"100644", "good", link, release.UnsafePath},
		"same name, a tree":  {"40000", "good", tree, release.UnsafePath},
		"no name":            {"100644", "", blob, release.UnsafePath},
		"blob as directory":  {"40000", "dir", blob, ""},
		"tree as file":       {"100644", "file", tree, ""},
		"commit as file":     {"100644", "file", commit, ""},
		"fine":               {"100644", "z", blob, "ok"},
		"fine, leading dots": {"100644", "...gitignore", blob, "ok"},
	}
	app := func(entries ...[]byte) string {
		dir := o.object("tree", bytes.Join(entries, nil))
		production := o.object("tree", bytes.Join([][]byte{line("40000", "other", tree), line("40000", "shop", dir)}, nil))
		environments := o.object("tree", line("40000", "production", production))
		identity := o.git("rev-parse", "HEAD:teal.yaml")
		root := o.object("tree", bytes.Join([][]byte{line("40000", "environments", environments), line("120000", "link", link), line("100644", "teal.yaml", identity)}, nil))
		return o.commitTree(root)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o.t = t
			head := app(good, line(c.mode, c.name, c.hash))
			r := open(t, o.config())
			if c.code == "" { // the tree lies about what an object is: the head is refused whole
				syncCode(t, r, release.UnsafeEntry)
				return
			}
			syncOK(t, r)
			s := wantHead(t, r, head)
			// Another app is not touched by it.
			other, err := s.Sub("environments/production/other")
			if err != nil {
				t.Fatal(err)
			}
			if err := fstest.TestFS(other, "inner"); err != nil {
				t.Error(err)
			}
			dir, err := s.Sub("environments/production/shop")
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "ok" {
				if err := fstest.TestFS(dir, "good", c.name); err != nil {
					t.Error(err)
				}
				return
			}
			_, err = fs.ReadDir(dir, ".")
			var bad *EntryError
			if !errors.As(err, &bad) || bad.Code != c.code {
				t.Fatalf("ReadDir: %v", err)
			}
			if c.mode != bad.Mode || !strings.HasPrefix(bad.Path, "environments/production/shop/") {
				t.Errorf("error names mode %q and path %q", bad.Mode, bad.Path)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r != '\n' && r < ' ' || r == '\u200c' }) {
				t.Errorf("not escaped: %q", err)
			}
			if err := fs.WalkDir(dir, ".", func(_ string, _ fs.DirEntry, err error) error { return err }); err == nil {
				t.Error("WalkDir passed")
			}
			for _, op := range []func(string) error{
				func(n string) error { _, err := fs.ReadFile(dir, n); return err },
				func(n string) error { _, err := fs.ReadDir(dir, n); return err },
				func(n string) error { _, err := dir.Open(n); return err },
				func(n string) error { _, err := fs.Stat(dir, n); return err },
			} {
				if err := op(c.name); err == nil && c.name != "." { // the directory itself
					t.Errorf("%q can be read", c.name)
				}
			}
		})
	}
	if _, ok := release.Lookup(release.UnsafePath); !ok {
		t.Error("code is not in the table")
	}
}

func TestTealYAMLMustBeAPlainFile(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	r := open(t, o.config())
	syncOK(t, r)
	o.git("update-index", "--chmod=+x", "teal.yaml")
	o.git("commit", "-q", "-m", "executable")
	o.git("push", "-q", "origin", "HEAD")
	syncCode(t, r, release.UnsafeEntry)
	wantHead(t, r, a)
}

func TestLimitsOfASnapshot(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/large", strings.Repeat("x", 2000))
	o.write("environments/production/shop/small", "x")
	for i := range 12 {
		o.write(fmt.Sprintf("environments/production/many/%02d", i), "x")
	}
	o.write("environments/production/deep/1/2/3/4/5/file", "x")
	o.commit("content")
	cfg := o.config()
	cfg.Limits = Limits{File: 1000, Entries: 10, Depth: 4}
	r := open(t, cfg)
	syncOK(t, r)
	s, _ := r.Head()
	sub := func(app string) fs.FS {
		t.Helper()
		dir, err := s.Sub("environments/production/" + app)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	wantCode := func(err error, code release.Code) {
		t.Helper()
		var bad *EntryError
		if !errors.As(err, &bad) || bad.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	_, err := fs.ReadFile(sub("shop"), "large")
	wantCode(err, release.EntryTooLarge)
	if _, err := fs.ReadFile(sub("shop"), "small"); err != nil {
		t.Error(err)
	}
	_, err = fs.ReadDir(sub("many"), ".")
	wantCode(err, release.EntryTooLarge)
	_, err = fs.ReadFile(sub("deep"), "1/2/3/4/5/file")
	wantCode(err, release.UnsafePath)
	wantCode(fs.WalkDir(sub("deep"), ".", func(_ string, _ fs.DirEntry, err error) error { return err }), release.UnsafePath)

	// Ten levels of ten names for one tree each: 11 objects, 10^10 files.
	tree := o.object("tree", line("100644", "f", o.object("blob", []byte("x"))))
	for range 10 {
		var level []byte
		for i := range 10 {
			level = append(level, line("40000", fmt.Sprint(i), tree)...)
		}
		tree = o.object("tree", level)
	}
	root := o.object("tree", slices.Concat(line("40000", "bomb", tree), line("100644", "teal.yaml", o.git("rev-parse", "HEAD:teal.yaml"))))
	o.commitTree(root)
	cfg = o.config()
	r = open(t, cfg)
	syncOK(t, r)
	s, _ = r.Head()
	_, err = s.Sub("bomb")
	wantCode(err, release.EntryTooLarge)
	if _, err = s.Sub("bomb/0/0/0/0/0/0"); err != nil {
		t.Errorf("ten thousand files are no bomb: %v", err)
	}
}

func TestApps(t *testing.T) {
	o := newOrigin(t)
	for _, name := range []string{"shop", "api", "Upper", "shop-blue", "shop-green", "under_score", "ends-", "b2"} {
		o.write("environments/production/"+name+"/release.yaml", "x")
	}
	o.write("environments/production/recipients.txt", "x")
	o.write("environments/staging/shop/release.yaml", "x")
	o.git("update-index", "--add", "--cacheinfo", "160000,"+o.git("rev-parse", "HEAD")+",environments/production/module")
	o.git("update-index", "--add", "--cacheinfo", "120000,"+o.git("rev-parse", "HEAD:teal.yaml")+",environments/production/link")
	o.git("add", "environments/production")
	o.git("update-index", "--add", "--cacheinfo", "160000,"+o.git("rev-parse", "HEAD")+",environments/production/module")
	o.git("update-index", "--add", "--cacheinfo", "120000,"+o.git("rev-parse", "HEAD:teal.yaml")+",environments/production/link")
	o.git("add", "environments/staging")
	o.git("commit", "-q", "-m", "apps")
	o.git("push", "-q", "origin", "HEAD")
	r := open(t, o.config())
	syncOK(t, r)
	s, _ := r.Head()
	apps, err := s.Apps("production")
	if diff := cmp.Diff([]string{"api", "b2", "shop"}, apps); diff != "" {
		t.Error(diff)
	}
	var named []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var bad *EntryError
			if errors.As(e, &bad) {
				named = append(named, strings.TrimPrefix(bad.Path, "environments/production/"))
			}
		}
	}
	slices.Sort(named)
	if diff := cmp.Diff([]string{"Upper", "ends-", "link", "module", "shop-blue", "shop-green", "under_score"}, named); diff != "" {
		t.Error(diff)
	}
	if apps, err := s.Apps("staging"); err != nil || !cmp.Equal(apps, []string{"shop"}) {
		t.Errorf("staging: %v, %v", apps, err)
	}
	if _, err := s.Apps("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
	for _, env := range []string{"", "..", "a/b", "Production"} {
		if _, err := s.Apps(env); err == nil {
			t.Errorf("%q is an environment", env)
		}
	}
	var zero Snapshot
	if _, err := zero.Sub("."); !errors.Is(err, fs.ErrNotExist) || zero.Commit() != "" {
		t.Errorf("zero snapshot: %v", err)
	}
	if _, err := zero.Apps("production"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("zero snapshot: %v", err)
	}
}

// mapped is objects in memory, to give the path rules trees of any kind.
type mapped map[plumbing.Hash][]byte

func (m mapped) object(h plumbing.Hash, _ plumbing.ObjectType, _ int64) ([]byte, error) {
	data, ok := m[h]
	if !ok {
		return nil, &objectError{h.String(), errors.New("missing")}
	}
	return data, nil
}

func (m mapped) add(typ plumbing.ObjectType, data []byte) plumbing.Hash {
	h := plumbing.ComputeHash(typ, data)
	m[h] = data
	return h
}

// Whatever a tree holds: a listing succeeds only when every name and mode is allowed
// and no two names are one on a file system without case, and then every file opens.
func TestPathRulesHoldForAnyTree(t *testing.T) {
	allowed := regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9._-]*$`)
	names := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9_.][A-Za-z0-9._-]{0,6}`),
		rapid.StringMatching(`\.?[gG][iI][tT][.~ ]?1?`),
		rapid.SampledFrom([]string{".", "..", "...", "a", "A", "b", "", "-", "a/b", "a\\b", "é", "a\x01"}),
		rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 6), func(b []byte) string { return string(b) }),
	)
	modes := rapid.SampledFrom([]string{"100644", "100644", "100644", "100644", "40000", "40000", "100755", "120000", "160000", "100664", "040000", "0"})
	rapid.Check(t, func(t *rapid.T) {
		store := mapped{}
		blob := store.add(plumbing.BlobObject, []byte("x"))
		empty := store.add(plumbing.TreeObject, nil)
		var raw []byte
		legal := true
		seen := map[string]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			name, mode := rapid.Custom(func(t *rapid.T) string { return names.Draw(t, "name") }).Draw(t, "n"), modes.Draw(t, "mode")
			if strings.ContainsRune(name, 0) {
				continue
			}
			h := blob
			if strings.HasSuffix(mode, "40000") {
				h = empty
			}
			raw = append(append(raw, mode+" "+name+"\x00"...), h[:]...)
			lower := strings.ToLower(name)
			if !allowed.MatchString(name) || name == "." || name == ".." || strings.TrimRight(lower, ".") == ".git" ||
				mode != "100644" && mode != "40000" || seen[lower] {
				legal = false
			}
			seen[lower] = true
		}
		dir := newTreeFS(store, store.add(plumbing.TreeObject, raw), ".", Limits{}.orDefault())
		list, err := fs.ReadDir(dir, ".")
		if (err == nil) != legal {
			t.Fatalf("%q: legal %v, but %v", raw, legal, err)
		}
		for _, e := range list {
			if !e.IsDir() {
				if _, err := fs.ReadFile(dir, e.Name()); err != nil {
					t.Fatalf("%q lists %q, which does not open: %v", raw, e.Name(), err)
				}
			}
		}
	})
}

func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte("100644 a\x0012345678901234567890"))
	f.Add([]byte("40000 b\x0012345678901234567890120000 c\x0012345678901234567890"))
	f.Add([]byte("100644 \x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := decodeTree(data)
		if err != nil {
			return
		}
		var back []byte
		for _, e := range entries {
			back = append(append(back, e.mode+" "+e.name+"\x00"...), e.hash[:]...)
		}
		if !bytes.Equal(back, data) {
			t.Fatalf("%q became %q", data, back)
		}
	})
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢":             "plain é 漢",
		"a\x1b[31mb":            `a\x1b[31mb`,
		"a\u202eb\u2066":        `a\u202eb\u2066`,
		"a\xffb":                `a\xffb`,
		"tab\tnewline\n":        "tab newline ",
		`back\slash`:            `back\\slash`,
		"\u0085\u009b":          `\u0085\u009b`,
		strings.Repeat("x", 50): strings.Repeat("x", 30) + "…",
	} {
		if got := escape(in, 30); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
