package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/lab"
	"github.com/tealops/teal/test/rig"
)

// vault is a host with an age identity and one secret of its own.
type vault struct {
	*rig.Rig
	t     *testing.T
	image string
	key   string // the host's secret file
}

func openVault(t *testing.T, config string) *vault {
	return openVaultIn(t, open(t, rig.Options{}), "secrets: {shop: {api-key: {file: KEY}}}\n"+config)
}

// openVaultIn adds to a rig's agent.yaml; KEY is the path of the host's secret file.
func openVaultIn(t *testing.T, r *rig.Rig, config string) *vault {
	t.Helper()
	v := &vault{Rig: r, t: t}
	v.key = v.Path("api-key")
	config = strings.ReplaceAll(config, "KEY", v.key)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(v.Path("agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if v.image, err = v.Lab.Build(t.Context(), lab.Image{Program: "github.com/tealops/teal/test/images/reader", Name: "shop/reader", Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(v.Path("identity.txt"), []byte(id.String()+"\n"), 0o400),
		v.WriteConfig(string(old)+fmt.Sprintf("identity: %s\nlabels: {zone: a}\n%s", v.Path("identity.txt"), config)),
		v.Write(map[string]string{"environments/staging/recipients.txt": "# h1\n" + id.Recipient().String() + "\n", "environments/staging/shop/app.ini": "workers = 4\n"}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// hostSecret writes the host's secret as an operator would: beside, then renamed.
func (v *vault) hostSecret(value string) {
	v.t.Helper()
	beside := v.key + ".new"
	if err := errors.Join(os.WriteFile(beside, []byte(value), 0o600), os.Rename(beside, v.key)); err != nil {
		v.t.Fatal(err)
	}
}

// seal writes token.age, sealed under a name.
func (v *vault) seal(name, value string) {
	v.t.Helper()
	plain := v.Path("plain")
	if err := os.WriteFile(plain, []byte(value), 0o600); err != nil {
		v.t.Fatal(err)
	}
	defer os.Remove(plain)
	file := filepath.Join(v.Work, "environments/staging/shop/token.age")
	out, errs, code := v.Ctl(v.t.Context(), "secrets", "encrypt", "--env", "staging", "--app", "shop", "--name", name, "--repo", v.Work, "--out", file, plain)
	if code != 0 || strings.Contains(out+errs, value) {
		v.t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		v.t.Errorf("%v, %v", info, err)
	}
	_ = os.Chmod(file, 0o644) // Git knows no 0600
}

func (v *vault) release(version string, sequence int) {
	v.t.Helper()
	text := fmt.Sprintf(`name: shop
services:
  web:
    image: %s
    environment: {READY_FILE: /run/secrets/api-key}
    configs: [app.ini, {source: motd, target: /etc/motd, mode: 0440}]
    secrets:
      - token
      - {source: api-key, uid: "1234", gid: "1234", mode: 0440}
    x-teal: {route: {host: %s, path: /, port: 8000}, probe: {path: /health/, every: 200ms, passes: 2, deadline: 10s}}
configs: {app.ini: {file: ./app.ini}, motd: {content: "hello from %s"}}
secrets: {token: {file: ./token.age}, api-key: {external: true}}
x-teal:
  version: %s
  sequence: %d
  drain: {http: 1s, websocket: 1s}
  bake: {for: 1500ms, every: 500ms, failures: 2}
  hostEnv: {ZONE: label.zone, NODE: host.name}
`, v.image, rig.Host, version, version, sequence)
	if _, err := v.Commit(v.t.Context(), version, map[string]string{v.ManifestPath("shop"): text}); err != nil {
		v.t.Fatal(err)
	}
}

// get asks the live release through the front door.
func (v *vault) get(path string) (body, file string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.Front+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Host = rig.Host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s: %s, %v", path, resp.Status, b.String(), err)
	}
	return b.String(), resp.Header.Get("File")
}

// reads checks what the live release finds in a file.
func (v *vault) reads(path, want, file string) {
	v.t.Helper()
	body, have := v.get("/read?path=" + url.QueryEscape(path))
	if body != want || file != "" && have != file {
		v.t.Errorf("%s holds %q, %s; want %q, %s", path, body, have, want, file)
	}
}

func (v *vault) secrets() api.AppSecrets {
	v.t.Helper()
	out, errs, code := v.Ctl(v.t.Context(), "secrets", "status", "shop", "-o", "json")
	var s api.Secrets
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Apps) != 1 {
		v.t.Fatalf("exit %d: %s%s: %v", code, out, errs, err)
	}
	return s.Apps[0]
}

func (v *vault) ctl(args ...string) string {
	v.t.Helper()
	out, errs, code := v.Ctl(v.t.Context(), args...)
	if code != 0 {
		v.t.Fatalf("tealctl %s: exit %d: %s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func waits(code release.Code) func(api.AppStatus) bool {
	return func(a api.AppStatus) bool { return a.Deploy == nil && a.Wait.Why == code }
}

// nowhere looks for the values everywhere that others can look: what the engine says of
// each container, the command lines and environments of our processes, the journal, the
// fleet's state, logs and the repository.
func (v *vault) nowhere(values ...string) {
	v.t.Helper()
	find := func(where string, data []byte) {
		for _, value := range values {
			if bytes.Contains(data, []byte(value)) {
				v.t.Errorf("%s holds the secret %s", where, value)
			}
		}
	}
	st, err := v.Status(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	all, err := v.Lab.API.ContainerList(v.t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", release.LabelInstance+"="+st.Instance)})
	if err != nil || len(all.Items) == 0 {
		v.t.Fatalf("%d containers, %v", len(all.Items), err)
	}
	for _, c := range all.Items {
		got, err := v.Lab.API.ContainerInspect(v.t.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil {
			v.t.Fatal(err)
		}
		find("inspect of "+c.Names[0], got.Raw)
		data, err := json.Marshal(got.Container)
		if err != nil || len(data) < 500 {
			v.t.Fatalf("inspect: %d bytes, %v", len(data), err)
		}
		find("inspect of "+c.Names[0], data)
	}
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", v.AgentPID(), name))
		if err != nil {
			v.t.Fatal(err)
		}
		find("the agent's "+name, data)
	}
	looked := 0
	for _, root := range []string{filepath.Join(v.State, "journal"), filepath.Join(v.State, "fleet.json"), filepath.Join(v.State, "git"), v.Path("teal-agent.log"), v.Path("teal-proxy.log"), v.Path("proxy"), v.Work} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			looked++
			find(path, data)
			return err
		})
		if err != nil {
			v.t.Error(err)
		}
	}
	if looked < 10 {
		v.t.Errorf("only %d files were looked at", looked)
	}
}

func TestSecrets(t *testing.T) {
	v := openVault(t, "")
	ctx := t.Context()
	v.hostSecret("host-secret-one")
	v.seal("token", "sealed-secret-one")
	if err := errors.Join(v.StartProxy(ctx), v.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	v.release("v1.0.0", 1)
	first := await(t, v.Rig, "v1.0.0 live", rig.Live("v1.0.0"))
	v.reads("/run/secrets/token", "sealed-secret-one", "0400 0:0")
	v.reads("/run/secrets/api-key", "host-secret-one", "0440 1234:1234")
	v.reads("/app.ini", "workers = 4\n", "0444 0:0")
	v.reads("/etc/motd", "hello from v1.0.0", "0440 0:0")
	for name, want := range map[string]string{"ZONE": "a", "NODE": "h1"} {
		if got, _ := v.get("/env?name=" + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s := v.secrets(); s.State != "same" || len(s.Items) != 4 || s.Live != first.Live.ID.Inputs || s.Now != s.Live {
		t.Errorf("%+v", s)
	}

	// The host's secret changes: nothing moves, the status says so, an order swaps.
	v.hostSecret("host-secret-two")
	await(t, v.Rig, "inputs differ", waits(release.InputsDiffer))
	v.reads("/run/secrets/api-key", "host-secret-one", "")
	if s := v.secrets(); s.State != "differ" || s.Next == "" {
		t.Errorf("%+v", s)
	}
	v.ctl("secrets", "rotate", "shop", "--reason", "leaked", "--wait", "--timeout", "90s")
	second := await(t, v.Rig, "live with the new secret", func(a api.AppStatus) bool {
		return rig.Live("v1.0.0")(a) && a.Live.ID.Inputs != first.Live.ID.Inputs
	})
	v.reads("/run/secrets/api-key", "host-secret-two", "0440 1234:1234")
	v.reads("/run/secrets/token", "sealed-secret-one", "0400 0:0")
	if second.Live.ID.Digest != first.Live.ID.Digest || second.Last.Cause != release.InputsChanged || second.Last.Actor == "" {
		t.Errorf("live %+v, ended %+v", second.Live.ID, second.Last)
	}
	if out, errs, code := v.Ctl(ctx, "secrets", "rotate", "shop"); code == 0 || !strings.Contains(errs, "TEAL-4082") {
		t.Errorf("rotated the same: exit %d: %s%s", code, out, errs)
	}

	// An age file that belongs elsewhere blocks its release; what is live serves.
	v.seal("other", "sealed-secret-two")
	v.release("v1.1.0", 2)
	blocked := await(t, v.Rig, "v1.1.0 blocked", func(a api.AppStatus) bool { return a.Deploy != nil && a.Deploy.Why == release.SecretMisplaced })
	if !strings.Contains(blocked.Deploy.Detail, "staging/shop/other, not staging/shop/token") {
		t.Errorf("%s", blocked.Deploy.Detail)
	}
	v.reads("/run/secrets/api-key", "host-secret-two", "")
	v.seal("token", "sealed-secret-three")
	v.release("v1.2.0", 3)
	await(t, v.Rig, "v1.2.0 live", rig.Live("v1.2.0"))
	v.reads("/run/secrets/token", "sealed-secret-three", "")
	v.reads("/etc/motd", "hello from v1.2.0", "")

	// Without the key, the host's secret, and the files of what is stopped: back it goes.
	if err := errors.Join(os.Remove(v.Path("identity.txt")), os.Remove(v.key), v.KillAgent(), v.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"secrets", "configs"} {
		if err := os.RemoveAll(filepath.Join(v.State, "files/shop", dir)); err != nil {
			t.Fatal(err)
		}
	}
	v.ctl("rollback", "shop", "--reason", "without a key", "--yes")
	await(t, v.Rig, "back at v1.0.0", func(a api.AppStatus) bool {
		return a.Deploy == nil && a.Hold != nil && a.Live.Version == "v1.0.0"
	})
	v.reads("/run/secrets/api-key", "host-secret-two", "0440 1234:1234")
	v.reads("/run/secrets/token", "sealed-secret-one", "0400 0:0")
	v.reads("/etc/motd", "hello from v1.0.0", "")

	v.nowhere("host-secret-one", "host-secret-two", "sealed-secret-one", "sealed-secret-two", "sealed-secret-three")
	for _, dir := range []string{"files", "releases"} { // nobody else reaches them
		if info, err := os.Stat(filepath.Join(v.State, dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

// A bad secret under autoRotate goes back by itself, and only it is quarantined.
func TestBadSecretGoesBack(t *testing.T) {
	v := openVault(t, "autoRotate: true\n")
	ctx := t.Context()
	v.hostSecret("good-one")
	v.seal("token", "x-token")
	if err := errors.Join(v.StartProxy(ctx), v.StartAgent(ctx)); err != nil {
		t.Fatal(err)
	}
	v.release("v1.0.0", 1)
	first := await(t, v.Rig, "v1.0.0 live", rig.Live("v1.0.0"))
	v.hostSecret("bad-two")
	held := await(t, v.Rig, "went back", func(a api.AppStatus) bool { return a.Deploy == nil && a.Hold != nil })
	v.reads("/run/secrets/api-key", "good-one", "")
	if held.Live.ID != first.Live.ID || held.Last.Digest != first.Live.ID.Digest {
		t.Errorf("live %+v, ended %+v", held.Live.ID, held.Last)
	}
	// The next value is another: an order lifts the hold that the bad one left.
	v.hostSecret("good-three")
	time.Sleep(3 * time.Second) // a fresh file counts when it has been left alone
	v.ctl("secrets", "rotate", "shop", "--reason", "corrected")
	await(t, v.Rig, "live with the corrected secret", func(a api.AppStatus) bool {
		return rig.Live("v1.0.0")(a) && a.Live.ID.Inputs != first.Live.ID.Inputs && a.Hold == nil
	})
	v.reads("/run/secrets/api-key", "good-three", "")
	// And by itself, from now on.
	v.hostSecret("good-four")
	await(t, v.Rig, "rotated by itself", func(a api.AppStatus) bool {
		if !rig.Live("v1.0.0")(a) {
			return false
		}
		body, _ := v.get("/read?path=/run/secrets/api-key")
		return body == "good-four"
	})
	v.nowhere("good-one", "bad-two", "good-three", "good-four")
}
