package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

// difference lists, for people, what a release changes against the one approved before
// it. Everything in it is fit to print. Sign is +, - or ~.
type difference struct{ Sign, What, Text string }

// differences compares images, routes and shared services. With old nil everything is
// new. When only the old statement is known its images are compared.
func differences(old *earlier, r *release.Release) []difference {
	var before *release.Release
	var images []string
	if old != nil {
		before, images = old.rel, old.statement.Images
	}
	var out []difference
	out = append(out, plusMinus("image", images, trust.Images(r))...)
	if old != nil && before == nil {
		return out
	}
	out = append(out, plusMinus("route", routes(before), routes(r))...)
	for _, s := range r.Services {
		was, had := service(before, s.Name)
		switch {
		case s.Shared && !had:
			out = append(out, difference{"+", "shared", trust.Escape(s.Name) + " starts once per host"})
		case s.Shared != was.Shared && had:
			out = append(out, difference{"~", "shared", trust.Escape(s.Name) + map[bool]string{true: " leaves the colours: one per host", false: " is no longer shared"}[s.Shared]})
		case s.Shared && (s.Image != was.Image || !reflect.DeepEqual(s.Config, was.Config)):
			out = append(out, difference{"~", "shared", trust.Escape(s.Name) + " changes: it is not swapped but replaced, or waits as shared_changed"})
		case !s.Shared && had && s.Image == was.Image && (!reflect.DeepEqual(s.Config, was.Config) || s.Replicas != was.Replicas):
			out = append(out, difference{"~", "service", trust.Escape(s.Name) + " is configured differently, with the same image"})
		}
	}
	if before != nil {
		for _, s := range before.Services {
			if _, has := service(r, s.Name); !has {
				out = append(out, difference{"-", "service", trust.Escape(s.Name)})
			}
		}
	}
	return out
}

func service(r *release.Release, name string) (release.Service, bool) {
	if r == nil {
		return release.Service{}, false
	}
	return r.Service(name)
}

func routes(r *release.Release) []string {
	var out []string
	if r == nil {
		return nil
	}
	for _, s := range r.Services {
		if s.Route != nil {
			out = append(out, fmt.Sprintf("%s%s → %s:%d", s.Route.Host, s.Route.Path, s.Name, s.Route.Port))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// plusMinus lists what was added and removed.
func plusMinus(what string, before, after []string) []difference {
	var out []difference
	for _, x := range after {
		if !slices.Contains(before, x) {
			out = append(out, difference{"+", what, trust.Escape(x)})
		}
	}
	for _, x := range before {
		if !slices.Contains(after, x) {
			out = append(out, difference{"-", what, trust.Escape(x)})
		}
	}
	return out
}

// planText says what a release is, against what, and what it changes.
func planText(w wanted, old *earlier) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s → %s   release %s, sequence %d, commit %.7s\n", w.rel.App, trust.Escape(w.rel.Version), w.rel.Environment, w.rel.Digest.Short(), w.rel.Sequence, w.snap.Commit())
	switch {
	case old == nil:
		b.WriteString("  no earlier release of it has an approval here: all of it is new\n")
	case len(old.persons) > 0:
		fmt.Fprintf(&b, "  against release %s, sequence %d, approved by %s\n", old.statement.Digest.Short(), old.statement.Sequence, strings.Join(old.persons, ", "))
	default:
		fmt.Fprintf(&b, "  against release %s, sequence %d; nobody verified its approval here (no policy)\n", old.statement.Digest.Short(), old.statement.Sequence)
	}
	if old != nil && old.rel == nil {
		b.WriteString("  ! its files are not in this clone's history: only images are compared\n")
	}
	changes := differences(old, w.rel)
	for _, d := range changes {
		fmt.Fprintf(&b, "  %s %-9s %s\n", d.Sign, d.What, d.Text)
	}
	for _, image := range trust.Images(w.rel) {
		if !slices.ContainsFunc(changes, func(d difference) bool { return d.What == "image" && d.Text == image }) {
			fmt.Fprintf(&b, "    %-9s %s\n", "image", image)
		}
	}
	return b.String()
}
