package release

// completing marks the services that an active one waits for to complete: what they are
// is said by those that wait. A replica of such a service runs once for each set.
func (p *parser) completing(byName map[string]*draft) {
	for _, d := range p.services {
		for _, dep := range d.depends {
			on := byName[dep.service]
			if !dep.complete || on == nil || !d.active() || !on.active() {
				continue
			}
			switch {
			case on.Shared:
				p.wrong(dep.line, "wait for service_healthy or service_started", "services.%s.depends_on: %s is shared, and what is shared is kept running: it never completes", d.Name, on.Name)
			case on.Route != nil:
				p.wrong(dep.line, "wait for service_healthy or service_started", "services.%s.depends_on: %s has a route, so it never completes", d.Name, on.Name)
			case on.Overlap:
				p.wrong(on.teal.field("overlap").line, "remove it", "services.%s: %s waits for it to complete, so it does not run beside the old colour's", on.Name, d.Name)
			default:
				on.Completes = true
			}
		}
	}
}

// checkOverlap refuses overlap where it says nothing.
func (p *parser) checkOverlap(d *draft) {
	switch {
	case !d.Overlap:
	case d.Shared:
		p.wrong(d.teal.field("overlap").line, "keep one of them", "services.%s: a shared service runs outside the colours, so it has nothing to overlap", d.Name)
	case d.teal.field("route") != nil:
		p.wrong(d.teal.field("overlap").line, "remove it", "services.%s: a service with a route always runs beside the old colour's", d.Name)
	}
}

// beforeSwitch names the services that start before the switch: those with a route or
// overlap, and what completes before one of them starts.
func (p *parser) beforeSwitch(byName map[string]*draft) map[string]bool {
	early := map[string]bool{}
	var add func(d *draft)
	add = func(d *draft) {
		if early[d.Name] {
			return
		}
		early[d.Name] = true
		for _, dep := range d.depends {
			if on := byName[dep.service]; on != nil && on.active() && on.Class() == ClassOnce {
				add(on)
			}
		}
	}
	for _, d := range p.services {
		if c := d.Class(); d.active() && (c == ClassRouted || c == ClassOverlap) {
			add(d)
		}
	}
	return early
}

// Once names the services that must complete before the given ones start, sorted: those
// that they wait for, and those that these wait for.
func (r *Release) Once(services []string) []string {
	byName := map[string]Service{}
	for _, s := range r.Services {
		byName[s.Name] = s
	}
	found := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		for on := range byName[name].Config.DependsOn {
			if s, ok := byName[on]; ok && s.Class() == ClassOnce && !found[on] {
				found[on] = true
				add(on)
			}
		}
	}
	for _, name := range services {
		add(name)
	}
	return sorted(found)
}
