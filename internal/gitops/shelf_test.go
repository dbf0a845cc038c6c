package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// shop is a release directory with its digest.
func shop(t *testing.T) (fstest.MapFS, release.Digest) {
	t.Helper()
	dir := fstest.MapFS{
		"release.yaml":      {Data: []byte("name: shop\n")},
		"app.env":           {Data: []byte("A=1\n")},
		"conf/nginx.conf":   {Data: []byte("server {}\n")},
		"conf/certs/ca.pem": {Data: []byte("PEM\n")},
		"empty":             {},
	}
	return dir, digestOf(t, dir)
}

func digestOf(t *testing.T, dir fs.FS) release.Digest {
	t.Helper()
	d, err := release.DigestOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var accepted1 = trust.Verdict{
	Accepted: true, Policy: "p1", At: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
	Gates: []trust.Gate{{Name: "approvals", State: trust.GatePass, Who: []string{"ann@example.com"}}},
}

func newShelf(t *testing.T, dir string) *Shelf {
	t.Helper()
	s, err := NewShelf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantWhole checks that the shelf gives exactly dir.
func wantWhole(t *testing.T, s *Shelf, d release.Digest, dir fs.FS) {
	t.Helper()
	got, err := s.Dir(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents(t, dir), contents(t, got)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func contents(t *testing.T, dir fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, name)
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// left lists what lies on the shelf itself.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestShelfKeepsAReleaseWhole(t *testing.T) {
	where := filepath.Join(t.TempDir(), "state", "releases")
	s := newShelf(t, where)
	dir, digest := shop(t)
	if _, err := s.Dir(digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is stored: %v", err)
	}
	if err := s.Put(digest, dir, accepted1); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, s, digest, dir)
	if v, err := s.Verdict(digest); err != nil || !cmp.Equal(v, accepted1) {
		t.Errorf("verdict %+v, %v", v, err)
	}
	// Again, with another verdict and a directory that cannot even be read: left alone.
	if err := s.Put(digest, fstest.MapFS{}, trust.Verdict{}); err != nil {
		t.Error(err)
	}
	if v, err := s.Verdict(digest); err != nil || !v.Accepted {
		t.Errorf("the second Put changed the verdict: %+v, %v", v, err)
	}
	if got := left(t, where); len(got) != 1 || got[0] != string(digest) {
		t.Errorf("on the shelf: %q", got)
	}
	// Nobody else may look, nobody may write.
	err := filepath.WalkDir(where, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o400}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// A shelf of the next life reads it.
	wantWhole(t, newShelf(t, where), digest, dir)
}

// A Snapshot's directory is what is put on the shelf in earnest.
func TestShelfTakesASnapshot(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/release.yaml", "name: shop\n")
	o.write("environments/production/shop/conf/app.env", "A=1\n")
	o.commit("release")
	r := open(t, o.config())
	syncOK(t, r)
	head, _ := r.Head()
	dir, err := head.Sub("environments/production/shop")
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf(t, t.TempDir())
	digest := digestOf(t, dir)
	if err := s.Put(digest, dir, accepted1); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, s, digest, dir)
}

func TestShelfRefuses(t *testing.T) {
	dir, digest := shop(t)
	for name, c := range map[string]struct {
		digest release.Digest
		dir    fs.FS
	}{
		"no digest":        {"", dir},
		"parent":           {"../" + digest[3:], dir},
		"dots":             {"..", dir},
		"upper case":       {release.Digest(strings.ToUpper(string(digest))), dir},
		"another digest":   {release.Digest(strings.Repeat("0", 64)), dir},
		"nothing":          {digest, fstest.MapFS{}},
		"a symbolic link":  {digest, fstest.MapFS{"release.yaml": dir["release.yaml"], "link": {Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink}}},
		"an unsafe name":   {digest, fstest.MapFS{"release.yaml": dir["release.yaml"], "a b": {}}},
		"a device":         {digest, fstest.MapFS{"null": {Mode: fs.ModeDevice}}},
		"a file too large": {digest, fstest.MapFS{"big": {Data: make([]byte, 65<<20)}}},
	} {
		t.Run(name, func(t *testing.T) {
			where := t.TempDir()
			s := newShelf(t, where)
			if err := s.Put(c.digest, c.dir, accepted1); err == nil {
				t.Error("stored")
			}
			if got := left(t, where); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
			if name == "no digest" || name == "parent" || name == "dots" || name == "upper case" {
				if _, err := s.Dir(c.digest); err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Dir: %v", err)
				}
				if _, err := s.Verdict(c.digest); err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Verdict: %v", err)
				}
			}
		})
	}
}

// What rots, or is changed by hand, is never read as the release; Put mends it.
func TestShelfNoticesDamage(t *testing.T) {
	dir, digest := shop(t)
	change := func(name string, do func(path string) error) func(string) error {
		return func(at string) error { return do(filepath.Join(at, filepath.FromSlash(name))) }
	}
	rewrite := func(path string) error {
		return errors.Join(os.Remove(path), os.WriteFile(path, []byte("name: evil\n"), 0o400))
	}
	for name, damage := range map[string]func(string) error{
		"a file changed":    change("files/release.yaml", rewrite),
		"a file cut":        change("files/conf/nginx.conf", half),
		"a file gone":       change("files/app.env", os.Remove),
		"an empty one gone": change("files/empty", os.Remove),
		"a file more":       change("files/more", func(p string) error { return os.WriteFile(p, nil, 0o400) }),
		"a file renamed": func(at string) error {
			return os.Rename(filepath.Join(at, "files/app.env"), filepath.Join(at, "files/app2.env"))
		},
		"a link instead": change("files/app.env", func(p string) error { return errors.Join(os.Remove(p), os.Symlink("release.yaml", p)) }),
		"no files":       change("files", os.RemoveAll),
		"all a link": change("files", func(p string) error {
			return errors.Join(os.Rename(p, p+"2"), os.Symlink("files2", p))
		}),
		"all a file": change("files", func(p string) error { return errors.Join(os.RemoveAll(p), os.WriteFile(p, nil, 0o400)) }),
	} {
		t.Run(name, func(t *testing.T) {
			where := t.TempDir()
			s := newShelf(t, where)
			if err := s.Put(digest, dir, accepted1); err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(where, string(digest))); err != nil {
				t.Fatal(err)
			}
			_, err := s.Dir(digest)
			var known *Error
			gone := name == "no files" && errors.Is(err, fs.ErrNotExist)
			if !gone && (!errors.As(err, &known) || known.Code != release.ShelfUnreadable || !strings.Contains(err.Error(), digest.Short())) {
				t.Errorf("Dir: %v", err)
			}
			if err := s.Put(digest, dir, accepted1); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, s, digest, dir)
			if got := left(t, where); len(got) != 1 {
				t.Errorf("on the shelf: %q", got)
			}
		})
	}
	t.Run("the verdict", func(t *testing.T) {
		where := t.TempDir()
		s := newShelf(t, where)
		if err := s.Put(digest, dir, accepted1); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(where, string(digest), verdictFile)
		for _, data := range [][]byte{nil, []byte("{"), []byte(`{"accepted":"yes"}`), bytes.Repeat([]byte(" "), verdictMax+1)} {
			if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o400)); err != nil {
				t.Fatal(err)
			}
			if v, err := s.Verdict(digest); err == nil || v.Accepted {
				t.Errorf("%.10q: %+v", data, v)
			}
		}
		wantWhole(t, s, digest, dir) // going back does not need it
	})
}

// hooked calls before each file is opened for the n-th time.
type hooked struct {
	fs.FS
	before func() error
}

func (h hooked) Open(name string) (fs.File, error) {
	if err := h.before(); err != nil {
		return nil, err
	}
	return h.FS.Open(name)
}

// A source that fails in the middle, at whatever point, leaves nothing.
func TestShelfLeavesNothingOfAFailedPut(t *testing.T) {
	dir, digest := shop(t)
	broken := errors.New("the source broke")
	for at := 1; ; at++ {
		where, calls := t.TempDir(), 0
		s := newShelf(t, where)
		err := s.Put(digest, hooked{dir, func() error {
			if calls++; calls == at {
				return broken
			}
			return nil
		}}, accepted1)
		if err == nil {
			if at < 10 {
				t.Fatalf("only %d points to break at", at)
			}
			return // every point was tried
		}
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if got := left(t, where); len(got) != 0 {
			t.Errorf("broken at %d: left %q", at, got)
		}
		if _, err := s.Dir(digest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("broken at %d: %v", at, err)
		}
	}
}

// The disk as it was at every point of a Put, as a crash would leave it: nothing of
// the release is visible, the next life sweeps and stores it, and a release that was
// there before stays whole.
func TestShelfSurvivesACrashAtAnyPoint(t *testing.T) {
	dir, digest := shop(t)
	proven := fstest.MapFS{"release.yaml": {Data: []byte("name: proven\n")}}
	provenDigest := digestOf(t, proven)
	where, images := t.TempDir(), t.TempDir()
	s := newShelf(t, where)
	if err := s.Put(provenDigest, proven, accepted1); err != nil {
		t.Fatal(err)
	}
	n := 0
	image := func() error {
		n++
		return os.CopyFS(filepath.Join(images, fmt.Sprint(n)), os.DirFS(where))
	}
	if err := s.Put(digest, hooked{dir, image}, accepted1); err != nil {
		t.Fatal(err)
	}
	// And the two moments that no hook sees: all written, not yet renamed; and, when a
	// damaged one is replaced, the old one moved and the new one not yet there.
	if err := image(); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(images, fmt.Sprint(n))
	if err := os.Rename(filepath.Join(last, string(digest)), filepath.Join(last, ".new-1")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(last, ".old-1", string(digest), "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if n < 10 {
		t.Fatalf("only %d images", n)
	}
	for i := range n {
		at := filepath.Join(images, fmt.Sprint(i+1))
		s := newShelf(t, at)
		for _, swept := range []bool{false, true} {
			if swept {
				if err := s.Sweep(); err != nil {
					t.Fatal(err)
				}
				if got := left(t, at); len(got) != 1 {
					t.Errorf("image %d: left after the sweep: %q", i+1, got)
				}
			}
			if _, err := s.Dir(digest); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("image %d: half a release is visible: %v", i+1, err)
			}
			wantWhole(t, s, provenDigest, proven)
		}
		if err := s.Put(digest, dir, accepted1); err != nil {
			t.Errorf("image %d: %v", i+1, err)
		}
		wantWhole(t, s, digest, dir)
	}
}
