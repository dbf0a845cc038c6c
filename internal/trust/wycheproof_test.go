package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/big"
	"testing"

	"github.com/c2sp/wycheproof"
	"golang.org/x/crypto/ssh"
)

// wycheproofFile is what is read of C2SP/wycheproof testvectors_v1.
type wycheproofFile struct {
	TestGroups []struct {
		PublicKeyDer string `json:"publicKeyDer"`
		Tests        []struct {
			ID     int    `json:"tcId"`
			Msg    string `json:"msg"`
			Sig    string `json:"sig"`
			Result string `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// TestWycheproof: the code that verifies envelopes and SSH signatures takes exactly
// what the vectors call valid.
func TestWycheproof(t *testing.T) {
	for file, verify := range map[string]func(key crypto.PublicKey, msg, sig []byte) bool{
		"ed25519_test.json":                nil,
		"ecdsa_secp256r1_sha256_test.json": nil,
		"ecdsa_secp384r1_sha384_test.json": nil,
		"rsa_signature_3072_sha512_test.json": func(key crypto.PublicKey, msg, sig []byte) bool {
			return sshTakes(t, key, ssh.KeyAlgoRSASHA512, msg, sig)
		},
	} {
		if verify == nil {
			verify = func(key crypto.PublicKey, msg, sig []byte) bool { return signedBy(key, "", msg, sig) == nil }
		}
		data, err := fs.ReadFile(wycheproof.TestVectors, file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors wycheproofFile
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
		n, valid := 0, 0
		for _, g := range vectors.TestGroups {
			der, err := hex.DecodeString(g.PublicKeyDer)
			if err != nil {
				t.Fatal(err)
			}
			key, err := x509.ParsePKIXPublicKey(der)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range g.Tests {
				msg, _ := hex.DecodeString(c.Msg)
				sig, _ := hex.DecodeString(c.Sig)
				n++
				if c.Result == "valid" {
					valid++
				}
				if got := verify(key, msg, sig); got != (c.Result == "valid") && c.Result != "acceptable" {
					t.Errorf("%s %d: %v, want %s", file, c.ID, got, c.Result)
				}
				if blob, format := asSSH(key, sig); format == ssh.KeyAlgoECDSA256 || format == ssh.KeyAlgoECDSA384 {
					if got := sshTakes(t, key, format, msg, blob); got != (c.Result == "valid") {
						t.Errorf("%s %d as an SSH signature: %v, want %s", file, c.ID, got, c.Result)
					}
				}
				if file == "ed25519_test.json" {
					if got := sshTakes(t, key, ssh.KeyAlgoED25519, msg, sig); got != (c.Result == "valid") {
						t.Errorf("%s %d as an SSH signature: %v, want %s", file, c.ID, got, c.Result)
					}
				}
			}
		}
		t.Logf("%s: %d cases, %d valid", file, n, valid)
		if valid < 8 || n-valid < 10 {
			t.Errorf("%s: only %d cases, %d valid", file, n, valid)
		}
	}
}

// asSSH is an ECDSA signature in SSH's encoding; format is empty when sig is no strict
// DER of two numbers, which has no such form.
func asSSH(key crypto.PublicKey, sig []byte) (blob []byte, format string) {
	k, ok := key.(*ecdsa.PublicKey)
	var numbers struct{ R, S *big.Int }
	if !ok {
		return nil, ""
	}
	if _, err := asn1.Unmarshal(sig, &numbers); err != nil {
		return nil, ""
	}
	if again, err := asn1.Marshal(numbers); err != nil || !bytes.Equal(again, sig) {
		return nil, "" // the number is good, its encoding is what the vector is about
	}
	format = ssh.KeyAlgoECDSA256
	if k.Curve == elliptic.P384() {
		format = ssh.KeyAlgoECDSA384
	}
	return ssh.Marshal(numbers), format
}

// sshTakes verifies as SSHSig.Verify does, with its rules on algorithms.
func sshTakes(t *testing.T, key crypto.PublicKey, format string, msg, sig []byte) bool {
	t.Helper()
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() < 3072 {
		t.Fatal("a small key")
	}
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := ssh.Signature{Format: format, Blob: sig}
	return fits(public, s) == nil && public.Verify(msg, &s) == nil
}
