package gitops

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// A look asks for what is followed: its answer has the same size with hundreds of other
// refs, on one connection that is kept. A server that speaks no protocol 2 is asked in the
// old way and gives the same.
func TestListsOnlyWhatIsFollowed(t *testing.T) {
	o := newOrigin(t)
	a := o.git("rev-parse", "HEAD")
	o.git("tag", "-a", "-m", "one", "v1.0.0")
	o.push("v1.0.0")
	var answers []int
	var mu sync.Mutex
	var old atomic.Bool
	requests := &counting{}
	handler := requests.wrap(o.backend())
	dialled := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if old.Load() {
			q.Header.Del("Git-Protocol")
		}
		rec := &sized{ResponseWriter: w}
		handler.ServeHTTP(rec, q)
		mu.Lock()
		answers = append(answers, rec.n)
		mu.Unlock()
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			dialled++
			mu.Unlock()
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	last := func() int {
		mu.Lock()
		defer mu.Unlock()
		return answers[len(answers)-1]
	}
	cfg := o.config()
	cfg.URL = srv.URL + "/" + filepath.Base(o.bare)
	cfg.Follow, cfg.Evidence = []Follow{{Branch: "main"}, {Semver: "v1.*.*"}, {Branches: "phase-*/**"}}, "main"
	r := open(t, cfg)
	syncOK(t, r)
	want := []string{"refs/heads/main " + a, "refs/tags/v1.0.0 " + a}
	wantRefs(t, r, want...)
	requests.take()
	syncOK(t, r)
	few := last()
	var input strings.Builder
	for i := range 500 {
		fmt.Fprintf(&input, "create refs/heads/other/%03d %s\ncreate refs/pull/%03d/head %s\n", i, a, i, a)
	}
	run(t, o.bare, []byte(input.String()), "update-ref", "--stdin")
	mu.Lock()
	dialled = 0
	mu.Unlock()
	requests.take()
	for range 3 {
		syncOK(t, r)
	}
	if got := requests.take(); got != "POST /git-upload-pack, POST /git-upload-pack, POST /git-upload-pack" {
		t.Errorf("three looks: %s", got)
	}
	if got := last(); got != few {
		t.Errorf("an answer of %d bytes with 1,000 other refs, %d without", got, few)
	}
	mu.Lock()
	if dialled > 0 {
		t.Errorf("%d connections for three looks", dialled)
	}
	mu.Unlock()

	old.Store(true)
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	r = open(t, cfg)
	syncOK(t, r)
	wantRefs(t, r, want...)
	requests.take()
	syncOK(t, r)
	if got := requests.take(); got != "GET /info/refs" {
		t.Errorf("a look at a server of protocol 0: %s", got)
	}
}

// sized counts what an answer's body has.
type sized struct {
	http.ResponseWriter
	n int
}

func (s *sized) Write(p []byte) (int, error) {
	s.n += len(p)
	return s.ResponseWriter.Write(p)
}

// Whatever a server sends as a list is a list or an error, and takes no more than it sent.
func FuzzPackets(f *testing.F) {
	f.Add([]byte("0032" + strings.Repeat("a", 40) + " refs/h\n0000"))
	f.Add([]byte("0008ERR x0000"))
	f.Add([]byte("ffff"))
	f.Add([]byte("zzzz"))
	f.Add([]byte("00010002000300040000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := advertised{make(map[string]plumbing.Hash), make(map[string]plumbing.Hash)}
		read := 0
		err := packets(bytes.NewReader(data), func(line string, flush bool) error {
			read += len(line)
			if flush {
				return nil
			}
			return a.noteLine(line)
		})
		if read > len(data) {
			t.Fatalf("%d bytes of lines in %d bytes", read, len(data))
		}
		if err != nil && plain(err.Error(), 1000) != err.Error() {
			t.Fatalf("not printable: %q", err)
		}
		if _, err := a.tips(context.Background(), ask{exact: []string{"refs/heads/main"}, prefixes: []string{"refs/tags/"}}); err != nil {
			t.Fatal(err)
		}
	})
}
