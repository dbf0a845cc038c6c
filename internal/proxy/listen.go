package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens the clients' sockets. With share, another teal-proxy of the same user
// may listen on the same addresses (SO_REUSEPORT): the kernel spreads connections over
// both. That is for a moment of overlap between two that know the same apps; a
// connection in the queue of the one that closes is lost, which socket activation
// avoids.
func Listen(addresses []string, share bool) (_ []net.Listener, err error) {
	var all []net.Listener
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	config := net.ListenConfig{}
	if share {
		config.Control = func(_, _ string, c syscall.RawConn) error {
			var inner error
			err := c.Control(func(fd uintptr) {
				inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			})
			if err != nil {
				return err
			}
			return inner
		}
	}
	for _, address := range addresses {
		l, err := config.Listen(context.Background(), "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// mostClients is how many client connections are open at once when the system would
// allow more.
const mostClients = 50_000

// clientLimit keeps descriptors free for connections to targets, the control socket and
// the state: a flood of clients must not make it impossible to switch.
func clientLimit() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 256
	}
	return int(min(max(files.Cur/3, 16), mostClients))
}

// spliceLimit leaves room for clients, their targets and what a switch needs.
func spliceLimit() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 16
	}
	return int(min(max(files.Cur/16, 4), mostClients))
}

// slots bounds the connections that are open at once, over all listeners.
type slots chan struct{}

// limited accepts a connection when there is a slot for it. Until then it waits in the
// kernel's queue.
type limited struct {
	net.Listener
	slots slots
	once  sync.Once
	done  chan struct{} // closed by Close
}

func (s slots) limit(l net.Listener) *limited {
	return &limited{Listener: l, slots: s, done: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &limitedConn{TCPConn: tcp, free: sync.OnceFunc(func() { <-l.slots })}, nil
	}
	<-l.slots
	return c, err
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// limitedConn gives its slot back when it closes.
type limitedConn struct {
	*net.TCPConn
	free func()
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}

const firstActivated = 3 // SD_LISTEN_FDS_START

// Activated takes over the sockets that systemd passed to this process
// (sd_listen_fds(3)), none when it passed none. The environment is cleaned, so that no
// child takes them for its own.
func Activated() (all []net.Listener, err error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("LISTEN_FDS is %q", count)
	}
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			all = nil
		}
	}()
	for i := range n {
		name := "listen"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		syscall.CloseOnExec(firstActivated + i)
		f := os.NewFile(uintptr(firstActivated+i), name)
		l, err := net.FileListener(f)
		f.Close() // FileListener made a copy
		if err != nil {
			return all, fmt.Errorf("take over the socket %s: %w", name, err)
		}
		if _, ok := l.Addr().(*net.TCPAddr); !ok {
			l.Close()
			return all, fmt.Errorf("the socket %s is on %s; clients come over TCP", name, l.Addr().Network())
		}
		all = append(all, l)
	}
	return all, nil
}
