package trust

import (
	"crypto"
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

	// Services by name.
	Services map[string]Service
	// MaxStaleness is how old trust/heartbeat.json may be before repo_stale is raised;
	// 0: no heartbeat is asked for. Source: policy.repository.maxStaleness.
	MaxStaleness time.Duration
	// Version is the chain's policy version; 0 for an inline policy.
	Version int64
	// ExpiresAt is when a policy of the chain ends; zero for an inline policy.
	ExpiresAt time.Time

	// Root signs the chain of policies; nil for an inline policy.
	Root *Root
	// Chain is what stopped the chain at this policy; nil when nothing did. One that went
	// back or changed lets nothing new start.
	Chain *Finding
	// minVersion is where the chain begins on a new host.
	minVersion int64

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
	// Scanners must be asked for by the environment's scans.
	Scanners []string
	// Block are finding severities that must block.
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
	// ExcludeCommitSigners leaves out whoever signed a commit that touched the release
	// since the last accepted one, and refuses with author_unknown when a commit has no
	// signature of the policy. Source: separationOfDuties.excludeCommitSigners: required.
	ExcludeCommitSigners bool
	// MaxApprovalAge is the longest life of an approval. Default 168h.
	MaxApprovalAge time.Duration
	// Scans are the scanners whose attestation every image needs, by name.
	Scans map[string]ScanRule
	// Waivers let single findings pass.
	Waivers []Waiver
	// Windows are the times in which releases may start; empty: always.
	Windows []Window
	// Emergency is the emergency path; nil: there is none.
	Emergency *EmergencyRule
	// RequireProvenance asks for SLSA provenance of every image whose source commit is
	// x-teal.source.commit.
	RequireProvenance bool
}

// ScanRule is what the policy asks of one scanner's attestations.
type ScanRule struct {
	MaxAge   time.Duration // of finishedOn; default 24h
	MaxDBAge time.Duration // dbUpdatedAt to finishedOn; 0: not asked; default 48h for trivy and pip-audit
	// Block are severities that block; minimums.block is always part of it, unknown too
	// unless UnknownSeverityAs says otherwise.
	Block []Severity
	// UnknownSeverityAs is how an unknown severity is judged. Default high.
	UnknownSeverityAs Severity
	// HonourSuppressions lets findings pass that were suppressed where the scanner ran
	// (nosemgrep, .trivyignore, Snyk's ignores). Source: honourInSourceSuppressions.
	HonourSuppressions bool
	AllowNoOS          []string // apps whose images have no operating system (FROM scratch)
	AllowArgs          []string // scanner arguments that would be refused otherwise
	AllowSkipped       []string // dependencies that pip-audit may skip
	BlockEndOfLife     bool
}

// Waiver lets one finding pass until it expires; never a secret.
type Waiver struct {
	ID         string // id or alias of the finding, compared byte for byte
	Scanner    string
	App        string // empty: every app
	Package    string // empty: every package
	Reason     string
	Ticket     string
	ApprovedBy string
	ExpiresAt  time.Time
}

// EmergencyRule is the emergency path of one environment.
type EmergencyRule struct {
	Role            string
	Threshold       int
	IncidentPattern string // regular expression, anchored; tested by IncidentOK
	MaxTTL          time.Duration
	MayWaive        []string // of: approvals, scan-age, vulnerability, code, window, freeze, hold
	MaxPer24h       int
	FollowUpWithin  time.Duration // until a normal approval must follow; default 72h
}

// Rule asks for Threshold different persons of a role.
type Rule struct {
	Role      string `json:"role"`
	Threshold int    `json:"threshold"`
}

// Key is one public key of a person or of a service, in one of three encodings.
type Key struct {
	Person  string // empty for a service's key
	Service string // empty for a person's key
	ID      string
	// SSH is set for a key written as ssh.
	SSH ssh.PublicKey
	// Public is the raw key (*ecdsa.PublicKey or ed25519.PublicKey) that verifies
	// envelopes: of a key written as pem, and of a plain SSH key of those types.
	Public crypto.PublicKey
	// OpenPGP is the armoured public key of a commit signer, written as openpgp.
	OpenPGP   string
	pgpPrint  string    // its fingerprint, 40 or 64 hex
	NotBefore time.Time // zero: always was valid
	NotAfter  time.Time // zero: never expires
}

// Fingerprint names the policy: SHA-256 (hex) of the file's bytes, the same as
// `sha256sum /etc/teal/trust.yaml`.
func (p *Policy) Fingerprint() string { return p.fingerprint }

// Root are the persons who may publish the next policy of a chain.
type Root struct {
	Threshold int
	Keys      []Key // with Person set
}

// Service is a pipeline, scanner or host that signs attestations, never approvals.
type Service struct {
	Name string
	Keys []Key
	// Scanners whose reports it may attest; Statements of other kinds: test-result,
	// provenance, deployment, heartbeat.
	Scanners   []string
	Statements []string
	Apps       []string // "*" is every app
}

// MinVersion is where the chain begins on a new host; 0 for an inline policy.
func (p *Policy) MinVersion() int64 { return p.minVersion }

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
