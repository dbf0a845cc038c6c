package release

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Placement maps labels of hosts to the values that a host must have for all of them;
// empty means every host.
type Placement map[string]string

var labelValue = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/:-]{0,61}[A-Za-z0-9])?$`)

// LabelProblem says what is wrong with a label of a host, "" when nothing is. A manifest
// and agent.yaml take the same ones, so that one can be written to fit the other.
func LabelProblem(name, value string) string {
	switch {
	case !hostLabel.MatchString(name):
		return fmt.Sprintf("%s is not the label of a host: write letters, digits and . _ / -, at most 63", show(name))
	case !labelValue.MatchString(value):
		return fmt.Sprintf("%s is not the value of a label: write letters, digits and . _ / : -, at most 63", show(value))
	}
	return ""
}

// Lacks names the first label, by name, that keeps a host with these labels from
// fitting; "" when the host fits.
func (p Placement) Lacks(labels map[string]string) string {
	for _, name := range sorted(p) {
		switch has, ok := labels[name]; {
		case !ok:
			return fmt.Sprintf("it wants the label %s: %s, which this host does not have", name, p[name])
		case has != p[name]:
			return fmt.Sprintf("it wants the label %s: %s, this host has %s", name, p[name], has)
		}
	}
	return ""
}

// within reports whether every host that fits p fits q too.
func (p Placement) within(q Placement) bool {
	for name, value := range q {
		if p[name] != value {
			return false
		}
	}
	return true
}

// apart reports whether no host can fit both.
func (p Placement) apart(q Placement) bool {
	for name, value := range p {
		if other, both := q[name]; both && other != value {
			return true
		}
	}
	return false
}

// Apart reports whether no host can run a service of each: their apps' placements, or
// their own, ask for different values of one label.
func (r *Release) Apart(service string, other *Release, theirs string) bool {
	return r.placementOf(service).apart(other.placementOf(theirs))
}

// placementOf is the service's placement together with the app's.
func (r *Release) placementOf(service string) Placement {
	s, _ := r.Service(service)
	return r.Placement.and(s.Placement)
}

// and is what fits both.
func (p Placement) and(q Placement) Placement {
	all := Placement{}
	maps.Copy(all, p)
	maps.Copy(all, q)
	return all
}

// Here names the services that run on the host, sorted; nil when all of them do. An app
// that the host is out of placement for, or none of whose services fits, runs none:
// elsewhere says why.
func (r *Release) Here(h Host) (names []string, elsewhere string) {
	if lacks := r.Placement.Lacks(h.Labels); lacks != "" {
		return nil, "the app runs on other hosts: " + lacks
	}
	first := ""
	for _, s := range r.Services {
		if lacks := s.Placement.Lacks(h.Labels); lacks == "" {
			names = append(names, s.Name)
		} else if first == "" {
			first = s.Name + ": " + lacks
		}
	}
	switch {
	case len(names) == len(r.Services):
		return nil, ""
	case len(names) == 0:
		return nil, "no service of the app runs on this host, the first is " + first
	}
	return names, ""
}

// Only is the release with the named services alone: what runs on a host that runs no
// others. Its Content is that of what runs there, and a smoke request that none of its
// routes covers is left out. Nil names are all services. What the release is (digest,
// version, sequence) stays. The error says that no specification can be made of it.
func (r *Release) Only(names []string) (*Release, error) {
	if names == nil {
		return r, nil
	}
	here := *r
	here.Services, here.Smoke, here.Jobs = nil, nil, nil
	for _, s := range r.Services {
		if !slices.Contains(names, s.Name) {
			continue
		}
		if len(s.Config.DependsOn) > 0 { // an optional one that runs elsewhere
			s.Config.DependsOn = maps.Clone(s.Config.DependsOn)
			for on := range s.Config.DependsOn {
				if !slices.Contains(names, on) {
					delete(s.Config.DependsOn, on)
				}
			}
		}
		here.Services = append(here.Services, s)
	}
	routes := here.Routes()
	for _, s := range r.Smoke {
		path, _, _ := strings.Cut(s.Path, "?")
		if slices.ContainsFunc(routes, func(route RouteOf) bool { return route.Covers(s.Host, path) }) {
			here.Smoke = append(here.Smoke, s)
		}
	}
	for _, j := range r.Jobs { // they run where their service does
		if slices.Contains(names, j.Service) {
			here.Jobs = append(here.Jobs, j)
		}
	}
	var err error
	here.Content, err = content(&here)
	return &here, err
}

// Singletons are the placements of the services that run at most once in the fleet, the
// app's own among them, by service.
func (r *Release) Singletons() map[string]Placement {
	var out map[string]Placement
	for _, s := range r.Services {
		if !s.Singleton {
			continue
		}
		if out == nil {
			out = map[string]Placement{}
		}
		out[s.Name] = r.placementOf(s.Name)
	}
	return out
}

// placing reads a placement.
func placing(to *Placement) shape {
	return func(r *reader, at string, n *node) any {
		if r.draws(func() schema {
			s := dictOf(hostLabel, formSchema(labelValue, "the value that the label of a host must have")())
			s["minProperties"] = 1
			return s
		}) {
			return nil
		}
		out := Placement{}
		for _, f := range r.fields(at, n) {
			value, ok := r.text(join(at, f.key), f.value)
			if !ok {
				continue
			}
			if wrong := LabelProblem(f.key, value); wrong != "" {
				r.wrong(f.line, "correct it, or remove it", "%s: %s", at, wrong)
				continue
			}
			out[f.key] = value
		}
		if n != nil && n.kind == mapping && len(n.fields) == 0 {
			r.wrong(n.line, "write label: value lines, or remove the key", "%s names no label", at)
		}
		*to = out
		return nil
	}
}

// checkPlacement looks at what a service's placement means beside the others.
func (p *parser) checkPlacement(d *draft) {
	line := func(key string) int { return d.teal.field(key).line }
	for _, label := range sorted(d.Placement) {
		if app, both := p.rel.Placement[label]; both && app != d.Placement[label] {
			p.wrong(line("placement"), "let both name one value", "services.%s.x-teal.placement: no host has %s: %s and the app's %s: %s", d.Name, label, d.Placement[label], label, app)
		}
	}
	if !d.Singleton {
		return
	}
	if len(d.Placement) == 0 {
		p.wrong(line("singleton"), "add placement: {<label>: <value>} with a label that one host of the fleet has", "services.%s.x-teal.singleton: without a placement of its own it would run on every host", d.Name)
	}
	if f := d.teal.field("overlap"); f != nil && f.value != nil && f.value.text == "true" {
		p.wrong(f.line, "remove overlap, or singleton: true", "services.%s.x-teal.overlap: both colours' would run at once, and a singleton runs once", d.Name)
	}
	if n := d.replicas(); n != 1 {
		p.wrong(line("singleton"), "remove scale and replicas, or singleton: true", "services.%s.x-teal.singleton: it runs %d times", d.Name, n)
	}
}
