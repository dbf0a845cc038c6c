package trust

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

func vector(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "openssh", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestOpenSSHVectors reads the signatures of OpenSSH's own unit tests: what teal counts
// verifies, what it does not is refused by name.
func TestOpenSSHVectors(t *testing.T) {
	message, namespace := vector(t, "signed-data"), string(vector(t, "namespace"))
	for name, want := range map[string]release.Code{
		"ed25519": "", "ecdsa": "", "rsa": "", "ed25519_sk": "", "ecdsa_sk": "",
		"ecdsa_sk_webauthn": release.WeakOrUnknownAlgorithm, // attack 73
	} {
		t.Run(name, func(t *testing.T) {
			key, _, _, _, err := ssh.ParseAuthorizedKey(vector(t, name+".pub"))
			if err != nil {
				t.Fatal(err)
			}
			data := vector(t, name+".sig")
			sig, err := ParseSSHSig(data)
			if want != "" {
				if codeOf(err) != want {
					t.Errorf("%v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := sig.Verify(message, namespace, key); err != nil {
				t.Fatal(err)
			}
			if err := sig.Verify(append(bytes.Clone(message), '.'), namespace, key); codeOf(err) != release.SignatureInvalid {
				t.Errorf("over another message: %v", err)
			}
			for _, other := range []string{NamespaceApproval, NamespaceEmergency, "git", "file"} {
				if err := sig.Verify(message, other, key); codeOf(err) != release.WrongNamespace {
					t.Errorf("as %s: %v", other, err)
				}
			}
			// Every single byte of the blob counts.
			block, _ := pem.Decode(data)
			for i := range block.Bytes {
				blob := bytes.Clone(block.Bytes)
				blob[i] ^= 1
				if sig, err := ParseSSHSig(armour(blob)); err == nil && sig.Verify(message, namespace, key) == nil {
					t.Errorf("byte %d changed: still verifies", i)
				}
			}
		})
	}
}

// TestUnknownKeysAreRefusedCleanly is attack 73: keys that OpenSSH has or will have and
// teal does not count, made by hand as no stored vector of them exists here.
func TestUnknownKeysAreRefusedCleanly(t *testing.T) {
	for _, name := range []string{"ssh-mldsa44-ed25519@openssh.com", ssh.KeyAlgoMLDSA44, "ssh-dss", "ssh-xmss@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
		"ssh-ed25519-cert-v01@openssh.com", "ssh-ed448", "ecdsa-sha2-nistp521", "ssh-ed25519 ", "SSH-ED25519", "none", "\x1b[2Jssh-ed25519"} {
		key := ssh.Marshal(struct {
			Type string
			Key  []byte
		}{name, bytes.Repeat([]byte{7}, 1344)})
		inner := ssh.Marshal(ssh.Signature{Format: name, Blob: bytes.Repeat([]byte{9}, 2484)})
		_, err := ParseSSHSig(armour(ssh.Marshal(testBlob(key, inner))))
		if codeOf(err) != release.WeakOrUnknownAlgorithm {
			t.Errorf("%q: %v", name, err)
		} else if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%q: the error carries an escape sequence", name)
		}
	}
}
