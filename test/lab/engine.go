package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// Engine is a container engine of the lab's own, in a network namespace of its own,
// that tests may restart, kill or fill up. The lab's registry answers inside the
// namespace under its usual address. It needs root, dockerd and ip (iproute2).
type Engine struct {
	// Host is the engine's address; Namespace the name of its network namespace.
	Host, Namespace string

	lab  *Lab
	dir  string
	data string
	bip  string
	api  *client.Client

	mu      sync.Mutex // guards the process
	daemon  *exec.Cmd
	ended   chan struct{}
	bridges []net.Listener
}

// Engine starts an engine. data is its data root; "" means a directory of the lab's.
func (l *Lab) Engine(ctx context.Context, data string) (_ *Engine, err error) {
	dir, err := os.MkdirTemp("", "teal-engine-")
	if err != nil {
		return nil, err
	}
	e := &Engine{lab: l, dir: dir, data: data, Host: "unix://" + filepath.Join(dir, "docker.sock"), Namespace: l.Name("ns", filepath.Base(dir)[len("teal-engine-"):])}
	if e.data == "" {
		e.data = filepath.Join(dir, "data")
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start an engine: %w", err), e.Close())
		}
	}()
	for _, args := range [][]string{{"netns", "add", e.Namespace}, {"-n", e.Namespace, "link", "set", "lo", "up"}} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	subnet, err := l.Subnet(ctx)
	if err != nil {
		return nil, err
	}
	e.bip = subnet.Addr().Next().String() + "/24"
	// The machine's own daemon.json is not ours.
	if err := os.WriteFile(e.config(), []byte("{}\n"), 0o600); err != nil {
		return nil, err
	}
	if e.api, err = client.New(client.WithHost(e.Host)); err != nil {
		return nil, err
	}
	if err := e.bridge(l.Registry.Addr()); err != nil {
		return nil, err
	}
	return e, e.Start(ctx)
}

// Start starts the daemon and waits until it answers.
func (e *Engine) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("nsenter", "--net="+e.netns(), "dockerd", "--config-file", e.config(), "--data-root", e.data, "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "pid"), "-H", e.Host, "--bip", e.bip, "--userland-proxy=false")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("dockerd: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	e.mu.Lock()
	e.daemon, e.ended = cmd, ended
	e.mu.Unlock()
	for range 300 {
		asking, cancel := context.WithTimeout(ctx, time.Second)
		_, err := e.api.Ping(asking, client.PingOptions{NegotiateAPIVersion: true})
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return fmt.Errorf("dockerd ended: %s", e.Log())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("dockerd does not answer: %s", e.Log())
}

// Log is the end of the daemon's log.
func (e *Engine) Log() string {
	data, err := os.ReadFile(filepath.Join(e.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}

// Stop ends the daemon with a signal and waits for it.
func (e *Engine) Stop(s syscall.Signal) error {
	e.mu.Lock()
	cmd, ended := e.daemon, e.ended
	e.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		return errors.New("dockerd did not end within 30 s")
	}
}

// API drives this engine directly.
func (e *Engine) API() *client.Client { return e.api }

// Close removes the engine's containers, the engine and the namespace.
func (e *Engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	if e.api != nil {
		if all, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true}); err == nil {
			for _, c := range all.Items {
				_, err := e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
				errs = append(errs, err)
			}
		}
		e.api.Close()
	}
	errs = append(errs, e.Stop(syscall.SIGTERM))
	for _, l := range e.bridges {
		l.Close()
	}
	if out, err := exec.Command("ip", "netns", "del", e.Namespace).CombinedOutput(); err != nil {
		errs = append(errs, fmt.Errorf("ip netns del: %w: %s", err, out))
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

func (e *Engine) config() string { return filepath.Join(e.dir, "daemon.json") }

func (e *Engine) netns() string { return "/var/run/netns/" + e.Namespace }

// Enter wraps a command so that it runs inside the namespace.
func (e *Engine) Enter(name string, args ...string) (string, []string) {
	return "nsenter", append([]string{"--net=" + e.netns(), name}, args...)
}

// inside calls f on a thread that is in the namespace. A socket made by f stays there.
// The thread comes back: ending it would end the processes it has started (Pdeathsig).
func (e *Engine) inside(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- e.enter(f) }()
	return <-done
}

func (e *Engine) enter(f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(home)
	there, err := unix.Open(e.netns(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if herr := unix.Setns(home, unix.CLONE_NEWNET); herr != nil {
		return errors.Join(err, herr) // still locked: nobody gets this thread
	}
	runtime.UnlockOSThread()
	return err
}

// Dial connects to an address inside the namespace.
func (e *Engine) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = e.inside(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// bridge makes an address of this machine's loopback answer inside the namespace.
func (e *Engine) bridge(address string) error {
	var l net.Listener
	err := e.inside(func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		return fmt.Errorf("listen on %s in the namespace: %w", address, err)
	}
	e.bridges = append(e.bridges, l)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go relay(in, address)
		}
	}()
	return nil
}

func relay(in net.Conn, address string) {
	defer in.Close()
	out, err := net.Dial("tcp4", address)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(in, out)
}
