package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one that this program started, with its children: a process group.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string         // file of what it says
	in   io.WriteCloser // its standard input
	out  *bufio.Reader  // its standard output, when it was asked for
	pipe *os.File       // what out reads
	done chan struct{}
}

// start runs a program with its words in a file of dir. With talk, its standard output
// can be read.
func start(dir, name string, talk bool, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// A group of its own: ^C reaches this program alone, which ends the others in turn.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if talk {
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer w.Close() // the child has its own
		p.cmd.Stdout, p.pipe, p.out = w, r, bufio.NewReader(r)
	}
	if err := p.cmd.Start(); err != nil {
		if p.pipe != nil {
			p.pipe.Close()
		}
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended stands in its log
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and its children.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	// Who is left of its group: it, or a child that outlived it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	if p.pipe != nil {
		p.pipe.Close()
	}
}

// died is the error for a process that is not there any more.
func (p *process) died() error {
	return fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, p.tail())
}

func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}

// line reads one line of the process's output.
func (p *process) line(ctx context.Context) (string, error) {
	type read struct {
		text string
		err  error
	}
	got := make(chan read, 1)
	go func() {
		text, err := p.out.ReadString('\n')
		got <- read{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case r := <-got:
		if errors.Is(r.err, io.EOF) {
			<-p.done
			return "", p.died()
		}
		return r.text, r.err
	}
}

// ask sends one line and reads one.
func (p *process) ask(ctx context.Context, line string) (string, error) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return "", fmt.Errorf("ask %s: %w", p.name, err)
	}
	return p.line(ctx)
}

// await waits until something takes connections at an address.
func (p *process) await(ctx context.Context, address string) error {
	for range 200 {
		if c, err := net.DialTimeout("tcp4", address, time.Second); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.done:
			return p.died()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not listen on %s\n%s", p.name, address, p.tail())
}

// tree is the process and all its descendants.
func (p *process) tree() ([]int, error) {
	select {
	case <-p.done:
		return nil, p.died()
	default:
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The name in parentheses may hold anything; state and parent follow it.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{p.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// cpu is what the tree has used, user and system, to the nanosecond: the CPU clock of
// each process, which knows of threads that have ended too. (utime and stime of
// /proc/PID/stat are the same sum in ticks of 10 ms.)
func (p *process) cpu() (time.Duration, error) {
	pids, err := p.tree()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
			return 0, fmt.Errorf("read the CPU clock of %s (pid %d): %w", p.name, pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// cpuClock is the id that clock_getcpuclockid(3) gives.
func cpuClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED
	return int32(^pid<<3 | scheduled)
}

// pss is the memory of the tree in bytes, pages that others have too in proportion.
func (p *process) pss() (int64, error) {
	pids, err := p.tree()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		n, err := pssOf(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func pssOf(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/smaps_rollup has no Pss", pid)
}

// freeAddress is one of the loopback that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
