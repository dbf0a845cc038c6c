package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// bench is a vault with an age identity, a host file and a credential.
type bench struct {
	t    *testing.T
	root string
	id   *age.X25519Identity
	*Vault
	rel    *release.Release
	target release.Target
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, root: t.TempDir(), id: key(t)}
	for _, dir := range []string{"releases/" + strings.Repeat("ab", 32), "credentials"} {
		if err := os.MkdirAll(filepath.Join(b.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.write("identity.txt", b.id.String()+"\n", 0o400)
	b.write("api-key", "key-1", 0o600)
	b.write("credentials/mail", "mail-1", 0o400)
	b.target.Digest = release.Digest(strings.Repeat("ab", 32))
	sealed, err := Seal(here, Secret("postgres://u:p@db/shop"), []age.Recipient{b.id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	b.rel = &release.Release{Environment: "production", App: "shop", Digest: b.target.Digest,
		Secrets:  []release.Secret{{Name: "database-url", File: "database-url.age", Sealed: sealed}, {Name: "api-key"}, {Name: "mail"}},
		Services: []release.Service{{Name: "web", Files: []release.FileUse{{Kind: release.SecretFile, Source: "database-url"}, {Kind: release.SecretFile, Source: "api-key"}, {Kind: release.SecretFile, Source: "mail"}, {Kind: release.SecretFile, Source: "url"}}}},
		HostEnv:  map[string]string{"HOST": "host.name", "ZONE": "label.zone"}}
	b.start()
	return b
}

// start is the agent's start: nothing of an earlier life is remembered.
func (b *bench) start() {
	b.t.Helper()
	f, err := NewFiles(filepath.Join(b.root, "files"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.Vault = NewVault(Config{Key: []byte(strings.Repeat("k", 32)), Releases: filepath.Join(b.root, "releases"), Identity: filepath.Join(b.root, "identity.txt"),
		Credentials: filepath.Join(b.root, "credentials"), Host: "h1", Labels: map[string]string{"zone": "a"},
		Sources: map[string]map[string]Source{"shop": {"api-key": {File: filepath.Join(b.root, "api-key")}, "mail": {Credential: "mail"}}}}, f)
	b.now = func() time.Time { return time.Now().Add(time.Hour) } // what was written has settled
}

func (b *bench) write(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	_ = os.Remove(path)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) resolve() string {
	b.t.Helper()
	given, inputs, err := b.Resolve(b.rel, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(given.Secrets) != 3 || given.Env["HOST"] != "h1" || given.Env["ZONE"] != "a" || len(inputs) != 16 {
		b.t.Fatalf("given %+v, inputs %s", given, inputs)
	}
	return inputs
}

func (b *bench) refuses(what string, code release.Code, says string) {
	b.t.Helper()
	_, inputs, err := b.Resolve(b.rel, nil)
	var e *rollout.EffectError
	if !errors.As(err, &e) || e.Code != code || inputs != "" || !strings.Contains(e.Error(), says) {
		b.t.Errorf("%s: inputs %q, %v", what, inputs, err)
		return
	}
	if r, ok := release.Lookup(e.Code); !ok || r.Next == "" {
		b.t.Errorf("%s: %s is not in the table", what, e.Code)
	}
	for _, value := range []string{"key-", "mail-", "postgres"} {
		if strings.Contains(e.Error(), value) {
			b.t.Errorf("%s tells the value: %v", what, e)
		}
	}
}

// Inputs change with each thing that the host gives, and with nothing else.
func TestInputs(t *testing.T) {
	b := newBench(t)
	first := b.resolve()
	if again := b.resolve(); again != first {
		t.Errorf("the same gives %s, then %s", first, again)
	}
	seen := map[string]string{first: "first"}
	other := func(what string, change, back func()) {
		t.Helper()
		change()
		if now := b.resolve(); seen[now] != "" {
			t.Errorf("%s has the inputs of %s", what, seen[now])
		} else {
			seen[now] = what
		}
		back()
		if now := b.resolve(); now != first {
			t.Errorf("after %s: %s", what, now)
		}
	}
	other("a host file", func() { b.write("api-key", "key-2", 0o600) }, func() { b.write("api-key", "key-1", 0o600) })
	other("a line end", func() { b.write("api-key", "key-1\n", 0o600) }, func() { b.write("api-key", "key-1", 0o600) })
	other("a credential", func() { b.write("credentials/mail", "mail-2", 0o600) }, func() { b.write("credentials/mail", "mail-1", 0o600) })
	other("two exchanged", func() { b.write("credentials/mail", "key-1", 0o600); b.write("api-key", "mail-1", 0o600) },
		func() { b.write("credentials/mail", "mail-1", 0o600); b.write("api-key", "key-1", 0o600) })
	given := b.Labels["zone"]
	b.Labels["zone"] = "b"
	if now := b.resolveAny(); seen[now] != "" {
		t.Error("a label changes nothing")
	}
	b.Labels["zone"] = given
	b.Key = []byte(strings.Repeat("l", 32))
	if now := b.resolve(); seen[now] != "" {
		t.Error("the hash is not keyed")
	}
	// A release that asks nothing has the inputs that every such release always had.
	if _, inputs, err := b.Resolve(&release.Release{App: "shop"}, nil); err != nil || inputs != inputsOf(b.Key, release.Given{}) {
		t.Errorf("%s, %v", inputs, err)
	}
}

func (b *bench) resolveAny() string {
	b.t.Helper()
	_, inputs, err := b.Resolve(b.rel, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return inputs
}

func TestWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(b *bench)
		code release.Code
		says string
	}{
		"no source":          {func(b *bench) { delete(b.Sources["shop"], "api-key") }, release.SecretMissing, "agent.yaml does not say"},
		"source of another":  {func(b *bench) { b.Sources["shop2"], b.Sources["shop"] = b.Sources["shop"], nil }, release.SecretMissing, "api-key of shop"},
		"no file":            {func(b *bench) { _ = os.Remove(filepath.Join(b.root, "api-key")) }, release.SecretMissing, "no such file on host h1"},
		"no credentials":     {func(b *bench) { b.Credentials = "" }, release.SecretMissing, "LoadCredential=mail"},
		"no such credential": {func(b *bench) { _ = os.Remove(filepath.Join(b.root, "credentials/mail")) }, release.SecretMissing, "credential mail"},
		"empty file":         {func(b *bench) { b.write("api-key", "", 0o600) }, release.SecretEmpty, "api-key of shop"},
		"too large":          {func(b *bench) { b.write("api-key", strings.Repeat("x", MaxSecret+1), 0o600) }, release.SecretTooLarge, "larger"},
		"a directory": {func(b *bench) {
			_ = os.Remove(filepath.Join(b.root, "api-key"))
			_ = os.Mkdir(filepath.Join(b.root, "api-key"), 0o700)
		}, release.SecretUnreadable, "not a plain file"},
		"a pipe": {func(b *bench) {
			_ = os.Remove(filepath.Join(b.root, "api-key"))
			_ = syscall.Mkfifo(filepath.Join(b.root, "api-key"), 0o600)
		}, release.SecretUnreadable, "not a plain file"},
		"anybody's":          {func(b *bench) { b.write("api-key", "key-1", 0o666) }, release.SecretUnreadable, "anybody can write it"},
		"no identity":        {func(b *bench) { b.Identity = "" }, release.IdentityMissing, "agent.yaml names no identity"},
		"identity gone":      {func(b *bench) { _ = os.Remove(b.Identity) }, release.IdentityMissing, "no such file"},
		"another identity":   {func(b *bench) { b.write("identity.txt", key(b.t).String(), 0o400) }, release.SecretUnopened, "none of its recipients"},
		"damaged age file":   {func(b *bench) { b.rel.Secrets[0].Sealed[300] ^= 1 }, release.SecretUnopened, "database-url.age"},
		"sealed for staging": {func(b *bench) { b.rel.Environment = "staging" }, release.SecretMisplaced, "production/shop/database-url, not staging/shop/database-url"},
		"under another name": {func(b *bench) { b.rel.Secrets[0].Name = "url" }, release.SecretMisplaced, "not production/shop/url"},
		"a label it lacks":   {func(b *bench) { delete(b.Labels, "zone") }, release.HostLabelMissing, "host h1 has no label.zone, which hostEnv.ZONE asks for"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.do(b)
			b.refuses(name, c.code, c.says)
		})
	}
}

// Who writes a secret in two steps does not have the first one deployed.
func TestAHalfWrittenSecret(t *testing.T) {
	b := newBench(t)
	first := b.resolve()
	b.now = time.Now // what is written now has not settled
	b.write("api-key", "", 0o600)
	if now := b.resolve(); now != first {
		t.Error("an emptied file counts at once")
	}
	b.write("api-key", "half", 0o600)
	before := b.Stamp()
	if now := b.resolve(); now != first {
		t.Error("a fresh file counts at once")
	}
	b.now = func() time.Time { return time.Now().Add(settles + time.Second) }
	if b.resolve() == first {
		t.Error("a settled file does not count")
	}
	if b.Stamp() == before {
		t.Error("nobody is told when it has settled")
	}
}

// What was hashed is what is written, whatever the sources hold by then.
func TestKeepWritesWhatWasHashed(t *testing.T) {
	b := newBench(t)
	b.target.Inputs = b.resolve()
	b.write("api-key", "key-2", 0o600)
	b.resolve()
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.root, "releases", string(b.target.Digest), "inputs", b.target.Inputs)
	for name, want := range map[string]string{"secrets/api-key": "key-1", "secrets/mail": "mail-1", "secrets/database-url": "postgres://u:p@db/shop"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if info, serr := os.Stat(filepath.Join(dir, name)); err != nil || serr != nil || string(data) != want || info.Mode() != 0o400 {
			t.Errorf("%s: %q, %v, %v", name, data, err, info)
		}
	}
	given, err := os.ReadFile(filepath.Join(dir, "given.json"))
	if err != nil || strings.Contains(string(given), "key-1") {
		t.Errorf("%s, %v", given, err)
	}
	// Another life, without key and sources: what is kept suffices to write every file.
	_ = os.Remove(b.Identity)
	_ = os.Remove(filepath.Join(b.root, "api-key"))
	_ = os.RemoveAll(filepath.Join(b.root, "credentials"))
	b.start()
	got, err := b.Kept(b.target)
	if err != nil || inputsOf(b.Key, got) != b.target.Inputs {
		t.Fatalf("%+v, %v", got, err)
	}
	spec := release.FileSpec{Path: filepath.Join(b.root, "files/shop/secrets/x"), Kind: release.SecretFile, Name: "api-key", Sum: got.Secrets["api-key"],
		UID: os.Geteuid(), GID: os.Getegid(), Mode: 0o400}
	if err := b.Write(b.target, []release.FileSpec{spec}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(spec.Path); err != nil || string(data) != "key-1" {
		t.Errorf("%q, %v", data, err)
	}
	// Keep of what is kept asks nobody.
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Error(err)
	}
	// Damage of any kind is said, and never another value.
	spoil := func(name, text string) error {
		path := filepath.Join(dir, name)
		return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(text), 0o600))
	}
	for _, damage := range []struct {
		name string
		do   func() error
	}{
		{"value", func() error { return spoil("secrets/mail", "mail-9") }},
		{"given", func() error { return spoil("given.json", strings.Replace(string(given), `"a"`, `"b"`, 1)) }},
		{"gone", func() error { return os.RemoveAll(dir) }},
	} {
		name := damage.name
		if err := damage.do(); err != nil {
			t.Fatal(err)
		}
		var e *rollout.EffectError
		if _, err := b.Kept(b.target); !errors.As(err, &e) || e.Code != release.InputsLost || e.Fault != rollout.FaultHold {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.Write(b.target, []release.FileSpec{spec}); !errors.As(err, &e) || e.Code != release.InputsLost {
			t.Errorf("%s: written: %v", name, err)
		}
	}
}

// A life that ends between verifying and keeping resolves again, and takes nothing else
// for what was verified.
func TestKeepInAnotherLife(t *testing.T) {
	b := newBench(t)
	b.target.Inputs = b.resolve()
	b.start()
	b.write("api-key", "key-2", 0o600)
	var e *rollout.EffectError
	if err := b.Keep(b.rel, nil, b.target); !errors.As(err, &e) || e.Code != release.InputsChanged || e.Fault != rollout.FaultRetry {
		t.Errorf("%v", err)
	}
	b.write("api-key", "key-1", 0o600)
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Error(err)
	}
}

func TestForgetAndSweep(t *testing.T) {
	b := newBench(t)
	b.target.Inputs = b.resolve()
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Fatal(err)
	}
	above := filepath.Join(b.root, "releases", string(b.target.Digest), "inputs")
	left := filepath.Join(above, beside+"1", "secrets")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "x"), []byte("key-1"), 0o400), b.Sweep()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(above, beside+"1")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a secret that a crash left is not swept")
	}
	if _, err := b.Kept(b.target); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		app  string
		keep []release.Target
		left bool
	}{
		{"shop", []release.Target{{}, b.target}, true},
		{"other", nil, true},
		{"shop", []release.Target{{Digest: b.target.Digest, Inputs: "0011223344556677"}}, false},
		{"shop", nil, false},
	} {
		if err := b.Forget(c.app, c.keep); err != nil {
			t.Error(err)
		}
		if _, err := b.Kept(b.target); (err == nil) != c.left {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
