package gitops

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/tealops/teal/internal/release"
)

// checkSSH returns what is wrong with the SSH half of a Config.
func (c Config) checkSSH(used bool) (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, f := range []struct{ field, path string }{{"keyFile", c.KeyFile}, {"sshAgent", c.SSHAgent}, {"knownHostsFile", c.KnownHostsFile}} {
		switch {
		case f.path == "":
		case !used:
			bad("%s: only an ssh address takes it", f.field)
		case !filepath.IsAbs(f.path):
			bad("%s: %q is not an absolute path", f.field, f.path)
		}
	}
	if !used {
		if len(c.HostKeys) > 0 {
			bad("hostKeys: only an ssh address takes them")
		}
		return problems
	}
	if (c.KeyFile == "") == (c.SSHAgent == "") {
		bad("keyFile, sshAgent: an ssh address needs exactly one of them")
	}
	if len(c.HostKeys) == 0 && c.KnownHostsFile == "" {
		bad(`hostKeys: an ssh address needs the server's key ("ssh-ed25519 AAAA…") here, or a knownHostsFile; a key seen for the first time is never trusted`)
	}
	for i, text := range c.HostKeys {
		if _, err := parseHostKey(text); err != nil {
			bad("hostKeys[%d]: %w", i, err)
		}
	}
	return problems
}

// The most keys of an agent that are offered: servers end the connection after a few.
const agentKeysMax = 6

// login gives the keys to log in with, read anew each time, and what to do when the
// handshake is over.
func (s *sshSource) login(deadline time.Time) (signers []ssh.Signer, done func(), err error) {
	fail := func(what string, err error) ([]ssh.Signer, func(), error) {
		return nil, nil, &Error{Code: release.RepoAuthRefused, Detail: what, Err: err}
	}
	if s.cfg.KeyFile != "" {
		signer, err := readKey(s.cfg.KeyFile)
		if err != nil {
			return fail("read keyFile", err)
		}
		return []ssh.Signer{signer}, func() {}, nil
	}
	conn, err := net.DialTimeout("unix", s.cfg.SSHAgent, 5*time.Second)
	if err != nil {
		return fail("ask sshAgent", err)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close() // nothing was said
		return fail("ask sshAgent", err)
	}
	done = func() { _ = conn.Close() } // nothing is written that could be lost
	all, err := agent.NewClient(conn).Signers()
	if err != nil {
		done()
		return fail("ask sshAgent "+s.cfg.SSHAgent, err)
	}
	for _, signer := range all {
		if signer, err := modern(signer); err == nil && len(signers) < agentKeysMax {
			signers = append(signers, signer)
		}
	}
	if len(signers) == 0 {
		done()
		return fail("ask sshAgent", fmt.Errorf("%s holds no usable key; run ssh-add", s.cfg.SSHAgent))
	}
	return signers, done, nil
}

// readKey reads a private key that needs no passphrase: nobody is there to type it.
func readKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others than its owner (mode %04o); run chmod 600 on it", path, info.Mode().Perm())
	}
	data, err := readBounded(path, 64<<10)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParseRawPrivateKey(data)
	if locked := (*ssh.PassphraseMissingError)(nil); errors.As(err, &locked) {
		return nil, fmt.Errorf("%s is protected by a passphrase, which a daemon cannot type; make a key without one (ssh-keygen -t ed25519 -N '') or use sshAgent", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a private SSH key: %w", path, err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if signer, err = modern(signer); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, nil
}

// modern makes an RSA key sign with SHA-2 only, and refuses what is too weak. A key of an
// agent may be a certificate's, which changes nothing of what it is.
func modern(signer ssh.Signer) (ssh.Signer, error) {
	// Anew, because an agent's key does not say what it holds.
	key, err := ssh.ParsePublicKey(signer.PublicKey().Marshal())
	if err != nil {
		return nil, err
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	switch key.Type() {
	case ssh.KeyAlgoRSA:
	case "ssh-dss": // DSA; the constant is deprecated, the check is not
		return nil, errors.New("dsa keys are not used; make an ed25519 key")
	default:
		return signer, nil
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < rsaBitsMin {
			return nil, fmt.Errorf("an rsa key of %d bits is too short", r.N.BitLen())
		}
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("an rsa key that only signs with SHA-1 is not used")
	}
	return ssh.NewSignerWithAlgorithms(able, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512})
}
