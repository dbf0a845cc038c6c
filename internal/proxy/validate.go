package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/vocab"
)

// What one app may have, so that no configuration fills the memory.
const (
	maxApps      = 1000
	maxRoutes    = 256
	maxServices  = 256
	maxReplicas  = 64
	maxWindow    = 10_000
	maxPath      = 1024
	maxName      = 64
	maxReleaseOf = 256
)

// validate reports all that is wrong with a configuration in normal form.
func (a App) validate(name string) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !vocab.ValidApp(name) {
		bad("%q is not the name of an app", short(name))
	}
	if a.Generation == 0 {
		bad("generation: it counts from 1")
	}
	switch a.State {
	case StateServe, StatePause, StateMaintenance:
	default:
		bad("state: %q is not serve, pause or maintenance", short(string(a.State)))
	}
	switch a.Live {
	case vocab.Blue, vocab.Green:
	case vocab.Shared:
		if a.State != StateMaintenance {
			bad("live: a colour must be live, unless the state is maintenance")
		}
	default:
		bad("live: %q is not blue or green", short(string(a.Live)))
	}
	for _, colour := range slices.Sorted(maps.Keys(a.Targets)) {
		for _, err := range validTargets(colour, a.Targets[colour]) {
			problems = append(problems, fmt.Errorf("targets.%s: %w", short(string(colour)), err))
		}
	}
	for _, colour := range slices.Sorted(maps.Keys(a.Releases)) {
		if v := a.Releases[colour]; colour != vocab.Blue && colour != vocab.Green || len(v) > maxReleaseOf || !printable(v) {
			bad("releases.%s: %q is not a version", short(string(colour)), short(v))
		}
	}
	problems = append(problems, a.validRoutes()...)
	if b := a.Burst; b != nil && (b.Requests < 1 || b.Requests > maxWindow || !(b.Errors > 0 && b.Errors <= 1) || !(b.Baseline >= 0 && b.Baseline <= 1)) {
		bad("burst: errors must be above 0 and at most 1, requests from 1 to %d, baseline from 0 to 1", maxWindow)
	}
	return errors.Join(problems...)
}

// maxInstead bounds the apps whose place one takes.
const maxInstead = 32

func validInstead(app string, instead []string) error {
	if len(instead) > maxInstead {
		return fmt.Errorf("instead: more than %d apps", maxInstead)
	}
	for _, name := range instead {
		if !vocab.ValidApp(name) || name == app {
			return fmt.Errorf("instead: %q is not the name of another app", short(name))
		}
	}
	return nil
}

func validTargets(colour vocab.Colour, services map[string][]string) (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if colour != vocab.Blue && colour != vocab.Green {
		bad("not blue or green")
	}
	if len(services) > maxServices {
		bad("more than %d services", maxServices)
		return problems
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		addresses := services[name]
		if name == "" || len(name) > maxName || !printable(name) || strings.Contains(name, " ") {
			bad("%q is not the name of a service", short(name))
		}
		if len(addresses) > maxReplicas {
			bad("%s: more than %d addresses", short(name), maxReplicas)
			continue
		}
		for i, text := range addresses {
			at, err := netip.ParseAddrPort(text)
			switch {
			case err != nil, at.Port() == 0, at.Addr().IsUnspecified(), at.Addr().IsMulticast(), at.Addr().Zone() != "", at.String() != text:
				bad("%s: %q is not an ip:port to connect to", short(name), short(text))
			case slices.Contains(addresses[:i], text):
				bad("%s: %s stands there twice", short(name), text)
			}
		}
	}
	return problems
}

func (a App) validRoutes() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(a.Routes) > maxRoutes {
		bad("more than %d routes", maxRoutes)
		return problems
	}
	seen := map[string]bool{}
	for i, r := range a.Routes {
		if !validHost(r.Host) {
			bad("routes[%d].host: %q is not a host name", i, short(r.Host))
		}
		if !validPrefix(r.Path) {
			bad("routes[%d].path: %q is not a plain absolute path", i, short(r.Path))
		}
		if a.State != StateMaintenance && len(a.Targets[a.Live][r.Service]) == 0 {
			bad("routes[%d].service: %q has no target in the live colour", i, short(r.Service))
		}
		if seen[r.String()] {
			bad("routes[%d]: %q stands there twice", i, short(r.String()))
		}
		seen[r.String()] = true
	}
	return problems
}

// validPrefix is an absolute path of printable ASCII whose encoded and decoded forms
// are the same, without dot segments, empty segments or backslashes.
func validPrefix(p string) bool {
	if !strings.HasPrefix(p, "/") || len(p) > maxPath || !printable(p) || strings.ContainsAny(p, `\%?#;"<>^{}|`+" `") {
		return false
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// short bounds what a message repeats of its cause.
func short(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
