package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// Defaults of the policy.
const (
	DefaultMaxApprovalAge = 168 * time.Hour
	DefaultEmergencyTTL   = 4 * time.Hour
	DefaultCatchUp        = 2160 * time.Hour
)

var (
	keyIDForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._@-]{0,62}$`)
	roleForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// fingerprintForm is what ssh-keygen -l prints.
	// or SHA-256 of an SPKI, or an OpenPGP fingerprint, in hex.
	fingerprintForm = regexp.MustCompile(`^(SHA256:[A-Za-z0-9+/]{43}|[0-9a-f]{64}|[0-9a-f]{40})$`)
	severities      = []string{"critical", "high", "medium", "low", "unknown"}
)

// ParsePolicy reads trust.yaml (DESIGN 5.4). file is its name in messages. It is
// strict: unknown and duplicate keys, anchors, aliases, tags and a second document
// are refused, and so is every part of the schema that this version does not carry
// out and that asks for something. The error is a *PolicyError with all problems;
// whoever holds an older policy goes on with that.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	b := newPolicyBuilder(file, data)
	if top := b.document(data); top != nil {
		b.top(top)
	}
	if problems := b.sorted(); len(problems) > 0 {
		return nil, &PolicyError{Problems: problems}
	}
	return b.p, nil
}

func newPolicyBuilder(file string, data []byte) *policyBuilder {
	sum := sha256.Sum256(data)
	return &policyBuilder{
		yamlReader: yamlReader{file: file},
		rawKeys:    map[string]string{}, keyIDs: map[string]bool{},
		p: &Policy{
			Environments: map[string]Rules{}, HostAccess: map[string]HostAccess{},
			people: map[string][]Key{}, roles: map[string][]string{}, byKey: map[string]Key{}, revoked: map[string]string{},
			fingerprint: hex.EncodeToString(sum[:]),
		},
	}
}

// policyBuilder fills a Policy from nodes.
type policyBuilder struct {
	yamlReader
	p       *Policy
	rawKeys map[string]string // raw public key → person and id that listed it first
	keyIDs  map[string]bool
	// envNodes are where an environment's rules stand, for messages.
	envNodes map[string]*yaml.Node
}

func (b *policyBuilder) top(n *yaml.Node) {
	m := b.mapping(n, "trust", "apiVersion", "kind", "repoId", "environment", "minimums", "policyRoot", "policy", "hostAccess")
	b.exactly(n, m["apiVersion"], "apiVersion", "teal/v1")
	b.exactly(n, m["kind"], "kind", "Trust")
	if b.present(n, m["repoId"], "repoId") {
		b.p.RepoID = b.matching(m["repoId"], "repoId", uuidForm, "a lower-case uuid, the one in teal.yaml")
	}
	if b.present(n, m["environment"], "environment") {
		b.p.Environment = b.matching(m["environment"], "environment", nameForm, "the name of this host's environment")
	}
	b.minimums(m["minimums"])
	switch {
	case m["policyRoot"] != nil && m["policy"] != nil:
		b.wrong(m["policyRoot"], "policyRoot and policy: want one of them; with policyRoot the policy comes from the chain in Git")
	case m["policyRoot"] != nil:
		b.policyRoot(m["policyRoot"])
	case b.present(n, m["policy"], "policy"):
		b.policy(m["policy"], b.mapping(m["policy"], "policy", policyParts...))
	}
	for _, f := range b.fields(m["hostAccess"], "hostAccess") {
		app := b.appName(f.key, "hostAccess")
		b.p.HostAccess[app] = b.hostAccess(f.value, "hostAccess."+Escape(app))
	}
}

func (b *policyBuilder) exactly(parent, n *yaml.Node, path, want string) {
	if b.present(parent, n, path) && b.text(n, path) != want {
		b.wrong(n, "%s: want %s", path, want)
	}
}

// present records a missing key at its parent's line.
func (b *policyBuilder) present(parent, n *yaml.Node, path string) bool {
	if n == nil {
		b.wrong(parent, "%s is missing", path)
	}
	return n != nil
}

func (b *policyBuilder) matching(n *yaml.Node, path string, form *regexp.Regexp, want string) string {
	s := b.text(n, path)
	if s != "" && !form.MatchString(s) {
		b.wrong(n, "%s: \"%s\" is not %s", path, Escape(s), want)
		return ""
	}
	return s
}

func (b *policyBuilder) appName(k *yaml.Node, path string) string {
	if !nameForm.MatchString(k.Value) || strings.HasSuffix(k.Value, "-blue") || strings.HasSuffix(k.Value, "-green") {
		b.wrong(k, "%s: \"%s\" is not the name of an app", path, Escape(k.Value))
	}
	return k.Value
}

func (b *policyBuilder) minimums(n *yaml.Node) {
	m := b.mapping(n, "minimums", "approvals", "scanners", "block", "emergencyTTL", "catchUp", "sequence")
	out := Minimums{
		Scanners:     b.scanners(m["scanners"], "minimums.scanners"),
		Approvals:    int(min(b.integer(m["approvals"], "minimums.approvals"), 1<<20)),
		Block:        b.texts(m["block"], "minimums.block"),
		EmergencyTTL: b.duration(m["emergencyTTL"], "minimums.emergencyTTL", DefaultEmergencyTTL),
		CatchUp:      b.duration(m["catchUp"], "minimums.catchUp", DefaultCatchUp),
		Sequence:     map[string]int64{},
	}
	if m["block"] == nil {
		out.Block = []string{string(SeverityCritical), string(SeverityHigh)}
	}
	for _, s := range out.Block {
		if !slices.Contains(severities, s) {
			b.wrong(m["block"], "minimums.block: \"%s\" is not one of %s", Escape(s), strings.Join(severities, ", "))
		}
	}
	for _, f := range b.fields(m["sequence"], "minimums.sequence") {
		app := b.appName(f.key, "minimums.sequence")
		out.Sequence[app] = b.integer(f.value, "minimums.sequence."+Escape(app))
	}
	b.p.Minimums = out
}

// policyParts are the members of a policy: in trust.yaml, and in a body of the chain.
var policyParts = []string{"people", "services", "roles", "revoked", "environments", "repository"}

func (b *policyBuilder) policy(n *yaml.Node, m map[string]*yaml.Node) {
	for _, f := range b.fields(m["people"], "policy.people") {
		b.person(f)
	}
	b.p.Services = map[string]Service{}
	for _, f := range b.fields(m["services"], "policy.services") {
		b.service(f)
	}
	if r := b.mapping(m["repository"], "policy.repository", "maxStaleness"); r["maxStaleness"] != nil {
		b.p.MaxStaleness = b.duration(r["maxStaleness"], "policy.repository.maxStaleness", 0)
	}
	for i, item := range b.list(m["revoked"], "policy.revoked") {
		b.revocation(item, fmt.Sprintf("policy.revoked[%d]", i))
	}
	for _, f := range b.fields(m["roles"], "policy.roles") {
		b.role(f)
	}
	b.envNodes = map[string]*yaml.Node{}
	for _, f := range b.fields(m["environments"], "policy.environments") {
		b.environment(f)
	}
	b.floor(n)
}

func (b *policyBuilder) person(f yamlField) {
	person, path := f.key.Value, "policy.people."+Escape(f.key.Value)
	if !personForm.MatchString(person) {
		b.wrong(f.key, "%s: a person is a lower-case ASCII name or e-mail address, without wildcards", path)
	}
	m := b.mapping(f.value, path, "keys")
	b.p.people[person] = nil
	for i, item := range b.list(m["keys"], path+".keys") {
		if k, ok := b.key(item, fmt.Sprintf("%s.keys[%d]", path, i), Key{Person: person}, "ssh", "pem", "openpgp"); ok {
			b.p.people[person] = append(b.p.people[person], k)
		}
	}
}

func (b *policyBuilder) revocation(n *yaml.Node, path string) {
	m := b.mapping(n, path, "keySha256", "reason", "at")
	if !b.present(n, m["keySha256"], path+".keySha256") || !b.present(n, m["reason"], path+".reason") {
		return
	}
	print := b.matching(m["keySha256"], path+".keySha256", fingerprintForm, "a fingerprint as ssh-keygen -l prints it (SHA256:…), the SHA-256 of a PEM key's SPKI in hex, or an OpenPGP fingerprint")
	reason := b.text(m["reason"], path+".reason")
	b.time(m["at"], path+".at") // for people: a revoked key counts at no time
	if print != "" {
		b.p.revoked[print] = reason
	}
}

func (b *policyBuilder) role(f yamlField) {
	role, path := f.key.Value, "policy.roles."+Escape(f.key.Value)
	if !roleForm.MatchString(role) {
		b.wrong(f.key, "%s: not the name of a role", path)
	}
	m := b.mapping(f.value, path, "members")
	members := b.texts(m["members"], path+".members")
	for _, person := range members {
		if _, ok := b.p.people[person]; !ok {
			b.wrong(m["members"], "%s.members: \"%s\" is not listed under policy.people", path, Escape(person))
		}
	}
	slices.Sort(members)
	b.p.roles[role] = members
}

func (b *policyBuilder) environment(f yamlField) {
	env, path := f.key.Value, "policy.environments."+Escape(f.key.Value)
	if !nameForm.MatchString(env) {
		b.wrong(f.key, "%s: not the name of an environment", path)
	}
	b.envNodes[env] = f.key
	m := b.mapping(f.value, path, "approvals", "separationOfDuties", "maxApprovalAge", "scans", "waivers", "windows", "emergency", "requireProvenance")
	duties := b.mapping(m["separationOfDuties"], path+".separationOfDuties", "excludePreparer", "excludeCommitSigners")
	rules := Rules{
		ExcludePreparer:   b.boolean(duties["excludePreparer"], path+".separationOfDuties.excludePreparer"),
		MaxApprovalAge:    b.duration(m["maxApprovalAge"], path+".maxApprovalAge", DefaultMaxApprovalAge),
		RequireProvenance: b.boolean(m["requireProvenance"], path+".requireProvenance"),
	}
	if node := duties["excludeCommitSigners"]; node != nil {
		rules.ExcludeCommitSigners = b.text(node, path+".separationOfDuties.excludeCommitSigners") == "required"
		if !rules.ExcludeCommitSigners {
			b.wrong(node, "%s.separationOfDuties.excludeCommitSigners: want required, or leave it out", path)
		}
	}
	b.scans(&rules, m["scans"], path+".scans")
	b.waivers(&rules, m["waivers"], path+".waivers")
	b.windows(&rules, m["windows"], path+".windows")
	if m["emergency"] != nil && !isNull(m["emergency"]) {
		b.emergency(&rules, m["emergency"], path+".emergency")
	}
	// The list must be written down: leaving it out must not mean "nobody has to agree".
	if b.present(f.key, m["approvals"], path+".approvals") && isNull(m["approvals"]) {
		b.wrong(m["approvals"], "%s.approvals: write [] if no approval is needed", path)
	}
	for i, item := range b.list(m["approvals"], path+".approvals") {
		at := fmt.Sprintf("%s.approvals[%d]", path, i)
		if rule, ok := b.rule(item, at, b.mapping(item, at, "role", "threshold")); ok {
			if slices.ContainsFunc(rules.Approvals, func(r Rule) bool { return r.Role == rule.Role }) {
				b.wrong(item, "%s: role %s again", at, rule.Role)
			}
			rules.Approvals = append(rules.Approvals, rule)
		}
	}
	b.p.Environments[env] = rules
}

// rule reads role and threshold, of which m holds the nodes.
func (b *policyBuilder) rule(n *yaml.Node, path string, m map[string]*yaml.Node) (Rule, bool) {
	if !b.present(n, m["role"], path+".role") || !b.present(n, m["threshold"], path+".threshold") {
		return Rule{}, false
	}
	role, threshold := b.text(m["role"], path+".role"), b.integer(m["threshold"], path+".threshold")
	members, known := b.p.roles[role]
	if !known {
		b.wrong(m["role"], "%s.role: \"%s\" is not listed under policy.roles", path, Escape(role))
		return Rule{}, false
	}
	able := 0
	for _, person := range members {
		if b.usable(person) {
			able++
		}
	}
	switch {
	case threshold < 1:
		b.wrong(m["threshold"], "%s.threshold: want at least 1", path)
	case threshold > int64(able):
		b.wrong(m["threshold"], "%s.threshold: %d, but only %d of role %s have a key that is not revoked", path, threshold, able, role)
	}
	return Rule{Role: role, Threshold: int(min(threshold, 1<<20))}, true
}

// usable reports whether a person has a key that could ever count. Whether it is
// valid now is not asked: loading a policy has no clock.
func (b *policyBuilder) usable(person string) bool {
	return slices.ContainsFunc(b.p.people[person], func(k Key) bool {
		_, gone := b.p.RevokedKey(k)
		return k.OpenPGP == "" && !gone // OpenPGP keys sign commits, not approvals
	})
}

// floor compares the rules of the host's own environment with the minimums.
func (b *policyBuilder) floor(n *yaml.Node) {
	env := b.p.Environment
	if env == "" {
		return
	}
	rules, ok := b.p.Environments[env]
	if !ok {
		b.wrong(n, "policy.environments has no rules for this host's environment %q", env)
		return
	}
	if len(b.problems) > 0 {
		return // a wrong number would look like a low one
	}
	for _, scanner := range b.p.Minimums.Scanners {
		if _, ok := rules.Scans[scanner]; !ok {
			b.fail(release.PolicyBelowFloor, b.envNodes[env], "add the scanner to scans, or take it out of minimums.scanners",
				"policy.environments.%s does not ask for %s, minimums.scanners does", env, scanner)
		}
	}
	if e := rules.Emergency; e != nil && e.MaxTTL > b.p.Minimums.EmergencyTTL {
		b.fail(release.PolicyBelowFloor, b.envNodes[env], "shorten emergency.maxTTL, or raise minimums.emergencyTTL",
			"policy.environments.%s.emergency.maxTTL is %s, minimums.emergencyTTL %s", env, e.MaxTTL, b.p.Minimums.EmergencyTTL)
	}
	sum := 0
	for _, rule := range rules.Approvals {
		sum += rule.Threshold
	}
	if sum < b.p.Minimums.Approvals {
		b.fail(release.PolicyBelowFloor, b.envNodes[env], "raise a threshold, or lower minimums.approvals",
			"policy.environments.%s asks for %d approvals, minimums.approvals is %d", env, sum, b.p.Minimums.Approvals)
	}
}
