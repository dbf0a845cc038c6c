package release

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Manifest is the name of the manifest in a release directory.
const Manifest = "release.yaml"

const (
	maxServices   = 100
	maxContainers = 256 // of one set, replicas counted
)

// Parse reads the release directory of an app in an environment: release.yaml and the
// files that it names. It reads nothing else, and reports every problem at once, in
// the order of files and lines; Problem.File is the path in the repository
// (`environments/<env>/<app>/release.yaml`).
//
// Without problems the Release is complete. With problems it is nil, or holds only what
// names the release (version, sequence, source, preparedBy, links) so that a refusal
// can say which one it means; it must not be planned.
func Parse(dir fs.FS, env, app string) (*Release, Problems) {
	p := &parser{dir: dir, base: path.Join("environments", env, app), rel: defaults(env, app),
		model: map[string]any{}, envs: map[string]map[string]string{}}
	p.file = path.Join(p.base, Manifest)
	switch {
	case !ValidName(env):
		p.wrong(0, "rename the directory to lower-case letters, digits and inner dashes", "%s is not the name of an environment", show(env))
	case !ValidApp(app):
		p.wrong(0, "rename the directory to lower-case letters, digits and inner dashes, without -blue or -green at its end", "%s is not the name of an app", show(app))
	default:
		p.release()
	}
	if len(p.problems) == 0 {
		return p.rel, nil
	}
	r := p.rel
	return &Release{Environment: r.Environment, App: r.App, Digest: r.Digest, Version: r.Version, Sequence: r.Sequence,
		Source: r.Source, PreparedBy: r.PreparedBy, Links: r.Links}, p.problems.tidy()
}

// parser reads one release directory.
type parser struct {
	reader
	dir      fs.FS
	base     string // of the directory in the repository
	rel      *Release
	services []*draft          // in the order of the file
	networks map[string]*node  // declared
	volumes  map[string]*node  // declared
	modes    map[string]string // x-teal.volumes
	modeLine map[string]int
	absent   bool
	model    map[string]any               // what Compose is to normalise
	envs     map[string]map[string]string // env files that were read
}

// draft is a service while it is read.
type draft struct {
	Service
	node    *node
	model   map[string]any
	teal    *node // its x-teal
	shared  int   // line of shared:, when it is
	mounts  []mountUse
	depends []dependsOn
}

// mountUse is a service's use of a named volume.
type mountUse struct {
	volume   string
	line     int
	readOnly bool
}

// dependsOn is one entry of depends_on.
type dependsOn struct {
	service  string
	line     int
	required bool
}

// release reads the directory. Each step goes on past problems as long as there is
// something to read; what needs the whole to be sound comes last.
func (p *parser) release() {
	digest, err := DigestOf(p.dir)
	if err != nil {
		p.problems = append(p.problems, Problem{File: p.base, Code: DirectoryUnreadable, Message: strings.TrimPrefix(err.Error(), "read the release directory: ")})
	}
	p.rel.Digest = digest
	data, err := readFile(p.dir, Manifest, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.fail(DirectoryUnreadable, 0, "commit it, or remove the directory", "there is no %s", Manifest)
		return
	case err != nil:
		p.fail(DirectoryUnreadable, 0, "commit it as a plain file", "%s", err)
		return
	}
	root := p.document(data)
	if root == nil {
		return
	}
	p.top(root)
	p.check()
	if len(p.problems) > 0 {
		return
	}
	p.normalise()
}

// readFile reads at most most bytes of a plain file, and one more as a sign that there
// are more. It follows no symbolic link, in the way to the file neither: a work tree
// has them where a commit's tree does not.
func readFile(dir fs.FS, name string, most int64) ([]byte, error) {
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		info, err := fs.Lstat(dir, name[:i])
		switch {
		case err != nil:
			return nil, plainPathError(err)
		case i < len(name) && !info.IsDir():
			return nil, fmt.Errorf("%s is not a directory", show(name[:i]))
		case i == len(name) && !info.Mode().IsRegular():
			return nil, errors.New("not a plain file")
		}
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	return data, nil
}

// plainPathError takes the path off an error: a problem names the file itself.
func plainPathError(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// topKeys are the keys that Compose knows at the top level; nil ones are read apart.
var topKeys = object{
	"name":     nil,
	"services": nil,
	"networks": nil,
	"volumes":  nil,
	"x-teal":   nil,
	"secrets":  notYet(dict(keyForm, "the name of a secret", fileObject.read)),
	"configs":  notYet(dict(keyForm, "the name of a config", fileObject.read)),
	"version":  notCarried("remove it: Compose has no use for it any more"),
	"include":  notCarried("write the services out"),
	"models":   notCarried("remove it"),
	"jobs":     notCarried("use x-teal: jobs"),
}

func (p *parser) top(root *node) {
	for _, f := range root.fields {
		switch shape, known := topKeys[f.key]; {
		case !known && strings.HasPrefix(f.key, "x-"): // fragments for anchors
		case !known:
			p.unknown("", f, sorted(topKeys))
		case shape != nil:
			shape(&p.reader, f.key, f.value)
		}
	}
	p.name(root)
	p.teal(root)
	p.networks = p.declared(root, "networks", "the name of a network", networkKeys)
	p.volumes = p.declared(root, "volumes", "the name of a volume", volumeKeys)
	p.allServices(root)
}

func (p *parser) name(root *node) {
	f := root.field("name")
	if f == nil {
		p.fail(NameMismatch, 1, "write name: "+p.rel.App, "there is no name")
		return
	}
	if v, ok := word(&p.reader, "name", f.value).(string); ok && v != p.rel.App {
		p.fail(NameMismatch, f.value.line, "write name: "+p.rel.App+", or move the directory", "name: %s is not that of the directory, %s", show(v), p.rel.App)
	}
}

// teal reads the app's x-teal block.
func (p *parser) teal(root *node) {
	f := root.field("x-teal")
	if f == nil {
		next := "write x-teal: {version: …, sequence: …}"
		for _, other := range root.fields {
			if strings.HasPrefix(other.key, "x-") && nearest(other.key, []string{"x-teal"}) != "" {
				p.unknown("", other, []string{"x-teal"})
				return
			}
		}
		p.wrong(1, next, "there is no x-teal block")
		return
	}
	p.appKeys().read(&p.reader, "x-teal", f.value)
	for _, key := range []string{"version", "sequence"} {
		if f.value.field(key) == nil && (f.value.empty() || f.value.kind == mapping) {
			p.wrong(f.line, "write "+key+":", "x-teal has no %s", key)
		}
	}
}

// declared reads the top-level networks or volumes into the model and returns where
// each stands.
func (p *parser) declared(root *node, kind, what string, keys object) map[string]*node {
	out, model := map[string]*node{}, map[string]any{}
	f := root.field(kind)
	if f == nil {
		return out
	}
	for _, entry := range p.fields(kind, f.value) {
		if !keyForm.MatchString(entry.key) {
			p.wrong(entry.line, hint(keyForm), "%s: %s is not %s", kind, show(entry.key), what)
			continue
		}
		at := join(kind, entry.key)
		v := keys.read(&p.reader, at, entry.value)
		out[entry.key], model[entry.key] = entry.value, v
		m, _ := v.(map[string]any)
		external := m["external"] == true
		for _, key := range sorted(m) {
			if external && key != "external" && key != "name" {
				p.wrong(entry.value.field(key).line, "remove it, or external: true", "%s.%s: what exists already is not described", at, key)
			}
		}
		if kind == "networks" && m["name"] != nil && !external {
			p.wrong(entry.value.field("name").line, "remove it, or write external: true", "%s.name: each colour has a network of its own, and no two can have one name", at)
		}
	}
	p.model[kind] = model
	return out
}

func (p *parser) allServices(root *node) {
	f := root.field("services")
	if f == nil || f.value.empty() || f.value.kind == mapping && len(f.value.fields) == 0 {
		if !p.absent {
			line := 1
			if f != nil {
				line = f.line
			}
			p.wrong(line, "write services: with at least one", "there is no service")
		}
		return
	}
	if n := len(f.value.fields); n > maxServices {
		p.wrong(f.line, "make two apps of it", "%d services, more than %d", n, maxServices)
		return
	}
	services := map[string]any{}
	active, containers := 0, 0
	for _, entry := range p.fields("services", f.value) {
		if !serviceForm.MatchString(entry.key) {
			p.wrong(entry.line, hint(serviceForm), "services: %s is not the name of a service", show(entry.key))
			continue
		}
		d := p.service(entry)
		p.services = append(p.services, d)
		services[d.Name] = d.model
		if d.active() {
			active++
			containers += d.replicas()
		}
	}
	if containers > maxContainers {
		p.wrong(f.line, "run fewer replicas", "%d containers, more than %d", containers, maxContainers)
	}
	if len(p.services) > 0 && active == 0 {
		p.wrong(f.line, "remove profiles: from one", "every service has profiles, and none of them is active")
	}
	p.model["services"] = services
}

// active reports whether the service runs at all: teal activates no profile.
func (d *draft) active() bool {
	profiles, _ := d.model["profiles"].([]any)
	return len(profiles) == 0
}

// replicas is how often the service runs, as it is written.
func (d *draft) replicas() int {
	deploy, _ := d.model["deploy"].(map[string]any)
	for _, v := range []any{d.model["scale"], deploy["replicas"]} {
		if n, ok := v.(int); ok {
			return n
		}
	}
	return 1
}

// normalise hands the model, which is known to be sound, to Compose and fills the
// Release with what it makes of it.
func (p *parser) normalise() {
	project, err := normalise(p.rel.App, p.model)
	if err != nil {
		p.wrong(p.lineFor(err.Error()), "correct the named field", "Compose refuses it: %s", plainText(strings.TrimSuffix(err.Error(), ": invalid compose project")))
		return
	}
	for _, d := range p.services {
		if !d.active() {
			continue
		}
		config, ok := project.Services[d.Name]
		if !ok {
			p.wrong(d.Line, "report it", "Compose dropped the service %s", show(d.Name))
			return
		}
		config.Image = d.Image
		d.Config, d.Replicas = config, config.GetScale()
		p.rel.Services = append(p.rel.Services, d.Service)
	}
	slices.SortFunc(p.rel.Services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range sorted(project.Volumes) {
		p.rel.Volumes = append(p.rel.Volumes, Volume{Name: name, Mode: p.modes[name], Config: project.Volumes[name]})
	}
	for _, name := range sorted(project.Networks) {
		p.rel.Networks = append(p.rel.Networks, Network{Name: name, Config: project.Networks[name]})
	}
	if p.rel.Content, err = content(p.rel); err != nil {
		p.wrong(0, "report it", "no specification can be made of it: %s", show(err.Error()))
	}
}

// lineFor is the line of the service that Compose's error names, 0 if none.
func (p *parser) lineFor(text string) int {
	for _, d := range p.services {
		for _, mark := range []string{"services." + d.Name, fmt.Sprintf("service %q", d.Name), "service " + d.Name + " "} {
			if strings.Contains(text, mark) {
				return d.Line
			}
		}
	}
	return 0
}
