package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	image  = "registry.example.test/shop@sha256:" + digest
	report = `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian","Name":"12.5"},"Size":12345678901234567890},"Results":[]}`
)

func scanStatement(t *testing.T) []byte {
	t.Helper()
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	out, _, err := trust.Scan{Scanner: trust.Trivy, Version: "0.70.0", DBUpdatedAt: at, StartedOn: at, FinishedOn: at,
		Target: trust.ScanTarget{Image: image, Platform: "linux/amd64"}, Format: "trivy-json", Report: []byte(report)}.Statement(image)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// codeOf is the reason in an error of package trust.
func codeOf(err error) release.Code {
	var envelope *trust.EnvelopeError
	var signature *trust.SignatureError
	switch {
	case errors.As(err, &envelope):
		return envelope.Code
	case errors.As(err, &signature):
		return signature.Code
	}
	return ""
}

// accepts reports whether teal takes data as a scan of the image that key signed.
func accepts(data []byte, key crypto.PublicKey) error {
	e, err := trust.ParseEnvelope(data)
	if err != nil {
		return err
	}
	if err := e.Verify(key); err != nil {
		return err
	}
	s, err := trust.ParseInToto(e.Payload)
	if err != nil {
		return err
	}
	if !s.About(digest) {
		return errors.New("about something else")
	}
	_, err = trust.ParseScan(s)
	return err
}

// TestCosignSigns: teal takes what `cosign attest-blob --statement` writes, new form and
// old ones, with the statement's bytes as they were.
func TestCosignSigns(t *testing.T) {
	c := reference(t)
	statement := scanStatement(t)
	c.write("statement.json", statement)
	c.must("generate-key-pair", "--output-key-prefix", "ci")
	key, err := trust.ParsePublicPEM(c.file("ci.pub"))
	if err != nil {
		t.Fatal(err)
	}
	c.must("attest-blob", "--key", "ci.key", "--statement", "statement.json", "--signing-config", "no-services.json", "--bundle", "new.json", "--yes")
	c.must("attest-blob", "--key", "ci.key", "--statement", "statement.json", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false",
		"--output-signature", "dsse.json", "--output-attestation", "bare.json", "--bundle", "legacy.json", "--yes")
	for file, form := range map[string]string{"new.json": "bundle", "dsse.json": "dsse", "legacy.json": "legacy"} {
		data := c.file(file)
		if err := accepts(data, key); err != nil {
			t.Errorf("%s: %v\n%s", file, err, data)
			continue
		}
		e, err := trust.ParseEnvelope(data)
		if err != nil {
			t.Fatal(err)
		}
		if e.Form != form || !bytes.Equal(e.Payload, statement) {
			t.Errorf("%s: form %s, payload\n%s", file, e.Form, e.Payload)
		}
		if hint := e.Signatures[0].Hint; form == "bundle" && hint != trust.KeyHint(key) {
			t.Errorf("%s: hint %s, want %s", file, hint, trust.KeyHint(key))
		}
	}
	if err := accepts(c.file("bare.json"), key); codeOf(err) != release.AttestationUnsigned {
		t.Errorf("a bare statement: %v", err)
	}

	// cosign signs with Ed25519 keys in a form that nobody but itself reads.
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.key("ed", private)
	c.must("attest-blob", "--key", "ed.key", "--statement", "statement.json", "--signing-config", "no-services.json", "--bundle", "ed.json", "--yes")
	if err := accepts(c.file("ed.json"), private.Public()); codeOf(err) != release.WeakOrUnknownAlgorithm || !strings.Contains(err.Error(), "Ed25519ph") {
		t.Errorf("cosign's Ed25519: %v", err)
	}
}

// TestCosignVerifies: cosign takes teal's bundles, and whatever teal takes of a damaged
// one. What cosign takes and teal does not is teal being stricter, and is counted.
func TestCosignVerifies(t *testing.T) {
	c := reference(t)
	statement := scanStatement(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"p256": p256, "ed25519": edwards} {
		c.key(name, key)
		bundle, err := trust.SignEnvelope(key, statement)
		if err != nil {
			t.Fatal(err)
		}
		if out, ok := c.verifies(bundle, name, trust.PredicateTypeScan, digest); !ok {
			t.Errorf("%s: cosign refuses teal's bundle:\n%s", name, out)
		}
		if _, ok := c.verifies(bundle, name, trust.PredicateTypeScan, strings.Repeat("0", 64)); ok {
			t.Errorf("%s: cosign takes it for another digest: the reference is not asked what it should be", name)
		}
	}

	bundle, err := trust.SignEnvelope(p256, statement)
	if err != nil {
		t.Fatal(err)
	}
	teal, stricter := 0, 0
	for name, data := range damaged(t, bundle) {
		err := accepts(data, p256.Public())
		out, ok := c.verifies(data, "p256", trust.PredicateTypeScan, digest)
		switch {
		case err == nil && !ok && name == "key id":
			// cosign skips a signature whose key id is not its own name of the key. To teal it
			// is a hint, as DSSE says: it neither authorises nor hides a key.
		case err == nil && !ok:
			t.Errorf("%s: teal takes it, cosign does not:\n%s\n%s", name, out, data)
		case err == nil:
			teal++
		case ok:
			stricter++
			t.Logf("%s: only teal refuses: %v", name, err)
		}
	}
	t.Logf("%d taken by both, %d refused by teal alone", teal, stricter)
	if teal < 5 || stricter < 3 {
		t.Errorf("%d taken by both, %d by cosign alone: the set says nothing", teal, stricter)
	}
}

// damaged is a bundle changed in many ways: some that mean the same, most that do not.
func damaged(t *testing.T, bundle []byte) map[string][]byte {
	t.Helper()
	text := strings.TrimSpace(string(bundle))
	set := map[string][]byte{}
	swap := func(name, old, new string) {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%s: no %q in %s", name, old, text)
		}
		set[name] = []byte(strings.Replace(text, old, new, 1))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(text), "", "\t"); err != nil {
		t.Fatal(err)
	}
	set["as it is"] = []byte(text)
	set["indented"] = indented.Bytes()
	set["line end"] = []byte(text + "\r\n")
	swap("wrong hint", `"hint":"`, `"hint":"x`)
	swap("empty hint", `"publicKey":{"hint":"`, `"publicKey":{"hint":"","x":"`)
	swap("no hint", text[strings.Index(text, `{"hint"`):strings.Index(text, `},"dsseEnvelope"`)], `{}`)
	swap("key id", `"sig":`, `"keyid":"somebody","sig":`)
	swap("key id is null", `"sig":`, `"keyid":null,"sig":`)
	swap("empty log", `"publicKey"`, `"tlogEntries":[],"publicKey"`)
	swap("escaped name", `"dsseEnvelope"`, `"dsse\u0045nvelope"`)
	swap("escaped slash", "application/vnd.in-toto", `application\/vnd.in-toto`)
	swap("escaped base64", `"payload":"e`, `"payload":"\u0065`)
	swap("unknown member", `{"mediaType"`, `{"x":1,"mediaType"`)
	swap("unknown member of the envelope", `"payload":`, `"x":1,"payload":`)
	swap("snake case", `"dsseEnvelope"`, `"dsse_envelope"`)
	swap("media type of old", "v0.3+json", "v0.2+json")
	swap("media type with version", "vnd.dev.sigstore.bundle.v0.3+json", "vnd.dev.sigstore.bundle+json;version=0.3")
	swap("payload type", "application/vnd.in-toto+json", "application/json")
	swap("payload twice", `"payload":`, `"payload":"e30=","payload":`)
	swap("another payload", `"payload":"`, `"payload":"AAAA`)
	swap("payload type in snake case", `"payloadType"`, `"payload_type"`)
	swap("no media type", text[1:strings.Index(text, `"verificationMaterial"`)], "")
	sig := text[strings.Index(text, `"sig":"`)+7 : strings.LastIndex(text, `"}]`)]
	swap("signature twice", `{"sig":"`+sig+`"}`, `{"sig":"`+sig+`"},{"sig":"`+sig+`"}`)
	swap("a bad one after the good", `{"sig":"`+sig+`"}`, `{"sig":"`+sig+`"},{"sig":"AAAA"}`)
	swap("a bad one before the good", `{"sig":"`+sig+`"}`, `{"sig":"AAAA"},{"sig":"`+sig+`"}`)
	swap("unpadded", sig, strings.TrimRight(sig, "="))
	swap("URL's alphabet", sig, strings.NewReplacer("+", "-", "/", "_").Replace(sig))
	swap("line break in base64", sig, sig[:10]+`\n`+sig[10:])
	swap("blank in base64", sig, sig[:10]+` `+sig[10:])
	set["text after"] = []byte(text + "{}")
	set["byte order mark"] = []byte("\ufeff" + text)
	// One changed byte, all over the file.
	for i := 7; i < len(text); i += len(text) / 40 {
		changed := []byte(text)
		changed[i] ^= 1
		set[fmt.Sprintf("byte %d", i)] = changed
	}
	return set
}
