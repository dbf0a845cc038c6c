package trust

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/tealops/teal/internal/release"
)

// Commit is one commit that changed the release directory, as its bytes say. Nothing
// of it is believed but what a signature proves.
type Commit struct {
	ID        string // hex
	Committer string // e-mail as written; shown, never trusted
	When      time.Time
	// Signed is the commit object without its signature, Signature the signature as the
	// commit carries it (armoured, SSH or OpenPGP); Signature is empty when unsigned.
	Signed    []byte
	Signature []byte
}

// Changes are the commits that touched the release directory since the release that
// this host accepted last.
type Changes struct {
	Commits []Commit
	// Unknown says why the list is not known to be whole; empty when it is.
	Unknown string
}

// namespaceGit is that of Git's SSH signatures.
const namespaceGit = "git"

// maxCommitSignature bounds a commit's signature, in bytes.
const maxCommitSignature = 16 << 10

// Signer is the key of the policy, a person's or a service's, that signed the commit.
// Whether the key is revoked or valid now is the caller's to judge. The error is a
// *SignatureError with author_unknown and why.
func (c Commit) Signer(p *Policy) (Key, error) {
	unknown := func(format string, args ...any) (Key, error) {
		return Key{}, &SignatureError{release.AuthorUnknown, fmt.Sprintf(format, args...)}
	}
	switch {
	case len(c.Signature) == 0:
		return unknown("not signed")
	case len(c.Signature) > maxCommitSignature:
		return unknown("its signature is longer than %d bytes", maxCommitSignature)
	case bytes.HasPrefix(c.Signature, []byte(sshsigBegin)):
		sig, err := ParseSSHSig(c.Signature)
		if err != nil {
			_, detail := faultOf(err, "")
			return unknown("%s", detail)
		}
		key, known := p.KeyOf(sig.Key)
		if !known {
			return unknown("signed by key %s, which is nobody's in the policy", (Key{SSH: sig.Key}).Fingerprint())
		}
		if err := sig.Verify(c.Signed, namespaceGit, sig.Key); err != nil {
			_, detail := faultOf(err, "")
			return unknown("%s", detail)
		}
		return key, nil
	case bytes.HasPrefix(c.Signature, []byte("-----BEGIN PGP SIGNATURE-----")):
		for _, k := range p.PersonKeys() {
			if k.OpenPGP != "" && verifyOpenPGP(k.OpenPGP, c.Signed, c.Signature) == nil {
				return k, nil
			}
		}
		return unknown("signed with an OpenPGP key that is nobody's in the policy")
	}
	return unknown("signed in a form that is neither SSH nor OpenPGP")
}

// verifyOpenPGP verifies a detached signature by an armoured public key: one packet, by
// SHA-256 or better. The policy says until when a key counts, so its own expiry, which
// its owner can move, is not asked.
func verifyOpenPGP(armoured string, signed, signature []byte) error {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(armoured))
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	block, err := armor.Decode(bytes.NewReader(signature))
	if err != nil || block.Type != openpgp.SignatureType {
		return fmt.Errorf("read signature: not an armoured signature")
	}
	body, err := io.ReadAll(io.LimitReader(block.Body, maxCommitSignature))
	if err != nil {
		return fmt.Errorf("read signature: %w", err)
	}
	p, err := packet.Read(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("read signature: %w", err)
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return fmt.Errorf("read signature: no signature packet")
	}
	switch sig.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return fmt.Errorf("hash %s", sig.Hash)
	}
	if sig.SigType != packet.SigTypeBinary {
		return fmt.Errorf("signature of type %d", sig.SigType)
	}
	if _, err := openpgp.CheckDetachedSignatureAndHash(ring, bytes.NewReader(signed), bytes.NewReader(body), []crypto.Hash{sig.Hash}, &packet.Config{Time: func() time.Time { return sig.CreationTime }}); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}
