package trust

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
)

// production is a policy like that of DESIGN 5.4: two of devops.
func production(t testing.TB) string {
	return fmt.Sprintf(`apiVersion: teal/v1
kind: Trust
repoId: %s
environment: production
minimums: {approvals: 2, scanners: [], block: [critical, high], emergencyTTL: 4h, catchUp: 2160h, sequence: {shop: 7}}
policy:
  people:
    ann@example.com: {keys: [{id: ann-1, ssh: "%s"}, {id: ann-2, ssh: "%s"}]}
    bob@example.com: {keys: [{id: bob-1, ssh: "%s comment of bob"}]}
    carol@example.com: {keys: [{id: carol-1, ssh: "%s"}, {id: carol-old, ssh: "%s", notBefore: 2025-01-01T00:00:00Z, notAfter: 2026-06-01T00:00:00Z}, {id: carol-next, ssh: "%s", notBefore: 2027-01-01T00:00:00Z}]}
    dave@example.com: {keys: [{id: dave-1, ssh: "%s"}]}
    eve@example.com: {keys: [{id: eve-1, ssh: "%s"}]}
    frank@example.com: {keys: [{id: frank-1, ssh: "%s"}]}
  services: {}
  roles:
    devops: {members: [dave@example.com, ann@example.com, bob@example.com, carol@example.com, frank@example.com]}
    audit: {members: [eve@example.com]}
  revoked: [{keySha256: "%s", reason: laptop lost, at: 2026-10-02T00:00:00Z}]
  environments:
    production:
      approvals: [{role: devops, threshold: 2}]
      separationOfDuties: {excludePreparer: true}
      maxApprovalAge: 168h
      scans: {}
      waivers: []
      windows: []
    staging: {approvals: []}
hostAccess: {shop: {binds: [], volumes: [], capabilities: [], devices: [], namespaces: [], securityOpts: [], sysctls: [], privileged: false, routes: [api.example.com]}}
`, testRepo, pubLine(t, "ed25519/ann"), pubLine(t, "p256/ann"), pubLine(t, "p256/bob"), pubLine(t, "rsa3072"), pubLine(t, "ed25519/carol-old"),
		pubLine(t, "ed25519/carol-next"), pubLine(t, "ed25519/dave"), pubLine(t, "ed25519/eve"), pubLine(t, "p384"),
		ssh.FingerprintSHA256(sshSigner(t, "p384").PublicKey()))
}

// inlinePEM is a public key as it stands in a double-quoted YAML text.
func inlinePEM(t testing.TB, name string) string {
	der, err := x509.MarshalPKIXPublicKey(privateKey(t, name).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "\n", `\n`)
}

func parsePolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy("trust.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParsePolicy(t *testing.T) {
	text := production(t)
	p := parsePolicy(t, text)
	sum := sha256.Sum256([]byte(text))
	if p.Fingerprint() != hex.EncodeToString(sum[:]) {
		t.Errorf("fingerprint %s", p.Fingerprint())
	}
	if p.RepoID != testRepo || p.Environment != "production" || p.Minimums.Approvals != 2 || p.Minimums.Sequence["shop"] != 7 ||
		p.Minimums.CatchUp != 2160*time.Hour || p.Minimums.EmergencyTTL != 4*time.Hour {
		t.Errorf("%+v", p)
	}
	r := p.Rules()
	if len(r.Approvals) != 1 || r.Approvals[0] != (Rule{"devops", 2}) || !r.ExcludePreparer || r.MaxApprovalAge != 168*time.Hour {
		t.Errorf("%+v", r)
	}
	if k, ok := p.KeyOf(sshSigner(t, "p256/bob").PublicKey()); !ok || k.Person != "bob@example.com" || k.ID != "bob-1" {
		t.Errorf("%+v %v", k, ok)
	}
	if _, ok := p.KeyOf(sshSigner(t, "ed25519").PublicKey()); ok {
		t.Error("a stranger's key")
	}
	if why, gone := p.Revoked(sshSigner(t, "p384").PublicKey()); !gone || why != "laptop lost" {
		t.Errorf("revoked: %q %v", why, gone)
	}
}

// TestPolicyProblems: every change to a good policy is refused with its line.
func TestPolicyProblems(t *testing.T) {
	good := production(t)
	parsePolicy(t, good)
	skAnn, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		T string
		K []byte
		A string
	}{ssh.KeyAlgoSKED25519, privateKey(t, "ed25519/ann").Public().(ed25519.PublicKey), "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(pairs ...string) string {
		out := good
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(out, pairs[i]) {
				t.Fatalf("no %q in the policy", pairs[i])
			}
			out = strings.Replace(out, pairs[i], pairs[i+1], 1)
		}
		return out
	}
	service := func(rest string) string {
		return swap("services: {}", fmt.Sprintf(`services: {ci: {keys: [{id: ci-1, pem: "%s"}], %s}}`, inlinePEM(t, "p256/ci"), rest))
	}
	for name, c := range map[string]struct {
		text string
		code release.Code
		want string // in the message, with the line
	}{
		"unknown key":             {swap("kind: Trust", "kind: Trust\nkinds: x"), release.PolicyInvalid, `trust.yaml:3: trust: unknown key "kinds"`},
		"unknown key, deep":       {swap("maxApprovalAge:", "maxApprovalage:"), release.PolicyInvalid, `:23: policy.environments.production: unknown key "maxApprovalage"`},
		"other kind":              {swap("kind: Trust", "kind: TrustFloor"), release.PolicyInvalid, ":2: kind: want Trust"},
		"other version":           {swap("teal/v1", "teal/v2"), release.PolicyInvalid, ":1: apiVersion"},
		"no repoId":               {swap("repoId: "+testRepo+"\n", ""), release.PolicyInvalid, "repoId is missing"},
		"repoId":                  {swap(testRepo, "x"), release.PolicyInvalid, ":3: repoId"},
		"no environment":          {swap("environment: production\n", ""), release.PolicyInvalid, "environment is missing"},
		"environment without law": {swap("environment: production", "environment: canary"), release.PolicyInvalid, `no rules for this host's environment "canary"`},
		"no policy":               {good[:strings.Index(good, "policy:")], release.PolicyInvalid, "policy is missing"},
		"duplicate key":           {swap("kind: Trust", "kind: Trust\nkind: Trust"), release.PolicyInvalid, `:3: key "kind" again; first on line 2`},
		"anchor":                  {swap("[critical, high]", "&b [critical, high]"), release.PolicyInvalid, ":5: anchors are not allowed"},
		"alias":                   {swap("scanners: []", "scanners: &s []", "block: [critical, high]", "block: *s"), release.PolicyInvalid, ":5: a"},
		"merge":                   {swap("kind: Trust", "kind: Trust\n<<: {a: b}"), release.PolicyInvalid, ":3: merge keys"},
		"tag":                     {swap("approvals: 2", "approvals: !!int 2"), release.PolicyInvalid, ":5: tags are not allowed"},
		"second document":         {good + "---\na: b\n", release.PolicyInvalid, "a second document"},
		"not YAML":                {good + "\t: [", release.PolicyInvalid, "not YAML"},
		"empty":                   {"", release.PolicyInvalid, "empty"},
		"a list":                  {"- a\n", release.PolicyInvalid, "want a mapping"},
		"not UTF-8":               {good + "# \xff\n", release.PolicyInvalid, "not UTF-8"},
		"octal":                   {swap("threshold: 2", "threshold: 010"), release.PolicyInvalid, "threshold: want a plain whole number"},
		"underscore":              {swap("approvals: 2", "approvals: 1_0"), release.PolicyInvalid, "want a plain whole number"},
		"float":                   {swap("threshold: 2", "threshold: 2.0"), release.PolicyInvalid, "want a plain whole number"},
		"text for a number":       {swap("threshold: 2", `threshold: "2"`), release.PolicyInvalid, "want a plain whole number"},
		"negative":                {swap("threshold: 2", "threshold: -2"), release.PolicyInvalid, "want a plain whole number"},
		"yes":                     {swap("excludePreparer: true", "excludePreparer: yes"), release.PolicyInvalid, "want true or false"},
		"True":                    {swap("excludePreparer: true", "excludePreparer: True"), release.PolicyInvalid, "want true or false"},
		"duration without unit":   {swap("168h", "168"), release.PolicyInvalid, "want a duration with a unit"},
		"duration negative":       {swap("168h", "-168h"), release.PolicyInvalid, "want a duration with a unit"},
		"time":                    {swap("2026-06-01T00:00:00Z", "2026-06-01"), release.PolicyInvalid, "want a time in UTC"},
		"validity backwards":      {swap("2026-06-01T00:00:00Z", "2024-06-01T00:00:00Z"), release.PolicyInvalid, "not after notBefore"},

		"same key, two people":       {swap(pubLine(t, "p256/bob"), pubLine(t, "ed25519/ann")), release.PolicyInvalid, "the same key as ann-1 of ann@example.com"},
		"same key, two encodings":    {swap(pubLine(t, "p256/bob"), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(skAnn)))), release.PolicyInvalid, "the same key as ann-1 of ann@example.com"},
		"same key, one person":       {swap(pubLine(t, "p256/ann"), pubLine(t, "ed25519/ann")), release.PolicyInvalid, "the same key as ann-1"},
		"same key id":                {swap("id: bob-1", "id: ann-1"), release.PolicyInvalid, `"ann-1" again`},
		"no key id":                  {swap("id: bob-1, ", ""), release.PolicyInvalid, ".id is missing"},
		"weak key":                   {swap(pubLine(t, "p256/bob"), pubLine(t, "rsa2048")), release.PolicyInvalid, "RSA key below 3072 bits"},
		"p521":                       {swap(pubLine(t, "p256/bob"), pubLine(t, "p521")), release.PolicyInvalid, "key type ecdsa-sha2-nistp521"},
		"key with options":           {swap(pubLine(t, "p256/bob"), "cert-authority "+pubLine(t, "p256/bob")), release.PolicyInvalid, "not a public key"},
		"key of another type":        {swap("ecdsa-sha2-nistp256 AAAA", "ssh-ed25519 AAAA"), release.PolicyInvalid, "first word is not the type"},
		"no key":                     {swap(`, ssh: "`+pubLine(t, "ed25519/dave")+`"`, ""), release.PolicyInvalid, ".ssh is missing"},
		"person with a wildcard":     {swap("bob@example.com: ", `"*@example.com": `), release.PolicyInvalid, "a person is a lower-case ASCII name"},
		"person in upper case":       {swap("bob@example.com: ", "Bob@example.com: "), release.PolicyInvalid, "a person is a lower-case ASCII name"},
		"person in Cyrillic":         {swap("bob@example.com: ", "b\u043eb@example.com: "), release.PolicyInvalid, "a person is a lower-case ASCII name"},
		"unknown member":             {swap("members: [eve@example.com]", "members: [zoe@example.com]"), release.PolicyInvalid, `"zoe@example.com" is not listed`},
		"member twice":               {swap("members: [eve@example.com]", "members: [eve@example.com, eve@example.com]"), release.PolicyInvalid, "again"},
		"unknown role":               {swap("{role: devops, ", "{role: ops, "), release.PolicyInvalid, `"ops" is not listed under policy.roles`},
		"threshold 0":                {swap("threshold: 2", "threshold: 0"), release.PolicyInvalid, "want at least 1"},
		"threshold of the revoked":   {swap("threshold: 2", "threshold: 5"), release.PolicyInvalid, "5, but only 4 of role devops have a key that is not revoked"},
		"role twice":                 {swap("[{role: devops, threshold: 2}]", "[{role: devops, threshold: 2}, {role: devops, threshold: 1}]"), release.PolicyInvalid, "role devops again"},
		"no approvals":               {swap("      approvals: [{role: devops, threshold: 2}]\n", ""), release.PolicyInvalid, "approvals is missing"},
		"approvals null":             {swap("approvals: [{role: devops, threshold: 2}]", "approvals:"), release.PolicyInvalid, "write [] if no approval is needed"},
		"below the floor":            {swap("threshold: 2", "threshold: 1"), release.PolicyBelowFloor, ":20: policy.environments.production asks for 1 approvals, minimums.approvals is 2"},
		"nobody, below the floor":    {swap("[{role: devops, threshold: 2}]", "[]"), release.PolicyBelowFloor, "asks for 0 approvals"},
		"revocation without reason":  {swap(", reason: laptop lost", ""), release.PolicyInvalid, "reason is missing"},
		"revocation by another hash": {swap("SHA256:", "MD5:"), release.PolicyInvalid, "keySha256"},
		"severity":                   {swap("[critical, high]", "[critical, Hihg]"), release.PolicyInvalid, `"Hihg" is not one of`},
		"app of a floor":             {swap("{shop: 7}", "{Shop: 7}"), release.PolicyInvalid, "not the name of an app"},

		"policyRoot beside policy":    {swap("policy:\n", "policyRoot: {threshold: 1}\npolicy:\n"), release.PolicyInvalid, ":6: policyRoot and policy: want one of them"},
		"service without anything":    {swap("services: {}", "services: {ci: {}}"), release.PolicyInvalid, "policy.services.ci: neither scanners nor statements"},
		"service without apps":        {service(`scanners: [trivy]`), release.PolicyInvalid, `policy.services.ci.apps is missing; write ["*"]`},
		"service, unknown scanner":    {service(`scanners: [grype], apps: ["*"]`), release.PolicyInvalid, `"grype" is not one of gitleaks, pip-audit, semgrep, snyk, trivy`},
		"service, unknown statement":  {service(`statements: [sbom], apps: ["*"]`), release.PolicyInvalid, `"sbom" is not one of commits, deployment`},
		"service with a person's key": {swap("services: {}", fmt.Sprintf(`services: {ci: {keys: [{id: ci-1, pem: "%s"}], scanners: [trivy], apps: ["*"]}}`, inlinePEM(t, "ed25519/ann"))), release.PolicyInvalid, "the same key as ann-1 of ann@example.com"},
		"minimums ask for a scanner":  {swap("scanners: []", "scanners: [trivy]"), release.PolicyBelowFloor, "production does not ask for trivy, minimums.scanners does"},
		"scan of an unknown scanner":  {swap("scans: {}", "scans: {grype: {}}"), release.PolicyInvalid, "production.scans.grype: not one of"},
		"block below the minimum":     {swap("scans: {}", "scans: {trivy: {block: [critical]}}"), release.PolicyBelowFloor, "trivy.block leaves out high, minimums.block names it"},
		"unknown severity":            {swap("scans: {}", "scans: {trivy: {unknownSeverityAs: none}}"), release.PolicyInvalid, `"none" is not one of critical, high`},
		"waiver without reason":       {swap("waivers: []", "waivers: [{id: CVE-1, scanner: trivy, expiresAt: 2026-12-01T00:00:00Z}]"), release.PolicyInvalid, "waivers[0].reason is missing"},
		"waiver without expiry":       {swap("waivers: []", "waivers: [{id: CVE-1, scanner: trivy, reason: x}]"), release.PolicyInvalid, "waivers[0].expiresAt is missing"},
		"waiver without id":           {swap("waivers: []", "waivers: [{scanner: trivy, reason: x, expiresAt: 2026-12-01T00:00:00Z}]"), release.PolicyInvalid, "waivers[0].id is missing"},
		"waiver of secrets":           {swap("waivers: []", "waivers: [{id: x, scanner: gitleaks, reason: x, expiresAt: 2026-12-01T00:00:00Z}]"), release.PolicyInvalid, "secrets are never waived"},
		"waiver by nobody":            {swap("waivers: []", "waivers: [{id: x, scanner: trivy, reason: x, approvedBy: zoe, expiresAt: 2026-12-01T00:00:00Z}]"), release.PolicyInvalid, `"zoe" is not listed`},
		"window without length":       {swap("windows: []", `windows: [{cron: "0 9 * * 1-5"}]`), release.PolicyInvalid, "windows[0].for is missing"},
		"window of no cron":           {swap("windows: []", `windows: [{cron: "0 9 * *", for: 1h}]`), release.PolicyInvalid, "want five fields"},
		"window of no zone":           {swap("windows: []", `windows: [{cron: "0 9 * * *", zone: Europe/Atlantis, for: 1h}]`), release.PolicyInvalid, "is no time zone"},
		"window for ever":             {swap("windows: []", `windows: [{cron: "0 9 * * *", for: 169h}]`), release.PolicyInvalid, "at most 168h"},
		"emergency without role":      {swap("windows: []", "emergency: {threshold: 1}"), release.PolicyInvalid, "emergency.role is missing"},
		"emergency, loose pattern":    {swap("windows: []", `emergency: {role: audit, threshold: 1, incidentPattern: "INC-[0-9]+"}`), release.PolicyInvalid, "from ^ to $"},
		"emergency, bad pattern":      {swap("windows: []", `emergency: {role: audit, threshold: 1, incidentPattern: "^INC-([0-9]+$"}`), release.PolicyInvalid, "incidentPattern"},
		"emergency waives secrets":    {swap("windows: []", `emergency: {role: audit, threshold: 1, incidentPattern: "^I$", mayWaive: [secrets]}`), release.PolicyInvalid, `"secrets" is not one of approvals`},
		"emergency below the floor":   {swap("windows: []", `emergency: {role: audit, threshold: 1, incidentPattern: "^I$", maxTTL: 5h}`), release.PolicyBelowFloor, "maxTTL is 5h0m0s, minimums.emergencyTTL 4h0m0s"},
		"commit signers, maybe":       {swap("excludePreparer: true", "excludePreparer: true, excludeCommitSigners: yes"), release.PolicyInvalid, "excludeCommitSigners: want required"},
		"PEM of nothing":              {swap(`ssh: "`+pubLine(t, "ed25519/dave"), `pem: "-----BEGIN PUBLIC KEY-----`), release.PolicyInvalid, ".pem: not a public key that teal counts"},
		"OpenPGP of nothing":          {swap(`ssh: "`+pubLine(t, "ed25519/dave"), `openpgp: "-----BEGIN`), release.PolicyInvalid, ".openpgp: not a public key that teal counts"},
		"two encodings of one key":    {swap(`ssh: "`+pubLine(t, "ed25519/dave")+`"`, fmt.Sprintf(`ssh: "%s", pem: "%s"`, pubLine(t, "ed25519/dave"), inlinePEM(t, "ed25519/dave"))), release.PolicyInvalid, "ssh and pem; want one of them"},
		"one key as SSH and as PEM":   {swap(`ssh: "`+pubLine(t, "ed25519/dave")+`"`, fmt.Sprintf(`pem: "%s"`, inlinePEM(t, "ed25519/ann"))), release.PolicyInvalid, "the same key as ann-1 of ann@example.com"},

		"bind of the root":       {swap("binds: []", "binds: [{source: /}]"), release.PolicyInvalid, "/ can never be allowed"},
		"bind of the socket":     {swap("binds: []", "binds: [{source: /var/run/docker.sock}]"), release.PolicyInvalid, "can never be allowed"},
		"bind above teal":        {swap("binds: []", "binds: [{source: /var/lib}]"), release.PolicyInvalid, "/var/lib can never be allowed"},
		"bind below teal":        {swap("binds: []", "binds: [{source: /var/lib/teal-proxy/x}]"), release.PolicyInvalid, "can never be allowed"},
		"bind not clean":         {swap("binds: []", "binds: [{source: /srv/../etc}]"), release.PolicyInvalid, "not a clean absolute path"},
		"bind relative":          {swap("binds: []", "binds: [{source: srv}]"), release.PolicyInvalid, "not a clean absolute path"},
		"bind propagation":       {swap("binds: []", "binds: [{source: /srv/x, propagation: all}]"), release.PolicyInvalid, "want slave"},
		"device memory":          {swap("devices: []", "devices: [/dev/mem]"), release.PolicyInvalid, "can never be allowed"},
		"device above":           {swap("devices: []", "devices: [/dev/../etc]"), release.PolicyInvalid, "not a device"},
		"namespace":              {swap("namespaces: []", "namespaces: [host]"), release.PolicyInvalid, "not one of pid:host"},
		"namespace of container": {swap("namespaces: []", `namespaces: ["pid:container:x"]`), release.PolicyInvalid, "not one of pid:host"},
		"capability":             {swap("capabilities: []", `capabilities: ["*"]`), release.PolicyInvalid, "not a capability"},
		"route wildcard":         {swap("routes: [api.example.com]", `routes: ["*.example.com"]`), release.PolicyInvalid, "without wildcards"},
		"route upper case":       {swap("routes: [api.example.com]", `routes: [API.example.com]`), release.PolicyInvalid, "lower-case host name"},
		"access for a colour":    {swap("hostAccess: {shop:", "hostAccess: {shop-blue:"), release.PolicyInvalid, "not the name of an app"},
		"escape sequence":        {swap("kind: Trust", "kind: Trust\n\"\\e[2J\": x"), release.PolicyInvalid, `unknown key "\x1b[2J"`},
	} {
		_, err := ParsePolicy("trust.yaml", []byte(c.text))
		var bad *PolicyError
		if !errors.As(err, &bad) {
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
		if bad.Problems[0].Code != c.code {
			t.Errorf("%s: code %s, want %s", name, bad.Problems[0].Code, c.code)
		}
		for i, p := range bad.Problems {
			if i > 0 && p.Line < bad.Problems[i-1].Line {
				t.Errorf("%s: problems are not in the order of lines: %v", name, err)
			}
		}
	}
}

func TestPolicyReportsAllProblemsAtOnce(t *testing.T) {
	text := strings.NewReplacer("threshold: 2", "threshold: 0", "kind: Trust", "kind: Rust", "windows: []", "windows: [x]", "168h", "x").Replace(production(t))
	_, err := ParsePolicy("/etc/teal/trust.yaml", []byte(text))
	var bad *PolicyError
	if !errors.As(err, &bad) || len(bad.Problems) < 4 {
		t.Fatalf("%v", err)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, "/etc/teal/trust.yaml:") {
			t.Errorf("no file and line: %s", line)
		}
	}
}

func TestNeverPaths(t *testing.T) {
	n := newNeverPaths([]string{"/opt/teal/state", "unix:///srv/engine/docker.sock", "tcp://10.0.0.1:2375", "", "relative"})
	for _, p := range []string{"/", "/proc", "/proc/1/root", "/sys/fs/cgroup", "/dev", "/dev/sda", "/etc", "/etc/teal", "/etc/teal/trust.yaml", "/var", "/var/lib", "/var/lib/teal",
		"/var/lib/teal-proxy", "/var/lib/teal-2/x", "/run", "/run/teal", "/run/teal-proxy/default.sock", "/var/run", "/var/run/docker.sock", "/run/docker.sock", "/var/lib/docker",
		"/var/lib/docker/volumes/x", "/run/containerd/containerd.sock", "/opt", "/opt/teal", "/opt/teal/state", "/opt/teal/state/x", "/srv", "/srv/engine", "/srv/engine/docker.sock",
		"//etc//teal/", "/srv/media/../../etc/teal", "/run/../run/docker.sock"} {
		if _, yes := n.covers(p); !yes {
			t.Errorf("%s is not covered", p)
		}
	}
	for _, p := range []string{"/srv/media", "/home/x", "/etc/ssl/certs", "/var/lib/tea", "/var/lib/dockerx", "/opt/teal/statex", "/opt/other", "/runx", "/procs", "/devel", "/var/log", "/run/user"} {
		if rule, yes := n.covers(p); yes {
			t.Errorf("%s is covered by %s", p, rule)
		}
	}
}
