package release

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/vocab"
)

// RouteOf is a service's route.
type RouteOf struct {
	Service string `json:"service"`
	Route
}

// Covers reports whether a request for host and path goes to the route, when no
// longer one does: the path is the route's, or lies below it. "/ai" covers /ai and
// /ai/x but not /air; "/ai/" covers /ai/x but not /ai.
func (r Route) Covers(host, path string) bool {
	return strings.EqualFold(host, r.Host) && vocab.Covers(r.Path, path)
}

// Routes lists the routes of all services, longest path first, then by host and
// service: the first one that covers a request gets it.
func (r *Release) Routes() []RouteOf {
	var out []RouteOf
	for _, s := range r.Services {
		if s.Route != nil {
			out = append(out, RouteOf{s.Name, *s.Route})
		}
	}
	slices.SortFunc(out, func(a, b RouteOf) int {
		return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Service, b.Service))
	})
	return out
}

// Service finds a service by name.
func (r *Release) Service(name string) (Service, bool) {
	for _, s := range r.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Images lists what the release runs, name@sha256:… each once and sorted, as an
// approval names them.
func (r *Release) Images() []string {
	var out []string
	for _, s := range r.Services {
		out = append(out, s.Image)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
