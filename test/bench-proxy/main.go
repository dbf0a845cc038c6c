// Command bench-proxy measures teal-proxy against nginx, HAProxy and Caddy, as Debian
// packages them, and against a tuned httputil.ReverseProxy: one run, one backend, one
// client, alternating rounds whose order is rotated, medians and ratios. Client and
// backend are processes of their own and check every request and every answer; the
// backend's count must be the client's. CPU time is that of a proxy's processes, from
// the kernel's clock of each, over all requests that the backend counted. Everything is
// on the loopback, and all of it shares the machine's cores: read ratios, not rates.
//
// It ends with 1 when a bound is missed, when a row that has one cannot be measured, or
// when a single answer was wrong.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := child(os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench-proxy: "+err.Error())
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, c, os.Stdout)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-proxy: "+err.Error())
		os.Exit(1)
	}
}

// child is what this program does in the processes that it starts of itself.
func child(what string, args []string) error {
	switch {
	case what == "backend" && len(args) == 0:
		return backendChild()
	case what == "client" && len(args) == 0:
		return clientChild()
	case what == reverse && len(args) == 2:
		return reverseChild(args[0], args[1])
	}
	return fmt.Errorf("%s %v is nothing that bench-proxy does", what, args)
}

// config is what the flags say.
type config struct {
	rounds  int
	window  time.Duration
	warm    time.Duration
	rows    []row
	idle    bool
	proxies []string
	teal    string
	idlers  int
	procs   string // GOMAXPROCS of client and backend
}

// row is one kind of load.
type row struct {
	name   string
	title  string
	kind   byte
	conns  int
	tcp    bool
	memory bool // is looked at after each round
}

const (
	rowLarge    = "large"
	rowPost     = "post"
	rowTCPSmall = "tcp-small"
	rowTCPLarge = "tcp-large"
	rowIdle     = "idle"
)

func smallRow(conns int) string { return fmt.Sprintf("small-%d", conns) }

// allRows in the order in which a round takes them.
func allRows() []row {
	return []row{
		{name: smallRow(1), title: "small answers (128 bytes), keep-alive, 1 connection", kind: kindSmall, conns: 1},
		{name: smallRow(32), title: "small answers (128 bytes), keep-alive, 32 connections", kind: kindSmall, conns: 32},
		{name: smallRow(256), title: "small answers (128 bytes), keep-alive, 256 connections; PSS of the proxy's processes after the round", kind: kindSmall, conns: 256, memory: true},
		{name: rowLarge, title: "answers of 1 MiB, 16 connections", kind: kindLarge, conns: 16},
		{name: rowPost, title: "POST with a body of 4 KiB, 32 connections (no bound)", kind: kindPost, conns: 32},
		{name: rowTCPSmall, title: "TCP relay, small answers, 32 connections", kind: kindSmall, conns: 32, tcp: true},
		{name: rowTCPLarge, title: "TCP relay, answers of 1 MiB, 16 connections", kind: kindLarge, conns: 16, tcp: true},
	}
}

// parse reads the flags. The first word of a row's name stands for all rows that begin
// with it.
func parse(args []string, stderr io.Writer) (c config, err error) {
	flags := flag.NewFlagSet("bench-proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&c.rounds, "rounds", 7, "how many rounds")
	seconds := flags.Float64("seconds", 1, "`seconds` that are measured of each proxy in each row and round")
	flags.DurationVar(&c.warm, "warm", 250*time.Millisecond, "load before that, which is not measured")
	var names []string
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	names = append(names, rowIdle)
	only := flags.String("only", "", "`rows`, separated by commas, or the first word of several: "+strings.Join(names, ", "))
	proxies := flags.String("proxies", strings.Join(everyone, ","), "`proxies` to measure")
	flags.StringVar(&c.teal, "teal", "bin/teal-proxy", "`path` of the teal-proxy to measure")
	flags.IntVar(&c.idlers, "idle", 10_000, "connections of the row of idle ones; a third of the open files that a process may have, if that is less")
	flags.StringVar(&c.procs, "client-procs", "1", "GOMAXPROCS of the client and of the backend")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.window = time.Duration(*seconds * float64(time.Second))
	if flags.NArg() > 0 || c.rounds < 1 || c.window <= 0 || c.idlers < 1 {
		return c, fmt.Errorf("%v: -rounds, -seconds and -idle are above zero, and nothing follows the flags", args)
	}
	c.proxies = strings.Split(*proxies, ",")
	for _, name := range c.proxies {
		if !slices.Contains(everyone, name) {
			return c, fmt.Errorf("-proxies: %q is not one of %s", name, strings.Join(everyone, ", "))
		}
	}
	c.rows, c.idle = allRows(), true
	if *only == "" {
		return c, nil
	}
	wanted := func(name string) bool {
		return slices.ContainsFunc(strings.Split(*only, ","), func(w string) bool { return name == w || strings.HasPrefix(name, w+"-") })
	}
	for w := range strings.SplitSeq(*only, ",") {
		if !slices.ContainsFunc(names, func(n string) bool { return n == w || strings.HasPrefix(n, w+"-") }) {
			return c, fmt.Errorf("-only: %q is no row; there are %s", w, strings.Join(names, ", "))
		}
	}
	c.rows, c.idle = slices.DeleteFunc(c.rows, func(r row) bool { return !wanted(r.name) }), wanted(rowIdle)
	return c, nil
}

// bench is one run.
type bench struct {
	config
	out     io.Writer
	dir     string
	backend *process
	client  *process
	address string // of the backend
	files   int    // limit of open files
	results *results
	running []*contestant
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	b, err := open(ctx, c, out)
	if err != nil {
		return err
	}
	defer b.close()
	began := time.Now()
	fmt.Fprintf(out, "bench-proxy: %d alternating rounds of %s after %s of warm-up, order rotated, medians; %d cores, %s, Linux %s, load %s\n",
		c.rounds, c.window, c.warm, runtime.NumCPU(), runtime.Version(), kernel(), load())
	fmt.Fprintf(out, "  client and backend: this program, a process each, GOMAXPROCS %s, a goroutine a connection; each answer is checked\n", c.procs)
	plain, err := b.launchAll(ctx, false)
	if err != nil {
		return err
	}
	relays, err := b.launchAll(ctx, true)
	if err != nil {
		return err
	}
	if err := errors.Join(b.settings(ctx, plain, false), b.settings(ctx, relays, true)); err != nil {
		return err
	}
	fmt.Fprintf(out, "  no access log anywhere; what is not named is each one's default\n")
	for round := range c.rounds {
		for _, row := range c.rows {
			field := plain
			if row.tcp {
				field = relays
			}
			for i := range field {
				if err := b.measure(ctx, row, field[(i+round)%len(field)]); err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d, %s\n", round+1, c.rounds, time.Since(began).Round(time.Second))
	}
	for _, row := range c.rows {
		b.results.printTable(out, row, everyone)
	}
	if c.idle {
		b.stopAll()
		if err := b.idlers(ctx); err != nil {
			return err
		}
	}
	failed, left := b.results.printBounds(out)
	fmt.Fprintf(out, "\n%s in all, load %s; no wrong answer, and the backend counted what the client did\n", time.Since(began).Round(time.Second), load())
	if left > 0 {
		fmt.Fprintf(out, "a part of the run: %d bounds were not looked at\n", left)
	}
	if failed > 0 {
		return fmt.Errorf("%d bounds do not hold", failed)
	}
	return nil
}

// spareFiles is what a process needs beside its clients' connections.
const spareFiles = 100

// open starts backend and client in a directory of their own.
func open(ctx context.Context, c config, out io.Writer) (b *bench, err error) {
	if slices.Contains(c.proxies, teal) {
		if _, err := os.Stat(c.teal); err != nil {
			return nil, fmt.Errorf("%w; run make build", err)
		}
	}
	most, err := files(3 * uint64(c.idlers+spareFiles))
	if err != nil {
		return nil, err
	}
	c.idlers = min(c.idlers, int(most/3)-spareFiles) // teal-proxy takes no more, and keeps the rest for targets
	b = &bench{config: c, out: out, files: int(most), results: newResults()}
	if b.dir, err = os.MkdirTemp("", "teal-bench-proxy-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	env := []string{"GOMAXPROCS=" + c.procs}
	if b.backend, err = start(b.dir, "backend", true, env, self, "backend"); err != nil {
		return nil, err
	}
	if b.address, err = b.backend.line(ctx); err != nil {
		return nil, err
	}
	b.client, err = start(b.dir, "client", true, env, self, "client")
	return b, err
}

// close ends every process and takes the directory away.
func (b *bench) close() {
	b.stopAll()
	b.client.stop()
	b.backend.stop()
	_ = os.RemoveAll(b.dir) // of the system's temporary directory
}

func (b *bench) stopAll() {
	for _, c := range b.running {
		c.process.stop()
	}
	b.running = nil
}

// launchAll starts each proxy that can do HTTP, or TCP, if a row wants it.
func (b *bench) launchAll(ctx context.Context, tcp bool) (field []*contestant, err error) {
	if !slices.ContainsFunc(b.rows, func(r row) bool { return r.tcp == tcp }) {
		return nil, nil
	}
	for _, name := range b.proxies {
		kind := "http-"
		if tcp {
			kind = "tcp-"
		}
		c, err := launch(ctx, name, b.setting(kind+name, mostConns(b.rows), tcp))
		if errors.Is(err, errNotThere) {
			for _, r := range b.rows {
				if r.tcp == tcp {
					b.results.absent[cell{r.name, name}] = err.Error()
				}
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		b.running = append(b.running, c)
		field = append(field, c)
	}
	return field, nil
}

func mostConns(rows []row) int {
	return slices.MaxFunc(rows, func(x, y row) int { return cmp.Compare(x.conns, y.conns) }).conns
}

func (b *bench) setting(name string, clients int, tcp bool) setting {
	return setting{dir: filepath.Join(b.dir, name), backend: b.address, files: b.files, clients: clients, tcp: tcp, teal: b.teal}
}

// settings prints each proxy's, with the headers that the backend really got.
func (b *bench) settings(ctx context.Context, field []*contestant, tcp bool) error {
	for _, c := range field {
		got, err := echo(ctx, c.address)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if c.name == direct && tcp {
			continue
		}
		fmt.Fprintf(b.out, "  %-8s %s; adds %s\n", c.name, about(c.name, b.setting("", mostConns(b.rows), tcp)), got)
	}
	return nil
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "?"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}

// files raises the limit of open files as far as it goes, up to what is wanted, for this
// process and those that it starts, and says what it is then.
func files(want uint64) (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	raised := max(l.Max, want)
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: raised, Max: raised}) == nil { // that is root's, above l.Max
		return raised, nil
	}
	return l.Max, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: l.Max, Max: l.Max})
}
