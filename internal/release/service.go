package release

import (
	"strconv"
	"strings"
	"time"
)

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
	complete bool // it waits for the service's end
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

// service reads one entry of services.
func (p *parser) service(entry field) *draft {
	at := join("services", entry.key)
	d := &draft{node: entry.value, teal: entry.value.get("x-teal"),
		Service: Service{Name: entry.key, File: p.file, Line: entry.line, CrashLimit: 3, Replicas: 1}}
	d.model, _ = object(serviceKeys).read(&p.reader, at, entry.value).(map[string]any)
	if d.model == nil {
		d.model = map[string]any{}
	}
	if n := entry.value.get("image"); n != nil {
		d.Image = p.image(at+".image", n)
	} else if entry.value.kind == mapping {
		p.wrong(entry.line, "write image: name@sha256:<64 hex>", "%s has no image", at)
	}
	p.serviceTeal(at, d)
	p.restart(d)
	p.environment(at, d)
	p.uses(d)
	p.fileUses(at, d, "configs")
	p.fileUses(at, d, "secrets")
	return d
}

// serviceTeal reads the service's x-teal block.
func (p *parser) serviceTeal(at string, d *draft) {
	f := d.node.field("x-teal")
	if f == nil {
		return
	}
	at += ".x-teal"
	object{
		"route":     func(r *reader, at string, n *node) any { return p.route(at, d, n) },
		"probe":     func(r *reader, at string, n *node) any { return p.probe(at, d, n) },
		"shared":    switched(&d.Shared),
		"replace":   func(r *reader, at string, n *node) any { d.Replace = oneOf("stop-first")(r, at, n) != nil; return nil },
		"overlap":   switched(&d.Overlap),
		"singleton": switched(&d.Singleton),
		"placement": placing(&d.Placement),
	}.read(&p.reader, at, f.value)
	if h := d.node.field("hostname"); h != nil && f.value.get("route") != nil {
		p.fail(ComposeNotCarried, h.line, "remove it: on the network that the proxy reaches it by, it would be a name for every app", "services.%s.hostname belongs to no service with a route", d.Name)
	}
	if d.Shared {
		d.shared = f.value.field("shared").line
	}
	if d.Probe != nil { // what it takes from the route, whichever stands first
		line := f.value.field("probe").line
		switch {
		case f.value.get("route") == nil:
			p.wrong(line, "give the service a route, or write Compose's healthcheck:", "%s.probe: teal reaches only services with a route", at)
		case d.Route != nil:
			d.Probe.Host = d.Route.Host
			if d.Probe.Port == 0 {
				d.Probe.Port = d.Route.Port
			}
		}
	}
}

func (p *parser) route(at string, d *draft, n *node) any {
	r := &Route{Path: "/"}
	before := len(p.problems)
	object{
		"host": line(&r.Host, hostForm, "a host in lower case, without port"),
		"path": func(q *reader, at string, n *node) any {
			line(&r.Path, routePath, "a path")(q, at, n)
			if !cleanPath(r.Path) {
				q.wrong(n.line, "write it without empty, . and .. parts", "%s: %s can be written in more than one way", at, show(r.Path))
			}
			return nil
		},
		"port":      count(&r.Port, 1, 65535),
		"stripPath": switched(&r.StripPath),
		"tcp":       notYet(whole(1, 65535)),
		"proto":     protocol,
	}.read(&p.reader, at, n)
	for _, key := range []string{"host", "port"} {
		if n.kind == mapping && n.get(key) == nil {
			p.wrong(lineOf(n), "write "+key+":", "%s has no %s", at, key)
		}
	}
	if len(r.Host) > 253 {
		p.wrong(n.get("host").line, "write a shorter one", "%s.host is longer than 253 letters", at)
	}
	if len(p.problems) == before {
		d.Route = r
	}
	return nil
}

// protocol takes http, which is what the proxy speaks to a service.
func protocol(r *reader, at string, n *node) any {
	if v := oneOf("http", "h2c")(r, at, n); v == "h2c" {
		r.fail(NotSupportedYet, n.line, laterNext, "%s: h2c is recognised, but this version does not carry it out", at)
	}
	return nil
}

func (p *parser) probe(at string, d *draft, n *node) any {
	q := &Probe{Path: "/", Every: time.Second, Timeout: 2 * time.Second, Passes: 3, Deadline: time.Minute, Status: StatusRange{200, 299}}
	before := len(p.problems)
	object{
		"path":     line(&q.Path, requestPath, "a path"),
		"port":     count(&q.Port, 1, 65535),
		"every":    between(&q.Every, 50*time.Millisecond, time.Minute),
		"timeout":  between(&q.Timeout, 10*time.Millisecond, time.Minute),
		"passes":   count(&q.Passes, 1, 100),
		"deadline": between(&q.Deadline, time.Second, time.Hour),
		"status":   status(&q.Status),
		"command":  notYet(command),
	}.read(&p.reader, at, n)
	if len(p.problems) == before {
		d.Probe = q
	}
	return nil
}

// restart reads Compose's restart as a crash limit: teal keeps the engine's own
// restart policy to itself (DESIGN 4.5).
func (p *parser) restart(d *draft) {
	v, _ := d.model["restart"].(string)
	if n, ok := strings.CutPrefix(v, "on-failure:"); ok {
		d.CrashLimit, _ = strconv.Atoi(n)
	} else if v == "no" {
		d.CrashLimit = 0
	}
}

// uses notes what the service refers to, with the line of each.
func (p *parser) uses(d *draft) {
	if n := d.node.get("depends_on"); n != nil {
		for _, item := range n.items {
			d.depends = append(d.depends, dependsOn{service: item.text, line: item.line, required: true})
		}
		for _, f := range n.fields {
			required := f.value.get("required")
			condition := f.value.get("condition")
			d.depends = append(d.depends, dependsOn{f.key, f.line, required == nil || required.text != "false",
				condition != nil && condition.text == "service_completed_successfully"})
		}
	}
	mounts, _ := d.model["volumes"].([]any)
	lines := d.node.get("volumes")
	for _, m := range mounts {
		m, _ := m.(map[string]any)
		source, _ := m["source"].(string)
		if m["type"] != "volume" {
			continue
		}
		d.mounts = append(d.mounts, mountUse{source, mountLine(lines, source), m["read_only"] == true})
	}
}

// mountLine is where a mount of that volume stands; several of one volume share the
// first one's.
func mountLine(n *node, source string) int {
	for _, item := range n.items {
		if item.kind == mapping && item.get("source") != nil && item.get("source").text == source ||
			item.kind == scalar && strings.HasPrefix(item.text, source+":") {
			return item.line
		}
	}
	return lineOf(n)
}
