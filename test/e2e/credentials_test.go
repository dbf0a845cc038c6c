package e2e

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/test/rig"
)

// TestUnitCredentials: the agent as its unit starts it, a user of its own that owns the
// directory of credentials, which systemd has filled before. make systemd does the same
// with systemd itself.
func TestUnitCredentials(t *testing.T) {
	const agent = 61234
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)))
	if err != nil {
		t.Fatal(err)
	}
	v := openVaultIn(t, open(t, rig.Options{AgentUser: agent, ProxyArgs: []string{"-control-group", group.Name}}),
		"secrets: {shop: {api-key: {credential: shop-api-key}, mail: {credential: shop-mail}}}\n")
	ctx := t.Context()
	dir := v.Path("credentials")
	// systemd makes the directory anew at each start of the unit.
	start := func(value string) {
		t.Helper()
		file := dir + "/shop-api-key"
		err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.WriteFile(file, []byte(value), 0o400), os.Chown(file, agent, agent),
			os.Chown(dir, agent, agent), os.Chmod(dir, 0o500))
		if err == nil {
			err = v.StartAgent(ctx, "CREDENTIALS_DIRECTORY="+dir)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(v.Path("identity.txt"), agent, agent), v.StartProxy(ctx)); err != nil {
		t.Fatal(err)
	}
	start("credential-one")
	v.seal("token", "sealed-one")
	v.release("v1.0.0", 1)
	first := await(t, v.Rig, "v1.0.0 live", rig.Live("v1.0.0"))
	v.reads("/run/secrets/api-key", "credential-one", "0440 1234:1234")
	v.reads("/run/secrets/token", "sealed-one", "0400 0:0")
	v.reads("/app.ini", "workers = 4\n", "0444 0:0")

	if err := v.StopAgent(); err != nil {
		t.Fatal(err)
	}
	start("credential-two")
	await(t, v.Rig, "inputs differ", waits(release.InputsDiffer))
	v.reads("/run/secrets/api-key", "credential-one", "")
	v.ctl("secrets", "rotate", "shop", "--reason", "leaked", "--wait", "--timeout", "90s")
	second := await(t, v.Rig, "live with the new credential", func(a api.AppStatus) bool {
		return rig.Live("v1.0.0")(a) && a.Live.ID.Inputs != first.Live.ID.Inputs
	})
	v.reads("/run/secrets/api-key", "credential-two", "0440 1234:1234")
	if second.Last.Cause != release.InputsChanged {
		t.Errorf("ended %+v", second.Last)
	}

	// One that the unit does not load.
	text, err := os.ReadFile(v.Work + "/" + v.ManifestPath("shop"))
	if err != nil {
		t.Fatal(err)
	}
	next := strings.NewReplacer("v1.0.0", "v1.1.0", "sequence: 1", "sequence: 2", "      - token\n", "      - token\n      - mail\n", "api-key: {external: true}", "api-key: {external: true}, mail: {external: true}").Replace(string(text))
	if _, err := v.Commit(ctx, "v1.1.0", map[string]string{v.ManifestPath("shop"): next}); err != nil {
		t.Fatal(err)
	}
	blocked := await(t, v.Rig, "v1.1.0 blocked", func(a api.AppStatus) bool { return a.Deploy != nil && a.Deploy.Why == release.SecretMissing })
	if !strings.Contains(blocked.Deploy.Detail, "secret mail of shop, credential shop-mail") || !strings.Contains(blocked.Deploy.Detail, "LoadCredential=shop-mail:/path") {
		t.Errorf("the reason is %s", blocked.Deploy.Detail)
	}
	v.reads("/run/secrets/api-key", "credential-two", "")
	v.nowhere("credential-one", "credential-two", "sealed-one")
}
