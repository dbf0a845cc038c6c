package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/gitops"
)

// A push that a hook tells of is seen at once, although the poll is an hour away; and
// many hooks cost few looks.
func TestHookMakesTheNextLookComeNow(t *testing.T) {
	const id, secret = "0b6f3f0e-6a1f-4c0e-9f6a-3d2f6a1c9e55", "0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(dir, "work")
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	work, bare := filepath.Join(dir, "work"), filepath.Join(dir, "origin.git")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	git("init", "-q", "--bare", "-b", "main", bare)
	if err := os.WriteFile(filepath.Join(work, "teal.yaml"), []byte("apiVersion: teal/v1\nkind: Repository\nrepoId: "+id+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "first")
	git("push", "-q", bare, "main")

	backend := &cgi.Handler{Path: filepath.Join(git("--exec-path"), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null"}}
	var looks atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/info/refs") {
			looks.Add(1)
		}
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	follow := RepositoryConfig{URL: srv.URL + "/origin.git", Poll: time.Hour, Timeout: time.Minute}.gitops()
	follow.Dir, follow.RepoID, follow.Log = filepath.Join(dir, "state"), id, log
	repo, err := gitops.Open(follow)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	hooks, err := newHooks(WebhookConfig{Listen: "127.0.0.1:0", Secrets: SendersConfig{GitHub: file}}, repo, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := hooks.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- repo.Run(ctx) }()
	go func() { done <- hooks.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-done
		<-done
	})
	until := func(commit string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); repo.Status().Head != commit; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s is not seen: %+v", commit, repo.Status())
			}
		}
	}
	until(git("rev-parse", "HEAD"))
	git("commit", "-q", "--allow-empty", "-m", "second")
	git("push", "-q", bare, "main")
	before := looks.Load()

	body := []byte(`{"ref":"refs/heads/main"}`)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	began := time.Now()
	const sent = 15
	for range sent {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+"/hooks/github", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("the hook is answered %d", res.StatusCode)
		}
	}
	until(git("rev-parse", "HEAD"))
	t.Logf("seen %v after the first of %d hooks, %d looks", time.Since(began).Round(time.Millisecond), sent, looks.Load()-before)
	if n := hooks.Stats().Accepted; n != sent {
		t.Errorf("%d hooks were believed", n)
	}
	if n := looks.Load() - before; n > sent {
		t.Errorf("%d looks for %d hooks", n, sent)
	}
}

func TestWebhookConfig(t *testing.T) {
	for text, says := range map[string]string{
		"webhook: {listen: ':7415', tls: {cert: /c, key: /k}, secrets: {github: /s, generic: /g}}\n": "",
		"webhook: {listen: '127.0.0.1:7415', secrets: {gitlab: /s}, paths: {gitlab: /x}}\n":          "",
		"webhook: {secrets: {gitlab: /s}}\n":                                                         "listen",
		"webhook: {listen: ':7415', secrets: {gitlab: /s}}\n":                                        "unencrypted",
		"webhook: {listen: ':7415', tls: {cert: /c, key: /k}}\n":                                     "believed",
		"webhook: {listen: '127.0.0.1:1', secrets: {svn: /s}}\n":                                     "svn",
		"webhook: {listen: '127.0.0.1:1', secrets: {github: here}}\n":                                "absolute",
	} {
		_, _, err := load(t, minimal+text, nil)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
