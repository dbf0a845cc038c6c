package release

import (
	"fmt"
	"slices"
	"strings"
)

// check looks at what no single value shows: references, order, routes, volumes.
func (p *parser) check() {
	byName := map[string]*draft{}
	for _, d := range p.services {
		byName[d.Name] = d
	}
	p.completing(byName)
	early := p.beforeSwitch(byName)
	routes := map[string][]*draft{}
	for _, d := range p.services {
		p.checkPorts(d)
		p.checkOverlap(d)
		p.checkShared(d)
		p.checkNetworks(d)
		p.checkVolumes(d)
		p.checkPlacement(d)
		p.checkFiles(d)
		p.checkHostEnv(d)
		p.checkDependencies(d, byName, early)
		if d.Route == nil || d.Shared || !d.active() {
			continue
		}
		line := d.teal.field("route").line
		if d.model["network_mode"] != nil {
			p.wrong(line, "write networks: instead of network_mode:", "services.%s: a service with a route has networks of its own", d.Name)
		}
		key := d.Route.Host + d.Route.Path
		if i := slices.IndexFunc(routes[key], func(o *draft) bool { return !o.Placement.apart(d.Placement) }); i >= 0 {
			other := routes[key][i]
			p.fail(RouteConflict, line, "give one of them another host or path", "services.%s: route %s is that of %s too, on line %d", d.Name, show(key), other.Name, other.teal.field("route").line)
			continue
		}
		routes[key] = append(routes[key], d)
	}
	p.checkCycles(byName)
	for _, name := range sorted(p.modes) {
		switch {
		case !declares(p.volumes, name):
			p.fail(UnknownReference, p.modeLine[name], p.knownHere(p.volumes, "volumes"), "x-teal.volumes: there is no volume %s", show(name))
		case !p.written(name):
			p.wrong(p.modeLine[name], "remove it", "x-teal.volumes.%s: no swapped service writes the volume", name)
		}
	}
	p.checkSmoke()
	p.checkJobs(byName)
}

func declares(m map[string]*node, name string) bool { _, ok := m[name]; return ok }

// written reports whether a swapped service, active or not, may write the volume.
func (p *parser) written(volume string) bool {
	for _, d := range p.services {
		for _, m := range d.mounts {
			if m.volume == volume && !m.readOnly && !d.Shared {
				return true
			}
		}
	}
	return false
}

// knownHere says what to write for a name that is not declared.
func (p *parser) knownHere(m map[string]*node, kind string) string {
	if len(m) == 0 || len(m) > 12 {
		return "declare it under the top-level " + kind
	}
	return "declare it under the top-level " + kind + ", or use one of " + strings.Join(sorted(m), ", ")
}

func (p *parser) checkPorts(d *draft) {
	for _, key := range []string{"ports", "container_name"} {
		f := d.node.field(key)
		switch {
		case f == nil:
		case d.Shared:
			p.fail(ComposeNotCarried, f.line, "remove it: the app's services reach it as "+d.Name, "services.%s.%s is a Compose field that teal does not carry out", d.Name, key)
		case key == "ports":
			p.fail(PortsRefused, f.line, "remove it and write x-teal: {route: {host: …, path: /, port: …}}", "services.%s.ports: two colours cannot have one port of the host", d.Name)
		default:
			p.fail(PortsRefused, f.line, "remove it: the services of one app reach each other by service name", "services.%s.container_name: two colours cannot have one name", d.Name)
		}
	}
}

func (p *parser) checkShared(d *draft) {
	if !d.Shared {
		if f := d.teal.field("replace"); f != nil {
			p.wrong(f.line, "remove it, or write shared: true", "services.%s.x-teal.replace: a service that is not shared is swapped, not replaced", d.Name)
		}
		return
	}
	if f := d.teal.field("route"); f != nil {
		p.wrong(f.line, "remove the route, or shared: true", "services.%s: traffic is switched between colours, and a shared service has none", d.Name)
	}
	for _, key := range []string{"scale", "deploy"} {
		n := d.node.get(key)
		if key == "deploy" {
			n = n.get("replicas")
		}
		if n != nil && n.text != "1" {
			p.wrong(n.line, "remove it", "services.%s: a shared service runs once on a host", d.Name)
		}
	}
}

func (p *parser) checkNetworks(d *draft) {
	n := d.node.get("networks")
	if n == nil {
		return
	}
	if f := d.node.field("network_mode"); f != nil {
		p.wrong(f.line, "keep one of them", "services.%s: network_mode and networks exclude each other", d.Name)
	}
	look := func(name string, line int, more *node) {
		entry, declared := p.networks[name]
		if !declared && name != "default" {
			p.fail(UnknownReference, line, p.knownHere(p.networks, "networks"), "services.%s.networks: there is no network %s", d.Name, show(name))
		}
		external := entry.get("external")
		if aliases := more.get("aliases"); aliases != nil && !d.Shared && external != nil && external.text == "true" {
			p.wrong(aliases.line, "remove them", "services.%s.networks.%s.aliases: on a network that both colours join, an alias would name both", d.Name, name)
		}
	}
	for _, item := range n.items {
		look(item.text, item.line, nil)
	}
	for _, f := range n.fields {
		look(f.key, f.line, f.value)
	}
}

func (p *parser) checkVolumes(d *draft) {
	for _, m := range d.mounts {
		if !declares(p.volumes, m.volume) {
			p.fail(UnknownReference, m.line, p.knownHere(p.volumes, "volumes"), "services.%s.volumes: there is no volume %s", d.Name, show(m.volume))
			continue
		}
		if d.Shared || m.readOnly || !d.active() {
			continue
		}
		switch p.modes[m.volume] {
		case "":
			if p.modeLine[m.volume] > 0 {
				break // written, and wrong
			}
			p.fail(VolumeModeMissing, m.line, fmt.Sprintf("add x-teal: {volumes: {%s: overlap}} at the top level if both may write at once, exclusive if not, or mount it read-only", m.volume),
				"services.%s: both colours may write the volume %s", d.Name, m.volume)
		case modeExclusive:
			if d.Overlap && d.Route == nil {
				p.wrong(m.line, "write overlap for the volume too, or remove overlap: from the service", "services.%s: an overlap service runs in both colours at once, and the volume %s is exclusive", d.Name, m.volume)
			}
			if d.Completes {
				p.wrong(m.line, "write overlap, or mount it read-only", "services.%s: a service that others wait for runs beside the old colour, and the volume %s is exclusive", d.Name, m.volume)
			}
			if d.Route != nil {
				p.wrong(m.line, "write overlap, or mount it read-only", "services.%s: a service with a route runs in both colours at once, and the volume %s is exclusive", d.Name, m.volume)
			}
		}
	}
}

func (p *parser) checkDependencies(d *draft, byName map[string]*draft, early map[string]bool) {
	for _, dep := range d.depends {
		on := byName[dep.service]
		switch {
		case on == nil:
			next := "declare the service or correct the name"
			if near := nearest(dep.service, sorted(byName)); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			p.fail(UnknownReference, dep.line, next, "services.%s.depends_on: there is no service %s", d.Name, show(dep.service))
		case !d.active():
		case !on.active():
			if dep.required {
				p.fail(UnknownReference, dep.line, "remove the dependency, or write required: false", "services.%s.depends_on: %s has profiles, and none of them is active", d.Name, on.Name)
			}
			d.forget(dep.service)
		case dep.required && !p.rel.Placement.and(d.Placement).within(on.Placement):
			p.fail(UnknownReference, dep.line, "give both one placement, or write required: false", "services.%s.depends_on: %s has a placement of its own, so a host may run %s without it", d.Name, on.Name, d.Name)
		case d.Shared && !on.Shared:
			p.fail(DependencyCycle, dep.line, "drop it", "services.%s.depends_on: a shared service starts before %s, which is swapped", d.Name, on.Name)
		case early[d.Name] && on.Class() == ClassHandover:
			p.fail(DependencyCycle, dep.line, "drop it, or make "+on.Name+" shared or overlap", "services.%s.depends_on: %s starts after the switch, later than %s", d.Name, on.Name, d.Name)
		}
	}
}

// forget takes an optional dependency that is not there out of the model.
func (d *draft) forget(service string) {
	switch depends := d.model["depends_on"].(type) {
	case map[string]any:
		delete(depends, service)
	case []any:
		d.model["depends_on"] = slices.DeleteFunc(depends, func(v any) bool { return v == service })
	}
}

// checkCycles finds services that wait for each other; each circle is named once, where
// the walk closed it.
func (p *parser) checkCycles(byName map[string]*draft) {
	const (
		open = 1
		done = 2
	)
	state := map[string]int{}
	var path []string
	var visit func(d *draft)
	visit = func(d *draft) {
		state[d.Name] = open
		path = append(path, d.Name)
		for _, dep := range d.depends {
			on := byName[dep.service]
			switch {
			case on == nil || state[dep.service] == done:
			case state[dep.service] == open:
				circle := append(slices.Clone(path[slices.Index(path, dep.service):]), dep.service)
				p.fail(DependencyCycle, dep.line, "drop one of them", "services.%s.depends_on: a circle, %s", d.Name, strings.Join(circle, " → "))
			default:
				visit(on)
			}
		}
		path = path[:len(path)-1]
		state[d.Name] = done
	}
	for _, d := range p.services {
		if state[d.Name] == 0 {
			visit(d)
		}
	}
}

// checkSmoke finds the service that each smoke request reaches, and its host where the
// manifest names none.
func (p *parser) checkSmoke() {
	var rel Release
	for _, d := range p.services {
		if d.Route != nil && !d.Shared && d.active() {
			rel.Services = append(rel.Services, d.Service)
		}
	}
	routes := rel.Routes()
	for i := range p.rel.Smoke {
		s := &p.rel.Smoke[i]
		path, _, _ := strings.Cut(s.Path, "?")
		found := slices.IndexFunc(routes, func(r RouteOf) bool { return r.Covers(orHost(s.Host, r.Host), path) })
		switch {
		case found >= 0:
			s.Host = routes[found].Host
		case s.Host != "":
			p.wrong(s.Line, "correct host or path, or add the route", "x-teal.smoke[%d]: no route covers %s", i, show(s.Host+path))
		default:
			p.wrong(s.Line, "correct the path, or add the route", "x-teal.smoke[%d]: no route covers %s", i, show(path))
		}
	}
}

func orHost(host, other string) string {
	if host != "" {
		return host
	}
	return other
}
