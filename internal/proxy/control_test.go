package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tealops/teal/internal/vocab"
)

func TestWhoMaySteer(t *testing.T) {
	own := uint32(os.Geteuid())
	const group = 4711
	for _, c := range []struct {
		name  string
		peer  peer
		group uint32
		want  bool
	}{
		{"root", peer{uid: 0, gid: 0}, NoGroup, true},
		{"its own user", peer{uid: own, gid: 9}, NoGroup, true},
		{"another user", peer{uid: own + 1, gid: 9, groups: []uint32{9}}, NoGroup, false},
		{"another user of root's group", peer{uid: own + 1, gid: 0}, NoGroup, false},
		{"by its first group", peer{uid: own + 1, gid: group}, group, true},
		{"by another of its groups", peer{uid: own + 1, gid: 9, groups: []uint32{1, group}}, group, true},
		{"in other groups", peer{uid: own + 1, gid: 9, groups: []uint32{1, group + 1}}, group, false},
		{"a group that is none", peer{uid: own + 1, gid: NoGroup, groups: []uint32{NoGroup}}, NoGroup, false},
	} {
		if got := c.peer.may(c.group); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// dialAs connects as another user, from a thread that ends with it.
func dialAs(t *testing.T, socket string, uid, gid int) (net.Conn, error) {
	t.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	out := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread is not used again
		c, err := func() (net.Conn, error) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			f := os.NewFile(uintptr(fd), "as another user")
			defer f.Close()
			for _, call := range [][2]uintptr{{unix.SYS_SETGROUPS, 0}, {unix.SYS_SETRESGID, uintptr(gid)}, {unix.SYS_SETRESUID, uintptr(uid)}} {
				args := [3]uintptr{call[1], call[1], call[1]}
				if call[0] == unix.SYS_SETGROUPS {
					args = [3]uintptr{}
				}
				if _, _, errno := syscall.RawSyscall(call[0], args[0], args[1], args[2]); errno != 0 { // of this thread alone
					return nil, errno
				}
			}
			if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
				return nil, err
			}
			return net.FileConn(f)
		}()
		out <- result{c, err}
	}()
	r := <-out
	if r.c != nil {
		t.Cleanup(func() { r.c.Close() })
	}
	return r.c, r.err
}

func TestOtherUsersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const group = 4711
	p, err := New(Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(group uint32) string {
		socket := filepath.Join(dir, "c.sock")
		l, err := listenControl(socket, group)
		if err != nil {
			t.Fatal(err)
		}
		s := newServer(p.control(group), p.log)
		s.ConnContext = withPeer
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
		return socket
	}
	ask := func(c net.Conn) string {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET /v1/apps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(c)
		return string(data)
	}

	socket := serve(NoGroup)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	if _, err := dialAs(t, socket, 65534, 65534); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("another user connects: %v", err)
	}
	// The file's mode is not what it rests on.
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := dialAs(t, socket, 65534, 65534)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(c); !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "uid 65534 may not steer the proxy") {
		t.Errorf("another user: %q", got)
	}
	c, err = dialAs(t, socket, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(c); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("root: %q", got)
	}

	socket = serve(group)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket of a group: %v %v", info, err)
	}
	c, err = dialAs(t, socket, 65534, group)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(c); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("a member of the group: %q", got)
	}
}

func TestControlRequestsAreReadStrictly(t *testing.T) {
	f := start(t, nil)
	c, err := net.Dial("unix", f.Client.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Write(c); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data)
	}
	for _, want := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/healthz", "", 200, `"ok"`},
		{"GET", "/v1/apps", "", 200, "{}"},
		{"GET", "/v1/apps/shop", "", 404, "unknown_app"},
		{"DELETE", "/v1/apps/shop", "", 404, "unknown_app"},
		{"PUT", "/v1/apps/shop", `{"generation":1,"colour":"blue"}`, 400, "unknown field"},
		{"PUT", "/v1/apps/shop", `{"generation":1} {}`, 400, "something follows"},
		{"PUT", "/v1/apps/shop", `{"generation":-1}`, 400, "bad_request"},
		{"PUT", "/v1/apps/shop", `[]`, 400, "bad_request"},
		{"PUT", "/v1/apps/shop", ``, 400, "bad_request"},
		{"PUT", "/v1/apps/shop", `{"generation":1,"state":"serve"}`, 400, "a colour must be live"},
		{"PUT", "/v1/apps/Sh%20op", `{"generation":1,"live":"blue","state":"serve"}`, 400, "is not the name of an app"},
		{"POST", "/v1/apps/shop", ``, 405, ""},
		{"GET", "/v2/apps", ``, 404, ""},
		{"POST", "/v1/apps/shop/drain", `{"colour":"blue","http":"5","websocket":"1s"}`, 400, "with units"},
		{"POST", "/v1/apps/shop/drain", `{"colour":"blue","http":"-5s","websocket":"1s"}`, 400, "http"},
		{"POST", "/v1/apps/shop/drain", `{"colour":"blue","http":"5s","websocket":"25h"}`, 400, "websocket"},
		{"GET", "/v1/events?since=x", "", 400, "since"},
		{"PUT", "/v1/apps/shop", `{"generation":1,"live":"blue","state":"serve","targets":{"blue":{"web":["127.0.0.1:1"]}},"routes":[{"host":"a.test","path":"/","service":"web"}]}`, 200, "switchedAt"},
		{"GET", "/v1/apps/shop", "", 200, `"live":"blue"`},
	} {
		status, body := ask(want.method, want.path, want.body)
		if status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%s %s %s: %d %q, want %d with %q", want.method, want.path, want.body, status, body, want.status, want.text)
		}
	}
	status, body := ask("PUT", "/v1/apps/shop", string(bytes.Repeat([]byte(" "), maxConfig+1)))
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d %q", status, body)
	}
}

func TestClientSeesWhatTheProxySays(t *testing.T) {
	f := start(t, nil)
	at := target(t, says("x"))
	app := config(3, vocab.Blue, blue(at))
	app.Releases = map[vocab.Colour]string{vocab.Blue: "v1"}
	f.put("shop", app)
	f.get("/")
	apps, err := f.Client.Apps(t.Context())
	if err != nil || len(apps) != 1 {
		t.Fatalf("%v %v", apps, err)
	}
	one, err := f.Client.App(t.Context(), "shop")
	if err != nil || !one.App.normal().equal(app.normal()) || !one.Durable || one.Colours[vocab.Blue].Requests != 1 || one.SwitchedAt.IsZero() {
		t.Errorf("%+v %v", one, err)
	}
	if err := f.Client.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := f.Client.App(t.Context(), "other"); !errors.Is(err, ErrUnknownApp) {
		t.Error(err)
	}
	if _, err := f.Client.App(t.Context(), "../events"); err == nil {
		t.Error("a name walks out of its place")
	}
}
