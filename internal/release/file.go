package release

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Compose's configs and secrets: files that containers find, which teal writes. They
// are read here and not handed to Compose's loader, for what they hold is resolved from
// the release directory and by the host.

const (
	maxConfigs    = 1 << 20 // bytes of all configs of a release
	maxSealed     = 1 << 20 // bytes of all age files of a release
	maxFileUses   = 64      // of one service
	secretsTarget = "/run/secrets"
)

// FileKind is what a file is in the manifest.
type FileKind string

const (
	ConfigFile FileKind = "config"
	SecretFile FileKind = "secret"
)

// Config is a top-level config with what it holds.
type Config struct {
	Name    string
	Content string
}

// Secret is a top-level secret: an age file of the release directory, or one that the
// host resolves.
type Secret struct {
	Name string
	// File and Sealed are the path and the bytes of the age file; empty when the host
	// resolves the secret.
	File   string
	Sealed []byte
	Line   int // of its key
}

// External reports whether the host resolves the secret.
func (s Secret) External() bool { return s.File == "" }

// FileUse is a service's use of a config or a secret.
type FileUse struct {
	Kind   FileKind
	Source string // its name at the top level
	Target string // absolute path in the container
	UID    int    // owner, default 0
	GID    int
	Mode   uint32 // default 0444 of a config, 0400 of a secret
	Line   int    // of the use
}

var (
	modeForm = regexp.MustCompile(`^0o?[0-7]{3}$`)
	idForm   = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)
)

// configs reads the top-level configs.
func (p *parser) configs(root *node) {
	left := maxConfigs
	p.eachFile(root, "configs", "the name of a config", func(at string, entry field) {
		before := len(p.problems)
		object{
			"file": skip, "content": skip,
			"name":            matching(objectForm, "a name", ""),
			"environment":     notCarried("write file: or content:"),
			"external":        notCarried("write file: or content:"),
			"template_driver": notCarried("remove it"),
			"labels":          notCarried("remove it"),
		}.read(&p.reader, at, entry.value)
		file, content := entry.value.get("file"), entry.value.get("content")
		if len(p.problems) > before {
			return
		}
		text, ok := "", false
		switch {
		case file == nil && content == nil, file != nil && content != nil:
			p.wrong(entry.line, "write file: ./name or content: the text", "%s: one of file and content belongs here", at)
			return
		case content != nil:
			text, ok = p.text(at+".content", content)
		default:
			text, ok = p.besideText(at+".file", file, left)
		}
		if !ok {
			return
		}
		if left -= len(text); left < 0 {
			p.wrong(entry.line, "mount a volume instead", "%s: the configs hold more than %d bytes together", at, maxConfigs)
			return
		}
		p.rel.Configs = append(p.rel.Configs, Config{Name: entry.key, Content: text})
	})
}

// secrets reads the top-level secrets: age files beside the manifest, and what the host
// resolves. Nothing else keeps a value out of Git and out of everybody's sight.
func (p *parser) secrets(root *node) {
	left := maxSealed
	p.eachFile(root, "secrets", "the name of a secret", func(at string, entry field) {
		before := len(p.problems)
		keys := object{
			"file": skip, "external": flag,
			"name":            notCarried("remove it: agent.yaml knows the secret by its key"),
			"content":         notCarried("seal it: tealctl secrets encrypt"),
			"environment":     notCarried("write file: ./name.age or external: true"),
			"driver":          notCarried("remove it"),
			"driver_opts":     notCarried("remove it"),
			"template_driver": notCarried("remove it"),
			"labels":          notCarried("remove it"),
		}
		keys.read(&p.reader, at, entry.value)
		file, external := entry.value.get("file"), entry.value.get("external")
		if len(p.problems) > before {
			return
		}
		s := Secret{Name: entry.key, Line: entry.line}
		switch {
		case (file != nil) == (external != nil && external.text == "true"):
			p.wrong(entry.line, "write file: ./"+entry.key+".age or external: true", "%s: one of file and external: true belongs here", at)
			return
		case file != nil:
			text, ok := p.besideText(at+".file", file, left)
			if !ok {
				return
			}
			if left -= len(text); left < 0 {
				p.wrong(entry.line, "keep large files elsewhere", "%s: the age files hold more than %d bytes together", at, maxSealed)
				return
			}
			if !sealed(text) {
				p.fail(SecretNotSealed, file.line, "seal it: tealctl secrets encrypt --env "+p.rel.Environment+" --app "+p.rel.App+" --name "+entry.key, "%s.file: %s is no age file", at, show(file.text))
				return
			}
			s.File, s.Sealed = strings.TrimPrefix(file.text, "./"), []byte(text)
		}
		p.rel.Secrets = append(p.rel.Secrets, s)
	})
}

// sealed reports whether a text begins like an age file. A plain one is refused before
// anything else: it must not be taken for a secret that is kept.
func sealed(text string) bool {
	return strings.HasPrefix(text, "age-encryption.org/v1\n") || strings.HasPrefix(strings.TrimLeft(text, "\r\n\t "), "-----BEGIN AGE ENCRYPTED FILE-----")
}

// besideText is what a file of the release directory holds.
func (p *parser) besideText(at string, n *node, most int) (string, bool) {
	name, ok := besideManifest(&p.reader, at, n).(string)
	if !ok {
		return "", false
	}
	data, err := readFile(p.dir, name, int64(max(most, 0)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fail(UnknownReference, n.line, "commit the file beside release.yaml", "%s: there is no file %s", at, show(name))
		return "", false
	case err != nil:
		p.wrong(n.line, "commit it as a plain file", "%s: %s: %s", at, show(name), plainText(err.Error()))
		return "", false
	}
	return string(data), true
}

// eachFile walks the top-level configs or secrets.
func (p *parser) eachFile(root *node, kind, what string, each func(at string, entry field)) {
	f := root.field(kind)
	if f == nil {
		return
	}
	known := map[string]bool{}
	p.files[kind] = known
	for _, entry := range p.fields(kind, f.value) {
		if !keyForm.MatchString(entry.key) {
			p.wrong(entry.line, hint(keyForm), "%s: %s is not %s", kind, show(entry.key), what)
			continue
		}
		known[entry.key] = true
		if entry.value.empty() {
			p.wrong(entry.line, "write file: ./name", "%s has no value", join(kind, entry.key))
			continue
		}
		each(join(kind, entry.key), entry)
	}
}

// fileUses reads the configs or secrets of a service.
func (p *parser) fileUses(at string, d *draft, kind string) {
	n := d.node.get(kind)
	if n == nil {
		return
	}
	at += "." + kind
	if len(n.items) > maxFileUses {
		p.wrong(n.line, "write fewer", "%s: more than %d files", at, maxFileUses)
		return
	}
	p.items(at, n)
	for i, item := range n.items {
		p.fileUse(at+"["+strconv.Itoa(i)+"]", d, kind, item)
	}
}

func (p *parser) fileUse(at string, d *draft, kind string, n *node) {
	use := FileUse{Kind: ConfigFile, Mode: 0o444, Line: n.line}
	if kind == "secrets" {
		use.Kind, use.Mode = SecretFile, 0o400
	}
	before := len(p.problems)
	owner := func(to *int) shape {
		return into(to, func(r *reader, at string, n *node) (int, bool) {
			s, ok := matching(idForm, "the number of a user or group", `write it in quotes, such as "1000"`)(r, at, n).(string)
			id, _ := strconv.Atoi(s)
			return id, ok
		})
	}
	source := line(&use.Source, keyForm, "the name of one")
	either(source, nil, object{
		"source": source,
		"target": into(&use.Target, func(r *reader, at string, n *node) (string, bool) {
			s, ok := filled(r, at, n).(string)
			return s, ok
		}),
		"uid": owner(&use.UID), "gid": owner(&use.GID),
		"mode": into(&use.Mode, fileMode),
	}.read)(&p.reader, at, n)
	if len(p.problems) > before {
		return
	}
	if use.Source == "" {
		p.wrong(n.line, "write source:", "%s has no source", at)
		return
	}
	if !p.files[kind][use.Source] {
		p.fail(UnknownReference, n.line, "declare it under the top-level "+kind, "%s: there is no %s %s", at, use.Kind, show(use.Source))
		return
	}
	switch {
	case use.Target == "" && use.Kind == SecretFile:
		use.Target = path.Join(secretsTarget, use.Source)
	case use.Target == "":
		use.Target = "/" + use.Source
	case !path.IsAbs(use.Target) && use.Kind == SecretFile:
		use.Target = secretsTarget + "/" + use.Target
	case !path.IsAbs(use.Target):
		use.Target = "/" + use.Target
	}
	if clean := path.Clean(use.Target); clean != use.Target || clean == "/" || strings.Contains(clean, ":") {
		p.wrong(n.line, "write a clean path, such as /etc/app.conf", "%s: the target %s is not a clean path of a file", at, show(use.Target))
		return
	}
	for _, other := range d.Files {
		if other.Target == use.Target {
			p.wrong(n.line, "give it another target", "%s: %s is that of the %s %s too", at, show(use.Target), other.Kind, other.Source)
			return
		}
	}
	d.Files = append(d.Files, use)
}

// fileMode is an octal mode, as Compose's files have it: 0440 or "0440".
func fileMode(r *reader, at string, n *node) (uint32, bool) {
	s, ok := written(modeForm, "an octal mode")(r, at, n).(string)
	if !ok {
		return 0, false
	}
	mode, err := strconv.ParseUint(strings.TrimLeft(s, "o0"), 8, 32)
	switch {
	case err != nil:
		r.wrong(n.line, "write 0440, say", "%s: nobody could read it", at)
		return 0, false
	case mode&0o222 != 0:
		r.wrong(n.line, "write 0440 or 0444, say", "%s: teal mounts it read-only, and %s lets it be written", at, show(s))
		return 0, false
	}
	return uint32(mode), true
}

// checkFiles refuses a file where a volume is mounted.
func (p *parser) checkFiles(d *draft) {
	mounts, _ := d.model["volumes"].([]any)
	for _, use := range d.Files {
		for _, m := range mounts {
			m, _ := m.(map[string]any)
			if m["target"] == use.Target {
				p.wrong(use.Line, "give one of them another target", "services.%s: a volume and the %s %s have the target %s", d.Name, use.Kind, use.Source, show(use.Target))
			}
		}
	}
}
