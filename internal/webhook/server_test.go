package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	secret  = "0123456789abcdef0123456789abcdef"
	another = "fedcba9876543210fedcba9876543210"
)

// rig is a server on loopback with real TLS.
type rig struct {
	t      *testing.T
	server *Server
	dir    string
	url    string
	addr   string
	client *http.Client
	kicks  atomic.Int32
	log    *lockedBuffer
	skew   atomic.Int64 // of the server's clock, in nanoseconds
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func file(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair writes a certificate for 127.0.0.1 with the given name, and its key.
func pair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	cert, key := pair(t, r.dir, "one")
	cfg := Config{Listen: "127.0.0.1:0", CertFile: cert, KeyFile: key, Kick: func() { r.kicks.Add(1) }, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Follows: func(ref string) bool { return ref == "refs/heads/main" },
		now:     func() time.Time { return time.Now().Add(time.Duration(r.skew.Load())) }}
	for _, k := range []Kind{GitHub, GitLab, Generic} {
		cfg.Senders = append(cfg.Senders, Sender{k, "/hooks/" + string(k), file(t, filepath.Join(r.dir, string(k)), secret+"\n")})
	}
	var err error
	if r.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := r.server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.url = "https://" + r.addr
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	r.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its own certificate
	return r
}

// post sends headers "name: value" and gives the status and the body.
func (r *rig) post(path string, body []byte, headers ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(said)
}

func sign(secret string, parts ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		mac.Write([]byte(p))
	}
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func payload(t *testing.T, kind Kind) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + string(kind) + "-push.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// generic are the headers of a generic hook that is stamped at.
func generic(secret string, at time.Time, body string) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return []string{"X-Teal-Timestamp: " + stamp, "X-Teal-Signature: " + sign(secret, stamp, ".", body)}
}

// What hosting sites send makes the next look come now; what is wrong in any way gets
// the same empty answer and makes nothing come.
func TestWhoIsBelieved(t *testing.T) {
	hub, lab := payload(t, GitHub), payload(t, GitLab)
	other := bytes.ReplaceAll(hub, []byte("refs/heads/main"), []byte("refs/heads/x"))
	now := time.Now()
	for name, c := range map[string]struct {
		path    string
		body    []byte
		headers []string
		status  int
		kicks   int32
		refused Refused
	}{
		"github push":          {"/hooks/github", hub, []string{"X-GitHub-Event: push", "X-Hub-Signature-256: " + sign(secret, string(hub))}, 202, 1, ""},
		"github ping":          {"/hooks/github", []byte(`{"zen":"Design for failure.","hook_id":1}`), []string{"X-Hub-Signature-256: " + sign(secret, `{"zen":"Design for failure.","hook_id":1}`)}, 202, 1, ""},
		"github form":          {"/hooks/github", []byte("payload=%7B%7D"), []string{"X-Hub-Signature-256: " + sign(secret, "payload=%7B%7D")}, 202, 1, ""},
		"github, another ref":  {"/hooks/github", other, []string{"X-Hub-Signature-256: " + sign(secret, string(other))}, 202, 0, ""},
		"github, wrong secret": {"/hooks/github", hub, []string{"X-Hub-Signature-256: " + sign(another, string(hub))}, 404, 0, RefusedSignature},
		"github, other body":   {"/hooks/github", other, []string{"X-Hub-Signature-256: " + sign(secret, string(hub))}, 404, 0, RefusedSignature},
		"github, only SHA-1":   {"/hooks/github", hub, []string{"X-Hub-Signature: sha1=" + strings.Repeat("0", 40)}, 404, 0, RefusedSignature},
		"github, two":          {"/hooks/github", hub, []string{"X-Hub-Signature-256: " + sign(secret, string(hub)), "X-Hub-Signature-256: " + sign(another, string(hub))}, 404, 0, RefusedSignature},
		"github, empty":        {"/hooks/github", hub, []string{"X-Hub-Signature-256: sha256="}, 404, 0, RefusedSignature},
		"gitlab push":          {"/hooks/gitlab", lab, []string{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: " + secret}, 202, 1, ""},
		"gitlab, wrong":        {"/hooks/gitlab", lab, []string{"X-Gitlab-Token: " + another}, 404, 0, RefusedSignature},
		"gitlab, prefix":       {"/hooks/gitlab", lab, []string{"X-Gitlab-Token: " + secret[:16]}, 404, 0, RefusedSignature},
		"gitlab, none":         {"/hooks/gitlab", lab, nil, 404, 0, RefusedSignature},
		"gitlab's at github":   {"/hooks/github", lab, []string{"X-Gitlab-Token: " + secret}, 404, 0, RefusedSignature},
		"generic":              {"/hooks/generic", []byte(`{"ref":"refs/heads/main"}`), generic(secret, now, `{"ref":"refs/heads/main"}`), 202, 1, ""},
		"generic, no body":     {"/hooks/generic", nil, generic(secret, now, ""), 202, 1, ""},
		"generic, old":         {"/hooks/generic", nil, generic(secret, now.Add(-timeWindow-time.Minute), ""), 404, 0, RefusedTimestamp},
		"generic, ahead":       {"/hooks/generic", nil, generic(secret, now.Add(timeWindow+time.Minute), ""), 404, 0, RefusedTimestamp},
		"generic, wrong":       {"/hooks/generic", nil, generic(another, now, ""), 404, 0, RefusedSignature},
		"generic, other stamp": {"/hooks/generic", nil, []string{"X-Teal-Timestamp: " + strconv.FormatInt(now.Unix(), 10), generic(secret, now.Add(time.Second), "")[1]}, 404, 0, RefusedSignature},
		"nowhere":              {"/", hub, []string{"X-Hub-Signature-256: " + sign(secret, string(hub))}, 404, 0, RefusedPath},
		"too large":            {"/hooks/gitlab", make([]byte, bodyMax+1), []string{"X-Gitlab-Token: " + secret}, 404, 0, RefusedBody},
		"as large as may be":   {"/hooks/gitlab", make([]byte, bodyMax), []string{"X-Gitlab-Token: " + secret}, 202, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			status, said := r.post(c.path, c.body, c.headers...)
			if status != c.status || said != "" || r.kicks.Load() != c.kicks {
				t.Errorf("answer %d %q, %d kicks; want %d, %d", status, said, r.kicks.Load(), c.status, c.kicks)
			}
			st := r.server.Stats()
			if c.refused != "" && (st.Refused[c.refused] != 1 || !st.Last.IsZero() || !strings.Contains(r.log.String(), "reason="+string(c.refused))) {
				t.Errorf("stats %+v, log %s", st, r.log)
			}
			if c.refused == "" && (len(st.Refused) != 0 || st.Last.IsZero() || st.Accepted != uint64(c.kicks)) {
				t.Errorf("stats %+v", st)
			}
			for _, word := range []string{secret, another, "refs/heads", "ann@example.com", "sha256="} {
				if strings.Contains(r.log.String(), word) {
					t.Errorf("the log repeats %q: %s", word, r.log)
				}
			}
		})
	}
}

func TestGetIsRefused(t *testing.T) {
	r := newRig(t)
	res, err := r.client.Get(r.url + "/hooks/github")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 404 || r.server.Stats().Refused[RefusedMethod] != 1 {
		t.Errorf("answer %d, %+v", res.StatusCode, r.server.Stats())
	}
}

// The same generic hook is taken once, as long as its stamp is good; and a flood of good
// ones does not fill the memory.
func TestReplay(t *testing.T) {
	r := newRig(t)
	h := generic(secret, time.Now(), "")
	for i, want := range []int{202, 404, 404} {
		if got, _ := r.post("/hooks/generic", nil, h...); got != want {
			t.Errorf("time %d: %d", i, got)
		}
	}
	if st := r.server.Stats(); st.Refused[RefusedReplay] != 2 || r.kicks.Load() != 1 {
		t.Errorf("%+v, %d kicks", st, r.kicks.Load())
	}
	// Its stamp is too old before it is forgotten.
	r.skew.Store(int64(2*timeWindow + time.Minute))
	if got, _ := r.post("/hooks/generic", nil, h...); got != 404 {
		t.Errorf("later: %d", got)
	}
	now := time.Now()
	for i := range replaysMax + 10 {
		var key [sha256.Size]byte
		key[0], key[1] = byte(i), byte(i>>8)
		r.server.first(key, now)
	}
	if n := len(r.server.taken); n > replaysMax {
		t.Errorf("%d are remembered", n)
	}
	if !r.server.first([sha256.Size]byte{9, 9, 9}, now.Add(time.Hour)) {
		t.Error("old ones are never forgotten")
	}
}

// Both secrets of a file work while one takes the place of the other; a file that cannot
// be used refuses, loudly.
func TestSecretsRotate(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.dir, "gitlab")
	ask := func(token string) int {
		status, _ := r.post("/hooks/gitlab", nil, "X-Gitlab-Token: "+token)
		return status
	}
	if ask(secret) != 202 || ask(another) != 404 {
		t.Error("before")
	}
	file(t, path, secret+"\n"+another+"\n")
	if ask(secret) != 202 || ask(another) != 202 {
		t.Error("while rotating")
	}
	file(t, path, another)
	if ask(secret) != 404 || ask(another) != 202 {
		t.Error("after")
	}
	for _, text := range []string{"", "short", secret + "\n" + another + "\n" + secret, strings.Repeat("x", 300)} {
		file(t, path, text)
		if ask(secret) != 404 || ask(strings.ReplaceAll(text, "\n", "")) != 404 {
			t.Errorf("%q is believed", text)
		}
	}
	file(t, path, secret)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if ask(secret) != 404 || !strings.Contains(r.log.String(), "reason=secret") {
		t.Errorf("an open file is used: %s", r.log)
	}
}

// A certificate that is replaced is served without a restart; one that cannot be used
// leaves the old one.
func TestCertificateReloads(t *testing.T) {
	r := newRig(t)
	name := func() string {
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its name is what is looked at
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "one" {
		t.Fatalf("first %s", got)
	}
	pair(t, r.dir, "two")
	r.skew.Store(int64(time.Minute))
	if got := name(); got != "two" {
		t.Errorf("after a change %s", got)
	}
	file(t, filepath.Join(r.dir, "cert.pem"), "broken")
	r.skew.Store(int64(2 * time.Minute))
	if got := name(); got != "two" || !strings.Contains(r.log.String(), "not taken") {
		t.Errorf("after a broken change %s: %s", got, r.log)
	}
}

// One source that asks too often waits, and does not make the others wait; all together
// are bounded too.
func TestRates(t *testing.T) {
	var l limiter
	now := time.Now()
	ask := func(addr string, times int) (allowed int) {
		for range times {
			if l.allow(netip.MustParseAddr(addr), now) {
				allowed++
			}
		}
		return allowed
	}
	if n := ask("192.0.2.1", 1000); n != sourceBurst {
		t.Errorf("a source may ask %d times", n)
	}
	if n := ask("192.0.2.2", 5); n != 5 {
		t.Errorf("another may ask %d times", n)
	}
	if n := ask("::ffff:192.0.2.1", 1); n != 0 {
		t.Error("its mapped address is another source")
	}
	if n := ask("2001:db8::1", 15) + ask("2001:db8::2", 15); n != sourceBurst {
		t.Errorf("a /64 may ask %d times", n)
	}
	now = now.Add(10 * sourceEvery)
	if n := ask("192.0.2.1", 100); n != 10 {
		t.Errorf("after a while it may ask %d times", n)
	}
	now = now.Add(time.Hour)
	total := 0
	for i := range 3 * sourcesMax {
		total += ask(fmt.Sprintf("10.%d.%d.1", i>>8, i&255), 1)
	}
	if total != totalBurst || len(l.sources) > sourcesMax {
		t.Errorf("%d of many sources, %d remembered", total, len(l.sources))
	}
	now = now.Add(time.Hour)
	if n := ask("192.0.2.77", 1); n != 1 {
		t.Error("nothing is forgotten")
	}
}

func TestTooFast(t *testing.T) {
	r := newRig(t)
	last := 0
	for range sourceBurst + 1 {
		last, _ = r.post("/hooks/gitlab", nil, "X-Gitlab-Token: "+another)
	}
	if last != 429 || r.server.Stats().Refused[RefusedRate] == 0 {
		t.Errorf("the last answer is %d", last)
	}
	if n := strings.Count(r.log.String(), "reason=signature"); n != 1 {
		t.Errorf("%d lines for one kind of refusal", n)
	}
}

// One that is too fast has to begin anew: it does not hold its connection by asking on.
func TestTooFastLosesItsConnection(t *testing.T) {
	r := newRig(t)
	r.client.Transport.(*http.Transport).DisableKeepAlives = false
	for n := range sourceBurst + 1 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/hooks/gitlab", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Gitlab-Token", secret)
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if fast := n >= sourceBurst; res.Close != fast || fast != (res.StatusCode == 429) {
			t.Fatalf("request %d: %d, closes %v", n+1, res.StatusCode, res.Close)
		}
	}
}

// A client that sends slowly, or nothing, is cut off; what hangs does not keep the others out.
func TestSlowClients(t *testing.T) {
	r := newRig(t)
	dial := func() net.Conn {
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its own certificate
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	head, body := dial(), dial()
	fmt.Fprint(head, "POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\n")
	fmt.Fprint(body, "POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Gitlab-Token: "+secret+"\r\n\r\nx")
	if status, _ := r.post("/hooks/gitlab", nil, "X-Gitlab-Token: "+secret); status != 202 {
		t.Errorf("another client got %d", status)
	}
	if testing.Short() {
		return // the timeouts are real ones
	}
	for name, conn := range map[string]net.Conn{"head": head, "body": body} {
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, bufio.NewReader(conn))
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if r.kicks.Load() != 1 {
		t.Errorf("%d kicks", r.kicks.Load())
	}
}

func TestValidate(t *testing.T) {
	good := Config{Listen: ":7415", CertFile: "/c", KeyFile: "/k", Kick: func() {}, Senders: []Sender{{GitHub, "/hooks/github", "/s"}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	local := good
	local.Listen, local.CertFile, local.KeyFile = "127.0.0.1:7415", "", ""
	if err := local.Validate(); err != nil {
		t.Errorf("loopback without TLS: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no port":      {func(c *Config) { c.Listen = "7415" }, "host:port"},
		"no tls":       {func(c *Config) { c.CertFile, c.KeyFile = "", "" }, "unencrypted"},
		"half of tls":  {func(c *Config) { c.KeyFile = "" }, "together"},
		"relative":     {func(c *Config) { c.CertFile = "c" }, "absolute"},
		"no secret":    {func(c *Config) { c.Senders = nil }, "believed"},
		"kind":         {func(c *Config) { c.Senders = []Sender{{"svn", "/a", "/s"}} }, "svn"},
		"path":         {func(c *Config) { c.Senders = []Sender{{GitHub, "hooks", "/s"}} }, "paths.github"},
		"path up":      {func(c *Config) { c.Senders = []Sender{{GitHub, "/../x", "/s"}} }, "paths.github"},
		"same path":    {func(c *Config) { c.Senders = append(c.Senders, Sender{GitLab, "/hooks/github", "/s"}) }, "too"},
		"secret path":  {func(c *Config) { c.Senders = []Sender{{GitHub, "/a", "s"}} }, "absolute"},
		"nobody cares": {func(c *Config) { c.Kick = nil }, "told"},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "secrets.github") {
		t.Errorf("a missing secret: %v", err)
	}
}

// The bucket fills with time and never beyond its burst.
func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bucket
		for range 3 {
			if !b.take(time.Now(), 3, time.Second) {
				t.Fatal("the burst is not there")
			}
		}
		if b.take(time.Now(), 3, time.Second) {
			t.Error("more than the burst")
		}
		time.Sleep(time.Hour)
		for i := range 4 {
			if got := b.take(time.Now(), 3, time.Second); got != (i < 3) {
				t.Errorf("after an hour, ask %d: %v", i, got)
			}
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(sign(secret, "x"), "1700000000", []byte(`{"ref":"refs/heads/main"}`))
	f.Add("sha256="+strings.Repeat("Z", 64), "-1", []byte(`{"a":[{"ref":"x"}],"ref":"y"}`))
	f.Add("sha1=", "99999999999", []byte(`{"a":{"ref":1},"ref":2}`))
	f.Add("", "", []byte(strings.Repeat("[", 20_000)))
	f.Add("", "٣", []byte(`{"ref":`))
	f.Fuzz(func(t *testing.T, signature, stamp string, body []byte) {
		if sum, ok := parseSignature(signature); ok && !strings.EqualFold(signature, "sha256="+hex.EncodeToString(sum[:])) {
			t.Fatalf("%q reads as %x", signature, sum)
		}
		if at, ok := parseTimestamp(stamp); ok && (at.Unix() < 0 || strings.TrimLeft(stamp, "0") != strings.TrimLeft(strconv.FormatInt(at.Unix(), 10), "0")) {
			t.Fatalf("%q reads as %v", stamp, at)
		}
		if len(pushedRef(body)) > 512 {
			t.Fatal("a long ref")
		}
		// Nobody is believed without the secret.
		h := http.Header{"X-Hub-Signature-256": {signature}, "X-Gitlab-Token": {signature}, "X-Teal-Signature": {signature}, "X-Teal-Timestamp": {stamp}}
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		for _, kind := range []Kind{GitHub, GitLab, Generic} {
			if _, err := believed(kind, h, body, [][]byte{key}, time.Unix(1_700_000_000, 0)); err == nil {
				t.Fatalf("%s believed %q", kind, signature)
			}
		}
	})
}

func TestPushedRef(t *testing.T) {
	for body, want := range map[string]string{
		`{"ref":"refs/heads/main"}`: "refs/heads/main", `{"a":{"ref":"x"},"b":["ref","y",{"ref":"z"}],"ref":"refs/tags/v1"}`: "refs/tags/v1",
		`{"a":"ref","b":1}`: "", `["ref","x"]`: "", `{"ref":5}`: "", `{"ref":{"x":"y"}}`: "", ``: "", `{"ref":"` + strings.Repeat("x", 600) + `"}`: "", `{"a":`: "",
	} {
		if got := pushedRef([]byte(body)); got != want {
			t.Errorf("%.80s: %q", body, got)
		}
	}
	if got := pushedRef(payload(t, GitHub)); got != "refs/heads/main" {
		t.Errorf("github: %q", got)
	}
	if got := pushedRef(payload(t, GitLab)); got != "refs/heads/main" {
		t.Errorf("gitlab: %q", got)
	}
}
