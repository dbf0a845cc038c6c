package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/release"
)

// TestMain lets this binary be the backend and the client, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := child(os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := func() int {
		defer func() { _ = os.RemoveAll(built) }() // of the system's temporary directory; "" is nothing
		return m.Run()
	}()
	os.Exit(code)
}

var built string // the directory of the binary that the tests share

// binary is teal-proxy, built once.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if built, err = os.MkdirTemp("", "teal-bench-proxy-test-"); err != nil {
		return "", err
	}
	file := filepath.Join(built, "teal-proxy")
	if out, err := exec.Command("go", "build", "-o", file, "github.com/tealops/teal/cmd/proxy").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build teal-proxy: %w\n%s", err, out)
	}
	return file, nil
})

// smoke opens a bench for teal-proxy alone.
func smoke(t *testing.T, only string) *bench {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse([]string{"-teal", bin, "-proxies", teal, "-only", only, "-rounds", "1", "-seconds", "0.3", "-warm", "30ms", "-idle", "100"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(t.Context(), c, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// One short run against teal-proxy: the client, the backend and the proxy's own counters
// must have seen the same requests.
func TestTheHarnessCountsWhatTheBackendCounted(t *testing.T) {
	b := smoke(t, "small-32,large,post")
	field, err := b.launchAll(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.rows {
		if err := b.measure(t.Context(), r, field[0]); err != nil {
			t.Fatal(err)
		}
		s := b.results.samples[cell{r.name, teal}]
		if len(s) != 1 || s[0][rate] <= 0 || s[0][cpu] <= 0 || s[0][p50] <= 0 || s[0][p99] < s[0][p50] {
			t.Errorf("%s: %v", r.name, s)
		}
	}
	answered, bad, err := b.counts(t.Context())
	if err != nil || answered == 0 || bad != 0 {
		t.Fatalf("the backend counted %d and %d bad ones: %v", answered, bad, err)
	}
	control := proxy.Dial(tealSocket(b.setting("http-"+teal, 0, false)))
	var counted uint64
	for range 100 { // it counts a request when its handler returns, after the client has the answer
		status, err := control.App(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		if counted = status.Colours[release.Blue].Requests; counted == uint64(answered) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if counted != uint64(answered) {
		t.Errorf("teal-proxy counted %d requests, the backend %d", counted, answered)
	}

	// One answer that the backend did not give, and one request that is none of ours.
	if err := b.agree(t.Context(), "x", outcome{Right: 1}, answered, bad); err == nil || !strings.Contains(err.Error(), "the backend gave 0") {
		t.Errorf("one answer too many: %v", err)
	}
	if err := b.agree(t.Context(), "x", outcome{Errors: 1, First: "broken"}, answered, bad); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("one error: %v", err)
	}
	c, err := net.Dial("tcp4", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the backend answered %d bytes to a request that is none", n)
	}
	if err := b.agree(t.Context(), "x", outcome{}, answered, bad); err == nil || !strings.Contains(err.Error(), "did not send") {
		t.Errorf("a request of somebody else: %v", err)
	}
}

func TestIdleConnectionsAreHeldAndUsedAgain(t *testing.T) {
	b := smoke(t, rowIdle)
	before, _, err := b.counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.idle(t.Context(), teal); err != nil {
		t.Fatal(err)
	}
	if after, bad, err := b.counts(t.Context()); err != nil || after-before != 200 || bad != 0 {
		t.Errorf("100 connections used twice: %d answers, %d bad, %v", after-before, bad, err)
	}
}

// A whole run of what teal cannot do yet ends with an error, and says so; none of its
// processes is left.
func TestARunFailsForWhatIsNotThereYet(t *testing.T) {
	c, err := parse([]string{"-teal", os.Args[0], "-proxies", teal, "-only", "tcp", "-rounds", "1"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = run(t.Context(), c, &out)
	if err == nil || err.Error() != "2 bounds do not hold" || strings.Count(out.String(), "not there yet  (bound ≥ 0.95) FAIL") != 2 {
		t.Errorf("%v\n%s", err, &out)
	}
}

// Each wrong answer ends its connection as an error and is not counted.
func TestTheClientCountsErrors(t *testing.T) {
	for name, c := range wrong {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var right atomic.Int64
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() { // two right answers, then the wrong one
					defer conn.Close()
					buf := make([]byte, 4<<10)
					for i := range 3 {
						n, err := conn.Read(buf)
						if err != nil {
							return
						}
						_, mark, err := target(buf[:n])
						if err != nil {
							return
						}
						a := strings.Replace(answer(kindSmall), testMark, string(mark), 1)
						if i == 2 {
							// The changes name the mark of the tests.
							a = strings.Replace(c.change(answer(kindSmall)), testMark, string(mark), 1)
						} else {
							right.Add(1)
						}
						if _, err := conn.Write([]byte(a)); err != nil {
							return
						}
					}
				}()
			}
		}()
		o := (&client{}).run(order{Address: l.Addr().String(), Conns: 3, Kind: string(rune(kindSmall)), Window: 5 * time.Second})
		l.Close()
		if o.Errors != 3 || o.First == "" || o.Right != 6 || right.Load() != 6 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// HAProxy closes kept connections to the backend above a quarter of its descriptors, two
// a connection: a maxconn that just suffices for a row makes it connect for each request.
func TestHAProxyMayKeepItsConnections(t *testing.T) {
	for _, files := range []int{4096, 20_000, 1 << 20} {
		n := setting{files: files}.haproxyConns()
		if used := 2 * mostConns(allRows()); 2*n/4 <= used || 2*n+n/2 > files {
			t.Errorf("%d open files: maxconn %d, of whose %d descriptors a row uses %d", files, n, 2*n, used)
		}
	}
}

// A process knows its children, their CPU time and their memory, and takes them along.
func TestProcessTree(t *testing.T) {
	p, err := start(t.TempDir(), "sh", true, nil, "/bin/sh", "-c", `(while :; do :; done) & echo $!; read x`)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	text, err := p.line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := p.tree()
	if err != nil || len(tree) != 2 || fmt.Sprint(tree[1]) != text {
		t.Fatalf("the tree is %v, the child %s: %v", tree, text, err)
	}
	first, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	last := first
	for range 500 {
		if last, err = p.cpu(); err != nil || last > first+20*time.Millisecond {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || last <= first+20*time.Millisecond {
		t.Errorf("the child is busy, and the tree's time went from %s to %s: %v", first, last, err)
	}
	both, err := p.pss()
	alone, err2 := pssOf(tree[0])
	if err != nil || err2 != nil || both <= alone {
		t.Errorf("the tree has %d bytes, its root %d: %v %v", both, alone, err, err2)
	}
	p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		stat, err := os.ReadFile("/proc/" + text + "/stat")
		if err != nil || slices.Contains(strings.Fields(string(stat)), "Z") { // gone, or waits for init alone
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the child %s outlived stop", text)
}
