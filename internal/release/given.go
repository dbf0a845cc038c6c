package release

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// What a host adds to a release: values of hostEnv and resolved secrets. Both are part of
// the inputs of a target, neither of the digest.

// Given is what a host adds to a release. No secret is in it, only sums of secrets that
// tell nobody anything without the host's key.
type Given struct {
	Secrets map[string]string `json:"secrets,omitempty"` // name → keyed sum, 32 hex
	Env     map[string]string `json:"env,omitempty"`     // values of hostEnv
	// Services are those that run on the host, when not all do.
	Services []string `json:"services,omitempty"`
}

// Asks reports whether the release needs anything of a host: without, its inputs are the
// same on every look.
func (r *Release) Asks() bool { return len(r.Secrets) > 0 || len(r.HostEnv) > 0 }

// labelPrefix begins a value of hostEnv that is a label of the host.
const labelPrefix = "label."

// HostValue is the value of an entry of hostEnv on a host; false when it has no such
// label.
func HostValue(of, host string, labels map[string]string) (string, bool) {
	if label, ok := strings.CutPrefix(of, labelPrefix); ok {
		v, has := labels[label]
		return v, has
	}
	return host, of == "host.name"
}

// hostEnv reads variables with their host values.
func (p *parser) hostEnv(r *reader, at string, n *node) any {
	env, _ := dict(envName, "the name of a variable", written(hostValue, "host.name or label.<name>"))(r, at, n).(map[string]any)
	for name, of := range env {
		if p.rel.HostEnv == nil {
			p.rel.HostEnv, p.hostEnvLine = map[string]string{}, map[string]int{}
		}
		p.rel.HostEnv[name], p.hostEnvLine[name] = of.(string), n.field(name).line
	}
	return nil
}

// checkHostEnv refuses a variable that the service has a value for already: who wins
// would be anybody's guess.
func (p *parser) checkHostEnv(d *draft) {
	own, _ := d.model["environment"].(map[string]any)
	for _, name := range sorted(p.rel.HostEnv) {
		if _, both := own[name]; both {
			p.wrong(p.hostEnvLine[name], "keep one of them", "x-teal.hostEnv.%s: services.%s has a value for it in its environment", name, d.Name)
		}
	}
}

// givenBy is the part of the content that a host gives, as far as the release says it:
// which values, and the sealed secrets. A secret that is sealed anew is another content.
func givenBy(r *Release) map[string]string {
	out := map[string]string{}
	for name, of := range r.HostEnv {
		out["env "+name] = of
	}
	for _, s := range r.Secrets {
		sum := sha256.Sum256(s.Sealed)
		out["secret "+s.Name] = hex.EncodeToString(sum[:])
	}
	return out
}

// ValidSecret reports whether s can be the name of a secret or config.
func ValidSecret(s string) bool { return keyForm.MatchString(s) }
