package release

import (
	"math"
	"regexp"
	"strings"
)

// The part of the Compose format that teal carries out, key by key. A key that Compose
// knows and teal does not carry out stands here too, so that its message can say what
// to do instead.

var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,254}$`)
	labelName = regexp.MustCompile(`^[^\s=\x00-\x1f\x7f]{1,255}$`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	sysctl    = regexp.MustCompile(`^[a-z0-9_./-]{1,255}$`)
	option    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)
	ulimit    = regexp.MustCompile(`^[a-z]{1,32}$`)
)

// maxReplicas bounds the containers of one service.
const maxReplicas = 64

// serviceKeys reads a service, but for its x-teal block and what needs the release
// directory.
var serviceKeys = object{
	"image":             filled, // whether it is pinned is asked later
	"command":           command,
	"entrypoint":        command,
	"environment":       pairs(envName, "the name of a variable"),
	"env_file":          skip, // resolved from the release directory
	"volumes":           list(either(shortMount, nil, longMount)),
	"tmpfs":             tmpfs,
	"networks":          either(nil, unique, dict(keyForm, "the name of a network", orNothing(serviceNetwork.read))),
	"network_mode":      networkMode,
	"depends_on":        either(nil, unique, dict(serviceForm, "the name of a service", dependency)),
	"healthcheck":       healthcheck.read,
	"restart":           matching(restartForm, "", `write "no", always, unless-stopped or on-failure:N`),
	"stop_signal":       matching(signalForm, "the name or number of a signal", ""),
	"stop_grace_period": span,
	"deploy":            deploy.read,
	"cpus":              number,
	"cpu_shares":        whole(0, 1<<18),
	"cpuset":            filled,
	"mem_limit":         size,
	"mem_reservation":   size,
	"memswap_limit":     sizeOrAll,
	"scale":             whole(1, maxReplicas),
	"logging":           object{"driver": filled, "options": dict(option, "the name of an option", optionValue)}.read,
	"user":              filled,
	"group_add":         unique,
	"working_dir":       filled,
	"cap_drop":          unique,
	"cap_add":           unique,
	"devices":           list(either(shortDevice, nil, longDevice)),
	"privileged":        flag,
	"security_opt":      securityOpts,
	"read_only":         flag,
	"ulimits":           dict(ulimit, "the name of a limit", either(whole(-1, math.MaxInt64), nil, limits)),
	"shm_size":          size,
	"extra_hosts":       extraHosts,
	"dns":               addressList,
	"dns_search":        words,
	"dns_opt":           unique,
	"sysctls":           pairs(sysctl, "the name of a kernel parameter"),
	"init":              flag,
	"hostname":          matching(hostName, "the name of a host", ""),
	"labels":            labels,
	"pids_limit":        whole(-1, 1<<22),
	"profiles":          unique,
	"pid":               namespace("host"),
	"ipc":               namespace("host", "private", "shareable", "none"),
	"uts":               namespace("host"),
	"userns_mode":       namespace("host"),
	"cgroup_parent":     filled,
	"runtime":           filled,
	"oom_kill_disable":  flag,
	"oom_score_adj":     whole(-1000, 1000),
	"tty":               flag,
	"stdin_open":        flag,
	"x-teal":            skip, // read by teal itself
	"ports":             skip, // refused with advice that depends on the service
	"container_name":    skip,
	"configs":           skip, // file.go reads them
	"secrets":           skip,

	"build":               notCarried("build in your pipeline and write image: name@sha256:…"),
	"extends":             notCarried("write the service out, or use an anchor and a merge key"),
	"expose":              notCarried("remove it: services of one app reach each other on every port"),
	"links":               notCarried("remove it: services of one app find each other by name"),
	"external_links":      notCarried("join an external network instead"),
	"volumes_from":        notCarried("mount the same named volume in both"),
	"label_file":          notCarried("write labels:"),
	"pull_policy":         notCarried("remove it: an image by digest is pulled when it is missing"),
	"platform":            notCarried("remove it: the digest says which platform"),
	"domainname":          notCarried("write hostname: with the domain"),
	"pre_start":           notCarried("do it in the entrypoint"),
	"post_start":          notCarried("do it in the entrypoint"),
	"pre_stop":            notCarried("handle stop_signal in the program"),
	"annotations":         notCarried("use labels"),
	"cpu_count":           notCarried("write cpus:"),
	"cpu_percent":         notCarried("write cpus:"),
	"cpu_quota":           notCarried("write cpus:"),
	"cpu_period":          notCarried("write cpus:"),
	"volume_driver":       notCarried("write driver: under the volume"),
	"attach":              notCarried("remove it"),
	"blkio_config":        notCarried("remove it"),
	"cgroup":              notCarried("remove it"),
	"cpu_rt_period":       notCarried("remove it"),
	"cpu_rt_runtime":      notCarried("remove it"),
	"credential_spec":     notCarried("remove it"),
	"develop":             notCarried("keep it in a developer's override file"),
	"device_cgroup_rules": notCarried("remove it"),
	"gpus":                notCarried("remove it"),
	"isolation":           notCarried("remove it"),
	"mac_address":         notCarried("remove it"),
	"mem_swappiness":      notCarried("remove it"),
	"models":              notCarried("remove it"),
	"provider":            notCarried("remove it"),
	"pull_refresh_after":  notCarried("remove it"),
	"storage_opt":         notCarried("remove it"),
	"umask":               notCarried("remove it"),
	"use_api_socket":      notCarried("remove it"),
}

var (
	restartForm = regexp.MustCompile(`^(no|always|unless-stopped|on-failure(:[1-9][0-9]{0,3})?)$`)
	signalForm  = regexp.MustCompile(`^((SIG)?[A-Z][A-Z0-9+-]{1,12}|[0-9]{1,2})$`)

	limits = func(r *reader, at string, n *node) any {
		v, _ := object{"soft": whole(-1, math.MaxInt64), "hard": whole(-1, math.MaxInt64)}.read(r, at, n).(map[string]any)
		if n.kind == mapping && (n.get("soft") == nil || n.get("hard") == nil) {
			r.wrong(lineOf(n), "write both soft: and hard:", "%s has no soft or no hard limit", at)
		}
		return v
	}

	healthcheck = object{
		"test":           either(lines, testCommand, nil),
		"interval":       span,
		"timeout":        span,
		"retries":        whole(0, 1000),
		"start_period":   span,
		"disable":        flag,
		"start_interval": notCarried("remove it: engines before API 1.44 do not know it"),
	}

	deploy = object{
		"replicas": whole(1, maxReplicas),
		"mode":     oneOf("replicated"),
		"resources": object{
			"limits": object{"cpus": number, "memory": sizeText, "pids": whole(0, 1<<22), "devices": notCarried("remove it")}.read,
			"reservations": object{"memory": sizeText, "cpus": notCarried("remove it: one host has nothing to reserve from"),
				"devices": notCarried("remove it"), "generic_resources": notCarried("remove it")}.read,
		}.read,
		"labels":          notCarried("write labels: on the service"),
		"restart_policy":  notCarried("write restart: on-failure:N on the service"),
		"update_config":   notCarried("remove it: teal swaps blue and green"),
		"rollback_config": notCarried("remove it: teal goes back by itself"),
		"placement":       notCarried("remove it"),
		"endpoint_mode":   notCarried("remove it"),
	}

	// networkKeys reads an entry of the top-level networks.
	networkKeys = object{
		"driver":      filled,
		"driver_opts": dict(option, "the name of an option", optionValue),
		"internal":    flag,
		"enable_ipv6": flag,
		"external":    flag,
		"name":        matching(objectForm, "the name of a network", ""),
		"labels":      labels,
		"attachable":  notCarried("remove it"),
		"enable_ipv4": notCarried("remove it"),
		"ipam":        notCarried("remove it: each colour has a network of its own, and no two can have one subnet"),
	}

	// volumeKeys reads an entry of the top-level volumes.
	volumeKeys = object{
		"driver":      filled,
		"driver_opts": dict(option, "the name of an option", optionValue),
		"external":    flag,
		"name":        matching(objectForm, "the name of a volume", ""),
		"labels":      labels,
	}

	// serviceNetwork is what a service says of a network it joins; nothing is fine.
	serviceNetwork = object{
		"aliases":                list(matching(hostName, "the name of a host", "")),
		"priority":               whole(0, 1<<16),
		"ipv4_address":           notCarried("remove it: two colours cannot have one address"),
		"ipv6_address":           notCarried("remove it: two colours cannot have one address"),
		"link_local_ips":         notCarried("remove it"),
		"mac_address":            notCarried("remove it"),
		"driver_opts":            notCarried("remove it"),
		"gw_priority":            notCarried("remove it"),
		"interface_name":         notCarried("remove it"),
		"use_service_name_alias": notCarried("remove it"),
	}

	dependencyKeys = object{
		"condition": condition,
		"required":  flag,
		"restart":   notCarried("remove it: each release starts its containers anew"),
	}
)

// dependency is an entry of depends_on in its long form.
func dependency(r *reader, at string, n *node) any {
	v := dependencyKeys.read(r, at, n)
	if n.kind == mapping && n.get("condition") == nil {
		r.wrong(lineOf(n), "write condition: service_started or service_healthy", "%s has no condition", at)
	}
	return v
}

// condition is what a service waits for before it starts.
func condition(r *reader, at string, n *node) any {
	return oneOf("service_started", "service_healthy", "service_completed_successfully")(r, at, n)
}

// besideManifest is the path of a file in the release directory.
func besideManifest(r *reader, at string, n *node) any {
	s, ok := filled(r, at, n).(string)
	if !ok {
		return nil
	}
	name, ok := inside(s)
	if !ok {
		r.wrong(n.line, "write the path of a file beside release.yaml, such as ./app.env", "%s: %s does not name a file of the release directory", at, show(s))
		return nil
	}
	return name
}

// inside cleans a relative path that stays in the release directory and could be a file
// of it.
func inside(s string) (name string, ok bool) {
	name = strings.TrimPrefix(s, "./")
	for _, element := range strings.Split(name, "/") {
		if !validElement(element) {
			return "", false
		}
	}
	return name, true
}

// reservedLabels begin the labels that teal and Compose find their objects by.
var reservedLabels = []string{"teal.", "com.docker.compose."}

func labels(r *reader, at string, n *node) any {
	v := pairs(labelName, "the name of a label")(r, at, n)
	names, _ := v.(map[string]any)
	for _, name := range sorted(names) {
		for _, prefix := range reservedLabels {
			if strings.HasPrefix(name, prefix) {
				line := n.line
				if f := n.field(name); f != nil {
					line = f.line
				}
				r.wrong(line, "give it another name", "%s: labels that begin with %s belong to teal", at, prefix)
			}
		}
	}
	return v
}

// networkMode is the one namespace whose plain form is networks:. Another container's
// is not carried out: it would not outlive that one's replacement.
func networkMode(r *reader, at string, n *node) any {
	s, ok := filled(r, at, n).(string)
	if !ok {
		return nil
	}
	if s != "none" && s != "host" {
		r.fail(ComposeNotCarried, n.line, "write networks:, or none", "%s: teal does not carry out %s", at, show(s))
		return nil
	}
	return s
}

// securityOpts takes the options that say all there is to say. A seccomp profile would
// be a file of the host, which Compose reads and teal does not; the masked paths are no
// option for the engine but fields that Compose makes of it.
func securityOpts(r *reader, at string, n *node) any {
	v, _ := unique(r, at, n).([]any)
	for i, item := range v {
		text, _ := item.(string)
		name, value, given := text, "", false
		if i := strings.IndexAny(text, "=:"); i >= 0 {
			name, value, given = text[:i], text[i+1:], true
		}
		line := lineOf(n)
		if n.kind == sequence && len(n.items) == len(v) {
			line = n.items[i].line
		}
		switch {
		case name == "no-new-privileges" && (!given || value == "true" || value == "false"):
		case (name == "apparmor" || name == "label") && value != "":
		case name == "seccomp" && (value == "unconfined" || value == "builtin"):
		case name == "seccomp" && value != "":
			r.fail(ComposeNotCarried, line, "make it the engine's default on the host (seccomp-profile in daemon.json), or remove it", "%s: teal does not carry out a seccomp profile from a file", at)
		case name == "systempaths" && value == "unconfined":
			r.fail(ComposeNotCarried, line, "remove it", "%s: teal does not carry out systempaths", at)
		default:
			r.wrong(line, "write no-new-privileges, apparmor=PROFILE, label=… or seccomp=unconfined", "%s: %s means nothing here", at, show(text))
		}
	}
	return v
}

func namespace(modes ...string) shape {
	return func(r *reader, at string, n *node) any {
		s, ok := filled(r, at, n).(string)
		if !ok {
			return nil
		}
		for _, m := range modes {
			if s == m {
				return s
			}
		}
		r.fail(ComposeNotCarried, n.line, "write "+strings.Join(modes, " or ")+", or remove the key", "%s: teal does not carry out %s", at, show(s))
		return nil
	}
}
