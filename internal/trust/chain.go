package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

const (
	// maxPolicySteps bounds how many versions one look may go forward.
	maxPolicySteps = 1000
	// maxPolicyBody bounds one policy of the chain, in bytes.
	maxPolicyBody = 256 << 10
	maxVersion    = 1 << 31
	// maxPolicyNames bounds the entries of trust/: a body and a directory a version.
	maxPolicyNames = 2*maxPolicySteps + 100
)

// ChainMark is the newest policy that a host has accepted. The zero value: none yet.
type ChainMark struct {
	Version int64  `json:"version"`
	SHA256  string `json:"sha256"` // of the body's bytes, hex
	Body    []byte `json:"body"`   // so that the policy outlives the repository
}

// ChainFile is trust/policy.<N>.json with its signatures.
type ChainFile struct {
	Body       []byte
	Signatures []SignatureFile
	Problem    string // why it could not be read whole; empty when it was
}

// ChainFiles are the policies in Git, by the version in their names.
type ChainFiles map[int64]ChainFile

// PolicyFile is the name of a version's body in the repository.
func PolicyFile(version int64) string { return fmt.Sprintf("trust/policy.%d.json", version) }

// PolicySignatures is the directory of a version's signatures.
func PolicySignatures(version int64) string { return fmt.Sprintf("trust/policy.%d", version) }

// GatherChain reads the policies in Git from a version on. Reads are bounded: 1,000
// versions of 256 KiB with 64 signatures each.
func GatherChain(fsys fs.FS, from int64) (ChainFiles, error) {
	files := ChainFiles{}
	names, more, err := readDir(fsys, "trust", maxPolicyNames)
	if err != nil {
		return nil, fmt.Errorf("list trust: %w", err)
	}
	if more {
		return nil, fmt.Errorf("list trust: more than %d entries", maxPolicyNames)
	}
	var versions []int64
	for _, entry := range names {
		var version int64
		if _, err := fmt.Sscanf(entry.Name(), "policy.%d.json", &version); err == nil && "trust/"+entry.Name() == PolicyFile(version) && version >= max(from, 1) {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	for _, version := range versions[:min(len(versions), maxPolicySteps+1)] {
		body, why, err := readPlain(fsys, PolicyFile(version), maxPolicyBody)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", PolicyFile(version), err)
		}
		f := ChainFile{Body: body, Problem: why}
		entries, more, err := readDir(fsys, PolicySignatures(version), maxSignatures)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", PolicySignatures(version), err)
		}
		if more {
			f.Problem = fmt.Sprintf("more than %d files in %s", maxSignatures, PolicySignatures(version))
		}
		for _, entry := range entries {
			s := SignatureFile{Name: entry.Name()}
			if !strings.HasSuffix(s.Name, ".sig") && !s.envelope() {
				continue
			}
			if s.Data, why, err = readPlain(fsys, PolicySignatures(version)+"/"+s.Name, 2*maxPolicyBody); err != nil {
				return nil, fmt.Errorf("read %s: %w", PolicySignatures(version), err)
			}
			if why == "" {
				f.Signatures = append(f.Signatures, s)
			}
		}
		files[version] = f
	}
	return files, nil
}

// Advance goes along the chain from what the host has accepted: each next version must
// carry its own number, the host's repoId, no less than the host's minimums, and
// signatures of the root before it and, when the root changes, of its own (the rules of
// TUF's root). It gives the policy in force and the mark to keep, durable before the
// policy is used. A finding says what stopped it; the policy is then the last good one,
// nil when there is none. host is trust.yaml with its policyRoot.
func Advance(host *Policy, mark ChainMark, files ChainFiles) (*Policy, ChainMark, *Finding) {
	policy, mark, why := advance(host, mark, files)
	if policy != nil {
		policy.Chain = why
	}
	return policy, mark, why
}

func advance(host *Policy, mark ChainMark, files ChainFiles) (*Policy, ChainMark, *Finding) {
	stop := func(code release.Code, format string, args ...any) *Finding {
		f := found(code, fmt.Sprintf(format, args...), "")
		return &f
	}
	if host == nil || host.Root == nil {
		return nil, mark, stop(release.PolicyInvalid, "trust.yaml names no policyRoot")
	}
	var policy *Policy
	root := *host.Root
	if mark.Version > 0 {
		p, err := host.withBody(mark.Version, mark.Body)
		if err != nil {
			return nil, mark, stop(release.PolicyInvalid, "the accepted version %d: %s", mark.Version, Escape(err.Error()))
		}
		policy, root = p, *p.Root
		if f, ok := files[mark.Version]; ok && bodySum(f.Body) != mark.SHA256 {
			return policy, mark, stop(release.PolicyEquivocation, "version %d was accepted with other content", mark.Version)
		} else if !ok && len(files) > 0 {
			return policy, mark, stop(release.PolicyVersion, "version %d is missing between those in Git", mark.Version)
		} else if !ok {
			return policy, mark, stop(release.PolicyRollback, "version %d was accepted and is gone", mark.Version)
		}
	}
	next := mark.Version + 1
	if mark.Version == 0 {
		next = max(host.minVersion, 1)
	}
	for range maxPolicySteps {
		f, ok := files[next]
		if !ok {
			break
		}
		p, why := step(host, root, next, f)
		if why != nil {
			return policy, mark, why
		}
		policy, root = p, *p.Root
		mark = ChainMark{Version: next, SHA256: bodySum(f.Body), Body: f.Body}
		next++
	}
	switch later := slices.Max(append(slices.Collect(maps.Keys(files)), 0)); {
	case policy == nil:
		return nil, mark, stop(release.PolicyVersion, "%s is not there yet", PolicyFile(next))
	case later > next:
		return policy, mark, stop(release.PolicyVersion, "version %d is missing, and %d is there", next, later)
	}
	return policy, mark, nil // an expired one is refused by its gate, with the policy known
}

func bodySum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// step judges one next version against the root before it.
func step(host *Policy, root Root, version int64, f ChainFile) (*Policy, *Finding) {
	stop := func(code release.Code, format string, args ...any) (*Policy, *Finding) {
		finding := found(code, fmt.Sprintf("%s: %s", PolicyFile(version), fmt.Sprintf(format, args...)), "")
		return nil, &finding
	}
	if f.Problem != "" {
		return stop(release.PolicyInvalid, "%s", f.Problem)
	}
	// Signatures before the content: only then is it more than bytes from anybody.
	have := root.signers(f)
	if len(have) < root.Threshold {
		return stop(release.PolicyThreshold, "%d of %d of the root before it%s", len(have), root.Threshold, inBrackets(have))
	}
	p, err := host.withBody(version, f.Body)
	var bad *PolicyError
	switch {
	case errors.As(err, &bad):
		return stop(bad.Problems[0].Code, "%s", Escape(bad.Problems[0].String()))
	case err != nil:
		return stop(release.PolicyVersion, "%s", Escape(err.Error()))
	}
	if own := p.Root.signers(f); len(own) < p.Root.Threshold {
		return stop(release.PolicyThreshold, "%d of %d of its own root%s", len(own), p.Root.Threshold, inBrackets(own))
	}
	return p, nil
}

// signers are the persons of the root who signed a body, sorted. Persons are counted,
// not keys or files.
func (r Root) signers(f ChainFile) []string {
	var have []string
	for _, s := range f.Signatures {
		if s.envelope() {
			env, err := ParseEnvelope(s.Data)
			if err != nil || string(env.Payload) != string(f.Body) {
				continue
			}
			if k, err := signerOf(env, r.Keys); err == nil {
				have = append(have, k.Person)
			}
			continue
		}
		sig, err := ParseSSHSig(s.Data)
		if err != nil {
			continue
		}
		for _, k := range r.Keys {
			if k.SSH != nil && sig.Verify(f.Body, NamespacePolicy, k.SSH) == nil {
				have = append(have, k.Person)
			}
		}
	}
	slices.Sort(have)
	return slices.Compact(have)
}

// withBody is the host's policy with a body of the chain in it.
func (p *Policy) withBody(version int64, body []byte) (*Policy, error) {
	q, err := ParsePolicyBody(PolicyFile(version), body, p)
	if err != nil {
		return nil, err
	}
	if q.Version != version {
		return nil, fmt.Errorf("version %d stands in it", q.Version)
	}
	return q, nil
}

// ParsePolicyBody reads a policy of the chain: strict JSON with the words of trust.yaml's
// policy, and version, expiresAt, repoId and root. Minimums, host access and environment
// are the host's. The error is a *PolicyError.
func ParsePolicyBody(file string, data []byte, host *Policy) (*Policy, error) {
	b := newPolicyBuilder(file, data)
	invalid := func(format string, args ...any) (*Policy, error) {
		return nil, &PolicyError{Problems: []release.Problem{{File: file, Code: release.PolicyInvalid, Message: fmt.Sprintf(format, args...)}}}
	}
	if len(data) > maxPolicyBody {
		return invalid("longer than %d bytes", maxPolicyBody)
	}
	if err := checkJSON(data, maxJSONDepth); err != nil {
		return invalid("%s", Escape(err.Error()))
	}
	if strings.Contains(strings.ToLower(string(data)), `\ud`) {
		return invalid("write characters beyond the basic plane as they are, not as surrogates")
	}
	b.p.RepoID, b.p.Environment, b.p.Minimums, b.p.HostAccess = host.RepoID, host.Environment, host.Minimums, host.HostAccess
	if top := b.document(data); top != nil { // JSON is YAML; the reader of trust.yaml gives lines and rules
		b.body(top)
	}
	if problems := b.sorted(); len(problems) > 0 {
		return nil, &PolicyError{Problems: problems}
	}
	return b.p, nil
}

func (b *policyBuilder) body(n *yaml.Node) {
	m := b.mapping(n, "policy", append([]string{"apiVersion", "kind", "repoId", "version", "expiresAt", "root"}, policyParts...)...)
	b.exactly(n, m["apiVersion"], "apiVersion", "teal/v1")
	b.exactly(n, m["kind"], "kind", "TrustPolicy")
	if b.present(n, m["repoId"], "repoId") && b.text(m["repoId"], "repoId") != b.p.RepoID {
		b.wrong(m["repoId"], "repoId: this host takes releases from %s", b.p.RepoID)
	}
	if b.present(n, m["version"], "version") {
		if b.p.Version = b.integer(m["version"], "version"); b.p.Version < 1 || b.p.Version > maxVersion {
			b.wrong(m["version"], "version: want 1 to %d", maxVersion)
		}
	}
	if b.present(n, m["expiresAt"], "expiresAt") {
		b.p.ExpiresAt = b.time(m["expiresAt"], "expiresAt")
	}
	b.policy(n, m)
	if b.present(n, m["root"], "root") {
		b.root(m["root"])
	}
}

// root reads {threshold, members}: persons of the policy who sign the next version.
func (b *policyBuilder) root(n *yaml.Node) {
	m := b.mapping(n, "root", "threshold", "members")
	r := Root{Threshold: int(min(b.integer(m["threshold"], "root.threshold"), 1<<20))}
	able := 0
	for _, person := range b.texts(m["members"], "root.members") {
		keys, known := b.p.people[person]
		if !known {
			b.wrong(m["members"], "root.members: \"%s\" is not listed under policy.people", Escape(person))
		}
		if b.usable(person) {
			able++
		}
		for _, k := range keys {
			if _, gone := b.p.RevokedKey(k); !gone {
				r.Keys = append(r.Keys, k)
			}
		}
	}
	if r.Threshold < 1 || r.Threshold > able {
		b.wrong(n, "root.threshold: %d, with %d members who have a key", r.Threshold, able)
	}
	b.p.Root = &r
}

// policyRoot reads trust.yaml's first root: {threshold, keys: [{person, ssh}], minVersion}.
func (b *policyBuilder) policyRoot(n *yaml.Node) {
	m := b.mapping(n, "policyRoot", "threshold", "keys", "minVersion")
	r := Root{Threshold: int(min(b.integer(m["threshold"], "policyRoot.threshold"), 1<<20))}
	persons := map[string]bool{}
	for i, item := range b.list(m["keys"], "policyRoot.keys") {
		path := "policyRoot.keys[" + strconv.Itoa(i) + "]"
		k := b.mapping(item, path, "person", "ssh")
		if !b.present(item, k["person"], path+".person") || !b.present(item, k["ssh"], path+".ssh") {
			continue
		}
		person := b.matching(k["person"], path+".person", personForm, "a lower-case ASCII name or e-mail address")
		key := Key{Person: person, ID: fmt.Sprintf("root-%d", i+1)}
		if err := key.readSSH(b.text(k["ssh"], path+".ssh")); err != nil {
			b.wrong(k["ssh"], "%s.ssh: not a public key that teal counts: %s", path, Escape(err.Error()))
			continue
		}
		if first, again := b.rawKeys[key.raw()]; again {
			b.wrong(k["ssh"], "%s.ssh: the same key as %s; one key belongs to one person", path, first)
			continue
		}
		b.rawKeys[key.raw()] = key.ID + " of " + person
		persons[person] = true
		r.Keys = append(r.Keys, key)
	}
	if r.Threshold < 1 || r.Threshold > len(persons) {
		b.wrong(n, "policyRoot.threshold: %d, with keys of %d persons", r.Threshold, len(persons))
	}
	b.p.minVersion = b.integer(m["minVersion"], "policyRoot.minVersion")
	b.p.Root = &r
}
