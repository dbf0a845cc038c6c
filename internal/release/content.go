package release

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// short is 8 hex digits of the SHA-256 over the parts, one a line.
func short(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:4])
}

// specSum is a container's LabelSpec: what the engine is told of it, without the name
// and teal's labels (they name the release, the turn and the host, which change while
// the container need not), and without what only teal looks at.
func specSum(c ContainerSpec) (string, error) {
	c.Name, c.Class, c.DependsOn, c.CrashLimit, c.Probe, c.Route = "", "", nil, 0, nil, nil
	c.Labels = ownLabels(c.Labels)
	return canonicalSum(c)
}

// ownLabels are those that the manifest wrote, and the project's.
func ownLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if !strings.HasPrefix(k, "teal.") && k != "com.docker.compose.config-hash" {
			out[k] = v
		}
	}
	return out
}

// content is the SHA-256 of what would run, on no host in particular: the resolved
// specifications with their routes, probes and order, but without names and labels that
// tell one release from another.
func content(r *Release) (Digest, error) {
	host := Host{EdgeNetwork: "edge", Files: "/files"}
	swapped, err := Plan(r, host, Blue, Target{}, "", func(string, int) netip.Addr { return netip.Addr{} })
	if err != nil {
		return "", err
	}
	shared, err := PlanShared(r, host, Target{})
	if err != nil {
		return "", err
	}
	sets := []SetSpec{swapped, shared}
	for _, set := range sets {
		for i := range set.Containers {
			set.Containers[i].Name, set.Containers[i].Labels = "", ownLabels(set.Containers[i].Labels)
		}
		for i := range set.Jobs {
			set.Jobs[i].Name, set.Jobs[i].Labels = "", ownLabels(set.Jobs[i].Labels)
		}
		for i := range set.Networks {
			set.Networks[i].Labels = ownLabels(set.Networks[i].Labels)
		}
		for i := range set.Volumes {
			set.Volumes[i].Labels = ownLabels(set.Volumes[i].Labels)
		}
	}
	modes := map[string]string{}
	for _, v := range r.Volumes {
		modes[v.Name] = v.Mode
	}
	sums := map[string]any{"sets": sets, "modes": modes}
	if len(r.Jobs) > 0 {
		jobs := slices.Clone(r.Jobs)
		for i := range jobs {
			jobs[i].Line = 0
		}
		sums["jobs"] = jobs
	}
	if given := givenBy(r); len(given) > 0 {
		sums["given"] = given
	}
	sum, err := canonicalSum(sums)
	return Digest(sum), err
}

// canonicalSum is the SHA-256 (hex) of a value as JSON without empty fields, so that a
// field which a later version adds does not change the sum of what does not use it.
// Entries of maps and items of lists stay, empty or not.
func canonicalSum(v any) (string, error) {
	data, err := json.Marshal(canonical(reflect.ValueOf(v)))
	if err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func canonical(v reflect.Value) any {
	if _, ok := v.Interface().(encoding.TextMarshaler); ok {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return canonical(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() && !hollow(f) {
				out[v.Type().Field(i).Name] = canonical(f)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()] = canonical(v.MapIndex(key))
		}
		return out
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			out = append(out, canonical(v.Index(i)))
		}
		return out
	}
	return v.Interface()
}

// hollow reports whether there is nothing in v, whether it was made or not.
func hollow(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() && !hollow(f) {
				return false
			}
		}
		return true
	}
	return false
}
