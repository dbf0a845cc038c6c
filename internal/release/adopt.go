package release

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Adoption makes the documented edits of a Compose file, so that it becomes a manifest.
type Adoption struct {
	App     string
	Version string            // of the first release
	Host    string            // of the proposed routes
	Images  map[string]string // by service: name@sha256:…; what is missing stays as it is
}

// Adopted is one edit that Apply made, or proposes to look at.
type Adopted struct {
	Line int    `json:"line"` // in the Compose file
	Text string `json:"text"`
}

// Apply edits a Compose file's bytes and says what it did. It keeps the comments and the
// order of what it does not touch. What cannot be carried is left where it is, for Parse
// to name. Its problems are that there is nothing to edit.
func (a Adoption) Apply(file string, compose []byte) ([]byte, []Adopted, Problems) {
	w := adopter{editor: editor{reader: reader{file: file}, data: compose}, Adoption: a}
	if w.document(compose) == nil {
		return nil, nil, w.problems.tidy()
	}
	w.problems = nil
	root, err := decode(compose)
	if err != nil {
		w.wrong(1, "correct the YAML", "not YAML: %s", plainText(err.Error()))
		return nil, nil, w.problems
	}
	w.lines = lineStarts(compose)
	switch {
	case a.Host != "" && !hostForm.MatchString(a.Host):
		w.wrong(0, hint(hostForm), "%s is not a host for the proposed routes", show(a.Host))
	case valueOf(root, "x-teal") != nil:
		w.wrong(keyLine(root, "x-teal"), "edit it, or make the next release with tealctl release new", "it is a manifest already")
	case root.Style&yaml.FlowStyle != 0:
		w.wrong(1, "write one key a line", "the whole file is one flow mapping")
	case valueOf(root, "services") == nil:
		w.wrong(1, "name a Compose file", "there are no services")
	}
	if len(w.problems) > 0 {
		return nil, nil, w.problems
	}
	if w.top(root); len(w.problems) > 0 {
		return nil, nil, w.problems.tidy()
	}
	out, _ := w.write()
	if !w.keeps(compose, out) {
		return nil, nil, w.problems
	}
	slices.SortStableFunc(w.done, func(x, y Adopted) int { return cmp.Compare(x.Line, y.Line) })
	return out, w.done, nil
}

type adopter struct {
	editor
	Adoption
	done    []Adopted
	modes   []string // x-teal.volumes, written
	has     map[string]bool
	routed  int
	dropped map[int]bool      // lines that are gone
	gone    map[int]bool      // lines of the keys that were removed
	given   map[string]string // by service: the image that was written, "" for none
}

// keeps reads the result once more: whatever was not removed or edited on purpose says what
// it said. An edit that took too much or too little is not handed on.
func (w *adopter) keeps(before, after []byte) bool {
	var was, is reader
	a, b := was.document(before), is.document(after)
	if a == nil || b == nil {
		w.wrong(1, "write it with one key a line and each value on its own line or below", "the file is written in a way that cannot be edited safely")
		return false
	}
	service := func(at string) (string, bool) {
		for name := range w.given {
			if join("services", name) == at {
				return name, true
			}
		}
		return "", false
	}
	c := comparison{
		gone: w.gone,
		added: func(at, key string) bool {
			name, is := service(at)
			return at == "" && (key == "name" || key == "x-teal") || is && (key == "x-teal" || key == "image" && w.given[name] != "")
		},
		other: func(at string, _, is *node) bool {
			text := w.App
			if at != "name" {
				at, image := strings.CutSuffix(at, ".image")
				name, known := service(at)
				if text = w.given[name]; !image || !known || text == "" {
					return false
				}
			}
			return !is.empty() && is.kind == scalar && is.text == text
		},
	}
	if !c.same("", a, b) {
		w.wrong(c.line, "write it with one key a line and each value on its own line or below", "%s: the file is written in a way that cannot be edited safely", c.at)
		return false
	}
	return true
}

func (w *adopter) note(line int, format string, args ...any) {
	w.done = append(w.done, Adopted{line, plainText(fmt.Sprintf(format, args...))})
}

func (w *adopter) top(root *yaml.Node) {
	w.has, w.dropped, w.gone, w.given = map[string]bool{}, map[int]bool{}, map[int]bool{}, map[string]string{}
	head := ""
	if n := valueOf(root, "name"); n == nil {
		head = "name: " + stringText(w.App) + "\n"
		w.note(1, "name: %s, the name of the directory", w.App)
	} else if n.Value != w.App {
		w.put("name", n, w.App, stringText)
		w.note(n.Line, "name: %s, the name of the directory", w.App)
	}
	w.prune(root, topKeys, "")
	for _, kind := range []struct {
		name string
		keys object
	}{{"networks", networkKeys}, {"volumes", volumeKeys}} {
		each(valueOf(root, kind.name), func(k, v *yaml.Node) { w.prune(v, kind.keys, kind.name+"."+k.Value) })
	}
	each(valueOf(root, "services"), w.service)
	if head != "" {
		at := w.lines[root.Line-1]
		if len(root.Content) > 0 {
			at = w.lines[root.Content[0].Line-1]
		}
		w.cuts = append(w.cuts, cut{from: at, to: at, text: head})
	}
	var b strings.Builder
	if n := len(w.data); n > 0 && w.data[n-1] != '\n' {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "x-teal:\n  version: %s\n  sequence: 1\n", scalarText(w.Version))
	if len(w.modes) > 0 {
		b.WriteString("  volumes: {" + strings.Join(w.modes, ", ") + "}\n")
	}
	w.cuts = append(w.cuts, cut{from: len(w.data), to: len(w.data), text: b.String()})
	w.note(len(w.lines), "x-teal: version %s, sequence 1", w.Version)
}

// each walks the keys that a mapping has of its own.
func each(n *yaml.Node, do func(k, v *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return // an alias's own place is edited once, where it stands
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			do(n.Content[i], n.Content[i+1])
		}
	}
}

var dropForm = regexp.MustCompile(`; remove it(:.*)?$`)

// prune removes the keys whose advice is to remove them, by the tables that Parse reads by.
func (w *adopter) prune(n *yaml.Node, keys object, at string) {
	if n == nil || n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 {
		return
	}
	r := reader{drawing: true}
	each(n, func(k, v *yaml.Node) {
		s, known := keys[k.Value]
		if !known || s == nil {
			return
		}
		why, _ := r.draw(s)["description"].(string)
		if m := dropForm.FindStringSubmatch(why); m != nil {
			w.remove(n, k, v)
			w.note(k.Line, "%s is removed%s", join(at, k.Value), m[1])
		}
	})
}

// remove takes a key of a block mapping out, with the lines that are its value's.
func (w *adopter) remove(parent, k, v *yaml.Node) bool {
	from, ok := w.at(k)
	if !ok || parent.Style&yaml.FlowStyle != 0 {
		return false
	}
	start := w.lines[k.Line-1]
	if strings.Trim(string(w.data[start:from]), " ") != "" {
		return false // behind a dash: more than the key stands on the line
	}
	last, ends := k.Line, w.lastLine(v)
	for last < len(w.lines) {
		line := w.line(last + 1)
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		same := v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && indent == k.Column-1 && (strings.HasPrefix(text, "- ") || text == "-")
		if text != "" && indent < k.Column && !same && last+1 > ends {
			break
		}
		last++
	}
	for last > k.Line { // blank lines and comments at the end are of what follows
		text := strings.TrimLeft(w.line(last), " ")
		if text != "" && (!strings.HasPrefix(text, "#") || len(w.line(last))-len(text) >= k.Column || last <= ends) {
			break
		}
		last--
	}
	end := len(w.data)
	if last < len(w.lines) {
		end = w.lines[last]
	}
	for line := k.Line; line <= last; line++ {
		w.dropped[line] = true
	}
	w.gone[k.Line] = true
	w.cuts = append(w.cuts, cut{from: start, to: end})
	return true
}

// line is a line's text without its end, counted from 1.
func (w *adopter) line(n int) string {
	end := len(w.data)
	if n < len(w.lines) {
		end = w.lines[n]
	}
	return strings.TrimRight(string(w.data[w.lines[n-1]:end]), "\r\n")
}

// lastLine is the last line on which a part of a value stands: a quoted one may go on
// below, at any indentation.
func (w *adopter) lastLine(n *yaml.Node) int {
	last := n.Line
	if from, ok := w.at(n); ok && n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		from += len(anchorMark.Find(w.data[from:]))
		last += strings.Count(string(w.data[from:from+quotedSize(w.data[from:])]), "\n")
	}
	for _, c := range n.Content {
		last = max(last, w.lastLine(c))
	}
	return last
}

// databases are images whose service is one per host: its data does not swap.
var databases = regexp.MustCompile(`(^|/)(postgres|postgresql|postgis|timescaledb|pgvector|mysql|mariadb|percona|mongo|mongodb|redis|valkey|keydb|memcached|rabbitmq|nats|(cp-)?kafka|(cp-)?zookeeper|etcd|elasticsearch|opensearch|clickhouse|clickhouse-server|influxdb|cassandra|couchdb|neo4j|minio|meilisearch|mssql-server|qdrant|weaviate|typesense|vault|consul)([:@-]|$)`)

func (w *adopter) service(k, v *yaml.Node) {
	name := k.Value
	at := "services." + name
	if v.Kind != yaml.MappingNode || len(v.Content) == 0 || !serviceForm.MatchString(name) {
		return // Parse says what is wrong with it
	}
	w.prune(v, serviceKeys, at)
	w.prune(valueOf(v, "healthcheck"), healthcheck, at+".healthcheck")
	each(valueOf(v, "networks"), func(k, v *yaml.Node) { w.prune(v, serviceNetwork, at+".networks."+k.Value) })
	if d := valueOf(v, "deploy"); d != nil && d.Kind == yaml.MappingNode {
		w.deploy(v, d, at)
	}
	image, build := valueOf(v, "image"), valueOf(v, "build")
	var add []string
	given := w.Images[name]
	w.given[name] = given
	switch {
	case image != nil && given != "" && image.Kind == yaml.ScalarNode:
		was := image.Value
		w.set(at+".image", image, given)
		w.note(image.Line, "%s.image: %s is %s", at, plainText(was), given)
	case image == nil && given != "":
		add = append(add, "image: "+scalarText(given))
	case image == nil:
		w.note(k.Line, "%s.image: its digest is left to you: --image %s=name@sha256:… of what your pipeline builds", at, name)
	}
	if build != nil {
		if w.take(v, "build") {
			w.note(keyLine(v, "build"), "%s.build is removed: the pipeline builds, and image: names what it made", at)
		}
	}
	if w.take(v, "develop") {
		w.note(keyLine(v, "develop"), "%s.develop is removed: keep it in a developer's override file", at)
	}
	if w.take(v, "container_name") {
		w.note(keyLine(v, "container_name"), "%s.container_name is removed: services of one app find each other as %s", at, name)
	}
	text := ""
	if image != nil {
		text = behind(image).Value
	}
	shared := databases.MatchString(imagePath(text))
	port, ports := firstPort(valueOf(v, "ports"))
	switch {
	case shared:
		add = append(add, "x-teal: {shared: true} # proposed: one per host, outside the colours")
		if w.take(v, "ports") {
			w.note(keyLine(v, "ports"), "%s.ports is removed: the app's services reach it as %s", at, name)
		}
		w.note(k.Line, "%s is proposed as shared: one per host, not swapped; a change of it waits for x-teal: replace", at)
	case ports > 0 && port > 0:
		host := w.Host
		if w.routed > 0 {
			host = strings.ToLower(strings.ReplaceAll(name, "_", "-")) + "." + host
		}
		w.routed++
		probe := ", probe: {path: /}"
		if valueOf(v, "healthcheck") != nil {
			probe = ""
		}
		add = append(add, fmt.Sprintf("x-teal: {route: {host: %s, path: /, port: %d}%s} # proposed for ports:", host, port, probe))
		line := keyLine(v, "ports")
		if w.take(v, "hostname") {
			w.note(keyLine(v, "hostname"), "%s.hostname is removed: a service with a route has none", at)
		}
		w.take(v, "ports")
		w.note(line, "%s.ports became x-teal: route to port %d of %s; write the host that people use, and the path that says it is well", at, port, host)
		if ports > 1 {
			w.note(line, "%s.ports: %d more ports are not routed", at, ports-1)
		}
	}
	w.volumes(v, at, shared, !shared && port > 0)
	w.addTo(k, v, at, add)
}

// deploy removes what of deploy: is not carried out, or the key when nothing is left.
func (w *adopter) deploy(service, d *yaml.Node, at string) {
	left := 0
	r := reader{drawing: true}
	each(d, func(k, _ *yaml.Node) {
		why := ""
		if s := deploy[k.Value]; s != nil {
			why, _ = r.draw(s)["description"].(string)
		}
		if !dropForm.MatchString(why) && k.Value != "restart_policy" {
			left++
		}
	})
	if left == 0 {
		if w.take(service, "deploy") {
			w.note(keyLine(service, "deploy"), "%s.deploy is removed: teal swaps, restarts and places by itself", at)
		}
		return
	}
	w.prune(d, deploy, at+".deploy")
	if w.take(d, "restart_policy") {
		w.note(keyLine(d, "restart_policy"), "%s.deploy.restart_policy is removed: restart: says it", at)
	}
}

// take removes a key of a mapping if it is there.
func (w *adopter) take(n *yaml.Node, key string) bool {
	done := false
	each(n, func(k, v *yaml.Node) {
		if k.Value == key && !w.dropped[k.Line] {
			done = w.remove(n, k, v)
		}
	})
	return done
}

// addTo adds lines to a service, in front of its first key that stays where it is.
func (w *adopter) addTo(k, v *yaml.Node, at string, add []string) {
	if len(add) == 0 {
		return
	}
	if v.Style&yaml.FlowStyle != 0 {
		from, ok := w.at(v)
		if !ok || w.data[from] != '{' {
			w.note(k.Line, "%s: add %s by hand", at, strings.Join(add, " and "))
			return
		}
		text := ""
		for _, a := range add {
			a, _, _ = strings.Cut(a, " #")
			text += a + ", "
		}
		w.cuts = append(w.cuts, cut{from: from + 1, to: from + 1, text: text})
		return
	}
	first := v.Content[0]
	start := w.lines[first.Line-1]
	w.cuts = append(w.cuts, cut{from: start, to: start, text: strings.Repeat(" ", first.Column-1) + strings.Join(add, "\n"+strings.Repeat(" ", first.Column-1)) + "\n"})
}

// volumes proposes how the named volumes of a swapped service are shared by the colours.
func (w *adopter) volumes(v *yaml.Node, at string, shared, routed bool) {
	n := valueOf(v, "volumes")
	if shared || n == nil || n.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range n.Content {
		name, readOnly := "", false
		switch item.Kind {
		case yaml.ScalarNode:
			parts := strings.Split(item.Value, ":")
			if len(parts) > 1 && keyForm.MatchString(parts[0]) {
				name = parts[0]
			}
			readOnly = len(parts) > 2 && slices.Contains(strings.Split(parts[2], ","), "ro")
		case yaml.MappingNode:
			if source := valueOf(item, "source"); source != nil && behind(source).Kind == yaml.ScalarNode {
				if kind := valueOf(item, "type"); kind != nil && kind.Value == "volume" {
					name = behind(source).Value
				}
			}
			ro := valueOf(item, "read_only")
			readOnly = ro != nil && ro.Value == "true"
		}
		if name == "" || readOnly || w.has[name] && !routed {
			continue
		}
		mode, see := modeExclusive, "one colour at a time"
		if routed {
			mode, see = modeOverlap, "see that both colours may write it at once"
		}
		if w.has[name] { // a routed service decides
			w.modes = slices.DeleteFunc(w.modes, func(m string) bool { return strings.HasPrefix(m, name+":") })
		}
		w.has[name] = true
		w.modes = append(w.modes, name+": "+mode)
		w.note(item.Line, "%s writes the volume %s: x-teal: volumes says %s; %s", at, name, mode, see)
	}
}

// firstPort is the container's side of the first TCP port, and how many entries there are.
func firstPort(n *yaml.Node) (port, count int) {
	if n = behind(n); n == nil || n.Kind != yaml.SequenceNode {
		return 0, 0
	}
	for _, item := range n.Content {
		count++
		item = behind(item)
		text := item.Value
		if item.Kind == yaml.MappingNode {
			text = ""
			if t := valueOf(item, "target"); t != nil {
				text = t.Value
			}
			if p := valueOf(item, "protocol"); p != nil {
				text += "/" + p.Value
			}
		}
		text, protocol, _ := strings.Cut(text, "/")
		text = text[strings.LastIndexByte(text, ':')+1:]
		if i, err := strconv.Atoi(text); err == nil && i > 0 && i < 65536 && port == 0 && protocol != "udp" {
			port = i
		}
	}
	return port, count
}

// imagePath is an image's name without what a variable would put around it.
func imagePath(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name
}

// FilesBeside lists the files that a Compose file names and that a release directory would
// hold: env files and configs, within the directory. Secrets are not among them.
func FilesBeside(compose []byte) (out []string) {
	r := reader{}
	root := r.document(compose)
	add := func(n *node) {
		if n == nil || n.kind != scalar {
			return
		}
		if name, ok := inside(n.text); ok && name != Manifest && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, s := range children(root.get("services")) {
		n := s.value.get("env_file")
		if n == nil {
			continue
		}
		add(n)
		for _, item := range n.items {
			add(item)
			add(item.get("path"))
		}
	}
	for _, c := range children(root.get("configs")) {
		add(c.value.get("file"))
	}
	return out
}

func children(n *node) []field {
	if n == nil {
		return nil
	}
	return n.fields
}
