package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const minimal = "apiVersion: teal/v1\nkind: Agent\nenvironment: staging\nhost: h1\nrepository: {url: /srv/releases.git}\n"

// bare is minimal without the repository.
var bare = minimal[:strings.Index(minimal, "repository:")]

func load(t *testing.T, text string, env map[string]string) (Config, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file, func(name string) string { return env[name] })
	return c, file, err
}

func TestConfigOrder(t *testing.T) {
	c, _, err := load(t, minimal+"state: /srv/teal\nlogLevel: warn\n", map[string]string{"TEAL_LOG_LEVEL": "debug", "TEAL_HOST": "h2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/srv/teal" || c.LogLevel != "debug" || c.Host != "h2" || c.Repository.Branch != "main" || c.Repository.Poll != 15*time.Second || c.Reserves.Dir != "/srv/teal" {
		t.Errorf("file over defaults, environment over file: %+v", c)
	}
	again, _, err := load(t, c.String(), nil)
	if err != nil || again.String() != c.String() {
		t.Errorf("what -check prints does not load again: %v\n%s", err, c.String())
	}
}

// Several refs are read, printed by -check, and read again as they were.
func TestConfigFollow(t *testing.T) {
	c, _, err := load(t, "apiVersion: teal/v1\nkind: Agent\nenvironment: staging\nhost: h1\nrepository:\n  url: /srv/releases.git\n  evidence: main\n"+
		"  follow: [{branch: main}, {tag: v1.2.3}, {semver: \"v*.*.*\"}, {branches: \"phase-*/**\"}]\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"branch main", "tag v1.2.3", "semver v*.*.*", "branches phase-*/**"}
	if !slices.Equal(c.Repository.follows(), want) || c.Repository.Branch != "" {
		t.Errorf("follows %v, branch %q", c.Repository.follows(), c.Repository.Branch)
	}
	again, _, err := load(t, c.String(), nil)
	if err != nil || again.String() != c.String() || !slices.Equal(again.Repository.follows(), want) {
		t.Errorf("what -check prints does not load again: %v\n%s", err, c.String())
	}
}

func TestConfigProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"unknown key":   {minimal + "surprise: 1\n", []string{"line 6", "surprise"}},
		"not a mapping": {"- 1\n", []string{"line 1"}},
		"every problem at once": {"apiVersion: v2\nkind: Agnet\nenvironment: UP\nprefix: x\nstate: here\nlogLevel: loud\nengine: {edge: {subnet: 10.0.0.0/30}}\nreserves: {journal: 1}\n",
			[]string{"apiVersion:", "kind:", "environment:", "prefix:", "state:", "logLevel:", "engine.edge.subnet:", "reserves.journal:", "repository.url:"}},
		"both forms of what is followed": {bare + "repository: {url: /srv/releases.git, branch: main, follow: [{branch: main}]}\n",
			[]string{"repository.branch:", "short form of follow"}},
		"a tag without evidence": {bare + "repository:\n  url: /srv/releases.git\n  follow:\n  - branch: main\n  - {semver: v*.*.*, tag: v1}\n  - {tag: v1}\n  - {branches: main}\n",
			[]string{"repository.follow[1] (line 9): give exactly one", "repository.follow[3] (line 11): branches:", "not a pattern"}},
		"evidence must be named": {bare + "repository: {url: /srv/releases.git, follow: [{tag: v1}]}\n",
			[]string{"repository.evidence: name the branch of approvals"}},
		"a key that follow does not have": {bare + "repository:\n  url: /srv/releases.git\n  follow:\n  - {brunch: main}\n", []string{"line 8", "brunch", "branches"}},
		"follow is no list of names":      {bare + "repository:\n  url: /srv/releases.git\n  follow: [main]\n", []string{"line 7", "{branch: main}"}},
		"a duration without unit":         {minimal + "repository: {poll: 5}\n", []string{"line 6"}},
		"malformed labels":                {minimal + "labels:\n  zone: eu 1\n  -x: a\n  list: [a]\n  a: b\n  a: c\n", []string{"line 7: labels: ", "line 8: labels: ", "line 9: labels: ", "line 11: labels: "}},
		"labels that are a list":          {minimal + "labels: [a]\n", []string{"line 6: labels: "}},
		"secrets": {minimal + "identity: key.txt\nsecrets: {Shop: {}, shop: {a: {}, b: {file: x}, c: {file: /x, credential: y}, d: {credential: ../x}, e: {file: /a/../b}}}\n",
			[]string{"identity:", `"Shop" is not`, "secrets.shop.a:", "secrets.shop.b.file:", "secrets.shop.c:", "secrets.shop.d.credential:", "secrets.shop.e.file:"}},
		"a secret's value":          {minimal + "secrets: {shop: {a: hunter2}}\n", []string{"line 6: write {file"}},
		"a secret's value by a key": {minimal + "secrets: {shop: {a: {value: hunter2}}}\n", []string{"line 6: write {file"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, file, err := load(t, c.text, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("tells a secret: %v", err)
			}
			for _, want := range append(c.says, file) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
		})
	}
}

// TestLabels: a label is the text as it is written, also where YAML would read more.
func TestLabels(t *testing.T) {
	c, _, err := load(t, minimal+"labels: {beat: yes, on: true, rack: 010, zone: eu-1}\n", nil)
	if err != nil || !maps.Equal(c.Labels, HostLabels{"beat": "yes", "on": "true", "rack": "010", "zone": "eu-1"}) {
		t.Fatalf("%v %v", c.Labels, err)
	}
	again, _, err := load(t, c.String(), nil)
	if err != nil || !maps.Equal(again.Labels, c.Labels) {
		t.Errorf("what -check prints has other labels: %v %v", again.Labels, err)
	}
	if c, _, err := load(t, minimal+"labels:\n", nil); err != nil || c.Labels != nil {
		t.Errorf("no labels: %v %v", c.Labels, err)
	}
}

func TestExamplesLoad(t *testing.T) {
	examples, err := filepath.Glob("../../examples/agent*.yaml")
	if err != nil || len(examples) < 2 {
		t.Fatalf("examples: %v, %v", examples, err)
	}
	for _, file := range examples {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"-config", file, "-check"}, &out, &errs); code != 0 {
			t.Errorf("%s: exit %d: %s%s", file, code, out.String(), errs.String())
		}
	}
}

func TestFlags(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-config", filepath.Join(t.TempDir(), "none.yaml")}, &out, &errs); code != exitConfig || !strings.Contains(errs.String(), "examples/agent.yaml") {
		t.Errorf("no file: exit %d: %s", code, errs.String())
	}
	if code := run(t.Context(), []string{"-config", "../../examples/agent.yaml", "-check"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "environment: production") {
		t.Errorf("-check: exit %d: %s", code, out.String())
	}
	if code := run(t.Context(), []string{"-version"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "teal-agent ") {
		t.Errorf("-version: exit %d", code)
	}
}

func TestSeldom(t *testing.T) {
	var s seldom
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	if !s.first("eve status", now) || s.first("eve status", now.Add(59*time.Second)) || !s.first("eve status", now.Add(time.Minute)) {
		t.Error("not once a minute")
	}
	n := 0
	for i := range 10 * maxSeldom {
		if s.first(strings.Repeat("x", i+1), now.Add(time.Minute)) {
			n++
		}
	}
	if n >= maxSeldom {
		t.Errorf("%d different keys in one minute", n)
	}
	if !s.first("bob", now.Add(-time.Hour)) {
		t.Error("a clock that went back keeps everybody out")
	}
}

// Mirrors are addresses, or addresses with what only they need; what -check prints loads.
func TestMirrorsOfTheConfig(t *testing.T) {
	c, _, err := load(t, strings.Replace(minimal, "{url: /srv/releases.git}", "{url: /srv/releases.git, mirrors: [/srv/b.git, {url: 'https://h/c.git', tokenFile: /t}]}", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Repository.gitops().Mirrors
	if len(got) != 2 || got[0].URL != "/srv/b.git" || got[1].URL != "https://h/c.git" || got[1].TokenFile != "/t" {
		t.Errorf("%+v", got)
	}
	if files := c.Repository.files(); len(files) != 1 || files[0] != "/t" {
		t.Errorf("files %v", files)
	}
	if again, _, err := load(t, c.String(), nil); err != nil || again.String() != c.String() {
		t.Errorf("what -check prints does not load again: %v", err)
	}
	_, _, err = load(t, strings.Replace(minimal, "{url: /srv/releases.git}", "{url: /srv/releases.git, mirrors: [{url: /x, token: /t}]}", 1), nil)
	if err == nil || !strings.Contains(err.Error(), "line 5") || !strings.Contains(err.Error(), "token") {
		t.Errorf("an unknown key of a mirror: %v", err)
	}
}
