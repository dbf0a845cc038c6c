package release

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"
	"unicode/utf8"
)

const (
	maxEnvFile  = 64 << 10 // bytes
	maxEnvFiles = 16       // of one service
)

// environment puts the service's env_file under its environment, as Compose would:
// later files win over earlier ones, and environment: over them all.
func (p *parser) environment(at string, d *draft) {
	n := d.node.get("env_file")
	if n == nil {
		return
	}
	at += ".env_file"
	all := map[string]any{}
	each := func(_ *reader, at string, n *node) any {
		p.envFile(at, n, all)
		return nil
	}
	if len(n.items) > maxEnvFiles {
		p.wrong(n.line, "write fewer", "%s: more than %d files", at, maxEnvFiles)
		return
	}
	either(each, list(either(each, nil, each)), nil)(&p.reader, at, n)
	own, _ := d.model["environment"].(map[string]any)
	maps.Copy(all, own)
	d.model["environment"] = all
}

// envFile reads one entry of env_file, a path or {path, required}.
func (p *parser) envFile(at string, n *node, all map[string]any) {
	required := true
	where := n
	if n.kind == mapping {
		object{"path": skip, "required": switched(&required), "format": notCarried("remove it")}.read(&p.reader, at, n)
		if where = n.get("path"); where == nil {
			p.wrong(n.line, "write path: ./app.env", "%s has no path", at)
			return
		}
	}
	name, ok := besideManifest(&p.reader, at, where).(string)
	if !ok {
		return
	}
	if known, read := p.envs[name]; read {
		maps.Copy(all, values(known))
		return
	}
	data, err := readFile(p.dir, name, maxEnvFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return
	case errors.Is(err, fs.ErrNotExist):
		p.fail(UnknownReference, where.line, "commit the file beside release.yaml", "%s: there is no file %s", at, show(name))
		return
	case err != nil:
		p.fail(EnvFileInvalid, where.line, "commit it as a plain file", "%s: %s: %s", at, show(name), plainText(err.Error()))
		return
	}
	file := reader{file: path.Join(p.base, name)}
	p.envs[name] = file.variables(data)
	maps.Copy(all, values(p.envs[name]))
	p.problems = append(p.problems, file.problems...)
}

func values(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// variables reads NAME=value lines. Whatever a tool could read in another way is
// refused, so that a developer's Compose and teal never differ: `$` outside single
// quotes, a backslash in quotes, white space around the sign, a comment behind a value,
// `export`, a name without a value.
func (r *reader) variables(data []byte) map[string]string {
	out, first := map[string]string{}, map[string]int{}
	bad := func(line int, next, format string, args ...any) { r.fail(EnvFileInvalid, line, next, format, args...) }
	switch {
	case len(data) > maxEnvFile:
		bad(0, "make it smaller", "longer than %d bytes", maxEnvFile)
		return nil
	case !utf8.Valid(data):
		bad(badLine(data), "save the file as UTF-8", "not UTF-8")
		return nil
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		bad(1, "save the file without it", "starts with a byte order mark")
		return nil
	}
	for i, text := range strings.Split(string(data), "\n") {
		line := i + 1
		if blank := strings.TrimLeft(text, " \t"); blank == "" || blank[0] == '#' {
			if c := control(text); c != "" {
				bad(line, "remove it", "a control character, %s", c)
			}
			continue
		}
		if c := control(text); c != "" {
			next := "remove it"
			if strings.HasSuffix(text, "\r") {
				next = "save the file with Unix line ends"
			}
			bad(line, next, "a control character, %s", c)
			continue
		}
		name, written, has := strings.Cut(text, "=")
		switch {
		case strings.HasPrefix(name, "export ") || strings.TrimSpace(name) != name:
			bad(line, "write NAME=value, without export and spaces", "%s is not the name of a variable", show(name))
		case !has:
			bad(line, "write NAME=value", "%s has no value", show(name))
		case !envName.MatchString(name):
			bad(line, "use letters, digits and underscore", "%s is not the name of a variable", show(name))
		case first[name] > 0:
			bad(line, "keep one of them", "%s again, first on line %d", name, first[name])
		default:
			first[name] = line
			value, wrong, next := envValue(written)
			if wrong != "" {
				bad(line, next, "%s: %s", name, wrong)
				continue
			}
			out[name] = value
		}
	}
	return out
}

// control is the first character that a line of text does not hold, quoted.
func control(s string) string {
	for _, c := range s {
		if c < ' ' && c != '\t' || c == 0x7f || misleading(c) {
			return show(string(c))
		}
	}
	return ""
}

// envValue takes a value out of its quotes. wrong says why it cannot be read in one way
// only.
func envValue(s string) (value, wrong, next string) {
	const quote = "write it in single quotes if it is meant so"
	switch {
	case s == "":
		return "", "", ""
	case s[0] == '\'' || s[0] == '"':
		end := strings.IndexByte(s[1:], s[0])
		inner := s[1:]
		switch {
		case end < 0:
			return "", "the quote is not closed", "close it on the same line"
		case end != len(inner)-1:
			return "", "something stands behind the closing quote", "remove it"
		}
		inner = inner[:end]
		if strings.ContainsRune(inner, '\\') {
			return "", "a backslash in quotes", "write the value without quotes"
		}
		if s[0] == '"' && strings.ContainsRune(inner, '$') {
			return "", "$ would take a value from the environment", quote
		}
		return inner, "", ""
	case strings.ContainsRune(s, '$'):
		return "", "$ would take a value from the environment", quote
	case strings.Contains(s, " #") || strings.Contains(s, "\t#") || s[0] == '#':
		return "", "what follows # could be a comment", "put the comment on a line of its own, or the value in quotes"
	case strings.TrimSpace(s) != s:
		return "", "white space at an end of the value", "remove it, or put the value in quotes"
	}
	return s, "", ""
}
