package gitops

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// stored adds a pack to an empty clone and gives the two files that are there then.
func stored(t *testing.T, data []byte) (pack, index string) {
	t.Helper()
	clone := emptyClone(t)
	err := addPack(t.Context(), clone, Limits{}.orDefault(), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	packs, _ := filepath.Glob(filepath.Join(clone, "objects/pack/*.pack"))
	if len(packs) != 1 {
		t.Fatalf("packs: %v", packs)
	}
	return packs[0], strings.TrimSuffix(packs[0], ".pack") + ".idx"
}

// sameAsGit compares the index with the one that git makes of the same pack.
func sameAsGit(t *testing.T, data []byte) {
	t.Helper()
	pack, index := stored(t, data)
	theirs := filepath.Join(t.TempDir(), "git.idx")
	cmd := exec.CommandContext(t.Context(), gitBin, "index-pack", "-o", theirs, pack)
	cmd.Env = append(os.Environ(), gitEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git index-pack: %v\n%s", err, out)
	}
	want, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(index); err != nil || !bytes.Equal(got, want) {
		t.Errorf("our index has %d bytes, git's %d, and they differ (%v)", len(got), len(want), err)
	}
}

// The index of a pack is, to the byte, the one that git makes: with bases named by
// offset and by hash, with chains as deep as git makes them, with tags, and with deltas
// that are kept between the walks and those that are too large for it.
func TestIndexIsTheOneThatGitMakes(t *testing.T) {
	o := newOrigin(t)
	o.grow(300)
	var in bytes.Buffer
	for i := range 60 { // a large file that changes much: deltas of many kilobytes
		fmt.Fprintf(&in, "commit refs/heads/large\ncommitter Ann <ann@example.com> %d +0000\ndata 5\nlarge\nM 100644 inline large\n", 1_700_000_000+i)
		text := noise(200 << 10)[:100<<10+i] + noise(300 << 10)[200<<10+i*512:]
		fmt.Fprintf(&in, "data %d\n%s\n", len(text), text)
	}
	fmt.Fprintf(&in, "tag v1.0.0\nfrom refs/heads/large\ntagger Ann <ann@example.com> 1700000000 +0000\ndata 3\ntag\n")
	cmd := exec.CommandContext(t.Context(), gitBin, "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = o.bare, &in
	cmd.Env = append(os.Environ(), gitEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	for name, options := range map[string][]string{
		"by offset": {"--delta-base-offset"},
		"by hash":   {},
		"deep":      {"--delta-base-offset", "--depth=4000", "--window=20"},
		"no deltas": {"--window=0"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), gitBin, append([]string{"pack-objects", "--all", "--revs", "--stdout", "-q", "--no-reuse-delta"}, options...)...)
			cmd.Dir, cmd.Env = o.bare, append(os.Environ(), gitEnv...)
			data, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			sameAsGit(t, data)
		})
	}
}

// What git does not make but its format allows: a delta before its base, deltas of
// deltas by hash, an object twice, an object without bytes.
func TestIndexOfAnOddPack(t *testing.T) {
	p := newPacked()
	text := []byte("abc")
	insert := func(base, target string) *bytes.Reader { // a delta that keeps nothing of its base
		return bytes.NewReader(append(append(leb(len(base)), leb(len(target))...), append([]byte{byte(len(target))}, target...)...))
	}
	size := func(base, target string) int { return insert(base, target).Len() }
	second := plumbing.ComputeHash(plumbing.BlobObject, []byte("second"))
	first := plumbing.ComputeHash(plumbing.BlobObject, text)
	p.add(plumbing.REFDeltaObject, size("second", "third"), second[:], insert("second", "third"))
	p.add(plumbing.REFDeltaObject, size("second", "fourth"), second[:], insert("second", "fourth"))
	p.add(plumbing.REFDeltaObject, size("abc", "second"), first[:], insert("abc", "second"))
	p.add(plumbing.BlobObject, 0, nil, bytes.NewReader(nil))
	at := p.add(plumbing.BlobObject, len(text), nil, bytes.NewReader(text))
	p.add(plumbing.OFSDeltaObject, size("abc", "fifth"), offset(p.Len()-at), insert("abc", "fifth"))
	sameAsGit(t, p.done(p.count))

	p.add(plumbing.BlobObject, len(text), nil, bytes.NewReader(text))
	_, index := stored(t, p.done(p.count))
	info, err := os.Stat(index)
	if err != nil || info.Size() != 8+256*4+6*(20+4+4)+40 { // six objects, of seven entries
		t.Errorf("index of %v, %v", info, err)
	}
}

// An object that is there whole and as a delta of itself, and two that are deltas of each
// other, would be read for ever, until the stack ends and the process with it.
func TestDeltasInACircle(t *testing.T) {
	same := func(n int) []byte { return append(append(leb(n), leb(n)...), 0x90, byte(n)) } // copy all of the base
	one, two := []byte("one"), []byte("two two")
	name := func(text []byte) []byte { h := plumbing.ComputeHash(plumbing.BlobObject, text); return h[:] }
	instead := func(base, target []byte) []byte {
		return append(append(append(leb(len(base)), leb(len(target))...), byte(len(target))), target...)
	}
	p := newPacked()
	delta := func(base, d []byte) { p.add(plumbing.REFDeltaObject, len(d), name(base), bytes.NewReader(d)) }
	delta(one, same(len(one)))
	delta(two, instead(two, one))
	delta(one, instead(one, two))
	p.add(plumbing.BlobObject, len(one), nil, bytes.NewReader(one))
	pack, _ := stored(t, p.done(p.count))
	s := openClone(filepath.Dir(filepath.Dir(filepath.Dir(pack))), false)
	for _, text := range [][]byte{one, two} {
		if _, got, err := s.any(plumbing.NewHash(fmt.Sprintf("%x", name(text))), 100); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s reads as %q, %v", text, got, err)
		}
	}
}

// chained is a pack with one chain of so many deltas.
func chained(deltas int) []byte {
	p := newPacked()
	base := p.add(plumbing.BlobObject, 4, nil, strings.NewReader("0000"))
	for i := range deltas {
		text := fmt.Sprintf("%04d", i+1)
		d := append(append(leb(4), leb(4)...), append([]byte{4}, text...)...)
		base = p.add(plumbing.OFSDeltaObject, len(d), offset(p.Len()-base), bytes.NewReader(d))
	}
	return p.done(p.count)
}

func TestChainsAreAsDeepAsGitMakesThem(t *testing.T) {
	sameAsGit(t, chained(deepest))
	err := addPack(t.Context(), emptyClone(t), Limits{}.orDefault(), func(w io.Writer) error {
		_, err := w.Write(chained(deepest + 1))
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "a chain of more than 4095 deltas") {
		t.Error(err)
	}
}

// Each delta is wrong in one thing, and refused.
func TestMalformedDeltas(t *testing.T) {
	base := []byte("abcdefgh")
	good := []byte{8, 5, 0x90, 4, 1, 'x'}
	out := make([]byte, 5)
	if err := patch(out, base, good); err != nil || string(out) != "abcdx" {
		t.Fatalf("%q, %v", out, err)
	}
	for name, d := range map[string][]byte{
		"another base":                 {7, 5, 0x90, 4, 1, 'x'},
		"another target":               {8, 6, 0x90, 4, 1, 'x', 1, 'y'},
		"too short":                    {8, 5, 0x90, 4},
		"too long":                     {8, 5, 0x90, 4, 2, 'x', 'y'},
		"a copy beyond the base":       {8, 5, 0x91, 5, 4, 1, 'x'},
		"a copy from beyond the base":  {8, 5, 0x91, 9, 4, 1, 'x'},
		"a copy of 64 KiB":             {8, 5, 0x80},
		"a copy without its size":      {8, 5, 0x90},
		"own bytes that are not there": {8, 5, 5, 'x'},
		"the reserved code":            {8, 5, 0, 0x90, 4, 1, 'x'},
		"no sizes":                     {},
		"half a size":                  {0x88},
		"a size without end":           bytes.Repeat([]byte{0x80}, 20),
	} {
		if err := patch(make([]byte, 5), base, d); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
