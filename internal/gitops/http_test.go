package gitops

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// counting notes every request.
type counting struct {
	mu   sync.Mutex
	seen []string
}

func (c *counting) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		c.seen = append(c.seen, req.Method+" "+req.URL.Path[strings.Index(req.URL.Path, ".git")+4:])
		c.mu.Unlock()
		h.ServeHTTP(w, req)
	})
}

func (c *counting) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.seen, ", ")
	c.seen = nil
	return s
}

func TestFollowsHTTP(t *testing.T) {
	o := newOrigin(t)
	o.write("environments/production/shop/release.yaml", "name: shop\n")
	a := o.commit("A")
	requests := &counting{}
	srv := o.serve(requests.wrap)
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	r := open(t, cfg)
	syncOK(t, r)
	wantHead(t, r, a)
	if got := requests.take(); got != "GET /info/refs, POST /git-upload-pack, GET /info/refs, POST /git-upload-pack" {
		t.Errorf("first look: %s", got)
	}
	syncOK(t, r)
	if got := requests.take(); got != "POST /git-upload-pack" {
		t.Errorf("look without a change: %s", got)
	}
	// A large file that does not change is not sent again.
	o.write("environments/production/shop/notes", strings.Repeat(fmt.Sprint(os.Getpid()), 10))
	b := o.commit("B")
	syncOK(t, r)
	s := wantHead(t, r, b)
	if apps, err := s.Apps("production"); err != nil || len(apps) != 1 {
		t.Errorf("apps %v, %v", apps, err)
	}
	run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "fsck", "--strict")

	// Rewritten, then adopted.
	o.git("reset", "-q", "--hard", a)
	c := func() string {
		o.git("commit", "-q", "--allow-empty", "-m", "C")
		o.git("push", "-q", "-f", "origin", "HEAD")
		return o.git("rev-parse", "HEAD")
	}()
	syncCode(t, r, release.HistoryRewritten)
	requests.take()
	syncCode(t, r, release.HistoryRewritten)
	if got := requests.take(); got != "POST /git-upload-pack" {
		t.Errorf("look at a refused head: %s", got)
	}
	wantHead(t, r, b)
	if err := r.Adopt(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	wantHead(t, r, c)

	// Damage is repaired over HTTP too.
	eachFile(t, filepath.Join(cfg.Dir, "clone.git"), "objects/pack/*.pack", blank)
	syncOK(t, r)
	wantHead(t, r, c)

	// Away and back.
	srv.CloseClientConnections()
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "down \x1b[2J for maintenance", http.StatusServiceUnavailable)
	})
	st := syncCode(t, r, release.RepoUnreachable)
	if strings.Contains(st.Detail, "\x1b") || st.Head != c {
		t.Errorf("status %+v", st)
	}
	srv.Config.Handler = o.backend()
	syncOK(t, r)
}

func TestEmptyRepositoryOverHTTP(t *testing.T) {
	o := newOrigin(t)
	run(t, o.bare, nil, "update-ref", "-d", "refs/heads/main")
	cfg := o.config()
	cfg.URL = o.serve(asItIs).URL + "/origin.git"
	r := open(t, cfg)
	syncCode(t, r, release.BranchMissing)
	a := o.commit("A")
	syncOK(t, r)
	wantHead(t, r, a)
}

func TestCredentialsOverHTTP(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	var want atomic.Value
	want.Store("Bearer one")
	srv := o.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != want.Load() {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, req)
		})
	})
	dir := t.TempDir()
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	syncCode(t, open(t, cfg), release.RepoAuthRefused)

	cfg.TokenFile = secret("token", "one\n")
	r := open(t, cfg)
	syncOK(t, r)
	wantHead(t, r, a)
	want.Store("Bearer two")
	if st := syncCode(t, r, release.RepoAuthRefused); strings.Contains(st.Detail, "one") {
		t.Errorf("the token is shown: %s", st.Detail)
	}
	secret("token", "two\n") // rotated, no restart
	syncOK(t, r)

	for _, text := range []string{"", "\n", "two\nlines\n"} {
		secret("token", text)
		syncCode(t, r, release.RepoAuthRefused)
	}
	secret("token", "two")
	if err := os.Chmod(cfg.TokenFile, 0o604); err != nil {
		t.Fatal(err)
	}
	if st := syncCode(t, r, release.RepoAuthRefused); !strings.Contains(st.Detail, "chmod") {
		t.Errorf("detail %q", st.Detail)
	}

	want.Store("Basic YW5uOnBhc3M=") // ann:pass
	cfg.TokenFile, cfg.UsernameFile, cfg.PasswordFile = "", secret("user", "ann"), secret("password", "pass\n")
	cfg.Dir = filepath.Join(dir, "basic")
	syncOK(t, open(t, cfg))
}

func TestCAFile(t *testing.T) {
	o := newOrigin(t)
	srv := httptest.NewTLSServer(o.backend())
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	syncCode(t, open(t, cfg), release.RepoUnreachable)
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	syncCode(t, r, release.RepoUnreachable)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(cfg.CAFile, cert, 0o644); err != nil {
		t.Fatal(err)
	}
	syncOK(t, r)
	// Who may write it says whom to trust.
	if err := os.Chmod(cfg.CAFile, 0o664); err != nil {
		t.Fatal(err)
	}
	if st := syncCode(t, r, release.RepoUnreachable); !strings.Contains(st.Detail, "chmod go-w") {
		t.Error(st.Detail)
	}
}

// What a server says is shown to people; what it says of our login is not, on any of
// the ways by which it can say something.
func TestServerThatEchoesTheLogin(t *testing.T) {
	o := newOrigin(t)
	backend := o.backend()
	pkt := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	for name, say := range map[string]http.HandlerFunc{
		"a refusal": func(w http.ResponseWriter, req *http.Request) {
			http.Error(w, "not with "+req.Header.Get("Authorization"), http.StatusUnauthorized)
		},
		"an object format": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, value, _ := strings.Cut(req.Header.Get("Authorization"), " ")
			fmt.Fprint(w, pkt("version 2\n")+pkt("ls-refs\n")+pkt("object-format="+value+"\n")+flush)
		},
		"an error in the pack": func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/info/refs"):
				req.Header.Del("Git-Protocol")
				backend.ServeHTTP(w, req)
			default:
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				fmt.Fprint(w, "0008NAK\n"+pkt("\x03you sent "+req.Header.Get("Authorization")))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(say)
			t.Cleanup(srv.Close)
			for _, basic := range []bool{false, true} {
				cfg := o.config()
				cfg.Dir = filepath.Join(t.TempDir(), "git")
				cfg.URL = srv.URL + "/origin.git"
				if basic {
					cfg.UsernameFile, cfg.PasswordFile = write(t, "ann", 0o600), write(t, "hunter2", 0o600)
				} else {
					cfg.TokenFile = write(t, "hunter2", 0o600)
				}
				r := open(t, cfg)
				_, err := r.Sync(t.Context())
				text := fmt.Sprint(err, r.Status().Detail)
				if err == nil || !strings.Contains(text, "[secret]") || strings.Contains(text, "hunter2") || strings.Contains(text, "YW5uOmh1bnRlcjI") {
					t.Errorf("basic %v: %s", basic, text)
				}
			}
		})
	}
}

// A server that hangs, floods or lies costs a bounded time and nothing else.
func TestHostileServers(t *testing.T) {
	o := newOrigin(t)
	o.write("noise", noise(64<<10)) // does not compress
	o.commit("noise")
	backend := o.backend()
	refs := func(w http.ResponseWriter, req *http.Request, answer func()) {
		if strings.HasSuffix(req.URL.Path, "/info/refs") {
			backend.ServeHTTP(w, req)
			return
		}
		answer()
	}
	release1 := make(chan struct{})
	t.Cleanup(func() { close(release1) })
	hang := func(req *http.Request) {
		// A server only notices that its client went away once it has read the body.
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case <-req.Context().Done():
		case <-release1:
		}
	}
	servers := map[string]struct {
		code   release.Code
		handle http.HandlerFunc
	}{
		"hangs at once": {release.RepoUnreachable, func(_ http.ResponseWriter, req *http.Request) { hang(req) }},
		"hangs at the pack": {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) {
			refs(w, req, func() { hang(req) })
		}},
		"hangs in the pack": {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) {
			refs(w, req, func() {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				fmt.Fprint(w, "0008NAK\n0009\x01PACK")
				_ = http.NewResponseController(w).Flush()
				hang(req)
			})
		}},
		"floods the references": {release.RepoTooLarge, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
			one := fmt.Sprintf("%s refs/heads/%s\n", strings.Repeat("a", 40), strings.Repeat("b", 1000))
			for i := range 100_000 {
				name := strings.Replace(one, "bbbbbbbb", fmt.Sprintf("%08d", i), 1)
				if i == 0 {
					name = strings.TrimSuffix(name, "\n") + "\x00ofs-delta\n"
				}
				if _, err := fmt.Fprintf(w, "%04x%s", len(name)+4, name); err != nil {
					return
				}
			}
		}},
		"floods the pack": {release.RepoTooLarge, func(w http.ResponseWriter, req *http.Request) {
			refs(w, req, func() {
				fmt.Fprint(w, "0008NAK\n")
				chunk := strings.Repeat("x", 60_000)
				for {
					if _, err := fmt.Fprintf(w, "%04x\x01%s", len(chunk)+5, chunk); err != nil {
						return
					}
				}
			})
		}},
		"floods the error page": {release.RepoUnreachable, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for range 1000 {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 60_000)); err != nil {
					return
				}
			}
		}},
		"sends no pack":     {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) { refs(w, req, func() {}) }},
		"sends only an ack": {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) { refs(w, req, func() { fmt.Fprint(w, "0008NAK\n") }) }},
		"sends an empty pack": {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) {
			refs(w, req, func() {
				fmt.Fprint(w, "0008NAK\n0025\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e0000")
			})
		}},
		"sends garbage": {release.RepoUnreachable, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello") }},
		"redirects in a loop": {release.RepoUnreachable, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, req.URL.String(), http.StatusFound)
		}},
		"sends more than the limit": {release.RepoTooLarge, backend.ServeHTTP},
	}
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(s.handle)
			defer srv.Close()
			defer srv.CloseClientConnections()
			cfg := o.config()
			cfg.Log = nil
			cfg.Dir = filepath.Join(t.TempDir(), "git")
			cfg.URL = srv.URL + "/origin.git"
			cfg.Timeout = 2 * time.Second
			if strings.Contains(name, "references") {
				cfg.Timeout = 20 * time.Second
			}
			cfg.Limits.Pack = 40 << 10
			r := open(t, cfg)
			begin := time.Now()
			st := syncCode(t, r, s.code)
			if took := time.Since(begin); took > cfg.Timeout+time.Minute {
				t.Errorf("took %v", took)
			}
			if len(st.Detail) > detailMax+10 {
				t.Errorf("detail of %d bytes", len(st.Detail))
			}
			if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// The token goes to the host it was made for and nowhere else: not to one that a
// redirect names, nor with the later requests, which go-git sends there too.
func TestRedirectDoesNotTakeTheTokenAlong(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	var mu sync.Mutex
	var asked []string
	other := o.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			asked = append(asked, req.Method+" "+req.Header.Get("Authorization"))
			mu.Unlock()
			h.ServeHTTP(w, req)
		})
	})
	sent := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		sent = sent || req.Header.Get("Authorization") == "Bearer secret"
		http.Redirect(w, req, other.URL+req.URL.String(), http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	cfg.TokenFile = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(cfg.TokenFile, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	syncOK(t, r) // what it serves is judged like anything else
	wantHead(t, r, a)
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(asked, ","); got != "GET ,POST " || !sent {
		t.Errorf("the other server was asked %q; the first got the token: %v", got, sent)
	}
}

// Callers that come while a look is under way share the next one.
func TestConcurrentSyncsShareALook(t *testing.T) {
	o := newOrigin(t)
	var looks atomic.Int32
	arrived := make(chan struct{}, 100)
	gate := make(chan struct{})
	srv := o.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/info/refs") {
				looks.Add(1)
				arrived <- struct{}{}
				<-gate
			}
			h.ServeHTTP(w, req)
		})
	})
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	r := open(t, cfg)
	errs := make(chan error, 30)
	call := func(ctx context.Context) {
		go func() {
			_, err := r.Sync(ctx)
			errs <- err
		}()
	}
	call(t.Context())
	<-arrived // the first look is under way
	b := o.commit("pushed after the look began")
	// One of the waiting gives up; it may well be the one that leads.
	quitter, quit := context.WithCancel(t.Context())
	call(quitter)
	time.Sleep(10 * time.Millisecond)
	for range 20 {
		call(t.Context())
	}
	time.Sleep(100 * time.Millisecond)
	quit()
	if err := <-errs; err == nil {
		t.Error("the one that gave up was told nothing")
	}
	close(gate)
	for range 21 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantHead(t, r, b)
	if n := looks.Load(); n > 3 {
		t.Errorf("%d looks for 22 callers", n)
	}
}
