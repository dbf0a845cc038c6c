package gitops

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tealops/teal/internal/release"
)

// hostPins are the keys that a server may show. Certificates of hosts are not read.
type hostPins struct {
	at      string // host:port
	keys    []ssh.PublicKey
	revoked ssh.HostKeyCallback // of the known_hosts file, or nil
}

// hostKeyAlgorithms are what a key of each type may sign with: no SHA-1, no DSA.
var hostKeyAlgorithms = map[string][]string{
	ssh.KeyAlgoED25519:  {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256: {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384: {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521: {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:      {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// algorithms are what the server is asked to prove itself with: a server picks the
// key by it, and one of another type than the pinned would look like an attack.
func (p hostPins) algorithms() []string {
	var list []string
	for _, typ := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA} {
		if slices.ContainsFunc(p.keys, func(k ssh.PublicKey) bool { return k.Type() == typ }) {
			list = append(list, hostKeyAlgorithms[typ]...)
		}
	}
	return list
}

func (p hostPins) fingerprints() string {
	var list []string
	for _, k := range p.keys {
		list = append(list, ssh.FingerprintSHA256(k))
	}
	if len(list) > 4 {
		list = append(list[:4], fmt.Sprintf("and %d more", len(list)-4))
	}
	return strings.Join(list, ", ")
}

// check is asked by the handshake, after the server proved that the key is its own.
func (p hostPins) check(address string, remote net.Addr, key ssh.PublicKey) error {
	if p.revoked != nil {
		if gone := (*knownhosts.RevokedError)(nil); errors.As(p.revoked(address, remote, key), &gone) {
			return refuse(release.RepoHostKey, "%s shows the host key %s %s, which the knownHostsFile names as revoked", p.at, key.Type(), ssh.FingerprintSHA256(key))
		}
	}
	for _, k := range p.keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return refuse(release.RepoHostKey, "%s shows the host key %s %s; pinned: %s. Ask whoever runs the server; if the change is meant, pin the new key", p.at, key.Type(), ssh.FingerprintSHA256(key), p.fingerprints())
}

// pins reads what is pinned for this server, the file anew each time.
func (s *sshSource) pins() (hostPins, error) {
	p := hostPins{at: s.at.hostPort()}
	for i, text := range s.cfg.HostKeys {
		key, err := parseHostKey(text)
		if err != nil {
			return p, refuse(release.RepoHostKey, "hostKeys[%d]: %v", i, err)
		}
		p.keys = append(p.keys, key)
	}
	if s.cfg.KnownHostsFile == "" {
		return p, nil
	}
	fail := func(err error) (hostPins, error) {
		return p, &Error{Code: release.RepoHostKey, Detail: "read knownHostsFile", Err: err}
	}
	if err := onlyOurs(s.cfg.KnownHostsFile); err != nil {
		return fail(err)
	}
	text, err := readBounded(s.cfg.KnownHostsFile, 4<<20) // also: no pipe
	if err != nil {
		return fail(err)
	}
	lines := strings.Split(string(text), "\n")
	known, err := knownhosts.New(s.cfg.KnownHostsFile)
	if err != nil {
		return fail(err)
	}
	p.revoked = known
	// A key that nobody has: the answer lists those that are known.
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return fail(err)
	}
	if want := (*knownhosts.KeyError)(nil); errors.As(known(p.at, &net.TCPAddr{}, nobody), &want) {
		for _, k := range want.Want {
			// The key of an authority is no host's, whoever shows it.
			authority := k.Line < 1 || k.Line > len(lines) || strings.HasPrefix(strings.TrimSpace(lines[k.Line-1]), "@")
			if !authority && checkHostKey(k.Key) == nil {
				p.keys = append(p.keys, k.Key)
			}
		}
	}
	if len(p.keys) == 0 {
		return fail(fmt.Errorf("%s has no usable key of %s; append the line that ssh-keyscan prints, after comparing its fingerprint with what whoever runs the server publishes", s.cfg.KnownHostsFile, knownhosts.Normalize(p.at)))
	}
	return p, nil
}

// onlyOurs refuses a file that says whom to trust and that others may write.
func onlyOurs(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be changed by others (mode %04o); run chmod go-w on it", path, info.Mode().Perm())
	}
	return nil
}

// parseHostKey reads "ssh-ed25519 AAAA… comment".
func parseHostKey(text string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New(`is not one public key like "ssh-ed25519 AAAA…" (type and key, no host name before it)`)
	}
	return key, checkHostKey(key)
}

func checkHostKey(key ssh.PublicKey) error {
	if hostKeyAlgorithms[key.Type()] == nil {
		return fmt.Errorf("keys of type %s are not used; give the server's ed25519, ecdsa or rsa key", escape(key.Type(), 40))
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < rsaBitsMin {
			return fmt.Errorf("an rsa key of %d bits is too short", r.N.BitLen())
		}
	}
	return nil
}

const rsaBitsMin = 2048
