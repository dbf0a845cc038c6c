package release

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sketch is a manifest in the making: lines for each service, network and volume, so
// that they can be written in any order.
type sketch struct {
	services []string
	rest     string
}

// drawSketch makes a manifest that is sound: names that try to collide (a, a-1, blue),
// all classes, replicas, own and external networks, volumes, and dependencies that have
// nothing to do with the order of the names.
func drawSketch(t *rapid.T) sketch {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "a-1", "a-1-1", "a_1", "b", "b.c", "blue", "blue-a", "green-a", "default", "X"}), 1, 6, rapid.ID[string]).Draw(t, "names")
	class := map[string]string{}
	var s sketch
	modes := map[string]bool{}
	for i, name := range names {
		class[name] = rapid.SampledFrom([]string{"routed", "handover", "shared"}).Draw(t, "class of "+name)
		var b strings.Builder
		fmt.Fprintf(&b, "  %s:\n    image: %s\n", name, image)
		if class[name] != "shared" {
			fmt.Fprintf(&b, "    scale: %d\n", rapid.IntRange(1, 3).Draw(t, "scale"))
		}
		if env := rapid.SliceOfN(rapid.StringMatching(`[ -#%-~]{0,8}`), 0, 2).Draw(t, "env"); len(env) > 0 {
			b.WriteString("    environment:\n")
			for n, v := range env {
				quoted, _ := json.Marshal(v)
				fmt.Fprintf(&b, "      V%d: %s\n", n, quoted)
			}
		}
		networks := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"default", "front", "outside"}), 0, 3, rapid.ID[string]).Draw(t, "networks")
		if len(networks) > 0 {
			b.WriteString("    networks: {")
			for _, n := range networks {
				alias := ""
				if n != "outside" || class[name] == "shared" {
					alias = "{aliases: [alias-" + strings.NewReplacer(".", "-", "_", "-").Replace(name) + "]}"
				}
				fmt.Fprintf(&b, "%s: %s, ", n, alias)
			}
			b.WriteString("}\n")
		}
		volume := rapid.SampledFrom([]string{"", "data", "state", "ext"}).Draw(t, "volume")
		if volume != "" {
			fmt.Fprintf(&b, "    volumes: [\"%s:/mnt\"]\n", volume)
			if class[name] != "shared" {
				modes[volume] = true
			}
		}
		var depends []string
		for _, on := range names[:i] {
			late := class[on] == "handover" && class[name] == "routed"
			if !(class[name] == "shared" && class[on] != "shared") && !late && rapid.Bool().Draw(t, "depends") {
				depends = append(depends, on)
			}
		}
		if len(depends) > 0 {
			fmt.Fprintf(&b, "    depends_on: [%s]\n", strings.Join(depends, ", "))
		}
		switch class[name] {
		case "routed":
			fmt.Fprintf(&b, "    x-teal: {route: {host: h%d.example.com, port: %d}, probe: {}}\n", i, 8000+i)
		case "shared":
			b.WriteString("    x-teal: {shared: true}\n")
		}
		s.services = append(s.services, b.String())
	}
	s.rest = "volumes: {data: {}, state: {}, ext: {external: true, name: company}}\nnetworks: {front: {internal: true}, outside: {external: true, name: lan}}\nx-teal:\n  version: v1.0.0\n  sequence: 1\n"
	if len(modes) > 0 {
		s.rest += "  volumes: {"
		for _, v := range sorted(modes) {
			s.rest += v + ": overlap, "
		}
		s.rest += "}\n"
	}
	return s
}

func (s sketch) text(order []int) string {
	var b strings.Builder
	b.WriteString("name: shop\nservices:\n")
	for i := range s.services {
		if order != nil {
			i = order[i]
		}
		b.WriteString(s.services[i])
	}
	return b.String() + s.rest
}

// TestProperties: whatever the manifest, the sets that are made of it can live beside
// each other on one host.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSketch(t)
		text := s.text(nil)
		r, problems := Parse(manifest(text), "staging", "shop")
		if len(problems) > 0 {
			t.Fatalf("%s\n%s", problems.Error(), text)
		}
		host := testHost
		host.Prefix = rapid.SampledFrom([]string{"", "t1-", "a-b-"}).Draw(t, "prefix")
		target := Target{r.Digest, "aa"}
		sets := map[Colour]SetSpec{}
		for _, c := range []Colour{Blue, Green} {
			var err error
			if sets[c], err = Plan(r, host, c, target, "1.1", testAddress(r)); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
		}
		var err error
		if sets[Shared], err = PlanShared(r, host, target); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		check := func(is bool, format string, args ...any) {
			if !is {
				t.Fatalf(format+"\n%s", append(args, text)...)
			}
		}

		names := map[string]bool{}
		for colour, set := range sets {
			made, addresses := map[string]NetworkSpec{}, map[netip.Addr]string{}
			for _, n := range set.Networks {
				made[n.Name] = n
			}
			volumes := map[string]bool{}
			for _, v := range set.Volumes {
				volumes[v.Name] = true
				check(v.External == (v.Name == "company"), "volume %s: external %v", v.Name, v.External)
				check(v.External || strings.HasPrefix(v.Name, host.Prefix+"shop_"), "volume %s", v.Name)
			}
			placed := map[string]bool{}
			for _, c := range set.Containers {
				check(!names[c.Name], "two containers are %s", c.Name)
				names[c.Name] = true
				service, _ := r.Service(c.Service)
				check(service.Shared == (colour == Shared), "%s is in the set of %q", c.Service, colour)
				for _, d := range c.DependsOn {
					on, _ := r.Service(d.Service)
					check(on.Shared != service.Shared || placed[d.Service], "%s stands before %s", c.Name, d.Service)
				}
				placed[c.Service] = true
				for i, e := range c.Endpoints {
					last := i == len(c.Endpoints)-1
					if c.Class == ClassRouted && last {
						check(e.Network == host.EdgeNetwork && e.IPv4.Is4() && len(e.Aliases) == 0, "%s: edge %+v", c.Name, e)
						check(addresses[e.IPv4] == "", "%s and %s share an address", c.Name, addresses[e.IPv4])
						addresses[e.IPv4] = c.Name
						continue
					}
					n, ok := made[e.Network]
					check(ok && e.Network != host.EdgeNetwork && !e.IPv4.IsValid(), "%s: endpoint %+v", c.Name, e)
					own := Colour(n.Labels[LabelColour]) == colour && !n.External
					named := slices.Contains(e.Aliases, c.Service)
					check(named == (own || colour == Shared), "%s on %s: aliases %v", c.Name, e.Network, e.Aliases)
				}
				for _, m := range c.Mounts {
					check(volumes[m.Source], "%s mounts %s", c.Name, m.Source)
				}
				check(c.Labels[LabelApp] == "shop" && c.Labels[LabelInstance] == host.Instance && Colour(c.Labels[LabelColour]) == colour, "%s: labels %v", c.Name, c.Labels)
			}
			// What the set makes, somebody in it uses.
			for name := range made {
				used := slices.ContainsFunc(set.Containers, func(c ContainerSpec) bool {
					return slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Network == name })
				})
				check(used, "%q makes %s for nobody", colour, name)
			}
		}
		for _, n := range sets[Blue].Networks {
			also := slices.ContainsFunc(sets[Green].Networks, func(o NetworkSpec) bool { return o.Name == n.Name })
			check(also == (n.External || n.Labels[LabelColour] == ""), "network %s is in both colours: %v", n.Name, also)
			for _, o := range sets[Shared].Networks {
				check(o.Name != n.Name || cmp.Equal(o, n), "the shared network is described in two ways: %s", cmp.Diff(o, n))
			}
		}
		check(cmp.Equal(sets[Blue].Volumes, sets[Green].Volumes), "the colours have different volumes")

		// The token and the target are no part of a container's specification.
		other, err := Plan(r, host, Blue, Target{Digest: "ff", Inputs: "bb"}, "2.2", testAddress(r))
		check(err == nil, "%v", err)
		for i, c := range other.Containers {
			was := sets[Blue].Containers[i]
			check(c.Name != was.Name && c.Labels[LabelSpec] == was.Labels[LabelSpec] && len(c.Labels[LabelSpec]) == 64, "%s: %s and %s", c.Name, was.Name, was.Labels[LabelSpec])
		}

		// Equal bytes, equal results; and the order in a file means nothing.
		again, _ := Parse(manifest(text), "staging", "shop")
		check(cmp.Equal(asJSON(t, r), asJSON(t, again)), "not equal: %s", cmp.Diff(asJSON(t, r), asJSON(t, again)))
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1)).Perm(len(s.services))
		mixed, problems := Parse(manifest(s.text(order)), "staging", "shop")
		check(len(problems) == 0, "%v", problems)
		check(mixed.Content == r.Content, "content depends on the order")
	})
}

func asJSON(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEnvValues: what the strict reader takes, Compose's own reads in the same way.
func TestEnvValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching("([A-C]=[ -~]{0,6}\n){1,3}").Draw(t, "file")
		sameEnv(t, []byte(text))
	})
}

// odd are values that readers of YAML and of Compose take in different ways.
var odd = []string{`""`, "~", "null", "0", "1", "-1", "1.5", "1e3", "0x10", "010", "0o10", "1_000", ".inf", ".nan", "999999999999999999999", "true", "yes", "on", "False",
	"[]", "{}", "[a]", "{a: b}", "[[a]]", "[~]", "{a: ~}", "2026-01-01", "10:20:30", "/", "//", "/../x", "a/../b", ".", "..", "./x", "~/x", "a:b", "a:b:c:d", ":", "a=b", "=", "=b",
	"'a b'", `"a\nb"`, `"\u0000"`, `"\u001b[31m"`, `"\u2028"`, "é", "'$$'", "'$'", "'%'", "'#'", "5s", "0s", "-5s", "1h1m", "100000h", "5", "5m", "1g", "0b", "-1b", "1.5g", "99999999999g",
	"CMD", "[CMD]", "[CMD, x]", "[NONE]", "NONE", "host", "none", "service:a", "container:a", "no", "'no'", "always:3", "on-failure:999", "SIGKILL", "9", "00", "127.0.0.1", "::1", "[::1]", "host-gateway",
	"backend", "redis", "worker", "default", "data", "front", "service_healthy", "http", "1%", "100%", "101%", "0.5%", "2xx", "6xx", "200-100"}

// TestTwisted puts odd values in the place of sound ones, one or two at a time: what
// is still accepted is accepted by Compose as well, and nothing breaks.
func TestTwisted(t *testing.T) {
	full := string(read(t, "testdata/good/full.yaml"))
	// What stands behind a colon, a dash, a comma or a bracket, outside comments.
	places := regexp.MustCompile(`(?m)(?:: |- |, |\[)([^\s,\[\]{}#&*][^,\[\]{}\n]*)`).FindAllStringSubmatchIndex(full, -1)
	if len(places) < 150 {
		t.Fatalf("only %d places", len(places))
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		for range 3 { // of one draw, for each is quick
			text := full
			at := rapid.SliceOfNDistinct(rapid.IntRange(0, len(places)-1), 1, 2, rapid.ID[int]).Draw(t, "places")
			slices.Sort(at)
			slices.Reverse(at)
			for _, p := range at {
				text = text[:places[p][2]] + rapid.SampledFrom(odd).Draw(t, "value") + text[places[p][3]:]
			}
			if judged(t, []byte(text)) {
				accepted++
			}
			if t.Failed() {
				t.Fatalf("%v", cmp.Diff(full, text))
			}
		}
	})
	if accepted < 5 {
		t.Errorf("only %d accepted: the values are too odd to show anything", accepted)
	}
}

// TestKeys gives every key of every table each kind of value: nothing breaks, and what
// is accepted is accepted by Compose.
func TestKeys(t *testing.T) {
	base := "name: shop\nservices:\n  b: {image: " + image + "}\n  a:\n    image: " + image + "\n%s\nx-teal: {version: v1, sequence: 1}\n"
	values := []string{"", "[]", "{}", "''", "1", "-1", "true", "a", "b", "/a", "5s", "[a]", "[b]", "[1]", "{a: b}", "{b: }", "{a: 1}", "{a: {}}", "[a=b]", "[{}]", "[[]]", "[a, a]"}
	for _, table := range []struct {
		in   string
		keys object
	}{
		{"    %s: %s", serviceKeys},
		{"    healthcheck: {%s: %s}", healthcheck},
		{"    deploy: {%s: %s}", deploy},
		{"    deploy: {resources: {limits: {%s: %s}}}", object{"cpus": nil, "memory": nil, "pids": nil}},
		{"    deploy: {resources: {reservations: {%s: %s}}}", object{"memory": nil}},
		{"    logging: {%s: %s}", object{"driver": nil, "options": nil}},
		{"    volumes: [{type: tmpfs, target: /x, %s: %s}]", mountForm},
		{"    volumes: [{type: bind, source: /x, target: /x, bind: {%s: %s}}]", object{"propagation": nil, "create_host_path": nil}},
		{"    networks: {default: {%s: %s}}", serviceNetwork},
		{"    depends_on: {b: {condition: service_started, %s: %s}}", object{"required": nil}},
		{"    networks: [n]\nnetworks: {n: {%s: %s}}", networkKeys},
		{"    volumes: [\"vol:/x:ro\"]\nvolumes: {vol: {%s: %s}}", volumeKeys},
	} {
		for _, key := range sorted(table.keys) {
			for _, value := range values {
				text := fmt.Sprintf(base, fmt.Sprintf(table.in, key, value))
				if judged(t, []byte(text)); t.Failed() {
					t.Logf("%s: %s", key, value)
				}
			}
		}
	}
	for _, key := range sorted((&parser{rel: defaults("staging", "shop")}).appKeys()) {
		for _, value := range values {
			judged(t, []byte("name: shop\nservices: {a: {image: "+image+"}}\nx-teal:\n  version: v1\n  sequence: 1\n  "+key+": "+value+"\n"))
		}
	}
}

// seeds are the manifests of the corpus with a few that are no manifests.
func seeds(t testing.TB) [][]byte {
	out := [][]byte{{}, []byte("\x00"), []byte("a: &a [*a]"), []byte("<<: {a: 1}\na: 2\n"), []byte("? |\n  x\n: !!binary x\n"), []byte("x-teal: {smoke: [{http: }]}")}
	for _, kind := range []string{"good", "bad"} {
		cases := corpus(t, kind)
		for _, name := range sorted(cases) {
			text, err := fs.ReadFile(cases[name], Manifest)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
	}
	return out
}
