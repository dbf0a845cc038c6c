package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keys makes each named key once per test run: name → private key.
var keys = struct {
	sync.Mutex
	made map[string]crypto.Signer
}{made: map[string]crypto.Signer{}}

// privateKey makes a key; the name is its kind and, after a slash, which one.
func privateKey(t testing.TB, name string) crypto.Signer {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if k, ok := keys.made[name]; ok {
		return k
	}
	kind, _, _ := strings.Cut(name, "/")
	var k crypto.Signer
	var err error
	switch kind {
	case "ed25519":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	case "p256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		k, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa2048":
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		k, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		t.Fatalf("no kind of key %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	keys.made[name] = k
	return k
}

func sshSigner(t testing.TB, name string) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromSigner(privateKey(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pubLine is the key as it stands in a .pub file.
func pubLine(t testing.TB, name string) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshSigner(t, name).PublicKey())))
}

func sign(t testing.TB, name, namespace string, message []byte) []byte {
	t.Helper()
	sig, err := SignSSH(sshSigner(t, name), namespace, message)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// randomSigner signs with fresh randomness each time, as ssh-keygen does.
type randomSigner struct{ ssh.Signer }

func (s randomSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.Signer.Sign(rand.Reader, data)
}

// skSigner is a security key in software: what a FIDO authenticator answers.
type skSigner struct {
	key   ed25519.PrivateKey
	app   string
	flags byte
}

func (s skSigner) PublicKey() ssh.PublicKey {
	k, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type string
		Key  []byte
		App  string
	}{ssh.KeyAlgoSKED25519, s.key.Public().(ed25519.PublicKey), s.app}))
	if err != nil {
		panic(err)
	}
	return k
}

func (s skSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(s.app)), sha256.Sum256(data)
	counter := []byte{0, 0, 0, 7}
	over := append(append(append(app[:], s.flags), counter...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(s.key, over), Rest: append([]byte{s.flags}, counter...)}, nil
}

// skECDSASigner is the other kind of security key.
type skECDSASigner struct {
	key   *ecdsa.PrivateKey
	app   string
	flags byte
}

func (s skECDSASigner) PublicKey() ssh.PublicKey {
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	k, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type, Curve string
		Point       []byte
		App         string
	}{ssh.KeyAlgoSKECDSA256, "nistp256", point, s.app}))
	if err != nil {
		panic(err)
	}
	return k
}

func (s skECDSASigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(s.app)), sha256.Sum256(data)
	counter := []byte{0, 0, 0, 9}
	over := sha256.Sum256(append(append(append(app[:], s.flags), counter...), message[:]...))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, over[:])
	if err != nil {
		return nil, err
	}
	return &ssh.Signature{Format: ssh.KeyAlgoSKECDSA256, Blob: ssh.Marshal(struct{ R, S *big.Int }{r, v}), Rest: append([]byte{s.flags}, counter...)}, nil
}
