package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
)

// Change is one difference between what runs and what is wanted.
type Change struct{ Service, Field, From, To string }

// Changes lists what differs between the live set and the wanted one. Values of the
// environment are not shown: they may be confidential.
func (d *Desk) Changes(app string, live *rollout.Set, want rollout.Set) []Change {
	next := d.services(app, want)
	before := map[string]release.Service{}
	if live != nil {
		before = d.services(app, *live)
	}
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(merge(before, next))) {
		a, had := before[name]
		b, has := next[name]
		switch {
		case !had:
			out = append(out, Change{Service: name, Field: "service", To: "new"})
			out = append(out, Change{Service: name, Field: "image", To: shortImage(b.Image)})
			continue
		case !has:
			out = append(out, Change{Service: name, Field: "service", From: "removed"})
			continue
		}
		if a.Image != b.Image {
			out = append(out, Change{Service: name, Field: "image", From: shortImage(a.Image), To: shortImage(b.Image)})
		}
		for _, key := range slices.Sorted(maps.Keys(merge(a.Config.Environment, b.Config.Environment))) {
			x, inA := a.Config.Environment[key]
			y, inB := b.Config.Environment[key]
			switch {
			case !inA:
				out = append(out, Change{Service: name, Field: "env", To: key})
			case !inB:
				out = append(out, Change{Service: name, Field: "env", From: key})
			case x != nil && y != nil && *x != *y:
				out = append(out, Change{Service: name, Field: "env", From: key, To: key + " (changed)"})
			}
		}
	}
	return out
}

func merge[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

func shortImage(image string) string {
	name, digest, ok := strings.Cut(image, "@sha256:")
	if !ok || len(digest) < 12 {
		return image
	}
	return name + "@" + digest[:12]
}

// services of a set: from Git when it is wanted there, else from the shelf.
func (d *Desk) services(app string, set rollout.Set) map[string]release.Service {
	app = cmp.Or(set.App, app)
	rel := d.Parsed.find(app, set.ID.Digest)
	if rel == nil {
		if p, err := d.stored(app, set.ID.Digest); err == nil {
			rel = p.rel
		}
	}
	out := map[string]release.Service{}
	if rel != nil {
		for _, s := range rel.Services {
			if set.Here == nil || slices.Contains(set.Here, s.Name) {
				out[s.Name] = s
			}
		}
	}
	return out
}
