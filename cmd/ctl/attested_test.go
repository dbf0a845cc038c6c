package main

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	imageA = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	imageB = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"
)

var ticksAt = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// pipelinePolicy lists one service that may state tests and deployments, of shop only.
func pipelinePolicy(t *testing.T, more string) (*trust.Policy, trust.Key) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	policy, err := trust.ParsePolicy("trust.yaml", []byte(`apiVersion: teal/v1
kind: Trust
repoId: 5f0c1c2e-8a57-4a43-9b38-1f2f5f7d9e11
environment: production
policy:
  services: {ci: {keys: [{id: ci-1, ssh: "`+line+`"`+more+`}], statements: [test-result, deployment], apps: [shop]}}
  environments: {production: {approvals: []}}
`))
	if err != nil {
		t.Fatal(err)
	}
	keys := policy.ServiceKeys("shop")
	if len(keys) != 1 {
		t.Fatalf("%d keys", len(keys))
	}
	return policy, keys[0]
}

func twoImages(app string) wanted {
	return wanted{rel: &release.Release{Environment: "production", App: app, Source: release.Source{Commit: strings.Repeat("a", 40)}, Services: []release.Service{
		{Name: "a", Image: "registry.example.test/a@sha256:" + imageA}, {Name: "b", Image: "registry.example.test/b@sha256:" + imageB}}}}
}

// TestTestsTick: verified only when every image has a passed result of a service that may
// say so; one that failed is against it.
func TestTestsTick(t *testing.T) {
	policy, key := pipelinePolicy(t, "")
	old, oldKey := pipelinePolicy(t, ", notAfter: 2026-01-01T00:00:00Z")
	result := func(passed bool, subjects ...string) trust.Attestation {
		word := map[bool]string{true: "PASSED", false: "FAILED"}[passed]
		return trust.Attestation{Key: key, Subjects: subjects, Tests: &trust.TestResult{Passed: passed, Result: word}}
	}
	change := func(a trust.Attestation, f func(*trust.Attestation)) trust.Attestation { f(&a); return a }
	both := result(true, imageA, imageB)
	for name, c := range map[string]struct {
		policy   *trust.Policy
		app      string
		have     []trust.Attestation
		verified bool
		against  bool
	}{
		"both images in one":        {policy, "shop", []trust.Attestation{both}, true, false},
		"both images in two":        {policy, "shop", []trust.Attestation{result(true, imageA), result(true, imageB)}, true, false},
		"nothing":                   {policy, "shop", nil, false, false},
		"one image only":            {policy, "shop", []trust.Attestation{result(true, imageA)}, false, false},
		"one image twice":           {policy, "shop", []trust.Attestation{result(true, imageA), result(true, imageA)}, false, false},
		"failed beside passed":      {policy, "shop", []trust.Attestation{both, result(false, imageB)}, false, true},
		"failed for another image":  {policy, "shop", []trust.Attestation{both, result(false, strings.Repeat("0", 64))}, true, false},
		"app that it may not serve": {policy, "mail", []trust.Attestation{both}, false, false},
		"of a key that expired":     {old, "shop", []trust.Attestation{change(both, func(a *trust.Attestation) { a.Key = oldKey })}, false, false},
		"of no key":                 {policy, "shop", []trust.Attestation{change(both, func(a *trust.Attestation) { a.Key = trust.Key{} })}, false, false},
		"not understood":            {policy, "shop", []trust.Attestation{change(both, func(a *trust.Attestation) { a.Problem = &trust.Finding{} })}, false, false},
	} {
		got, _ := testsTick(trust.Evidence{Attested: c.have}, twoImages(c.app), c.policy, ticksAt)
		if got.Verified != c.verified || (got.Against != "") != c.against {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestStagingTick: verified only by a young deployment of all these images from the same
// commit, elsewhere.
func TestStagingTick(t *testing.T) {
	policy, key := pipelinePolicy(t, "")
	good := trust.Deployment{Environment: "staging", App: "shop", Commit: strings.Repeat("a", 40), Baked: 41 * time.Minute, Hosts: []string{"stg-1"}, FinishedOn: ticksAt.Add(-time.Hour)}
	for name, c := range map[string]struct {
		change   func(d *trust.Deployment, a *trust.Attestation)
		verified bool
	}{
		"control": {func(*trust.Deployment, *trust.Attestation) {}, true},
		"more images": {func(_ *trust.Deployment, a *trust.Attestation) {
			a.Subjects = append(a.Subjects, strings.Repeat("0", 64))
		}, true},
		"an image is missing": {func(_ *trust.Deployment, a *trust.Attestation) { a.Subjects = a.Subjects[:1] }, false},
		"another app":         {func(d *trust.Deployment, _ *trust.Attestation) { d.App = "mail" }, false},
		"this environment":    {func(d *trust.Deployment, _ *trust.Attestation) { d.Environment = "production" }, false},
		"another commit":      {func(d *trust.Deployment, _ *trust.Attestation) { d.Commit = strings.Repeat("b", 40) }, false},
		"no commit":           {func(d *trust.Deployment, _ *trust.Attestation) { d.Commit = "" }, false},
		"too old":             {func(d *trust.Deployment, _ *trust.Attestation) { d.FinishedOn = ticksAt.Add(-8 * 24 * time.Hour) }, false},
		"of the future":       {func(d *trust.Deployment, _ *trust.Attestation) { d.FinishedOn = ticksAt.Add(time.Hour) }, false},
		"not understood":      {func(_ *trust.Deployment, a *trust.Attestation) { a.Problem = &trust.Finding{} }, false},
	} {
		d := good
		a := trust.Attestation{Key: key, Subjects: []string{imageA, imageB}}
		c.change(&d, &a)
		a.Deployment = &d
		if got, _ := stagingTick(trust.Evidence{Attested: []trust.Attestation{a}}, twoImages("shop"), policy, ticksAt); got.Verified != c.verified {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
