package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/tealops/teal/internal/release"
)

// MaxSecret bounds one secret, in bytes.
const MaxSecret = 256 << 10

// Secret is what a secret holds. Printed in any way it says only how long it is.
type Secret []byte

var (
	_ slog.LogValuer = Secret(nil)
	_ fmt.Formatter  = Secret(nil)
)

func (s Secret) hidden() string { return fmt.Sprintf("[secret, %d bytes]", len(s)) }

// LogValue keeps a secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.hidden()) }

// Format keeps a secret out of every fmt verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.hidden()) }

// MarshalText keeps a secret out of JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.hidden()), nil }

// sum is the keyed sum of a secret, 32 hex. App and name are in it, so that nobody sees
// that two secrets are equal.
func sum(key []byte, app, name string, value Secret) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "teal-secret-sum-v1\n%s/%s\n", app, name)
	mac.Write(value)
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

// inputsOf is the keyed hash of all that a host gives, 16 hex. Of nothing it is the same
// for every release.
func inputsOf(key []byte, given release.Given) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("teal-inputs-v1\n"))
	for _, service := range given.Services {
		mac.Write([]byte("service " + service + "\n"))
	}
	for _, name := range sorted(given.Secrets) {
		fmt.Fprintf(mac, "secret %s %s\n", name, given.Secrets[name])
	}
	for _, name := range sorted(given.Env) {
		fmt.Fprintf(mac, "env %s %d %s\n", name, len(given.Env[name]), given.Env[name])
	}
	return hex.EncodeToString(mac.Sum(nil))[:16]
}
