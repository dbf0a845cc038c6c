package fidelity

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// Fields is an object as the engine describes it: path of the field → value. What is
// empty, false or zero is left out: the engine does not tell it from absent.
type Fields map[string]string

// Made is what one side made of a case.
type Made struct {
	Containers map[string]Fields `json:"containers"` // service.number
	Networks   map[string]Fields `json:"networks"`   // by key; a shared service's: key (shared)
	Volumes    map[string]Fields `json:"volumes"`    // by key
}

// NewMade is a Made to fill.
func NewMade() Made {
	return Made{map[string]Fields{}, map[string]Fields{}, map[string]Fields{}}
}

// Names turns what an engine calls things into what the files call them.
type Names struct {
	Networks map[string]string // engine's name → key
	Volumes  map[string]string
	Image    func(ref string) string
	Lab      string // text that begins the names of the run, taken out
}

// runtime are the parts of a description that say what became of a container, not
// what was asked for.
var runtime = []string{"Id", "Created", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform",
	"MountLabel", "ProcessLabel", "ExecIDs", "GraphDriver", "NetworkSettings", "Mounts", "Storage", "ImageManifestDescriptor", "SizeRw", "SizeRootFs"}

// Describe is a container in the words of the comparison: names are the files' own,
// lists without an order are sorted, and a mount is one thing, whether it was asked for
// as a bind or as a mount.
func Describe(c container.InspectResponse, n Names) (Fields, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for _, key := range runtime {
		delete(all, key)
	}
	config, _ := all["Config"].(map[string]any)
	host, _ := all["HostConfig"].(map[string]any)
	if config == nil || host == nil {
		return nil, fmt.Errorf("describe %s: the engine's answer is incomplete", c.Name)
	}
	if h := fmt.Sprint(config["Hostname"]); len(h) == 12 && strings.HasPrefix(c.ID, h) {
		delete(config, "Hostname") // the engine's own
	}
	f := Fields{}
	for _, e := range c.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		f["Config.Env."+name] = quote(value)
	}
	delete(config, "Env")
	for _, key := range []string{"Binds", "Mounts"} {
		delete(host, key)
	}
	host["NetworkMode"] = n.network(string(c.HostConfig.NetworkMode))
	config["Image"] = n.Image(c.Config.Image)
	for _, key := range []string{"CapAdd", "CapDrop"} { // engines write them with and without
		for i, name := range list(host[key]) {
			list(host[key])[i] = strings.TrimPrefix(fmt.Sprint(name), "CAP_")
		}
	}
	for _, key := range []string{"ExtraHosts", "Ulimits", "CapAdd", "CapDrop"} {
		if list := list(host[key]); list != nil {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(quote(a), quote(b)) })
		}
	}
	f.flatten("", all)
	if err := f.mounts(c, n); err != nil {
		return nil, err
	}
	f.networks(c, n)
	f.steady(n.Lab)
	return f, nil
}

// varying are labels of Compose's whose values are of the run and of the machine: paths,
// and sums of what has the run's names in it. That they are there is all that counts.
var varying = []string{"config-hash", "config_files", "project.config_files", "project.working_dir", "project.environment_file", "image",
	"depends_on"} // in no order; DependsOn.* has what it says

// steady takes out what differs from run to run.
func (f Fields) steady(lab string) {
	for _, name := range varying {
		if _, has := f[label+"com.docker.compose."+name]; has {
			f[label+"com.docker.compose."+name] = `"(varies)"`
		}
	}
	for k, v := range f {
		f[k] = strings.ReplaceAll(v, lab, "")
	}
}

func (n Names) network(name string) string {
	if key, ok := n.Networks[name]; ok {
		return key
	}
	return name
}

func list(v any) []any {
	items, _ := v.([]any)
	return items
}

func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// flatten adds what is not empty, mappings field by field, all else as JSON.
func (f Fields) flatten(at string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		if text := quote(v); !slices.Contains([]string{`null`, `false`, `0`, `""`, `[]`, `[0,0]`}, text) {
			f[at] = text
		}
		return
	}
	for k, v := range m {
		if at == "Config.Volumes" || at == "Config.ExposedPorts" {
			f[at+"."+k] = "{}"
			continue
		}
		f.flatten(strings.TrimPrefix(at+"."+k, "."), v)
	}
}

// mounts adds what is mounted, by target, and how it was asked for.
func (f Fields) mounts(c container.InspectResponse, n Names) error {
	for _, m := range c.Mounts {
		at := "Mounts." + m.Destination
		f[at+".Type"] = quote(m.Type)
		f[at+".RW"] = quote(m.RW)
		switch m.Type {
		case mount.TypeVolume:
			name, named := n.Volumes[m.Name]
			if !named {
				name = "anonymous"
			}
			f[at+".Volume"] = quote(name)
		case mount.TypeBind:
			source, err := bindSource(m.Source)
			if err != nil {
				return err
			}
			f[at+".Source"] = source
			if m.Propagation != "" {
				f[at+".Propagation"] = quote(m.Propagation)
			}
		}
	}
	for _, b := range c.HostConfig.Binds {
		parts := strings.Split(b, ":")
		if len(parts) == 3 && slices.Contains(strings.Split(parts[2], ","), "nocopy") {
			f["Mounts."+parts[1]+".NoCopy"] = "true"
		}
	}
	for _, m := range c.HostConfig.Mounts {
		at := "Mounts." + m.Target
		f[at+".Type"] = quote(m.Type)
		if o := m.VolumeOptions; o != nil {
			f.flatten(at, map[string]any{"NoCopy": o.NoCopy, "Subpath": o.Subpath, "Labels": len(o.Labels)})
		}
		if o := m.TmpfsOptions; o != nil {
			f.flatten(at, map[string]any{"Size": o.SizeBytes, "Mode": fmt.Sprintf("%04o", o.Mode)})
		}
		if o := m.BindOptions; o != nil {
			f.flatten(at, map[string]any{"NonRecursive": o.NonRecursive})
		}
	}
	return nil
}

// bindSource is a path of the host, or what the file there holds: the two sides keep
// their configs in places of their own.
func bindSource(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return quote(path), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return quote("a file with " + hex.EncodeToString(sum[:])), nil
}

// networks adds the networks and the names that the container has there, but for those
// that are its own: its id and its name.
func (f Fields) networks(c container.InspectResponse, n Names) {
	for _, name := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
		e := c.NetworkSettings.Networks[name]
		at := "Networks." + n.network(name)
		f[at] = `"joined"`
		if e == nil {
			continue
		}
		own := strings.TrimPrefix(c.Name, "/")
		aliases := slices.DeleteFunc(slices.Clone(e.Aliases), func(a string) bool { return a == own || len(a) == 12 && strings.HasPrefix(c.ID, a) }) // "db" begins an id too
		slices.Sort(aliases)
		f.flatten(at, map[string]any{"Aliases": strings.Join(slices.Compact(aliases), " "), "Links": strings.Join(e.Links, " ")})
		if e.IPAMConfig != nil && e.IPAMConfig.IPv4Address.IsValid() {
			f[at+".IPv4Address"] = `"fixed"`
		}
		if len(e.DriverOpts) > 0 {
			f[at+".DriverOpts"] = quote(e.DriverOpts)
		}
	}
}

// absent stands for a field that is not there where one is expected.
const absent = "(none)"

// Beyond is in what a description differs from that of a container made of the image
// alone: what was asked for, without what this engine and the image add.
func (f Fields) Beyond(bare Fields) Fields {
	out := Fields{}
	for k, v := range f {
		if bare[k] != v {
			out[k] = v
		}
	}
	for k := range bare {
		if _, has := f[k]; !has {
			out[k] = absent
		}
	}
	return out
}

// DependsOn adds what Compose says in its label: service:condition:restart, …
func (f Fields) DependsOn(list string) {
	conditions := map[string]string{"service_started": "started", "service_healthy": "healthy", "service_completed_successfully": "completed"}
	for _, d := range strings.Split(list, ",") {
		if parts := strings.Split(d, ":"); len(parts) == 3 {
			f["DependsOn."+parts[0]] = quote(conditions[parts[1]])
		}
	}
}
