package trust

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tealops/teal/internal/release"
)

const otherDigest = release.Digest("1111111111111111111111111111111111111111111111111111111111111111")

// tree is an evidence commit's tree: path → content.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

func TestGather(t *testing.T) {
	dir := ApprovalDir("production", "shop", testDigest) + "/"
	r := testRelease()
	statement := string(marshal(t, testStatement(t, r)))
	r.Digest = otherDigest
	other := string(marshal(t, testStatement(t, r)))
	m := tree(map[string]string{
		dir + "approval.json":     statement,
		dir + "b.sig":             "B",
		dir + "a.sig":             "A",
		dir + "big.sig":           strings.Repeat("x", maxSSHSig+1),
		dir + "c.dsse.json":       "{}",
		dir + "c.sigstore.json":   "{}",
		dir + "Approval.json":     "{}",
		dir + "evil\x1b[2J.txt":   "",
		dir + "sub/deep.sig":      "D",
		"approvals/x":             "",
		"environments/production": "",
	})
	m[dir+"link.sig"] = &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte("a.sig")}
	m[dir+"dir.sig/x"] = &fstest.MapFile{Mode: 0o644}
	m[ApprovalDir("production", "shop", otherDigest)+"/approval.json"] = &fstest.MapFile{Mode: 0o644, Data: []byte(other)}
	e, err := Gather(m, "production", "shop", testDigest)
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Statement) != statement || e.Unreadable != "" || e.TooMany {
		t.Errorf("statement: %q %q %v", e.Statement, e.Unreadable, e.TooMany)
	}
	want := []SignatureFile{{"a.sig", []byte("A")}, {"b.sig", []byte("B")}, {"c.dsse.json", []byte("{}")}, {"c.sigstore.json", []byte("{}")}}
	if d := cmp.Diff(want, e.Signatures); d != "" {
		t.Error(d)
	}
	var ignored []string
	for _, f := range e.Ignored {
		ignored = append(ignored, string(f.Code)+" "+f.Detail)
	}
	wantIgnored := []string{
		"evidence_ignored Approval.json: not a signature file, ignored",
		"malformed_signature big.sig: longer than 16384 bytes",
		"malformed_signature dir.sig: not a plain file",
		`evidence_ignored evil\x1b[2J.txt: not a signature file, ignored`,
		"malformed_signature link.sig: not a plain file",
		"evidence_ignored sub: not a signature file, ignored",
	}
	if d := cmp.Diff(wantIgnored, ignored); d != "" {
		t.Error(d)
	}
	if e.Others != nil {
		t.Errorf("looked for others although there is a statement: %v", e.Others)
	}
}

func TestGatherWithoutStatement(t *testing.T) {
	r := testRelease()
	r.Digest = otherDigest
	good := string(marshal(t, testStatement(t, r)))
	lying := strings.ReplaceAll(string(otherDigest), "1", "2") // holds a statement about another digest
	m := tree(map[string]string{
		"approvals/production/shop/" + string(otherDigest) + "/approval.json":                                    good,
		"approvals/production/shop/" + lying + "/approval.json":                                                  good,
		"approvals/production/shop/" + strings.Repeat("3", 64) + "/a.sig":                                        "",
		"approvals/production/shop/" + strings.Repeat("4", 64) + "/approval.json":                                "{",
		"approvals/production/shop/README":                                                                       "",
		"approvals/production/shop/" + strings.Repeat("5", 64) + "/approval.json/x":                              "",
		"approvals/staging/shop/" + string(otherDigest) + "/approval.json":                                       good,
		"approvals/production/shop/" + strings.ToUpper(strings.ReplaceAll(lying, "2", "a")) + "/approval.json":   good,
		"approvals/production/shop/" + strings.Repeat("6", 64):                                                   "a file",
		"approvals/production/other/" + string(testDigest) + "/approval.json":                                    good,
		"approvals/production/shop/" + strings.Repeat("7", 64) + "/approval.json":                                strings.Repeat(" ", maxStatement+1),
		"approvals/production/shop/" + string(otherDigest) + "/" + string(testDigest) + "/" + "approval.json/ab": "",
	})
	e, err := Gather(m, "production", "shop", testDigest)
	if err != nil {
		t.Fatal(err)
	}
	if e.Statement != nil || e.Unreadable != "" || len(e.Signatures) > 0 {
		t.Errorf("found evidence where there is none: %+v", e)
	}
	if d := cmp.Diff([]Other{{otherDigest, 42}}, e.Others); d != "" {
		t.Error(d)
	}
	if e, err := Gather(tree(nil), "production", "shop", testDigest); err != nil || e.Statement != nil || e.TooMany {
		t.Errorf("an empty tree: %+v, %v", e, err)
	}
	if _, err := Gather(m, "../production", "shop", testDigest); err == nil {
		t.Error("a path for an environment")
	}
	if _, err := Gather(m, "production", "shop", "abc"); err == nil {
		t.Error("no digest")
	}
}

func TestGatherIsBounded(t *testing.T) {
	dir := ApprovalDir("production", "shop", testDigest) + "/"
	for _, c := range []struct {
		files   int
		ext     string
		tooMany bool
	}{{64, ".sig", false}, {65, ".sig", true}, {64, ".txt", false}, {65, ".txt", true}, {5000, ".sig", true}} {
		for _, with := range []bool{true, false} {
			m := fstest.MapFS{}
			for i := range c.files {
				m[fmt.Sprintf("%s%04d%s", dir, i, c.ext)] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644}
			}
			if with {
				m[dir+"approval.json"] = &fstest.MapFile{Data: []byte("{}"), Mode: 0o644}
			}
			e, err := Gather(m, "production", "shop", testDigest)
			if err != nil {
				t.Fatal(err)
			}
			if e.TooMany != c.tooMany {
				t.Errorf("%d %s files, statement %v: too many %v, want %v", c.files, c.ext, with, e.TooMany, c.tooMany)
			}
			if e.TooMany && len(e.Signatures) > 0 {
				t.Error("kept signatures although there are too many")
			}
		}
	}
	m := tree(map[string]string{dir + "approval.json": strings.Repeat(" ", maxStatement+1)})
	if e, err := Gather(m, "production", "shop", testDigest); err != nil || e.Statement != nil || !strings.Contains(e.Unreadable, "longer") {
		t.Errorf("a long statement: %+v, %v", e, err)
	}
	m = fstest.MapFS{dir + "approval.json": {Mode: fs.ModeSymlink | 0o777, Data: []byte("other.json")}, dir + "other.json": {Data: []byte("{}"), Mode: 0o644}}
	if e, err := Gather(m, "production", "shop", testDigest); err != nil || e.Statement != nil || e.Unreadable == "" {
		t.Errorf("a link for a statement: %+v, %v", e, err)
	}
}

// broken is a tree whose objects cannot be read.
type broken struct{ fs.FS }

func (broken) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
}

func TestGatherSaysThatItCouldNotRead(t *testing.T) {
	if _, err := Gather(broken{}, "production", "shop", testDigest); err == nil {
		t.Error("an unreadable tree is no error: it would look like a release without approvals")
	}
}
