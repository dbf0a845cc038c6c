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
	"golang.org/x/crypto/ssh"

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
	fingerprintForm = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
	severities      = []string{"critical", "high", "medium", "low", "unknown"}
)

// ParsePolicy reads trust.yaml (DESIGN 5.4). file is its name in messages. It is
// strict: unknown and duplicate keys, anchors, aliases, tags and a second document
// are refused, and so is every part of the schema that this version does not carry
// out and that asks for something. The error is a *PolicyError with all problems;
// whoever holds an older policy goes on with that.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	sum := sha256.Sum256(data)
	b := policyBuilder{
		yamlReader: yamlReader{file: file},
		rawKeys:    map[string]string{}, keyIDs: map[string]bool{},
		p: &Policy{
			Environments: map[string]Rules{}, HostAccess: map[string]HostAccess{},
			people: map[string][]Key{}, roles: map[string][]string{}, byKey: map[string]Key{}, revoked: map[string]string{},
			fingerprint: hex.EncodeToString(sum[:]),
		},
	}
	if top := b.document(data); top != nil {
		b.top(top)
	}
	if problems := b.sorted(); len(problems) > 0 {
		return nil, &PolicyError{Problems: problems}
	}
	return b.p, nil
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
	b.notBuilt(m["policyRoot"], "policyRoot")
	if b.present(n, m["policy"], "policy") {
		b.policy(m["policy"])
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
	b.notBuilt(m["scanners"], "minimums.scanners")
	out := Minimums{
		Approvals:    int(min(b.integer(m["approvals"], "minimums.approvals"), 1<<20)),
		Block:        b.texts(m["block"], "minimums.block"),
		EmergencyTTL: b.duration(m["emergencyTTL"], "minimums.emergencyTTL", DefaultEmergencyTTL),
		CatchUp:      b.duration(m["catchUp"], "minimums.catchUp", DefaultCatchUp),
		Sequence:     map[string]int64{},
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

func (b *policyBuilder) policy(n *yaml.Node) {
	m := b.mapping(n, "policy", "people", "services", "roles", "revoked", "environments")
	b.notBuilt(m["services"], "policy.services")
	for _, f := range b.fields(m["people"], "policy.people") {
		b.person(f)
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
		b.key(item, fmt.Sprintf("%s.keys[%d]", path, i), person)
	}
}

func (b *policyBuilder) key(n *yaml.Node, path, person string) {
	m := b.mapping(n, path, "id", "ssh", "pem", "openpgp", "notBefore", "notAfter")
	b.notBuilt(m["pem"], path+".pem")
	b.notBuilt(m["openpgp"], path+".openpgp")
	k := Key{Person: person, NotBefore: b.time(m["notBefore"], path+".notBefore"), NotAfter: b.time(m["notAfter"], path+".notAfter")}
	if !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore) {
		b.wrong(m["notAfter"], "%s.notAfter: not after notBefore", path)
	}
	if b.present(n, m["id"], path+".id") {
		k.ID = b.matching(m["id"], path+".id", keyIDForm, "a short id")
		if k.ID != "" && b.keyIDs[k.ID] {
			b.wrong(m["id"], "%s.id: %q again", path, k.ID)
		}
		b.keyIDs[k.ID] = true
	}
	if m["ssh"] == nil {
		if asksNothing(m["pem"]) && asksNothing(m["openpgp"]) {
			b.wrong(n, "%s.ssh is missing", path)
		}
		return
	}
	key, err := parseSSHKeyLine(b.text(m["ssh"], path+".ssh"))
	if err != nil {
		b.wrong(m["ssh"], "%s.ssh: not a public key that teal counts: %s", path, Escape(err.Error()))
		return
	}
	raw, err := rawKey(key)
	if err != nil {
		b.wrong(m["ssh"], "%s.ssh: %s", path, Escape(err.Error()))
		return
	}
	if first, ok := b.rawKeys[raw]; ok {
		b.wrong(m["ssh"], "%s.ssh: the same key as %s; one key belongs to one person", path, first)
		return
	}
	b.rawKeys[raw] = fmt.Sprintf("%s of %s", Escape(k.ID), Escape(person))
	k.SSH = key
	b.p.people[person] = append(b.p.people[person], k)
	b.p.byKey[string(key.Marshal())] = k
}

func (b *policyBuilder) revocation(n *yaml.Node, path string) {
	m := b.mapping(n, path, "keySha256", "reason", "at")
	if !b.present(n, m["keySha256"], path+".keySha256") || !b.present(n, m["reason"], path+".reason") {
		return
	}
	print := b.matching(m["keySha256"], path+".keySha256", fingerprintForm, "a fingerprint as ssh-keygen -l prints it (SHA256:…)")
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
	m := b.mapping(f.value, path, "approvals", "separationOfDuties", "maxApprovalAge", "scans", "waivers", "windows", "emergency")
	for _, part := range []string{"scans", "waivers", "windows", "emergency"} {
		b.notBuilt(m[part], path+"."+part)
	}
	duties := b.mapping(m["separationOfDuties"], path+".separationOfDuties", "excludePreparer", "excludeCommitSigners")
	b.notBuilt(duties["excludeCommitSigners"], path+".separationOfDuties.excludeCommitSigners")
	rules := Rules{
		ExcludePreparer: b.boolean(duties["excludePreparer"], path+".separationOfDuties.excludePreparer"),
		MaxApprovalAge:  b.duration(m["maxApprovalAge"], path+".maxApprovalAge", DefaultMaxApprovalAge),
	}
	// The list must be written down: leaving it out must not mean "nobody has to agree".
	if b.present(f.key, m["approvals"], path+".approvals") && isNull(m["approvals"]) {
		b.wrong(m["approvals"], "%s.approvals: write [] if no approval is needed", path)
	}
	for i, item := range b.list(m["approvals"], path+".approvals") {
		at := fmt.Sprintf("%s.approvals[%d]", path, i)
		if rule, ok := b.rule(item, at); ok {
			if slices.ContainsFunc(rules.Approvals, func(r Rule) bool { return r.Role == rule.Role }) {
				b.wrong(item, "%s: role %s again", at, rule.Role)
			}
			rules.Approvals = append(rules.Approvals, rule)
		}
	}
	b.p.Environments[env] = rules
}

func (b *policyBuilder) rule(n *yaml.Node, path string) (Rule, bool) {
	m := b.mapping(n, path, "role", "threshold")
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
	for _, k := range b.p.people[person] {
		if _, gone := b.p.revoked[ssh.FingerprintSHA256(k.SSH)]; !gone {
			return true
		}
	}
	return false
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
	sum := 0
	for _, rule := range rules.Approvals {
		sum += rule.Threshold
	}
	if sum < b.p.Minimums.Approvals {
		b.fail(release.PolicyBelowFloor, b.envNodes[env], "raise a threshold, or lower minimums.approvals",
			"policy.environments.%s asks for %d approvals, minimums.approvals is %d", env, sum, b.p.Minimums.Approvals)
	}
}
