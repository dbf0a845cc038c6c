package proxy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tealops/teal/internal/vocab"
)

// State is what an app's routes do.
type State string

const (
	StateServe       State = "serve"       // requests go to the live colour
	StatePause       State = "pause"       // requests are held for a while, then answered 503
	StateMaintenance State = "maintenance" // requests are answered 503 at once
)

// App is all that the proxy is told about an app. One Put replaces all of it.
type App struct {
	// Generation numbers the configurations of an app, from 1. A lower one than the
	// current is refused.
	Generation uint64       `json:"generation"`
	Live       vocab.Colour `json:"live,omitempty"`
	State      State        `json:"state"`
	// Targets are the addresses, ip:port, of each colour's services: one a replica.
	Targets map[vocab.Colour]map[string][]string `json:"targets,omitempty"`
	// Releases are the versions in each colour, for the headers of -expose.
	Releases map[vocab.Colour]string `json:"releases,omitempty"`
	Routes   []Route                 `json:"routes,omitempty"`
	Burst    *Burst                  `json:"burst,omitempty"` // nil: no bursts are reported
}

// Route sends a host's path and all below it to a service.
type Route struct {
	Host      string `json:"host"`
	Path      string `json:"path"` // prefix, default "/"
	StripPath bool   `json:"stripPath,omitempty"`
	Service   string `json:"service"`
}

// Burst says when the answers of the live generation are reported as bad: when the
// share of 5xx among the last Requests answers is Errors or more above Baseline.
type Burst struct {
	Errors   float64 `json:"errors"`
	Requests int     `json:"requests"`
	Baseline float64 `json:"baseline,omitempty"`
}

func (r Route) String() string { return r.Host + r.Path }

// normal is the form in which two equal configurations are equal values: routes
// longest path first, hosts in lower case, nothing empty. It shares nothing with a.
func (a App) normal() App {
	if a.State == "" {
		a.State = StateServe
	}
	a.Routes = slices.Clone(a.Routes)
	for i, r := range a.Routes {
		a.Routes[i].Host = lower(r.Host)
		if r.Path == "" {
			a.Routes[i].Path = "/"
		}
	}
	slices.SortFunc(a.Routes, func(x, y Route) int {
		return cmp.Or(cmp.Compare(len(y.Path), len(x.Path)), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Host, y.Host), cmp.Compare(x.Service, y.Service))
	})
	if len(a.Routes) == 0 {
		a.Routes = nil
	}
	a.Targets = maps.Clone(a.Targets)
	for colour, services := range a.Targets {
		services = maps.Clone(services)
		for name, addresses := range services {
			services[name] = slices.Clone(addresses)
			if len(addresses) == 0 {
				delete(services, name)
			}
		}
		a.Targets[colour] = services
		if len(services) == 0 {
			delete(a.Targets, colour)
		}
	}
	a.Releases = maps.Clone(a.Releases)
	maps.DeleteFunc(a.Releases, func(_ vocab.Colour, v string) bool { return v == "" })
	if len(a.Targets) == 0 {
		a.Targets = nil
	}
	if len(a.Releases) == 0 {
		a.Releases = nil
	}
	if a.Burst != nil {
		b := *a.Burst
		a.Burst = &b
	}
	return a
}

// equal compares two configurations in normal form.
func (a App) equal(b App) bool { return reflect.DeepEqual(a, b) }

// StaleError refuses a generation that the proxy is past.
type StaleError struct {
	Current uint64
	// Different is true when the generation is the current one with another content.
	Different bool
}

func (e *StaleError) Error() string {
	if e.Different {
		return fmt.Sprintf("generation %d is already there with another content", e.Current)
	}
	return fmt.Sprintf("the proxy is at generation %d", e.Current)
}
