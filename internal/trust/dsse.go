package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"

	"github.com/tealops/teal/internal/release"
)

// PAE is DSSE's pre-authentication encoding: what an envelope's signatures are made
// over (DSSE v1.0, protocol.md).
func PAE(payloadType string, payload []byte) []byte {
	head := paeHead(payloadType, payload)
	return append([]byte(head), payload...)
}

func paeHead(payloadType string, payload []byte) string {
	return fmt.Sprintf("DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
}

// Verify reports whether one of the envelope's signatures is by key. nil means yes;
// errors are *SignatureError: attestation_untrusted, or weak_or_unknown_algorithm when
// the key did sign, in a form that teal does not count. Keys are ECDSA on P-256 (SHA-256)
// or P-384 (SHA-384) with ASN.1 signatures, and pure Ed25519.
func (e Envelope) Verify(key crypto.PublicKey) error {
	var says error = &SignatureError{release.AttestationUntrusted, notByKey}
	for _, s := range e.Signatures {
		err := e.verifyOne(key, s.Sig)
		if err == nil {
			return nil
		}
		if _, detail := faultOf(err, ""); detail != notByKey {
			says = err
		}
	}
	return says
}

const notByKey = "no signature by this key"

func (e Envelope) verifyOne(key crypto.PublicKey, sig []byte) error {
	return signedBy(key, paeHead(e.PayloadType, e.Payload), e.Payload, sig)
}

// signedBy reports whether sig is key's over head and payload, one after the other: a
// payload may have megabytes, so they are joined only where the algorithm needs it.
func signedBy(key crypto.PublicKey, head string, payload, sig []byte) error {
	not := &SignatureError{release.AttestationUntrusted, notByKey}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		h, err := hashFor(key)
		if err != nil {
			return err
		}
		digest := hashed(h, head, payload)
		if ecdsa.VerifyASN1(key, digest, sig) {
			return nil
		}
		if der, ok := rawToASN1(key, sig); ok && ecdsa.VerifyASN1(key, digest, der) {
			return weak("an ECDSA signature as r‖s; want ASN.1 DER")
		}
		h.Reset()
		if head != "" && ecdsa.VerifyASN1(key, hashed(h, "", payload), sig) {
			not.Detail = "signed over the bare payload, not over DSSE's pre-authentication encoding"
		}
	case ed25519.PublicKey:
		message := append([]byte(head), payload...)
		if len(sig) == ed25519.SignatureSize && ed25519.Verify(key, message, sig) {
			return nil
		}
		sum := sha512.Sum512(message)
		if ed25519.VerifyWithOptions(key, sum[:], sig, &ed25519.Options{Hash: crypto.SHA512}) == nil {
			return weak("Ed25519ph, as cosign signs with Ed25519 keys; want pure Ed25519, or an ECDSA P-256 key for cosign")
		}
	default:
		return weak("a key of another type than ECDSA P-256, P-384 and Ed25519")
	}
	return not
}

func hashFor(key *ecdsa.PublicKey) (hash.Hash, error) {
	switch key.Curve {
	case elliptic.P256():
		return sha256.New(), nil
	case elliptic.P384():
		return sha512.New384(), nil
	}
	return nil, weak("an ECDSA key on another curve than P-256 and P-384")
}

func hashed(h hash.Hash, head string, payload []byte) []byte {
	_, _ = io.WriteString(h, head) // a hash never fails
	h.Write(payload)
	return h.Sum(nil)
}

// rawToASN1 is a signature of fixed-width r‖s in the other encoding.
func rawToASN1(key *ecdsa.PublicKey, sig []byte) ([]byte, bool) {
	n := (key.Curve.Params().BitSize + 7) / 8
	if len(sig) != 2*n {
		return nil, false
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])})
	return der, err == nil
}

// ParsePublicPEM reads a public key in PEM (SPKI): ECDSA P-256 or P-384, or Ed25519.
// RSA is refused whatever its length: no scanner needs it, and its two paddings are one
// more thing to confuse. Exactly one block, without headers and text around it.
func ParsePublicPEM(data []byte) (crypto.PublicKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" || len(block.Headers) > 0 {
		return nil, errors.New("not a PEM block PUBLIC KEY")
	}
	if !bytes.HasPrefix(data, []byte("-----BEGIN PUBLIC KEY-----")) {
		return nil, errors.New("text before the PEM block")
	}
	for _, b := range rest {
		if !jsonSpace(b) {
			return nil, errors.New("text after the PEM block")
		}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return key, nil
	case *ecdsa.PublicKey:
		if _, err := hashFor(key); err != nil {
			return nil, err
		}
		return key, nil
	}
	return nil, weak("want an ECDSA key on P-256 or P-384, or an Ed25519 key")
}

// KeyHint names a key as cosign does in a bundle: base64 of SHA-256 over the key's SPKI.
// Empty for a key that has no SPKI.
func KeyHint(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// SignEnvelope signs a payload as a Sigstore bundle v0.3 with an ECDSA P-256 or P-384 or
// an Ed25519 key. What it returns has been verified.
func SignEnvelope(signer crypto.Signer, payload []byte) ([]byte, error) {
	e := Envelope{PayloadType: PayloadTypeInToto, Payload: payload}
	var sig []byte
	var err error
	switch key := signer.Public().(type) {
	case *ecdsa.PublicKey:
		h, herr := hashFor(key)
		if herr != nil {
			return nil, fmt.Errorf("sign: %w", herr)
		}
		sig, err = signer.Sign(rand.Reader, hashed(h, paeHead(e.PayloadType, payload), payload), map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384}[h.Size()])
	case ed25519.PublicKey:
		sig, err = signer.Sign(nil, PAE(e.PayloadType, payload), crypto.Hash(0))
	default:
		return nil, errors.New("sign: want an ECDSA P-256, P-384 or Ed25519 key")
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	type signature struct {
		Sig string `json:"sig"`
	}
	type dsse struct {
		Payload     string      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}
	var bundle struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
		Envelope dsse `json:"dsseEnvelope"`
	}
	bundle.MediaType = bundleMediaType
	bundle.Material.PublicKey.Hint = KeyHint(signer.Public())
	bundle.Envelope = dsse{base64.StdEncoding.EncodeToString(payload), PayloadTypeInToto, []signature{{base64.StdEncoding.EncodeToString(sig)}}}
	out, err := json.Marshal(bundle)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	parsed, err := ParseEnvelope(out)
	if err != nil {
		return nil, fmt.Errorf("check own envelope: %w", err)
	}
	if err := parsed.Verify(signer.Public()); err != nil {
		return nil, fmt.Errorf("check own envelope: %w", err)
	}
	return append(out, '\n'), nil
}
