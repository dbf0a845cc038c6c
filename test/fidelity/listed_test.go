package fidelity

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	composeschema "github.com/compose-spec/compose-go/v2/schema"
	yaml "go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// shows is, for each field of a service that teal carries out, where Compose's own
// container says what the file says: a pattern of the fields that are compared.
var shows = map[string]string{
	"image": `Config\.Image`, "command": `Config\.Cmd`, "entrypoint": `Config\.Entrypoint`, "environment": `Config\.Env\..*`, "env_file": `Config\.Env\..*`,
	"volumes": `Mounts\..*\.Volume`, "tmpfs": `HostConfig\.Tmpfs\..*`, "shm_size": `HostConfig\.ShmSize`,
	"configs": `Mounts\..*`, "secrets": `Mounts\./run/secrets/.*`,
	"networks": `Networks\..*\.Aliases`, "network_mode": `HostConfig\.NetworkMode`, "depends_on": `DependsOn\..*`,
	"healthcheck": `Config\.Healthcheck\.Test`, "restart": `HostConfig\.RestartPolicy\.Name`,
	"stop_signal": `Config\.StopSignal`, "stop_grace_period": `Config\.StopTimeout`,
	"deploy": `HostConfig\.(NanoCpus|Memory|PidsLimit)`, "scale": ``,
	"cpus": `HostConfig\.NanoCpus`, "cpu_shares": `HostConfig\.CpuShares`, "cpuset": `HostConfig\.CpusetCpus`,
	"mem_limit": `HostConfig\.Memory`, "mem_reservation": `HostConfig\.MemoryReservation`, "memswap_limit": `HostConfig\.MemorySwap`,
	"pids_limit": `HostConfig\.PidsLimit`, "oom_score_adj": `HostConfig\.OomScoreAdj`, "cgroup_parent": `HostConfig\.CgroupParent`,
	"logging": `HostConfig\.LogConfig\.Type`, "user": `Config\.User`, "group_add": `HostConfig\.GroupAdd`, "working_dir": `Config\.WorkingDir`,
	"hostname": `Config\.Hostname`, "init": `HostConfig\.Init`, "tty": `Config\.Tty`, "stdin_open": `Config\.OpenStdin`,
	"read_only": `HostConfig\.ReadonlyRootfs`, "labels": `Config\.Labels\..*`,
	"cap_drop": `HostConfig\.CapDrop`, "ulimits": `HostConfig\.Ulimits`, "extra_hosts": `HostConfig\.ExtraHosts`,
	"dns": `HostConfig\.Dns`, "dns_search": `HostConfig\.DnsSearch`, "dns_opt": `HostConfig\.DnsOptions`,
	"cap_add": `HostConfig\.CapAdd`, "devices": `HostConfig\.Devices`, "privileged": `HostConfig\.Privileged`,
	"security_opt": `HostConfig\.SecurityOpt`, "sysctls": `HostConfig\.Sysctls\..*`,
	"pid": `HostConfig\.PidMode`, "ipc": `HostConfig\.IpcMode`, "uts": `HostConfig\.UTSMode`, "userns_mode": `HostConfig\.UsernsMode`, "runtime": `HostConfig\.Runtime`,

	// Shown by what is made, see below.
	"profiles": ``,
	// An engine on the second version of control groups knows nothing of it, so that the
	// corpus has the value that all take, which is the default.
	"oom_kill_disable": ``,
}

// told is what only few values of a field show: those of the corpus that count.
var told = map[string]func(value any) bool{
	"networks": func(v any) bool { return strings.Contains(fmt.Sprint(v), "aliases:") },
	"deploy":   func(v any) bool { return strings.Contains(fmt.Sprint(v), "resources:") },
}

// documented are the fields that docs/compose.md says are carried out.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("../../docs/compose.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "## 2. ")
	section, _, _ = strings.Cut(section, "At the top level:")
	out := map[string]bool{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			out[m[1]] = true
		}
	}
	return out
}

// TestEveryFieldIsCompared: each field that is documented stands in a file of the corpus,
// at a service whose container by Compose says so in a field that is compared. (That any
// other value there is a failure is TestOneChangedFieldIsAFailure.)
func TestEveryFieldIsCompared(t *testing.T) {
	listed := documented(t)
	if len(listed) < 40 {
		t.Fatalf("docs/compose.md lists %d fields", len(listed))
	}
	for _, field := range slices.Sorted(maps.Keys(shows)) {
		if !listed[field] {
			t.Errorf("docs/compose.md does not list %s", field)
		}
	}
	stands, compared := map[string]bool{}, map[string]bool{}
	for _, c := range corpus(t) {
		record, err := ReadRecord(c)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(c.File("release.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Services map[string]map[string]any `yaml:"services"`
		}
		if err := yaml.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for name, service := range file.Services {
			made, is := record.Containers[name+".1"]
			for field, value := range service {
				stands[field] = true
				switch {
				case field == "scale":
					_, second := record.Containers[name+".2"]
					compared[field] = compared[field] || second
				case field == "profiles":
					compared[field] = compared[field] || !is
				case told[field] == nil || told[field](value):
					of := regexp.MustCompile(`^(` + shows[field] + `)$`)
					for at := range made {
						own := strings.HasPrefix(at, label+"com.docker.compose.")
						compared[field] = compared[field] || of.MatchString(at) && !own
					}
				}
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(listed)) {
		pattern, known := shows[field]
		switch {
		case !known:
			t.Errorf("say in shows where a container shows %s", field)
		case !stands[field]:
			t.Errorf("no release.yaml of the corpus holds %s", field)
		case !compared[field] && (pattern != "" || field == "scale" || field == "profiles"):
			t.Errorf("%s stands in the corpus, but no container shows %s there", field, pattern)
		}
	}
}

// TestWhatIsNotListedIsRefused: every field of Compose's own schema that is not listed as
// carried out, and one that nobody knows, is refused with its file and line.
func TestWhatIsNotListedIsRefused(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(composeschema.Schema), &schema); err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{"no_such_field": true, "Image": true, "im\u0430ge": true}
	for _, part := range []string{"service", "container_spec", "workload_spec"} {
		for field := range schema.Defs[part].Properties {
			fields[field] = true
		}
	}
	listed, refused := documented(t), 0
	for field := range listed {
		if !fields[field] {
			t.Errorf("docs/compose.md lists %s, which Compose does not know", field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if listed[field] {
			continue
		}
		for _, value := range []string{"x", "[x]", "{x: y}", "true", "1", ""} {
			text := "name: shop\nservices:\n  web:\n    image: registry.example.com/a@sha256:" + strings.Repeat("ab", 32) + "\n    # the field\n    " + field + ": " + value + "\nx-teal: {version: v1, sequence: 1}\n"
			_, problems := release.Parse(fstest.MapFS{"release.yaml": {Data: []byte(text)}}, Environment, "shop")
			named := slices.ContainsFunc(problems, func(p release.Problem) bool {
				return p.File == "environments/"+Environment+"/shop/release.yaml" && p.Line == 6 && p.Next != "" &&
					slices.Contains([]release.Code{release.ComposeNotCarried, release.PortsRefused, release.UnknownKey}, p.Code)
			})
			if !named {
				t.Errorf("%s: %s is not refused with its line: %v", field, value, problems)
			}
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("only %d were tried", refused)
	}
}
