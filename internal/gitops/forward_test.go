package gitops

import (
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// connectProxy is a forward proxy for CONNECT; want is the login it asks for, or "".
type connectProxy struct {
	want    atomic.Value
	tunnels atomic.Int32
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if want, _ := p.want.Load().(string); want != "" && req.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(want)) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		http.Error(w, "no", http.StatusProxyAuthRequired)
		return
	}
	if req.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	if strings.Contains(req.Host, "forbidden") {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	up, err := net.Dial("tcp", req.Host)
	if err != nil {
		http.Error(w, "unreachable", http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	p.tunnels.Add(1)
	_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
	join(up, buffered, down)
}

func join(up net.Conn, in io.Reader, down net.Conn) {
	go func() {
		_, _ = io.Copy(up, in)
		up.Close()
	}()
	_, _ = io.Copy(down, up)
}

// tlsOrigin serves o through git http-backend behind TLS, and gives a Config that
// trusts it.
func tlsOrigin(t *testing.T, o *origin) (*httptest.Server, Config) {
	t.Helper()
	srv := httptest.NewTLSServer(o.backend())
	t.Cleanup(srv.Close)
	cfg := o.config()
	cfg.URL = srv.URL + "/origin.git"
	cfg.CAFile = write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})), 0o644)
	return srv, cfg
}

func TestForwardProxy(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	_, cfg := tlsOrigin(t, o)
	p := &connectProxy{}
	proxy := httptest.NewServer(p)
	t.Cleanup(proxy.Close)
	cfg.Proxy = proxy.URL
	cfg.TokenFile = write(t, "secret-token", 0o600)
	r := open(t, cfg)
	syncOK(t, r)
	wantHead(t, r, a)
	if p.tunnels.Load() == 0 {
		t.Error("the proxy was not used")
	}

	// With a login from files, which may be rotated.
	p.want.Store("ann:one")
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	if st := syncCode(t, open(t, cfg), release.RepoAuthRefused); !strings.Contains(st.Detail, "407") {
		t.Error(st.Detail)
	}
	cfg.ProxyUsernameFile, cfg.ProxyPasswordFile = write(t, "ann\n", 0o600), write(t, "two\n", 0o600)
	r = open(t, cfg)
	if st := syncCode(t, r, release.RepoAuthRefused); strings.Contains(st.Detail, "two") {
		t.Errorf("the password is shown: %s", st.Detail)
	}
	if err := os.WriteFile(cfg.ProxyPasswordFile, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	syncOK(t, r)

	far := cfg
	far.URL, far.Dir = "https://forbidden.example.com/x.git", filepath.Join(t.TempDir(), "git")
	if st := syncCode(t, open(t, far), release.RepoUnreachable); !strings.Contains(st.Detail, "403") {
		t.Error(st.Detail)
	}
	proxy.CloseClientConnections()
	proxy.Close()
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	syncCode(t, open(t, cfg), release.RepoUnreachable)
}

// A proxy that speaks TLS is trusted by the same certificates.
func TestForwardProxyOverTLS(t *testing.T) {
	o := newOrigin(t)
	_, cfg := tlsOrigin(t, o)
	p := &connectProxy{}
	proxy := httptest.NewTLSServer(p)
	t.Cleanup(proxy.Close)
	cfg.Proxy = proxy.URL // httptest uses one certificate for all
	syncOK(t, open(t, cfg))
	if p.tunnels.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

func TestSOCKSProxy(t *testing.T) {
	o := newOrigin(t)
	_, cfg := tlsOrigin(t, o)
	var used atomic.Int32
	cfg.Proxy = "socks5://" + listenRaw(t, func(c net.Conn) {
		// The greeting, the request for an IPv4 address, and the answers of RFC 1928.
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		if _, err := io.ReadFull(c, make([]byte, head[1])); err != nil {
			return
		}
		_, _ = c.Write([]byte{5, 0})
		ask := make([]byte, 10)
		if _, err := io.ReadFull(c, ask); err != nil || ask[1] != 1 || ask[3] != 1 {
			return
		}
		up, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: ask[4:8], Port: int(ask[8])<<8 | int(ask[9])})
		if err != nil {
			return
		}
		defer up.Close()
		used.Add(1)
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		join(up, c, c)
	})
	syncOK(t, open(t, cfg))
	if used.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

// The environment chooses the way only when it is asked.
func TestProxyOfTheEnvironment(t *testing.T) {
	var s httpSource
	req := httptest.NewRequest(http.MethodGet, "https://git.example.com/x", nil)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	if u, err := s.proxy(req); u != nil || err != nil {
		t.Errorf("without being asked: %v, %v", u, err)
	}
	s.cfg.Proxy = ProxyEnvironment
	if u, err := s.proxy(req); err != nil || u == nil || u.Host != "127.0.0.1:1" {
		t.Errorf("when asked: %v, %v", u, err)
	}
}

func TestValidateProxy(t *testing.T) {
	good := Config{URL: "https://h/x.git", Dir: "/var/lib/teal/git", RepoID: testRepoID, Proxy: "http://proxy:3128"}
	for _, p := range []string{"http://proxy:3128", "https://proxy", "socks5://10.0.0.1:1080", "environment", ""} {
		cfg := good
		cfg.Proxy = p
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"credentials":  {func(c *Config) { c.Proxy = "http://ann:hunter2@proxy:1" }, "proxyPasswordFile"},
		"broken":       {func(c *Config) { c.Proxy = "http://ann:hunter2@proxy:%zz" }, "valid"},
		"no scheme":    {func(c *Config) { c.Proxy = "proxy:3128" }, "http://host:port"},
		"ftp":          {func(c *Config) { c.Proxy = "ftp://proxy" }, "http://host:port"},
		"in the clear": {func(c *Config) { c.URL, c.TokenFile = "http://localhost/x.git", "/t" }, "unencrypted to the proxy"},
		"path":         {func(c *Config) { c.Proxy = "http://proxy/x" }, "host and a port"},
		"half a login": {func(c *Config) { c.ProxyUsernameFile = "/u" }, "both"},
		"relative":     {func(c *Config) { c.ProxyUsernameFile, c.ProxyPasswordFile = "u", "/p" }, "absolute"},
		"for nothing":  {func(c *Config) { c.Proxy, c.ProxyUsernameFile, c.ProxyPasswordFile = "", "/u", "/p" }, "belongs"},
		"for a path":   {func(c *Config) { c.URL = "/srv/x.git" }, "only an http"},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// https that leads to http is refused, whatever the host.
func TestRedirectsStayEncrypted(t *testing.T) {
	o := newOrigin(t)
	var asked atomic.Int32
	plain := o.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			asked.Add(1)
			h.ServeHTTP(w, req)
		})
	})
	srv, cfg := tlsOrigin(t, o)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, plain.URL+req.URL.String(), http.StatusFound)
	})
	cfg.TokenFile = write(t, "secret-token", 0o600)
	if st := syncCode(t, open(t, cfg), release.RepoUnreachable); !strings.Contains(st.Detail, "scheme") {
		t.Error(st.Detail)
	}
	if asked.Load() != 0 {
		t.Error("the unencrypted server was asked")
	}
}
