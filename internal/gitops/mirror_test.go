package gitops

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/release"
)

// mirrored is a repository at three addresses: the first, and two mirrors with copies of
// their own that are updated by hand.
type mirrored struct {
	*origin
	servers [3]*httptest.Server
	copies  [3]string
	down    [3]atomic.Bool
	slow    [3]atomic.Bool
	asked   [3]atomic.Int32
	moves   []string
	clock   time.Duration
}

func newMirrored(t *testing.T) (*mirrored, *Repo) {
	t.Helper()
	m := &mirrored{origin: newOrigin(t)}
	m.copies[0] = m.bare
	for i := range m.servers {
		if i > 0 {
			m.copies[i] = filepath.Join(t.TempDir(), "origin.git")
			run(t, m.work, nil, "clone", "-q", "--mirror", m.bare, m.copies[i])
		}
		backend := (&origin{t: t, bare: m.copies[i], work: m.work}).backend()
		end := make(chan struct{})
		m.servers[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			m.asked[i].Add(1)
			switch {
			case m.down[i].Load():
				http.Error(w, "down", http.StatusServiceUnavailable)
			case m.slow[i].Load():
				select {
				case <-end:
				case <-req.Context().Done():
				}
			default:
				backend.ServeHTTP(w, req)
			}
		}))
		t.Cleanup(m.servers[i].Close)
		t.Cleanup(func() { close(end) })
	}
	cfg := m.config()
	cfg.URL = m.url(0)
	cfg.Timeout = 5 * time.Second
	cfg.Mirrors = []Mirror{{URL: m.url(1)}, {URL: m.url(2)}}
	cfg.Moved = func(was, now, why string) { m.moves = append(m.moves, m.short(was)+"→"+m.short(now)) }
	r := open(t, cfg)
	began := time.Now()
	r.now = func() time.Time { return began.Add(m.clock) }
	return m, r
}

func (m *mirrored) url(i int) string { return m.servers[i].URL + "/origin.git" }

func (m *mirrored) short(url string) string {
	for i := range m.servers {
		if url == m.url(i) {
			return string(rune('0' + i))
		}
	}
	return url
}

func (m *mirrored) update(i int) {
	m.t.Helper()
	run(m.t, m.copies[i], nil, "fetch", "-q", "--force", m.bare, "+refs/*:refs/*")
}

func (m *mirrored) wantMoves(want string) {
	m.t.Helper()
	if got := strings.Join(m.moves, " "); got != want {
		m.t.Errorf("moves %q, want %q", got, want)
	}
}

// inUse is the place that the status names.
func inUse(r *Repo) int {
	for i, p := range r.Status().Places {
		if p.InUse {
			return i
		}
	}
	return -1
}

// The first address is used while it answers; then the mirrors in their order; and the
// first again when it is back, after a rest.
func TestMirrorsTakeOver(t *testing.T) {
	m, r := newMirrored(t)
	a := m.git("rev-parse", "HEAD")
	syncOK(t, r)
	wantHead(t, r, a)
	if inUse(r) != 0 || m.asked[1].Load() != 0 {
		t.Errorf("uses %d, asked the mirror %d times", inUse(r), m.asked[1].Load())
	}
	m.down[0].Store(true)
	b := m.commit("B")
	m.update(1)
	m.update(2)
	st := syncOK(t, r)
	wantHead(t, r, b)
	if inUse(r) != 1 || st.Places[0].Code != release.RepoUnreachable || !strings.Contains(st.Places[0].Detail, "503") {
		t.Errorf("places %+v", st.Places)
	}
	// While it rests, the first is not asked.
	before := m.asked[0].Load()
	syncOK(t, r)
	if n := m.asked[0].Load() - before; n != 0 {
		t.Errorf("the first is asked %d times while it rests", n)
	}
	m.down[1].Store(true)
	syncOK(t, r)
	if inUse(r) != 2 {
		t.Errorf("uses %d", inUse(r))
	}
	m.down[0].Store(false)
	m.clock += time.Minute
	c := m.commit("C")
	syncOK(t, r)
	wantHead(t, r, c)
	if inUse(r) != 0 {
		t.Errorf("uses %d", inUse(r))
	}
	m.wantMoves("0→1 1→2 2→0")

	for i := range m.down {
		m.down[i].Store(true)
	}
	m.clock += time.Hour
	if st := syncCode(t, r, release.RepoUnreachable); st.Head != c || !strings.Contains(st.Detail, "503") {
		t.Errorf("all down: %+v", st)
	}
}

// A first address that hangs costs its timeout once, not at each look.
func TestMirrorOfASlowServer(t *testing.T) {
	m, r := newMirrored(t)
	r.cfg.Timeout = time.Second
	for _, p := range r.places {
		p.source.(*httpSource).cfg.Timeout = 30 * time.Second // its own must not be what ends it
	}
	m.slow[0].Store(true)
	syncOK(t, r)
	if inUse(r) != 1 {
		t.Errorf("uses %d", inUse(r))
	}
	before := m.asked[0].Load()
	for range 5 {
		syncOK(t, r)
	}
	if n := m.asked[0].Load() - before; n != 0 {
		t.Errorf("the slow one is asked %d times while it rests", n)
	}
}

// A mirror that lags is no rewrite: nothing is taken from it, the next is asked, and it
// is used once it has caught up.
func TestMirrorLags(t *testing.T) {
	m, r := newMirrored(t)
	b := m.commit("B")
	syncOK(t, r) // from the first: the mirrors have only A
	m.down[0].Store(true)
	st := syncCode(t, r, release.MirrorBehind)
	wantHead(t, r, b)
	if st.Places[1].Code != release.MirrorBehind || st.Places[2].Code != release.MirrorBehind {
		t.Errorf("places %+v", st.Places)
	}
	m.update(2)
	syncOK(t, r)
	if inUse(r) != 2 {
		t.Errorf("uses %d: %+v", inUse(r), r.Status().Places)
	}
	c := m.commit("C")
	m.update(1)
	syncOK(t, r)
	wantHead(t, r, c)
	m.wantMoves("0→1 1→2 2→1")

	// With the clone lost as well there is nothing to compare with: still no rewrite.
	m.down[1].Store(true)
	m.clock += time.Hour
	eachFile(t, r.clonePath(), "objects/pack/*.pack", blank)
	syncCode(t, r, release.MirrorBehind)
	m.update(2)
	syncOK(t, r)
	wantHead(t, r, c)
}

// A mirror that lacks a tag or a branch, which a pattern found at the first address, is
// behind: else the older version would win while the first is down. Only the first takes
// a ref away.
func TestMirrorWithoutTheNewestRef(t *testing.T) {
	m, r := newMirrored(t)
	cfg := r.cfg
	cfg.Follow, cfg.Branch, cfg.Evidence = []Follow{{Semver: "v*.*.*"}, {Branches: "phase-*"}}, "", "main"
	cfg.Dir = filepath.Join(t.TempDir(), "git")
	r = open(t, cfg)
	a := m.git("rev-parse", "HEAD")
	m.git("tag", "v1.0.0")
	m.push("v1.0.0")
	m.update(1)
	m.update(2)
	b := m.branch("phase-2", "note", "2")
	m.git("tag", "v1.1.0")
	m.push("v1.1.0")
	all := []string{"refs/tags/v1.1.0 " + b, "refs/tags/v1.0.0 " + a, "refs/heads/phase-2 " + b}
	syncOK(t, r)
	wantRefs(t, r, all...)

	m.down[0].Store(true)
	for range 2 {
		st := syncCode(t, r, release.MirrorBehind)
		if got := following(r); len(got) != 3 || !slices.Contains(got, all[0]) || !slices.Contains(got, all[2]) {
			t.Fatalf("followed: %v", got)
		}
		if st.Places[1].Code != release.MirrorBehind || !strings.Contains(st.Places[1].Detail, "v1.1.0") {
			t.Errorf("places %+v", st.Places)
		}
	}
	m.update(2)
	syncOK(t, r)
	wantRefs(t, r, all...)

	m.down[0].Store(false)
	m.clock += time.Hour
	r.now = func() time.Time { return time.Now().Add(m.clock) }
	m.push(":refs/tags/v1.1.0", ":refs/heads/phase-2")
	syncOK(t, r)
	wantRefs(t, r, all[1])
}

// A mirror that rewrites history is refused, also when it is the only one that answers,
// and an honest one after it is used.
func TestMirrorLies(t *testing.T) {
	m, r := newMirrored(t)
	a := m.git("rev-parse", "HEAD")
	b := m.commit("B")
	syncOK(t, r)
	m.git("checkout", "-q", "--detach", a)
	m.git("commit", "-q", "--allow-empty", "-m", "lie")
	m.git("push", "-q", "-f", m.copies[1], "HEAD:refs/heads/main")
	m.git("checkout", "-q", "main")
	m.down[0].Store(true)
	m.down[2].Store(true)
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, b)
	m.down[2].Store(false)
	m.update(2)
	m.clock += time.Hour
	st := syncOK(t, r)
	wantHead(t, r, b)
	if inUse(r) != 2 || st.Places[1].Code != release.HistoryRewritten {
		t.Errorf("places %+v", st.Places)
	}
	// The first address has the last word, also when what it says is bad.
	m.down[0].Store(false)
	m.git("push", "-q", "-f", m.bare, a+":refs/heads/main")
	m.clock += time.Hour
	syncCode(t, r, release.HistoryRewritten)
	wantHead(t, r, b)
	if inUse(r) != 0 {
		t.Errorf("uses %d", inUse(r))
	}
}

// A first address that comes and goes is asked less and less, so that events do not flood.
func TestMirrorOfAFlappingServer(t *testing.T) {
	m, r := newMirrored(t)
	syncOK(t, r)
	for i := range 240 { // an hour of looks
		m.down[0].Store(i%2 == 0)
		m.clock += 15 * time.Second
		syncOK(t, r)
	}
	if n := len(m.moves); n == 0 || n > 40 {
		t.Errorf("%d moves in an hour", n)
	}
	m.down[0].Store(false)
	m.clock += 2 * retryLast
	for range steady {
		syncOK(t, r)
	}
	if inUse(r) != 0 || r.places[0].failures != 0 {
		t.Errorf("uses %d with %d failures", inUse(r), r.places[0].failures)
	}
}

// What is the first address's own does not travel to a mirror on another host.
func TestCredentialsOfMirrors(t *testing.T) {
	c := Config{URL: "https://git.example.com/a.git", TokenFile: "/token", CAFile: "/ca", Proxy: "http://p:1", Mirrors: []Mirror{{URL: "x"}}}
	for url, want := range map[string]string{
		"https://GIT.example.com/b.git": "/token", "https://mirror.example.com/a.git": "", "https://git.example.com:8443/a.git": "", "http://git.example.com/a.git": "", "git@git.example.com:a.git": "", "/srv/a.git": "",
	} {
		own := c.at(Mirror{URL: url})
		if own.TokenFile != want || own.URL != url || own.Mirrors != nil {
			t.Errorf("%s: %+v", url, own)
		}
		if _, ok := strings.CutPrefix(url, "http"); ok != (own.Proxy != "") || ok != (own.CAFile != "") {
			t.Errorf("%s: %+v", url, own)
		}
	}
	if own := c.at(Mirror{URL: "https://mirror.example.com/a.git", TokenFile: "/own", CAFile: "/other"}); own.TokenFile != "/own" || own.CAFile != "/other" {
		t.Errorf("%+v", own)
	}
	host, _ := newSigner(t)
	s := Config{URL: "git@git.example.com:a.git", KeyFile: "/key", HostKeys: []string{pin(host)}, Dir: "/d", RepoID: testRepoID}
	if own := s.at(Mirror{URL: "git@mirror.example.com:a.git", KnownHostsFile: "/known"}); own.KeyFile != "/key" || own.HostKeys != nil || own.KnownHostsFile != "/known" {
		t.Errorf("%+v", own)
	}
	s.Mirrors = []Mirror{{URL: "https://h/x", TokenFile: "/t"}, {URL: "git@mirror.example.com:a.git"}, {URL: "/srv/x.git"}}
	if err := s.Validate(); err != nil {
		t.Errorf("good mirrors: %v", err)
	}
	s.Mirrors = []Mirror{{URL: "https://ann:hunter2@h/x"}, {URL: "http://h/x", TokenFile: "/t"}, {URL: "/srv/x", KeyFile: "/k"}}
	err := s.Validate()
	for _, says := range []string{"mirrors[0]: url: holds credentials", "mirrors[1]: tokenFile", "mirrors[2]: keyFile"} {
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("does not say %q: %v", says, err)
		}
	}
}
