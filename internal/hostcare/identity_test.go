package hostcare

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stored writes an identity file and returns its directory.
func stored(t *testing.T, data []byte, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(IdentityPath(dir), data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(IdentityPath(dir), mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return dir
}

func encoded(t *testing.T, id Identity) []byte {
	t.Helper()
	data, err := id.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestIdentityRoundTrip(t *testing.T) {
	id := NewIdentity()
	id.Floors = map[string]int64{"shop": 41, "bank": 7}
	got, err := LoadIdentity(stored(t, encoded(t, id), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, got); diff != "" {
		t.Fatalf("identity (-want +got):\n%s", diff)
	}
	if key := got.InputsKey(); len(key) != 32 || hex.EncodeToString(key) != id.Key {
		t.Errorf("key %x", key)
	}
}

func TestNewIdentitiesDiffer(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 100 {
		id := NewIdentity()
		if !uuid.MatchString(id.Instance) || len(id.InputsKey()) != 32 || bytes.Equal(id.InputsKey(), make([]byte, 32)) {
			t.Fatalf("identity %+v", id)
		}
		if seen[id.Instance] || seen[id.Key] {
			t.Fatalf("a second time: %+v", id)
		}
		seen[id.Instance], seen[id.Key] = true, true
	}
}

func TestLoadIdentityRefuses(t *testing.T) {
	good := NewIdentity()
	with := func(change func(*Identity)) []byte {
		id := good
		change(&id)
		return encoded(t, id)
	}
	for name, c := range map[string]struct {
		data []byte
		mode os.FileMode
		says string
	}{
		"readable by the group":  {encoded(t, good), 0o640, "chmod 600"},
		"readable by all":        {encoded(t, good), 0o604, "chmod 600"},
		"writable by others":     {encoded(t, good), 0o602, "chmod 600"},
		"empty":                  {nil, 0o600, "restore it from a backup"},
		"cut":                    {encoded(t, good)[:60], 0o600, "restore it from a backup"},
		"not JSON":               {[]byte("\x00\x01"), 0o600, "restore it from a backup"},
		"an unknown field":       {bytes.Replace(encoded(t, good), []byte(`"key"`), []byte(`"keys": 1, "key"`), 1), 0o600, "restore it from a backup"},
		"a short key":            {with(func(id *Identity) { id.Key = id.Key[2:] }), 0o600, "damaged"},
		"a key that is no hex":   {with(func(id *Identity) { id.Key = "x" + id.Key[1:] }), 0o600, "damaged"},
		"no instance":            {with(func(id *Identity) { id.Instance = "" }), 0o600, "damaged"},
		"longer than identities": {make([]byte, maxIdentity+1), 0o600, "bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stored(t, c.data, c.mode)
			id, err := LoadIdentity(dir)
			if err == nil || errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), IdentityPath(dir)) {
				t.Fatalf("load: %v, want the file and %q", err, c.says)
			}
			if strings.Contains(err.Error(), good.Key) || id.Key != "" {
				t.Errorf("the key is shown: %v", err)
			}
		})
	}
}

func TestLoadIdentityWithoutOne(t *testing.T) {
	for _, dir := range []string{t.TempDir(), t.TempDir() + "/none"} {
		if _, err := LoadIdentity(dir); !errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), "tealctl state init") {
			t.Errorf("load: %v", err)
		}
	}
	dir := t.TempDir() // what stands there and is no file is not "none"
	if err := os.Mkdir(IdentityPath(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(dir); err == nil || errors.Is(err, ErrNoIdentity) {
		t.Errorf("a directory: %v", err)
	}
}
