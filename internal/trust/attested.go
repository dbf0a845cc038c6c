package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Attestation is one file of attestations, read against the keys of one policy: either
// what a trusted key says, or why nothing is believed of it. It holds no bytes of the
// file, so that it can be kept as long as the release waits.
type Attestation struct {
	File AttestationFile // without Data
	// Key signed it. Zero when Problem is set.
	Key      Key
	Subjects []string // sha256 digests that it is about, hex
	// Problem says why it counts for nothing; nil when it is understood.
	Problem *Finding

	// One of these is set, as the predicate's type says.
	Scan       *Scan   // without its native report
	Report     *Report // of Scan
	Tests      *TestResult
	Provenance *Provenance
	Deployment *Deployment
	// VEX is a signed OpenVEX document, as JSON text.
	VEX []byte
}

// about reports whether it is about the image: its own digest, or that of its manifest
// for the host's platform.
func (a Attestation) about(image string, facts ImageFacts) bool {
	return slices.Contains(a.Subjects, image) || facts.Manifest != "" && slices.Contains(a.Subjects, facts.Manifest)
}

// Attest reads the files of the evidence with the keys of a policy and drops their
// bytes: signatures first, nothing unsigned is parsed. It is the slow part of judging a
// release (a report may have 20 MB), and depends on files and policy only, so callers
// keep its result. Evaluate calls it when nobody did.
func (e *Evidence) Attest(p *Policy) {
	e.Attested = nil
	if p == nil {
		return
	}
	services := p.ServiceKeys(e.App)
	people := p.PersonKeys()
	for _, f := range e.Attestations {
		e.Attested = append(e.Attested, attest(f, services, people))
	}
	e.Attestations = nil
}

// Needs is what the host's rules judge beyond approvals: callers gather only that.
type Needs struct {
	Attestations bool // of images
	Changes      bool // the commits that made the release
}

// Needs of the host's own environment.
func (p *Policy) Needs() Needs {
	rules := p.Rules()
	return Needs{Attestations: len(rules.Scans) > 0 || rules.RequireProvenance, Changes: rules.ExcludeCommitSigners}
}

// attest reads one file.
func attest(f AttestationFile, services, people []Key) Attestation {
	a := Attestation{File: f}
	data := f.Data
	a.File.Data = nil
	problem := func(code release.Code, detail string) Attestation {
		finding := found(code, Escape(f.Name)+": "+detail, "")
		return Attestation{File: a.File, Problem: &finding}
	}
	env, err := ParseEnvelope(data)
	if err != nil {
		return problem(faultOf(err, release.AttestationMalformed))
	}
	key, why := signerOf(env, services)
	if why != nil { // OpenVEX is signed by a person
		if key, why2 := signerOf(env, people); why2 == nil {
			return a.read(env, key, problem)
		}
		code, detail := faultOf(why, release.AttestationUntrusted)
		return problem(code, detail)
	}
	return a.read(env, key, problem)
}

// read takes the statement out of an envelope that key signed.
func (a Attestation) read(env Envelope, key Key, problem func(release.Code, string) Attestation) Attestation {
	st, err := ParseInToto(env.Payload)
	if err != nil {
		return problem(faultOf(err, release.AttestationMalformed))
	}
	a.Key = key
	for _, s := range st.Subjects {
		if s.SHA256 != "" {
			a.Subjects = append(a.Subjects, s.SHA256)
		}
	}
	if key.Person != "" { // people attest nothing but OpenVEX
		if !strings.HasPrefix(st.PredicateType, predicatePrefixOpenVEX) {
			return problem(release.AttestationUntrusted, fmt.Sprintf("signed by key %s of %s, who is no service of the policy", key.ID, key.Person))
		}
		a.VEX = slices.Clone(st.Predicate)
		return a
	}
	switch st.PredicateType {
	case PredicateTypeTestResult:
		a.Tests, err = parsed(ParseTestResult(st))
	case PredicateTypeProvenance:
		a.Provenance, err = parsed(ParseProvenance(st))
	case PredicateTypeDeployment:
		a.Deployment, err = parsed(ParseDeployment(st))
	default:
		err = a.readScan(st)
	}
	if err != nil {
		code, detail := faultOf(err, release.AttestationMalformed)
		p := problem(code, detail)
		// Whoever signed it vouches for what it is about, so its fault is laid at the right door.
		p.Key, p.Subjects, p.Scan = a.Key, a.Subjects, a.Scan
		return p
	}
	return a
}

func (a *Attestation) readScan(st InToto) error {
	scan, err := ParseScan(st)
	if err != nil {
		if scan.Scanner != "" && !scan.FinishedOn.IsZero() {
			a.Scan = &scan // it decides like any other of its time, and refuses
		}
		return err
	}
	a.Scan = &scan
	report := Report{Findings: scan.Findings}
	if scan.Format != "" {
		if report, err = readReport(scan.Scanner, scan.Format, scan.Report); err != nil {
			a.Scan.Report, a.Scan.Findings = nil, nil
			return err
		}
	}
	a.Scan.Report, a.Scan.Findings = nil, nil
	a.Report = &report
	return nil
}

func parsed[T any](v T, err error) (*T, error) { return &v, err }

// predicatePrefixOpenVEX begins every version of OpenVEX's predicate type.
const predicatePrefixOpenVEX = "https://openvex.dev/ns"

// signerOf finds the key that signed an envelope: hinted ones are tried first and count
// no more than others. The error is of the last try that says something particular.
func signerOf(env Envelope, keys []Key) (Key, error) {
	var particular error
	try := func(k Key) bool {
		if k.Public == nil {
			return false
		}
		err := env.Verify(k.Public)
		if err == nil {
			return true
		}
		if _, detail := faultOf(err, ""); detail != notByKey {
			particular = err
		}
		return false
	}
	hinted := func(k Key) bool {
		hint := ""
		if k.Public != nil {
			hint = KeyHint(k.Public)
		}
		return slices.ContainsFunc(env.Signatures, func(s EnvelopeSignature) bool { return s.Hint != "" && s.Hint == hint })
	}
	for _, first := range []bool{true, false} {
		for _, k := range keys {
			if hinted(k) == first && try(k) {
				return k, nil
			}
		}
	}
	if particular != nil {
		return Key{}, particular
	}
	return Key{}, &SignatureError{release.AttestationUntrusted, "signed by no key that the policy lists for this app"}
}

// faultOf takes code and safe detail out of an error of this package.
func faultOf(err error, otherwise release.Code) (release.Code, string) {
	var envelope *EnvelopeError
	var signature *SignatureError
	var attestation *AttestationError
	var report *ReportError
	switch {
	case errors.As(err, &envelope):
		return envelope.Code, envelope.Detail
	case errors.As(err, &signature):
		return signature.Code, signature.Detail
	case errors.As(err, &attestation):
		return attestation.Code, attestation.Detail
	case errors.As(err, &report):
		return report.Code, report.Detail
	}
	return otherwise, Escape(err.Error())
}
