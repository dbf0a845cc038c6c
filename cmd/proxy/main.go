// Command teal-proxy is the data plane of one host: it sends requests to the live
// colour of each app, and moves an app to its other colour when the agent says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tealops/teal/internal/proxy"
)

// version is set by the linker.
var version = "dev"

// Exit codes. exitConfig tells systemd not to restart: nothing changes before a person
// acts.
const (
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78
)

var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what the flags say.
type config struct {
	listen       []string
	share        bool
	control      string
	controlGroup string
	state        string
	empty        bool
	expose       bool
	healthPath   string
	answer       time.Duration
	logLevel     string
	version      bool
}

func parse(args []string, stderr io.Writer) (c config, err error) {
	flags := flag.NewFlagSet("teal-proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("listen", "`host:port` for clients; repeat it or separate several by commas (default: the sockets that systemd passes, else :80)", func(v string) error {
		for address := range strings.SplitSeq(v, ",") {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return err
			}
			c.listen = append(c.listen, address)
		}
		return nil
	})
	flags.BoolVar(&c.share, "share-port", false, "let another teal-proxy of the same user listen on the same addresses, to hand over without a gap")
	flags.StringVar(&c.control, "control", "/run/teal-proxy/main.sock", "`path` of the control socket")
	flags.StringVar(&c.controlGroup, "control-group", "", "`group` whose members may steer the proxy, beside root and its own user")
	flags.StringVar(&c.state, "state", "/var/lib/teal-proxy", "`directory` of the state")
	flags.BoolVar(&c.empty, "accept-empty", false, "start although the state cannot be read: unknown hosts are answered 503 until the agent has put its apps again")
	flags.BoolVar(&c.expose, "expose", false, "name app, release, colour, generation and the time of choice in response headers")
	flags.StringVar(&c.healthPath, "health-path", "", "`path` that the proxy answers itself, for a load balancer in front")
	flags.DurationVar(&c.answer, "answer-timeout", proxy.DefaultAnswerTimeout, "how long an app may think before its answer begins")
	flags.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.BoolVar(&c.version, "version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "teal-proxy sends requests to the live colour of each app on this host.\n\nUsage: teal-proxy [flags]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	var problems []error
	if flags.NArg() > 0 {
		problems = append(problems, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	if _, ok := logLevels[c.logLevel]; !ok {
		problems = append(problems, fmt.Errorf("-log-level: %q is not debug, info, warn or error", c.logLevel))
	}
	if c.healthPath != "" && !strings.HasPrefix(c.healthPath, "/") {
		problems = append(problems, fmt.Errorf("-health-path: %q does not begin with a slash", c.healthPath))
	}
	if c.answer <= 0 {
		problems = append(problems, fmt.Errorf("-answer-timeout: %s is not above zero", c.answer))
	}
	return c, errors.Join(problems...)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "teal-proxy: "+err.Error())
		return exitUsage
	case c.version:
		fmt.Fprintln(stdout, "teal-proxy "+version)
		return 0
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: logLevels[c.logLevel]}))
	if err := serve(ctx, c, log); err != nil {
		fmt.Fprintln(stderr, "teal-proxy: "+err.Error())
		var bad *configError
		if errors.As(err, &bad) {
			return exitConfig
		}
		return exitFailed
	}
	log.Info("stopped")
	return 0
}

// configError is an error that only a person can mend.
type configError struct{ error }

func (c *configError) Unwrap() error { return c.error }

func serve(ctx context.Context, c config, log *slog.Logger) error {
	group, err := lookupGroup(c.controlGroup)
	if err != nil {
		return &configError{err}
	}
	if err := checkDir(c.state); err != nil {
		return &configError{err}
	}
	for _, path := range []string{c.control + ".lock", filepath.Join(c.state, "lock")} {
		lock, err := proxy.Lock(path)
		if err != nil {
			return &configError{fmt.Errorf("%w; give each a -control and a -state of its own", err)}
		}
		defer lock.Close()
	}
	p, err := proxy.New(proxy.Options{StateDir: c.state, AcceptEmpty: c.empty, Expose: c.expose, HealthPath: c.healthPath, AnswerTimeout: c.answer, Log: log})
	if err != nil {
		return &configError{err}
	}
	listeners, err := proxy.Activated()
	if err != nil {
		return &configError{err}
	}
	if len(listeners) == 0 && len(c.listen) == 0 {
		c.listen = []string{":80"}
	}
	own, err := proxy.Listen(c.listen, c.share)
	if err != nil {
		return err
	}
	listeners = append(listeners, own...)
	server := &proxy.Server{Proxy: p, Listeners: listeners, Control: c.control, Group: group, Ready: func() {
		var at []string
		for _, l := range listeners {
			at = append(at, l.Addr().String())
		}
		log.Info("serves", "version", version, "listen", at, "control", c.control, "apps", len(p.Apps()))
		notify(log, "READY=1")
	}}
	defer context.AfterFunc(ctx, func() { notify(log, "STOPPING=1") })()
	return server.Run(ctx)
}

// checkDir refuses a state directory that others could write to.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("-state: %s: no such directory; make it for the proxy alone", dir)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("-state: %s must be a directory that only the proxy can write to (mode %04o); run chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// lookupGroup is the gid of a group by name or number.
func lookupGroup(name string) (uint32, error) {
	if name == "" {
		return proxy.NoGroup, nil
	}
	gid := name
	if g, err := user.LookupGroup(name); err == nil {
		gid = g.Gid
	}
	n, err := strconv.ParseUint(gid, 10, 32)
	if err != nil || uint32(n) == proxy.NoGroup {
		return 0, fmt.Errorf("-control-group: the host has no group %q", name)
	}
	return uint32(n), nil
}
