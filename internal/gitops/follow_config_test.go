package gitops

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFollowProblems(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		says []string // none: it is sound
	}{
		"nothing is main":                 {Config{}, nil},
		"short form":                      {Config{Branch: "deploy"}, nil},
		"one branch":                      {Config{Follow: []Follow{{Branch: "main"}}}, nil},
		"a branch beside a glob":          {Config{Follow: []Follow{{Branch: "main"}, {Branches: "phase-*/**"}}}, nil},
		"tag with evidence":               {Config{Follow: []Follow{{Tag: "v1.2.3"}}, Evidence: "evidence"}, nil},
		"ranges":                          {Config{Follow: []Follow{{Semver: "v*.*.*"}, {Semver: ">=1.4 <2"}, {Semver: "^1.2-0"}}, Evidence: "main"}, nil},
		"both forms":                      {Config{Branch: "main", Follow: []Follow{{Branch: "main"}}}, []string{"branch: give either branch or follow"}},
		"tag without evidence":            {Config{Follow: []Follow{{Branch: "main"}, {Tag: "v1"}}}, []string{"evidence: name the branch", "after the tag"}},
		"range without evidence":          {Config{Follow: []Follow{{Semver: "*"}}}, []string{"evidence: name the branch"}},
		"glob without evidence":           {Config{Follow: []Follow{{Branches: "phase-*"}}}, []string{"evidence: name the branch", "not one branch"}},
		"two branches without evidence":   {Config{Follow: []Follow{{Branch: "a"}, {Branch: "b"}}}, []string{"evidence: name the branch"}},
		"twice":                           {Config{Follow: []Follow{{Branch: "a"}, {Branch: "a"}}}, []string{"follow[1]: branch a is there twice"}},
		"two in one":                      {Config{Follow: []Follow{{Branch: "a", Tag: "b"}}, Evidence: "a"}, []string{"follow[0]: give exactly one"}},
		"none in one":                     {Config{Follow: []Follow{{}}, Evidence: "a"}, []string{"follow[0]: give exactly one"}},
		"a pattern as branch":             {Config{Follow: []Follow{{Branch: "phase-*"}}}, []string{"follow[0]: branch:", "as branches"}},
		"a branch as pattern":             {Config{Follow: []Follow{{Branches: "main"}}, Evidence: "a"}, []string{"follow[0]: branches:", "not a pattern"}},
		"a pattern with dots":             {Config{Follow: []Follow{{Branches: "../*"}}, Evidence: "a"}, []string{"follow[0]: branches:"}},
		"two stars beside something else": {Config{Follow: []Follow{{Branches: "a**"}}, Evidence: "a"}, []string{"follow[0]: branches:", "**"}},
		"no range":                        {Config{Follow: []Follow{{Semver: "newest"}}, Evidence: "a"}, []string{"follow[0]: semver:", "not a range"}},
		"too many":                        {Config{Follow: make([]Follow, MaxRefs+1), Evidence: "a"}, []string{"follow: 65 entries; at most 64"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.URL, c.cfg.Dir, c.cfg.RepoID = "/srv/a.git", "/var/lib/a", testRepoID
			err := c.cfg.Validate()
			if len(c.says) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestFollowHas(t *testing.T) {
	for _, c := range []struct {
		follow   Follow
		yes, not []string
	}{
		{Follow{Branch: "main"}, []string{"refs/heads/main"}, []string{"refs/heads/main2", "refs/tags/main", "refs/heads/x/main"}},
		{Follow{Tag: "v1"}, []string{"refs/tags/v1"}, []string{"refs/tags/v1.0", "refs/heads/v1"}},
		{Follow{Branches: "phase-*/**"}, []string{"refs/heads/phase-2/x", "refs/heads/phase-/x/y"},
			[]string{"refs/heads/phase-2", "refs/heads/a/phase-2/x", "refs/tags/phase-2/x", "refs/heads/phase/x"}},
		{Follow{Branches: "**/release"}, []string{"refs/heads/release", "refs/heads/a/b/release"}, []string{"refs/heads/release/x", "refs/heads/xrelease"}},
		{Follow{Branches: "a/**/z"}, []string{"refs/heads/a/z", "refs/heads/a/b/c/z"}, []string{"refs/heads/a/b", "refs/heads/az"}},
		{Follow{Branches: "r-*-*x"}, []string{"refs/heads/r-1-2x", "refs/heads/r--x"}, []string{"refs/heads/r-x", "refs/heads/r-1-2"}},
		{Follow{Branches: "*"}, []string{"refs/heads/main"}, []string{"refs/heads/evidence", "refs/heads/a/b"}},
		{Follow{Semver: "v*.*.*"}, []string{"refs/tags/v1.2.3", "refs/tags/0.1.0", "refs/tags/v10.0.0+build"},
			[]string{"refs/tags/v1.2", "refs/tags/v1.2.3-rc1", "refs/tags/nightly", "refs/heads/v1.2.3", "refs/tags/vv1.2.3"}},
		{Follow{Semver: ">=1.4 <2"}, []string{"refs/tags/v1.4.0", "refs/tags/v1.99.1"}, []string{"refs/tags/v2.0.0", "refs/tags/v1.3.9"}},
		{Follow{Semver: "^1.2-0"}, []string{"refs/tags/v1.3.0-rc1"}, []string{"refs/tags/v2.0.0-rc1"}},
	} {
		for _, name := range c.yes {
			if !c.follow.has(name, "refs/heads/evidence") {
				t.Errorf("%s does not follow %s", c.follow, name)
			}
			if !strings.HasPrefix(name, c.follow.prefix()) && c.follow.Branches != "**/release" {
				t.Errorf("%s asks for %s*, which misses %s", c.follow, c.follow.prefix(), name)
			}
		}
		for _, name := range c.not {
			if c.follow.has(name, "refs/heads/evidence") {
				t.Errorf("%s follows %s", c.follow, name)
			}
		}
	}
}

// A pattern that was made out of a name by leaving parts out matches the name, and what a
// look asks for always covers what matches.
func TestGlobMatchesWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-c]{1,4}(/[a-c.-]{0,2}[a-c]{1,3}){0,3}`).Draw(t, "name")
		parts := strings.Split(name, "/")
		for i, p := range parts {
			if rapid.Bool().Draw(t, "keep") {
				continue
			}
			if rapid.Bool().Draw(t, "whole") {
				parts[i] = "**"
				continue
			}
			from := rapid.IntRange(0, len(p)).Draw(t, "from")
			to := rapid.IntRange(from, len(p)).Draw(t, "to")
			parts[i] = p[:from] + "*" + p[to:]
		}
		glob := strings.Join(parts, "/")
		if !matchGlob(glob, name) {
			t.Fatalf("%s does not match %s", glob, name)
		}
		f := Follow{Branches: glob}
		if strings.Contains(glob, "*") && !strings.HasPrefix(branchRef(name), f.prefix()) {
			t.Fatalf("%s asks for %s, which misses %s", glob, f.prefix(), name)
		}
	})
}

// Of a range the highest versions are followed, by version and not by name.
func TestHighestVersions(t *testing.T) {
	var tags []string
	for _, v := range []string{"9", "10", "1", "2", "3", "4", "5", "6", "7", "8", "11", "12", "13", "14", "15", "16", "17", "18"} {
		tags = append(tags, "refs/tags/v1."+v+".0")
	}
	got := Follow{Semver: "*"}.choose(tags)
	if len(got) != maxVersions || got[0] != "refs/tags/v1.18.0" || got[maxVersions-1] != "refs/tags/v1.3.0" {
		t.Errorf("%d tags: %v", len(got), got)
	}
}
