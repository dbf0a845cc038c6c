package trust

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// Statements of services other than scans.
const (
	StateTests      = "test-result"
	StateProvenance = "provenance"
	StateDeployment = "deployment"
	StateHeartbeat  = "heartbeat"
	StateCommits    = "commits" // it may author commits that change releases
)

// StatementKinds lists them.
func StatementKinds() []string {
	return []string{StateCommits, StateDeployment, StateHeartbeat, StateProvenance, StateTests}
}

// raw names the raw public key, whatever it is wrapped in: SHA-256 (hex) of its SPKI.
// Empty for an OpenPGP key.
func (k Key) raw() string {
	if k.SSH != nil {
		raw, _ := rawKey(k.SSH)
		return raw
	}
	return rawPublic(k.Public)
}

func rawPublic(key crypto.PublicKey) string {
	if key == nil {
		return ""
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Fingerprint names the key for people: as ssh-keygen -l prints it where the key can be
// an SSH key, else the OpenPGP fingerprint, or SHA-256 of the SPKI in hex.
func (k Key) Fingerprint() string {
	if k.SSH != nil {
		return ssh.FingerprintSHA256(k.SSH)
	}
	if k.OpenPGP != "" {
		return k.pgpPrint
	}
	if public, err := ssh.NewPublicKey(k.Public); err == nil {
		return ssh.FingerprintSHA256(public)
	}
	return k.raw()
}

// ValidAt says why the key does not count at a time; "" when it does.
func (k Key) ValidAt(now time.Time) (release.Code, string) {
	owner := k.Person + k.Service
	switch {
	case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
		return release.KeyExpired, fmt.Sprintf("key %s of %s was valid until %s", k.ID, owner, k.NotAfter.Format(timeForm))
	case now.Before(k.NotBefore):
		return release.KeyNotYetValid, fmt.Sprintf("key %s of %s is valid from %s", k.ID, owner, k.NotBefore.Format(timeForm))
	}
	return "", ""
}

// RevokedKey says whether and why a key is revoked, in the policy's words. A revocation
// names the raw key, so it holds for every encoding of it.
func (p *Policy) RevokedKey(k Key) (reason string, revoked bool) {
	for _, name := range []string{k.Fingerprint(), k.raw(), k.pgpPrint} {
		if reason, ok := p.revoked[name]; ok && name != "" {
			return reason, true
		}
	}
	return "", false
}

// PersonKeys are all keys of people, by person.
func (p *Policy) PersonKeys() []Key {
	var out []Key
	for _, person := range slices.Sorted(maps.Keys(p.people)) {
		out = append(out, p.people[person]...)
	}
	return out
}

// People lists the persons of the policy, sorted.
func (p *Policy) People() []string { return slices.Sorted(maps.Keys(p.people)) }

// Roles lists the roles of the policy, sorted.
func (p *Policy) Roles() []string { return slices.Sorted(maps.Keys(p.roles)) }

// ServiceKeys are the keys of the services that serve an app.
func (p *Policy) ServiceKeys(app string) []Key {
	var out []Key
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if s := p.Services[name]; s.serves(app) {
			out = append(out, s.Keys...)
		}
	}
	return out
}

func (s Service) serves(app string) bool {
	return slices.Contains(s.Apps, "*") || slices.Contains(s.Apps, app)
}

// service is the service that lists the key. The key is looked up by what it is, not by
// what it is called: an attestation may have been read with an earlier policy.
func (p *Policy) service(k Key) (Service, bool) {
	raw := k.raw()
	if k.Service == "" || raw == "" {
		return Service{}, false
	}
	s, ok := p.Services[k.Service]
	if !ok || !slices.ContainsFunc(s.Keys, func(x Key) bool { return x.raw() == raw }) {
		return Service{}, false
	}
	return s, true
}

// MayAttest reports whether the key's service may attest a scanner's reports for an app.
func (p *Policy) MayAttest(k Key, scanner, app string) bool {
	s, ok := p.service(k)
	return ok && s.serves(app) && slices.Contains(s.Scanners, scanner)
}

// MayState reports whether the key's service may make statements of another kind.
func (p *Policy) MayState(k Key, statement, app string) bool {
	s, ok := p.service(k)
	return ok && s.serves(app) && slices.Contains(s.Statements, statement)
}

// HasRole reports whether a person is a member of a role.
func (p *Policy) HasRole(person, role string) bool { return slices.Contains(p.roles[role], person) }

// Blocks reports whether a scanner's finding of a severity blocks.
func (r Rules) Blocks(scanner string, s Severity) bool {
	block := r.Scans[scanner].Block
	return slices.Contains(block, s) || slices.Contains(block, severityAny)
}

// severityAny in a block list means every severity.
const severityAny Severity = "any"

// IncidentOK reports whether an incident's name is of the form that the policy asks for.
func (e EmergencyRule) IncidentOK(incident string) bool {
	ok, err := regexp.MatchString(e.IncidentPattern, incident)
	return err == nil && ok && incident != ""
}
