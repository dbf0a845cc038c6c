// Package attacks carries out every attack of the project's catalogue against the whole
// evaluation: a real repository made with git, real keys, the follower of the
// repository, the reader of evidence, the policy, the verdict and the planner. What is
// expected of each stands in testdata/attacks.yaml.
package attacks

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

const (
	repoID = "5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11"
	env    = "production"
	app    = "shop"
	image  = "registry.example.com/shop/backend@sha256:" + imageHex
)

var (
	imageHex2  = strings.Repeat("b", 64)
	configHex  = strings.Repeat("c", 64)
	commitHex  = strings.Repeat("d", 40)
	releaseDir = "environments/" + env + "/" + app
)

const imageHex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// keyring makes each key once per run.
var keyring = struct {
	sync.Mutex
	dir  string
	made map[string]crypto.Signer
}{made: map[string]crypto.Signer{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "teal-attacks-")
	if err != nil {
		panic(err)
	}
	keyring.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// key makes a key; its name begins with the kind: ed25519, p256, rsa3072, rsa1024.
func key(t testing.TB, name string) crypto.Signer {
	t.Helper()
	keyring.Lock()
	defer keyring.Unlock()
	if k := keyring.made[name]; k != nil {
		return k
	}
	var k crypto.Signer
	var err error
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "p256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa3072":
		k, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		_, k, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(k, name)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(keyring.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
		t.Fatal(err)
	}
	keyring.made[name] = k
	return k
}

// keyFile is the private key's file, for git and ssh-keygen.
func keyFile(t testing.TB, name string) string {
	key(t, name)
	return filepath.Join(keyring.dir, name)
}

func sshLine(t testing.TB, name string) string {
	t.Helper()
	public, err := ssh.NewPublicKey(key(t, name).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

func pemText(t testing.TB, name string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key(t, name).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// fixture is a release on its way: everything that people and pipelines commit, and
// what the host remembers. Its zero-th form is accepted; an attack changes it.
type fixture struct {
	t   *testing.T
	now time.Time

	teal     string // teal.yaml
	manifest string
	files    map[string]string // more files of the release directory
	policy   string            // trust.yaml
	earlier  *trust.Policy     // in force before the newest policy did not load

	commitKey string // signs the commit of the release; "": nobody
	statement func(*trust.Statement)
	rewrite   func([]byte) []byte // of approval.json after it was signed
	signers   []string            // key names
	namespace string
	approvals map[string][]byte // more files in the approval directory
	scans     map[string]*scan
	evidence  map[string][]byte // more files anywhere
	raw       func(*fixture)    // after everything was committed
	afterLook func(*fixture)    // after the host has looked once

	past     rollout.State
	facts    map[string]trust.ImageFacts
	platform string

	dir, bare, work string
	repo            *gitops.Repo
	digest          release.Digest
	signed          []byte // approval.json
	first           string // commit of the release before
	mark            trust.ChainMark
	inlined         string // the policy before it became a chain
	verdict         *trust.Verdict
}

// scan is one attestation.
type scan struct {
	scanner, format string
	db              time.Time
	started, ended  time.Time
	args            []string
	exit            int
	target          map[string]string
	report          string
	checks          string
	key             string
	subject         string // hex
	folder          string // hex
	predicateType   string
	edit            func(statement string) string
	seal            func(payload []byte) []byte // instead of a bundle by key
	more            []*scan                     // further ones of the same scanner
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.Now().UTC().Truncate(time.Second), files: map[string]string{}, approvals: map[string][]byte{}, evidence: map[string][]byte{},
		commitKey: "ed25519-ci", signers: []string{"ed25519-ann", "p256-bob"}, namespace: trust.NamespaceApproval, platform: "linux/amd64"}
	f.teal = "apiVersion: teal/v1\nkind: Repository\nrepoId: " + repoID + "\n"
	f.manifest = manifest("v1.2.3", 42)
	f.policy = f.basePolicy()
	f.scans = map[string]*scan{
		trust.Trivy:    f.newScan(trust.Trivy, "trivy-json", trivyReport("")),
		trust.Snyk:     f.newScan(trust.Snyk, "snyk-json", `{"ok":true,"dependencyCount":7,"vulnerabilities":[]}`),
		trust.PipAudit: f.newScan(trust.PipAudit, "pip-audit-json", `{"dependencies":[{"name":"django","version":"5.0","vulns":[]}]}`),
		trust.Semgrep:  f.newScan(trust.Semgrep, "semgrep-json", `{"results":[],"errors":[],"paths":{"scanned":["app.py"]}}`),
		trust.Gitleaks: f.newScan(trust.Gitleaks, "gitleaks-json", `[]`),
	}
	for _, name := range []string{trust.PipAudit, trust.Semgrep, trust.Gitleaks} {
		f.scans[name].target = map[string]string{"repository": "git@example.com:shop.git", "commit": commitHex, "path": "."}
	}
	return f
}

func manifest(version string, sequence int) string {
	return fmt.Sprintf(`name: shop
services:
  backend:
    image: %s
    x-teal: {route: {host: api.example.com, path: /, port: 8000}, probe: {path: /health/}}
x-teal:
  version: %s
  sequence: %d
  source: {repository: git@example.com:shop.git, commit: %s}
  preparedBy: dave@example.com
`, image, version, sequence, commitHex)
}

func trivyReport(findings string) string {
	return fmt.Sprintf(`{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian"},"ImageID":"sha256:%s","RepoDigests":["%s"]},"Results":[{"Target":"x","Vulnerabilities":[%s]}]}`, configHex, image, findings)
}

func (f *fixture) newScan(scanner, format, report string) *scan {
	return &scan{scanner: scanner, format: format, report: report, db: f.now.Add(-3 * time.Hour), started: f.now.Add(-time.Hour), ended: f.now.Add(-55 * time.Minute),
		target: map[string]string{"image": image, "platform": "linux/amd64"}, key: "p256-ci", subject: imageHex, folder: imageHex, predicateType: trust.PredicateTypeScan}
}

func (f *fixture) basePolicy() string {
	k := func(name string) string { return sshLine(f.t, name) }
	return fmt.Sprintf(`apiVersion: teal/v1
kind: Trust
repoId: %s
environment: production
minimums: {approvals: 2, scanners: [trivy, gitleaks], block: [critical, high], emergencyTTL: 4h}
policy:
  people:
    ann@example.com: {keys: [{id: ann-1, ssh: "%s"}, {id: ann-2, ssh: "%s"}]}
    bob@example.com: {keys: [{id: bob-1, ssh: "%s"}]}
    carol@example.com: {keys: [{id: carol-old, ssh: "%s", notAfter: 2026-01-01T00:00:00Z}, {id: carol-next, ssh: "%s", notBefore: 2099-01-01T00:00:00Z}, {id: carol-1, ssh: "%s"}]}
    dave@example.com: {keys: [{id: dave-1, ssh: "%s"}]}
    eve@example.com: {keys: [{id: eve-1, ssh: "%s"}]}
    heidi@example.com: {keys: [{id: heidi-1, ssh: "%s"}]}
  services:
    ci-scanner: {keys: [{id: ci-1, pem: "%s"}], scanners: [trivy, snyk, pip-audit, semgrep, gitleaks], statements: [heartbeat], apps: ["*"]}
    code-scanner: {keys: [{id: code-1, pem: "%s"}], scanners: [semgrep], apps: [shop]}
    ci-bot: {keys: [{id: bot-1, ssh: "%s"}], statements: [commits], apps: ["*"]}
  roles:
    devops: {members: [ann@example.com, bob@example.com, carol@example.com, dave@example.com]}
    emergency: {members: [heidi@example.com, ann@example.com]}
    security: {members: [heidi@example.com]}
  revoked: []
  environments:
    production:
      approvals: [{role: devops, threshold: 2}]
      separationOfDuties: {excludePreparer: true, excludeCommitSigners: required}
      maxApprovalAge: 168h
      scans: {trivy: {maxAge: 24h, maxDbAge: 48h}, snyk: {maxAge: 24h}, pip-audit: {maxAge: 24h, maxDbAge: 48h}, semgrep: {maxAge: 168h}, gitleaks: {maxAge: 168h}}
      waivers: []
      windows: []
      emergency: {role: emergency, threshold: 1, incidentPattern: "^INC-[0-9]{4,}$", maxTTL: 4h, mayWaive: [approvals, scan-age, vulnerability, code, freeze], maxPer24h: 2}
hostAccess: {shop: {routes: [api.example.com]}}
`, repoID, k("ed25519-ann"), k("p256-ann"), k("p256-bob"), k("ed25519-carol-old"), k("ed25519-carol-next"), k("rsa3072-carol"), k("ed25519-dave"), k("ed25519-eve"), k("ed25519-heidi"),
		inline(pemText(f.t, "p256-ci")), inline(pemText(f.t, "p256-code")), k("ed25519-ci"))
}

func inline(text string) string { return strings.ReplaceAll(text, "\n", `\n`) }

// swap edits a text and fails when there is nothing to edit.
func swap(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q to replace", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func (f *fixture) editPolicy(pairs ...string) { f.policy = swap(f.t, f.policy, pairs...) }

func (f *fixture) editManifest(pairs ...string) { f.manifest = swap(f.t, f.manifest, pairs...) }

// git runs the real git, signing with a key when there is one.
func (f *fixture) git(args ...string) string {
	f.t.Helper()
	return f.gitIn(f.work, args...)
}

func (f *fixture) gitIn(dir string, args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.com",
		"GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.com", "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

func (f *fixture) write(name string, data []byte) {
	f.t.Helper()
	file := filepath.Join(f.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// commit commits all there is, signed by a key or by nobody, and pushes.
func (f *fixture) commit(message, signer string) string {
	f.t.Helper()
	f.git("add", "-A")
	args := []string{"-c", "commit.gpgsign=false"}
	if signer != "" {
		args = []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + keyFile(f.t, signer), "-c", "commit.gpgsign=true"}
	}
	f.git(append(args, "commit", "-q", "--allow-empty", "-m", message)...)
	f.git("push", "-q", "origin", "HEAD:main")
	return f.git("rev-parse", "HEAD")
}

// build makes the repository as the fixture says.
func (f *fixture) build() {
	f.t.Helper()
	f.dir = f.t.TempDir()
	f.bare, f.work = filepath.Join(f.dir, "releases.git"), filepath.Join(f.dir, "work")
	f.gitIn(f.dir, "init", "-q", "--bare", "-b", "main", f.bare)
	f.gitIn(f.dir, "init", "-q", "-b", "main", f.work)
	f.git("remote", "add", "origin", f.bare)
	f.write("teal.yaml", []byte(f.teal))
	f.write(releaseDir+"/release.yaml", []byte(manifest("v1.2.2", 41)))
	f.first = f.commit("shop v1.2.2", "ed25519-ci")
	f.past = f.remembered()
	f.write(releaseDir+"/release.yaml", []byte(f.manifest))
	for name, text := range f.files {
		f.write(releaseDir+"/"+name, []byte(text))
	}
	f.commit("shop v1.2.3", f.commitKey)
	f.approve()
	for _, name := range slices.Sorted(maps.Keys(f.scans)) {
		f.attest(f.scans[name])
	}
	for name, data := range f.evidence {
		f.write(name, data)
	}
	f.commit("evidence", "")
	if f.raw != nil {
		f.raw(f)
	}
}

// remembered is what the host keeps of the release before.
func (f *fixture) remembered() rollout.State {
	digest := f.digestOf(f.first)
	s := rollout.State{App: app, Accepted: rollout.Mark{Sequence: 41, Digest: digest, At: f.now.Add(-time.Hour), Commit: f.first}}
	live := rollout.Set{ID: release.SetID{Colour: release.Blue, Target: release.Target{Digest: digest}}, Version: "v1.2.2", Sequence: 41}
	s.Live, s.Proven = &live, &live
	return s
}

// digestOf is the release's digest in a commit.
func (f *fixture) digestOf(commit string) release.Digest {
	f.t.Helper()
	snap, err := gitops.ReadLocal(f.bare, commit, gitops.Limits{})
	if err != nil {
		f.t.Fatal(err)
	}
	dir, err := snap.Sub(releaseDir)
	if err != nil {
		f.t.Fatal(err)
	}
	digest, err := release.DigestOf(dir)
	if err != nil {
		return ""
	}
	return digest
}

// approve writes the statement that the approvers sign, and their signatures.
func (f *fixture) approve() {
	f.t.Helper()
	snap, err := gitops.ReadLocal(f.bare, "refs/heads/main", gitops.Limits{})
	if err != nil {
		f.t.Fatal(err)
	}
	dir, err := snap.Sub(releaseDir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.digest, err = release.DigestOf(dir)
	if err != nil {
		return // nothing that could be approved
	}
	rel, problems := release.Parse(dir, env, app)
	if len(problems) > 0 || rel == nil {
		rel = &release.Release{App: app, Environment: env, Digest: f.digest, Sequence: 42, PreparedBy: "dave@example.com"}
	}
	done := trust.Check{State: trust.Confirmed}
	s, err := trust.NewStatement(rel, repoID, f.now.Add(-10*time.Minute), f.now.Add(24*time.Hour), trust.Checklist{Tests: done, Scans: done, Staging: done, Migrations: done, Rollback: done})
	if err != nil {
		f.t.Fatal(err)
	}
	if f.statement != nil {
		f.statement(&s)
	}
	if f.signed, err = s.Marshal(); err != nil {
		f.t.Fatal(err)
	}
	at := trust.ApprovalDir(env, app, f.digest) + "/"
	for _, name := range f.signers {
		f.write(at+name+".sig", f.sign(name, f.namespace, f.signed))
	}
	for name, data := range f.approvals {
		if data != nil {
			f.write(at+name, data)
		}
	}
	written := f.signed
	if f.rewrite != nil {
		written = f.rewrite(f.signed)
	}
	f.write(at+trust.StatementFile, written)
}

func (f *fixture) sign(name, namespace string, data []byte) []byte {
	f.t.Helper()
	signer, err := ssh.NewSignerFromSigner(key(f.t, name))
	if err != nil {
		f.t.Fatal(err)
	}
	sig, err := trust.SignSSH(signer, namespace, data)
	if err != nil {
		f.t.Fatal(err)
	}
	return sig
}

// opinion adds a file to the approval directory that is made from the statement.
func (f *fixture) opinion(name string, make func(statement []byte) []byte) {
	before := f.raw
	f.raw = func(f *fixture) {
		if before != nil {
			before(f)
		}
		f.write(trust.ApprovalDir(env, app, f.digest)+"/"+name, make(f.signed))
		f.commit("an opinion", "")
	}
}

// statementText is the scan's in-toto statement.
func (s *scan) statementText(t *testing.T) string {
	target, err := json.Marshal(s.target)
	if err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal(append([]string{}, s.args...))
	if err != nil {
		t.Fatal(err)
	}
	db := ""
	if !s.db.IsZero() {
		db = fmt.Sprintf(`,"dbUpdatedAt":"%s"`, s.db.Format(time.RFC3339))
	}
	text := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"registry.example.com/shop/backend","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{"scanner":{"name":"%s","version":"1.0"%s},"scan":{"startedOn":"%s","finishedOn":"%s","args":%s,"exitCode":%d,"target":%s}%s,"report":{"format":"%s","content":%s}}}`,
		s.subject, s.predicateType, s.scanner, db, s.started.Format(time.RFC3339), s.ended.Format(time.RFC3339), args, s.exit, target, s.checks, s.format, s.report)
	if s.edit != nil {
		text = s.edit(text)
	}
	return text
}

func (f *fixture) attest(s *scan) {
	f.t.Helper()
	for i, x := range append([]*scan{s}, s.more...) {
		payload := []byte(x.statementText(f.t))
		var data []byte
		if x.seal != nil {
			data = x.seal(payload)
		} else {
			var err error
			if data, err = trust.SignEnvelope(key(f.t, x.key), payload); err != nil {
				f.t.Fatal(err)
			}
		}
		f.write(fmt.Sprintf("%s/%s-%d.sigstore.json", trust.AttestationDir(x.folder), x.scanner, i), data)
	}
}

// outcome is what the host made of it.
type outcome struct {
	accepted     bool
	pulls        bool // the planner went on to pull and create
	unknown      release.Code
	reasons      []release.Code
	observations []release.Code
	text         string // the whole verdict as JSON
	policy       release.Code
	repo         release.Code
}

// look is the host's whole evaluation: it follows the repository, reads policy and
// evidence, judges, and plans until the planner waits or acts.
func (f *fixture) look() outcome {
	f.t.Helper()
	var out outcome
	if f.repo == nil {
		r, err := gitops.Open(gitops.Config{URL: f.bare, Branch: "main", Dir: filepath.Join(f.dir, "git"), RepoID: repoID})
		if err != nil {
			f.t.Fatal(err)
		}
		f.repo = r
	}
	if st, err := f.repo.Sync(f.t.Context()); err != nil {
		out.repo = st.Code
	}
	policy, err := trust.ParsePolicy("trust.yaml", []byte(f.policy))
	if err != nil {
		var bad *trust.PolicyError
		if errors.As(err, &bad) {
			out.policy = bad.Problems[0].Code
		}
		policy = f.earlier
	}
	shelf, err := gitops.NewShelf(filepath.Join(f.dir, "shelf"))
	if err != nil {
		f.t.Fatal(err)
	}
	desk := &reconcile.Desk{Env: env, Key: []byte("key"), Repo: followed{f.repo}, Shelf: shelf, Parsed: &reconcile.Parsed{},
		Host:   release.Host{Name: "h1", Instance: "attacks", EdgeNetwork: "teal-edge", Files: "/files", Platform: f.platform},
		Policy: func() (*trust.Policy, release.Code, string) { return f.inForce(policy, &out), out.policy, "" }}
	if f.facts != nil {
		desk.Attestor = facts{f.facts}
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan struct{})
	read := make(chan string, 8)
	go func() {
		defer close(ended)
		_ = desk.Read(ctx, func(app string) { read <- app })
	}()
	defer func() { cancel(); <-ended }()

	state := f.past
	for range 50 {
		want := desk.Want(app, state, f.now)
		if want.Unknown == release.Working {
			select {
			case <-read:
			case <-time.After(20 * time.Second):
				f.t.Fatal("the evidence was not read")
			}
			continue
		}
		out.unknown = want.Unknown
		out.accepted = want.Verdict.Accepted
		f.verdict = &want.Verdict
		step := rollout.Next(rollout.Input{Want: want, Again: desk.Again(app, state, f.now), Past: state,
			Seen: rollout.Seen{Switch: rollout.SwitchView{Reachable: true, Known: true, Matches: true}}}, f.now)
		note, ok := step.(rollout.Note)
		if act, acts := step.(rollout.Act); acts {
			out.pulls = act.Effect.Kind == rollout.Prepare
		}
		if !ok {
			break
		}
		state = state.Apply(note.Record, f.now)
	}
	f.past = state
	out.reasons, out.observations = codes(f.verdict.Reasons), codes(f.verdict.Observations)
	text, err := json.Marshal(f.verdict)
	if err != nil {
		f.t.Fatal(err)
	}
	out.text = string(text)
	return out
}

// inForce follows the chain when the policy names a root.
func (f *fixture) inForce(host *trust.Policy, out *outcome) *trust.Policy {
	if host == nil || host.Root == nil {
		return host
	}
	head, ok := f.repo.EvidenceHead()
	if !ok {
		return host
	}
	tree, err := head.Sub(".")
	if err != nil {
		f.t.Fatal(err)
	}
	files, err := trust.GatherChain(tree, max(f.mark.Version, host.MinVersion()))
	if err != nil {
		f.t.Fatal(err)
	}
	p, mark, why := trust.Advance(host, f.mark, files)
	f.mark = mark
	if why != nil {
		out.policy = why.Code
	}
	if p == nil {
		return host
	}
	return p
}

func codes(findings []trust.Finding) []release.Code {
	var out []release.Code
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}

// followed shows the accepted commits to the desk.
type followed struct{ *gitops.Repo }

func (r followed) Desired() ([]reconcile.Ref, release.Code, string) {
	c, code, detail := r.Evidence()
	if code != "" {
		return nil, code, detail
	}
	return []reconcile.Ref{{Name: "refs/heads/main", Commit: c}}, "", ""
}

func (r followed) Evidence() (reconcile.Commit, release.Code, string) {
	if s, ok := r.Head(); ok {
		return seen{s}, "", ""
	}
	st := r.Status()
	return nil, cmpCode(st.Code), st.Detail
}

func cmpCode(c release.Code) release.Code {
	if c == "" {
		return release.NoCommitYet
	}
	return c
}

type seen struct{ gitops.Snapshot }

func (s seen) ID() string { return s.Commit() }

// facts answers as a registry would that holds the image and no attestation.
type facts struct {
	of map[string]trust.ImageFacts
}

func (a facts) Attestations([]string, string) ([]trust.AttestationFile, map[string]trust.ImageFacts, string, string, string) {
	return nil, a.of, "", "", "1"
}
