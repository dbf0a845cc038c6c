package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/lab"
	"github.com/tealops/teal/test/rig"
)

// manifest is a release with a config, a sealed secret and those of the host that are
// named.
func manifest(image, version string, sequence int, external ...string) string {
	uses, has := "", ""
	for _, name := range external {
		uses += ", " + name
		has += fmt.Sprintf(", %s: {external: true}", name)
	}
	return fmt.Sprintf(`name: shop
services:
  web:
    image: %s
    configs: [app.ini]
    secrets: [{source: token, uid: "1234", gid: "1234", mode: 0440}%s]
    x-teal: {route: {host: %s, path: /, port: 8000}, probe: {path: /health/, every: 200ms, passes: 2, deadline: 20s}}
configs: {app.ini: {content: "workers = 4\n"}}
secrets: {token: {file: ./token.age}%s}
x-teal:
  version: %s
  sequence: %d
  drain: {http: 1s, websocket: 1s}
  bake: {for: 1500ms, every: 500ms, failures: 2}
`, image, uses, rig.Host, has, version, sequence)
}

// reads checks what the live release finds in a file, and the file's mode and owner.
func (h *host) reads(path, want, file string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Front+"/read?path="+url.QueryEscape(path), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Host = rig.Host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != want || resp.Header.Get("File") != file {
		h.t.Errorf("%s: %s %q, %s, %v; want %q, %s", path, resp.Status, body, resp.Header.Get("File"), err, want, file)
	}
}

// A release whose secret is a credential of the agent's unit: systemd reads it as root and
// hands it to the agent, which runs as its own user; the program finds it in its file with
// the owner that the manifest says.
func TestCredentials(t *testing.T) {
	h := newHost(t, `secrets:
  shop:
    api-key: {credential: shop-api-key}
    mail: {credential: shop-mail}
`)
	ctx := t.Context()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	image, err := h.Lab.Build(ctx, lab.Image{Program: "github.com/tealops/teal/test/images/reader", Name: "shop/reader", Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(h.Path("agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// The file that LoadCredential= names is root's alone; the agent could not read it.
	source := h.Path("credential")
	credential := func(value string) {
		t.Helper()
		if err := os.WriteFile(source, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	credential("credential-one")
	err = errors.Join(os.WriteFile(h.Path("identity.txt"), []byte(id.String()+"\n"), 0o400),
		h.WriteConfig(string(config)+"identity: "+h.Path("identity.txt")+"\n"),
		h.Write(map[string]string{"environments/staging/recipients.txt": id.Recipient().String() + "\n", "environments/staging/shop/release.yaml": "name: shop\n"}),
		os.WriteFile(h.Path("plain"), []byte("sealed-one"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	h.run("chown", "teal", h.Path("identity.txt"))
	if out, errs, code := h.Ctl(ctx, "secrets", "encrypt", "--env", "staging", "--app", "shop", "--name", "token", "--repo", h.Work, h.Path("plain")); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	h.dropIn("teal-agent.service", "credentials", "[Service]\nLoadCredential=shop-api-key:"+source+"\n")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "start", "teal-proxy.socket", "teal-proxy", "teal-agent")

	// What systemd made of it: of the agent's user, open to nobody else.
	pid := h.run("systemctl", "show", "-P", "MainPID", "teal-agent")
	if status := h.run("grep", "Uid:", "/proc/"+pid+"/status"); !strings.Contains(status, fmt.Sprint(h.uid("teal"))) {
		t.Errorf("the agent runs as %s", status)
	}
	const dir = "/run/credentials/teal-agent.service"
	for _, path := range []string{dir, dir + "/shop-api-key"} {
		if mode := h.run("nsenter", "-t", pid, "-m", "stat", "-c", "%a", path); mode[len(mode)-1] != '0' || mode[len(mode)-2]&2 != 0 {
			t.Errorf("%s has mode %s", path, mode)
		}
	}
	if core := h.run("systemctl", "show", "-P", "LimitCORE", "teal-agent"); core != "0" {
		t.Errorf("a crash of the agent writes its memory, secrets and all, to the disk: LimitCORE %s", core)
	}

	commit := func(version string, sequence int, external ...string) {
		t.Helper()
		if _, err := h.Commit(ctx, version, map[string]string{h.ManifestPath("shop"): manifest(image, version, sequence, external...)}); err != nil {
			t.Fatal(err)
		}
	}
	commit("v1.0.0", 1, "api-key")
	first := h.app("v1.0.0 live", rig.Live("v1.0.0"))
	h.reads("/run/secrets/api-key", "credential-one", "0400 0:0")
	h.reads("/run/secrets/token", "sealed-one", "0440 1234:1234")
	h.reads("/app.ini", "workers = 4\n", "0444 0:0")

	// Another credential: systemd hands it out at the next start of the agent. Nothing moves
	// by itself; the order swaps.
	credential("credential-two")
	h.run("systemctl", "restart", "teal-agent")
	h.app("inputs differ", func(a api.AppStatus) bool { return a.Deploy == nil && a.Wait.Why == release.InputsDiffer })
	h.reads("/run/secrets/api-key", "credential-one", "0400 0:0")
	if out, errs, code := h.Ctl(ctx, "secrets", "rotate", "shop", "--reason", "leaked", "--wait", "--timeout", "90s"); code != 0 {
		t.Fatalf("rotate: exit %d: %s%s", code, out, errs)
	}
	second := h.app("live with the new credential", func(a api.AppStatus) bool {
		return rig.Live("v1.0.0")(a) && a.Live.ID.Inputs != first.Live.ID.Inputs
	})
	h.reads("/run/secrets/api-key", "credential-two", "0400 0:0")
	if second.Last.Cause != release.InputsChanged || second.Live.ID.Digest != first.Live.ID.Digest {
		t.Errorf("live %+v, ended %+v", second.Live.ID, second.Last)
	}

	// A credential that the unit does not load: refused with the line to write.
	commit("v1.1.0", 2, "api-key", "mail")
	blocked := h.app("v1.1.0 blocked", func(a api.AppStatus) bool { return a.Deploy != nil && a.Deploy.Why == release.SecretMissing })
	if !strings.Contains(blocked.Deploy.Detail, "LoadCredential=shop-mail:/path") {
		t.Errorf("the reason is %s", blocked.Deploy.Detail)
	}
	h.reads("/run/secrets/api-key", "credential-two", "0400 0:0")

	// Nothing of it where others look.
	log := h.run("journalctl", "--no-pager", "-o", "export")
	for _, value := range []string{"credential-one", "credential-two", "sealed-one"} {
		if strings.Contains(log, value) {
			t.Errorf("the system's journal holds %s", value)
		}
	}
	h.run("systemctl", "stop", "teal-agent", "teal-proxy", "teal-proxy.socket")
}
