package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const (
	// mutants bounds what is made of one signature, asked how often ssh-keygen runs for
	// it: it takes some milliseconds each.
	mutants = 3000
	asked   = 40
)

// rewrap writes a blob's armour in lines of another width.
func rewrap(blob []byte, width int) []byte {
	text := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString(sshsigBegin + "\n")
	for len(text) > 0 {
		n := min(width, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return []byte(b.String() + sshsigEnd + "\n")
}

// mutant damages the armour or the blob in one of several ways.
func mutant(r *rand.Rand, armoured, blob []byte) []byte {
	edit := func(data []byte) []byte {
		data = bytes.Clone(data)
		if len(data) == 0 {
			return data
		}
		at := r.IntN(len(data))
		switch r.IntN(6) {
		case 0:
			data[at] ^= 1 << r.IntN(8)
		case 1:
			data[at] = byte(r.IntN(256))
		case 2: // cut
			data = data[:at]
		case 3: // one more
			data = append(data[:at:at], append([]byte{byte(r.IntN(256))}, data[at:]...)...)
		case 4: // a piece twice
			end := min(len(data), at+1+r.IntN(40))
			data = append(data[:end:end], data[at:]...)
		default: // a piece gone
			data = append(data[:at:at], data[min(len(data), at+1+r.IntN(8)):]...)
		}
		return data
	}
	switch r.IntN(3) {
	case 0:
		return edit(armoured)
	case 1:
		return armour(edit(edit(blob)))
	}
	return armour(edit(blob))
}

// variants are other spellings of a good signature; want says whether teal takes them.
func variants(armoured, blob []byte) map[string]bool {
	text := string(armoured)
	out := map[string]bool{text: true, strings.TrimSuffix(text, "\n"): true, text + "\n": false, text + "more\n": false, "\n" + text: false,
		strings.ReplaceAll(text, "\n", "\r\n"): false, text + text: false, "hello\n" + text: false, " " + text: false,
		strings.Replace(text, "\n", "\n\n", 1): false, strings.Replace(text, "\n", " \n", 1): false, strings.ToLower(text): false}
	for _, width := range []int{4, 8, 64, 76} {
		out[string(rewrap(blob, width))] = true
	}
	for _, width := range []int{77, 4096} {
		out[string(rewrap(blob, width))] = false
	}
	return out
}

// TestAcceptedHereIsAcceptedBySSHKeygen: teal may be stricter than the reference, never
// laxer. A corpus of damaged and re-spelt signatures of every kind of key.
func TestAcceptedHereIsAcceptedBySSHKeygen(t *testing.T) {
	message := []byte("{\"a\":1}\n")
	signers := map[string]ssh.Signer{
		"sk-ed25519": skSigner{key: privateKey(t, "ed25519/sk").(ed25519.PrivateKey), app: "ssh:", flags: 1},
		"sk-ecdsa":   skECDSASigner{key: privateKey(t, "p256/sk").(*ecdsa.PrivateKey), app: "ssh:", flags: 5},
	}
	for _, kind := range goodKinds {
		signers[kind] = sshSigner(t, kind)
	}
	for name, signer := range signers {
		t.Run(name, func(t *testing.T) {
			dir, calls := t.TempDir(), 0
			allowed, file := filepath.Join(dir, "allowed"), filepath.Join(dir, "sig")
			write(t, allowed, append([]byte("ann@example.com "), ssh.MarshalAuthorizedKey(signer.PublicKey())...))
			reference := func(sig []byte) error {
				calls++
				write(t, file, sig)
				if out, err := keygen(t, message, "-Y", "verify", "-f", allowed, "-I", "ann@example.com", "-n", NamespaceApproval, "-s", file); err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}
			ours := func(data []byte) error {
				sig, err := ParseSSHSig(data)
				if err == nil {
					err = sig.Verify(message, NamespaceApproval, signer.PublicKey())
				}
				return err
			}
			armoured, err := SignSSH(signer, NamespaceApproval, message)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(armoured)
			for text, want := range variants(armoured, block.Bytes) {
				if err := ours([]byte(text)); (err == nil) != want {
					t.Errorf("taken here: %v, want %v (%v)\n%s", err == nil, want, err, text)
				}
				if want {
					if err := reference([]byte(text)); err != nil {
						t.Errorf("taken here, refused by ssh-keygen: %v\n%s", err, text)
					}
				}
			}
			r := rand.New(rand.NewPCG(7, uint64(len(name))))
			for range mutants {
				m := mutant(r, armoured, block.Bytes)
				if ours(m) != nil || bytes.Equal(m, armoured) || calls > asked {
					continue
				}
				if err := reference(m); err != nil {
					t.Errorf("taken here, refused by ssh-keygen: %v\n%s", err, m)
				}
			}
			if calls > asked {
				t.Errorf("%d damaged signatures are still taken", calls)
			}
		})
	}
}

// TestECDSATwins: (r, s) and (r, n-s) are both signatures of the same message, for
// ssh-keygen too. That is why persons are counted and never signatures.
func TestECDSATwins(t *testing.T) {
	message := []byte("m")
	signer := sshSigner(t, "p256/twins")
	signed, err := signedData(NamespaceApproval, "sha512", message)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := signer.Sign(nil, signed)
	if err != nil {
		t.Fatal(err)
	}
	var pair struct{ R, S *big.Int }
	if err := ssh.Unmarshal(inner.Blob, &pair); err != nil {
		t.Fatal(err)
	}
	pair.S.Sub(elliptic.P256().Params().N, pair.S)
	twin := *inner
	twin.Blob = ssh.Marshal(pair)
	data := armour(ssh.Marshal(testBlob(signer.PublicKey().Marshal(), ssh.Marshal(twin))))
	sig, err := ParseSSHSig(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := sig.Verify(message, NamespaceApproval, signer.PublicKey()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "allowed"), append([]byte("ann@example.com "), ssh.MarshalAuthorizedKey(signer.PublicKey())...))
	write(t, filepath.Join(dir, "sig"), data)
	if out, err := keygen(t, message, "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", "ann@example.com", "-n", NamespaceApproval, "-s", filepath.Join(dir, "sig")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
