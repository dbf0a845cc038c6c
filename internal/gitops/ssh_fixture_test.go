package gitops

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshd is a real SSH server in this process that runs the real git upload-pack.
type sshd struct {
	t     *testing.T
	addr  string
	hosts []ssh.Signer  // guarded by mu, as is user
	user  ssh.PublicKey // may log in as git
	old   bool          // refuses GIT_PROTOCOL, so that Git speaks protocol 0
	serve func(ssh.Channel, string)

	mu    sync.Mutex
	ran   []string // commands; guarded by mu
	spoke []string // the protocol that was asked for
	count atomic.Int32
}

func newSigner(t *testing.T) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, key
}

func ecdsaSigner(t *testing.T) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func pin(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// keyFile writes a private key as ssh-keygen does.
func keyFile(t *testing.T, key any, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newSSHD starts one and gives a Config that follows o through it.
func newSSHD(t *testing.T, o *origin) (*sshd, Config) {
	t.Helper()
	host, _ := newSigner(t)
	user, key := newSigner(t)
	s := &sshd{t: t, hosts: []ssh.Signer{host}, user: user.PublicKey()}
	s.listen()
	cfg := o.config()
	cfg.URL = "ssh://git@" + s.addr + o.bare
	cfg.KeyFile = keyFile(t, key, "")
	cfg.HostKeys = []string{pin(host)}
	return s, cfg
}

func (s *sshd) listen() {
	s.addr = listenRaw(s.t, func(conn net.Conn) {
		s.count.Add(1)
		s.handle(conn)
	})
}

// listenRaw serves each connection in a goroutine; the connections end with the test.
func listenRaw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			go func() { // not waited for: some hang until the parent of the test ends
				defer conn.Close()
				serve(conn)
			}()
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}

// become changes the server while it runs: its keys, or who may log in.
func (s *sshd) become(change func(*sshd)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *sshd) config() *ssh.ServerConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := s.user
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || user == nil || string(key.Marshal()) != string(user.Marshal()) {
			return nil, fmt.Errorf("not you")
		}
		return nil, nil
	}}
	for _, h := range s.hosts {
		cfg.AddHostKey(h)
	}
	return cfg
}

func (s *sshd) handle(conn net.Conn) {
	sc, channels, requests, err := ssh.NewServerConn(conn, s.config())
	if err != nil {
		return
	}
	defer sc.Close()
	go ssh.DiscardRequests(requests)
	for open := range channels {
		ch, reqs, err := open.Accept()
		if err != nil {
			return
		}
		s.session(ch, reqs)
	}
}

func (s *sshd) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	protocol := ""
	for req := range reqs {
		switch req.Type {
		case "env":
			var v struct{ Name, Value string }
			ok := ssh.Unmarshal(req.Payload, &v) == nil && v.Name == "GIT_PROTOCOL" && !s.old
			if ok {
				protocol = v.Value
			}
			_ = req.Reply(ok, nil)
		case "exec":
			var v struct{ Command string }
			_ = ssh.Unmarshal(req.Payload, &v)
			s.mu.Lock()
			s.ran, s.spoke = append(s.ran, v.Command), append(s.spoke, protocol)
			serve := s.serve
			s.mu.Unlock()
			_ = req.Reply(true, nil)
			if serve != nil {
				serve(ch, protocol)
				continue
			}
			go s.exec(ch, v.Command, protocol)
		default:
			_ = req.Reply(false, nil)
		}
	}
}

// exec runs the command in a shell, as sshd does.
func (s *sshd) exec(ch ssh.Channel, command, protocol string) {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = append(slices.Clone(gitEnv), "PATH="+filepath.Dir(gitBin), "GIT_PROTOCOL="+protocol, "HOME=/nonexistent")
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	if err := cmd.Start(); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, ch)
		in.Close()
	}()
	status := struct{ Status uint32 }{}
	if err := cmd.Wait(); err != nil {
		status.Status = uint32(cmd.ProcessState.ExitCode())
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(status))
	ch.Close()
}

func (s *sshd) last() (command, protocol string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[len(s.ran)-1], s.spoke[len(s.spoke)-1]
}
