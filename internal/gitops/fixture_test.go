package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

const testRepoID = "0b6f3f0e-6a1f-4c0e-9f6a-3d2f6a1c9e55"

// gitBin is found before a test may empty PATH.
var gitBin = func() string {
	path, err := exec.LookPath("git")
	if err != nil {
		panic("these tests need the git program: " + err.Error())
	}
	return path
}()

// origin is a bare repository and a checkout that commits into it.
type origin struct {
	t          *testing.T
	bare, work string
}

// newOrigin makes a repository whose branch main has one commit with teal.yaml.
func newOrigin(t *testing.T) *origin {
	t.Helper()
	dir := t.TempDir()
	o := &origin{t: t, bare: filepath.Join(dir, "origin.git"), work: filepath.Join(dir, "work")}
	run(t, dir, nil, "init", "-q", "--bare", "-b", "main", o.bare)
	run(t, dir, nil, "init", "-q", "-b", "main", o.work)
	o.git("remote", "add", "origin", o.bare)
	o.write("teal.yaml", "apiVersion: teal/v1\nkind: Repository\nrepoId: "+testRepoID+"\n")
	o.commit("first")
	return o
}

var gitEnv = []string{
	"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com",
}

func run(t *testing.T, dir string, stdin []byte, args ...string) string {
	t.Helper()
	out, err := tryGit(dir, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryGit(dir string, stdin []byte, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, gitBin, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "HOME="+dir, "PATH="+filepath.Dir(gitBin)), gitEnv...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	return run(o.t, o.work, nil, args...)
}

func (o *origin) write(name, content string) {
	o.t.Helper()
	path := filepath.Join(o.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		o.t.Fatal(err)
	}
}

// commit commits everything, pushes the branch, and returns the commit.
func (o *origin) commit(subject string) string {
	o.t.Helper()
	o.git("add", "-A")
	o.git("commit", "-q", "--allow-empty", "-m", subject)
	o.git("push", "-q", "origin", "HEAD")
	return o.git("rev-parse", "HEAD")
}

// object writes an object as it is and returns its name.
func (o *origin) object(typ string, data []byte) string {
	o.t.Helper()
	return run(o.t, o.work, data, "hash-object", "-t", typ, "-w", "--stdin", "--literally")
}

// line is one entry of a tree object.
func line(mode, name, hash string) []byte {
	var raw []byte
	for i := 0; i < len(hash); i += 2 {
		var b byte
		fmt.Sscanf(hash[i:i+2], "%02x", &b)
		raw = append(raw, b)
	}
	return append([]byte(mode+" "+name+"\x00"), raw...)
}

// commitTree makes a commit of a tree object on top of main and moves the bare
// repository's main there; a plain push would refuse what these trees hold.
func (o *origin) commitTree(tree string) string {
	o.t.Helper()
	c := run(o.t, o.work, nil, "commit-tree", tree, "-p", o.git("rev-parse", "HEAD"), "-m", "crafted")
	o.copyObjects()
	run(o.t, o.bare, nil, "update-ref", "refs/heads/main", c)
	return c
}

// copyObjects copies loose objects past the checks of a push.
func (o *origin) copyObjects() {
	o.t.Helper()
	from := filepath.Join(o.work, ".git", "objects")
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(o.bare, "objects", rel)
		if exists(to) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o444)
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// config follows the bare repository with a new state directory.
func (o *origin) config() Config {
	return Config{URL: o.bare, Dir: filepath.Join(o.t.TempDir(), "git"), RepoID: testRepoID, Log: testLog(o.t)}
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func open(t *testing.T, cfg Config) *Repo {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func syncOK(t *testing.T, r *Repo) Status {
	t.Helper()
	s, err := r.Sync(t.Context())
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	if s.Code != "" {
		t.Fatalf("status code %s: %s", s.Code, s.Detail)
	}
	return s
}

func syncCode(t *testing.T, r *Repo, want release.Code) Status {
	t.Helper()
	s, err := r.Sync(t.Context())
	var known *Error
	if !errors.As(err, &known) || known.Code != want {
		t.Fatalf("Sync: %v, want code %s", err, want)
	}
	if text := err.Error(); plain(text, 10*detailMax) != text || len(text) > detailMax+10 {
		t.Fatalf("not one printable line of bounded length: %q", text)
	}
	if _, ok := release.Lookup(want); !ok {
		t.Fatalf("code %s is not in the table", want)
	}
	return s
}

func wantHead(t *testing.T, r *Repo, commit string) Snapshot {
	t.Helper()
	s, ok := r.Head()
	if !ok || s.Commit() != commit {
		t.Fatalf("head is %q (%v), want %s", s.Commit(), ok, commit)
	}
	if got := r.Status().Head; got != commit {
		t.Fatalf("status says %s, want %s", got, commit)
	}
	return s
}

// serve shows the directory of the bare repository over HTTP through git http-backend.
func (o *origin) serve(wrap func(http.Handler) http.Handler) *httptest.Server {
	o.t.Helper()
	srv := httptest.NewServer(wrap(o.backend()))
	o.t.Cleanup(srv.Close)
	return srv
}

func (o *origin) backend() http.Handler {
	return &cgi.Handler{
		Path: filepath.Join(run(o.t, o.work, nil, "--exec-path"), "git-http-backend"),
		Env: append([]string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(o.bare), "GIT_HTTP_EXPORT_ALL=1", "HOME=" + filepath.Dir(o.bare), "PATH=" + filepath.Dir(gitBin),
		}, gitEnv...),
	}
}

func asItIs(h http.Handler) http.Handler { return h }
