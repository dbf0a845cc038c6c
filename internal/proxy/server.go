package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Server runs a Proxy on its sockets.
type Server struct {
	Proxy     *Proxy
	Listeners []net.Listener // of the clients; Run closes them
	Control   string         // path of the control socket; its directory exists
	Group     uint32         // gid whose members may use it; NoGroup for none
	// MaxClients bounds the clients' connections that are open at once; zero means a
	// third of the descriptors that the process may have.
	MaxClients int
	Ready      func() // called when everything listens; may be nil
}

// Limits against slow and large clients.
const (
	headTime   = 10 * time.Second // for a request's head to arrive
	clientIdle = 75 * time.Second // between two requests of a connection
	maxHead    = 64 << 10         // bytes of a request's head
)

const (
	leaveWait = 30 * time.Second // for requests in flight when the proxy ends
	lameDuck  = time.Second      // for clients to see that their connection is not kept
)

// Run serves until ctx ends, then lets what is in flight finish for at most 30 s. It
// returns nil when it was asked to end.
func (s *Server) Run(ctx context.Context) error {
	p := s.Proxy
	control, err := listenControl(s.Control, s.Group)
	if err != nil {
		return err
	}
	var open connections
	clients := newClientServer(p, open.watch)
	door := newFrontDoor(p, &open)
	p.mu.Lock()
	p.front = door
	p.mu.Unlock()
	steering := newServer(p.control(s.Group), p.log)
	steering.ReadHeaderTimeout, steering.IdleTimeout, steering.MaxHeaderBytes = 5*time.Second, time.Minute, 16<<10
	steering.ConnContext = withPeer
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	steering.BaseContext = func(net.Listener) context.Context { return streams }

	g, run := errgroup.WithContext(ctx)
	serve := func(server *http.Server, l net.Listener) {
		g.Go(func() error {
			err := server.Serve(l)
			if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) && run.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve on %s: %w", l.Addr(), err)
		})
	}
	most := s.MaxClients
	if most <= 0 {
		most = clientLimit()
	}
	room := make(slots, most)
	var fronts []net.Listener
	for _, l := range s.Listeners {
		front := room.limit(l)
		fronts = append(fronts, front)
		g.Go(func() error {
			err := door.accept(front)
			if errors.Is(err, net.ErrClosed) && run.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		})
	}
	serve(clients, door.general)
	watching, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	defer endWatch()
	g.Go(func() error { door.watch(watching); return nil })
	serve(steering, control)
	g.Go(func() error { p.keep(run); return nil })
	g.Go(func() error { p.probe(run); return nil })
	if s.Ready != nil {
		s.Ready()
	}
	<-run.Done()
	p.log.Info("leaving", "open_connections", open.count())
	for _, l := range fronts {
		_ = l.Close() // no new connections; those that are there go on
	}
	p.leave()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait)
	defer cancel()
	s.farewell(grace, clients, door)
	endWatch()
	endStreams()
	end, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if steering.Shutdown(end) != nil {
		steering.Close()
	}
	return g.Wait()
}

// farewell ends the clients' side. For a moment answers still go out, with word that
// the connection is not kept: a client that is told so sends nothing more on it, while
// one whose idle connection is closed may be sending just then.
func (s *Server) farewell(ctx context.Context, clients *http.Server, door *frontDoor) {
	duck := time.NewTimer(lameDuck)
	defer duck.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting && door.open.count() > 0; {
		select {
		case <-duck.C:
			waiting = false
		case <-tick.C:
		}
	}
	door.rest()
	err := clients.Shutdown(ctx)
	for err == nil && (!s.Proxy.idle() || door.busy()) && ctx.Err() == nil { // upgraded connections are not the server's any more
		s.Proxy.leave()
		door.rest()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if err != nil || ctx.Err() != nil {
		s.Proxy.log.Warn("requests cut at the end", "after", leaveWait.String())
		clients.Close()
	}
	door.close()
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{Handler: h, Protocols: protocols, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// newClientServer is the server of the clients' side, with its limits.
func newClientServer(p *Proxy, watch func(net.Conn, http.ConnState)) *http.Server {
	s := newServer(p, p.log)
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes, s.ConnState = headTime, clientIdle, maxHead, watch
	return s
}

// connections counts those of the clients that are open and still HTTP.
type connections struct{ open atomic.Int64 }

func (c *connections) watch(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

func (c *connections) count() int64 { return c.open.Load() }

// listenControl makes the control socket, for its owner and the control group alone.
// The caller holds the lock beside it, so what is there is left over.
func listenControl(path string, group uint32) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	mode := fs.FileMode(0o600)
	if group != NoGroup {
		mode = 0o660
		if err := os.Chown(path, -1, int(group)); err != nil {
			l.Close()
			return nil, fmt.Errorf("give the control socket to its group: %w", err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the control socket to others: %w", err)
	}
	return l, nil
}

// ErrLocked is Lock's answer when another process holds the lock.
var ErrLocked = errors.New("another teal-proxy uses it")

// Lock takes a lock file and holds it until the process ends or the file is closed.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
