package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/gitops"
)

// FollowEntry is one entry of repository.follow: {branch: main}, {tag: v1.2.3},
// {semver: "v*.*.*"} or {branches: "phase-*/**"}.
type FollowEntry struct {
	gitops.Follow
	line int
}

var followKeys = []string{"branch", "tag", "semver", "branches"}

// UnmarshalYAML reads the entry from its node, for its line belongs into every message
// about it.
func (f *FollowEntry) UnmarshalYAML(n *yaml.Node) error {
	const example = `write {branch: main}, {tag: v1.2.3}, {semver: "v*.*.*"} or {branches: "phase-*/**"}`
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: an entry of follow is a mapping; %s", n.Line, example)
	}
	f.line = n.Line
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			return fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		if value.Kind != yaml.ScalarNode || value.Value == "" {
			return fmt.Errorf("line %d: %s of follow is one name; %s", value.Line, key.Value, example)
		}
		switch key.Value {
		case "branch":
			f.Branch = value.Value
		case "tag":
			f.Tag = value.Value
		case "semver":
			f.Semver = value.Value
		case "branches":
			f.Branches = value.Value
		default:
			return fmt.Errorf("line %d: field %s not found in follow, which has %s", key.Line, key.Value, strings.Join(followKeys, ", "))
		}
	}
	return nil
}

// MarshalYAML writes the entry as it is read.
func (f FollowEntry) MarshalYAML() (any, error) {
	out := map[string]string{}
	for i, value := range []string{f.Branch, f.Tag, f.Semver, f.Branches} {
		if value != "" {
			out[followKeys[i]] = value
		}
	}
	return out, nil
}

// refs are what the repository follows, for gitops.
func (r RepositoryConfig) refs() []gitops.Follow {
	var out []gitops.Follow
	for _, f := range r.Follow {
		out = append(out, f.Follow)
	}
	return out
}

// validate reports what is wrong with what is followed.
func (r RepositoryConfig) validate(bad func(path, format string, args ...any)) {
	if r.Branch != "" && len(r.Follow) > 0 {
		bad("repository.branch", "is the short form of follow: [{branch: %s}]; write it into follow and remove it here", r.Branch)
		return
	}
	problems := gitops.Config{Branch: r.Branch, Follow: r.refs(), Evidence: r.Evidence}.FollowProblems()
	for _, p := range problems {
		path := "repository." + p.Field
		if p.Index >= 0 {
			path = fmt.Sprintf("repository.follow[%d] (line %d)", p.Index, r.Follow[p.Index].line)
		}
		bad(path, "%v", p.Err)
	}
}

// follows says in words what is followed.
func (r RepositoryConfig) follows() []string {
	var out []string
	for _, f := range r.Follow {
		out = append(out, f.String())
	}
	if r.Branch != "" {
		out = append(out, gitops.Follow{Branch: r.Branch}.String())
	}
	return slices.Clip(out)
}
