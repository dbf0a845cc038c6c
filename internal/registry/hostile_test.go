package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const user, password = "teal", "s3cret-of-the-registry"

// login writes the config.json of somebody who is logged in at hosts.
func login(t *testing.T, hosts ...string) string {
	t.Helper()
	auths := map[string]any{}
	for _, h := range hosts {
		auths[h] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// guarded asks for credentials, by name and password or by a token for them.
func guarded(h http.Handler, token bool, self func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, ok := r.BasicAuth()
		good := ok && u == user && p == password
		switch {
		case token && r.URL.Path == "/token":
			if !good {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, `{"token":"t0ken"}`)
			return
		case token && r.Header.Get("Authorization") != "Bearer t0ken":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+self()+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		case !token && !good:
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// A registry that asks for a password hands a blob over to a store elsewhere, as most
// do. The store gets the request and no credentials.
func TestCredentialsStayAtTheRegistry(t *testing.T) {
	for _, token := range []bool{false, true} {
		t.Run(fmt.Sprintf("token %v", token), func(t *testing.T) {
			open := newShelf(t, true, nil)
			ref, image, _ := open.image("config")
			open.manifest("", typeOCIManifest, open.attachment(image, typeBundle, "BUNDLE"))

			var leaked atomic.Value
			var asked atomic.Int32
			store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if a := r.Header.Get("Authorization") + r.Header.Get("Cookie") + r.URL.User.String(); a != "" {
					leaked.Store(a)
				}
				_, _ = io.WriteString(w, "BUNDLE")
			}))
			t.Cleanup(store.Close)
			target, err := url.Parse(open.srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			var srv *httptest.Server
			srv = httptest.NewServer(guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/blobs/") {
					// Another name of this machine is another host.
					http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", "localhost", 1)+"/b", http.StatusTemporaryRedirect)
					return
				}
				forward(w, r, target)
			}), token, func() string { return srv.URL }))
			t.Cleanup(srv.Close)
			host := strings.TrimPrefix(srv.URL, "http://")
			ref = strings.Replace(ref, open.host, host, 1)

			c := New(Config{DockerConfig: login(t, host)})
			got, err := c.Attestations(t.Context(), ref)
			if err != nil || data(got.Files) != "BUNDLE" || asked.Load() == 0 {
				t.Fatalf("%v %q, the store was asked %d times", err, data(got.Files), asked.Load())
			}
			if l := leaked.Load(); l != nil {
				t.Errorf("the store was told %v", l)
			}
			if _, err := New(Config{DockerConfig: t.TempDir()}).Attestations(t.Context(), ref); err == nil {
				t.Error("without credentials")
			}
			_, err = New(Config{DockerConfig: login(t, "elsewhere.example.com")}).Facts(t.Context(), ref, "linux/amd64")
			if err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("with another registry's credentials: %v", err)
			}
		})
	}
}

func forward(w http.ResponseWriter, r *http.Request, to *url.URL) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = to.Scheme, to.Host, ""
	out.Header.Del("Authorization")
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// recorder notes which hosts were asked, and answers nothing.
type recorder struct{ hosts []string }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.hosts = append(r.hosts, req.URL.Scheme+"://"+req.URL.Host)
	return nil, errors.New("no network here")
}

// A private address is not a reason to do without TLS: whoever can block port 443 would
// get the password.
func TestNoRegistryIsAskedWithoutTLS(t *testing.T) {
	for _, host := range []string{"10.0.0.7:5000", "192.168.1.1", "registry.local", "registry.example.com", "[fd00::1]:5000"} {
		rec := &recorder{}
		c := New(Config{DockerConfig: login(t, host), Transport: rec})
		if _, err := c.Facts(t.Context(), host+"/shop@sha256:"+strings.Repeat("0", 64), "linux/amd64"); err == nil {
			t.Errorf("%s: no error", host)
		}
		for _, asked := range rec.hosts {
			if strings.HasPrefix(asked, "http:") {
				t.Errorf("%s: %s was asked", host, asked)
			}
		}
	}
}

// What a registry can do with time and size.
func TestHostileServers(t *testing.T) {
	wait := make(chan struct{})
	ref := func(srv string) string { return srv + "/shop@sha256:" + strings.Repeat("0", 64) }
	login := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return // 200: no login
			}
			h(w, r)
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typeOCIIndex)
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
				return
			case <-wait:
				return
			}
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typeOCIIndex)
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		want     string
		tooLarge bool
	}{
		"silent at the login":  {func(_ http.ResponseWriter, r *http.Request) { hang(r, wait) }, "took too long", false},
		"silent after it":      {login(func(_ http.ResponseWriter, r *http.Request) { hang(r, wait) }), "took too long", false},
		"a byte at a time":     {login(drip), "took too long", false},
		"endless":              {login(endless), "more than 4194304 bytes", true},
		"a length that is big": {login(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999999") }), "more than 4194304 bytes", true},
		"a head without end": {login(func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 2000))
			}
		}), "response headers exceeded", false},
		"redirects in a ring": {login(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }), "more than 5 redirects", false},
		"a redirect to the inside": {login(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		}), "not asked without TLS", false},
		"a redirect to a file": {login(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}), "not asked without TLS", false},
		"cut off": {login(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "x")
		}), "unexpected EOF", false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			t.Cleanup(srv.CloseClientConnections)
			patience := time.Minute // of a machine that is busy
			if c.want == "took too long" {
				patience = 500 * time.Millisecond
			}
			client := New(Config{DockerConfig: t.TempDir(), Timeout: patience})
			began := time.Now()
			got, err := client.Attestations(t.Context(), ref(strings.TrimPrefix(srv.URL, "http://")))
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			text := got.TooLarge
			if err != nil {
				text = err.Error()
			}
			if (got.TooLarge != "") != c.tooLarge || !strings.Contains(text, c.want) || len(got.Files) != 0 {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
	close(wait)
}

func hang(r *http.Request, until chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-until:
	}
}

// helper puts a credential helper of that name before all others on the PATH and gives the
// directory of a config.json that names it.
func helper(t *testing.T, host, name, script string) (dir string) {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o700),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(fmt.Sprintf(`{"credHelpers":{%q:%q}}`, host, name)), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

// A helper's answer holds for one call: the registry's next password works without a new
// client, and the last one does not.
func TestHelperIsAskedEachTime(t *testing.T) {
	var wants atomic.Value
	s := newShelf(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if want, ok := wants.Load().(string); ok {
				if user, have, _ := r.BasicAuth(); user != "deploy" || have != want {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	ref, _, _ := s.image(`{"os":"linux","architecture":"amd64"}`)
	store := filepath.Join(t.TempDir(), "store")
	c := New(Config{DockerConfig: helper(t, s.host, "file", "[ \"$1\" = get ] || exit 1\ncat "+store+"\n")})
	for _, next := range []string{"hunter2", "hunter3"} {
		if err := os.WriteFile(store, []byte(`{"Username":"deploy","Secret":"`+next+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		wants.Store(next)
		if _, err := c.Facts(t.Context(), ref, "linux/amd64"); err != nil {
			t.Errorf("with %s: %v", next, err)
		}
		wants.Store("changed")
		if _, err := c.Facts(t.Context(), ref, "linux/amd64"); err == nil {
			t.Errorf("read with %s, which is no longer the password", next)
		}
	}
}

// A helper that fails after it has told the password does not bring it into an error.
func TestHelperThatFails(t *testing.T) {
	for printed, says := range map[string]string{`{"Username":"deploy","Secret":"hunter2"}`: "not repeated", "the vault is sealed": "the vault is sealed", strings.Repeat("x", 1000): "xxx…"} {
		const host = "registry.example.com"
		c := New(Config{DockerConfig: helper(t, host, "torn", "echo '"+printed+"'\nexit 1\n"), Transport: &recorder{}})
		_, err := c.Facts(t.Context(), host+"/x@sha256:"+strings.Repeat("0", 64), "linux/amd64")
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 700 {
			t.Errorf("%v", err)
		}
	}
}

// A credential helper that hangs costs a call its time and one process, however often
// it is asked.
func TestHelperThatHangs(t *testing.T) {
	bin := t.TempDir()
	marks := filepath.Join(bin, "asked")
	script := "#!/bin/sh\necho x >> " + marks + "\nexec sleep 3\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-hangs"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"credsStore":"hangs"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	c := New(Config{DockerConfig: dir, Timeout: 200 * time.Millisecond, Transport: &recorder{}})
	for range 5 {
		if _, err := c.Facts(t.Context(), "registry.example.com/x@sha256:"+strings.Repeat("0", 64), "linux/amd64"); !errors.Is(err, errTooSlow) {
			t.Errorf("%v", err)
		}
	}
	asked, err := os.ReadFile(marks)
	if err != nil || len(asked) != len("x\n") {
		t.Errorf("asked %q, %v", asked, err)
	}
	if now := runtime.NumGoroutine(); now > before+5 {
		t.Errorf("%d goroutines, before %d", now, before)
	}
	select { // let the helper end before its directory goes
	case c.asking <- struct{}{}:
	case <-time.After(10 * time.Second):
		t.Error("the helper never ended")
	}
}

// A caller who goes away is not waited for.
func TestCancelled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // accepts nothing: the request waits
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = client(t).Attestations(ctx, listener.Addr().String()+"/x@sha256:"+strings.Repeat("0", 64))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
