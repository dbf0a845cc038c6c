package release

import (
	"slices"
	"strings"
)

// An approved removal is a manifest with absent: true and no services.

// purged reads the volumes that a removal takes away with their data.
func (p *parser) purged(r *reader, at string, n *node) any {
	if r.draws(func() schema {
		return listOf(formSchema(keyForm, "a volume, by the name under which the manifest declared it")())
	}) {
		return nil
	}
	for _, item := range r.items(at, n) {
		name, ok := r.text(at, item)
		switch {
		case !ok:
		case !keyForm.MatchString(name):
			r.wrong(item.line, "write the name under which the manifest declared it", "%s: %s is not the name of a volume", at, show(name))
		case slices.Contains(p.rel.Purge, name):
			r.wrong(item.line, "remove it", "%s: %s is there twice", at, show(name))
		default:
			p.rel.Purge = append(p.rel.Purge, name)
		}
	}
	slices.Sort(p.rel.Purge)
	return nil
}

// removal checks that a manifest says either what runs or that nothing does.
func (p *parser) removal(root *node) {
	teal := root.field("x-teal")
	if teal == nil {
		return
	}
	if !p.rel.Absent {
		if f := teal.value.field("purge"); f != nil {
			p.wrong(f.line, "remove it, or write absent: true", "x-teal.purge: volumes are removed only with the app")
		}
		return
	}
	for _, key := range []string{"services", "volumes", "networks", "configs", "secrets"} {
		f := root.field(key)
		if f == nil || f.value.empty() || f.value.kind == mapping && len(f.value.fields) == 0 {
			continue
		}
		p.wrong(f.line, "remove it, or absent: true", "%s: a removal has none", key)
	}
	for _, f := range teal.value.fields {
		if !slices.Contains(removalKeys, f.key) {
			p.wrong(f.line, "remove it: a removal takes "+strings.Join(removalKeys, ", "), "x-teal.%s: nothing of it runs after a removal", f.key)
		}
	}
}

// removalKeys are the keys of x-teal that mean something beside absent: true.
var removalKeys = []string{"absent", "purge", "version", "sequence", "source", "preparedBy", "links", "placement"}
