package release

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func placed(t testing.TB) *Release {
	t.Helper()
	text, err := os.ReadFile("testdata/good/placed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, problems := Parse(fstest.MapFS{Manifest: &fstest.MapFile{Data: text}}, "staging", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

func TestHere(t *testing.T) {
	r := placed(t)
	for name, c := range map[string]struct {
		labels    map[string]string
		here      []string
		elsewhere string
	}{
		"no labels":                 {nil, nil, "zone: eu-1, which this host does not have"},
		"another zone":              {map[string]string{"zone": "eu-2", "role": "web"}, nil, "this host has eu-2"},
		"a web host":                {map[string]string{"zone": "eu-1", "role": "web"}, []string{"backend", "redis"}, ""},
		"a batch host":              {map[string]string{"zone": "eu-1", "role": "batch"}, []string{"backend-b", "redis", "worker"}, ""},
		"the batch host with beat":  {map[string]string{"zone": "eu-1", "role": "batch", "beat": "yes"}, []string{"backend-b", "beat", "redis", "worker"}, ""},
		"a label nobody asks about": {map[string]string{"zone": "eu-1", "role": "web", "x": "y"}, []string{"backend", "redis"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			here, elsewhere := r.Here(Host{Labels: c.labels})
			if !slices.Equal(here, c.here) || !strings.Contains(elsewhere, c.elsewhere) || (elsewhere == "") != (c.elsewhere == "") {
				t.Errorf("%v %q", here, elsewhere)
			}
		})
	}
	r.Services = slices.DeleteFunc(r.Services, func(s Service) bool { return s.Name == "redis" })
	if here, elsewhere := r.Here(Host{Labels: map[string]string{"zone": "eu-1"}}); here != nil || !strings.Contains(elsewhere, "no service of the app runs on this host") {
		t.Errorf("no service fits: %v %q", here, elsewhere)
	}
	r.Placement = nil
	for i := range r.Services {
		r.Services[i].Placement = nil
	}
	if here, elsewhere := r.Here(Host{}); here != nil || elsewhere != "" {
		t.Errorf("without placement every host runs all: %v %q", here, elsewhere)
	}
}

// TestOnly: what runs on a host, its routes and smoke requests are those of its services.
func TestOnly(t *testing.T) {
	r := placed(t)
	web, err := r.Only([]string{"backend", "redis"})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := r.Only([]string{"backend-b", "redis", "worker"})
	if err != nil {
		t.Fatal(err)
	}
	if web.Content == batch.Content || web.Content == r.Content || web.Digest != r.Digest || len(r.Services) != 6 {
		t.Error("content is of what runs, the digest of the directory; the whole release stays")
	}
	if routes := web.Routes(); len(routes) != 1 || routes[0].Service != "backend" || len(web.Smoke) != 1 {
		t.Errorf("routes %v, smoke %v", routes, web.Smoke)
	}
	worker, err := r.Only([]string{"worker"})
	if err != nil || len(worker.Smoke) != 0 || len(worker.Routes()) != 0 || len(worker.Jobs) != 1 || len(web.Jobs) != 0 {
		t.Errorf("a smoke request that no route covers, or a job of another host: %v %v %v", worker.Smoke, web.Jobs, err)
	}
	alone, err := r.Only([]string{"backend-b"})
	if err != nil || len(alone.Services[0].Config.DependsOn) != 0 {
		t.Errorf("an optional dependency that runs elsewhere is waited for: %v %v", alone.Services, err)
	}
	if s, _ := r.Service("backend-b"); len(s.Config.DependsOn) != 1 {
		t.Error("the whole release lost a dependency")
	}
	if all, err := r.Only(nil); all != r || err != nil {
		t.Error("nil names all services")
	}
	if d := cmp.Diff(map[string]Placement{"beat": {"zone": "eu-1", "role": "batch", "beat": "yes"}}, r.Singletons()); d != "" {
		t.Error(d)
	}
	if r.Apart("backend", r, "worker") != true || r.Apart("beat", r, "worker") || r.Apart("redis", r, "beat") {
		t.Error("apart")
	}
}

// TestOnlyIsPure: whatever a host runs, two reads plan the same, and what is planned is
// what it runs.
func TestOnlyIsPure(t *testing.T) {
	r, again := placed(t), placed(t)
	rapid.Check(t, func(t *rapid.T) {
		labels := map[string]string{"zone": "eu-1"}
		for _, name := range []string{"role", "beat"} {
			if v := rapid.SampledFrom([]string{"", "web", "batch", "yes"}).Draw(t, name); v != "" {
				labels[name] = v
			}
		}
		h := Host{Name: "h1", EdgeNetwork: "edge", Labels: labels}
		here, elsewhere := r.Here(h)
		if elsewhere != "" {
			t.Fatalf("redis fits every host of the zone: %s", elsewhere)
		}
		var plans [2]SetSpec
		var contents [2]Digest
		for i, whole := range []*Release{r, again} {
			rel, err := whole.Only(here)
			if err != nil {
				t.Fatal(err)
			}
			plans[i], err = Plan(rel, h, Blue, Target{}, "", func(string, int) netip.Addr { return netip.Addr{} })
			if err != nil {
				t.Fatal(err)
			}
			contents[i] = rel.Content
		}
		if d := cmp.Diff(plans[0], plans[1], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" || contents[0] != contents[1] {
			t.Fatalf("not pure: %s", d)
		}
		for _, c := range plans[0].Containers {
			if !slices.Contains(here, c.Service) {
				t.Fatalf("%s is planned and does not run here", c.Service)
			}
		}
	})
}

func TestLabelProblem(t *testing.T) {
	for _, ok := range [][2]string{{"beat", "yes"}, {"example.com/zone", "eu-1"}, {"a", "1"}, {"rack", "a:b/c.d_e"}} {
		if p := LabelProblem(ok[0], ok[1]); p != "" {
			t.Errorf("%v: %s", ok, p)
		}
	}
	for _, bad := range [][2]string{{"", "a"}, {"a b", "a"}, {"-a", "a"}, {"a", ""}, {"a", "b c"}, {"a", "-"}, {"a", strings.Repeat("x", 64)}, {"a", "\x1b[31m"}, {"ä", "a"}} {
		if LabelProblem(bad[0], bad[1]) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
