package release

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestAbsent: an approved removal has no services and can be planned everywhere.
func TestAbsent(t *testing.T) {
	text := "name: shop\nx-teal:\n  version: v1.2.4\n  sequence: 43\n  placement: {zone: eu-1}\n  absent: true\n  purge: [media, data]\n"
	r, problems := Parse(fstest.MapFS{Manifest: &fstest.MapFile{Data: []byte(text)}}, "staging", "shop")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if !r.Absent || !slices.Equal(r.Purge, []string{"data", "media"}) || len(r.Services) != 0 || r.Digest == "" || r.Sequence != 43 {
		t.Errorf("%+v", r)
	}
	set, err := Plan(r, Host{EdgeNetwork: "edge"}, Blue, Target{}, "", nil)
	if err != nil || len(set.Containers)+len(set.Networks)+len(set.Volumes) != 0 {
		t.Errorf("%+v %v", set, err)
	}
	if here, elsewhere := r.Here(Host{Labels: map[string]string{"zone": "eu-1"}}); here != nil || elsewhere != "" {
		t.Errorf("%v %q", here, elsewhere)
	}
	if _, elsewhere := r.Here(Host{}); elsewhere == "" {
		t.Error("a removal of other hosts")
	}
}
