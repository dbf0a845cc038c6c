package gitops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tealops/teal/internal/release"
)

// What was saved is what is loaded, and nothing is left beside it.
func TestAcceptedReadsBack(t *testing.T) {
	dir := t.TempDir()
	if _, err := loadAccepted(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing there: %v", err)
	}
	hex := rapid.StringMatching(`[0-9a-f]{40}`)
	rapid.Check(t, func(t *rapid.T) {
		want := accepted{RepoID: testRepoID, Refs: rapid.MapOfN(rapid.StringMatching(`refs/(heads|tags)/[a-z]{1,8}(/[a-z]{1,8})?`), rapid.Custom(func(t *rapid.T) record {
			return record{Commit: hex.Draw(t, "commit"), Gone: rapid.Bool().Draw(t, "gone"), First: rapid.Uint64Range(0, 9).Draw(t, "first"),
				Apps:    rapid.SampledFrom([]map[string]uint64{nil, {"shop": 3}, {"shop": 3, "blog": 9}}).Draw(t, "apps"),
				Refused: rapid.OneOf(rapid.Just(""), hex).Draw(t, "refused"),
				At:      time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()}
		}), 0, 5).Draw(t, "refs"), Look: rapid.Uint64Range(0, 9).Draw(t, "look")}
		if err := want.save(dir); err != nil {
			t.Fatal(err)
		}
		got, err := loadAccepted(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("beside it: %v, %v", entries, err)
	}
}

// No single damaged byte, and no cut, is taken for another record: it reads back as
// it was or is damaged.
func TestAcceptedNoticesEveryByte(t *testing.T) {
	dir := t.TempDir()
	want := accepted{RepoID: testRepoID, Refs: map[string]record{
		"refs/heads/main":          {Commit: strings.Repeat("a", 40), At: time.Unix(1700000000, 0).UTC()},
		"refs/heads/teal/evidence": {Commit: strings.Repeat("b", 40), At: time.Unix(1700000001, 5).UTC(), Refused: strings.Repeat("c", 40)},
	}}
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, acceptedFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := loadAccepted(dir)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := loadAccepted(dir)
		switch {
		case err != nil && !errors.Is(err, errStateDamaged):
			t.Errorf("%s: %v", what, err)
		case err == nil && !cmp.Equal(got, whole):
			t.Errorf("%s reads as another record: %+v", what, got)
		}
	}
	for i := range good {
		for _, bit := range []byte{1, 4, 0x20, 0x80} {
			data := append([]byte(nil), good...)
			data[i] ^= bit
			try("a flipped bit", data)
		}
		try("a cut", good[:i])
	}
	try("twice", append(good, good...))
	try("a tail", append(append([]byte(nil), good...), "{}"...))
	try("too large", append(append([]byte(nil), good...), make([]byte, acceptedMax)...))
}

// A record whose checksum is right but whose content is not a record's: as a person
// with a text editor makes it.
func TestAcceptedMustHoldCommits(t *testing.T) {
	dir := t.TempDir()
	for _, commit := range []string{"", "main", strings.Repeat("g", 40), strings.Repeat("a", 39), strings.Repeat("A", 40), "../" + strings.Repeat("a", 37)} {
		if err := (accepted{RepoID: testRepoID, Refs: map[string]record{"refs/heads/main": {Commit: commit}}}).save(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := loadAccepted(dir); !errors.Is(err, errStateDamaged) {
			t.Errorf("commit %q: %v", commit, err)
		}
	}
}

// main:     A ── B        main is refused while the record is lost
// evidence: A ── C
//
// Root's word for the followed branch covers the evidence too; for the evidence
// alone it covers nothing.
func TestAdoptAfterALostRecordNeedsTheFollowedBranch(t *testing.T) {
	o := newOrigin(t)
	b := o.commit("B")
	o.git("checkout", "-q", "-b", "evidence", "HEAD~1")
	c := o.commit("C")
	cfg := o.config()
	cfg.Evidence = "evidence"
	syncOK(t, open(t, cfg))
	if err := os.Remove(filepath.Join(cfg.Dir, acceptedFile)); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	if err := r.Adopt(t.Context(), c); err == nil {
		t.Error("a commit of the evidence alone was enough")
	}
	syncCode(t, r, release.GitStateLost)
	if _, ok := r.EvidenceHead(); ok {
		t.Error("evidence without a record")
	}
	if err := r.Adopt(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if st := syncOK(t, r); st.Head != b || st.Evidence != c {
		t.Errorf("status %+v", st)
	}
}

// main: A ── B, evidence: A ── C, then a head of main with another repoId. The evidence
// goes on, the followed branch stays, and the record says so over a restart.
func TestOneRefusedBranchDoesNotStopTheOther(t *testing.T) {
	o := newOrigin(t)
	b := o.commit("B")
	o.git("checkout", "-q", "-b", "evidence")
	o.commit("C")
	cfg := o.config()
	cfg.Evidence = "evidence"
	r := open(t, cfg)
	syncOK(t, r)
	d := o.commit("D")
	o.git("checkout", "-q", "main")
	o.write(IdentityFile, "apiVersion: teal/v1\nkind: Repository\nrepoId: 11111111-6a1f-4c0e-9f6a-3d2f6a1c9e55\n")
	o.commit("another repository's")
	st := syncCode(t, r, release.RepoIDMismatch)
	if st.Head != b || st.Evidence != d {
		t.Errorf("status %+v", st)
	}
	if st := open(t, cfg).Status(); st.Head != b || st.Evidence != d {
		t.Errorf("after a restart: %+v", st)
	}
	// The evidence branch is not asked for its repoId: it may be an orphan of its own.
	if v := r.looked["evidence"].verdict; v != nil {
		t.Errorf("evidence refused: %v", v)
	}
}

// The branch that is followed changes in agent.yaml, and back: what each had reached
// is remembered.
func TestAnotherBranchKeepsTheFirstOnesRecord(t *testing.T) {
	o := newOrigin(t)
	o.commit("B")
	c := o.commit("C")
	o.git("push", "-q", "origin", "HEAD:refs/heads/next")
	cfg := o.config()
	syncOK(t, open(t, cfg))
	cfg.Branch = "next"
	r := open(t, cfg)
	if _, ok := r.Head(); ok {
		t.Error("a head of a branch that was never looked at")
	}
	syncOK(t, r)
	wantHead(t, r, c)
	run(t, o.bare, nil, "update-ref", "refs/heads/main", c+"~1")
	cfg.Branch = "main"
	r = open(t, cfg)
	wantHead(t, r, c)
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, c)
}
