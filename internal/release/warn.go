package release

import "fmt"

// Warnings are what a sound release can be read to mean by mistake, one for a service at
// most. They refuse nothing: only its author knows whether it is meant.
func Warnings(r *Release) Problems {
	var out Problems
	for _, s := range r.Services {
		if s.Route != nil || s.Probe != nil || s.Completes || s.Config.HealthCheck != nil && !s.Config.HealthCheck.Disable {
			continue
		}
		w := Problem{File: s.File, Line: s.Line, Code: UncheckedService,
			Message: fmt.Sprintf("services.%s has neither a route nor a healthcheck: it passes when it has run for 10 s", s.Name),
			Next:    "write a healthcheck that says when it works"}
		if s.CrashLimit == 0 {
			w.Code = ExitIsBad
			w.Message = fmt.Sprintf(`services.%s has restart: "no" and nobody waits for its end: any exit of it is bad, with status 0 too`, s.Name)
			w.Next = "if it ends by itself, make it one of x-teal.jobs, or have another service wait for it with depends_on: {" + s.Name + ": {condition: service_completed_successfully}}; " +
				"if it runs for good, write a healthcheck"
		}
		out = append(out, w)
	}
	out.Sort()
	return out
}
