package gitops

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/release"
)

// MaxRefs is how many refs may be followed at once, evidence not counted: each of them
// holds a release directory of every app, which has to be read.
const MaxRefs = 64

// maxVersions is how many tags of one semver range are followed: the highest versions.
// Tags only ever become more, so a bound that refused would refuse some day for sure.
const maxVersions = 16

// Follow is one entry of what is followed; exactly one field is set.
type Follow struct {
	// Branch is one branch.
	Branch string
	// Tag is one tag. It may not move.
	Tag string
	// Semver is a range of versions, "v*.*.*", "^1.2" or ">=1.4 <2": the tags that are
	// semantic versions in it, vX.Y.Z or X.Y.Z. Pre-releases are in a range that names
	// one ("^1.2-0"). The 16 highest are followed.
	Semver string
	// Branches is a glob over branches: * stands for any part of one path element, ** for
	// whole elements. The evidence branch is never in it.
	Branches string
}

// String is the entry as agent.yaml has it.
func (f Follow) String() string {
	switch {
	case f.Branch != "":
		return "branch " + f.Branch
	case f.Tag != "":
		return "tag " + f.Tag
	case f.Semver != "":
		return "semver " + f.Semver
	}
	return "branches " + f.Branches
}

// exact is the full name of the one ref that the entry names; "" for a range or a glob.
func (f Follow) exact() string {
	switch {
	case f.Branch != "":
		return branchRef(f.Branch)
	case f.Tag != "":
		return tagPrefix + f.Tag
	}
	return ""
}

// prefix is what the full name of every ref of the entry begins with.
func (f Follow) prefix() string {
	if name := f.exact(); name != "" {
		return name
	}
	if f.Semver != "" {
		return tagPrefix
	}
	fixed, _, _ := strings.Cut(f.Branches, "*")
	return branchPrefix + fixed
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

func branchRef(name string) string { return branchPrefix + name }

// shortRef is a ref for people: "branch main", "tag v1.2.3".
func shortRef(full string) string {
	if name, ok := strings.CutPrefix(full, branchPrefix); ok {
		return "branch " + name
	}
	if name, ok := strings.CutPrefix(full, tagPrefix); ok {
		return "tag " + name
	}
	return full
}

func (f Follow) validate() error {
	set := 0
	for _, s := range []string{f.Branch, f.Tag, f.Semver, f.Branches} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("give exactly one of branch, tag, semver and branches")
	case f.Branch != "":
		if strings.Contains(f.Branch, "*") {
			return fmt.Errorf("branch: %w", fmt.Errorf("%q is a pattern; write it under follow as branches", f.Branch))
		}
		if err := checkBranch(f.Branch); err != nil {
			return fmt.Errorf("branch: %w", err)
		}
	case f.Tag != "":
		if strings.Contains(f.Tag, "*") {
			return fmt.Errorf("tag: %q is a pattern; write a range as semver", f.Tag)
		}
		if err := checkBranch(f.Tag); err != nil {
			return fmt.Errorf("tag: %q is not a tag that teal follows (letters, digits, dot, dash, underscore, slash)", f.Tag)
		}
	case f.Semver != "":
		if _, err := versions(f.Semver); err != nil {
			return fmt.Errorf("semver: %w", err)
		}
	default:
		return checkGlob(f.Branches)
	}
	return nil
}

// versions parses a range. "v*.*.*" is how people write every version.
func versions(text string) (*semver.Constraints, error) {
	if len(text) > 200 {
		return nil, errors.New("a range longer than 200 bytes")
	}
	c, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a range of versions; write v*.*.*, ^1.2 or >=1.4 <2", text)
	}
	return c, nil
}

var globElement = regexp.MustCompile(`^([A-Za-z0-9_*][A-Za-z0-9._*-]*)$`)

func checkGlob(glob string) error {
	bad := func(why string) error {
		return fmt.Errorf("branches: %q %s; write phase-*/** or release-*", glob, why)
	}
	if len(glob) > 200 || !strings.Contains(glob, "*") {
		return bad("is not a pattern")
	}
	for _, e := range strings.Split(glob, "/") {
		if !globElement.MatchString(e) {
			return bad("holds something else than letters, digits, dot, dash, underscore, slash and *")
		}
		if e != "**" && strings.Contains(e, "**") {
			return bad("has ** beside something else in one element")
		}
	}
	if strings.Count(glob, "*") > 16 {
		return bad("has more than 16 stars")
	}
	return nil
}

// matchGlob matches a branch name. ** in the middle stands for any number of elements,
// none included; at the end for one or more.
func matchGlob(glob, name string) bool {
	return matchElements(strings.Split(glob, "/"), strings.Split(name, "/"))
}

func matchElements(glob, name []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			if len(glob) == 1 {
				return len(name) > 0
			}
			for i := range len(name) + 1 {
				if matchElements(glob[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 || !matchStar(glob[0], name[0]) {
			return false
		}
		glob, name = glob[1:], name[1:]
	}
	return len(name) == 0
}

// matchStar matches one element; stars are taken as short as they can be, from the left,
// which finds a match whenever there is one.
func matchStar(glob, name string) bool {
	parts := strings.Split(glob, "*")
	if len(parts) == 1 {
		return glob == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(name, first) || len(name) < len(first)+len(last) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return true
}

// has reports whether a ref, by full name, is one that the entry means.
func (f Follow) has(full, evidence string) bool {
	if name := f.exact(); name != "" {
		return full == name
	}
	if f.Semver != "" {
		tag, ok := strings.CutPrefix(full, tagPrefix)
		if !ok {
			return false
		}
		c, err := versions(f.Semver)
		v, verr := version(tag)
		return err == nil && verr == nil && c.Check(v)
	}
	name, ok := strings.CutPrefix(full, branchPrefix)
	return ok && full != evidence && matchGlob(f.Branches, name)
}

// version reads a tag that is a whole semantic version.
func version(tag string) (*semver.Version, error) {
	if len(tag) > 100 {
		return nil, errors.New("too long")
	}
	return semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
}

// choose picks what an entry with a pattern follows among the refs that match it:
// branches by name, tags by version, highest first.
func (f Follow) choose(found []string) []string {
	slices.Sort(found)
	found = slices.Compact(found)
	if f.Semver == "" {
		return found
	}
	slices.SortStableFunc(found, func(a, b string) int {
		x, errX := version(strings.TrimPrefix(a, tagPrefix))
		y, errY := version(strings.TrimPrefix(b, tagPrefix))
		if errX != nil || errY != nil {
			return strings.Compare(a, b) // has let neither pass
		}
		return y.Compare(x)
	})
	return found[:min(len(found), maxVersions)]
}

// ask is what a look has to find out.
func (c Config) ask() ask {
	a := ask{exact: []string{branchRef(c.Evidence)}}
	for _, f := range c.Follow {
		if name := f.exact(); name != "" {
			a.exact = append(a.exact, name)
		} else {
			a.prefixes = append(a.prefixes, f.prefix())
		}
	}
	slices.Sort(a.exact)
	a.exact = slices.Compact(a.exact)
	slices.Sort(a.prefixes)
	a.prefixes = slices.Compact(a.prefixes)
	return a
}

// tip is where a ref points.
type tip struct {
	commit plumbing.Hash // what an annotated tag stands for, too
	want   plumbing.Hash // what to ask the repository for: the tag's own object, or commit
	// problem is why it is not known where it points.
	problem *Error
}

// ask is what to look for: refs by full name, and all that begin with a prefix.
type ask struct{ exact, prefixes []string }

// target is where a followed ref points now.
type target struct {
	name    string // full; or the entry of agent.yaml that refused stands for
	at      tip
	present bool
	refused *Error // why it is not looked at
	failed  *Error // why it could not be fetched
}

// why is the text of refused, "" without.
func (t target) why() string {
	if t.refused == nil {
		return ""
	}
	return t.refused.Error()
}

// targets are the followed refs as they stand: what is desired in the order of
// agent.yaml, then evidence. were are those that were followed until now: they stay so
// when a glob matches more than may be followed.
func (c Config) targets(tips map[string]tip, were []string) []target {
	var out []target
	seen := make(map[string]bool)
	evidence := branchRef(c.Evidence)
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		at, ok := tips[name]
		t := target{name: name, at: at, present: ok, refused: at.problem}
		if name != evidence && checkBranch(strings.TrimPrefix(strings.TrimPrefix(name, branchPrefix), tagPrefix)) != nil {
			t.name, t.at, t.present = escape(name, 200), tip{}, false
			t.refused = refuse(release.UnsafePath, "%s: a name with other characters than letters, digits, dot, dash, underscore and slash is not followed", escape(shortRef(name), 200))
		}
		out = append(out, t)
	}
	all := make([]string, 0, len(tips))
	for name := range tips {
		all = append(all, name)
	}
	// What is named comes before what is matched: no glob crowds it out.
	room := MaxRefs
	for _, f := range c.Follow {
		if f.exact() != "" {
			room--
		}
	}
	for _, f := range c.Follow {
		if name := f.exact(); name != "" {
			add(name)
			continue
		}
		matched := f.choose(slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !f.has(name, evidence) }))
		matched = slices.DeleteFunc(matched, func(name string) bool { return seen[name] })
		if len(matched) > room {
			n := len(matched)
			matched = slices.DeleteFunc(matched, func(name string) bool { return !slices.Contains(were, name) })
			matched = matched[:min(len(matched), max(room, 0))]
			out = append(out, target{name: f.String(), refused: refuse(release.TooManyRefs,
				"%s matches %d refs, and at most %d may be followed in all; those followed before still are, the others are not looked at", f, n, MaxRefs)})
		}
		for _, name := range matched {
			add(name)
		}
		room -= len(matched)
	}
	if len(out) == 0 {
		for _, f := range c.Follow {
			out = append(out, target{name: f.String(), refused: refuse(release.BranchMissing, "the repository has no %s", f)})
		}
	}
	if !seen[evidence] {
		add(evidence)
	}
	return out
}

// desired reports whether a ref is followed for what is desired, not for evidence only.
func (c Config) desired(full string) bool {
	return slices.ContainsFunc(c.Follow, func(f Follow) bool { return f.has(full, branchRef(c.Evidence)) })
}

// movesNever reports whether a ref is one that stays where it is.
func movesNever(full string) bool { return strings.HasPrefix(full, tagPrefix) }
