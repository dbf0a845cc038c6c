package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// The DSSE specification's only vector (secure-systems-lab/dsse protocol.md, "Test
// Vectors"): PAE, and an ECDSA signature that stands there as r‖s.
func TestDSSEVector(t *testing.T) {
	const payloadType, payload = "http://example.com/HelloWorld", "hello world"
	if got, want := string(PAE(payloadType, []byte(payload))), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Fatalf("PAE %q", got)
	}
	number := func(s string) *big.Int {
		n, _ := new(big.Int).SetString(s, 10)
		return n
	}
	key := publicPoint(t, number("46950820868899156662930047687818585632848591499744589407958293238635476079160"), number("5640078356564379163099075877009565129882514886557779369047442380624545832820"))
	raw, err := base64.StdEncoding.DecodeString("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
	if err != nil {
		t.Fatal(err)
	}
	e := Envelope{PayloadType: payloadType, Payload: []byte(payload), Signatures: []EnvelopeSignature{{Sig: raw}}}
	if code, detail := faultOf(e.Verify(key), ""); code != release.WeakOrUnknownAlgorithm || !strings.Contains(detail, "r‖s") {
		t.Errorf("r‖s: %s %s", code, detail)
	}
	der, _ := rawToASN1(key, raw)
	e.Signatures[0].Sig = der
	if err := e.Verify(key); err != nil {
		t.Errorf("as ASN.1: %v", err)
	}
}

// publicPoint is a P-256 key from its coordinates.
func publicPoint(t *testing.T, x, y *big.Int) *ecdsa.PublicKey {
	t.Helper()
	point := make([]byte, 65)
	point[0] = 4
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	key, err := ecdsa.ParseUncompressedPublicKey(privateKey(t, "p256").Public().(*ecdsa.PublicKey).Curve, point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sealed is a statement signed by a key, in one of the three forms.
func sealed(t testing.TB, form, key string, payload []byte) []byte {
	t.Helper()
	bundle, err := SignEnvelope(privateKey(t, key), payload)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEnvelope(bundle)
	if err != nil {
		t.Fatal(err)
	}
	dsse := fmt.Sprintf(`{"payloadType":"%s","payload":"%s","signatures":[{"keyid":"","sig":"%s"}]}`, e.PayloadType,
		base64.StdEncoding.EncodeToString(e.Payload), base64.StdEncoding.EncodeToString(e.Signatures[0].Sig))
	switch form {
	case "dsse":
		return []byte(dsse)
	case "legacy":
		return fmt.Appendf(nil, `{"base64Signature":"%s"}`, base64.StdEncoding.EncodeToString([]byte(dsse)))
	}
	return bundle
}

func TestEnvelopeForms(t *testing.T) {
	for _, form := range []string{"bundle", "dsse", "legacy"} {
		for _, name := range []string{"p256", "p384", "ed25519"} {
			e, err := ParseEnvelope(sealed(t, form, name, []byte(`{"a":1}`)))
			if err != nil {
				t.Fatalf("%s %s: %v", form, name, err)
			}
			if e.Form != form || string(e.Payload) != `{"a":1}` {
				t.Errorf("%s %s: %+v", form, name, e)
			}
			if err := e.Verify(privateKey(t, name).Public()); err != nil {
				t.Errorf("%s %s: %v", form, name, err)
			}
			if err := e.Verify(privateKey(t, name+"/other").Public()); err == nil {
				t.Errorf("%s %s: verifies with another key", form, name)
			}
			e.Payload = []byte(`{"a":2}`)
			if err := e.Verify(privateKey(t, name).Public()); err == nil {
				t.Errorf("%s %s: another payload verifies", form, name)
			}
		}
	}
}

func TestEnvelopeRefusals(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	good := string(sealed(t, "dsse", "p256", []byte(`{}`)))
	bundle := string(sealed(t, "bundle", "p256", []byte(`{}`)))
	sig := good[strings.Index(good, `"sig":"`)+7 : strings.LastIndex(good, `"}`)]
	swap := func(in, old, new string) string {
		if !strings.Contains(in, old) {
			t.Fatalf("no %q in %s", old, in)
		}
		return strings.Replace(in, old, new, 1)
	}
	for name, c := range map[string]struct {
		text string
		want release.Code
	}{
		"empty":                  {"", release.AttestationMalformed},
		"a list":                 {"[]", release.AttestationMalformed},
		"something else":         {`{"a":1}`, release.AttestationMalformed},
		"byte order mark":        {"\ufeff" + good, release.AttestationMalformed},
		"text after":             {good + "x", release.AttestationMalformed},
		"duplicate member":       {swap(good, `{"payloadType"`, `{"payloadType":"x","payloadType"`), release.AttestationMalformed},
		"unknown member":         {swap(good, `{"payloadType"`, `{"x":1,"payloadType"`), release.AttestationMalformed},
		"payload type":           {swap(good, "application/vnd.in-toto+json", "application/json"), release.AttestationPayloadType},
		"payload type, a blank":  {swap(good, "in-toto+json", "in-toto+json "), release.AttestationPayloadType},
		"no signatures":          {swap(good, good[strings.Index(good, `[`):strings.Index(good, `]`)+1], "[]"), release.AttestationUnsigned},
		"signature without sig":  {swap(good, `"sig"`, `"keyid2"`), release.AttestationMalformed},
		"bare statement":         {`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}`, release.AttestationUnsigned},
		"base64 url":             {swap(good, `"payload":"e30="`, `"payload":"_-8="`), release.AttestationMalformed},
		"base64 unpadded":        {swap(good, `"payload":"e30="`, `"payload":"e30"`), release.AttestationMalformed},
		"base64 with line break": {swap(good, `"payload":"e30="`, `"payload":"e3\n0="`), release.AttestationMalformed},
		"base64 loose bits":      {swap(good, `"payload":"e30="`, `"payload":"e31="`), release.AttestationMalformed},
		"media type":             {swap(bundle, "v0.3+json", "v0.2+json"), release.AttestationMalformed},
		"certificate":            {swap(bundle, `"publicKey":{`, `"certificate":{"rawBytes":""},"publicKey":{`), release.WeakOrUnknownAlgorithm},
		"message signature":      {`{"mediaType":"` + bundleMediaType + `","verificationMaterial":{"publicKey":{}},"messageSignature":{}}`, release.AttestationPayloadType},
		"no material":            {swap(bundle, `"verificationMaterial"`, `"verificationMaterials"`), release.AttestationMalformed},
		"legacy with a cert":     {`{"base64Signature":"` + b64([]byte(good)) + `","cert":"x"}`, release.WeakOrUnknownAlgorithm},
		"key id is a number":     {swap(good, `"keyid":""`, `"keyid":1`), release.AttestationMalformed},
		"key id by case":         {swap(good, `"keyid"`, `"keyID"`), release.AttestationMalformed},
		"payload type, a number": {swap(good, `"application/vnd.in-toto+json"`, `1`), release.AttestationMalformed},
		"payload is null":        {swap(good, `"payload":"e30="`, `"payload":null`), release.AttestationMalformed},
		"hint is a number":       {swap(bundle, `"hint":"`, `"hint":1,"x":"`), release.AttestationMalformed},
		"log is an object":       {swap(bundle, `"publicKey":{`, `"tlogEntries":{},"publicKey":{`), release.AttestationMalformed},
		"log of numbers":         {swap(bundle, `"publicKey":{`, `"tlogEntries":[1],"publicKey":{`), release.AttestationMalformed},
		"timestamps are a list":  {swap(bundle, `"publicKey":{`, `"timestampVerificationData":[],"publicKey":{`), release.AttestationMalformed},
		"chain of certificates":  {swap(bundle, `"publicKey":{`, `"x509CertificateChain":{},"publicKey":{`), release.WeakOrUnknownAlgorithm},
		"two envelopes":          {swap(bundle, `"dsseEnvelope"`, `"dsseEnvelope":{},"dsseEnvelop\u0065"`), release.AttestationMalformed},
		"bundle signed twice":    {swap(bundle, `"signatures":[`, `"signatures":[{"sig":"AAAA"},`), release.AttestationMalformed},
		"legacy of garbage":      {`{"base64Signature":"` + b64([]byte("x")) + `"}`, release.AttestationMalformed},
		"deep":                   {strings.Repeat(`{"a":`, 100000), release.AttestationMalformed},
		"long":                   {`{"payload":"` + strings.Repeat("A", MaxAttestation) + `"}`, release.AttestationTooLarge},
		"many signatures":        {swap(good, `]}`, strings.Repeat(`,{"sig":"`+sig+`"}`, 16)+`]}`), release.AttestationMalformed},
	} {
		_, err := ParseEnvelope([]byte(c.text))
		var e *EnvelopeError
		if !errors.As(err, &e) || e.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestEnvelopeAlgorithms: what a key signed in a form that teal does not count says so
// (attacks 33 and 34).
func TestEnvelopeAlgorithms(t *testing.T) {
	payload := []byte(`{"a":1}`)
	message := PAE(PayloadTypeInToto, payload)
	p256 := privateKey(t, "p256").(*ecdsa.PrivateKey)
	sum := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, p256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	bare := sha256.Sum256(payload)
	overPayload, err := p256.Sign(rand.Reader, bare[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	ed := privateKey(t, "ed25519")
	long := sha512.Sum512(message)
	ph, err := ed.Sign(nil, long[:], &ed25519.Options{Hash: crypto.SHA512})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  crypto.PublicKey
		sig  []byte
		want release.Code
		says string
	}{
		"der":               {p256.Public(), der, "", ""},
		"r‖s":               {p256.Public(), raw, release.WeakOrUnknownAlgorithm, "ASN.1"},
		"bytes after":       {p256.Public(), append(bytes.Clone(der), 0), release.AttestationUntrusted, ""},
		"over the payload":  {p256.Public(), overPayload, release.AttestationUntrusted, "bare payload"},
		"Ed25519ph":         {ed.Public(), ph, release.WeakOrUnknownAlgorithm, "Ed25519ph"},
		"RSA":               {privateKey(t, "rsa3072").Public(), der, release.WeakOrUnknownAlgorithm, "another type"},
		"P-521":             {privateKey(t, "p521").Public(), der, release.WeakOrUnknownAlgorithm, "another curve"},
		"nothing":           {p256.Public(), nil, release.AttestationUntrusted, ""},
		"Ed25519, too long": {ed.Public(), append(bytes.Clone(ph), 0), release.AttestationUntrusted, ""},
	} {
		err := Envelope{PayloadType: PayloadTypeInToto, Payload: payload, Signatures: []EnvelopeSignature{{Sig: c.sig}}}.Verify(c.key)
		code, detail := release.Code(""), ""
		if err != nil {
			code, detail = faultOf(err, "")
		}
		if code != c.want || !strings.Contains(detail, c.says) {
			t.Errorf("%s: %s %s, want %s %s", name, code, detail, c.want, c.says)
		}
	}
}

// TestHintNeverAuthorises: a hint that names a trusted key beside a signature of
// another one (attack 29).
func TestHintNeverAuthorises(t *testing.T) {
	trusted, other := privateKey(t, "p256"), privateKey(t, "p256/other")
	text, err := SignEnvelope(other, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	lied := bytes.Replace(text, []byte(KeyHint(other.Public())), []byte(KeyHint(trusted.Public())), 1)
	e, err := ParseEnvelope(lied)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signerOf(e, []Key{{ID: "ci-1", Public: trusted.Public()}}); err == nil {
		t.Error("the hint authorised")
	}
	// And a wrong hint hides nothing: the key is found all the same.
	if k, err := signerOf(e, []Key{{ID: "ci-1", Public: trusted.Public()}, {ID: "ci-2", Public: other.Public()}}); err != nil || k.ID != "ci-2" {
		t.Errorf("%+v %v", k, err)
	}
}

func TestParsePublicPEM(t *testing.T) {
	text := func(name string) string {
		der, err := x509.MarshalPKIXPublicKey(privateKey(t, name).Public())
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	for _, name := range []string{"p256", "p384", "ed25519"} {
		if key, err := ParsePublicPEM([]byte(text(name))); err != nil || KeyHint(key) != KeyHint(privateKey(t, name).Public()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{"RSA": text("rsa3072"), "text before": "ours:\n" + text("p256"), "text after": text("p256") + "x",
		"a header": strings.Replace(text("p256"), "KEY-----\n", "KEY-----\nA: b\n\n", 1), "a certificate": strings.ReplaceAll(text("p256"), "PUBLIC KEY", "CERTIFICATE"), "P-521": text("p521"), "two": text("p256") + text("p384"), "none": "x",
		"private": strings.ReplaceAll(text("p256"), "PUBLIC", "PRIVATE"), "cut": strings.Replace(text("p256"), "MFkw", "MFkx", 1)} {
		if _, err := ParsePublicPEM([]byte(bad)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestEnvelopeIgnoresLogs: what a bundle says of a transparency log and of time stamps is
// no reason to refuse, and none to accept.
func TestEnvelopeIgnoresLogs(t *testing.T) {
	text := string(sealed(t, "bundle", "p256", []byte(`{}`)))
	with := strings.Replace(text, `"publicKey":{`, `"tlogEntries":[{"logIndex":"1","inclusionProof":{"hashes":[]}}],"timestampVerificationData":{"rfc3161Timestamps":[]},"publicKey":{`, 1)
	e, err := ParseEnvelope([]byte(with))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(privateKey(t, "p256").Public()); err != nil {
		t.Error(err)
	}
	if err := e.Verify(privateKey(t, "p256/other").Public()); err == nil {
		t.Error("a logged signature counts for another key")
	}
}

// TestLargeEnvelope: the largest attestation is read in a few copies of itself, whatever
// is in it (attack 50).
func TestLargeEnvelope(t *testing.T) {
	payload := stated("urn:x", `{"a":[`+strings.Repeat(`{"b":"\u00e9","c":[1,2]},`, 400_000)+`1]}`)
	text := sealed(t, "bundle", "p256", payload)
	if len(text) < MaxAttestation*3/4 || len(text) > MaxAttestation {
		t.Fatalf("%d bytes, want near the bound of %d", len(text), MaxAttestation)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := ParseEnvelope(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(privateKey(t, "p256").Public()); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseInToto(e.Payload); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*MaxAttestation {
		t.Errorf("%d bytes allocated for an envelope of %d", got, len(text))
	}
}

func FuzzEnvelope(f *testing.F) {
	key := privateKey(f, "p256")
	for _, form := range []string{"bundle", "dsse", "legacy"} {
		f.Add(sealed(f, form, "p256", []byte(`{"a":1}`)))
	}
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}`))
	signed := []byte(`{"a":1}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEnvelope(data)
		if err != nil {
			if code, detail := faultOf(err, ""); code == "" || detail != Escape(detail) && strings.ContainsAny(detail, "\x1b\n") {
				t.Fatalf("error without code or with control characters: %v", err)
			}
			return
		}
		if e.PayloadType != PayloadTypeInToto || len(e.Signatures) == 0 {
			t.Fatalf("accepted %+v", e)
		}
		// Nobody but the key makes a signature: what verifies is what was signed.
		if e.Verify(key.Public()) == nil && !bytes.Equal(e.Payload, signed) {
			t.Fatalf("another payload verifies: %q", e.Payload)
		}
	})
}
