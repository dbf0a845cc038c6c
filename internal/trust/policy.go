package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// Policy is the host's own trust policy, /etc/teal/trust.yaml: who may approve what,
// and what a manifest may ask of this host. It is made by ParsePolicy and never
// changed afterwards; a reload makes another one.
type Policy struct {
	// RepoID is the uuid of the repository that this host takes releases from.
	RepoID string
	// Environment is this host's; a release for another one is refused.
	Environment string
	Minimums    Minimums
	// Environments are the rules by environment. The host's own is always there.
	Environments map[string]Rules
	// HostAccess says, by app, what its manifest may ask of the host beyond plain
	// containers. An app that is not listed gets nothing.
	HostAccess map[string]HostAccess

	people      map[string][]Key
	roles       map[string][]string
	byKey       map[string]Key // by wire form of the public key
	revoked     map[string]string
	fingerprint string
}

// Minimums are the floor that no rule may go below. Source: `minimums`.
type Minimums struct {
	// Approvals is how many different persons must have approved, over all roles.
	// Default 0.
	Approvals int
	// Block are finding severities that must block. Accepted, used once scan
	// attestations are built.
	Block []string
	// EmergencyTTL is the longest life of an emergency approval. Default 4h.
	EmergencyTTL time.Duration
	// CatchUp is how long after its acceptance a late host may still take a release.
	// Default 2160h (90 days).
	CatchUp time.Duration
	// Sequence is the lowest acceptable sequence by app.
	Sequence map[string]int64
}

// Rules are what one environment asks for.
type Rules struct {
	// Approvals must all be met. Empty: no approval is needed.
	Approvals []Rule
	// ExcludePreparer leaves the manifest's preparedBy out of the count.
	ExcludePreparer bool
	// MaxApprovalAge is the longest life of an approval. Default 168h.
	MaxApprovalAge time.Duration
}

// Rule asks for Threshold different persons of a role.
type Rule struct {
	Role      string
	Threshold int
}

// Key is one public key of a person.
type Key struct {
	Person    string
	ID        string
	SSH       ssh.PublicKey
	NotBefore time.Time // zero: always was valid
	NotAfter  time.Time // zero: never expires
}

// Fingerprint names the policy: SHA-256 (hex) of the file's bytes, the same as
// `sha256sum /etc/teal/trust.yaml`.
func (p *Policy) Fingerprint() string { return p.fingerprint }

// KeyOf finds whose key it is.
func (p *Policy) KeyOf(key ssh.PublicKey) (Key, bool) {
	if key == nil {
		return Key{}, false
	}
	k, ok := p.byKey[string(key.Marshal())]
	return k, ok
}

// Revoked says whether and why a key is revoked, in the policy's words.
func (p *Policy) Revoked(key ssh.PublicKey) (reason string, revoked bool) {
	reason, revoked = p.revoked[ssh.FingerprintSHA256(key)]
	return reason, revoked
}

// Members lists the persons of a role, sorted.
func (p *Policy) Members(role string) []string { return slices.Clone(p.roles[role]) }

// Rules are those of the host's own environment.
func (p *Policy) Rules() Rules { return p.Environments[p.Environment] }

// rolesOf lists the roles of the environment's rules that a person has, sorted.
func (p *Policy) rolesOf(person string) []string {
	var out []string
	for _, rule := range p.Rules().Approvals {
		if slices.Contains(p.roles[rule.Role], person) {
			out = append(out, rule.Role)
		}
	}
	slices.Sort(out)
	return out
}

// PolicyError is every problem of a trust.yaml, in the order of the lines. Each has
// code policy_invalid, policy_below_floor or not_supported_yet.
type PolicyError struct {
	Problems []release.Problem
}

// Error prints one problem a line: file:line: message; next.
func (e *PolicyError) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		text := p.File
		if p.Line > 0 {
			text = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		text += ": " + p.Message
		if p.Next != "" {
			text += "; " + p.Next
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}
