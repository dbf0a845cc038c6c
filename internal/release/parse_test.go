package release

import (
	"context"
	"encoding/json"
	options "flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = options.Bool("update", false, "write the golden files")

// golden compares a text with a file below testdata, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// corpus is the release directories below testdata/kind: a manifest alone, or a
// directory with the files that it names.
func corpus(t testing.TB, kind string) map[string]fs.FS {
	t.Helper()
	root := filepath.Join("testdata", kind)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]fs.FS{}
	for _, e := range entries {
		name, isManifest := strings.CutSuffix(e.Name(), ".yaml")
		switch {
		case e.IsDir():
			out[e.Name()] = os.DirFS(filepath.Join(root, e.Name()))
		case isManifest:
			text, err := os.ReadFile(filepath.Join(root, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = manifest(string(text))
		}
	}
	if len(out) < 3 {
		t.Fatalf("only %d cases in %s", len(out), root)
	}
	return out
}

func manifest(text string) fs.FS { return fstest.MapFS{Manifest: {Data: []byte(text)}} }

const (
	hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	image = "registry.example.com/shop/backend@sha256:" + hex64
)

// parsed is a release that has to be without problems.
func parsed(t testing.TB, dir fs.FS) *Release {
	t.Helper()
	r, problems := Parse(dir, "staging", "shop")
	if len(problems) > 0 {
		t.Fatalf("problems:\n%s", problems.Error())
	}
	return r
}

// TestBad: each bad manifest gives exactly these problems, all at once.
func TestBad(t *testing.T) {
	for name, dir := range corpus(t, "bad") {
		t.Run(name, func(t *testing.T) {
			env := "staging"
			if strings.HasPrefix(name, "production-") {
				env = "production"
			}
			r, problems := Parse(dir, env, "shop")
			if len(problems) == 0 {
				t.Fatal("no problem")
			}
			if len(r.Services)+len(r.Volumes)+len(r.Smoke) > 0 || r.Content != "" {
				t.Error("something of a bad release could be planned")
			}
			var b strings.Builder
			for _, p := range problems {
				fmt.Fprintf(&b, "%s %s\n", p.Code, p)
				if _, known := Lookup(p.Code); !known {
					t.Errorf("code %q is not in the table", p.Code)
				}
				if p.Next == "" {
					t.Errorf("no next action: %s", p)
				}
				if !strings.HasPrefix(p.File, "environments/"+env+"/shop/") {
					t.Errorf("file %q", p.File)
				}
			}
			golden(t, "bad/"+name+".golden", b.String())
		})
	}
}

// TestBadBytes: what a text file cannot show well.
func TestBadBytes(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	bombs := "name: shop\nx-a: &a [" + strings.Repeat("x,", 99) + "x]\nx-b: &b [" + strings.Repeat("*a,", 99) + "*a]\nx-c: [" + strings.Repeat("*b,", 99) + "*b]\n"
	for name, c := range map[string]struct {
		dir  fstest.MapFS
		want string
	}{
		"byte order mark":  {fstest.MapFS{Manifest: {Data: []byte("\xef\xbb\xbfname: shop\n")}}, "yaml_refused environments/staging/shop/release.yaml:1: starts with a byte order mark; save the file without it"},
		"not UTF-8":        {fstest.MapFS{Manifest: {Data: []byte("name: shop\nx: \xff\n")}}, "yaml_refused environments/staging/shop/release.yaml:2: not UTF-8; save the file as UTF-8"},
		"UTF-16":           {fstest.MapFS{Manifest: {Data: []byte("\xff\xfen\x00a\x00")}}, "yaml_refused environments/staging/shop/release.yaml:1: not UTF-8; save the file as UTF-8"},
		"a hidden line":    {fstest.MapFS{Manifest: {Data: []byte("name: shop\n# plain \u2028services: {}\n")}}, "yaml_refused environments/staging/shop/release.yaml:2: the character U+2028, which not everybody sees or reads alike; remove it, or write it as an escape in double quotes"},
		"turned text":      {fstest.MapFS{Manifest: {Data: []byte("name: shop\n# \u202e plain\n")}}, "yaml_refused environments/staging/shop/release.yaml:2: the character U+202E, which not everybody sees or reads alike; remove it, or write it as an escape in double quotes"},
		"old line ends":    {fstest.MapFS{Manifest: {Data: []byte("name: shop\r\n# plain\rservices: {}\n")}}, "yaml_refused environments/staging/shop/release.yaml:2: a carriage return without a line feed, which not everybody sees or reads alike; remove it, or write it as an escape in double quotes"},
		"hidden aliases":   {fstest.MapFS{Manifest: {Data: []byte("name: !!map &a {<<: *a}\n")}}, `yaml_refused environments/staging/shop/release.yaml:1: tag "!!map" is not allowed; remove the tag, and quote the value if it is a text`},
		"too long":         {fstest.MapFS{Manifest: {Data: []byte("#" + strings.Repeat("x", maxManifest))}}, "yaml_refused environments/staging/shop/release.yaml: longer than 1048576 bytes; make it smaller"},
		"too deep":         {fstest.MapFS{Manifest: {Data: []byte("name: shop\nx: " + deep + "\n")}}, "yaml_refused environments/staging/shop/release.yaml:2: nested deeper than 32; write it flatter"},
		"aliases":          {fstest.MapFS{Manifest: {Data: []byte(bombs)}}, "yaml_refused environments/staging/shop/release.yaml:2: more than 10000 values; write less; aliases and merge keys count written out"},
		"no manifest":      {fstest.MapFS{"release.yml": {Data: []byte("name: shop\n")}}, "release_unreadable environments/staging/shop/release.yaml: there is no release.yaml; commit it, or remove the directory"},
		"a directory":      {fstest.MapFS{Manifest + "/x": {Data: []byte("name: shop\n")}}, "release_unreadable environments/staging/shop/release.yaml: not a plain file; commit it as a plain file"},
		"an empty one":     {fstest.MapFS{Manifest: {}}, "yaml_refused environments/staging/shop/release.yaml:1: empty; write a manifest, or remove the directory"},
		"a bad name in it": {fstest.MapFS{Manifest: {Data: []byte("x-teal:")}, "a b": {}}, `release_unreadable environments/staging/shop: "a b": a name has letters, digits, dot, dash and underscore only, and no dash in front; rename it`},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse(c.dir, "staging", "shop")
			if len(problems) == 0 {
				t.Fatal("no problem")
			}
			if got := string(problems[0].Code) + " " + problems[0].String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestBadNames(t *testing.T) {
	for _, c := range []struct{ env, app, want string }{
		{"staging", "shop-blue", "not the name of an app"},
		{"staging", "Shop", "not the name of an app"},
		{"staging", "../shop", "not the name of an app"},
		{"Staging", "shop", "not the name of an environment"},
		{"", "shop", "not the name of an environment"},
	} {
		_, problems := Parse(manifest("name: "+c.app), c.env, c.app)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, c.want) {
			t.Errorf("%s/%s: %v", c.env, c.app, problems)
		}
	}
}

// TestSymbolicLinks: a work tree that is linted holds what a commit's tree cannot.
func TestSymbolicLinks(t *testing.T) {
	root := t.TempDir()
	secret := filepath.Join(root, "secret")
	if err := os.WriteFile(secret, []byte("name: shop\nservices: {secret-text: {image: x}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, links := range map[string]map[string]string{
		"manifest":  {Manifest: secret},
		"directory": {"sub": root},
		"env file":  {"app.env": secret},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, strings.ReplaceAll(name, " ", "-"))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			text := "name: shop\nservices: {a: {image: \"" + image + "\", env_file: [app.env, sub/secret]}}\nx-teal: {version: v1, sequence: 1}\n"
			if err := os.WriteFile(filepath.Join(dir, Manifest), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			for from, to := range links {
				_ = os.Remove(filepath.Join(dir, from))
				if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
					t.Fatal(err)
				}
			}
			_, problems := Parse(os.DirFS(dir), "staging", "shop")
			if len(problems) == 0 || strings.Contains(problems.Error(), "secret-text") || strings.Contains(problems.Error(), "services: {") {
				t.Errorf("followed: %v", problems)
			}
		})
	}
}

// TestGood: every good manifest parses, and Compose's own loader, strict and from the
// bytes, takes it too and reads the same values.
func TestGood(t *testing.T) {
	for name, dir := range corpus(t, "good") {
		t.Run(name, func(t *testing.T) {
			r := parsed(t, dir)
			if r.Digest == "" || r.Content == "" || r.Version == "" || r.Sequence == 0 {
				t.Errorf("not filled: %+v", r)
			}
			sameAsCompose(t, dir, r)
		})
	}
}

// sameAsCompose compares the services of a release with what Compose makes of the same
// bytes with its schema and checks on.
func sameAsCompose(t *testing.T, dir fs.FS, r *Release) {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, dir); err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(dir, Manifest)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(context.Background(), composetypes.ConfigDetails{WorkingDir: root, Environment: composetypes.Mapping{},
		ConfigFiles: []composetypes.ConfigFile{{Filename: path.Join(root, Manifest), Content: text}}}, func(o *loader.Options) {
		o.SetProjectName(r.App, true)
		o.PruneUnnecessaryResources = true
	})
	if err != nil {
		t.Fatalf("Compose refuses it: %v", err)
	}
	if diff := unlike(project, r); diff != "" {
		t.Error(diff)
	}
	for _, s := range r.Services {
		sameFiles(t, s, project.Services[s.Name])
	}
}

// unlike is where a release differs from what Compose made of the same bytes, "" for
// nowhere.
func unlike(project *composetypes.Project, r *Release) string {
	var out strings.Builder
	if len(project.Services) != len(r.Services) {
		fmt.Fprintf(&out, "Compose has %d services, we have %d\n", len(project.Services), len(r.Services))
	}
	same := cmp.Options{
		cmpopts.EquateEmpty(),
		// What teal reads by itself, and where a file lay.
		cmpopts.IgnoreFields(composetypes.ServiceConfig{}, "Extensions"),
		cmpopts.IgnoreFields(composetypes.ContainerSpec{}, "EnvFiles", "Image", "Configs", "Secrets"),
		// The long form says what the short form leaves to the engine.
		cmpopts.IgnoreFields(composetypes.ServiceVolumeBind{}, "CreateHostPath"),
		cmp.Comparer(func(a, b *composetypes.ServiceNetworkConfig) bool {
			return reflect.DeepEqual(zero(a), zero(b))
		}),
		cmp.Transformer("bind", func(b *composetypes.ServiceVolumeBind) composetypes.ServiceVolumeBind { return zero(b) }),
		cmp.Transformer("volume", func(v *composetypes.ServiceVolumeVolume) composetypes.ServiceVolumeVolume { return zero(v) }),
	}
	for _, s := range r.Services {
		theirs := project.Services[s.Name]
		theirs.DependsOn = withoutInactive(theirs.DependsOn, r)
		if d := cmp.Diff(theirs, s.Config, same); d != "" {
			fmt.Fprintf(&out, "%s (-Compose +teal):\n%s\n", s.Name, d)
		}
		name, digest, _ := strings.Cut(theirs.Image, "@")
		if bare, _, _ := strings.Cut(path.Base(name), ":"); !strings.HasSuffix(s.Image, bare+"@"+digest) {
			fmt.Fprintf(&out, "%s: image %s, Compose has %s\n", s.Name, s.Image, theirs.Image)
		}
	}
	for _, v := range r.Volumes {
		if d := cmp.Diff(project.Volumes[v.Name], v.Config, same); d != "" {
			fmt.Fprintf(&out, "volume %s (-Compose +teal):\n%s\n", v.Name, d)
		}
	}
	for _, n := range r.Networks {
		if d := cmp.Diff(project.Networks[n.Name], n.Config, same); d != "" {
			fmt.Fprintf(&out, "network %s (-Compose +teal):\n%s\n", n.Name, d)
		}
	}
	return out.String()
}

func zero[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}

func withoutInactive(m composetypes.DependsOnConfig, r *Release) composetypes.DependsOnConfig {
	out := composetypes.DependsOnConfig{}
	for name, d := range m {
		if _, ok := r.Service(name); ok {
			out[name] = d
		}
	}
	return out
}

// TestDefaults are those of DESIGN 3.3 and 4.2, and what a manifest says instead.
func TestDefaults(t *testing.T) {
	least, full := parsed(t, corpus(t, "good")["least"]), parsed(t, corpus(t, "good")["full"])
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	service := func(r *Release, name string) Service {
		s, ok := r.Service(name)
		if !ok {
			t.Fatalf("no service %s", name)
		}
		return s
	}
	routed := parsed(t, manifest("name: shop\nservices: {a: {image: \""+image+"\", x-teal: {route: {host: a.example.com, port: 80}, probe: {}}}}\nx-teal: {version: v1, sequence: 1, smoke: [{http: {path: /x}}]}\n"))
	for _, c := range []struct{ what, got, want string }{
		{"bake", text(least.Bake), `{"for":300000000000,"every":30000000000,"failures":2,"errorRate":0.01,"minRequests":20,"burst":{"errors":0.5,"requests":25},"requireTraffic":false}`},
		{"bake", text(full.Bake), `{"for":600000000000,"every":15000000000,"failures":3,"errorRate":0.005,"minRequests":100,"burst":{"errors":0.25,"requests":50},"requireTraffic":true}`},
		{"drain", text(least.Drain), `{"http":30000000000,"websocket":60000000000}`},
		{"drain", text(full.Drain), `{"http":0,"websocket":120000000000}`},
		{"keep", text([]int{least.Keep, full.Keep}), `[3,0]`},
		{"route", text(service(routed, "a").Route), `{"host":"a.example.com","path":"/","port":80}`},
		{"probe", text(service(routed, "a").Probe), `{"path":"/","port":80,"every":1000000000,"timeout":2000000000,"passes":3,"deadline":60000000000,"status":{"from":200,"to":299},"host":"a.example.com"}`},
		{"probe", text(service(full, "backend").Probe), `{"path":"/health/?deep=1","port":8001,"every":500000000,"timeout":1000000000,"passes":5,"deadline":120000000000,"status":{"from":200,"to":204},"host":"api.example.com"}`},
		{"smoke", text(routed.Smoke), `[{"method":"GET","path":"/x","host":"a.example.com","status":{"from":200,"to":299}}]`},
		{"smoke", text(full.Smoke), `[{"method":"POST","path":"/v1/ping?x=1","host":"api.example.com","status":{"from":201,"to":201},"contains":"pong \"x\""},{"method":"GET","path":"/","host":"api.example.com","status":{"from":200,"to":299}}]`},
		{"no probe", text([]any{service(least, "worker").Probe, service(full, "gateway").Probe}), `[null,null]`},
		{"classes", text([]Class{service(full, "backend").Class(), service(full, "worker").Class(), service(full, "redis").Class()}), `["routed","handover","shared"]`},
		{"crash limits", text([]int{service(full, "backend").CrashLimit, service(full, "gateway").CrashLimit, service(full, "worker").CrashLimit, service(least, "worker").CrashLimit}), `[5,0,3,3]`},
		{"replicas", text([]int{service(full, "backend").Replicas, service(full, "gateway").Replicas, service(full, "worker").Replicas}), `[2,3,1]`},
		{"images", text(full.Images()), `["docker.io/library/redis@sha256:` + hex64 + `","` + image + `"]`},
		{"source", text(full.Source), `{"repository":"git@example.com:shop.git","commit":"3b1f6c0d92e84a7f5d60c1be7a29f4d8e3051c96"}`},
		{"names", text([]any{full.Version, full.Sequence, full.PreparedBy, full.Links}), `["v1.2.3-rc.1+build.5",9007199254740991,"ann@example.com",{"build log":"http://ci.example.com/1","changes":"https://example.com/c?x=1"}]`},
	} {
		if c.got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, c.got, c.want)
		}
	}
}

// TestRefusalNames: a refused release can still say which one it is.
func TestRefusalNames(t *testing.T) {
	r, problems := Parse(manifest("name: shop\nservices: {a: {image: redis:latest}}\nx-teal: {version: v1.2.3, sequence: 7}\n"), "staging", "shop")
	if len(problems) != 1 || r.Version != "v1.2.3" || r.Sequence != 7 || r.Digest == "" {
		t.Errorf("%+v %v", r, problems)
	}
}

// TestExamples: the example repository is one that teal takes.
func TestExamples(t *testing.T) {
	for _, env := range []string{"staging", "production"} {
		dir := os.DirFS("../../examples/shop/environments/" + env + "/shop")
		r, problems := Parse(dir, env, "shop")
		if len(problems) > 0 {
			t.Fatalf("%s", problems.Error())
		}
		sameAsCompose(t, dir, r)
		if len(r.Services) != 4 || len(r.Routes()) != 2 || len(r.Smoke) != 2 {
			t.Errorf("%s: %d services, %d routes, %d smoke requests", env, len(r.Services), len(r.Routes()), len(r.Smoke))
		}
	}
}

// sameFiles compares what a service mounts of configs and secrets with what Compose
// reads; defaults are Compose's of the format, not written by its loader.
func sameFiles(t *testing.T, s Service, theirs composetypes.ServiceConfig) {
	t.Helper()
	type use struct {
		kind          FileKind
		source, under string
		uid, gid      string
		mode          int64
	}
	var have, want []use
	for _, f := range s.Files {
		have = append(have, use{f.Kind, f.Source, f.Target, strconv.Itoa(f.UID), strconv.Itoa(f.GID), int64(f.Mode)})
	}
	add := func(kind FileKind, dir string, mode int64, r composetypes.FileReferenceConfig) {
		u := use{kind, r.Source, r.Target, r.UID, r.GID, mode}
		if u.under == "" {
			u.under = u.source
		}
		if !strings.HasPrefix(u.under, "/") {
			u.under = dir + u.under
		}
		for _, id := range []*string{&u.uid, &u.gid} {
			if *id == "" {
				*id = "0"
			}
		}
		if r.Mode != nil {
			u.mode = int64(*r.Mode)
		}
		want = append(want, u)
	}
	for _, c := range theirs.Configs {
		add(ConfigFile, "/", 0o444, composetypes.FileReferenceConfig(c))
	}
	for _, c := range theirs.Secrets {
		add(SecretFile, "/run/secrets/", 0o400, composetypes.FileReferenceConfig(c))
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s: files %+v, Compose reads %+v", s.Name, have, want)
	}
}
