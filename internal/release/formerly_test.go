package release

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// renamedShop is the example shop under another name.
func renamedShop(t *testing.T, more string) *Release {
	t.Helper()
	dir := "../../examples/shop/environments/production/shop/"
	files := fstest.MapFS{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files[e.Name()] = &fstest.MapFile{Data: read(t, dir+e.Name()), Mode: 0o644}
	}
	text := strings.Replace(string(files[Manifest].Data), "name: shop\n", "name: store\n", 1)
	files[Manifest].Data = []byte(strings.Replace(text, "\nx-teal:\n", "\nx-teal:\n"+more, 1))
	r, problems := Parse(files, "production", "store")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

// TestPlanOfRenamed: an app under another name has containers, networks and files of its
// own, and the volumes and shared services of the name that it had.
func TestPlanOfRenamed(t *testing.T) {
	r := renamedShop(t, "  formerly: shop\n")
	if r.Formerly != "shop" {
		t.Fatalf("formerly %q", r.Formerly)
	}
	host := testHost
	host.Origin = "shop"
	target := Target{Digest: Digest(hex64), Inputs: "00112233aabbccdd"}
	sets := plans(t, r, host, target, "3.17")
	for colour, set := range sets {
		name := string(colour)
		if colour == Shared {
			name = "shared"
		}
		text, err := json.MarshalIndent(canonical(reflect.ValueOf(set)), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "spec/renamed-"+name+".json", string(text)+"\n")
	}
	// What is shared is the same to the byte, so nobody stops it.
	shop, problems := Parse(os.DirFS("../../examples/shop/environments/production/shop"), "production", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	before := plans(t, shop, testHost, target, "3.17")
	if was, now := before[Shared], sets[Shared]; !reflect.DeepEqual(was, now) {
		t.Errorf("the shared services of the renamed app are others:\n%+v\n%+v", was, now)
	}
	if was, now := before[Blue].Volumes, sets[Blue].Volumes; !reflect.DeepEqual(was, now) {
		t.Errorf("the volumes are others:\n%+v\n%+v", was, now)
	}
	for i, c := range sets[Blue].Containers {
		if c.Name == before[Blue].Containers[i].Name || c.Labels[LabelApp] != "store" {
			t.Errorf("container %s of app %s", c.Name, c.Labels[LabelApp])
		}
	}
	// Where it had no other name, everything is its own.
	own := plans(t, r, testHost, target, "")
	if own[Shared].App != "store" || own[Shared].Project != "t1-store" {
		t.Errorf("on a fresh host: %s of %s", own[Shared].Project, own[Shared].App)
	}
}

func TestFormerlyRefused(t *testing.T) {
	base := string(read(t, "testdata/good/rig.yaml"))
	for value, says := range map[string]string{
		"shop": "is the app's own name", "shop-blue": "is not the name of an app", "Store": "is not the name of an app", "\"\"": "is empty", "[store]": "formerly",
	} {
		text := strings.Replace(base, "\nx-teal:\n", "\nx-teal:\n  formerly: "+value+"\n", 1)
		_, problems := Parse(manifest(text), "staging", "shop")
		if len(problems) == 0 || !strings.Contains(problems.Error(), says) || problems[0].Line == 0 {
			t.Errorf("formerly: %s: %v", value, problems)
		}
	}
	text := "name: shop\nx-teal: {version: v1, sequence: 3, absent: true, formerly: store}\n"
	if _, problems := Parse(manifest(text), "staging", "shop"); !strings.Contains(problems.Error(), "x-teal.formerly: nothing of it runs after a removal") {
		t.Errorf("a removal with a former name: %v", problems)
	}
}
