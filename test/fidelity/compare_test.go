package fidelity

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/tealops/teal/internal/release"
)

// TestOneChangedFieldIsAFailure changes each recorded field of a container in turn, as a
// fault of teal's would: none of them passes for an intended difference, but for those
// that are teal's own to set.
func TestOneChangedFieldIsAFailure(t *testing.T) {
	free := []string{"HostConfig.RestartPolicy.", "Config.Labels.com.docker.compose."}
	tried := 0
	for _, c := range corpus(t) {
		record, err := ReadRecord(c)
		if err != nil {
			t.Fatal(err)
		}
		for name, fields := range record.Containers {
			for _, field := range slices.Sorted(maps.Keys(fields)) {
				if slices.ContainsFunc(free, func(f string) bool { return strings.HasPrefix(field, f) }) {
					continue
				}
				teal := NewMade()
				maps.Copy(teal.Containers, record.Containers)
				teal.Networks, teal.Volumes = record.Networks, record.Volumes
				changed := maps.Clone(fields)
				changed[field] = `"something else"`
				teal.Containers[name] = changed
				diffs, _ := Differences(record.Made, teal, map[string]release.Class{})
				if _, failures := Judge(diffs, nil, map[string]int{}); len(failures) != 1 {
					t.Errorf("%s: %s %s was changed and gave %d failures: %v", c.Name, name, field, len(failures), failures)
				}
				tried++
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d fields were changed", tried)
	}
}

func TestJudge(t *testing.T) {
	raw := Diff{Kind: "container", Object: "web.1", Field: "HostConfig.CapDrop", Compose: `["ALL"]`, Teal: `["ALL","NET_RAW"]`}
	edge := Diff{Kind: "container", Object: "web.1", Field: "Networks.edge", Compose: absent, Teal: `"joined"`, Class: release.ClassRouted}
	for name, test := range map[string]struct {
		diff Diff
		own  []*Own
		fine bool
	}{
		"NET_RAW dropped":                 {diff: raw, fine: true},
		"another capability dropped":      {diff: func() Diff { d := raw; d.Teal = `["ALL","CHOWN"]`; return d }()},
		"a capability no longer dropped":  {diff: func() Diff { d := raw; d.Compose = `["CHOWN","FOWNER"]`; d.Teal = `["CHOWN","NET_RAW"]`; return d }()},
		"a routed service on the edge":    {diff: edge, fine: true},
		"another service on the edge":     {diff: func() Diff { d := edge; d.Class = release.ClassHandover; return d }()},
		"a name on the edge":              {diff: func() Diff { d := edge; d.Field += ".Aliases"; d.Teal = `"web"`; return d }()},
		"a policy that starts by itself":  {diff: Diff{Field: "HostConfig.RestartPolicy.Name", Compose: `"always"`, Teal: `"always "`}},
		"a label of the user's":           {diff: Diff{Field: "Config.Labels.tier", Compose: `"1"`, Teal: absent}},
		"a grace period that was written": {diff: Diff{Field: "Config.StopTimeout", Compose: "30", Teal: "10"}},
		"a whole container":               {diff: Diff{Kind: "container", Object: "web.2", Compose: "made", Teal: absent}},
		"the case's own":                  {diff: Diff{Kind: "container", Object: "web.1", Field: "DependsOn.init", Compose: absent, Teal: `"completed"`}, own: []*Own{{Kind: "container", Object: "web.1", Field: "DependsOn.*"}}, fine: true},
		"one that explains nothing":       {diff: edge, own: []*Own{{Kind: "container", Object: "web.1", Field: "Config.User"}}},
	} {
		_, failures := Judge([]Diff{test.diff}, test.own, map[string]int{})
		if fine := len(failures) == 0; fine != test.fine {
			t.Errorf("%s: %v", name, failures)
		}
	}
}

// TestDescribe sees that what two sides say in two ways is one description, and that
// what differs is not lost.
func TestDescribe(t *testing.T) {
	names := Names{Networks: map[string]string{"tl-shop_default": "default"}, Volumes: map[string]string{"tl-shop_data": "data"}, Image: func(s string) string { return s }, Lab: "tl-"}
	describe := func(change func(c *container.InspectResponse)) Fields {
		c := container.InspectResponse{ID: "0123456789abcdef", Name: "/tl-shop-web-1",
			Config:          &container.Config{Hostname: "0123456789ab", Env: []string{"B=2", "A=1=1"}, Image: "app"},
			HostConfig:      &container.HostConfig{NetworkMode: "tl-shop_default", Binds: []string{"tl-shop_data:/data:rw"}, CapAdd: []string{"CAP_CHOWN"}},
			Mounts:          []container.MountPoint{{Type: mount.TypeVolume, Name: "tl-shop_data", Destination: "/data", RW: true}},
			NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{"tl-shop_default": {Aliases: []string{"0123456789ab", "web", "tl-shop-web-1"}}}},
		}
		if change != nil {
			change(&c)
		}
		f, err := Describe(c, names)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	one := describe(nil)
	same := describe(func(c *container.InspectResponse) {
		c.Config.Env = []string{"A=1=1", "B=2"}
		c.HostConfig.Binds = nil
		c.HostConfig.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: "tl-shop_data", Target: "/data"}}
		c.HostConfig.CapAdd = []string{"CHOWN"}
		c.NetworkSettings.Networks["tl-shop_default"].Aliases = []string{"web"}
	})
	if !maps.Equal(one, same) {
		t.Errorf("one container, two descriptions:\n%v\n%v", one, same)
	}
	if one["Networks.default.Aliases"] != `"web"` || one["Mounts./data.Volume"] != `"data"` || one["Config.Env.A"] != `"1=1"` || one["Config.Hostname"] != "" {
		t.Errorf("got %v", one)
	}
	for name, change := range map[string]func(c *container.InspectResponse){
		"environment":     func(c *container.InspectResponse) { c.Config.Env = []string{"A=1=1"} },
		"read-only":       func(c *container.InspectResponse) { c.Mounts[0].RW = false },
		"another volume":  func(c *container.InspectResponse) { c.Mounts[0].Name = "0f" },
		"nocopy":          func(c *container.InspectResponse) { c.HostConfig.Binds = []string{"tl-shop_data:/data:rw,nocopy"} },
		"an alias":        func(c *container.InspectResponse) { c.NetworkSettings.Networks["tl-shop_default"].Aliases = nil },
		"another network": func(c *container.InspectResponse) { c.HostConfig.NetworkMode = "none" },
		"host name":       func(c *container.InspectResponse) { c.Config.Hostname = "web" },
	} {
		if maps.Equal(one, describe(change)) {
			t.Errorf("%s: the description does not tell the difference", name)
		}
	}
}
