package release

import "strings"

// topKeys are the keys that Compose knows at the top level; nil ones are read apart.
var topKeys = object{
	"name":     nil,
	"services": nil,
	"networks": nil,
	"volumes":  nil,
	"x-teal":   nil,
	"secrets":  nil,
	"configs":  nil,
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
	p.configs(root)
	p.secrets(root)
	p.removal(root)
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
		if f.value.kind == mapping && f.value.field(key) == nil {
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
		v := orNothing(keys.read)(&p.reader, at, entry.value)
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
		if !p.rel.Absent {
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
