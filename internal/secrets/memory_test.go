package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// counted is an identity that counts how often it is tried.
type counted struct {
	*age.X25519Identity
	tried *int
}

func (c counted) Unwrap(s []*age.Stanza) ([]byte, error) {
	*c.tried++
	return c.X25519Identity.Unwrap(s)
}

// A sealed secret that cannot be opened is not tried again with each look: it may name a
// thousand recipients, and nobody has approved it. Another identity is another try.
func TestAFailureIsRemembered(t *testing.T) {
	b := newBench(t)
	tried := 0
	id := hostIdentity{read: true, ids: []age.Identity{counted{key(t), &tried}}}
	place := Place{"production", "shop", "database-url"}
	look := func() error {
		before, now := b.openedOf("shop"), opened{}
		_, err := b.open(place, b.rel.Secrets[0], &id, before, now)
		b.opened["shop"] = now
		return err
	}
	var e *rollout.EffectError
	for range 3 {
		if err := look(); !errors.As(err, &e) || e.Code != release.SecretUnopened {
			t.Fatal(err)
		}
	}
	if tried != 1 {
		t.Errorf("tried %d times", tried)
	}
	id = hostIdentity{read: true, ids: []age.Identity{counted{b.id, &tried}}, sum: [32]byte{1}}
	for range 3 {
		if err := look(); err != nil {
			t.Fatal(err)
		}
	}
	if tried != 2 {
		t.Errorf("tried %d times", tried)
	}
	// As the agent lives it: the operator puts the right identity in place.
	b.write("identity.txt", key(t).String()+"\n", 0o400)
	b.start()
	b.refuses("another identity", release.SecretUnopened, "none of its recipients")
	b.write("identity.txt", b.id.String()+"\n", 0o400)
	b.resolve()
}

// Values that nothing needs any more leave memory: those of an app's earlier releases, and
// those that were there before what was kept.
func TestValuesLeaveMemory(t *testing.T) {
	b := newBench(t)
	b.target.Inputs = b.resolve()
	if len(b.opened["shop"]) != 1 {
		t.Fatalf("%d opened", len(b.opened["shop"]))
	}
	for n := range 3 {
		b.write("api-key", fmt.Sprintf("key-%d", n+2), 0o600)
		b.target.Inputs = b.resolve()
	}
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Fatal(err)
	}
	if n := len(b.pins["shop"]); n != 1 {
		t.Errorf("%d resolutions are remembered after the newest was kept", n)
	}
	sealed, err := Seal(here, Secret("postgres://u:q@db/shop"), []age.Recipient{b.id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	b.rel.Secrets[0].Sealed = sealed
	b.resolve()
	if n := len(b.opened["shop"]); n != 1 {
		t.Errorf("%d age files are remembered of a release that has one", n)
	}
	b.rel.Secrets, b.rel.HostEnv = nil, nil
	b.Inspect(b.rel)
	if len(b.opened) != 0 {
		t.Error("an app without secrets has some")
	}
}

// A state directory may have any name: what is not found is never removed.
func TestStateDirectoryOfAnyName(t *testing.T) {
	b := newBench(t)
	odd := filepath.Join(b.root, "releases[1]")
	if err := os.Rename(b.Releases, odd); err != nil {
		t.Fatal(err)
	}
	b.Releases = odd
	b.target.Inputs = b.resolve()
	if err := b.Keep(b.rel, nil, b.target); err != nil {
		t.Fatal(err)
	}
	above := filepath.Join(odd, string(b.target.Digest), "inputs")
	left := filepath.Join(above, beside+"1")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "x"), []byte("key-1"), 0o400),
		os.WriteFile(filepath.Join(odd, "stray"), nil, 0o600), b.Sweep(), b.Forget("shop", nil)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(above, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), beside) || filepath.Base(path) == b.target.Inputs {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
