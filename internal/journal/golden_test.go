package journal

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata anew")

// golden is the journal of testdata/v1, as this version's first release wrote it.
func golden(t *testing.T, dir string) []Entry {
	j := mustOpenOn(t, dir, Options{segmentSize: 700}, quick{}, tick())
	var want []Entry
	for i, e := range []struct {
		app, kind, data string
		going           Going
	}{
		{"shop", "record", `{"kind":"begin","begin":{"id":"d-1"}}`, Forward},
		{"shop", "record", `{"kind":"intent","intent":{"id":1}}`, Forward},
		{"", "operator", `{"actor":"ann (uid 1000)","verb":"rollback","app":"shop","reason":"checkout <errors>"}`, Back},
		{"", CheckpointKind, `{"shop":{"app":"shop"}}`, Forward},
		{"shop", "record", `{"kind":"settle","settle":{"phase":"live"}}`, Back},
		{"bank", "record", `null`, Forward},
	} {
		var err error
		if e.kind == CheckpointKind {
			err = j.Checkpoint(json.RawMessage(e.data))
			c, _ := j.LastCheckpoint()
			want = append(want, c)
		} else {
			var got Entry
			got, err = j.Append(e.app, e.kind, json.RawMessage(e.data), e.going)
			want = append(want, got)
		}
		if err != nil {
			t.Fatalf("entry %d: %v", i+1, err)
		}
	}
	mustClose(t, j)
	return want
}

// Every later version opens the first one's journal, reads it alike and goes on in it.
// A changed format is a new directory beside it, not a change of this one.
func TestGoldenJournal(t *testing.T) {
	const v1 = "testdata/v1"
	if *update {
		if err := os.RemoveAll(v1); err != nil {
			t.Fatal(err)
		}
		fresh := filepath.Join(t.TempDir(), "j")
		golden(t, fresh)
		if err := os.MkdirAll(v1, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range segmentsOf(t, fresh) {
			write(t, filepath.Join(v1, filepath.Base(name)), read(t, name))
		}
	}
	stored := segmentsOf(t, v1)
	if len(stored) < 2 {
		t.Fatalf("%d segments in %s", len(stored), v1)
	}
	dir := t.TempDir() + "/j" // Git keeps no private modes
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range stored {
		write(t, filepath.Join(dir, filepath.Base(name)), read(t, name))
	}
	fresh := t.TempDir() + "/j"
	want := golden(t, fresh)
	j := mustOpenOn(t, dir, Options{}, quick{}, func() time.Time { return time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC) })
	same(t, "entries of the first format", want, all(t, j, 0))
	c, ok := j.LastCheckpoint()
	if !ok || c.Seq != 4 {
		t.Fatalf("checkpoint %v", c)
	}
	mustAppend(t, j, "shop", 7)
	mustClose(t, j)
	mustOpen(t, dir, Options{})

	// This version still writes it byte for byte; drop this half with the next format.
	for i, name := range segmentsOf(t, fresh) {
		if diff := cmp.Diff(string(read(t, stored[i])), string(read(t, name))); diff != "" {
			t.Errorf("%s is written otherwise now (-stored +now):\n%s", filepath.Base(name), diff)
		}
	}
}
