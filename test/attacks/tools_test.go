package attacks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// parsed is the policy as it stands.
func (f *fixture) parsed() *trust.Policy {
	f.t.Helper()
	p, err := trust.ParsePolicy("trust.yaml", []byte(f.policy))
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// revoke puts a key on the policy's list.
func revoke(name string) func(*fixture) {
	return func(f *fixture) {
		f.editPolicy("revoked: []", fmt.Sprintf(`revoked: [{keySha256: "%s", reason: laptop lost, at: 2026-10-02T00:00:00Z}]`, fingerprint(f, name)))
	}
}

// live makes the wanted release the one that runs.
func (f *fixture) live() {
	set := rollout.Set{ID: release.SetID{Colour: release.Green, Target: release.Target{Digest: f.digest, Inputs: inputsOf()}}, Version: "v1.2.3", Sequence: 42}
	f.past.Live, f.past.Proven = &set, &set
	f.past.Accepted = rollout.Mark{Sequence: 42, Digest: f.digest, At: f.now.Add(-time.Hour), Commit: f.git("rev-parse", "HEAD"), Since: f.first}
}

// refresh renews what would be stale after time has passed.
func (f *fixture) refresh() {
	for _, s := range f.scans {
		s.db, s.started, s.ended = f.now.Add(-3*time.Hour), f.now.Add(-time.Hour), f.now.Add(-55*time.Minute)
	}
}

// link replaces a file by a symbolic link to another with the same content.
func (f *fixture) link(name string) {
	f.t.Helper()
	file := filepath.Join(f.work, filepath.FromSlash(name))
	if err := os.Rename(file, file+".real"); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(file+".real", filepath.Join(f.work, "elsewhere")); err != nil {
		f.t.Fatal(err)
	}
	up := strings.Repeat("../", strings.Count(name, "/"))
	if err := os.Symlink(up+"elsewhere", file); err != nil {
		f.t.Fatal(err)
	}
	f.commit("a link", "ed25519-ci")
}

// craft adds an entry to the release directory's tree that git would not write, past
// every check of git.
func (f *fixture) craft(name string) {
	f.t.Helper()
	tree := func(lines string) string {
		file := filepath.Join(f.dir, "tree")
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			f.t.Fatal(err)
		}
		return f.git("hash-object", "-t", "tree", "-w", "--literally", file)
	}
	entry := func(mode, name, hash string) string {
		raw, err := hex.DecodeString(hash)
		if err != nil {
			f.t.Fatal(err)
		}
		return mode + " " + name + "\x00" + string(raw)
	}
	blob := f.git("rev-parse", "HEAD:"+releaseDir+"/release.yaml")
	pair := []string{entry("100644", "release.yaml", blob), entry("100644", name, blob)}
	if name < "release.yaml" {
		pair[0], pair[1] = pair[1], pair[0]
	}
	made := tree(strings.Join(pair, ""))
	for _, dir := range []string{app, env} {
		made = tree(entry("40000", dir, made))
	}
	// The rest of the root stays: only environments is replaced.
	var lines string
	for _, line := range strings.Split(f.git("ls-tree", "HEAD"), "\n") {
		fields := strings.Fields(line)
		hash := fields[2]
		if fields[3] == "environments" {
			hash = made
		}
		lines += entry(strings.TrimPrefix(fields[0], "0"), fields[3], hash)
	}
	c := f.git("commit-tree", tree(lines), "-p", "HEAD", "-m", "crafted")
	f.copyObjects()
	f.gitIn(f.bare, "update-ref", "refs/heads/main", c)
}

func (f *fixture) copyObjects() {
	f.t.Helper()
	from := filepath.Join(f.work, ".git", "objects")
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		to := filepath.Join(f.bare, "objects", rel)
		if _, err := os.Stat(to); err == nil {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o444)
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// heartbeat puts a signed heartbeat of some age into the repository, and asks for one.
func heartbeat(f *fixture, age time.Duration) {
	f.editPolicy("  revoked: []", "  repository: {maxStaleness: 24h}\n  revoked: []")
	text := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"heartbeat","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{"repoId":"%s","at":"%s"}}`,
		imageHex, trust.PredicateTypeHeartbeat, repoID, f.now.Add(age).Format(time.RFC3339))
	data, err := trust.SignEnvelope(key(f.t, "p256-ci"), []byte(text))
	if err != nil {
		f.t.Fatal(err)
	}
	f.evidence[trust.HeartbeatFile] = data
}

// vex adds an OpenVEX document about the finding, as an attestation signed by a person.
func vex(signer, status, hex string) func(*fixture) {
	return func(f *fixture) {
		f.scans[trust.Trivy].report = vulnerable(`"CRITICAL"`)
		text := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{"@context":"%s","@id":"urn:x","author":"heidi","timestamp":"%s","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1234"},"products":[{"@id":"pkg:oci/backend@sha256:%s"}],"status":"%s","justification":"vulnerable_code_not_in_execute_path"}]}}`,
			imageHex, trust.PredicateTypeOpenVEX, trust.PredicateTypeOpenVEX, f.now.Add(-time.Hour).Format(time.RFC3339), hex, status)
		data, err := trust.SignEnvelope(key(f.t, signer), []byte(text))
		if err != nil {
			f.t.Fatal(err)
		}
		f.evidence[trust.AttestationDir(imageHex)+"/vex.sigstore.json"] = data
	}
}

// policyBody is one policy of a chain in the making.
type policyBody struct {
	version int64 // as it says
	name    int64 // of its file
	signers []string
	members string // of its root
	expires time.Duration
	edits   []string
}

func roots(names ...string) []string {
	kinds := map[string]string{"bob": "p256-bob"}
	var out []string
	for _, n := range names {
		if k := kinds[n]; k != "" {
			out = append(out, k)
		} else {
			out = append(out, "ed25519-"+n)
		}
	}
	return out
}

func body(version int64, signers []string, members string) policyBody {
	if members == "" {
		members = "ann@example.com, bob@example.com"
	}
	return policyBody{version, version, signers, members, 240 * time.Hour, nil}
}

func named(name int64, b policyBody) policyBody { b.name = name; return b }

func weaker(pairs ...string) policyBody {
	b := body(9, roots("ann", "bob"), "")
	b.edits = pairs
	return b
}

// chain makes the host take its policy from the repository.
func chain(bodies ...policyBody) func(*fixture) {
	return func(f *fixture) {
		inlined := f.policy
		i := strings.Index(f.policy, "policy:\n")
		j := strings.Index(f.policy, "hostAccess:")
		f.policy = f.policy[:i] + fmt.Sprintf("policyRoot: {threshold: 2, keys: [{person: ann@example.com, ssh: \"%s\"}, {person: bob@example.com, ssh: \"%s\"}], minVersion: %d}\n", sshLine(f.t, "ed25519-ann"), sshLine(f.t, "p256-bob"), bodies[0].name) + f.policy[j:]
		before := f.raw
		f.raw = func(f *fixture) {
			for _, b := range bodies {
				f.publishFrom(inlined, b)
			}
			f.inlined = inlined
			f.commit("policies", "")
			if before != nil {
				before(f)
			}
		}
	}
}

func (f *fixture) publish(b policyBody) { f.publishFrom(f.inlined, b) }

// publishFrom writes a policy of the chain: the inline one as JSON, with version, expiry
// and root.
func (f *fixture) publishFrom(text string, b policyBody) {
	f.t.Helper()
	var whole map[string]any
	if err := yaml.Unmarshal([]byte(swap(f.t, text, b.edits...)), &whole); err != nil {
		f.t.Fatal(err)
	}
	out := whole["policy"].(map[string]any)
	var members []string
	for m := range strings.SplitSeq(b.members, ", ") {
		members = append(members, m)
	}
	out["apiVersion"], out["kind"], out["repoId"], out["version"] = "teal/v1", "TrustPolicy", repoID, b.version
	out["expiresAt"] = f.now.Add(b.expires).Format(time.RFC3339)
	out["root"] = map[string]any{"threshold": 2, "members": members}
	data, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(trust.PolicyFile(b.name), data)
	for _, s := range b.signers {
		f.write(trust.PolicySignatures(b.name)+"/"+s+".sig", f.sign(s, trust.NamespacePolicy, data))
	}
}

// armour damages bob's signature.
func armour(damage func([]byte) []byte) func(*fixture) {
	return func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("bob.sig", func(s []byte) []byte { return damage(f.sign("p256-bob", trust.NamespaceApproval, s)) })
	}
}

// blob changes the binary inside the armour.
func blob(armoured []byte, change func([]byte) []byte) []byte {
	lines := strings.Split(strings.TrimSpace(string(armoured)), "\n")
	raw, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		panic(err)
	}
	text := base64.StdEncoding.EncodeToString(change(raw))
	out := lines[0] + "\n"
	for len(text) > 0 {
		n := min(70, len(text))
		out += text[:n] + "\n"
		text = text[n:]
	}
	return []byte(out + lines[len(lines)-1] + "\n")
}

// openssh is a signature of OpenSSH's own test data.
func openssh(f *fixture, name string) []byte {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "internal", "trust", "testdata", "openssh", name))
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

// foreign is a signature by a key type and an algorithm that teal does not count: a key
// of 1024 bits for ssh-rsa, whatever for others.
func foreign(f *fixture, keyType, algorithm string) []byte {
	f.t.Helper()
	modulus := append([]byte{0x00, 0x80}, make([]byte, 127)...)
	public := ssh.Marshal(struct {
		Type string
		E    []byte
		N    []byte
	}{keyType, []byte{1, 0, 1}, modulus})
	inner := ssh.Marshal(ssh.Signature{Format: algorithm, Blob: make([]byte, 128)})
	raw := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version   uint32
		PublicKey []byte
		Namespace string
		Reserved  []byte
		Hash      string
		Signature []byte
	}{1, public, trust.NamespaceApproval, nil, "sha512", inner})...)
	return blob([]byte("-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n"), func([]byte) []byte { return raw })
}

// fingerprint is the key's as ssh-keygen -l prints it.
func fingerprint(f *fixture, name string) string {
	f.t.Helper()
	public, err := ssh.NewPublicKey(key(f.t, name).Public())
	if err != nil {
		f.t.Fatal(err)
	}
	return ssh.FingerprintSHA256(public)
}

// inputsOf is the hash of no inputs under the host's key.
func inputsOf() string {
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte("teal-inputs-v1\n"))
	return hex.EncodeToString(mac.Sum(nil))[:16]
}
