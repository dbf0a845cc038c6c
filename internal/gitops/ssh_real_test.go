package gitops

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tealops/teal/internal/release"
)

// OpenSSH's own server, with keys of ssh-keygen and a known_hosts line of its making:
// what is fetched, refused and said is what the server in this process gives.
func TestRealSSHD(t *testing.T) {
	sshd := os.Getenv("TEAL_SSHD")
	if sshd == "" {
		t.Skip("make reference installs OpenSSH's server and runs this")
	}
	for name, accept := range map[string]string{"protocol 2": "AcceptEnv GIT_PROTOCOL\n", "protocol 0": ""} {
		t.Run(name, func(t *testing.T) { followRealSSHD(t, sshd, accept) })
	}
}

func followRealSSHD(t *testing.T, sshd, accept string) {
	o := newOrigin(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keygen := func(name, typ string) string {
		path := filepath.Join(dir, name)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", typ, "-N", "", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
		return path
	}
	host, other, mine, stranger := keygen("host", "ed25519"), keygen("rsa", "rsa"), keygen("id", "ed25519"), keygen("stranger", "ed25519")
	public := func(path string) string {
		data, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	authorized := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(authorized, []byte(public(mine)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr)
	l.Close()
	config := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("ListenAddress %s\nHostKey %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPermitRootLogin prohibit-password\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel VERBOSE\n%s",
		at, host, other, authorized, accept)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // where the server's unprivileged half lives
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	said := &strings.Builder{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", said)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", at.String())
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("sshd does not listen: %v", err)
		}
	}
	cfg := o.config()
	cfg.URL = fmt.Sprintf("ssh://%s@%s%s", me.Username, at, o.bare)
	cfg.KeyFile = mine
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{at.String()}, parsePublic(t, public(other)))+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, pinned := range map[string]func(*Config){
		"ed25519 by line": func(c *Config) { c.HostKeys = []string{public(host)} },
		"rsa by file":     func(c *Config) { c.KnownHostsFile = known },
	} {
		own := cfg
		own.Dir = filepath.Join(t.TempDir(), "git")
		pinned(&own)
		r := open(t, own)
		syncOK(t, r)
		head := o.commit("pushed: " + name)
		syncOK(t, r)
		wantHead(t, r, head)
	}
	cfg.HostKeys = []string{public(stranger)}
	if st := syncCode(t, open(t, cfg), release.RepoHostKey); !strings.Contains(st.Detail, ssh.FingerprintSHA256(parsePublic(t, public(host)))) {
		t.Error(st.Detail)
	}
	cfg.HostKeys, cfg.KeyFile = []string{public(host)}, stranger
	syncCode(t, open(t, cfg), release.RepoAuthRefused)
	cfg.KeyFile, cfg.URL = mine, strings.Replace(cfg.URL, "origin.git", "none.git", 1)
	if st := syncCode(t, open(t, cfg), release.RepoUnreachable); !strings.Contains(st.Detail, "does not appear to be a git repository") {
		t.Error(st.Detail)
	}
}

func parsePublic(t *testing.T, line string) ssh.PublicKey {
	t.Helper()
	key, err := parseHostKey(line)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
