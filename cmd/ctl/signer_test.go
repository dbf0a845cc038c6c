package main

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/tealops/teal/internal/trust"
)

// TestMayCount: a key is offered for signing only when it is a person's who has a say in
// that kind of statement, and is not revoked.
func TestMayCount(t *testing.T) {
	lines, keys := map[string]string{}, map[string]ssh.PublicKey{}
	for _, who := range []string{"ann", "lost", "heidi", "reader", "ci", "stranger"} {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if keys[who], err = ssh.NewPublicKey(public); err != nil {
			t.Fatal(err)
		}
		lines[who] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(keys[who])))
	}
	policy, err := trust.ParsePolicy("trust.yaml", fmt.Appendf(nil, `apiVersion: teal/v1
kind: Trust
repoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11
environment: production
policy:
  people:
    ann@example.com: {keys: [{id: ann-1, ssh: "%s"}, {id: ann-0, ssh: "%s"}]}
    heidi@example.com: {keys: [{id: heidi-1, ssh: "%s"}]}
    reader@example.com: {keys: [{id: reader-1, ssh: "%s"}]}
  services: {ci: {keys: [{id: ci-1, ssh: "%s"}], scanners: [trivy], apps: ["*"]}}
  roles: {devops: {members: [ann@example.com]}, emergency: {members: [heidi@example.com]}, readers: {members: [reader@example.com]}}
  revoked: [{keySha256: "%s", reason: laptop lost, at: 2026-10-02T00:00:00Z}]
  environments:
    production:
      approvals: [{role: devops, threshold: 1}]
      emergency: {role: emergency, threshold: 1, incidentPattern: "^INC-[0-9]+$", maxTTL: 4h, mayWaive: [approvals], maxPer24h: 2}
`, lines["ann"], lines["lost"], lines["heidi"], lines["reader"], lines["ci"], ssh.FingerprintSHA256(keys["lost"])))
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string][2]bool{ // normal, emergency
		"ann": {true, true}, "heidi": {false, true}, "lost": {false, false}, "reader": {false, false}, "ci": {false, false}, "stranger": {false, false},
	} {
		for i, kind := range []trust.Kind{trust.KindNormal, trust.KindEmergency} {
			if got := mayCount(policy, kind, keys[who]); got != want[i] {
				t.Errorf("%s, %s: %v", who, kind, got)
			}
		}
	}
}

// TestCertificatesAreNotPicked: an agent often holds a certificate beside its key.
func TestCertificatesAreNotPicked(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ann"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(strings.NewReader(strings.Repeat("x", 1000)), signer); err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	for _, k := range []agent.AddedKey{{PrivateKey: private, Comment: "ann", Certificate: cert}, {PrivateKey: private, Comment: "ann"}} {
		if err := ring.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	got, err := pickKey(ring, "", nil)
	if err != nil || got.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Errorf("%v, %v", got, err)
	}
}
