package gitops

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tealops/teal/internal/release"
)

// Both protocols of Git give the same: followed, refused when rewritten, repaired.
func TestFollowsSSH(t *testing.T) {
	for name, old := range map[string]bool{"protocol 2": false, "protocol 0": true} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			s, cfg := newSSHD(t, o)
			s.old = old
			r := open(t, cfg)
			syncOK(t, r)
			a := o.git("rev-parse", "HEAD")
			wantHead(t, r, a)
			if command, protocol := s.last(); command != "git-upload-pack '"+o.bare+"'" || (protocol == "version=2") == old {
				t.Errorf("ran %s with protocol %q", command, protocol)
			}
			syncOK(t, r) // nothing new
			o.write("environments/production/shop/release.yaml", "name: shop\n")
			b := o.commit("B")
			o.git("tag", "-a", "-m", "a tag", "v1")
			o.git("push", "-q", "origin", "v1")
			syncOK(t, r)
			s1 := wantHead(t, r, b)
			if apps, err := s1.Apps("production"); err != nil || len(apps) != 1 {
				t.Errorf("apps %v, %v", apps, err)
			}
			run(t, filepath.Join(cfg.Dir, "clone.git"), nil, "fsck", "--strict")

			o.git("reset", "-q", "--hard", a)
			o.git("commit", "-q", "--allow-empty", "-m", "C")
			o.git("push", "-q", "-f", "origin", "HEAD")
			syncCode(t, r, release.HistoryRewritten)
			wantHead(t, r, b)
			c := o.git("rev-parse", "HEAD")
			if err := r.Adopt(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			wantHead(t, r, c)
			eachFile(t, filepath.Join(cfg.Dir, "clone.git"), "objects/pack/*.pack", blank)
			syncOK(t, r)
			wantHead(t, r, c)
		})
	}
}

func TestEmptyRepositoryOverSSH(t *testing.T) {
	for _, old := range []bool{false, true} {
		o := newOrigin(t)
		run(t, o.bare, nil, "update-ref", "-d", "refs/heads/main")
		s, cfg := newSSHD(t, o)
		s.old = old
		r := open(t, cfg)
		syncCode(t, r, release.BranchMissing)
		a := o.commit("A")
		syncOK(t, r)
		wantHead(t, r, a)
	}
}

// A key that is not pinned is never trusted, and what is said of it can be acted upon.
func TestHostKeys(t *testing.T) {
	o := newOrigin(t)
	s, good := newSSHD(t, o)
	other, _ := newSigner(t)
	known := func(line string) string {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	at := knownhosts.Normalize(s.addr)
	host := s.hosts[0]
	for name, c := range map[string]struct {
		change func(*Config)
		code   release.Code // "": accepted
		says   string
	}{
		"pinned":          {func(*Config) {}, "", ""},
		"one of several":  {func(c *Config) { c.HostKeys = []string{pin(other) + " old", pin(host) + " new"} }, "", ""},
		"another":         {func(c *Config) { c.HostKeys = []string{pin(other)} }, release.RepoHostKey, ssh.FingerprintSHA256(host.PublicKey())},
		"of another kind": {func(c *Config) { c.HostKeys = []string{pin(ecdsaSigner(t))} }, release.RepoHostKey, "ssh-ed25519"},
		"known":           {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = known(at + " " + pin(host)) }, "", ""},
		"known and hashed": {func(c *Config) {
			c.HostKeys = nil
			c.KnownHostsFile = known(knownhosts.HashHostname(at) + " " + pin(host))
		}, "", ""},
		"known as another": {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = known(at + " " + pin(other)) }, release.RepoHostKey, "SHA256:"},
		"unknown":          {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = known("h.example.com " + pin(host)) }, release.RepoHostKey, "no usable key"},
		"an authority's":   {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = known("@cert-authority " + at + " " + pin(host)) }, release.RepoHostKey, "no usable key"},
		"revoked":          {func(c *Config) { c.KnownHostsFile = known(at + " " + pin(host) + "\n@revoked * " + pin(host)) }, release.RepoHostKey, "revoked"},
		"no file":          {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = "/nonexistent" }, release.RepoHostKey, "no such file"},
		"broken file":      {func(c *Config) { c.HostKeys = nil; c.KnownHostsFile = known("not a line") }, release.RepoHostKey, "known_hosts:1"},
		"file of others": {func(c *Config) {
			c.HostKeys = nil
			c.KnownHostsFile = known(at + " " + pin(host))
			if err := os.Chmod(c.KnownHostsFile, 0o666); err != nil {
				t.Fatal(err)
			}
		}, release.RepoHostKey, "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			cfg.Dir = filepath.Join(t.TempDir(), "git")
			c.change(&cfg)
			r := open(t, cfg)
			if c.code == "" {
				syncOK(t, r)
				return
			}
			if st := syncCode(t, r, c.code); !strings.Contains(st.Detail, c.says) {
				t.Errorf("does not say %q: %s", c.says, st.Detail)
			}
			if r.Status().Head != "" {
				t.Error("something was accepted")
			}
		})
	}
	// A server with several keys is asked for the pinned one.
	both := []ssh.Signer{ecdsaSigner(t), host}
	s.become(func(s *sshd) { s.hosts = both })
	cfg := good
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	syncOK(t, open(t, cfg))
	// The key of a server that is followed changes.
	r := open(t, cfg)
	s.become(func(s *sshd) { s.hosts = []ssh.Signer{other} })
	st := syncCode(t, r, release.RepoHostKey)
	if !strings.Contains(st.Detail, ssh.FingerprintSHA256(other.PublicKey())) || st.Head == "" {
		t.Errorf("status %+v", st)
	}
}

func TestSSHLogin(t *testing.T) {
	o := newOrigin(t)
	s, good := newSSHD(t, o)
	stranger, strangerKey := newSigner(t)
	_, lockedKey := newSigner(t)
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"stranger":     {func(c *Config) { c.KeyFile = keyFile(t, strangerKey, "") }, "deploy key"},
		"passphrase":   {func(c *Config) { c.KeyFile = keyFile(t, lockedKey, "secret") }, "passphrase"},
		"no file":      {func(c *Config) { c.KeyFile = "/nonexistent" }, "no such file"},
		"open to all":  {func(c *Config) { c.KeyFile = chmod(t, keyFile(t, strangerKey, ""), 0o640) }, "chmod 600"},
		"not a key":    {func(c *Config) { c.KeyFile = write(t, "hello", 0o600) }, "not a private SSH key"},
		"another user": {func(c *Config) { c.URL = strings.Replace(c.URL, "git@", "ann@", 1) }, "ann"},
		"no agent":     {func(c *Config) { c.KeyFile, c.SSHAgent = "", "/nonexistent" }, "sshAgent"},
		"empty agent":  {func(c *Config) { c.KeyFile, c.SSHAgent = "", serveAgent(t, agent.NewKeyring()) }, "ssh-add"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			cfg.Dir = filepath.Join(t.TempDir(), "git")
			c.change(&cfg)
			if st := syncCode(t, open(t, cfg), release.RepoAuthRefused); !strings.Contains(st.Detail, c.says) {
				t.Errorf("does not say %q: %s", c.says, st.Detail)
			}
		})
	}
	// An agent that holds the key, among others, works; so does a key replaced in place.
	ring := agent.NewKeyring()
	_, key := newSigner(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too short on purpose
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []any{short, strangerKey, key} {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	mine, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.become(func(s *sshd) { s.user = mine.PublicKey() })
	cfg := good
	cfg.KeyFile, cfg.SSHAgent = "", serveAgent(t, ring)
	syncOK(t, open(t, cfg))

	cfg = good
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	r := open(t, cfg)
	s.become(func(s *sshd) { s.user = stranger.PublicKey() })
	syncCode(t, r, release.RepoAuthRefused)
	data, err := os.ReadFile(keyFile(t, strangerKey, ""))
	if err == nil {
		err = os.WriteFile(cfg.KeyFile, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	syncOK(t, r)
	// RSA signs with SHA-2.
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(long)
	if err != nil {
		t.Fatal(err)
	}
	s.become(func(s *sshd) { s.user = signer.PublicKey() })
	cfg.KeyFile = keyFile(t, long, "")
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	syncOK(t, open(t, cfg))
	agentOf := func(keys ...agent.AddedKey) Config {
		ring := agent.NewKeyring()
		for _, k := range keys {
			if err := ring.Add(k); err != nil {
				t.Fatal(err)
			}
		}
		c := good
		c.KeyFile, c.SSHAgent, c.Dir = "", serveAgent(t, ring), filepath.Join(t.TempDir(), "git")
		return c
	}
	// So it does with a certificate, to a server that would take SHA-1; and a key that is
	// too short is not offered by an agent either.
	weak, err := ssh.NewSignerFromKey(short)
	if err != nil {
		t.Fatal(err)
	}
	s.become(func(s *sshd) { s.user = weak.PublicKey() })
	if st := syncCode(t, open(t, agentOf(agent.AddedKey{PrivateKey: short})), release.RepoAuthRefused); !strings.Contains(st.Detail, "no usable key") {
		t.Error(st.Detail)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"git"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	held, end, err := (&sshSource{cfg: agentOf(agent.AddedKey{PrivateKey: long, Certificate: cert})}).login(time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	for _, h := range held {
		multi, ok := h.(ssh.MultiAlgorithmSigner)
		if !ok || slices.Contains(multi.Algorithms(), ssh.KeyAlgoRSA) {
			t.Errorf("a key of type %s signs with SHA-1", h.PublicKey().Type())
		}
	}
	cfg.KeyFile = keyFile(t, short, "")
	if st := syncCode(t, open(t, cfg), release.RepoAuthRefused); !strings.Contains(st.Detail, "1024 bits") {
		t.Error(st.Detail)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func serveAgent(t *testing.T, ring agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "teal-agent-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(ring, conn)
				conn.Close()
			}()
		}
	}()
	return path
}

// What the server's program says is shown, escaped and bounded.
func TestSSHServerSays(t *testing.T) {
	o := newOrigin(t)
	s, cfg := newSSHD(t, o)
	missing := cfg
	missing.URL = strings.Replace(cfg.URL, "origin.git", "none.git", 1)
	missing.Dir = filepath.Join(t.TempDir(), "git")
	if st := syncCode(t, open(t, missing), release.RepoUnreachable); !strings.Contains(st.Detail, "does not appear to be a git repository") || !strings.Contains(st.Detail, "128") {
		t.Errorf("detail %q", st.Detail)
	}
	denies := func(ch ssh.Channel, _ string) {
		fmt.Fprintf(ch.Stderr(), "\x1b[2JERROR: access denied %s", strings.Repeat("x", 10_000))
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{77}))
		ch.Close()
	}
	s.become(func(s *sshd) { s.serve = denies })
	st := syncCode(t, open(t, cfg), release.RepoUnreachable)
	for _, want := range []string{"status 77", `\x1b[2JERROR: access denied`} {
		if !strings.Contains(st.Detail, want) {
			t.Errorf("does not say %q: %q", want, st.Detail)
		}
	}
}

// A server that hangs, floods or lies costs a bounded time and nothing else.
func TestHostileSSHServers(t *testing.T) {
	o := newOrigin(t)
	o.write("noise", noise(64<<10))
	o.commit("noise")
	until := make(chan struct{})
	t.Cleanup(func() { close(until) })
	hang := func() { <-until }
	flood := func(w io.Writer, chunk string) {
		for {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
	after := func(greeting string, then func(ssh.Channel)) func(ssh.Channel, string) {
		return func(ch ssh.Channel, _ string) {
			_, _ = io.WriteString(ch, greeting)
			then(ch)
		}
	}
	hanging := func(ssh.Channel) { hang() }
	quit := func(ch ssh.Channel) {
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
		ch.Close()
	}
	pkt := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	two := pkt("version 2\n") + pkt("agent=git/2.40.0\n") + pkt("ls-refs=unborn\n") + pkt("fetch=shallow\n") + flush
	head := o.git("rev-parse", "HEAD")
	listed := two + pkt(head+" refs/heads/main\n") + flush
	band := func(n byte, size int) string { return pkt(string(n) + strings.Repeat("p", size)) }
	for name, c := range map[string]struct {
		code  release.Code
		raw   func(net.Conn)            // instead of SSH
		serve func(ssh.Channel, string) // instead of git
	}{
		"closes at once":            {release.RepoUnreachable, func(net.Conn) {}, nil},
		"hangs at once":             {release.RepoUnreachable, func(net.Conn) { hang() }, nil},
		"is no SSH":                 {release.RepoUnreachable, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, nil},
		"banner without end":        {release.RepoUnreachable, func(c net.Conn) { flood(c, "hello\r\n") }, nil},
		"one line without end":      {release.RepoUnreachable, func(c net.Conn) { flood(c, "xxxxxxxxxxxxxxxx") }, nil},
		"hangs after the version":   {release.RepoUnreachable, func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n"); hang() }, nil},
		"garbage after the version": {release.RepoUnreachable, func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n"); flood(c, "\xff\xff\xff\xff") }, nil},
		"hangs in the program":      {release.RepoUnreachable, nil, func(ssh.Channel, string) { hang() }},
		"ends without a word":       {release.RepoUnreachable, nil, func(ch ssh.Channel, _ string) { quit(ch) }},
		"stderr without end":        {release.RepoTooLarge, nil, func(ch ssh.Channel, _ string) { flood(ch.Stderr(), strings.Repeat("e", 30_000)) }},
		"sends garbage":             {release.RepoUnreachable, nil, after("hello there", hanging)},
		"ERR":                       {release.RepoUnreachable, nil, after(pkt("ERR go away"), hanging)},
		"another hash":              {release.NotSupportedYet, nil, after(pkt("version 2\n")+pkt("ls-refs\n")+pkt("fetch\n")+pkt("object-format=sha256\n")+flush, hanging)},
		"capabilities without end":  {release.RepoUnreachable, nil, after(pkt("version 2\n"), func(ch ssh.Channel) { flood(ch, pkt("abcd\n")) })},
		"references without end": {release.RepoTooLarge, nil, after(two, func(ch ssh.Channel) {
			flood(ch, strings.Repeat(pkt(head+" refs/heads/"+strings.Repeat("x", 1000)+"\n"), 20))
		})},
		"hangs before the list":  {release.RepoUnreachable, nil, after(two, hanging)},
		"hangs before the pack":  {release.RepoUnreachable, nil, after(listed, hanging)},
		"ends before the pack":   {release.RepoUnreachable, nil, after(listed, quit)},
		"empty pack":             {release.RepoUnreachable, nil, after(listed+pkt("packfile\n")+flush, hanging)},
		"hangs in the pack":      {release.RepoUnreachable, nil, after(listed+pkt("packfile\n")+pkt("\x01PACK"), hanging)},
		"ends in the pack":       {release.RepoUnreachable, nil, after(listed+pkt("packfile\n")+pkt("\x01PACK"), quit)},
		"fails in the pack":      {release.RepoUnreachable, nil, after(listed+pkt("packfile\n")+pkt("\x03no!!!"), hanging)},
		"progress without end":   {release.RepoTooLarge, nil, after(listed+pkt("packfile\n"), func(ch ssh.Channel) { flood(ch, band(2, 60_000)) })},
		"pack without end":       {release.RepoTooLarge, nil, after(listed+pkt("packfile\n"), func(ch ssh.Channel) { flood(ch, band(1, 60_000)) })},
		"section without end":    {release.RepoUnreachable, nil, after(listed, func(ch ssh.Channel) { flood(ch, pkt("abcd\n")) })},
		"delimiters without end": {release.RepoTooLarge, nil, after(listed, func(ch ssh.Channel) { flood(ch, strings.Repeat("0001", 4000)) })},
		"more than the limit":    {release.RepoTooLarge, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cfg := newSSHD(t, o)
			s.serve = c.serve
			if c.raw != nil {
				cfg.URL = "ssh://git@" + listenRaw(t, c.raw) + o.bare
			}
			cfg.Log = nil
			cfg.Timeout = 3 * time.Second
			if c.code == release.RepoTooLarge {
				cfg.Timeout = 30 * time.Second // until the limit is reached
			}
			cfg.Limits.Pack = 40 << 10
			r := open(t, cfg)
			begin := time.Now()
			st := syncCode(t, r, c.code)
			if took := time.Since(begin); took > cfg.Timeout+time.Minute {
				t.Errorf("took %v", took)
			}
			t.Log(st.Detail)
			if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestSSHAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"git@git.example.com:platform/releases.git":         "ssh://git@git.example.com:22/platform/releases.git git-upload-pack 'platform/releases.git'",
		"ssh://git@git.example.com/platform/releases.git":   "ssh://git@git.example.com:22/platform/releases.git git-upload-pack '/platform/releases.git'",
		"ssh://git@git.example.com:2222/it's!/releases.git": `ssh://git@git.example.com:2222/it's!/releases.git git-upload-pack '/it'\''s'\!'/releases.git'`,
		"ssh://git@[::1]:2222/~ann/r.git":                   "ssh://git@[::1]:2222/~ann/r.git git-upload-pack '~ann/r.git'",
		"git@[::1]:r.git":                                   "ssh://git@[::1]:22/r.git git-upload-pack 'r.git'",
	} {
		at, err := parseAddress(url)
		if err != nil || at.ssh == nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := at.ssh.String() + " " + at.ssh.command(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", url, got, want)
		}
	}
	for url, says := range map[string]string{
		"ssh://git:hunter2@h/x": "password", "ssh://h/x": "no user", "ext::sh -c x": "no user", "h:x": "no user", "git@h:": "no path", "ssh://git@h": "no path", "ssh://git@h/": "no path",
		"git@-oProxyCommand=x:y": "host name", "ssh://git@-x/y": "host name", "-x@h:y": "user name", "git@h:-x": "dash", "git@h:a\nb": "printable",
		"ssh://git@h:0/x": "port", "ssh://git@h/x?y": "query", "git@h:" + strings.Repeat("x", 2000): "too long", "git@[::1:x": "neither",
	} {
		if _, err := parseAddress(url); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", url, err, says)
		}
	}
}

func TestValidateSSH(t *testing.T) {
	host, _ := newSigner(t)
	good := Config{URL: "git@h:x.git", Dir: "/var/lib/teal/git", RepoID: testRepoID, KeyFile: "/k", HostKeys: []string{pin(host)}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no login":           {func(c *Config) { c.KeyFile = "" }, "exactly one"},
		"two logins":         {func(c *Config) { c.SSHAgent = "/a" }, "exactly one"},
		"no pins":            {func(c *Config) { c.HostKeys = nil }, "never trusted"},
		"relative":           {func(c *Config) { c.KeyFile = "id" }, "absolute"},
		"not a key":          {func(c *Config) { c.HostKeys = []string{"hello"} }, "hostKeys[0]"},
		"a host name before": {func(c *Config) { c.HostKeys = []string{"h " + pin(host)} }, "no host name"},
		"two keys in one":    {func(c *Config) { c.HostKeys = []string{pin(host) + "\n" + pin(host)} }, "one public key"},
		"token":              {func(c *Config) { c.TokenFile = "/t" }, "keyFile or sshAgent"},
		"key for https":      {func(c *Config) { c.URL = "https://h/x" }, "only an ssh address"},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a server sends, the reader of packets gives an error or a list, and no more
// memory than it was sent bytes.
func FuzzWire(f *testing.F) {
	head := strings.Repeat("a", 40)
	f.Add([]byte("000eversion 2\n000cls-refs\n000afetch\n0000003d" + head + " refs/heads/main\n0000000dpackfile\n0009\x01PACK0000"))
	f.Add([]byte("0045" + head + " refs/heads/main\x00side-band-64k ofs0000" + "0008NAK\n0009\x01PACK0000"))
	f.Add([]byte("000eversion 1\n0046" + head + " refs/heads/main\x00side-band-64k ofs\n0000"))
	f.Add([]byte("0032" + strings.Repeat("0", 40) + " c\x00\n0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newWire(bytes.NewReader(data), io.Discard)
		list, err := c.references()
		if err != nil {
			return
		}
		for name := range list.refs {
			if !strings.HasPrefix(name, "refs/") {
				t.Fatalf("reference %q", name)
			}
		}
		var pack bytes.Buffer
		_ = c.pack(&pack, nil, nil)
		if pack.Len() > len(data) {
			t.Fatal("more than was sent")
		}
	})
}
