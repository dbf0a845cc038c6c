package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the shortest RSA modulus that teal counts.
const minRSABits = 3072

// parseSSHKey reads a public key in wire form and refuses what teal does not count:
// certificates, ssh-dss, P-521, post-quantum types, RSA below 3072 bits, and
// encodings that are not the canonical one (a key has exactly one fingerprint).
func parseSSHKey(wire []byte) (ssh.PublicKey, error) {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(wire, &head); err != nil {
		return nil, malformed("public key is cut short")
	}
	switch head.Type {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
	default:
		if strings.Contains(head.Type, "-cert-v01@") {
			return nil, weak("certificate %s; sign with the plain key", Escape(head.Type))
		}
		return nil, weak("key type %s", Escape(head.Type))
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, malformed("public key: %s", Escape(err.Error()))
	}
	if key.Type() != head.Type || !bytes.Equal(key.Marshal(), wire) {
		return nil, malformed("public key is not in canonical form")
	}
	if key.Type() == ssh.KeyAlgoRSA {
		pub, ok := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey)
		if !ok || pub.N.BitLen() < minRSABits {
			return nil, weak("RSA key below %d bits", minRSABits)
		}
	}
	return key, nil
}

// parseSSHKeyLine reads one line as it stands in an .pub file: type, base64,
// optional comment. Options in front, as authorized_keys allows, are refused.
func parseSSHKeyLine(line string) (ssh.PublicKey, error) {
	fields := strings.Fields(line)
	if strings.ContainsAny(line, "\r\n") || len(fields) < 2 {
		return nil, errors.New("want one line: type, base64, optional comment")
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return nil, errors.New("second word is not base64")
	}
	key, err := parseSSHKey(wire)
	if err != nil {
		var bad *SignatureError
		if errors.As(err, &bad) {
			return nil, errors.New(bad.Detail)
		}
		return nil, err
	}
	if key.Type() != fields[0] {
		return nil, errors.New("first word is not the type of the key")
	}
	return key, nil
}

// rawKey names the raw public key whatever it is wrapped in, so that one key in two
// encodings (SSH, security key with another application, later PEM) is one key. It
// is the SHA-256 (hex) of the key's PKIX form.
func rawKey(key ssh.PublicKey) (string, error) {
	wrapped, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return "", errors.New("key has no raw form")
	}
	der, err := x509.MarshalPKIXPublicKey(wrapped.CryptoPublicKey())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
