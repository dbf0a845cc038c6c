package attacks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/trust"
)

// attack is one way to try it: it changes a fixture that would be accepted.
type attack struct {
	row  int
	name string
	do   func(f *fixture)
}

// sshKeygen signs with the reference tool.
func (f *fixture) sshKeygen(name, namespace string, data []byte) []byte {
	f.t.Helper()
	cmd := exec.Command("ssh-keygen", "-Y", "sign", "-f", keyFile(f.t, name), "-n", namespace)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// dsse is a bare envelope with a signature as it is given.
func dsse(payloadType string, payload, sig []byte) []byte {
	b := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"payloadType":"%s","payload":"%s","signatures":[{"sig":"%s"}]}`, payloadType, b(payload), b(sig))
}

// ecdsaSign signs a message with a P-256 key.
func (f *fixture) ecdsaSign(name string, message []byte) []byte {
	f.t.Helper()
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key(f.t, name).(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return sig
}

func approvers(names ...string) func(*fixture) { return func(f *fixture) { f.signers = names } }

func states(change func(*fixture, *trust.Statement)) func(*fixture) {
	return func(f *fixture) { f.statement = func(s *trust.Statement) { change(f, s) } }
}

// emergency turns the approval into one, signed by heidi alone.
func emergency(f *fixture, incident string, ttl time.Duration, waives ...string) {
	f.signers, f.namespace = []string{"ed25519-heidi"}, trust.NamespaceEmergency
	f.statement = func(s *trust.Statement) {
		trust.AsEmergency(incident, "checkout is down for every user", waives...)(s)
		s.ExpiresAt = s.IssuedAt.Add(ttl)
	}
}

func report(scanner, format, text string) func(*fixture) {
	return func(f *fixture) { f.scans[scanner].format, f.scans[scanner].report = format, text }
}

func vulnerable(severity string) string {
	return trivyReport(`{"VulnerabilityID":"CVE-2026-1234","PkgName":"openssl","InstalledVersion":"3.0","Severity":` + severity + `}`)
}

const waived = `waivers: [{id: CVE-2026-1234, scanner: trivy, app: shop, package: openssl, reason: not reachable, approvedBy: heidi@example.com, expiresAt: %s}]`

// waive puts a waiver of the finding into the policy, with edits.
func waive(pairs ...string) func(*fixture) {
	return func(f *fixture) {
		f.scans[trust.Trivy].report = vulnerable(`"CRITICAL"`)
		text := fmt.Sprintf(waived, f.now.Add(48*time.Hour).Format(time.RFC3339))
		f.editPolicy("waivers: []", swap(f.t, text, pairs...))
	}
}

var attacks = []attack{
	{0, "the control: nothing is wrong", func(*fixture) {}},
	{1, "one approval", approvers("ed25519-ann")},
	{2, "the same signature twice", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("copy.sig", func(s []byte) []byte { return f.sign("ed25519-ann", trust.NamespaceApproval, s) })
	}},
	{3, "two signatures by one ECDSA key", func(f *fixture) {
		f.signers = nil
		f.opinion("1.sig", func(s []byte) []byte { return f.sshKeygen("p256-bob", trust.NamespaceApproval, s) })
		f.opinion("2.sig", func(s []byte) []byte { return f.sshKeygen("p256-bob", trust.NamespaceApproval, s) })
	}},
	{4, "two keys of one person", approvers("ed25519-ann", "p256-ann")},
	{5, "one key as SSHSIG and as DSSE", func(f *fixture) {
		f.signers = []string{"p256-bob"}
		f.opinion("bob.sigstore.json", func(s []byte) []byte { out, _ := trust.SignEnvelope(key(f.t, "p256-bob"), s); return out })
	}},
	{5, "control: SSHSIG of one, DSSE of another", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("bob.sigstore.json", func(s []byte) []byte { out, _ := trust.SignEnvelope(key(f.t, "p256-bob"), s); return out })
	}},
	{6, "one key under two people", func(f *fixture) {
		f.earlier = f.parsed()
		f.editPolicy(sshLine(f.t, "p256-bob"), sshLine(f.t, "ed25519-ann"))
	}},
	{6, "one key as SSH and as PEM", func(f *fixture) {
		f.earlier = f.parsed()
		f.editPolicy(`ssh: "`+sshLine(f.t, "p256-bob")+`"`, `pem: "`+inline(pemText(f.t, "p256-ann"))+`"`)
	}},
	{7, "a byte of the manifest changed after approval", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.write(releaseDir+"/release.yaml", []byte(f.manifest+"#\n"))
			f.commit("a small correction", "ed25519-ci")
		}
	}},
	{7, "line ends changed after approval", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.write(releaseDir+"/release.yaml", []byte(strings.ReplaceAll(f.manifest, "\n", "\r\n")))
			f.commit("line ends", "ed25519-ci")
		}
	}},
	{8, "approval.json re-indented", func(f *fixture) {
		f.rewrite = func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`,"`), []byte(`, "`)) }
	}},
	{9, "approval for staging", states(func(_ *fixture, s *trust.Statement) { s.Environment = "staging" })},
	{10, "approval for another app", states(func(_ *fixture, s *trust.Statement) { s.App = "other" })},
	{11, "approval of another repository", states(func(_ *fixture, s *trust.Statement) { s.RepoID = strings.Replace(repoID, "5f", "6f", 1) })},
	{11, "the repository is another one", func(f *fixture) { f.teal = swap(f.t, f.teal, "5f0c", "6f0c") }},
	{12, "namespace git", func(f *fixture) { f.namespace = "git" }},
	{12, "namespace file", func(f *fixture) { f.namespace = "file" }},
	{12, "namespace of emergencies", func(f *fixture) { f.namespace = trust.NamespaceEmergency }},
	{13, "the second signer has no role", approvers("ed25519-ann", "ed25519-eve")},
	{13, "the second signer is a stranger", approvers("ed25519-ann", "ed25519-stranger")},
	{13, "the pipeline's key approves", approvers("ed25519-ann", "p256-ci")},
	{14, "a key past notAfter", approvers("ed25519-ann", "ed25519-carol-old")},
	{14, "a key before notBefore", approvers("ed25519-ann", "ed25519-carol-next")},
	{14, "a revoked key", revoke("p256-bob")},
	{15, "the approval has expired", states(func(f *fixture, s *trust.Statement) { s.ExpiresAt = f.now.Add(-time.Second) })},
	{15, "control: expired, and it runs already", func(f *fixture) {
		f.statement = func(s *trust.Statement) { s.ExpiresAt = f.now.Add(-time.Second) }
		f.raw = func(f *fixture) { f.live() }
	}},
	{16, "issued in the future", states(func(f *fixture, s *trust.Statement) {
		s.IssuedAt, s.ExpiresAt = f.now.Add(6*time.Minute), f.now.Add(time.Hour)
	})},
	{16, "expires before it is issued", func(f *fixture) {
		f.rewrite = func(b []byte) []byte {
			return bytes.Replace(b, []byte(f.now.Add(24*time.Hour).Format(time.RFC3339)), []byte(f.now.Add(-24*time.Hour).Format(time.RFC3339)), 1)
		}
	}},
	{16, "holds for too long", states(func(_ *fixture, s *trust.Statement) { s.ExpiresAt = s.IssuedAt.Add(169 * time.Hour) })},
	{17, "an older sequence with its old approval", func(f *fixture) {
		f.manifest = manifest("v1.2.1", 40)
		f.statement = func(s *trust.Statement) { s.Sequence = 40 }
	}},
	{18, "the same sequence with other content", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.past.Accepted.Sequence, f.past.Accepted.Digest = 42, release.Digest(strings.Repeat("e", 64))
		}
	}},
	{19, "a sequence far ahead", func(f *fixture) {
		f.manifest = manifest("v1.2.3", 2000)
		f.statement = func(s *trust.Statement) { s.Sequence = 2000 }
	}},
	{19, "a sequence above 2^53-1", func(f *fixture) { f.editManifest("sequence: 42", "sequence: 9007199254740992") }},
	{19, "a negative sequence", func(f *fixture) { f.editManifest("sequence: 42", "sequence: -1") }},
	{19, "a sequence with a fraction", func(f *fixture) { f.editManifest("sequence: 42", "sequence: 42.0") }},
	{19, "a sequence as text", func(f *fixture) { f.editManifest("sequence: 42", `sequence: "42"`) }},
	{20, "the preparer is one of two", approvers("ed25519-ann", "ed25519-dave")},
	{20, "whoever committed the release is one of two", func(f *fixture) { f.commitKey = "p256-bob" }},
	{20, "an unsigned commit", func(f *fixture) { f.commitKey = "" }},
	{21, "another image was approved", states(func(_ *fixture, s *trust.Statement) {
		s.Images = []string{strings.Replace(image, imageHex, imageHex2, 1)}
	})},
	{21, "the same digest under another name", states(func(_ *fixture, s *trust.Statement) {
		s.Images = []string{strings.Replace(image, "shop/backend", "shop/other", 1)}
	})},
	{21, "one image more was approved", states(func(_ *fixture, s *trust.Statement) {
		s.Images = append(s.Images, "registry.example.com/shop/zz@sha256:"+imageHex2)
	})},
	{22, "an image by tag", func(f *fixture) { f.editManifest("@sha256:"+imageHex, ":v1.2.3") }},
	{22, "control: tag and digest, the digest counts", func(f *fixture) { f.editManifest("backend@sha256", "backend:v1@sha256") }},
	{24, "the scan is of another platform", func(f *fixture) { f.scans[trust.Trivy].target["platform"] = "linux/arm64" }},
	{24, "an index, and the scan does not say which", func(f *fixture) {
		delete(f.scans[trust.Trivy].target, "platform")
		f.facts = map[string]trust.ImageFacts{imageHex: {Platform: "linux/amd64", Manifest: imageHex2, Config: configHex}}
	}},
	{25, "no attestation of gitleaks", func(f *fixture) { delete(f.scans, trust.Gitleaks) }},
	{26, "another image's attestation in this folder", func(f *fixture) { f.scans[trust.Trivy].subject = imageHex2 }},
	{27, "the report is of another image", func(f *fixture) {
		f.scans[trust.Trivy].report = strings.Replace(trivyReport(""), imageHex, imageHex2, 1)
	}},
	{27, "the report's config is another image's", func(f *fixture) {
		f.facts = map[string]trust.ImageFacts{imageHex: {Platform: "linux/amd64", Manifest: imageHex, Config: imageHex2}}
	}},
	{27, "control: the report's config is the image's", func(f *fixture) {
		f.facts = map[string]trust.ImageFacts{imageHex: {Platform: "linux/amd64", Manifest: imageHex, Config: configHex}}
	}},
	{28, "signed by an unknown key", func(f *fixture) { f.scans[trust.Trivy].key = "p256-stranger" }},
	{28, "signed by an approver", func(f *fixture) { f.scans[trust.Trivy].key = "p256-bob" }},
	{28, "signed by the key of another scanner", func(f *fixture) { f.scans[trust.Trivy].key = "p256-code" }},
	{29, "the hint names a trusted key", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			out, _ := trust.SignEnvelope(key(f.t, "p256-stranger"), p)
			return bytes.Replace(out, []byte(trust.KeyHint(key(f.t, "p256-stranger").Public())), []byte(trust.KeyHint(key(f.t, "p256-ci").Public())), 1)
		}
	}},
	{30, "no signatures", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			return fmt.Appendf(nil, `{"payloadType":"%s","payload":"%s","signatures":[]}`, trust.PayloadTypeInToto, base64.StdEncoding.EncodeToString(p))
		}
	}},
	{30, "a bare statement", func(f *fixture) { f.scans[trust.Trivy].seal = func(p []byte) []byte { return p } }},
	{31, "the payload was altered", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			sig := f.ecdsaSign("p256-ci", trust.PAE(trust.PayloadTypeInToto, p))
			return dsse(trust.PayloadTypeInToto, append(p, ' '), sig)
		}
	}},
	{32, "payload type application/json", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			return dsse("application/json", p, f.ecdsaSign("p256-ci", trust.PAE("application/json", p)))
		}
	}},
	{32, "an approval offered as a scan", func(f *fixture) {
		f.scans[trust.Trivy].predicateType = trust.PredicateTypeApproval
	}},
	{32, "a scan offered as an approval", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("bob.sigstore.json", func([]byte) []byte {
			out, _ := trust.SignEnvelope(key(f.t, "p256-bob"), []byte(f.scans[trust.Trivy].statementText(f.t)))
			return out
		})
	}},
	{33, "signed over the bare payload", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte { return dsse(trust.PayloadTypeInToto, p, f.ecdsaSign("p256-ci", p)) }
	}},
	{34, "ECDSA as r and s", func(f *fixture) {
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			sum := sha256.Sum256(trust.PAE(trust.PayloadTypeInToto, p))
			r, s, err := ecdsa.Sign(rand.Reader, key(f.t, "p256-ci").(*ecdsa.PrivateKey), sum[:])
			if err != nil {
				f.t.Fatal(err)
			}
			return dsse(trust.PayloadTypeInToto, p, append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
		}
	}},
	{34, "Ed25519ph", func(f *fixture) {
		f.editPolicy(inline(pemText(f.t, "p256-ci")), inline(pemText(f.t, "ed25519-scan")))
		for _, s := range f.scans {
			s.key = "ed25519-scan"
		}
		f.scans[trust.Trivy].seal = func(p []byte) []byte {
			sum := sha512.Sum512(trust.PAE(trust.PayloadTypeInToto, p))
			sig, err := key(f.t, "ed25519-scan").Sign(nil, sum[:], &ed25519.Options{Hash: crypto.SHA512})
			if err != nil {
				f.t.Fatal(err)
			}
			return dsse(trust.PayloadTypeInToto, p, sig)
		}
	}},
	{34, "an RSA key of 1024 bits, with SHA-1", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("weak.sig", func([]byte) []byte { return foreign(f, "ssh-rsa", "ssh-rsa") })
	}},
	{35, "a scan that is too old", func(f *fixture) {
		s := f.scans[trust.Trivy]
		s.started, s.ended, s.db = f.now.Add(-26*time.Hour), f.now.Add(-25*time.Hour), f.now.Add(-27*time.Hour)
	}},
	{35, "a database that was too old", func(f *fixture) { f.scans[trust.Trivy].db = f.now.Add(-72 * time.Hour) }},
	{35, "no word about the database", func(f *fixture) { f.scans[trust.Trivy].db = time.Time{} }},
	{35, "an old report, signed today", func(f *fixture) {
		f.scans[trust.Trivy].report = strings.Replace(trivyReport(""), `"SchemaVersion":2,`, `"SchemaVersion":2,"CreatedAt":"`+f.now.Add(-25*time.Hour).Format(time.RFC3339Nano)+`",`, 1)
	}},
	{36, "a report from the future", func(f *fixture) {
		f.scans[trust.Trivy].report = strings.Replace(trivyReport(""), `"SchemaVersion":2,`, `"SchemaVersion":2,"CreatedAt":"`+f.now.Add(6*time.Minute).Format(time.RFC3339Nano)+`",`, 1)
	}},
	{36, "a scan from the future", func(f *fixture) { f.scans[trust.Trivy].ended = f.now.Add(6 * time.Minute) }},
	{36, "a database from the future", func(f *fixture) { f.scans[trust.Trivy].db = f.now.Add(6 * time.Minute) }},
	{36, "ended before it began", func(f *fixture) { f.scans[trust.Trivy].started = f.now.Add(-10 * time.Minute) }},
	{37, "the host's clock went back", func(f *fixture) {
		f.raw = func(f *fixture) { f.past.Accepted.At = f.now.Add(time.Hour) }
	}},
	{37, "the clock was never set", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.now = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
			f.past.Accepted.At = time.Time{}
		}
	}},
	{38, "a newer, worse scan was deleted", func(f *fixture) {
		f.raw = func(f *fixture) { f.past.Scans = map[string]time.Time{imageHex + "/trivy": f.now.Add(-time.Minute)} }
	}},
	{38, "seen by this host, then deleted", func(f *fixture) {
		bad := f.newScan(trust.Trivy, "trivy-json", vulnerable(`"CRITICAL"`))
		bad.started, bad.ended = f.now.Add(-10*time.Minute), f.now.Add(-5*time.Minute)
		f.scans[trust.Trivy].more = []*scan{bad}
		f.afterLook = func(f *fixture) {
			f.git("rm", "-q", trust.AttestationDir(imageHex)+"/trivy-1.sigstore.json")
			f.commit("tidy", "")
		}
	}},
	{39, "an old clean scan and a new dirty one", func(f *fixture) {
		bad := f.newScan(trust.Trivy, "trivy-json", vulnerable(`"CRITICAL"`))
		bad.started, bad.ended = f.now.Add(-10*time.Minute), f.now.Add(-5*time.Minute)
		f.scans[trust.Trivy].more = []*scan{bad}
	}},
	{39, "control: an old dirty scan and a new clean one", func(f *fixture) {
		bad := f.newScan(trust.Trivy, "trivy-json", vulnerable(`"CRITICAL"`))
		bad.started, bad.ended = f.now.Add(-3*time.Hour), f.now.Add(-2*time.Hour)
		f.scans[trust.Trivy].more = []*scan{bad}
	}},
	{40, "an empty object", report(trust.Trivy, "trivy-json", `{}`)},
	{40, "Trivy without an operating system", report(trust.Trivy, "trivy-json", `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{}}`)},
	{40, "pip-audit without dependencies", report(trust.PipAudit, "pip-audit-json", `{"dependencies":[]}`)},
	{40, "Semgrep without files", report(trust.Semgrep, "semgrep-json", `{"results":[],"errors":[],"paths":{"scanned":[]}}`)},
	{40, "Snyk, an empty list", report(trust.Snyk, "snyk-json", `[]`)},
	{41, "exit code 1 and nothing found", func(f *fixture) { f.scans[trust.Gitleaks].exit = 1 }},
	{41, "Trivy with --severity", func(f *fixture) { f.scans[trust.Trivy].args = []string{"image", "--severity", "LOW"} }},
	{41, "Trivy with --ignore-unfixed", func(f *fixture) { f.scans[trust.Trivy].args = []string{"image", "--ignore-unfixed"} }},
	{41, "pip-audit with --ignore-vuln", func(f *fixture) { f.scans[trust.PipAudit].args = []string{"--ignore-vuln=PYSEC-1"} }},
	{41, "gitleaks with a baseline", func(f *fixture) { f.scans[trust.Gitleaks].args = []string{"dir", "--baseline-path", "b.json"} }},
	{41, "an exit code that means failure", func(f *fixture) { f.scans[trust.Semgrep].exit = 2 }},
	{42, "Semgrep with an error", report(trust.Semgrep, "semgrep-json", `{"results":[],"errors":[{"level":"error","message":"x"}],"paths":{"scanned":["a"]}}`)},
	{42, "SARIF with an error notification", report(trust.Semgrep, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"semgrep","rules":[]}},"results":[],"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"error","message":{"text":"file not found"}}]}]}]}`)},
	{42, "Snyk's error output", report(trust.Snyk, "snyk-json", `{"ok":false,"error":"no lock file"}`)},
	{43, "severity with a blank", report(trust.Trivy, "trivy-json", vulnerable(`"critical "`))},
	{43, "severity Crit", report(trust.Trivy, "trivy-json", vulnerable(`"Crit"`))},
	{43, "severity empty", report(trust.Trivy, "trivy-json", vulnerable(`""`))},
	{43, "severity null", report(trust.Trivy, "trivy-json", vulnerable(`null`))},
	{43, "severity a number", report(trust.Trivy, "trivy-json", vulnerable(`1`))},
	{43, "severity in lower case", report(trust.Trivy, "trivy-json", vulnerable(`"critical"`))},
	{43, "control: severity low in upper case", report(trust.Trivy, "trivy-json", vulnerable(`"LOW"`))},
	{44, "Snyk's severity was lowered", report(trust.Snyk, "snyk-json", `{"ok":true,"dependencyCount":7,"vulnerabilities":[{"id":"S","packageName":"p","version":"1","severity":"low","originalSeverity":"high"}]}`)},
	{45, "SARIF without level, the rule says error", report(trust.Semgrep, "sarif-2.1.0", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"semgrep","rules":[{"id":"r","defaultConfiguration":{"level":"error"}}]}},"results":[{"ruleId":"r"}]}]}`)},
	{46, "counters say 0", report(trust.Snyk, "snyk-json", `{"ok":true,"dependencyCount":7,"uniqueCount":0,"summary":"no vulnerable paths","vulnerabilities":[{"id":"S","packageName":"p","version":"1","severity":"critical"}]}`)},
	{47, "a secret", report(trust.Gitleaks, "gitleaks-json", `[{"RuleID":"aws-access-token","File":"a.py","Secret":"REDACTED"}]`)},
	{47, "a secret that Trivy calls low, with a waiver", func(f *fixture) {
		f.scans[trust.Trivy].report = swap(f.t, trivyReport(""), `"Vulnerabilities":[]`, `"Secrets":[{"RuleID":"aws","Severity":"LOW"}]`)
		f.editPolicy("waivers: []", fmt.Sprintf("waivers: [{id: aws, scanner: trivy, reason: x, expiresAt: %s}]", f.now.Add(time.Hour).Format(time.RFC3339)))
	}},
	{48, "control: a waiver that fits", waive()},
	{48, "a waiver that has expired", func(f *fixture) { waive()(f); f.now = f.now.Add(49 * time.Hour); f.refresh() }},
	{48, "a waiver for too long", func(f *fixture) {
		waive()(f)
		f.editPolicy(f.now.Add(48*time.Hour).Format(time.RFC3339), f.now.Add(91*24*time.Hour).Format(time.RFC3339))
	}},
	{48, "a waiver of another app", waive("app: shop", "app: other")},
	{48, "a waiver of another scanner", waive("scanner: trivy", "scanner: snyk")},
	{48, "a waiver of another package", waive("package: openssl", "package: openssl3")},
	{48, "an id in another case", waive("id: CVE-2026-1234", "id: cve-2026-1234")},
	{48, "an id with another dash", waive("id: CVE-2026-1234", "id: \"CVE‐2026‐1234\"")},
	{48, "control: OpenVEX of the security role", vex("ed25519-heidi", "not_affected", imageHex)},
	{48, "OpenVEX of somebody else", vex("ed25519-ann", "not_affected", imageHex)},
	{48, "OpenVEX about another image", vex("ed25519-heidi", "not_affected", imageHex2)},
	{48, "OpenVEX, under investigation", vex("ed25519-heidi", "under_investigation", imageHex)},
	{49, "a name twice in the report", report(trust.Trivy, "trivy-json", vulnerable(`"LOW","Severity":"CRITICAL"`))},
	{49, "a name twice in the statement", func(f *fixture) {
		f.scans[trust.Trivy].edit = func(s string) string { return strings.Replace(s, `"exitCode":0`, `"exitCode":0,"exitCode":1`, 1) }
	}},
	{49, "a name twice in approval.json", func(f *fixture) {
		f.rewrite = func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"sequence":42`), []byte(`"sequence":42,"sequence":42`), 1)
		}
	}},
	{50, "approval.json with a byte order mark", func(f *fixture) { f.rewrite = func(b []byte) []byte { return append([]byte("\ufeff"), b...) } }},
	{50, "approval.json with text after it", func(f *fixture) { f.rewrite = func(b []byte) []byte { return append(b, '1') } }},
	{50, "approval.json not in UTF-8", func(f *fixture) {
		f.rewrite = func(b []byte) []byte { return bytes.Replace(b, []byte("dave@"), []byte("dav\xff@"), 1) }
	}},
	{50, "approval.json nested 100,000 deep", func(f *fixture) {
		f.rewrite = func([]byte) []byte { return bytes.Repeat([]byte("["), 60_000) }
	}},
	{50, "an attestation nested 100,000 deep", func(f *fixture) {
		f.scans[trust.Trivy].report = strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	}},
	{50, "NaN in an attestation", func(f *fixture) {
		f.scans[trust.Trivy].edit = func(s string) string { return strings.Replace(s, `"exitCode":0`, `"exitCode":NaN`, 1) }
	}},
	{50, "approval.json of a megabyte", func(f *fixture) {
		f.rewrite = func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 1<<20)...) }
	}},
	{51, "a bomb of aliases", func(f *fixture) {
		bomb := "x-a: &a [1,1,1,1,1,1,1,1,1]\n"
		for i := range 6 {
			bomb += fmt.Sprintf("x-%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", 'b'+i, 'b'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i)
		}
		f.manifest += bomb
	}},
	{51, "a key twice", func(f *fixture) { f.manifest += "name: shop\n" }},
	{51, "a second document", func(f *fixture) { f.manifest += "---\nname: other\n" }},
	{51, "a tag of its own", func(f *fixture) { f.editManifest("preparedBy: dave", "preparedBy: !!binary dave") }},
	{51, "an octal number", func(f *fixture) { f.editManifest("port: 8000", "port: 010") }},
	{51, "a number with an underscore", func(f *fixture) { f.editManifest("port: 8000", "port: 8_000") }},
	{51, "an alias in the policy", func(f *fixture) {
		f.earlier = f.parsed()
		f.editPolicy("revoked: []", "revoked: &r []", "waivers: []", "waivers: *r")
	}},
	{52, "release.yaml is a symlink", func(f *fixture) { f.raw = func(f *fixture) { f.link(releaseDir + "/release.yaml") } }},
	{52, "approval.json is a symlink", func(f *fixture) {
		f.raw = func(f *fixture) { f.link(trust.ApprovalDir(env, app, f.digest) + "/approval.json") }
	}},
	{52, "a signature is a symlink", func(f *fixture) {
		f.raw = func(f *fixture) { f.link(trust.ApprovalDir(env, app, f.digest) + "/p256-bob.sig") }
	}},
	{52, "a file of the release is executable", func(f *fixture) {
		f.raw = func(f *fixture) {
			if err := os.Chmod(filepath.Join(f.work, releaseDir, "release.yaml"), 0o755); err != nil {
				f.t.Fatal(err)
			}
			f.commit("executable", "ed25519-ci")
		}
	}},
	{52, "a submodule in the release", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.git("update-index", "--add", "--cacheinfo", "160000,"+f.first+","+releaseDir+"/sub")
			f.git("-c", "commit.gpgsign=false", "commit", "-q", "-m", "submodule")
			f.git("push", "-q", "origin", "HEAD:main")
		}
	}},
	{53, "an entry ..", func(f *fixture) { f.raw = func(f *fixture) { f.craft("..") } }},
	{53, "an entry .git", func(f *fixture) { f.raw = func(f *fixture) { f.craft(".git") } }},
	{53, "an entry .GIT", func(f *fixture) { f.raw = func(f *fixture) { f.craft(".GIT") } }},
	{53, "an entry git~1", func(f *fixture) { f.raw = func(f *fixture) { f.craft("git~1") } }},
	{53, "an entry with a backslash", func(f *fixture) { f.raw = func(f *fixture) { f.craft(`a\b`) } }},
	{53, "two entries that differ in case", func(f *fixture) { f.raw = func(f *fixture) { f.craft("Release.yaml") } }},
	{53, "an entry that writes backwards", func(f *fixture) { f.raw = func(f *fixture) { f.craft("a\u202eb") } }},
	{53, "an entry with a dot at its end", func(f *fixture) { f.raw = func(f *fixture) { f.craft("a.") } }},
	{54, "filters and line ends of .gitattributes, hooks of the repository", func(f *fixture) {
		f.evidence[".gitattributes"] = []byte("* text eol=crlf filter=evil\n")
		f.evidence[".gitmodules"] = []byte("[submodule \"x\"]\n\tpath = x\n\turl = ../x\n")
		f.raw = func(f *fixture) {
			hook := filepath.Join(f.bare, "hooks", "reference-transaction")
			if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+f.dir+"/ran\n"), 0o755); err != nil {
				f.t.Fatal(err)
			}
			f.gitIn(f.bare, "config", "core.fsmonitor", "touch "+f.dir+"/ran")
			f.gitIn(f.bare, "config", "filter.evil.smudge", "touch "+f.dir+"/ran")
		}
	}},
	{55, "history was rewritten", func(f *fixture) {
		f.afterLook = func(f *fixture) {
			f.git("checkout", "-q", "--orphan", "other")
			f.git("-c", "commit.gpgsign=false", "commit", "-q", "-m", "new history")
			f.git("push", "-q", "-f", "origin", "HEAD:main")
		}
	}},
	{56, "the server serves an old state", func(f *fixture) { heartbeat(f, -25*time.Hour) }},
	{56, "no heartbeat", func(f *fixture) { f.editPolicy("  revoked: []", "  repository: {maxStaleness: 24h}\n  revoked: []") }},
	{56, "control: a fresh heartbeat", func(f *fixture) { heartbeat(f, -time.Hour) }},
	{57, "approval of one commit, release of another", func(f *fixture) {
		f.raw = func(f *fixture) {
			f.write(releaseDir+"/release.yaml", []byte(swap(f.t, f.manifest, "v1.2.3", "v1.2.4")))
			f.commit("mixed", "ed25519-ci")
		}
	}},
	{58, "the repository moves on during the evaluation", func(f *fixture) {
		f.afterLook = func(f *fixture) {
			f.write(releaseDir+"/release.yaml", []byte(swap(f.t, f.manifest, "v1.2.3", "v6.6.6")))
			f.commit("moved", "ed25519-ci")
		}
	}},
	{59, "a hundred signature files", func(f *fixture) {
		for i := range 100 {
			f.approvals[fmt.Sprintf("x%03d.sig", i)] = []byte("x")
		}
	}},
	{59, "a hundred attestations of one image", func(f *fixture) {
		for i := range 100 {
			f.evidence[fmt.Sprintf("%s/x%03d.dsse.json", trust.AttestationDir(imageHex), i)] = []byte("{}")
		}
	}},
	{59, "an attestation of 17 MiB", func(f *fixture) {
		f.evidence[trust.AttestationDir(imageHex)+"/big.dsse.json"] = bytes.Repeat([]byte("0"), 17<<20)
	}},
	{60, "garbage beside two good signatures", func(f *fixture) {
		for i := range 20 {
			f.approvals[fmt.Sprintf("x%03d.sig", i)] = []byte("garbage")
		}
		f.evidence[trust.AttestationDir(imageHex)+"/x.dsse.json"] = []byte("garbage")
	}},
	{61, "a veto by a member", func(f *fixture) {
		f.opinion("no.sig", func(s []byte) []byte { return f.sign("rsa3072-carol", trust.NamespaceReject, s) })
	}},
	{61, "control: a veto by nobody of the role", func(f *fixture) {
		f.opinion("no.sig", func(s []byte) []byte { return f.sign("ed25519-eve", trust.NamespaceReject, s) })
	}},
	{62, "control: a chain of two policies", chain(body(8, roots("ann", "bob"), ""), body(9, roots("ann", "bob"), ""))},
	{62, "the next policy signed by one of two", chain(body(8, roots("ann", "bob"), ""), body(9, roots("ann"), ""))},
	{62, "the next policy signed by one person twice", chain(body(8, roots("ann", "bob"), ""), body(9, []string{"ed25519-ann", "p256-ann"}, ""))},
	{62, "the next policy signed by a new root only", chain(body(8, roots("ann", "bob"), ""), body(9, roots("eve", "heidi"), "eve@example.com, heidi@example.com"))},
	{62, "a version is skipped", chain(body(8, roots("ann", "bob"), ""), body(10, roots("ann", "bob"), ""))},
	{62, "the version is not that of the name", chain(body(8, roots("ann", "bob"), ""), named(9, body(10, roots("ann", "bob"), "")))},
	{63, "the policy goes back", func(f *fixture) {
		chain(body(8, roots("ann", "bob"), ""), body(9, roots("ann", "bob"), ""))(f)
		f.afterLook = func(f *fixture) {
			f.git("rm", "-q", "-r", trust.PolicyFile(9), trust.PolicySignatures(9))
			f.commit("back", "")
			f.past = f.remembered()
		}
	}},
	{63, "the same version with other content", func(f *fixture) {
		chain(body(8, roots("ann", "bob"), ""))(f)
		f.afterLook = func(f *fixture) {
			b := body(8, roots("ann", "bob"), "")
			b.expires = 48 * time.Hour
			f.publish(b)
			f.commit("other", "")
			f.past = f.remembered()
		}
	}},
	{63, "the policy has expired", func(f *fixture) {
		b := body(8, roots("ann", "bob"), "")
		b.expires = -time.Hour
		chain(b)(f)
	}},
	{64, "the next policy asks for one approval", chain(body(8, roots("ann", "bob"), ""), weaker("threshold: 2", "threshold: 1"))},
	{64, "the next policy drops a scanner", chain(body(8, roots("ann", "bob"), ""), weaker(", gitleaks: {maxAge: 168h}", ""))},
	{64, "the next policy blocks less", chain(body(8, roots("ann", "bob"), ""), weaker("maxDbAge: 48h}, snyk", "maxDbAge: 48h, block: [critical]}, snyk"))},
	{65, "control: the root changes hands step by step", chain(body(7, roots("ann", "bob", "heidi"), "bob@example.com, heidi@example.com"), body(8, roots("bob", "heidi", "eve"), "heidi@example.com, eve@example.com"), body(9, roots("heidi", "eve"), "heidi@example.com, eve@example.com"))},
	{66, "one approver is compromised, and is revoked", revoke("ed25519-ann")},
	{67, "the scanner's key is revoked", revoke("p256-ci")},
	{68, "control: an emergency", func(f *fixture) { emergency(f, "INC-1234", 2*time.Hour, trust.WaiveApprovals) }},
	{68, "an emergency without the form of an incident", func(f *fixture) { emergency(f, "because", 2*time.Hour, trust.WaiveApprovals) }},
	{68, "an emergency for five hours", func(f *fixture) { emergency(f, "INC-1234", 5*time.Hour, trust.WaiveApprovals) }},
	{68, "an emergency that waives what it may not", func(f *fixture) { emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals, trust.WaiveHold) }},
	{68, "an emergency that waives secrets", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		f.rewrite = func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"waives":["approvals"]`), []byte(`"waives":["secrets"]`), 1)
		}
	}},
	{68, "an emergency by nobody of the role", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		f.signers = []string{"p256-bob"}
	}},
	{68, "an emergency signed as a normal approval", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		f.namespace = trust.NamespaceApproval
	}},
	{68, "an emergency with a secret in the scan", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals, trust.WaiveVulnerability, trust.WaiveCode)
		f.scans[trust.Gitleaks].report = `[{"RuleID":"aws","Secret":"REDACTED"}]`
	}},
	{68, "control: an emergency that waives a finding", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals, trust.WaiveVulnerability)
		f.scans[trust.Trivy].report = vulnerable(`"CRITICAL"`)
	}},
	{69, "an emergency after its time", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		f.raw = func(f *fixture) { f.now = f.now.Add(time.Hour) }
	}},
	{69, "an emergency of staging", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		was := f.statement
		f.statement = func(s *trust.Statement) { was(s); s.Environment = "staging" }
	}},
	{70, "a third emergency in 24 hours", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		f.raw = func(f *fixture) {
			for i := range 2 {
				f.past.Emergencies = append(f.past.Emergencies, trust.EmergencyMark{Digest: release.Digest(strings.Repeat(fmt.Sprint(i), 64)), Incident: "INC-1", At: f.now.Add(-time.Hour)})
			}
		}
	}},
	{71, "the state is lost, and the floor is set by root", func(f *fixture) {
		f.editPolicy("emergencyTTL: 4h}", "emergencyTTL: 4h, sequence: {shop: 43}}")
		f.raw = func(f *fixture) { f.past = rollout.State{App: app} }
	}},
	{71, "the state is lost, and root set the mark", func(f *fixture) {
		f.raw = func(f *fixture) { f.past = rollout.State{App: app, Accepted: rollout.Mark{Sequence: 43}} }
	}},
	{72, "text before the armour", armour(func(s []byte) []byte { return append([]byte("hello\n"), s...) })},
	{72, "carriage returns", armour(func(s []byte) []byte { return bytes.ReplaceAll(s, []byte("\n"), []byte("\r\n")) })},
	{72, "two blocks", armour(func(s []byte) []byte { return append(bytes.Clone(s), s...) })},
	{72, "text after the armour", armour(func(s []byte) []byte { return append(bytes.Clone(s), "bye\n"...) })},
	{72, "version 2", armour(func(s []byte) []byte { return blob(s, func(b []byte) []byte { b[9] = 2; return b }) })},
	{72, "bytes after the blob", armour(func(s []byte) []byte { return blob(s, func(b []byte) []byte { return append(b, 0) }) })},
	{73, "a webauthn signature", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("web.sig", func([]byte) []byte { return openssh(f, "ecdsa_sk_webauthn.sig") })
	}},
	{73, "a post-quantum signature", func(f *fixture) {
		f.signers = []string{"ed25519-ann"}
		f.opinion("pq.sig", func([]byte) []byte {
			return foreign(f, "ssh-mldsa44-ed25519@openssh.com", "ssh-mldsa44-ed25519@openssh.com")
		})
	}},
	{74, "a Cyrillic letter in an approver's name", func(f *fixture) {
		f.earlier = f.parsed()
		f.policy = strings.ReplaceAll(f.policy, "bob@", "b\u043eb@")
	}},
	{74, "an approver's name in upper case", func(f *fixture) {
		f.earlier = f.parsed()
		f.policy = strings.ReplaceAll(f.policy, "bob@", "Bob@")
	}},
	{75, "escape sequences in a finding", report(trust.Semgrep, "semgrep-json", `{"results":[{"check_id":"\u001b[2J\u001b[31mall is well\nNext: approve","path":"a","extra":{"severity":"ERROR"}}],"errors":[],"paths":{"scanned":["a"]}}`)},
	{75, "escape sequences in an emergency's reason", func(f *fixture) {
		emergency(f, "INC-1234", time.Hour, trust.WaiveApprovals)
		was := f.statement
		f.statement = func(s *trust.Statement) { was(s); s.Reason = "checkout is down for users" }
		f.scans[trust.Trivy].args = []string{"--severity=\x1b[2J"}
	}},
	{75, "escape sequences in a file's name", func(f *fixture) { f.approvals["\x1b[2Jx.sig"] = []byte("x") }},
	{76, "committed with a service key that nobody listed", func(f *fixture) { f.commitKey = "ed25519-unlisted" }},
	{76, "committed with a service key that may not commit", func(f *fixture) { f.commitKey = "p256-ci" }},
}
