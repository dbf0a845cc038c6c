// Package systemd tries the packaged units for real: teal-agent and teal-proxy as services
// of a systemd that is process 1 of a container, with users, directories, sandbox and
// credentials as the units ask for them, and the machine's own engine behind its socket.
// make systemd runs it; the root filesystem comes from root.sh.
package systemd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/test/lab"
	"github.com/tealops/teal/test/rig"
)

// host is a container whose process 1 is systemd. It has the machine's network and the
// rig's directory under its own name, so that what the agent writes there is what the
// engine mounts.
type host struct {
	*rig.Rig
	t    *testing.T
	name string // of the container
}

// newHost starts a host and installs teal as the README says, up to the start of its
// services. extra is added to agent.yaml.
func newHost(t *testing.T, extra string) *host {
	t.Helper()
	tar := os.Getenv("TEAL_SYSTEMD_ROOT")
	if tar == "" {
		t.Skip("make systemd runs this")
	}
	// Below /var/lib, where StateDirectory= is; the units do not see our /tmp.
	base, err := os.MkdirTemp("/var/lib", "teal-systemd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", base)
	r, err := rig.New(t.Context(), rig.Options{AgentConfig: extra}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Rig: r, t: t, name: r.Lab.Name("systemd")}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := h.try("journalctl", "--no-pager", "-n", "80", "-u", "teal-agent", "-u", "teal-proxy")
			t.Logf("the units' last lines:\n%s", out)
		}
		if err := r.Close(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	image := h.docker("import", "--change", "LABEL "+lab.LabelTest+"="+r.Lab.ID, tar)
	// Where the engine keeps its data the agent measures the room: another directory of that
	// name on the same disk.
	room := filepath.Join(base, "engine")
	if err := os.Mkdir(room, 0o711); err != nil {
		t.Fatal(err)
	}
	h.docker("run", "-d", "--name", h.name, "--label", lab.LabelTest+"="+r.Lab.ID, "--network", "host", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
		"--security-opt", "seccomp=unconfined", "--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro",
		"-v", base+":"+base, "-v", room+":"+h.docker("info", "-f", "{{.DockerRootDir}}"),
		"-v", socketFile(t, r.Lab.Host)+":/var/run/engine.sock", image,
		// In a container systemd leaves mounts private, and credentials are mounted by a child.
		"sh", "-c", "mount --make-rshared / && exec /sbin/init")
	h.await("systemd runs", func() bool { out, _ := h.try("systemctl", "is-system-running"); return out == "running" })
	h.install()
	return h
}

// socketFile is the path of the engine's socket.
func socketFile(t *testing.T, host string) string {
	t.Helper()
	file, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		t.Fatalf("the engine at %s has no socket to mount", host)
	}
	return file
}

// install is the README's section On a host, in its order.
func (h *host) install() {
	h.t.Helper()
	units := filepath.Join(filepath.Dir(h.Bin), "systemd")
	for _, name := range []string{"teal-agent", "teal-proxy", "tealctl"} {
		h.docker("cp", filepath.Join(h.Bin, name), h.name+":/usr/bin/"+name)
	}
	for _, name := range []string{"teal-agent.service", "teal-proxy.service", "teal-proxy.socket"} {
		h.docker("cp", filepath.Join(units, name), h.name+":/etc/systemd/system/"+name)
	}
	h.run("mkdir", "-p", "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/teal")
	h.docker("cp", filepath.Join(units, "teal.sysusers.conf"), h.name+":/etc/sysusers.d/teal.conf")
	h.docker("cp", filepath.Join(units, "teal.tmpfiles.conf"), h.name+":/etc/tmpfiles.d/teal.conf")
	// The distribution's package of the engine makes the group; here the socket came from outside.
	info, err := os.Stat(socketFile(h.t, h.Lab.Host))
	if err != nil {
		h.t.Fatal(err)
	}
	h.run("groupadd", "--system", "--gid", fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid), "docker")
	h.run("systemd-sysusers")
	h.run("systemd-tmpfiles", "--create")

	// State, control socket and front door of the rig instead of the usual ones: the
	// state's path has to be the same for the engine, and the test asks from outside.
	state, err := filepath.Rel("/var/lib", h.State)
	if err != nil {
		h.t.Fatal(err)
	}
	h.dropIn("teal-agent.service", "rig", "[Service]\nExecStart=\nExecStart=/usr/bin/teal-agent -config "+h.Path("agent.yaml")+
		"\nStateDirectory=\nStateDirectory="+state+"\nStateDirectoryMode=0700\nReadWritePaths="+h.Path("run")+"\n")
	h.dropIn("teal-proxy.socket", "rig", "[Socket]\nListenStream=\nListenStream="+h.Front+"\n")
	config, err := os.ReadFile(h.Path("agent.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	text := strings.Replace(string(config), h.ProxySocket(), "/run/teal-proxy/main.sock", 1)
	text = strings.Replace(text, h.Lab.Host, "unix:///var/run/engine.sock", 1)
	if err := errors.Join(h.WriteConfig(text), os.RemoveAll(h.State)); err != nil {
		h.t.Fatal(err)
	}
	h.run("chown", "teal:teal", h.Path("run"))
	h.run("install", "-d", "-m", "0700", "-o", "teal", "-g", "teal", h.State) // as teal.tmpfiles.conf does for /var/lib/teal
	h.run("tealctl", "state", "init", "--state", h.State)
	h.run("systemctl", "daemon-reload")
}

// dropIn adds to a unit.
func (h *host) dropIn(unit, name, text string) {
	h.t.Helper()
	dir := "/etc/systemd/system/" + unit + ".d"
	file := h.Path(name + ".conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.run("mkdir", "-p", dir)
	h.docker("cp", file, h.name+":"+dir+"/"+name+".conf")
}

func (h *host) docker(args ...string) string {
	h.t.Helper()
	out, err := exec.CommandContext(h.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// try runs a command as root on the host.
func (h *host) try(args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"exec", h.name}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *host) run(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		logs, _ := h.try("journalctl", "--no-pager", "-n", "30")
		h.t.Fatalf("%s: %v: %s\n%s", strings.Join(args, " "), err, out, logs)
	}
	return out
}

func (h *host) await(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not seen", what)
		}
	}
}

// app waits until the app's status is as asked.
func (h *host) app(what string, ok func(api.AppStatus) bool) api.AppStatus {
	h.t.Helper()
	a, err := h.Await(h.t.Context(), "shop", 90*time.Second, what, ok)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// uid is that of a user on the host.
func (h *host) uid(user string) int {
	h.t.Helper()
	n, err := strconv.Atoi(h.run("id", "-u", user))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}
