package release

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const jobsText = `name: shop
services:
  backend:
    image: registry.example.com/shop/backend@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    entrypoint: [/entry]
    command: [serve]
    environment: {A: b}
    healthcheck: {test: [CMD, /check]}
    depends_on: {store: {condition: service_started}}
    x-teal: {route: {host: shop.example.test, port: 8000}, probe: {path: /}}
  store:
    image: registry.example.com/shop/store@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    x-teal: {shared: true}
x-teal:
  version: v1.2.3
  sequence: 42
  jobs:
    - {name: collect, service: backend, command: collect --all, when: before-switch}
    - {name: undo, service: backend, command: [undo], when: on-revert, scope: host, timeout: 30s}
`

func parseText(t *testing.T, text string) *Release {
	t.Helper()
	r, problems := Parse(fstest.MapFS{Manifest: {Data: []byte(text)}}, "staging", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

// TestJobs: what a manifest says of its jobs, and the containers that they become: the
// service's own but for what serves users or others.
func TestJobs(t *testing.T) {
	r := parseText(t, jobsText)
	want := []Job{
		{Name: "collect", Service: "backend", Command: []string{"collect", "--all"}, When: BeforeSwitch, Scope: "fleet", Timeout: 10 * time.Minute, Line: 18},
		{Name: "undo", Service: "backend", Command: []string{"undo"}, When: OnRevert, Scope: "host", Timeout: 30 * time.Second, Line: 19},
	}
	if diff := cmp.Diff(want, r.Jobs); diff != "" {
		t.Error(diff)
	}
	target := Target{Digest: Digest(strings.Repeat("ab", 32)), Inputs: "i"}
	set, err := Plan(r, Host{Name: "h", EdgeNetwork: "edge"}, Green, target, "1.2", func(string, int) netip.Addr { return netip.MustParseAddr("10.0.0.2") })
	if err != nil || len(set.Jobs) != 2 {
		t.Fatal(set.Jobs, err)
	}
	service, job := set.Containers[0], set.Jobs[0]
	if job.Name != "shop-green-job-collect-a42a3569" || job.Service != "job:collect" || job.Labels[LabelService] != "job:collect" ||
		!slices.Equal(job.Command, []string{"collect", "--all"}) || !slices.Equal(job.Entrypoint, service.Entrypoint) || !slices.Equal(job.Env, service.Env) || job.Image != service.Image {
		t.Errorf("%+v", job)
	}
	if job.Address().IsValid() || job.Route != nil || job.Probe != nil || job.DependsOn != nil || job.Health.Test[0] != "NONE" {
		t.Errorf("it would serve or be watched: %+v", job)
	}
	for _, e := range job.Endpoints {
		if len(e.Aliases) > 0 || e.Network == "edge" {
			t.Errorf("on %s it would be taken for %v", e.Network, e.Aliases)
		}
	}
	if service.Labels[LabelSpec] == job.Labels[LabelSpec] || set.Jobs[1].Labels[LabelSpec] == job.Labels[LabelSpec] {
		t.Error("another command, and the same specification")
	}
	if shared, err := PlanShared(r, Host{}, target); err != nil || len(shared.Jobs) > 0 {
		t.Errorf("jobs outside the colours: %v %v", shared.Jobs, err)
	}
}

// TestJobsAreContent: a quarantined release with another job is another release; where
// the job stands in the file is not.
func TestJobsAreContent(t *testing.T) {
	was := parseText(t, jobsText).Content
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"command": {"collect --all", "collect", false},
		"when":    {"when: before-switch", "when: after-switch", false},
		"timeout": {"timeout: 30s", "timeout: 31s", false},
		"none":    {"    - {name: undo, service: backend, command: [undo], when: on-revert, scope: host, timeout: 30s}\n", "", false},
		"line":    {"  jobs:\n", "  jobs:\n\n", true},
	} {
		if now := parseText(t, strings.Replace(jobsText, c.old, c.new, 1)).Content; (now == was) != c.same {
			t.Errorf("%s: the same %v, want %v", name, now == was, c.same)
		}
	}
}
