package hostcare

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Identity is who this agent is: without one it starts nothing (DESIGN 4.1). It is
// written by `tealctl state init` and never changed by the agent.
type Identity struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Instance is a uuid; every object the agent makes carries it.
	Instance string `json:"instance"`
	// Key is 32 random bytes in hex: the key of the inputs hash.
	Key string `json:"key"`
	// Floors are marks against replay after a lost state: app → sequence.
	Floors map[string]int64 `json:"floors,omitempty"`
}

// ErrNoIdentity says that the state directory holds no identity.
var ErrNoIdentity = errors.New("this agent has no identity; run tealctl state init as root")

const (
	identityFile = "identity.json"
	maxIdentity  = 1 << 20
)

// NewIdentity makes a new identity.
func NewIdentity() Identity {
	var raw [48]byte
	_, _ = rand.Read(raw[:]) // never fails
	u := raw[:16]
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return Identity{APIVersion: "teal/v1", Kind: "Identity", Key: hex.EncodeToString(raw[16:]),
		Instance: fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])}
}

// LoadIdentity reads the identity of a state directory. It gives ErrNoIdentity when
// there is none, and an error that names the file when it is not usable or open to
// others.
func LoadIdentity(dir string) (Identity, error) {
	name := filepath.Join(dir, identityFile)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, ErrNoIdentity
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read the identity: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Identity{}, fmt.Errorf("%s is open to others (mode %04o): it holds a key; run chmod 600 %s", name, info.Mode().Perm(), name)
	}
	if info.Size() > maxIdentity {
		return Identity{}, fmt.Errorf("%s is %d bytes long, that is no identity; restore it from a backup", name, info.Size())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Identity{}, fmt.Errorf("read the identity: %w", err)
	}
	var id Identity
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&id); err != nil {
		return Identity{}, fmt.Errorf("%s: %w; restore it from a backup", name, err)
	}
	if key, err := hex.DecodeString(id.Key); err != nil || len(key) != 32 || len(id.Instance) != 36 {
		return Identity{}, fmt.Errorf("%s: the instance or the key is damaged; restore it from a backup", name)
	}
	return id, nil
}

// InputsKey is the key of the inputs hash: 32 bytes.
func (id Identity) InputsKey() []byte {
	key, _ := hex.DecodeString(id.Key) // LoadIdentity checked it
	return key
}

// Encode is the identity as the file holds it.
func (id Identity) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(id, "", "  ")
	return append(data, '\n'), err
}

// IdentityPath is where the identity of a state directory lies.
func IdentityPath(dir string) string { return filepath.Join(dir, identityFile) }
