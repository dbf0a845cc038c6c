package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// SSH signature namespaces: one purpose each. Every other namespace is refused.
const (
	NamespaceApproval  = "teal-approval-v1"  // over approval.json of kind normal
	NamespaceEmergency = "teal-emergency-v1" // over approval.json of kind emergency
	NamespaceReject    = "teal-reject-v1"    // a veto, over approval.json of either kind
	NamespacePolicy    = "teal-policy-v1"    // over trust/policy.<N>.json
)

const (
	// maxSSHSig bounds one armoured signature, in bytes.
	maxSSHSig   = 16 << 10
	sshsigMagic = "SSHSIG"
	sshsigBegin = "-----BEGIN SSH SIGNATURE-----"
	sshsigEnd   = "-----END SSH SIGNATURE-----"
	// maxArmourLine is what the strictest writer in use stays below; ssh-keygen
	// writes 70 columns.
	maxArmourLine = 76
)

// SignatureError says why a signature is not counted. Code is one of
// malformed_signature, weak_or_unknown_algorithm, wrong_namespace,
// unauthorized_signer (another key) and signature_invalid.
type SignatureError struct {
	Code   release.Code
	Detail string // safe to print
}

func (e *SignatureError) Error() string { return string(e.Code) + ": " + e.Detail }

func malformed(format string, args ...any) error {
	return &SignatureError{Code: release.MalformedSignature, Detail: fmt.Sprintf(format, args...)}
}

func weak(format string, args ...any) error {
	return &SignatureError{Code: release.WeakOrUnknownAlgorithm, Detail: fmt.Sprintf(format, args...)}
}

// SSHSig is one parsed SSH signature (OpenSSH's PROTOCOL.sshsig). Nothing in it is
// verified until Verify says so; Key only tells which key to look for.
type SSHSig struct {
	Key       ssh.PublicKey // the key that claims to have signed
	Namespace string        // as signed; not escaped
	Hash      string        // sha256 or sha512
	Algorithm string        // for example ssh-ed25519, rsa-sha2-512
	signature ssh.Signature
}

// sshsigBlob is the signature's wire form after the magic.
type sshsigBlob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	HashAlgo  string
	Signature []byte
}

// sshsigSigned is what the key signs, after the magic.
type sshsigSigned struct {
	Namespace string
	Reserved  []byte
	HashAlgo  string
	Digest    []byte
}

// ParseSSHSig reads one armoured signature file. It is stricter than ssh-keygen:
// exactly one block, no text around it, no carriage return, at most 16 KiB, nothing
// left over at any level, and only algorithms that teal counts. Errors are
// *SignatureError.
func ParseSSHSig(data []byte) (SSHSig, error) {
	blob, err := unarmour(data)
	if err != nil {
		return SSHSig{}, err
	}
	return parseSSHSigBlob(blob)
}

// unarmour takes the base64 body out of exactly one block.
func unarmour(data []byte) ([]byte, error) {
	if len(data) > maxSSHSig {
		return nil, malformed("longer than %d bytes", maxSSHSig)
	}
	if bytes.IndexByte(data, '\r') >= 0 {
		return nil, malformed("carriage return in the armour")
	}
	body, ok := strings.CutPrefix(string(data), sshsigBegin+"\n")
	if !ok {
		return nil, malformed("does not start with the line %s", sshsigBegin)
	}
	body = strings.TrimSuffix(body, "\n") // at most one
	if body, ok = strings.CutSuffix(body, "\n"+sshsigEnd); !ok {
		return nil, malformed("does not end with the line %s", sshsigEnd)
	}
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		if len(line) == 0 || len(line) > maxArmourLine {
			return nil, malformed("line %d has %d characters, want 1 to %d", i+2, len(line), maxArmourLine)
		}
		if i < len(lines)-1 && strings.Contains(line, "=") {
			return nil, malformed("line %d: padding before the end", i+2)
		}
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines, ""))
	if err != nil {
		return nil, malformed("not base64: %v", err)
	}
	return blob, nil
}

// parseSSHSigBlob reads the binary form.
func parseSSHSigBlob(data []byte) (SSHSig, error) {
	rest, ok := bytes.CutPrefix(data, []byte(sshsigMagic))
	if !ok {
		return SSHSig{}, malformed("not an SSH signature (no %s)", sshsigMagic)
	}
	var blob sshsigBlob
	if err := ssh.Unmarshal(rest, &blob); err != nil {
		return SSHSig{}, malformed("cut short or bytes left over")
	}
	switch {
	case blob.Version != 1:
		return SSHSig{}, malformed("version %d, want 1", blob.Version)
	case len(blob.Reserved) != 0:
		return SSHSig{}, malformed("reserved field is not empty")
	case blob.Namespace == "":
		return SSHSig{}, malformed("empty namespace")
	case blob.HashAlgo != "sha256" && blob.HashAlgo != "sha512":
		return SSHSig{}, weak("hash %s", Escape(blob.HashAlgo))
	}
	key, err := parseSSHKey(blob.PublicKey)
	if err != nil {
		return SSHSig{}, err
	}
	var inner ssh.Signature
	if err := ssh.Unmarshal(blob.Signature, &inner); err != nil {
		return SSHSig{}, malformed("inner signature is cut short")
	}
	if err := fits(key, inner); err != nil {
		return SSHSig{}, err
	}
	return SSHSig{Key: key, Namespace: blob.Namespace, Hash: blob.HashAlgo, Algorithm: inner.Format, signature: inner}, nil
}

// fits checks that the signature's algorithm is one that teal counts for that type
// of key, and that nothing follows the signature but a security key's flags and
// counter.
func fits(key ssh.PublicKey, sig ssh.Signature) error {
	want, extra := []string{key.Type()}, 0
	switch key.Type() {
	case ssh.KeyAlgoRSA:
		want = []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		extra = 5 // flags byte and 32-bit counter
	}
	for _, w := range want {
		if sig.Format == w {
			if len(sig.Rest) != extra {
				return malformed("bytes left over after the inner signature")
			}
			return nil
		}
	}
	return weak("signature algorithm %s for a key of type %s", Escape(sig.Format), Escape(key.Type()))
}

// Verify reports whether s is a signature by key over message for the namespace.
// nil means yes; errors are *SignatureError. A security key's signature counts only
// when its user was present (touch).
func (s SSHSig) Verify(message []byte, namespace string, key ssh.PublicKey) error {
	if s.Key == nil || key == nil {
		return malformed("no key")
	}
	if namespace == "" || s.Namespace != namespace {
		return &SignatureError{release.WrongNamespace, fmt.Sprintf("made for namespace \"%s\", want \"%s\"", Escape(s.Namespace), namespace)}
	}
	if !bytes.Equal(s.Key.Marshal(), key.Marshal()) {
		return &SignatureError{release.UnauthorizedSigner, "made by another key, " + ssh.FingerprintSHA256(s.Key)}
	}
	signed, err := signedData(namespace, s.Hash, message)
	if err != nil {
		return err
	}
	if err := key.Verify(signed, &s.signature); err != nil {
		return &SignatureError{release.SignatureInvalid, "does not verify: " + Escape(err.Error())}
	}
	return nil
}

// signedData is what an SSH signature is made over.
func signedData(namespace, hash string, message []byte) ([]byte, error) {
	var digest []byte
	switch hash {
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	default:
		return nil, weak("hash %s", Escape(hash))
	}
	return append([]byte(sshsigMagic), ssh.Marshal(sshsigSigned{Namespace: namespace, HashAlgo: hash, Digest: digest})...), nil
}

// SignSSH makes an armoured SSH signature over message, the same as
// `ssh-keygen -Y sign -n namespace`. The signer may be a private key, an agent's key
// or a security key; RSA signs with rsa-sha2-512. What it returns has been verified.
func SignSSH(signer ssh.Signer, namespace string, message []byte) ([]byte, error) {
	if namespace == "" {
		return nil, errors.New("sign: empty namespace")
	}
	key, err := parseSSHKey(signer.PublicKey().Marshal())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	const hash = "sha512"
	signed, err := signedData(namespace, hash, message)
	if err != nil {
		return nil, err
	}
	// Without a source of randomness ECDSA signs deterministically (RFC 6979), so that
	// signing again changes no file.
	var inner *ssh.Signature
	if key.Type() == ssh.KeyAlgoRSA {
		algorithms, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, fmt.Errorf("sign: the RSA signer cannot choose %s", ssh.KeyAlgoRSASHA512)
		}
		inner, err = algorithms.SignWithAlgorithm(nil, signed, ssh.KeyAlgoRSASHA512)
	} else {
		inner, err = signer.Sign(nil, signed)
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	blob := append([]byte(sshsigMagic), ssh.Marshal(sshsigBlob{
		Version: 1, PublicKey: key.Marshal(), Namespace: namespace, HashAlgo: hash, Signature: ssh.Marshal(*inner),
	})...)
	out := armour(blob)
	sig, err := ParseSSHSig(out)
	if err != nil {
		return nil, fmt.Errorf("check own signature: %w", err)
	}
	if err := sig.Verify(message, namespace, key); err != nil {
		return nil, fmt.Errorf("check own signature: %w", err)
	}
	return out, nil
}

// armour writes a blob as ssh-keygen does, 70 columns wide.
func armour(blob []byte) []byte {
	var b bytes.Buffer
	b.WriteString(sshsigBegin + "\n")
	for text := base64.StdEncoding.EncodeToString(blob); len(text) > 0; {
		n := min(70, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString(sshsigEnd + "\n")
	return b.Bytes()
}
