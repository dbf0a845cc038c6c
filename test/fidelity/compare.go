package fidelity

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Diff is a field in which the two sides differ.
type Diff struct {
	Kind    string // container, network or volume
	Object  string // of the kind: web.1, default, data
	Field   string // "" for the whole object
	Compose string // absent for none
	Teal    string
	Class   release.Class // of a container's service
}

func (d Diff) String() string {
	return fmt.Sprintf("%s %s: %s: Compose %s, teal %s", d.Kind, d.Object, d.Field, d.Compose, d.Teal)
}

// Differences are the fields in which two descriptions of a case differ, and how many
// fields were compared.
func Differences(compose, teal Made, classes map[string]release.Class) (diffs []Diff, compared int) {
	each := func(kind string, a, b map[string]Fields) {
		names := map[string]bool{}
		for k := range a {
			names[k] = true
		}
		for k := range b {
			names[k] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			d := Diff{Kind: kind, Object: name}
			if kind == "container" {
				service, _, _ := strings.Cut(name, ".")
				d.Class = classes[service]
			}
			x, inA := a[name]
			y, inB := b[name]
			switch {
			case !inA:
				d.Compose, d.Teal = absent, "made"
				diffs = append(diffs, d)
				continue
			case !inB:
				d.Compose, d.Teal = "made", absent
				diffs = append(diffs, d)
				continue
			}
			found, n := fieldDiffs(d, x, y)
			diffs, compared = append(diffs, found...), compared+n
		}
	}
	each("container", compose.Containers, teal.Containers)
	each("network", forBoth(compose.Networks, teal.Networks), teal.Networks)
	each("volume", compose.Volumes, teal.Volumes)
	return diffs, compared
}

// forBoth is Compose's networks, each once for every network that teal makes of it: one
// of the colour, one of the app.
func forBoth(compose, teal map[string]Fields) map[string]Fields {
	out := map[string]Fields{}
	for key, f := range compose {
		_, colour := teal[key]
		_, shared := teal[key+sharedMark]
		if colour || !shared {
			out[key] = f
		}
		if shared {
			out[key+sharedMark] = f
		}
	}
	return out
}

func fieldDiffs(d Diff, a, b Fields) (diffs []Diff, compared int) {
	fields := map[string]bool{}
	for k := range a {
		fields[k] = true
	}
	for k := range b {
		fields[k] = true
	}
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		x, inA := a[f]
		y, inB := b[f]
		if !inA {
			x = absent
		}
		if !inB {
			y = absent
		}
		if x != y {
			d.Field, d.Compose, d.Teal = f, x, y
			diffs = append(diffs, d)
		}
	}
	return diffs, len(fields)
}

// Own is an intended difference of one case: a line of its differences.txt,
// `container web.1 DependsOn.prepare: why`. A field may end in * for all below it.
type Own struct {
	Kind, Object, Field, Why string
	used                     bool
}

// Own reads the case's differences.txt; a case without one has none.
func (c Case) Own() ([]*Own, error) {
	f, err := os.Open(c.File("differences.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the differences of %s: %w", c.Name, err)
	}
	defer f.Close()
	var out []*Own
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		what, why, ok := strings.Cut(line, ": ")
		words := strings.Fields(what)
		if !ok || len(words) < 2 || len(words) > 3 {
			return nil, fmt.Errorf("read the differences of %s: %q is not `kind object field: why`", c.Name, line)
		}
		e := &Own{Kind: words[0], Object: words[1], Why: why}
		if len(words) == 3 {
			e.Field = words[2]
		}
		out = append(out, e)
	}
	return out, nil
}

// Explained is a difference with its reason.
type Explained struct {
	Diff
	Why string
}

// Judge sorts differences into intended ones and failures. used counts the rules of
// Intended by their reason. One of the case's own that explains nothing is a failure too.
func Judge(diffs []Diff, own []*Own, used map[string]int) (intended []Explained, failures []string) {
next:
	for _, d := range diffs {
		for _, r := range Intended {
			if r.Holds(d) {
				used[r.Why]++
				intended = append(intended, Explained{d, r.Why})
				continue next
			}
		}
		for _, e := range own {
			if e.Kind == d.Kind && e.Object == d.Object && (e.Field == d.Field || strings.HasSuffix(e.Field, "*") && strings.HasPrefix(d.Field, strings.TrimSuffix(e.Field, "*"))) {
				e.used = true
				intended = append(intended, Explained{d, "one file: " + e.Why})
				continue next
			}
		}
		failures = append(failures, d.String())
	}
	for _, e := range own {
		if !e.used {
			failures = append(failures, fmt.Sprintf("differences.txt names %s %s %s, which does not differ", e.Kind, e.Object, e.Field))
		}
	}
	return intended, failures
}
