package trust

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

// fuzzedPolicy holds for every policy that loads: the host's own rules are there and ask
// for no less than the minimums, and no key has two owners.
func fuzzedPolicy(t *testing.T, p *Policy, err error) {
	var bad *PolicyError
	if err != nil {
		if !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Fatalf("an error without problems: %v", err)
		}
		for _, x := range bad.Problems {
			if _, ok := release.Lookup(x.Code); !ok || strings.ContainsAny(x.Message, "\x1b\x00") {
				t.Fatalf("%q %q", x.Code, x.Message)
			}
		}
		return
	}
	if p.Root != nil && p.Version == 0 {
		return // trust.yaml of a chain: no rules of its own
	}
	rules, ok := p.Environments[p.Environment]
	sum := 0
	for _, r := range rules.Approvals {
		sum += r.Threshold
	}
	if !ok || sum < p.Minimums.Approvals {
		t.Fatalf("rules %v, %d approvals, the minimum is %d", ok, sum, p.Minimums.Approvals)
	}
	for _, name := range p.Minimums.Scanners {
		if _, asks := rules.Scans[name]; !asks {
			t.Fatalf("does not ask for %s", name)
		}
	}
	owners := map[string]string{}
	for _, k := range append(p.PersonKeys(), p.ServiceKeys("*")...) {
		owner := k.Person + "/" + k.Service
		if first, again := owners[k.raw()]; again && k.raw() != "" && first != owner {
			t.Fatalf("one key of %s and of %s", first, owner)
		}
		owners[k.raw()] = owner
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(production(f)))
	f.Add([]byte(chainHost(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy("trust.yaml", data)
		fuzzedPolicy(t, p, err)
	})
}

// chainHost is a trust.yaml that takes its policy from a chain.
func chainHost(t testing.TB) string {
	return fmt.Sprintf("apiVersion: teal/v1\nkind: Trust\nrepoId: %s\nenvironment: production\nminimums: {approvals: 2}\npolicyRoot: {threshold: 2, keys: [{person: ann@example.com, ssh: \"%s\"}, {person: bob@example.com, ssh: \"%s\"}], minVersion: 7}\n",
		testRepo, pubLine(t, "ed25519/ann"), pubLine(t, "p256/bob"))
}

func FuzzPolicyBody(f *testing.F) {
	host, err := ParsePolicy("trust.yaml", []byte(chainHost(f)))
	if err != nil {
		f.Fatal(err)
	}
	seed := fmt.Sprintf(`{"apiVersion":"teal/v1","kind":"TrustPolicy","repoId":"%s","version":7,"expiresAt":"2099-01-01T00:00:00Z","root":{"threshold":2,"members":["ann@example.com","bob@example.com"]},"people":{"ann@example.com":{"keys":[{"id":"ann-1","ssh":"%s"}]},"bob@example.com":{"keys":[{"id":"bob-1","ssh":"%s"}]}},"roles":{"devops":{"members":["ann@example.com","bob@example.com"]}},"environments":{"production":{"approvals":[{"role":"devops","threshold":2}],"scans":{"trivy":{"maxAge":"24h"}},"windows":[{"cron":"0 9 * * 1-5","zone":"Europe/Berlin","for":"8h"}]}}}`,
		testRepo, pubLine(f, "ed25519/ann"), pubLine(f, "p256/bob"))
	if _, err := ParsePolicyBody("policy.7.json", []byte(seed), host); err != nil {
		f.Fatal(err) // the accept path must be among the seeds
	}
	f.Add([]byte(seed))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicyBody("policy.7.json", data, host)
		fuzzedPolicy(t, p, err)
		if err == nil && (p.Version < 1 || p.Root == nil || p.Root.Threshold < 1 || p.RepoID != host.RepoID) {
			t.Fatalf("%+v", p)
		}
	})
}
