package proxy

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/tealops/teal/internal/vocab"
)

// table says where each request goes. It never changes: a switch makes a new one.
type table struct {
	apps    map[string]*generation
	hosts   map[string][]entry // longest path first
	changed chan struct{}      // closed when a newer table serves
}

type entry struct {
	Route
	gen *generation
}

// RouteTakenError refuses a host and path that another app has.
type RouteTakenError struct {
	Route Route
	App   string // who has it
}

func (e *RouteTakenError) Error() string {
	return fmt.Sprintf("the route %s belongs to the app %s; remove it there first", e.Route, e.App)
}

// newTable puts the apps' routes together.
func newTable(apps map[string]*generation) (*table, error) {
	t := &table{apps: apps, hosts: map[string][]entry{}, changed: make(chan struct{})}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		gen := apps[name]
		for _, r := range gen.config.Routes {
			for _, other := range t.hosts[r.Host] {
				if other.Path == r.Path {
					return nil, &RouteTakenError{Route: r, App: other.gen.app}
				}
			}
			t.hosts[r.Host] = append(t.hosts[r.Host], entry{r, gen})
		}
	}
	for _, entries := range t.hosts {
		slices.SortFunc(entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path))
		})
	}
	return t, nil
}

// with is the table with one app's generation replaced, or removed when gen is nil, and
// without the apps that are gone with the same step.
func (t *table) with(app string, gen *generation, gone ...string) (*table, error) {
	apps := maps.Clone(t.apps)
	delete(apps, app)
	for _, name := range gone {
		delete(apps, name)
	}
	if gen != nil {
		apps[app] = gen
		for _, r := range gen.config.Routes {
			for _, other := range t.hosts[r.Host] {
				if other.Path == r.Path && other.gen.app != app && !slices.Contains(gone, other.gen.app) {
					return nil, &RouteTakenError{Route: r, App: other.gen.app}
				}
			}
		}
	}
	return newTable(apps)
}

// find is the entry for a host and a path, nil when there is none.
func (t *table) find(host, path string) *entry {
	entries := t.hosts[host]
	for i := range entries {
		if vocab.Covers(entries[i].Path, path) {
			return &entries[i]
		}
	}
	return nil
}

// choose is the entry for a request. It refuses a path that another reader could take
// for another route's.
func (t *table) choose(host string, u *url.URL) (*entry, error) {
	e := t.find(host, u.Path)
	for _, other := range readings(u) {
		if t.find(host, other) != e {
			return nil, errAmbiguous
		}
	}
	return e, nil
}
