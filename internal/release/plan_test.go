package release

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var testHost = Host{Name: "web-1", Instance: "0c1d2e3f-0000-4000-8000-000000000001", Prefix: "t1-", EdgeNetwork: "t1-teal-edge", Files: "/var/lib/teal/files",
	Given: Given{Secrets: map[string]string{"database-url": strings.Repeat("0d", 16), "api-key": strings.Repeat("0a", 16)}, Env: map[string]string{"HOST": "web-1", "ZONE": "a"}}}

// testAddress gives each replica an address of its own.
func testAddress(r *Release) func(string, int) netip.Addr {
	return func(service string, n int) netip.Addr {
		for i, s := range r.Services {
			if s.Name == service {
				return netip.AddrFrom4([4]byte{10, 213, byte(i), byte(n + 1)})
			}
		}
		return netip.Addr{}
	}
}

func testTarget(r *Release) Target { return Target{Digest: r.Digest, Inputs: "00112233aabbccdd"} }

// plans are the sets of a release in both colours and the shared one.
func plans(t testing.TB, r *Release, h Host, target Target, token string) map[Colour]SetSpec {
	t.Helper()
	out := map[Colour]SetSpec{}
	for _, c := range []Colour{Blue, Green} {
		set, err := Plan(r, h, c, target, token, testAddress(r))
		if err != nil {
			t.Fatal(err)
		}
		out[c] = set
	}
	set, err := PlanShared(r, h, target)
	if err != nil {
		t.Fatal(err)
	}
	out[Shared] = set
	return out
}

// TestPlanGolden shows every specification of the example shop and of a manifest that
// has every key, field by field; fields without a value are left out.
func TestPlanGolden(t *testing.T) {
	shop, problems := Parse(os.DirFS("../../examples/shop/environments/production/shop"), "production", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, r := range map[string]*Release{"shop": shop, "full": parsed(t, corpus(t, "good")["full"]), "files": parsed(t, corpus(t, "good")["files"]), "secrets": parsed(t, corpus(t, "good")["secrets"])} {
		// The example may be edited freely: its digest is not what this is about.
		target := Target{Digest: Digest(hex64), Inputs: "00112233aabbccdd"}
		for colour, set := range plans(t, r, testHost, target, "3.17") {
			if colour == Shared {
				colour = "shared"
			}
			text, err := json.MarshalIndent(canonical(reflect.ValueOf(set)), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "spec/"+name+"-"+string(colour)+".json", string(text)+"\n")
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	r := parsed(t, corpus(t, "good")["rig"])
	six := func(string, int) netip.Addr { return netip.MustParseAddr("fd00::1") }
	for name, c := range map[string]struct {
		host    Host
		colour  Colour
		address func(string, int) netip.Addr
		want    string
	}{
		"no colour":     {testHost, Shared, testAddress(r), "not a colour"},
		"other colour":  {testHost, "red", testAddress(r), "not a colour"},
		"prefix":        {Host{Prefix: "t1", EdgeNetwork: "edge"}, Blue, testAddress(r), "does not end in a dash"},
		"no edge":       {Host{}, Blue, testAddress(r), "no edge network"},
		"not an IPv4":   {testHost, Blue, six, "not an IPv4 address"},
		"no address is": {testHost, Blue, nil, ""},
	} {
		_, err := Plan(r, c.host, c.colour, testTarget(r), "", c.address)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSpecSum: what changes a container changes its sum, and nothing else does.
func TestSpecSum(t *testing.T) {
	base := string(read(t, "testdata/good/rig.yaml"))
	sums := func(text string, h Host, inputs, token string) map[string]string {
		r := parsed(t, manifest(text))
		out := map[string]string{}
		for _, set := range plans(t, r, h, Target{r.Digest, inputs}, token) {
			for _, c := range set.Containers {
				out[c.Service+"/"+string(set.ID.Colour)] = c.Labels[LabelSpec]
			}
		}
		return out
	}
	was := sums(base, testHost, "aa", "1.1")
	if len(was) != 7 {
		t.Fatalf("%d containers: %v", len(was), was)
	}
	renamed := testHost
	renamed.Name = "web-2"
	edit := func(old, new string) string {
		if !strings.Contains(base, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(base, old, new, 1)
	}
	store := "    command: [store]\n"
	for name, c := range map[string]struct {
		text    string
		host    Host
		inputs  string
		token   string
		changes []string
	}{
		"token":              {base, testHost, "aa", "9.9", nil},
		"no token":           {base, testHost, "aa", "", nil},
		"inputs":             {base, testHost, "bb", "1.1", nil},
		"host":               {base, renamed, "aa", "1.1", nil},
		"version":            {edit("version: v1.2.0", "version: v1.2.1"), testHost, "aa", "1.1", nil},
		"crash limit":        {edit(store, store+"    restart: on-failure:9\n"), testHost, "aa", "1.1", nil},
		"probe":              {edit("passes: 3", "passes: 4"), testHost, "aa", "1.1", nil},
		"empty parts":        {edit(store, store+"    sysctls: {}\n    tmpfs: []\n    dns: []\n    logging: {options: {}}\n"), testHost, "aa", "1.1", nil},
		"environment":        {edit(store, store+"    environment: {A: \"\"}\n"), testHost, "aa", "1.1", []string{"store/"}},
		"label":              {edit(store, store+"    labels: {a: \"\"}\n"), testHost, "aa", "1.1", []string{"store/"}},
		"tmpfs":              {edit(store, store+"    tmpfs: /tmp\n"), testHost, "aa", "1.1", []string{"store/"}},
		"init that is false": {edit(store, store+"    init: false\n"), testHost, "aa", "1.1", []string{"store/"}},
		"worker":             {edit("[worker]", "[worker, now]"), testHost, "aa", "1.1", []string{"worker/blue", "worker/green"}},
	} {
		var changed []string
		for service, sum := range sums(c.text, c.host, c.inputs, c.token) {
			if was[service] != sum {
				changed = append(changed, service)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, c.changes) {
			t.Errorf("%s changed %v, want %v", name, changed, c.changes)
		}
	}
}

// TestSharedIsTheSame: the specification of a shared service is equal across releases
// and colours in all that the engine keeps of it.
func TestSharedIsTheSame(t *testing.T) {
	text := string(read(t, "testdata/good/rig.yaml"))
	one := parsed(t, manifest(text))
	two := parsed(t, manifest(strings.NewReplacer("v1.2.0", "v1.3.0", "sequence: 42", "sequence: 43").Replace(text)))
	a, b := plans(t, one, testHost, testTarget(one), "")[Shared], plans(t, two, testHost, testTarget(two), "")[Shared]
	if one.Digest == two.Digest {
		t.Fatal("the releases are the same")
	}
	for _, set := range []*SetSpec{&a, &b} {
		for i := range set.Containers {
			delete(set.Containers[i].Labels, LabelRelease)
		}
		set.ID = SetID{}
	}
	if d := cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" {
		t.Error(d)
	}
}

// TestContent: two releases that run the same have equal content.
func TestContent(t *testing.T) {
	base := string(read(t, "testdata/good/rig.yaml"))
	was := parsed(t, manifest(base))
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"version":     {"version: v1.2.0\n", "version: v9\n", true},
		"sequence":    {"sequence: 42", "sequence: 43", true},
		"source":      {"shop.git", "store.git", true},
		"prepared by": {"ci-bot", "ann", true},
		"links":       {"  preparedBy: ci-bot\n", "  links: {a: \"https://example.com\"}\n", true},
		"a comment":   {"x-teal:\n", "# said\nx-teal:\n", true},
		"a form":      {"command: [store]", "command: store", true},
		"a variable":  {"3s", "4s", false},
		"a route":     {"path: /ai/", "path: /gw/", false},
		"a probe":     {"path: /healthz", "path: /ready", false},
		"an image":    {"store@sha256:0", "store@sha256:1", false},
		"a class":     {"    x-teal: {shared: true}\n", "", false},
		"crash limit": {"command: [worker]", "command: [worker]\n    restart: \"no\"", false},
	} {
		text := strings.Replace(base, c.old, c.new, 1)
		if text == base {
			t.Fatalf("%s: nothing replaced", name)
		}
		if now := parsed(t, manifest(text)); (now.Content == was.Content) != c.same || now.Digest == was.Digest {
			t.Errorf("%s: content %s, was %s", name, now.Content.Short(), was.Content.Short())
		}
	}
}

// TestTargets: names tell the targets of one colour apart, and inputs are part of one.
func TestTargets(t *testing.T) {
	seen := map[string]Target{}
	for _, target := range []Target{{"aa", ""}, {"ab", ""}, {"aa", "1"}, {"aa", "2"}, {"aa1", ""}} {
		short := target.Short()
		if other, again := seen[short]; again || len(short) != 8 {
			t.Errorf("%+v and %+v are both %q", target, other, short)
		}
		seen[short] = target
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestEnvFiles: who wins, and that only the Snapshot is read.
func TestEnvFiles(t *testing.T) {
	r := parsed(t, corpus(t, "good")["env"])
	set := plans(t, r, testHost, testTarget(r), "")[Blue]
	want := map[string][]string{
		"backend": {"A.B-C=1", "COMMON=1", `DOUBLE=it's # here`, "EMPTY=", "FROM=manifest", "LAST=no newline", `PLAIN=a b=c, "d" 'e' \n#nothing`, `SINGLE=$HOME "x" # here`, "SPACES=  two  ", "WHO=environment"},
		"worker":  {"COMMON=1", "EMPTY=", `PLAIN=a b=c, "d" 'e' \n#nothing`, "SPACES=  two  ", "WHO=common"},
	}
	for _, c := range set.Containers {
		if d := cmp.Diff(want[c.Service], c.Env); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.Service, d)
		}
	}
}

// TestManyEnvFiles: one file for many services is read once and judged once.
func TestManyEnvFiles(t *testing.T) {
	var b strings.Builder
	b.WriteString("name: shop\nservices:\n")
	for _, name := range []string{"a", "b", "c"} {
		b.WriteString("  " + name + ": {image: \"" + image + "\", env_file: app.env}\n")
	}
	b.WriteString("x-teal: {version: v1, sequence: 1}\n")
	dir := fstest.MapFS{Manifest: {Data: []byte(b.String())}, "app.env": {Data: []byte("A=1\nB\n")}}
	if _, problems := Parse(dir, "staging", "shop"); len(problems) != 1 || problems[0].Line != 2 {
		t.Errorf("%v", problems)
	}
}
