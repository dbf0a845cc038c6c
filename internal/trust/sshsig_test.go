package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

var goodKinds = []string{"ed25519", "p256", "p384", "rsa3072"}

func codeOf(err error) release.Code {
	var bad *SignatureError
	if errors.As(err, &bad) {
		return bad.Code
	}
	return ""
}

func TestSignAndVerify(t *testing.T) {
	message := []byte("approve this\n")
	for _, kind := range goodKinds {
		t.Run(kind, func(t *testing.T) {
			armoured := sign(t, kind, NamespaceApproval, message)
			sig, err := ParseSSHSig(armoured)
			if err != nil {
				t.Fatal(err)
			}
			key := sshSigner(t, kind).PublicKey()
			if err := sig.Verify(message, NamespaceApproval, key); err != nil {
				t.Fatal(err)
			}
			other := sshSigner(t, kind+"/other").PublicKey()
			for _, c := range []struct {
				name, namespace string
				message         []byte
				key             ssh.PublicKey
				want            release.Code
			}{
				{"other message", NamespaceApproval, []byte("approve that\n"), key, release.SignatureInvalid},
				{"one byte more", NamespaceApproval, append(bytes.Clone(message), '\n'), key, release.SignatureInvalid},
				{"other namespace", "git", message, key, release.WrongNamespace},
				{"empty namespace", "", message, key, release.WrongNamespace},
				{"namespace with a tail", NamespaceApproval + "x", message, key, release.WrongNamespace},
				{"other key", NamespaceApproval, message, other, release.UnauthorizedSigner},
			} {
				if got := codeOf(sig.Verify(c.message, c.namespace, c.key)); got != c.want {
					t.Errorf("%s: %q, want %q", c.name, got, c.want)
				}
			}
		})
	}
}

func TestSecurityKeyCountsOnlyWithTouch(t *testing.T) {
	message := []byte("m")
	key := privateKey(t, "ed25519/sk").(ed25519.PrivateKey)
	touched := skSigner{key: key, app: "ssh:", flags: 1}
	armoured, err := SignSSH(touched, NamespaceApproval, message)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ParseSSHSig(armoured)
	if err != nil {
		t.Fatal(err)
	}
	if err := sig.Verify(message, NamespaceApproval, touched.PublicKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := SignSSH(skSigner{key: key, app: "ssh:", flags: 0}, NamespaceApproval, message); codeOf(err) != release.SignatureInvalid {
		t.Errorf("without touch: %v", err)
	}
	// A counter that was cut off, or has a tail, is not a signature.
	untouched, _ := touched.Sign(nil, nil)
	for name, rest := range map[string][]byte{"cut": untouched.Rest[:4], "tail": append(bytes.Clone(untouched.Rest), 0), "none": nil} {
		s := *untouched
		s.Rest = rest
		blob := testBlob(touched.PublicKey().Marshal(), ssh.Marshal(s))
		if _, err := ParseSSHSig(armour(ssh.Marshal(blob))); codeOf(err) != release.MalformedSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSecurityKeysAgainstSSHKeygen: the reference accepts the same answers of a
// security key, of both kinds.
func TestSecurityKeysAgainstSSHKeygen(t *testing.T) {
	message := []byte("m")
	for name, signer := range map[string]ssh.Signer{
		"ed25519": skSigner{key: privateKey(t, "ed25519/sk").(ed25519.PrivateKey), app: "ssh:", flags: 1},
		"ecdsa":   skECDSASigner{key: privateKey(t, "p256/sk").(*ecdsa.PrivateKey), app: "ssh:teal", flags: 5},
	} {
		armoured, err := SignSSH(signer, NamespaceApproval, message)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		dir := t.TempDir()
		sig, allowed := filepath.Join(dir, "sig"), filepath.Join(dir, "allowed")
		write(t, sig, armoured)
		write(t, allowed, append([]byte("ann@example.com "), ssh.MarshalAuthorizedKey(signer.PublicKey())...))
		if out, err := keygen(t, message, "-Y", "verify", "-f", allowed, "-I", "ann@example.com", "-n", NamespaceApproval, "-s", sig); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// rawBlob is the wire form with the magic as a field, to be damaged at will.
type rawBlob struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	HashAlgo  string
	Signature []byte
}

func testBlob(key, signature []byte) rawBlob {
	return rawBlob{[6]byte{'S', 'S', 'H', 'S', 'I', 'G'}, 1, key, NamespaceApproval, nil, "sha512", signature}
}

func TestMalformedSignatures(t *testing.T) {
	message := []byte("m")
	good := string(sign(t, "ed25519", NamespaceApproval, message))
	if _, err := ParseSSHSig([]byte(good)); err != nil { // the control
		t.Fatal(err)
	}
	if _, err := ParseSSHSig([]byte(strings.TrimSuffix(good, "\n"))); err != nil {
		t.Errorf("without the last line feed: %v", err)
	}
	block, _ := pem.Decode([]byte(good))
	lines := strings.Split(strings.TrimSuffix(good, "\n"), "\n")
	cases := map[string]string{
		"empty":                "",
		"begin line only":      sshsigBegin + "\n",
		"no body":              sshsigBegin + "\n" + sshsigEnd + "\n",
		"leading text":         "hello\n" + good,
		"leading line feed":    "\n" + good,
		"trailing text":        good + "x",
		"two line feeds":       good + "\n",
		"carriage returns":     strings.ReplaceAll(good, "\n", "\r\n"),
		"two blocks":           good + good,
		"other armour":         strings.ReplaceAll(good, "SSH SIGNATURE", "SSH PUBLIC KEY"),
		"space in a line":      strings.Replace(good, lines[1], lines[1][:9]+" "+lines[1][9:], 1),
		"empty line":           strings.Replace(good, lines[1], "\n"+lines[1], 1),
		"pem header":           strings.Replace(good, sshsigBegin, sshsigBegin+"\nProc-Type: 4", 1),
		"one long line":        sshsigBegin + "\n" + strings.Join(lines[1:len(lines)-1], "") + "\n" + sshsigEnd + "\n",
		"padding in between":   strings.Replace(good, lines[1], lines[1][:68]+"==", 1),
		"url alphabet":         strings.Replace(good, lines[1], lines[1][:60]+"-_-_-_-_-_", 1),
		"no end":               strings.Join(lines[:len(lines)-1], "\n"),
		"longer than 16 KiB":   sshsigBegin + "\n" + strings.Repeat(strings.Repeat("A", 70)+"\n", 400) + sshsigEnd + "\n",
		"byte order mark":      "\ufeff" + good,
		"blob cut":             string(armour(block.Bytes[:len(block.Bytes)-3])),
		"blob with a tail":     string(armour(append(bytes.Clone(block.Bytes), 0))),
		"blob without magic":   string(armour(block.Bytes[1:])),
		"blob of another type": string(armour([]byte("SSHPUB" + string(block.Bytes[6:])))),
	}
	for name, text := range cases {
		if _, err := ParseSSHSig([]byte(text)); codeOf(err) != release.MalformedSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMalformedBlobs(t *testing.T) {
	message := []byte("m")
	signer := sshSigner(t, "ed25519")
	signed, err := signedData(NamespaceApproval, "sha512", message)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := signer.Sign(nil, signed)
	if err != nil {
		t.Fatal(err)
	}
	wire := signer.PublicKey().Marshal()
	good := testBlob(wire, ssh.Marshal(*inner))
	control, err := ParseSSHSig(armour(ssh.Marshal(good)))
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Verify(message, NamespaceApproval, signer.PublicKey()); err != nil {
		t.Fatal(err)
	}
	withRSA := func(kind, format string, h crypto.Hash, digest []byte) rawBlob {
		k := privateKey(t, kind).(*rsa.PrivateKey)
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, h, digest)
		if err != nil {
			t.Fatal(err)
		}
		return testBlob(sshSigner(t, kind).PublicKey().Marshal(), ssh.Marshal(ssh.Signature{Format: format, Blob: sig}))
	}
	sha1sum, sha512sum := sha1.Sum(signed), sha512.Sum512(signed)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ann"}}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	p521 := sshSigner(t, "p521")
	p521sig, err := p521.Sign(rand.Reader, signed)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(b *rawBlob)
		want   release.Code
	}{
		"version 2":        {func(b *rawBlob) { b.Version = 2 }, release.MalformedSignature},
		"version 0":        {func(b *rawBlob) { b.Version = 0 }, release.MalformedSignature},
		"reserved not nil": {func(b *rawBlob) { b.Reserved = []byte("x") }, release.MalformedSignature},
		"no namespace":     {func(b *rawBlob) { b.Namespace = "" }, release.MalformedSignature},
		"hash sha1":        {func(b *rawBlob) { b.HashAlgo = "sha1" }, release.WeakOrUnknownAlgorithm},
		"hash none":        {func(b *rawBlob) { b.HashAlgo = "none" }, release.WeakOrUnknownAlgorithm},
		"key cut":          {func(b *rawBlob) { b.PublicKey = b.PublicKey[:20] }, release.MalformedSignature},
		"key with a tail":  {func(b *rawBlob) { b.PublicKey = append(bytes.Clone(wire), 0) }, release.MalformedSignature},
		"no key":           {func(b *rawBlob) { b.PublicKey = nil }, release.MalformedSignature},
		"signature cut":    {func(b *rawBlob) { b.Signature = b.Signature[:10] }, release.MalformedSignature},
		"signature tail":   {func(b *rawBlob) { b.Signature = append(bytes.Clone(b.Signature), 0) }, release.MalformedSignature},
		"no signature":     {func(b *rawBlob) { b.Signature = nil }, release.MalformedSignature},
		"other algorithm":  {func(b *rawBlob) { b.Signature = ssh.Marshal(ssh.Signature{Format: "none"}) }, release.WeakOrUnknownAlgorithm},
		"certificate":      {func(b *rawBlob) { b.PublicKey = cert.Marshal() }, release.WeakOrUnknownAlgorithm},
		"p521":             {func(b *rawBlob) { *b = testBlob(p521.PublicKey().Marshal(), ssh.Marshal(*p521sig)) }, release.WeakOrUnknownAlgorithm},
		"rsa 2048":         {func(b *rawBlob) { *b = withRSA("rsa2048", "rsa-sha2-512", crypto.SHA512, sha512sum[:]) }, release.WeakOrUnknownAlgorithm},
		"rsa with sha1":    {func(b *rawBlob) { *b = withRSA("rsa3072", "ssh-rsa", crypto.SHA1, sha1sum[:]) }, release.WeakOrUnknownAlgorithm},
		"rsa sha2 (good)":  {func(b *rawBlob) { *b = withRSA("rsa3072", "rsa-sha2-512", crypto.SHA512, sha512sum[:]) }, ""},
		"dss":              {func(b *rawBlob) { b.PublicKey = ssh.Marshal(struct{ T string }{"ssh-dss"}) }, release.WeakOrUnknownAlgorithm},
		"ml-dsa":           {func(b *rawBlob) { b.PublicKey = ssh.Marshal(struct{ T string }{ssh.KeyAlgoMLDSA44}) }, release.WeakOrUnknownAlgorithm},
		"webauthn": {func(b *rawBlob) {
			b.Signature = ssh.Marshal(ssh.Signature{Format: "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"})
		}, release.WeakOrUnknownAlgorithm},
		"escape in algo":    {func(b *rawBlob) { b.HashAlgo = "\x1b[2J" }, release.WeakOrUnknownAlgorithm},
		"non-canonical rsa": {func(b *rawBlob) { b.PublicKey = paddedRSA(t) }, release.MalformedSignature},
	} {
		b := good
		c.damage(&b)
		_, err := ParseSSHSig(armour(ssh.Marshal(b)))
		if got := codeOf(err); got != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: error carries an escape sequence", name)
		}
	}
}

// paddedRSA writes an RSA key with a superfluous zero before the modulus: another
// wire form, and so another fingerprint, of the same key.
func paddedRSA(t *testing.T) []byte {
	pub := privateKey(t, "rsa3072").Public().(*rsa.PublicKey)
	n := append([]byte{0, 0}, pub.N.Bytes()...)
	return ssh.Marshal(struct {
		Type string
		E, N []byte
	}{"ssh-rsa", []byte{1, 0, 1}, n})
}

// keygen runs ssh-keygen, the reference.
func keygen(t *testing.T, stdin []byte, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return out, err
}

// TestAgainstSSHKeygen signs with one and verifies with the other, both ways, and
// compares what both make of damaged signatures.
func TestAgainstSSHKeygen(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Fatal("ssh-keygen is needed: it is the reference (Debian: apt-get install openssh-client)")
	}
	message := []byte("{\"a\":1}\n")
	for _, kind := range goodKinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			block, err := ssh.MarshalPrivateKey(privateKey(t, kind), "")
			if err != nil {
				t.Fatal(err)
			}
			private, allowed := filepath.Join(dir, "key"), filepath.Join(dir, "allowed")
			write(t, private, pem.EncodeToMemory(block))
			write(t, private+".pub", []byte(pubLine(t, kind)+"\n"))
			write(t, allowed, []byte("ann@example.com "+pubLine(t, kind)+"\n"))
			reference := func(sig []byte) bool {
				file := filepath.Join(dir, "sig")
				write(t, file, sig)
				_, err := keygen(t, message, "-Y", "verify", "-f", allowed, "-I", "ann@example.com", "-n", NamespaceApproval, "-s", file)
				return err == nil
			}
			ours := func(data []byte) error {
				sig, err := ParseSSHSig(data)
				if err == nil {
					err = sig.Verify(message, NamespaceApproval, sshSigner(t, kind).PublicKey())
				}
				return err
			}

			theirs, err := keygen(t, message, "-q", "-Y", "sign", "-f", private, "-n", NamespaceApproval)
			if err != nil {
				t.Fatalf("ssh-keygen -Y sign: %v\n%s", err, theirs)
			}
			// CombinedOutput may hold its chatter in front.
			theirs = theirs[bytes.Index(theirs, []byte(sshsigBegin)):]
			if err := ours(theirs); err != nil {
				t.Errorf("signed by ssh-keygen: %v\n%s", err, theirs)
			}
			if mine := sign(t, kind, NamespaceApproval, message); !reference(mine) {
				t.Errorf("ssh-keygen refuses our signature\n%s", mine)
			} else if kind == "ed25519" && !bytes.Equal(mine, theirs) {
				t.Errorf("a deterministic signature differs from ssh-keygen's\n%s\n%s", mine, theirs)
			}
			// What we accept, ssh-keygen accepts: every byte of the blob, damaged.
			block2, _ := pem.Decode(theirs)
			for i := 0; i < len(block2.Bytes); i += 7 {
				blob := bytes.Clone(block2.Bytes)
				blob[i] ^= 0x41
				if ours(armour(blob)) == nil && !reference(armour(blob)) {
					t.Errorf("byte %d damaged: accepted here, not by ssh-keygen", i)
				}
			}
			// The namespace is part of what is signed, for both.
			if reference(sign(t, kind, "git", message)) || ours(sign(t, kind, "git", message)) == nil {
				t.Error("namespace git passes as an approval")
			}
		})
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseSSHSig(f *testing.F) {
	for _, kind := range []string{"ed25519", "p256"} {
		f.Add(sign(f, kind, NamespaceApproval, []byte("m")))
	}
	f.Add([]byte(sshsigBegin + "\nAAAA\n" + sshsigEnd + "\n"))
	for _, name := range []string{"rsa", "ed25519_sk", "ecdsa_sk", "ecdsa_sk_webauthn"} {
		f.Add(vector(f, name+".sig"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sig, err := ParseSSHSig(data)
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		block, rest := pem.Decode(data)
		if block == nil || len(bytes.TrimSpace(rest)) > 0 {
			t.Fatalf("accepted what is not one PEM block: %q", data)
		}
		_ = sig.Verify([]byte("m"), sig.Namespace, sig.Key)
	})
}

func FuzzParseSSHSigBlob(f *testing.F) {
	for _, kind := range []string{"ed25519", "p256"} {
		block, _ := pem.Decode(sign(f, kind, NamespaceApproval, []byte("m")))
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		sig, err := parseSSHSigBlob(blob)
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		again := append([]byte(sshsigMagic), ssh.Marshal(sshsigBlob{1, sig.Key.Marshal(), sig.Namespace, nil, sig.Hash, ssh.Marshal(sig.signature)})...)
		if !bytes.Equal(again, blob) {
			t.Fatalf("two blobs for one signature:\n%s\n%s", base64.StdEncoding.EncodeToString(blob), base64.StdEncoding.EncodeToString(again))
		}
		_ = sig.Verify([]byte("m"), sig.Namespace, sig.Key)
	})
}
