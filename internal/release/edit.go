package release

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"
)

// Edit is what makes a manifest that of the next release. Zero values leave what is there.
type Edit struct {
	Version    string
	Sequence   int64
	Images     map[string]string // by service: name@sha256:…
	Source     Source
	PreparedBy string
}

// Changed is one value of a manifest that Apply wrote.
type Changed struct {
	Field string `json:"field"` // services.backend.image, x-teal.version
	Line  int    `json:"line"`  // before the edit
	Was   string `json:"was,omitempty"`
	Is    string `json:"is"`
}

// Apply writes the edit into a manifest's bytes, at the places of the values that it
// changes: comments, order, quotes and every other byte stay. What is not there yet is
// added beside the sequence. It does not judge the result, which Parse does; its problems
// are that a value has no place that can be written, each with file and line.
func (e Edit) Apply(file string, manifest []byte) ([]byte, []Changed, Problems) {
	w := editor{reader: reader{file: file}, data: manifest}
	if w.document(manifest) == nil { // bounds, one document, a mapping; the rest of its problems are Parse's
		return nil, nil, w.problems.tidy()
	}
	w.problems = nil
	root, err := decode(manifest)
	if err != nil {
		w.wrong(1, "correct the YAML", "not YAML: %s", plainText(err.Error()))
		return nil, nil, w.problems
	}
	if w.plainKeys(root); len(w.problems) > 0 {
		return nil, nil, w.problems.tidy()
	}
	w.lines = lineStarts(manifest)
	w.images(root, e.Images)
	w.teal(root, e)
	if len(w.problems) > 0 {
		return nil, nil, w.problems.tidy()
	}
	out, changed := w.write()
	if changed = w.followed(e, out, changed); len(w.problems) > 0 {
		return nil, nil, w.problems.tidy()
	}
	return out, changed, nil
}

// followed reads the result once more. What was asked for stands there, and nothing else
// is another, but for what is written in one place with a changed value and used in
// several: that is named as well. Any other result is not handed on.
func (w *editor) followed(e Edit, after []byte, changed []Changed) []Changed {
	var before, now reader
	was, is := before.document(w.data), now.document(after)
	asked := map[string]bool{}
	for _, c := range changed {
		asked[c.Field] = true
	}
	c := comparison{
		added: func(at, key string) bool {
			return at == "x-teal" && asked["x-teal."+key] || at == "x-teal.source" && asked["x-teal.source."+key]
		},
		other: func(at string, was, is *node) bool {
			for _, one := range changed {
				from, _ := dollars(one.Was)
				switch {
				case is.empty() || is.kind != scalar || is.text != one.Is:
				case one.Field == at:
					return true
				case one.Was != "" && was.text == from && was.line == one.Line && was.kind == scalar: // by an alias or a merge key
					changed = append(changed, Changed{at, was.line, one.Was, one.Is})
					return true
				}
			}
			return false
		},
	}
	const next = "write it plainly on one line, apart from other values"
	switch {
	case is == nil:
		w.wrong(1, next, "the manifest is written in a way that cannot be edited safely")
	case !c.same("", was, is):
		w.wrong(c.line, next, "%s: the manifest is written in a way that cannot be edited safely", c.at)
	default:
		teal := is.get("x-teal")
		for _, part := range append(sourceParts(e.Source), sourcePart{"version", e.Version}, sourcePart{"preparedBy", e.PreparedBy}) {
			from := teal
			if part.key == "repository" || part.key == "commit" {
				from = teal.get("source")
			}
			if n := from.get(part.key); part.text != "" && (n == nil || n.text != part.text) {
				w.wrong(lineOf(teal), next, "x-teal: %s cannot be written safely", part.key)
			}
		}
		if n := teal.get("sequence"); e.Sequence > 0 && (n == nil || n.tag != "!!int" || n.text != strconv.FormatInt(e.Sequence, 10)) {
			w.wrong(lineOf(teal), next, "x-teal: sequence cannot be written safely")
		}
		for _, name := range sorted(e.Images) {
			if n := is.get("services").get(name).get("image"); n == nil || n.text != e.Images[name] {
				w.wrong(lineOf(is.get("services").get(name)), next, "%s.image cannot be written safely", join("services", name))
			}
		}
	}
	return changed
}

// plainKeys refuses keys with a tag, as Parse does: a reader does not take such a key for
// the one that the edit writes to. The depth is bounded by then.
func (w *editor) plainKeys(n *yaml.Node) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Style&yaml.TaggedStyle != 0 {
			w.fail(YAMLRefused, c.Line, "remove the tag", "tag %s is not allowed", show(c.Tag))
		}
		w.plainKeys(c)
	}
}

// editor collects the places to write in a manifest.
type editor struct {
	reader
	data  []byte
	lines []int // where each line starts
	cuts  []cut
}

// cut is a range of bytes and what belongs there. from == to inserts.
type cut struct {
	from, to int
	text     string
	Changed
}

// lineStarts splits as the YAML parser does; the places that come of it are checked
// against what stands there all the same.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		i += size
		switch c {
		case '\r':
			if i < len(data) && data[i] == '\n' {
				continue
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		starts = append(starts, i)
	}
	return starts
}

// at is the offset of a node's first byte; columns are counted in characters.
func (w *editor) at(n *yaml.Node) (int, bool) {
	if n.Line < 1 || n.Line > len(w.lines) {
		return 0, false
	}
	at := w.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(w.data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(w.data[at:])
		at += size
	}
	return at, at <= len(w.data)
}

var anchorMark = regexp.MustCompile(`^&[^\s,\[\]{}]+[ \t]+`)

// span is where a value stands on its line: a plain or quoted scalar behind its anchor,
// or an alias. ok is false for what is written over several lines.
func (w *editor) span(n *yaml.Node) (from, to int, ok bool) {
	from, ok = w.at(n)
	if !ok {
		return 0, 0, false
	}
	if n.Anchor != "" && n.Kind == yaml.ScalarNode {
		from += len(anchorMark.Find(w.data[from:]))
	}
	rest := w.data[from:]
	size := len(n.Value)
	switch {
	case n.Kind == yaml.AliasNode:
		return from, from + 1 + size, strings.HasPrefix(string(rest), "*"+n.Value)
	case n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0:
		return 0, 0, false
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		size = quotedSize(rest)
	}
	if size == 0 || size > len(rest) || strings.ContainsAny(string(rest[:size]), "\r\n") {
		return 0, 0, false
	}
	var back string
	if err := yaml.Unmarshal(rest[:size], &back); err != nil || back != n.Value {
		return 0, 0, false // not what the parser saw: another place
	}
	return from, from + size, true
}

// quotedSize is the length of a quoted scalar with its quotes, 0 if it does not end.
func quotedSize(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] != quote:
		case quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return 0
}

// valueOf is the value that a mapping has for a key: its own, else a merged one.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	n = behind(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i].ShortTag() != "!!merge" {
			return n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		from := behind(n.Content[i+1])
		parts := []*yaml.Node{from}
		if from != nil && from.Kind == yaml.SequenceNode {
			parts = from.Content
		}
		for _, part := range parts {
			if v := valueOf(part, key); v != nil {
				return v
			}
		}
	}
	return nil
}

// behind is what an alias stands for. The document was read before: its aliases end.
func behind(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// set writes a text in the place of a value, in the quotes that are there.
func (w *editor) set(field string, n *yaml.Node, text string) { w.put(field, n, text, scalarText) }

// put is set with a writer of the text where there are no quotes; nil is for a number,
// which has none.
func (w *editor) put(field string, n *yaml.Node, text string, write func(string) string) {
	was := behind(n)
	if was == nil || was.Kind != yaml.ScalarNode {
		w.wrong(n.Line, "write one plain value", "%s: a text belongs here", field)
		return
	}
	quotes := was.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if was.Value == strings.ReplaceAll(text, "$", "$$") && (write != nil || !quotes) {
		return
	}
	from, to, ok := w.span(n)
	if !ok {
		w.wrong(n.Line, "write it plainly on one line", "%s: the value cannot be changed in place", field)
		return
	}
	quote := w.data[from]
	written := text
	if write != nil {
		written = write(text)
	}
	if write != nil && n.Kind == yaml.ScalarNode && (quote == '\'' || quote == '"') && quotable.MatchString(text) {
		written = string(quote) + strings.ReplaceAll(text, "$", "$$") + string(quote)
	}
	for _, c := range w.cuts {
		if c.from == from && c.to == to {
			if c.text != written {
				w.wrong(n.Line, "write the two apart", "%s and %s are one value here and cannot become two", c.Field, field)
			}
			return
		}
	}
	w.cuts = append(w.cuts, cut{from, to, written, Changed{field, n.Line, was.Value, text}})
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z0-9/]([A-Za-z0-9._@/+~:=-]*[A-Za-z0-9._@/+~=-])?$`)
	quotable    = regexp.MustCompile(`^[A-Za-z0-9 ._@/+~:=$-]*$`)
)

// scalarText writes a text as a scalar that stands anywhere, `$` as `$$`.
func scalarText(text string) string {
	text = strings.ReplaceAll(text, "$", "$$")
	if plainScalar.MatchString(text) {
		return text
	}
	return strconv.Quote(text) // of printable ASCII, which YAML reads alike
}

// stringText is scalarText where Compose asks for a text: `1e3` and `true` are none.
func stringText(text string) string {
	written := scalarText(text)
	if n, err := decode([]byte(written)); err != nil || n.ShortTag() != "!!str" {
		return strconv.Quote(strings.ReplaceAll(text, "$", "$$"))
	}
	return written
}

// images sets those of the services.
func (w *editor) images(root *yaml.Node, images map[string]string) {
	if len(images) == 0 {
		return
	}
	services := behind(valueOf(root, "services"))
	var names []string
	if services != nil && services.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(services.Content); i += 2 {
			names = append(names, services.Content[i].Value)
		}
	}
	for _, name := range sorted(images) {
		service := valueOf(services, name)
		if service == nil {
			next := "services here: " + strings.Join(names, ", ")
			if near := nearest(name, names); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			w.wrong(keyLine(root, "services"), next, "there is no service %s", show(name))
			continue
		}
		image := valueOf(service, "image")
		if image == nil {
			w.wrong(keyLine(services, name), "write image:", "%s has no image", join("services", name))
			continue
		}
		w.set(join("services", name)+".image", image, images[name])
	}
}

// keyLine is the line of a mapping's own key, 1 if it has none.
func keyLine(n *yaml.Node, key string) int {
	if n = behind(n); n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i].Line
			}
		}
	}
	return 1
}

// teal sets the values of the x-teal block, and adds those that it lacks.
func (w *editor) teal(root *yaml.Node, e Edit) {
	block := behind(valueOf(root, "x-teal"))
	if block == nil || block.Kind != yaml.MappingNode || len(block.Content) == 0 {
		w.wrong(keyLine(root, "x-teal"), "write x-teal: {version: v0, sequence: 1} and try again", "there is no x-teal block to write the version to")
		return
	}
	var add []Changed
	put := func(key, text string) {
		if text == "" {
			return
		}
		if n := valueOf(block, key); n != nil {
			write := scalarText
			if key == "sequence" {
				write = nil
			}
			w.put("x-teal."+key, n, text, write)
		} else {
			add = append(add, Changed{"x-teal." + key, 0, "", text})
		}
	}
	put("version", e.Version)
	if e.Sequence > 0 {
		put("sequence", strconv.FormatInt(e.Sequence, 10))
	}
	if source := behind(valueOf(block, "source")); source != nil && source.Kind == yaml.MappingNode && len(source.Content) > 0 {
		var more []Changed
		for _, part := range sourceParts(e.Source) {
			if n := valueOf(source, part.key); n != nil {
				w.set("x-teal.source."+part.key, n, part.text)
			} else {
				more = append(more, Changed{"x-teal.source." + part.key, 0, "", part.text})
			}
		}
		w.insert(source, more)
	} else if source != nil && e.Source != (Source{}) {
		w.wrong(source.Line, "write source: {repository: …, commit: …}", "x-teal.source is no mapping")
	} else if parts := sourceParts(e.Source); len(parts) > 0 {
		var text []string
		for _, p := range parts {
			text = append(text, p.key+": "+scalarText(p.text))
		}
		add = append(add, Changed{"x-teal.source", 0, "", "{" + strings.Join(text, ", ") + "}"})
	}
	put("preparedBy", e.PreparedBy)
	w.insert(block, add)
}

type sourcePart struct{ key, text string }

func sourceParts(s Source) (out []sourcePart) {
	if s.Repository != "" {
		out = append(out, sourcePart{"repository", s.Repository})
	}
	if s.Commit != "" {
		out = append(out, sourcePart{"commit", s.Commit})
	}
	return out
}

// insert adds keys to a mapping, behind its sequence if it has one, else behind the last
// of its values that stand on one line.
func (w *editor) insert(block *yaml.Node, add []Changed) {
	if len(add) == 0 {
		return
	}
	var key, value *yaml.Node
	var end int
	for i := 0; i+1 < len(block.Content); i += 2 {
		k, v := block.Content[i], block.Content[i+1]
		if _, to, ok := w.span(v); ok && (key == nil || key.Value != "sequence") && (k.Value == "sequence" || block.Line == k.Line || k.ShortTag() != "!!merge") {
			key, value, end = k, v, to
		}
	}
	if key == nil {
		w.wrong(block.Line, "write "+last(add[0].Field)+": by hand", "there is no place for %s", add[0].Field)
		return
	}
	flow := block.Style&yaml.FlowStyle != 0
	from, ok := w.at(key)
	indent := string(w.data[w.lines[key.Line-1]:from])
	if !ok || !flow && strings.Trim(indent, " ") != "" {
		w.wrong(key.Line, "write "+last(add[0].Field)+": by hand", "there is no place for %s", add[0].Field)
		return
	}
	at, eol := end, "\n"
	if !flow {
		for at < len(w.data) && w.data[at] != '\n' && w.data[at] != '\r' {
			at++
		}
		if strings.HasPrefix(string(w.data[at:]), "\r\n") {
			eol = "\r\n"
		}
	}
	for _, c := range add {
		text := scalarText(c.Is)
		if strings.HasPrefix(c.Is, "{") {
			text = c.Is // a mapping, made above
		}
		text = last(c.Field) + ": " + text
		if flow {
			text = ", " + text
		} else {
			text = eol + indent + text
		}
		c.Line = value.Line
		w.cuts = append(w.cuts, cut{at, at, text, c})
	}
}

func last(field string) string { return field[strings.LastIndexByte(field, '.')+1:] }

// write makes the new bytes.
func (w *editor) write() ([]byte, []Changed) {
	slices.SortStableFunc(w.cuts, func(a, b cut) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var out []byte
	var changed []Changed
	done := 0
	for _, c := range w.cuts {
		out = append(append(out, w.data[done:c.from]...), c.text...)
		done = c.to
		changed = append(changed, c.Changed)
	}
	return append(out, w.data[done:]...), changed
}

// Marks are what a manifest says about itself, read without judging the rest.
type Marks struct {
	Version  string
	Sequence int64
	Source   Source
	Formerly string
	Images   []ServiceImage // in the order of the file
}

// ServiceImage is the image of a service as a manifest writes it.
type ServiceImage struct {
	Service, Image string
	Line           int
}

// MarksOf reads a manifest's marks; what cannot be read stays empty. It is for old and for
// unfinished manifests, which Parse refuses.
func MarksOf(manifest []byte) Marks {
	r := reader{}
	root := r.document(manifest)
	var m Marks
	if root == nil {
		return m
	}
	plain := func(n *node) string {
		if n.empty() || n.kind != scalar {
			return ""
		}
		return n.text
	}
	teal := root.get("x-teal")
	m.Version, m.Formerly = plain(teal.get("version")), plain(teal.get("formerly"))
	if n := teal.get("sequence"); n != nil {
		m.Sequence, _ = r.integer("sequence", n, 1, maxSequence)
	}
	source := teal.get("source")
	m.Source = Source{plain(source.get("repository")), plain(source.get("commit"))}
	if services := root.get("services"); services != nil {
		for _, f := range services.fields {
			if image := f.value.field("image"); image != nil {
				m.Images = append(m.Images, ServiceImage{f.key, plain(image.value), image.line})
			}
		}
	}
	return m
}
