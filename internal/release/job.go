package release

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Job is a one-off run of a service's image: collected static files, a warmed cache, an
// undone preparation. Its run is named after the set, so that a crash of the agent never
// makes a second one.
type Job struct {
	Name    string
	Service string        // whose image, environment, volumes and networks it has
	Command []string      // in place of the service's own
	When    JobWhen       //
	Scope   string        // fleet (default) or host: once for the fleet, or on each host
	Timeout time.Duration // default 10m; longer is a failure
	Line    int
}

// JobWhen says when a job runs.
type JobWhen string

// A job that fails before or after the switch takes the release back. One that runs when
// it was taken back stops nothing: its failure is told.
const (
	BeforeSwitch JobWhen = "before-switch" // green is checked and has no traffic yet
	AfterSwitch  JobWhen = "after-switch"  // green has the traffic and its workers, the bake has not begun
	OnRevert     JobWhen = "on-revert"     // traffic is back, what is left still runs
)

const (
	scopeFleet = "fleet"
	scopeHost  = "host"

	defaultJobTimeout = 10 * time.Minute
	maxJobs           = 20
	maxBeforeSwitch   = 12 * time.Hour // of all timeouts before the switch
)

// jobs reads the list of jobs.
func (p *parser) jobs(r *reader, at string, n *node) any {
	for i, item := range r.items(at, n) {
		at := at + "[" + strconv.Itoa(i) + "]"
		if i >= maxJobs {
			r.wrong(item.line, "write fewer", "%s: more than %d jobs", at, maxJobs)
			break
		}
		j := Job{Scope: scopeFleet, Timeout: defaultJobTimeout, Line: lineOf(item)}
		object{
			"name":    line(&j.Name, jobForm, "the name of a job"),
			"service": line(&j.Service, serviceForm, "the name of a service"),
			"command": func(r *reader, at string, n *node) any {
				args, _ := command(r, at, n).([]any)
				for _, a := range args {
					j.Command = append(j.Command, a.(string))
				}
				return nil
			},
			"when": func(r *reader, at string, n *node) any {
				v, _ := oneOf(string(BeforeSwitch), string(AfterSwitch), string(OnRevert))(r, at, n).(string)
				j.When = JobWhen(v)
				return nil
			},
			"scope": func(r *reader, at string, n *node) any {
				if v, ok := oneOf(scopeFleet, scopeHost)(r, at, n).(string); ok {
					j.Scope = v
				}
				return nil
			},
			"timeout": between(&j.Timeout, time.Second, 6*time.Hour),
		}.read(r, at, item)
		for _, key := range []string{"name", "service", "command", "when"} {
			if item.kind == mapping && item.get(key) == nil {
				r.wrong(item.line, "write "+key+":", "%s has no %s", at, key)
			}
		}
		if c := item.get("command"); c != nil && c.empty() {
			r.wrong(c.line, "write the program to run", "%s.command is empty", at)
		}
		p.rel.Jobs = append(p.rel.Jobs, j)
	}
	return nil
}

// checkJobs looks at what the jobs refer to.
func (p *parser) checkJobs(byName map[string]*draft) {
	seen := map[string]int{}
	var before time.Duration
	for i, j := range p.rel.Jobs {
		at := fmt.Sprintf("x-teal.jobs[%d]", i)
		if first, again := seen[j.Name]; again && j.Name != "" {
			p.wrong(j.Line, "give it another name", "%s: %s is the name of the job on line %d too", at, show(j.Name), first)
		}
		seen[j.Name] = j.Line
		if j.When == BeforeSwitch {
			before += j.Timeout
		}
		d := byName[j.Service]
		switch {
		case j.Service == "":
		case d == nil:
			next := "use one of " + strings.Join(sorted(byName), ", ")
			if near := nearest(j.Service, sorted(byName)); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			p.fail(UnknownReference, j.Line, next, "%s: there is no service %s", at, show(j.Service))
		case !d.active():
			p.fail(UnknownReference, j.Line, "remove its profiles:, or use another service", "%s: the service %s has profiles, and none of them is active", at, d.Name)
		case d.Shared:
			p.wrong(j.Line, "use a service that is swapped", "%s: %s is shared, and a job belongs to a release", at, d.Name)
		case j.When == BeforeSwitch:
			for _, m := range d.mounts {
				if !m.readOnly && p.modes[m.volume] == modeExclusive {
					p.wrong(j.Line, "run it after-switch, or with another service", "%s: before the switch it would run beside the old colour, and the volume %s of %s is exclusive", at, m.volume, d.Name)
				}
			}
		}
	}
	if before > maxBeforeSwitch {
		p.wrong(p.rel.Jobs[0].Line, "write shorter timeouts", "x-teal.jobs: those before the switch may take %s, more than %s", plain(before), plain(maxBeforeSwitch))
	}
}

// JobService is the value of LabelService on a job's container: no service can have it.
func JobService(job string) string { return "job:" + job }

// job is the one-off container of a job: the service's own but for its command, without
// what serves users or others.
func (p plan) job(j Job) (ContainerSpec, error) {
	s, ok := p.Service(j.Service)
	if !ok {
		return ContainerSpec{}, fmt.Errorf("job %s: there is no service %s", j.Name, j.Service)
	}
	c, err := p.container(s, 1)
	if err != nil {
		return c, err
	}
	c.Name = fmt.Sprintf("%s-job-%s-%s", p.project(), j.Name, p.target.Short())
	c.Service, c.Class, c.Command = JobService(j.Name), ClassJob, slices.Clone(j.Command)
	c.Route, c.Probe, c.DependsOn, c.CrashLimit, c.Hostname = nil, nil, nil, 0, ""
	c.Health = &HealthSpec{Test: []string{"NONE"}}
	c.Endpoints = slices.DeleteFunc(slices.Clone(c.Endpoints), func(e Endpoint) bool { return e.Network == p.host.EdgeNetwork })
	for i := range c.Endpoints {
		c.Endpoints[i].Aliases = nil
	}
	c.Labels[LabelService], c.Labels["com.docker.compose.oneoff"] = c.Service, "True"
	sum, err := specSum(c)
	if err != nil {
		return c, err
	}
	c.Labels[LabelSpec], c.Labels["com.docker.compose.config-hash"] = sum, sum
	return c, nil
}
