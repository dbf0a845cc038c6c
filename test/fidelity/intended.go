package fidelity

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// Rule is one difference between Compose and teal that is meant to be.
type Rule struct {
	Why   string
	Newer bool // an old engine knows nothing of it
	Holds func(d Diff) bool
}

// Intended are all the differences that are meant to be. Each says exactly what it lets
// pass: the same field with any other value is a failure. docs/compose.md lists them for
// people, and a test compares the two.
var Intended = []Rule{
	{Why: "labels: teal's own, by which it finds its objects", Holds: func(d Diff) bool {
		return strings.HasPrefix(d.Field, label+"teal.") && d.Compose == absent
	}},
	{Why: "labels: Compose's own are written as far as `docker compose ps` and `logs` need them", Holds: func(d Diff) bool {
		name, ours := strings.CutPrefix(d.Field, label+"com.docker.compose.")
		switch name {
		case "config_files", "project.config_files", "project.working_dir", "project.environment_file", "version", "image", "depends_on", "replace":
			return ours && d.Teal == absent
		case "config-hash":
			return ours && (d.Kind == "container" || d.Teal == absent)
		case "project": // one project for each colour
			return ours && d.Compose != absent && d.Teal != absent
		}
		return false
	}},
	{Why: "restart: the engine's policy is teal's, `no` until switched; the file's is the crash limit", Holds: func(d Diff) bool {
		return strings.HasPrefix(d.Field, "HostConfig.RestartPolicy.") && (d.Teal == `"no"` || d.Teal == absent)
	}},
	{Why: "stop_grace_period: the engine's default of 10 s is written out", Holds: func(d Diff) bool {
		return d.Field == "Config.StopTimeout" && d.Compose == absent && d.Teal == "10"
	}},
	{Why: "stop_grace_period: a part of a second is rounded up; Compose cuts it off", Holds: func(d Diff) bool {
		cut, err := strconv.Atoi(d.Compose)
		return d.Field == "Config.StopTimeout" && err == nil && d.Teal == strconv.Itoa(cut+1)
	}},
	{Why: "healthcheck.start_interval: edited out; engines before API 1.44 do not know it", Newer: true, Holds: func(d Diff) bool {
		return d.Field == "Config.Healthcheck.StartInterval" && d.Teal == absent
	}},
	{Why: "ports: edited into a route; the proxy is the front door, and no port of the host is taken", Holds: func(d Diff) bool {
		return (strings.HasPrefix(d.Field, "Config.ExposedPorts.") || strings.HasPrefix(d.Field, "HostConfig.PortBindings.")) && d.Teal == absent
	}},
	{Why: "networks: a routed container is on the edge network too, with a fixed address and no name", Holds: func(d Diff) bool {
		return d.Class == release.ClassRouted && d.Compose == absent &&
			(d.Field == "Networks."+edgeKey && d.Teal == `"joined"` || d.Field == "Networks."+edgeKey+".IPv4Address" && d.Teal == `"fixed"`)
	}},
	{Why: "networks: what is shared is on networks of the app, which the colours join without names", Holds: func(d Diff) bool {
		return d.Class != release.ClassShared && strings.HasPrefix(d.Field, "Networks.") && strings.HasSuffix(d.Field, sharedMark) && d.Compose == absent && d.Teal == `"joined"`
	}},
	{Why: "networks: on an external network, which both colours join, a swapped service has no names", Holds: func(d Diff) bool {
		return d.Class != release.ClassShared && strings.HasPrefix(d.Field, "Networks."+externalMark) && strings.HasSuffix(d.Field, ".Aliases") && d.Teal == absent
	}},
	{Why: "cap_drop: NET_RAW, from containers that share a network with others", Holds: func(d Diff) bool {
		return d.Field == "HostConfig.CapDrop" && slices.Equal(words(d.Teal), with(words(d.Compose), "NET_RAW"))
	}},
}

const label = "Config.Labels."

// words are the items of a list of texts.
func words(v string) (out []string) {
	if json.Unmarshal([]byte(v), &out) != nil {
		return nil
	}
	return out
}

// with is a sorted list with one more word in its place.
func with(list []string, word string) []string {
	list = append(list, word)
	slices.Sort(list)
	return list
}

// Reasons are those of Intended that show on every engine.
func Reasons() []string {
	var out []string
	for _, r := range Intended {
		if !r.Newer {
			out = append(out, r.Why)
		}
	}
	slices.Sort(out)
	return out
}
