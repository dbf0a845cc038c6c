package trust

// Envelope is one signed in-toto envelope, whichever of the three forms it came in: a
// bare DSSE envelope, a Sigstore bundle v0.3, or cosign's legacy bundle (a bare
// envelope in base64). Nothing in it is verified until VerifyEnvelope says so.
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
