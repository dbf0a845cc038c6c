package trust

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Envelope is one signed in-toto envelope, whichever of the three forms it came in: a
// bare DSSE envelope, a Sigstore bundle v0.3, or cosign's legacy bundle (a bare
// envelope in base64). Nothing in it is verified until Verify says so.
// Source: DSSE v1.0 (secure-systems-lab/dsse protocol.md), sigstore's
// protobuf-specs bundle v0.3.
type Envelope struct {
	Form        string // "dsse", "bundle" or "legacy"
	PayloadType string
	Payload     []byte // decoded
	Signatures  []EnvelopeSignature
}

// EnvelopeSignature is one signature of an envelope. Hint selects keys to try and
// never authorises.
type EnvelopeSignature struct {
	Hint string // keyid, or the bundle's publicKey.hint
	Sig  []byte // decoded
}

// PayloadTypeInToto is the only payload type that teal reads.
const PayloadTypeInToto = "application/vnd.in-toto+json"

const (
	// MaxAttestation bounds one envelope, in bytes.
	MaxAttestation = 16 << 20
	// maxEnvelopeDepth bounds the nesting of an envelope: a bundle with log entries.
	maxEnvelopeDepth      = 16
	maxEnvelopeSignatures = 16
	bundleMediaType       = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// EnvelopeError says why a file is no envelope, or an envelope that teal does not read.
// Code is attestation_malformed, attestation_unsigned, attestation_payload_type,
// attestation_too_large or weak_or_unknown_algorithm.
type EnvelopeError struct {
	Code   release.Code
	Detail string // safe to print
}

func (e *EnvelopeError) Error() string { return string(e.Code) + ": " + e.Detail }

func envelopeFault(code release.Code, format string, args ...any) error {
	return &EnvelopeError{code, fmt.Sprintf(format, args...)}
}

// ParseEnvelope reads an envelope in any of its forms, strictly: one JSON object without
// duplicate or unknown members, standard base64 with padding and without line breaks, at
// most 16 MiB. Errors are *EnvelopeError.
func ParseEnvelope(data []byte) (Envelope, error) {
	if len(data) > MaxAttestation {
		return Envelope{}, envelopeFault(release.AttestationTooLarge, "longer than %d bytes", MaxAttestation)
	}
	if err := checkJSON(data, maxEnvelopeDepth); err != nil {
		return Envelope{}, envelopeFault(release.AttestationMalformed, "%s", Escape(err.Error()))
	}
	r := envelopeReader{cursor: cursor{data: data}}
	e := r.top()
	switch {
	case r.err != nil:
		return Envelope{}, r.err
	case len(e.Signatures) == 0:
		return Envelope{}, envelopeFault(release.AttestationUnsigned, "the envelope has no signature")
	case e.PayloadType != PayloadTypeInToto:
		return Envelope{}, envelopeFault(release.AttestationPayloadType, "payload type \"%s\", want %s", Escape(e.PayloadType), PayloadTypeInToto)
	}
	return e, nil
}

// envelopeReader reads a text that passed checkJSON and keeps the first error.
type envelopeReader struct {
	cursor
	err error
}

func (r *envelopeReader) fail(code release.Code, format string, args ...any) {
	if r.err == nil {
		r.err = envelopeFault(code, format, args...)
	}
}

func (r *envelopeReader) unknown(where, name string) {
	r.skip()
	r.fail(release.AttestationMalformed, "%s: unknown member \"%s\"", where, Escape(name))
}

// top tells the forms apart by their members.
func (r *envelopeReader) top() (e Envelope) {
	var names []string
	c := r.cursor
	isObject := c.object(func(name string) { names = append(names, name); c.skip() })
	has := func(name string) bool {
		for _, n := range names {
			if n == name {
				return true
			}
		}
		return false
	}
	switch {
	case !isObject:
		r.fail(release.AttestationMalformed, "not a JSON object")
	case has("dsseEnvelope") || has("mediaType"):
		return r.bundle()
	case has("base64Signature"):
		return r.legacy()
	case has("payload") || has("payloadType") || has("signatures"):
		e = r.dsse("the envelope")
		e.Form = "dsse"
	case has("_type") && has("subject"):
		r.fail(release.AttestationUnsigned, "a bare statement without envelope: nobody signed it")
	default:
		r.fail(release.AttestationMalformed, "neither a DSSE envelope nor a Sigstore bundle")
	}
	return e
}

func (r *envelopeReader) dsse(where string) (e Envelope) {
	seen := map[string]bool{}
	isObject := r.object(func(name string) {
		seen[name] = true
		switch name {
		case "payload":
			e.Payload = r.base64(where + ".payload")
		case "payloadType":
			e.PayloadType = r.name(where + ".payloadType")
		case "signatures":
			if !r.array(func() { e.Signatures = append(e.Signatures, r.signature(where+".signatures")) }) {
				r.fail(release.AttestationMalformed, "%s.signatures: want an array", where)
			}
		default:
			r.unknown(where, name)
		}
	})
	for _, name := range []string{"payload", "payloadType", "signatures"} {
		if !isObject || !seen[name] {
			r.fail(release.AttestationMalformed, "%s: member %s is missing", where, name)
		}
	}
	if len(e.Signatures) > maxEnvelopeSignatures {
		r.fail(release.AttestationMalformed, "%s: %d signatures, at most %d", where, len(e.Signatures), maxEnvelopeSignatures)
	}
	return e
}

func (r *envelopeReader) signature(where string) (s EnvelopeSignature) {
	if !r.object(func(name string) {
		switch name {
		case "sig":
			s.Sig = r.base64(where + ".sig")
		case "keyid":
			s.Hint = r.name(where + ".keyid")
		default:
			r.unknown(where, name)
		}
	}) || len(s.Sig) == 0 {
		r.fail(release.AttestationMalformed, "%s: an entry without sig", where)
	}
	return s
}

// bundle reads a Sigstore bundle that was made with a key. Certificates are not read:
// their trust needs roots that an offline host cannot refresh.
func (r *envelopeReader) bundle() (e Envelope) {
	media, hint, seen := "", "", false
	r.object(func(name string) {
		switch name {
		case "mediaType":
			media = r.name("mediaType")
		case "verificationMaterial":
			hint = r.material()
		case "dsseEnvelope":
			e, seen = r.dsse("dsseEnvelope"), true
		case "messageSignature":
			r.skip()
			r.fail(release.AttestationPayloadType, "the bundle signs a message, not a statement")
		default:
			r.unknown("the bundle", name)
		}
	})
	switch {
	case media != bundleMediaType:
		r.fail(release.AttestationMalformed, "mediaType \"%s\", want %s", Escape(media), bundleMediaType)
	case !seen:
		r.fail(release.AttestationMalformed, "the bundle has no dsseEnvelope")
	case len(e.Signatures) > 1: // as the bundle's specification says, and its hint is of one key
		r.fail(release.AttestationMalformed, "%d signatures in a bundle, want one", len(e.Signatures))
	}
	e.Form = "bundle"
	for i := range e.Signatures {
		if e.Signatures[i].Hint == "" {
			e.Signatures[i].Hint = hint
		}
	}
	return e
}

func (r *envelopeReader) material() (hint string) {
	keyed := false
	if !r.object(func(name string) {
		switch name {
		case "publicKey":
			keyed = r.object(func(name string) {
				if name == "hint" {
					hint = r.name("verificationMaterial.publicKey.hint")
				} else {
					r.unknown("verificationMaterial.publicKey", name)
				}
			})
		case "tlogEntries": // well-formed; not asked for
			if !r.array(func() { r.anObject("verificationMaterial.tlogEntries") }) {
				r.fail(release.AttestationMalformed, "verificationMaterial.tlogEntries: want an array")
			}
		case "timestampVerificationData": // likewise
			r.anObject("verificationMaterial." + name)
		case "certificate", "x509CertificateChain":
			r.skip()
			r.fail(release.WeakOrUnknownAlgorithm, "unsupported: signed with a certificate; sign with a key of the policy")
		default:
			r.unknown("verificationMaterial", name)
		}
	}) || !keyed {
		r.fail(release.AttestationMalformed, "verificationMaterial: want a publicKey")
	}
	return hint
}

// legacy reads cosign's old bundle: the envelope in base64.
func (r *envelopeReader) legacy() (e Envelope) {
	var inner []byte
	r.object(func(name string) {
		switch name {
		case "base64Signature":
			inner = r.base64("base64Signature")
		case "cert", "rekorBundle":
			// A key's bundle has neither; a log entry is not asked for.
			if raw := string(r.raw()); raw != `""` && raw != "null" && name == "cert" {
				r.fail(release.WeakOrUnknownAlgorithm, "unsupported: signed with a certificate; sign with a key of the policy")
			}
		default:
			r.unknown("the bundle", name)
		}
	})
	if r.err != nil {
		return e
	}
	if err := checkJSON(inner, maxEnvelopeDepth); err != nil {
		r.fail(release.AttestationMalformed, "base64Signature: %s", Escape(err.Error()))
		return e
	}
	in := envelopeReader{cursor: cursor{data: inner}}
	e = in.dsse("base64Signature")
	r.err = in.err
	e.Form = "legacy"
	return e
}

// name is a string that may be empty.
func (r *envelopeReader) name(where string) string {
	text, isText := r.text()
	if !isText {
		r.fail(release.AttestationMalformed, "%s: want a string", where)
	}
	return text
}

// anObject passes over an object.
func (r *envelopeReader) anObject(where string) {
	if !r.object(func(string) { r.skip() }) {
		r.fail(release.AttestationMalformed, "%s: want an object", where)
	}
}

func (r *envelopeReader) base64(where string) []byte {
	text, isText := r.text()
	if !isText || strings.ContainsAny(text, "\r\n") {
		r.fail(release.AttestationMalformed, "%s: want standard base64 without line breaks", where)
		return nil
	}
	out, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		r.fail(release.AttestationMalformed, "%s: want standard base64 with padding: %v", where, err)
	}
	return out
}
