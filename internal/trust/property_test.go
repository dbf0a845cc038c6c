package trust

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

// pooled is a signature file of the pool, and for whom it counts at testNow.
type pooled struct {
	file   SignatureFile
	person string // empty: counts for nobody
}

// pool holds one of everything that may lie in an approval directory.
func pool(t *testing.T, statement []byte) []pooled {
	var out []pooled
	add := func(name, person string, data []byte) {
		out = append(out, pooled{SignatureFile{name + ".sig", data}, person})
	}
	for key, person := range map[string]string{"ed25519/ann": "ann@example.com", "p256/ann": "ann@example.com", "p256/bob": "bob@example.com", "rsa3072": "carol@example.com",
		"ed25519/carol-old": "", "ed25519/carol-next": "", "ed25519/dave": "", "ed25519/eve": "", "p384": "", "ed25519/mallory": ""} {
		name := strings.ReplaceAll(key, "/", "-")
		good := sign(t, key, NamespaceApproval, statement)
		add(name, person, good)
		add(name+"-copy", person, good)
		add(name+"-git", "", sign(t, key, "git", statement))
		add(name+"-other", "", sign(t, key, NamespaceApproval, append([]byte(" "), statement...)))
		add(name+"-cut", "", good[:len(good)-9])
	}
	slices.SortFunc(out, func(a, b pooled) int { return strings.Compare(a.file.Name, b.file.Name) })
	return out
}

func TestApprovalProperties(t *testing.T) {
	s := newScene(t)
	all := pool(t, s.statement)
	if len(all) > maxSignatures {
		t.Fatalf("%d files: the pool must be readable whole", len(all))
	}
	base := s.input()
	rapid.Check(t, func(t *rapid.T) {
		chosen := rapid.SliceOfDistinct(rapid.IntRange(0, len(all)-1), rapid.ID).Draw(t, "files")
		in := base
		in.Marks.Sequence = rapid.SampledFrom([]int64{0, 41, 41, 41, 42, 43}).Draw(t, "mark")
		in.Now = testNow.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, -7200, 7200, 86399, 86400}).Draw(t, "seconds")) * time.Second)
		if rapid.IntRange(0, 9).Draw(t, "statement") == 0 {
			in.Evidence.Statement = nil
		}
		persons := map[string]bool{}
		for _, i := range chosen {
			in.Evidence.Signatures = append(slices.Clip(in.Evidence.Signatures), all[i].file)
			if all[i].person != "" {
				persons[all[i].person] = true
			}
		}
		before := slices.Clone(in.Evidence.Signatures)
		v := Evaluate(in)
		if d := cmp.Diff(before, in.Evidence.Signatures); d != "" {
			t.Fatalf("changed its input: %s", d)
		}

		// Persons are counted, and nothing else is.
		can := in.Evidence.Statement != nil && (in.Marks.Sequence <= 41) && !in.Now.Before(testNow) && in.Now.Before(testNow.Add(24*time.Hour))
		if v.Accepted != (can && len(persons) >= 2) {
			t.Fatalf("accepted %v with persons %v\n%s", v.Accepted, persons, pretty(v))
		}
		// The order of files does not matter.
		shuffled := in
		shuffled.Evidence.Signatures = rapid.Permutation(in.Evidence.Signatures).Draw(t, "order")
		if d := cmp.Diff(v, Evaluate(shuffled)); d != "" {
			t.Fatalf("depends on the order of files: %s", d)
		}
		// Removing evidence never turns a refusal into an acceptance.
		less := in
		less.Evidence.Signatures = nil
		for i, f := range in.Evidence.Signatures {
			if rapid.Bool().Draw(t, "keep "+all[chosen[i]].file.Name) {
				less.Evidence.Signatures = append(less.Evidence.Signatures, f)
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "without statement") == 0 {
			less.Evidence.Statement = nil
		}
		if got := Evaluate(less); got.Accepted && !v.Accepted {
			t.Fatalf("accepted with less evidence\n%s", pretty(got))
		}
		// Nothing changes by time alone before Until.
		end := v.Until
		if end.IsZero() {
			end = in.Now.Add(10 * 365 * 24 * time.Hour)
		}
		later := in
		later.Now = in.Now.Add(time.Duration(rapid.Int64Range(0, int64(end.Sub(in.Now))-1).Draw(t, "later")))
		if got := Evaluate(later); got.Accepted != v.Accepted || !slices.Equal(codes(got.Reasons), codes(v.Reasons)) {
			t.Fatalf("at %s %v, at %s %v, but until is %s", in.Now, codes(v.Reasons), later.Now, codes(got.Reasons), v.Until)
		}
	})
}

// TestDamagedEvidenceIsNeverAccepted flips bytes anywhere in the evidence.
func TestDamagedEvidenceIsNeverAccepted(t *testing.T) {
	in := newScene(t).approved("ed25519/ann", "p256/bob").input()
	if v := Evaluate(in); !v.Accepted {
		t.Fatal(pretty(v))
	}
	rapid.Check(t, func(t *rapid.T) {
		broken := in
		broken.Evidence.Signatures = slices.Clone(in.Evidence.Signatures)
		where := &broken.Evidence.Statement
		if n := rapid.IntRange(-1, len(in.Evidence.Signatures)-1).Draw(t, "file"); n >= 0 {
			where = &broken.Evidence.Signatures[n].Data
		}
		*where = slices.Clone(*where)
		at := rapid.IntRange(0, len(*where)-1).Draw(t, "byte")
		bit := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
		(*where)[at] ^= bit
		if v := Evaluate(broken); v.Accepted {
			t.Fatalf("accepted with bit %02x of byte %d changed\n%s", bit, at, pretty(v))
		}
	})
}

// TestAskingLessOfTheHostIsNeverRefused: a set of denials shrinks with what is asked.
func TestAskingLessOfTheHostIsNeverRefused(t *testing.T) {
	base := newScene(t).approved("ed25519/ann", "p256/bob").input()
	asks := []func(c *release.ContainerSpec){
		func(c *release.ContainerSpec) { c.Privileged = true },
		func(c *release.ContainerSpec) { c.CapAdd = append(c.CapAdd, "NET_ADMIN") },
		func(c *release.ContainerSpec) { c.PidMode = "host" },
		func(c *release.ContainerSpec) { c.Runtime = "nvidia" },
		func(c *release.ContainerSpec) {
			c.Mounts = append(c.Mounts, release.Mount{Type: "bind", Source: "/srv/media"})
		},
		func(c *release.ContainerSpec) {
			c.Mounts = append(c.Mounts, release.Mount{Type: "bind", Source: "/run/docker.sock"})
		},
		func(c *release.ContainerSpec) { c.Log.Driver = "gelf" },
	}
	rapid.Check(t, func(t *rapid.T) {
		chosen := rapid.SliceOfDistinct(rapid.IntRange(0, len(asks)-1), rapid.ID).Draw(t, "asks")
		in := base
		in.Sets = testSets(in.Release)
		for _, i := range chosen {
			asks[i](&in.Sets[0].Containers[1])
		}
		if v := Evaluate(in); len(v.Reasons) != len(chosen) {
			t.Fatalf("%d things asked, %d denied\n%s", len(chosen), len(v.Reasons), pretty(v))
		}
	})
}

func TestEscapeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) })).Draw(t, "text")
		out := Escape(in)
		if !utf8.ValidString(out) {
			t.Fatalf("%q: not UTF-8", in)
		}
		for _, r := range out {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q is not printable", in, r)
			}
		}
	})
}
