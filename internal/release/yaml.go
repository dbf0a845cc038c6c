package release

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"
)

const (
	maxManifest = 1 << 20 // bytes of release.yaml
	maxNodes    = 10_000  // keys and values, with aliases and merge keys written out
	maxDepth    = 32
)

// kind is what a node is.
type kind int

const (
	scalar kind = iota
	mapping
	sequence
)

func (k kind) String() string { return [...]string{"a value", "a mapping", "a list"}[k] }

// node is one value of the manifest with aliases and merge keys written out, `$$`
// read as `$`, and duplicate keys and tags refused. All decoding starts from nodes, so
// that nobody reads the bytes a second time in another way.
type node struct {
	kind   kind
	text   string  // of a scalar, as it is written
	tag    string  // of a scalar, how YAML resolves it: !!str, !!int, !!bool, !!null, …
	reads  string  // of a scalar, what Compose would make of it as text
	line   int     // where the value stands
	fields []field // of a mapping: its own keys, then merged ones
	items  []*node // of a sequence
}

type field struct {
	key   string
	line  int // where the key stands
	value *node
}

// get is the value of a key, nil when there is none or n is no mapping.
func (n *node) get(key string) *node {
	if f := n.field(key); f != nil {
		return f.value
	}
	return nil
}

func (n *node) field(key string) *field {
	if n == nil {
		return nil
	}
	for i := range n.fields {
		if n.fields[i].key == key {
			return &n.fields[i]
		}
	}
	return nil
}

// empty reports whether nothing is written there.
func (n *node) empty() bool { return n == nil || n.kind == scalar && n.tag == "!!null" }

// document reads exactly one YAML document whose root is a mapping. nil means that
// problems were recorded which leave nothing to read.
func (r *reader) document(data []byte) *node {
	switch {
	case len(data) > maxManifest:
		r.fail(YAMLRefused, 0, "make it smaller", "longer than %d bytes", maxManifest)
		return nil
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		r.fail(YAMLRefused, 1, "save the file without it", "starts with a byte order mark")
		return nil
	case !utf8.Valid(data):
		r.fail(YAMLRefused, badLine(data), "save the file as UTF-8", "not UTF-8")
		return nil
	}
	if line, what := misread(data); what != "" {
		r.fail(YAMLRefused, line, "remove it, or write it as an escape in double quotes", "%s, which not everybody sees or reads alike", what)
		return nil
	}
	root, err := decode(data)
	var second *secondDocument
	switch {
	case errors.Is(err, io.EOF):
		r.fail(YAMLRefused, 1, "write a manifest, or remove the directory", "empty")
		return nil
	case errors.As(err, &second):
		r.fail(YAMLRefused, second.line, "keep one document a file", "a second document")
		return nil
	case err != nil:
		line, text := syntax(err)
		r.fail(YAMLRefused, line, "correct the YAML", "not YAML: %s", text)
		return nil
	}
	x := expander{reader: r}
	n := x.expand(root, 0)
	if n == nil || x.stopped {
		return nil
	}
	if n.kind != mapping {
		r.fail(YAMLRefused, n.line, "start with the keys name, services and x-teal", "%s where a mapping belongs", n.kind)
		return nil
	}
	return n
}

// badLine is the line of the first byte that is not UTF-8.
func badLine(data []byte) int {
	line := 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 {
			break
		}
		if c == '\n' {
			line++
		}
		data = data[size:]
	}
	return line
}

// misread finds the first character that shows people another text than the parser
// reads; what is "" if there is none.
func misread(data []byte) (line int, what string) {
	line = 1
	for i, c := range string(data) {
		switch {
		case c == '\n':
			line++
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return line, "a carriage return without a line feed"
		case misleading(c):
			return line, fmt.Sprintf("the character %U", c)
		}
	}
	return 0, ""
}

// misleading is a line break of YAML 1.1 alone, which puts a key on what an editor shows
// as the line of a comment and moves the lines of every message; a mark that turns the
// order of letters around; and a byte order mark inside a text.
func misleading(c rune) bool {
	return c == '\u0085' || c == '\u2028' || c == '\u2029' || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' || c == '\ufeff'
}

type secondDocument struct{ line int }

func (s *secondDocument) Error() string { return "a second document" }

// decode is the one place where bytes become YAML nodes. The parser reads what anybody
// could push, so that a panic in it is an answer about the file, not an end of the agent.
func decode(data []byte) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("yaml: the parser gave up: %v", p)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := d.Decode(&first); err != nil {
		return nil, err
	}
	if err := d.Decode(&second); err == nil {
		return nil, &secondDocument{second.Line}
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if first.Kind == yaml.DocumentNode && len(first.Content) == 1 {
		return first.Content[0], nil
	}
	return nil, io.EOF
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntax(err error) (line int, text string) {
	text = err.Error()
	if m := yamlError.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	return line, plainText(text)
}

// expander writes a YAML tree out.
type expander struct {
	*reader
	nodes   int
	stopped bool // a limit was passed: nothing more is read
}

// count takes a node off the budget. It also ends what an alias inside its own anchor
// would make endless.
func (x *expander) count(n *yaml.Node, depth int) bool {
	switch x.nodes++; {
	case x.stopped:
		return false
	case x.nodes > maxNodes:
		x.fail(YAMLRefused, n.Line, "write less; aliases and merge keys count written out", "more than %d values", maxNodes)
	case depth > maxDepth:
		x.fail(YAMLRefused, n.Line, "write it flatter", "nested deeper than %d", maxDepth)
	default:
		return true
	}
	x.stopped = true
	return false
}

// expand returns nil for what is refused. That is walked all the same: the limits hold
// for every part that anybody may walk later, and a loop can stand there too.
func (x *expander) expand(y *yaml.Node, depth int) *node {
	if !x.count(y, depth) {
		return nil
	}
	for hops := 0; y.Kind == yaml.AliasNode; hops++ {
		if y.Alias == nil || hops > maxDepth {
			x.fail(YAMLRefused, y.Line, "write the value out", "an alias that leads nowhere")
			return nil
		}
		y = y.Alias
	}
	if y.Style&yaml.TaggedStyle != 0 {
		x.fail(YAMLRefused, y.Line, "remove the tag, and quote the value if it is a text", "tag %s is not allowed", show(y.Tag))
		for _, c := range y.Content {
			x.expand(c, depth+1)
		}
		return nil
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.ScalarNode:
		x.scalar(n, y)
	case yaml.SequenceNode:
		n.kind = sequence
		for _, item := range y.Content {
			if v := x.expand(item, depth+1); v != nil {
				n.items = append(n.items, v)
			}
		}
	case yaml.MappingNode:
		n.kind = mapping
		x.mapping(n, y, depth)
	}
	if x.stopped {
		return nil
	}
	return n
}

func (x *expander) scalar(n *node, y *yaml.Node) {
	n.tag, n.text = y.ShortTag(), x.interpolate(y.Value, y.Line)
	n.reads = n.text
	if y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 && n.tag != "!!str" && n.tag != "!!merge" {
		var v any
		if err := y.Decode(&v); err == nil {
			n.reads = fmt.Sprint(v)
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			x.fail(YAMLRefused, y.Line, "write it in quotes if it is a text", "%s is not a number that everybody reads", show(y.Value))
		}
	}
}

func (x *expander) mapping(n *node, y *yaml.Node, depth int) {
	seen := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if !x.count(k, depth+1) {
			return
		}
		switch {
		case k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0 || k.ShortTag() == "!!null" || k.Value == "" || strings.ContainsRune(k.Value, 0):
			x.fail(YAMLRefused, k.Line, "write the key as a plain word", "a key that is not a word")
			if k.Kind != yaml.ScalarNode {
				x.expand(k, depth+1)
			}
			x.expand(v, depth+1)
			continue
		case seen[k.Value] > 0:
			x.fail(YAMLRefused, k.Line, "keep one of them", "key %s again, first on line %d", show(k.Value), seen[k.Value])
			x.expand(v, depth+1)
			continue
		}
		seen[k.Value] = k.Line
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		if value := x.expand(v, depth+1); value != nil {
			if value.kind != scalar {
				value.line = k.Line // a block's own line is that of its first entry
			}
			n.fields = append(n.fields, field{k.Value, k.Line, value})
		}
	}
	for _, m := range merges {
		x.merge(n, m, depth)
	}
}

// merge adds the keys of a merge key's mapping, or of each in its list, that n does
// not have.
func (x *expander) merge(n *node, y *yaml.Node, depth int) {
	from := x.expand(y, depth+1)
	if from == nil {
		return
	}
	parts := []*node{from}
	if from.kind == sequence {
		parts = from.items
	}
	for _, part := range parts {
		if part.kind != mapping {
			x.fail(YAMLRefused, y.Line, "merge a mapping, or a list of mappings", "<< takes %s", part.kind)
			continue
		}
		for _, f := range part.fields {
			if n.field(f.key) == nil {
				n.fields = append(n.fields, f)
			}
		}
	}
}

// interpolate reads `$$` as `$` and refuses every other `$`: what a release is must
// not depend on anybody's environment.
func (x *expander) interpolate(s string, line int) string {
	if !strings.Contains(s, "$") {
		return s
	}
	text, bad := dollars(s)
	if bad != "" {
		x.fail(InterpolationRefused, line, "write the value itself, or $$ for a dollar sign", "%s would take a value from the environment", show(bad))
	}
	return text
}

// dollars reads `$$` as `$`; bad is the first other use of `$`.
func dollars(s string) (text, bad string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '$' {
			b.WriteByte('$')
			i++
			continue
		}
		if bad == "" {
			bad = variable.FindString(s[i:])
		}
		b.WriteByte('$')
	}
	return b.String(), bad
}

var variable = regexp.MustCompile(`^\$(?:\{[^}]{0,40}\}?|[A-Za-z_][A-Za-z0-9_]{0,40})?`)
