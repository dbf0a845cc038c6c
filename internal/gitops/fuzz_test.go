package gitops

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// Whatever the address: either a clean absolute path, an http(s) address without
// credentials or an ssh address whose path a shell takes as one word, or an error that repeats no password; and it is read the same again.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"", "/srv/git/x.git", "/srv//git/../x", "file:///srv/x", "file://localhost/srv/x", "file://h/x", "https://git.example.com/x.git/",
		"https://git.example.com:8443/a%2fb", "HTTPS://H/x", "http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost./x", "https://ann:hunter2@h/x",
		"https://h/x?token=hunter2", "https://h/x#hunter2", "https://h/%zz", "ssh://git@h/x", "git@h:x.git", "ext::sh -c x", "-x", "http:///x", "https://h:0x/", "file:///\x00",
		"https://hunter2@h/x", "HtTp://h", "https://h/?", "://", "a://b://c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			if i := strings.LastIndex(s, "hunter2"); i >= 0 && strings.Contains(s, "://") && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("%q: shows a password: %v", s, err)
			}
			return
		}
		switch {
		case a.ssh != nil:
			quoted := strings.TrimSuffix(strings.TrimPrefix(a.ssh.command(), "git-upload-pack '"), "'")
			for _, escaped := range []string{`'\''`, `'\!'`} {
				quoted = strings.ReplaceAll(quoted, escaped, "")
			}
			if a.local != "" || a.remote != "" || a.ssh.check() != nil || strings.ContainsAny(quoted, "'!\n\x00") || strings.HasPrefix(a.ssh.path, "-") {
				t.Fatalf("%q: %+v runs %s", s, a.ssh, a.ssh.command())
			}
		case (a.local == "") == (a.remote == ""):
			t.Fatalf("%q: %+v", s, a)
		case a.local != "":
			if !filepath.IsAbs(a.local) || filepath.Clean(a.local) != a.local || a.private {
				t.Fatalf("%q: %+v", s, a)
			}
		default:
			if !strings.HasPrefix(a.remote, "http://") && !strings.HasPrefix(a.remote, "https://") || strings.HasSuffix(a.remote, "/") {
				t.Fatalf("%q: %+v", s, a)
			}
			if again, err := parseAddress(a.remote); err != nil || again != a {
				t.Fatalf("%q became %+v, which reads as %+v, %v", s, a, again, err)
			}
		}
	})
}

// Any tree object, looked at through the file system: no panic, no name that is not
// plain, and listing and opening agree.
func FuzzTreeFS(f *testing.F) {
	blob, empty := plumbing.ComputeHash(plumbing.BlobObject, []byte("x")), plumbing.ComputeHash(plumbing.TreeObject, nil)
	one := func(mode, name string, h plumbing.Hash) []byte { return append([]byte(mode+" "+name+"\x00"), h[:]...) }
	f.Add([]byte(nil), "a")
	f.Add(one("100644", "a", blob), "a")
	f.Add(one("40000", "a", empty), "a/b")
	f.Add(one("40000", "..", empty), "..")
	f.Add(bytes.Join([][]byte{one("100644", "a", blob), one("100644", "A", blob)}, nil), "A")
	f.Add(bytes.Join([][]byte{one("100644", "a", blob), one("40000", "a", empty)}, nil), "a")
	f.Add(one("120000", "l", blob), "l")
	f.Add(one("160000", "m", blob), "m")
	f.Add(one("100644", "a", plumbing.ZeroHash), "a")
	f.Add([]byte("100644 a"), "a")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		store := mapped{}
		store.add(plumbing.BlobObject, []byte("x"))
		store.add(plumbing.TreeObject, nil)
		root := store.add(plumbing.TreeObject, data)
		dir := newTreeFS(store, root, ".", Limits{Entries: 50, Depth: 4}.orDefault())
		list, listErr := fs.ReadDir(dir, ".")
		for _, e := range list {
			if p := checkName(e.Name()); p != "" || !fs.ValidPath(e.Name()) {
				t.Fatalf("lists %q: %s", e.Name(), p)
			}
			if typ := e.Type(); typ != 0 && typ != fs.ModeDir {
				t.Fatalf("lists %q with type %v", e.Name(), typ)
			}
		}
		file, err := dir.Open(name)
		if err != nil {
			return
		}
		defer file.Close()
		if !fs.ValidPath(name) {
			t.Fatalf("opened %q", name)
		}
		listed := false
		for _, e := range list {
			listed = listed || e.Name() == name
		}
		if listErr == nil && name != "." && !strings.Contains(name, "/") && !listed {
			t.Fatalf("opens %q, which is not listed", name)
		}
		if _, err := file.Stat(); err != nil {
			t.Fatalf("stat of open %q: %v", name, err)
		}
	})
}

// A reference file or a packed-refs of any bytes is a commit's name, nothing, or an
// error; it leads to no file outside the repository.
func FuzzReference(f *testing.F) {
	hex := strings.Repeat("a1", 20)
	f.Add([]byte(hex+"\n"), []byte(""))
	f.Add([]byte("ref: refs/heads/other\n"), []byte(hex+" refs/heads/other\n"))
	f.Add([]byte("ref: refs/heads/main\n"), []byte(nil))
	f.Add([]byte("ref: refs/heads/../../../secret\n"), []byte(nil))
	f.Add([]byte("ref: /etc/passwd"), []byte(nil))
	f.Add([]byte(nil), []byte("# pack-refs with: peeled\n"+hex+" refs/heads/main\n^"+hex+"\n"))
	f.Add([]byte(hex[:39]), []byte(hex+" refs/heads/main"))
	secret := strings.Repeat("5ec4", 10)
	f.Fuzz(func(t *testing.T, loose, packed []byte) {
		top := t.TempDir()
		git := filepath.Join(top, "git")
		if err := errors.Join(os.MkdirAll(filepath.Join(git, "refs", "heads"), 0o700), os.WriteFile(filepath.Join(top, "secret"), []byte(secret), 0o600),
			os.WriteFile(filepath.Join(git, "refs", "heads", "main"), loose, 0o600), os.WriteFile(filepath.Join(git, "packed-refs"), packed, 0o600)); err != nil {
			t.Fatal(err)
		}
		h, ok, err := gitDir{own: git, common: git}.ref("refs/heads/main", 0)
		if ok && err != nil || !ok && !h.IsZero() {
			t.Fatalf("%s, %v, %v", h, ok, err)
		}
		if text := h.String(); ok && !bytes.Contains(loose, []byte(text)) && !bytes.Contains(packed, []byte(text)) {
			t.Fatalf("%s comes from nowhere", text)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("shows the secret: %v", err)
		}
	})
}

// Any bytes as a commit: no panic, and what is shown of it is printable and short.
func FuzzCommit(f *testing.F) {
	head := "tree " + strings.Repeat("a", 40) + "\nparent " + strings.Repeat("b", 40) + "\n"
	f.Add([]byte(head + "author Ann <ann@example.com> 1700000000 +0100\ncommitter Ann <ann@example.com> 1700000000 +0100\n\nsubject\n\nbody\n"))
	f.Add([]byte(head + "author \x1b[31m <\u202e> 99999999999999999999 +9999\ncommitter\n\n\xff\x00\n"))
	f.Add([]byte("tree x\n"))
	f.Add([]byte("\n\n"))
	f.Add([]byte("gpgsig -----BEGIN\n x\n\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := mapped{}
		h := store.add(plumbing.CommitObject, data)
		s, err := newSnapshot(store, store, h, Limits{}.orDefault())
		if err != nil {
			return
		}
		for _, text := range []string{s.Author(), s.Subject()} {
			if plain(text, 1000) != text || len(text) > 220 {
				t.Fatalf("%q", text)
			}
		}
		if s.Commit() != h.String() {
			t.Fatalf("it says %s", s.Commit())
		}
		_, _ = s.RepoID()
	})
}

// Any bytes as teal.yaml: the pinned id, or repo_id_mismatch.
func FuzzIdentity(f *testing.F) {
	f.Add([]byte("apiVersion: teal/v1\nkind: Repository\nrepoId: " + testRepoID + "\n"))
	f.Add([]byte("{apiVersion: teal/v1, kind: Repository, repoId: " + testRepoID + "}\n---\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("repoId: [" + testRepoID + "]"))
	f.Add([]byte("? \n: \n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := mapped{}
		blob := store.add(plumbing.BlobObject, data)
		tree := store.add(plumbing.TreeObject, append([]byte("100644 "+IdentityFile+"\x00"), blob[:]...))
		commit := store.add(plumbing.CommitObject, []byte("tree "+tree.String()+"\n\n"))
		s, err := newSnapshot(store, store, commit, Limits{}.orDefault())
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.RepoID()
		if err == nil {
			if !uuid.MatchString(id) {
				t.Fatalf("%q is the id %q", data, id)
			}
			return
		}
		if known := classify(err); known.Code != release.RepoIDMismatch {
			t.Fatalf("%q: %v", data, err)
		}
	})
}
