package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

const (
	maxYAML      = 1 << 20 // bytes
	maxYAMLDepth = 32
	maxYAMLNodes = 100_000
)

// yamlReader takes values out of yaml.Nodes strictly and collects every problem with
// its line. A value that is wrong reads as its zero value, so that reading goes on.
type yamlReader struct {
	file     string
	problems []release.Problem
}

func (r *yamlReader) fail(code release.Code, n *yaml.Node, next, format string, args ...any) {
	line := 0
	if n != nil {
		line = n.Line
	}
	r.problems = append(r.problems, release.Problem{File: r.file, Line: line, Code: code, Message: fmt.Sprintf(format, args...), Next: next})
}

func (r *yamlReader) wrong(n *yaml.Node, format string, args ...any) {
	r.fail(release.PolicyInvalid, n, "", format, args...)
}

// sorted returns the problems in the order of the lines.
func (r *yamlReader) sorted() []release.Problem {
	sort.SliceStable(r.problems, func(i, j int) bool { return r.problems[i].Line < r.problems[j].Line })
	return r.problems
}

// document reads exactly one document whose root is a mapping, without anchors,
// aliases, merge keys, tags or duplicate keys anywhere. nil means that a problem was
// recorded which leaves nothing to read.
func (r *yamlReader) document(data []byte) *yaml.Node {
	switch {
	case len(data) > maxYAML:
		r.wrong(nil, "longer than %d bytes", maxYAML)
		return nil
	case !utf8.Valid(data):
		r.wrong(nil, "not UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			r.wrong(nil, "empty")
		} else {
			r.syntax(err)
		}
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		r.wrong(&second, "a second document in one file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil
	}
	nodes := 0
	r.plain(&doc, 0, &nodes)
	if len(r.problems) > 0 {
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.wrong(&doc, "want a mapping at the top")
		return nil
	}
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (r *yamlReader) syntax(err error) {
	text := err.Error()
	n := &yaml.Node{}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	r.wrong(n, "not YAML: %s", Escape(text))
}

// plain refuses every construct by which a file reads differently from how it looks.
func (r *yamlReader) plain(n *yaml.Node, depth int, nodes *int) {
	if *nodes++; *nodes > maxYAMLNodes {
		if *nodes == maxYAMLNodes+1 {
			r.wrong(n, "more than %d values", maxYAMLNodes)
		}
		return
	}
	switch {
	case depth > maxYAMLDepth:
		r.wrong(n, "nested deeper than %d", maxYAMLDepth)
		return
	case n.Kind == yaml.AliasNode:
		r.wrong(n, "aliases are not allowed here; write the value out")
		return
	case n.Anchor != "":
		r.wrong(n, "anchors are not allowed here; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		r.wrong(n, "tags are not allowed here")
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				r.wrong(k, "a key must be a plain word")
				continue
			}
			if k.Tag == "!!merge" {
				r.wrong(k, "merge keys are not allowed here; write the values out")
			}
			if first, ok := seen[k.Value]; ok {
				r.wrong(k, "key \"%s\" again; first on line %d", Escape(k.Value), first)
				continue
			}
			seen[k.Value] = k.Line
		}
	}
	for _, c := range n.Content {
		r.plain(c, depth+1, nodes)
	}
}

// yamlField is one key with its value.
type yamlField struct {
	key, value *yaml.Node
}

// fields lists a mapping's keys; nil node and null are an empty mapping.
func (r *yamlReader) fields(n *yaml.Node, path string) []yamlField {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "%s: want a mapping", path)
		return nil
	}
	var out []yamlField
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, yamlField{n.Content[i], n.Content[i+1]})
	}
	return out
}

// mapping takes the known keys of a mapping and refuses all others.
func (r *yamlReader) mapping(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	for _, f := range r.fields(n, path) {
		if !slices.Contains(known, f.key.Value) {
			r.fail(release.PolicyInvalid, f.key, "known here: "+strings.Join(known, ", "), "%s: unknown key \"%s\"", path, Escape(f.key.Value))
			continue
		}
		out[f.key.Value] = f.value
	}
	return out
}

// list reads a sequence; nil node and null are an empty one.
func (r *yamlReader) list(n *yaml.Node, path string) []*yaml.Node {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, "%s: want a list", path)
		return nil
	}
	return n.Content
}

// text reads a non-empty scalar as it is written.
func (r *yamlReader) text(n *yaml.Node, path string) string {
	if isNull(n) || n.Kind != yaml.ScalarNode || n.Value == "" {
		r.wrong(n, "%s: want a text", path)
		return ""
	}
	return n.Value
}

// maybe reads a text that may be absent.
func (r *yamlReader) maybe(n *yaml.Node, path string) string {
	if n == nil {
		return ""
	}
	return r.text(n, path)
}

// integer reads plain decimal digits: 010 and 1_000 mean other things to others.
func (r *yamlReader) integer(n *yaml.Node, path string) int64 {
	if n == nil {
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || i < 0 || i > maxJSONInteger || strconv.FormatInt(i, 10) != n.Value {
		r.wrong(n, "%s: want a plain whole number", path)
		return 0
	}
	return i
}

// boolean reads true or false; nothing else means either.
func (r *yamlReader) boolean(n *yaml.Node, path string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		r.wrong(n, "%s: want true or false", path)
		return false
	}
	return n.Value == "true"
}

// duration reads a positive duration with units, such as 4h or 90m.
func (r *yamlReader) duration(n *yaml.Node, path string, absent time.Duration) time.Duration {
	if n == nil {
		return absent
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d <= 0 {
		r.wrong(n, "%s: want a duration with a unit, such as 4h", path)
		return absent
	}
	return d
}

// time reads YYYY-MM-DDTHH:MM:SSZ; zero when absent.
func (r *yamlReader) time(n *yaml.Node, path string) time.Time {
	if n == nil {
		return time.Time{}
	}
	t, err := parseTime(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.wrong(n, "%s: want a time in UTC such as 2027-01-31T00:00:00Z", path)
		return time.Time{}
	}
	return t
}

// texts reads a list of texts, each once.
func (r *yamlReader) texts(n *yaml.Node, path string) []string {
	var out []string
	for i, item := range r.list(n, path) {
		s := r.text(item, fmt.Sprintf("%s[%d]", path, i))
		if s == "" {
			continue
		}
		if slices.Contains(out, s) {
			r.wrong(item, "%s: \"%s\" again", path, Escape(s))
			continue
		}
		out = append(out, s)
	}
	return out
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}
