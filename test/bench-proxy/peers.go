package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tealops/teal/internal/proxy"
	"github.com/tealops/teal/internal/release"
)

// The names of what is measured, and the order of the tables.
const (
	direct  = "direct"  // no proxy
	teal    = "teal"    // cmd/proxy
	nginx   = "nginx"   //
	haproxy = "haproxy" //
	caddy   = "caddy"   //
	reverse = "reverse" // httputil.ReverseProxy, tuned: what Go's own library gives
)

var everyone = []string{direct, teal, nginx, haproxy, caddy, reverse}

// errNotThere is why a proxy is not in a row: it cannot do that yet.
var errNotThere = errors.New("not there yet")

// setting is what a proxy is started with.
type setting struct {
	dir     string // of its own, made by start
	backend string // ip:port
	files   int    // limit of open files
	clients int    // connections at once that it must take
	tcp     bool   // relay bytes, know nothing of HTTP
	teal    string // path of teal-proxy
}

// contestant is a proxy that runs.
type contestant struct {
	name    string
	address string
	process *process // nil: direct
}

// launch starts a proxy and waits until it takes connections.
func launch(ctx context.Context, name string, s setting) (c *contestant, err error) {
	if name == direct {
		return &contestant{name: name, address: s.backend}, nil
	}
	if err := os.MkdirAll(s.dir, 0o711); err != nil { // nginx's workers are another user's
		return nil, err
	}
	c = &contestant{name: name}
	if c.address, err = freeAddress(); err != nil {
		return nil, err
	}
	begin := map[string]func(*contestant, setting) error{teal: startTeal, nginx: startNginx, haproxy: startHAProxy, caddy: startCaddy, reverse: startReverse}[name]
	if begin == nil {
		return nil, fmt.Errorf("%q is nobody that this program measures; it knows %s", name, strings.Join(everyone, ", "))
	}
	if err := begin(c, s); err != nil {
		return nil, err
	}
	if err = c.process.await(ctx, c.address); err == nil && name == teal {
		err = routeTeal(ctx, s)
	}
	if err != nil {
		c.process.stop()
		return nil, err
	}
	return c, nil
}

// app is the one that teal-proxy serves.
const app = "bench"

func startTeal(c *contestant, s setting) (err error) {
	if s.tcp {
		return errNotThere // teal-proxy has no TCP routes; whoever adds them configures one here
	}
	state := filepath.Join(s.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	c.process, err = start(s.dir, teal, false, nil, s.teal, "-listen", c.address, "-control", tealSocket(s), "-state", state)
	return err
}

func tealSocket(s setting) string { return filepath.Join(s.dir, "control.sock") }

// routeTeal gives the proxy its route, as the agent does: with counters, and with a
// watch over bursts.
func routeTeal(ctx context.Context, s setting) error {
	_, err := proxy.Dial(tealSocket(s)).Put(ctx, app, proxy.App{
		Generation: 1,
		Live:       release.Blue,
		Targets:    map[release.Colour]map[string][]string{release.Blue: {"web": {s.backend}}},
		Routes:     []proxy.Route{{Host: host, Service: "web"}},
		Burst:      &proxy.Burst{Errors: 0.5, Requests: 100},
	})
	return err
}

// Only Debian's own packages are asked for, so only their forms of configuration are
// written. What is not mentioned is as Debian's binary has it by default.

func startNginx(c *contestant, s setting) (err error) {
	if s.tcp {
		return errNotThere // Debian's nginx-light has no stream module
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the workers keep their temporary files in a directory of ours
	}
	config := fmt.Sprintf(`%s
worker_processes %d;
daemon off;
pid %[3]s/nginx.pid;
error_log stderr warn;
events { worker_connections %[4]d; }
http {
    access_log off;
    server_tokens off;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path %[3]s/body;
    proxy_temp_path %[3]s/proxy;
    fastcgi_temp_path %[3]s/fastcgi;
    uwsgi_temp_path %[3]s/uwsgi;
    scgi_temp_path %[3]s/scgi;
    upstream backend {
        server %[5]s;
        keepalive 512;
        keepalive_requests 1000000000;
    }
    server {
        listen %[6]s;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
        }
    }
}
`, user, runtime.NumCPU(), s.dir, nginxConnections(s), s.backend, c.address)
	return c.configured(s, nginx, config, func(file string) []string {
		return []string{"-p", s.dir, "-e", "stderr", "-c", file}
	})
}

// nginxConnections is per worker. Memory is compared, and a table of connections is most
// of nginx's, so all three can hold the same number of clients: what HAProxy and teal
// are given, each with a connection to the backend, over the workers. One worker may
// get all clients of a row.
func nginxConnections(s setting) int { return max(2*s.clients+64, 2*s.haproxyConns()/runtime.NumCPU()) }

// haproxyConns is far more than any row needs: HAProxy closes idle connections to the
// backend when a quarter of the descriptors that this gives it is in use. It does not
// start with more than somewhat below half of those that it may have.
func (s setting) haproxyConns() int { return min(15_000, s.files/3) }

func startHAProxy(c *contestant, s setting) error {
	config := fmt.Sprintf(`global
    nbthread %d
    maxconn %d
defaults
    timeout connect 3s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive 75s
`, runtime.NumCPU(), s.haproxyConns())
	if s.tcp {
		config += fmt.Sprintf(`listen front
    mode tcp
    option splice-response
    bind %s
    server backend %s
`, c.address, s.backend)
	} else {
		config += fmt.Sprintf(`listen front
    mode http
    bind %s
    option http-keep-alive
    http-reuse always
    option forwardfor
    http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
    http-request set-header X-Forwarded-Proto http
    unique-id-format %%{+X}o\ %%ci:%%cp_%%fi:%%fp_%%Ts_%%rt:%%pid
    unique-id-header X-Request-Id
    server backend %s
`, c.address, s.backend)
	}
	return c.configured(s, haproxy, config, func(file string) []string { return []string{"-db", "-f", file} })
}

func startCaddy(c *contestant, s setting) error {
	if s.tcp {
		return errNotThere // Debian's Caddy has no module for it
	}
	config := fmt.Sprintf(`{
	auto_https off
	admin off
	log {
		output stderr
		level ERROR
	}
}
http://:%s {
	bind 127.0.0.1
	reverse_proxy %s {
		header_up X-Request-Id {http.request.uuid}
		transport http {
			versions 1.1
			compression off
			keepalive_idle_conns_per_host 512
		}
	}
}
`, c.address[strings.LastIndexByte(c.address, ':')+1:], s.backend)
	return c.configured(s, caddy, config, func(file string) []string {
		return []string{"run", "--adapter", "caddyfile", "--config", file}
	}, "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir)
}

// configured starts a program with a configuration file.
func (c *contestant) configured(s setting, name, config string, args func(file string) []string, env ...string) error {
	path, err := installed(name)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, name+".conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	c.process, err = start(s.dir, name, false, env, path, args(file)...)
	return err
}

// installed finds a peer, in the directories of root as well.
func installed(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + name
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed: run make peers as root on Debian, or leave it out with -proxies", name)
	}
	return path, nil
}

// about is the version of a peer and what matters of its settings.
func about(name string, s setting) string {
	version := func(args ...string) string {
		path := s.teal
		if name != teal {
			path, _ = installed(name) // launch has said so
		}
		out, err := exec.Command(path, args...).CombinedOutput()
		if err != nil {
			return "unknown version"
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	cores := runtime.NumCPU()
	switch name {
	case teal:
		return version("-version") + fmt.Sprintf("; GOMAXPROCS %s; counters and burst watch on", procs())
	case nginx:
		return version("-v") + fmt.Sprintf("; worker_processes %d; worker_connections %d; upstream keepalive 512; default proxy buffers", cores, nginxConnections(s))
	case haproxy:
		if s.tcp {
			return version("-v") + fmt.Sprintf("; mode tcp; option splice-response; nbthread %d; maxconn %d", cores, s.haproxyConns())
		}
		return version("-v") + fmt.Sprintf("; nbthread %d; maxconn %d; http-reuse always", cores, s.haproxyConns())
	case caddy:
		return version("version") + fmt.Sprintf("; GOMAXPROCS %s; keepalive_idle_conns_per_host 512", procs())
	case reverse:
		return runtime.Version() + fmt.Sprintf(" httputil.ReverseProxy; GOMAXPROCS %s; %d idle connections, pooled buffers, no compression", procs(), reverseIdle)
	}
	return "no proxy"
}

func procs() string {
	if v := os.Getenv("GOMAXPROCS"); v != "" {
		return v
	}
	return fmt.Sprint(runtime.NumCPU())
}
