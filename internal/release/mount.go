package release

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Mounts are taken apart here, in the short form too, so that an option which nobody
// carries out is refused with its line; Compose would pass over it.

var propagations = []string{"rprivate", "private", "rshared", "shared", "rslave", "slave"}

func shortMount(r *reader, at string, n *node) any {
	text, ok := filled(r, at, n).(string)
	if !ok {
		return nil
	}
	parts := strings.Split(text, ":")
	if len(parts) > 3 || slices.Contains(parts, "") {
		r.wrong(n.line, "write source:target, source:target:ro, or the long form", "%s: %s is not a mount", at, show(text))
		return nil
	}
	if len(parts) == 1 {
		return r.anonymous(at, n)
	}
	if c := parts[0][0] | 0x20; len(parts[0]) == 1 && 'a' <= c && c <= 'z' {
		r.wrong(n.line, "give the volume a longer name, or write the long form", "%s: Compose takes one letter before a colon for a drive of Windows, %s", at, show(text))
		return nil
	}
	out := map[string]any{"source": parts[0], "target": parts[1], "type": "volume"}
	bind := strings.ContainsAny(parts[0][:1], "/.~")
	if bind {
		out["type"] = "bind"
	}
	if len(parts) == 3 {
		for _, o := range strings.Split(parts[2], ",") {
			switch {
			case o == "ro":
				out["read_only"] = true
			case o == "rw":
			case o == "nocopy" && !bind:
				out["volume"] = map[string]any{"nocopy": true}
			case bind && slices.Contains(propagations, o):
				out["bind"] = map[string]any{"propagation": o}
			default:
				r.fail(ComposeNotCarried, n.line, "write ro, rw, nocopy or a propagation, or remove it", "%s: teal does not carry out the mount option %s", at, show(o))
				return nil
			}
		}
	}
	return r.mount(at, n, out)
}

func (r *reader) anonymous(at string, n *node) any {
	r.fail(ComposeNotCarried, n.line, "name a volume, name:/path, or write tmpfs:", "%s: a volume without a name is lost with each release", at)
	return nil
}

var mountForm = object{
	"type":        oneOf("volume", "bind", "tmpfs"),
	"source":      filled,
	"target":      filled,
	"read_only":   flag,
	"consistency": notCarried("remove it"),
	"image":       notCarried("remove it"),
	"bind": object{
		"propagation":      oneOf(propagations...),
		"create_host_path": notCreated,
		"selinux":          notCarried("remove it"),
		"recursive":        notCarried("remove it"),
	}.read,
	"volume": object{
		"nocopy":  flag,
		"subpath": filled,
		"labels":  notCarried("write labels: under the top-level volumes"),
	}.read,
	"tmpfs": object{"size": size, "mode": whole(0, 0o7777)}.read,
}

// notCreated takes `false`, which is what teal does: it makes no directory on a host.
func notCreated(r *reader, at string, n *node) any {
	if v := flag(r, at, n); v == true {
		r.fail(ComposeNotCarried, n.line, "make the directory on the host", "%s: teal makes no directory on a host", at)
	}
	return false
}

func longMount(r *reader, at string, n *node) any {
	before := len(r.problems)
	out, ok := mountForm.read(r, at, n).(map[string]any)
	if !ok || len(r.problems) > before {
		return nil
	}
	kind, _ := out["type"].(string)
	if kind == "" {
		r.wrong(n.line, "write type: volume, bind or tmpfs", "%s has no type", at)
		return nil
	}
	for _, other := range []string{"volume", "bind", "tmpfs"} {
		if f := n.field(other); f != nil && other != kind {
			r.wrong(f.line, "remove it", "%s.%s belongs to a mount of type %s", at, other, other)
			return nil
		}
	}
	if _, has := out["source"]; has == (kind == "tmpfs") {
		if kind == "volume" {
			return r.anonymous(at, n)
		}
		r.wrong(n.line, "write source: for a bind, none for a tmpfs", "%s: a bind has a source, a tmpfs has none", at)
		return nil
	}
	return r.mount(at, n, out)
}

// mount checks what both forms have.
func (r *reader) mount(at string, n *node, m map[string]any) any {
	source, _ := m["source"].(string)
	target, _ := m["target"].(string)
	switch {
	case !path.IsAbs(target):
		r.wrong(n.line, "write an absolute path", "%s: the target %s is not an absolute path", at, show(target))
		return nil
	case m["type"] == "bind" && (!path.IsAbs(source) || path.Clean(source) != source):
		r.wrong(n.line, "write a clean absolute path; files of the release directory cannot be mounted", "%s: the source %s is not a clean absolute path of the host", at, show(source))
		return nil
	case m["type"] == "volume" && !keyForm.MatchString(source):
		r.wrong(n.line, hint(keyForm), "%s: %s is not the name of a volume", at, show(source))
		return nil
	}
	m["target"] = path.Clean(target)
	return m
}

// tmpfs is one path or a list of them, each with options behind a colon.
func tmpfs(r *reader, at string, n *node) any {
	v, _ := words(r, at, n).([]any)
	for _, item := range v {
		target, _, _ := strings.Cut(item.(string), ":")
		if !path.IsAbs(target) {
			r.wrong(lineOf(n), "write an absolute path", "%s: %s is not an absolute path", at, show(target))
			return nil
		}
	}
	return v
}

func shortDevice(r *reader, at string, n *node) any {
	text, ok := filled(r, at, n).(string)
	if !ok {
		return nil
	}
	parts := strings.Split(text, ":")
	if len(parts) > 3 || slices.Contains(parts, "") {
		r.wrong(n.line, "write source, source:target or source:target:rwm", "%s: %s is not a device", at, show(text))
		return nil
	}
	d := map[string]any{"source": parts[0], "target": parts[0], "permissions": "rwm"}
	if len(parts) > 1 {
		d["target"] = parts[1]
	}
	if len(parts) > 2 {
		d["permissions"] = parts[2]
	}
	return d
}

func longDevice(r *reader, at string, n *node) any {
	d, ok := object{"source": filled, "target": filled, "permissions": filled}.read(r, at, n).(map[string]any)
	if !ok || d["source"] == nil || d["target"] == nil {
		r.wrong(n.line, "write source: /dev/… and target: /dev/…", "%s has no source or no target", at)
		return nil
	}
	if d["permissions"] == nil {
		d["permissions"] = "rwm"
	}
	return d
}

// extraHosts is a list of name=address (or name:address), or a mapping.
func extraHosts(r *reader, at string, n *node) any {
	if r.draws(func() schema { return anyOf(dictOf(hostName, r.draw(words)), listOf(r.draw(filled))) }) {
		return nil
	}
	out := map[string]any{}
	add := func(n *node, name, address string) {
		if !hostName.MatchString(name) || address == "" || strings.ContainsAny(address, " ,") {
			r.wrong(n.line, "write name=address", "%s: %s is not a host with its address", at, show(name))
			return
		}
		address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
		if !plainAddress(address) && address != "host-gateway" {
			r.wrong(n.line, "write an IP address or host-gateway", "%s: %s is not an IP address", at, show(address))
			return
		}
		have, _ := out[name].([]any)
		out[name] = append(have, address)
	}
	if n.empty() || n.kind == mapping {
		for _, f := range r.fields(at, n) {
			v, _ := words(r, join(at, f.key), f.value).([]any)
			for _, a := range v {
				add(f.value, f.key, a.(string))
			}
		}
		return out
	}
	for i, item := range r.items(at, n) {
		v, ok := filled(r, fmt.Sprintf("%s[%d]", at, i), item).(string)
		if !ok {
			continue
		}
		name, address, has := strings.Cut(v, "=")
		if !has {
			name, address, _ = strings.Cut(v, ":")
		}
		add(item, name, address)
	}
	return out
}
