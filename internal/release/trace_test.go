package release

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// Whatever a manifest says, parsing it reads nothing of the host. The proof is a child
// process under a trace of system calls: between two marks it parses manifests that
// name files which are there, in an environment that would lead Compose to others.

const (
	traceDir   = "TEAL_TEST_TRACE" // set in the child: the directory with the canaries
	traceBegin = "/teal-trace-begin"
	traceEnd   = "/teal-trace-end"
	traceCheck = "/teal-trace-check"
)

func TestReadsNothingOfTheHost(t *testing.T) {
	if os.Getenv(traceDir) != "" {
		t.Skip("this is the child")
	}
	refuse := t.Skipf
	if os.Getenv("CI") == "true" {
		refuse = t.Fatalf
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		refuse("strace is not installed: apt-get install strace")
	}
	dir := t.TempDir()
	canary := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, name := range []string{"cwd/.env", "cwd/app.env", "cwd/default.env", "x.env", "cwd/sub/app.env", "home/.env"} {
		canary(name, "CANARY=host\nFROM=host\nLEVEL=host\n")
	}
	for _, name := range []string{"cwd/compose.yaml", "cwd/compose.override.yaml", "cwd/docker-compose.yml", "cwd/other.yaml", "cwd/release.yaml", "other.yaml"} {
		canary(name, "services: {canary: {image: canary}}\n")
	}
	canary("cwd/Dockerfile", "FROM scratch\n")
	canary("home/.docker/config.json", "{}")
	child := exec.Command(strace, "-f", "-qq", "-e", "trace=%file,%network", "-e", "signal=none", "-o", filepath.Join(dir, "trace"),
		os.Args[0], "-test.run", "^TestHostileManifests$", "-test.v")
	child.Dir = filepath.Join(dir, "cwd")
	child.Env = append(os.Environ(), traceDir+"="+dir, "HOME="+filepath.Join(dir, "home"), "PWD="+filepath.Join(dir, "cwd"), "CANARY=host", "LEVEL=host",
		"COMPOSE_FILE="+filepath.Join(dir, "cwd/other.yaml"), "COMPOSE_ENV_FILES="+filepath.Join(dir, "x.env"), "COMPOSE_PROFILES=debug,*",
		"COMPOSE_PROJECT_NAME=canary", "COMPOSE_DISABLE_ENV_FILE=false", "COMPOSE_PATH_SEPARATOR=:", "DOCKER_CONFIG="+filepath.Join(dir, "home/.docker"), "DOCKER_HOST=unix:///canary.sock")
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestHostileManifests") {
		if strings.Contains(string(out), "ptrace") {
			refuse("strace may not trace here: %s", out)
		}
		t.Fatalf("child: %v\n%s", err, out)
	}
	trace := string(read(t, filepath.Join(dir, "trace")))
	if got := callsBetween(trace, traceCheck, traceBegin); len(got) != 1 || !strings.Contains(got[0], "cwd/.env") {
		t.Fatalf("the trace does not see what is read: %q", got)
	}
	if got := callsBetween(trace, traceBegin, traceEnd); len(got) > 0 {
		t.Errorf("parsing asked the host:\n%s", strings.Join(got, "\n"))
	}
}

// callsBetween is the calls of a trace that began between two marks.
func callsBetween(trace, from, to string) []string {
	var out []string
	within := false
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, from):
			within = true
		case strings.Contains(line, to):
			return out
		case within && !strings.Contains(line, "<... ") && !strings.Contains(line, "+++"):
			out = append(out, line)
		}
	}
	return []string{"no mark " + to}
}

// TestHostileManifests is the child; it also runs by itself, without the trace.
func TestHostileManifests(t *testing.T) {
	dir := os.Getenv(traceDir)
	if dir == "" {
		dir = "/nowhere"
	}
	service := func(line string) string {
		return "name: shop\nservices:\n  a:\n    image: " + image + "\n    " + line + "\nx-teal: {version: v1, sequence: 1}\n"
	}
	top := func(lines string) string { return service("restart: always") + lines }
	at := func(name string) string { return filepath.Join(dir, name) }
	refused := map[string]string{
		"env file":            service("env_file: " + at("x.env")),
		"env file of /etc":    service("env_file: /etc/passwd"),
		"env file above":      service("env_file: ../x.env"),
		"env file beside":     service("env_file: default.env"), // on the host, not in the release
		"long env file":       service("env_file: [{path: " + at("x.env") + ", required: false}]"),
		"home":                service("env_file: ~/.env"),
		"include":             top("include: [" + at("other.yaml") + "]\n"),
		"include above":       top("include: [{path: ../other.yaml, env_file: ../x.env, project_directory: ..}]\n"),
		"include from afar":   top("include: [\"https://canary.example.com/x.git\", \"oci://canary.example.com/x\"]\n"),
		"extends":             service("extends: {file: " + at("other.yaml") + ", service: canary}"),
		"extends beside":      service("extends: {file: other.yaml, service: canary}"),
		"label file":          service("label_file: " + at("x.env")),
		"build":               service("build: {context: ., dockerfile: Dockerfile}"),
		"credentials":         service("credential_spec: {file: " + at("x.env") + "}"),
		"develop":             service("develop: {watch: [{path: ., action: sync, target: /x}]}"),
		"secret":              top("secrets: {s: {file: " + at("x.env") + "}}\n"),
		"secret of a release": top("secrets: {s: {file: ./app.env}}\n"),
		"secret from outside": top("secrets: {s: {environment: CANARY}}\n"),
		"config":              top("configs: {c: {file: /etc/passwd}}\n"),
		"variable":            service("environment: {A: \"${CANARY}\"}"),
		"variable by name":    service("environment: [CANARY]"),
		"empty variable":      service("environment: {CANARY: }"),
		"build argument":      service("build: {args: [CANARY]}"),
		"relative bind":       service("volumes: [\"./sub:/sub\"]"),
		"bind of the home":    service("volumes: [\"~/.docker:/x\"]"),
		"merged":              "name: shop\nx-a: &a {env_file: " + at("x.env") + "}\nservices: {a: {<<: *a, image: \"" + image + "\"}}\nx-teal: {version: v1, sequence: 1}\n",
	}
	accepted := "name: shop\nservices:\n  a:\n    image: " + image + "\n    env_file: [app.env, {path: default.env, required: false}]\n    volumes: [\"/srv/x:/x\"]\n" +
		"  b: {image: \"" + image + "\", profiles: [debug]}\nx-teal: {version: v1, sequence: 1}\n"
	dirs := map[string]fs.FS{}
	for name, text := range refused {
		dirs[name] = fstest.MapFS{Manifest: {Data: []byte(text)}, "app.env": {Data: []byte("FROM=release\n")}}
	}
	good := fstest.MapFS{Manifest: {Data: []byte(accepted)}, "app.env": {Data: []byte("FROM=release\n")}}

	mark := func(name string) { _, _ = os.Stat(name) }
	mark(traceCheck)
	_, _ = os.Stat(at("cwd/.env"))
	mark(traceBegin)
	problems := map[string]Problems{}
	for name, dir := range dirs {
		_, problems[name] = Parse(dir, "staging", "shop")
	}
	r, wrong := Parse(good, "staging", "shop")
	// The loader by itself, as if the shapes had let everything through.
	for _, more := range []map[string]any{
		{"env_file": []any{at("x.env")}}, {"env_file": []any{"app.env"}}, {"label_file": []any{at("x.env")}}, {"extends": map[string]any{"file": at("other.yaml"), "service": "canary"}},
		{"build": map[string]any{"context": "."}}, {"environment": []any{"CANARY"}}, {"volumes": []any{"./sub:/sub", "~/x:/x"}}, {"secrets": []any{"s"}, "configs": []any{"c"}},
	} {
		more["image"] = image
		_, _ = normalise("shop", map[string]any{"services": map[string]any{"a": more}, "include": []any{"other.yaml"},
			"secrets": map[string]any{"s": map[string]any{"file": at("x.env")}}, "configs": map[string]any{"c": map[string]any{"file": at("x.env")}}})
	}
	var set SetSpec
	var err error
	if len(wrong) == 0 {
		set, err = Plan(r, testHost, Blue, testTarget(r), "", nil)
	}
	mark(traceEnd)

	for name, p := range problems {
		if len(p) == 0 {
			t.Errorf("%s: accepted", name)
		}
		if strings.Contains(p.Error(), "CANARY=host") || strings.Contains(p.Error(), "root:x") {
			t.Errorf("%s: tells of the host: %s", name, p.Error())
		}
	}
	if len(wrong) > 0 || err != nil {
		t.Fatalf("%s %v", wrong.Error(), err)
	}
	if got := fmt.Sprint(len(set.Containers), set.Containers[0].Env); got != "1 [FROM=release]" {
		t.Errorf("the release's own file: %s", got)
	}
}
