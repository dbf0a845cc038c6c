package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Role is what a peer may do.
type Role string

const (
	Nobody   Role = "none"
	Viewer   Role = "viewer"   // reads
	Operator Role = "operator" // changes things
)

// Roles maps groups to roles. Root is always an operator.
type Roles struct {
	Operators uint32 // gid of teal-operators; NoGroup when there is none
	Viewers   uint32 // gid of teal-viewers
}

// NoGroup is the gid of no group.
const NoGroup = ^uint32(0)

// Peer is who is at the other end of the socket, as the kernel says.
type Peer struct {
	UID, GID uint32
	PID      int32
	Groups   []uint32
}

// Role is the strongest role that the peer's groups give.
func (r Roles) Role(p Peer) Role {
	in := func(g uint32) bool { return g != NoGroup && (p.GID == g || slices.Contains(p.Groups, g)) }
	switch {
	case p.UID == 0, in(r.Operators):
		return Operator
	case in(r.Viewers):
		return Viewer
	}
	return Nobody
}

// Actor is the peer's name for the journal: "ann (uid 1000)".
func (p Peer) Actor() string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10)); err == nil {
		return fmt.Sprintf("%s (uid %d)", u.Username, p.UID)
	}
	return fmt.Sprintf("uid %d", p.UID)
}

type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	known, ok := c.(*peerConn)
	if !ok {
		return ctx // no peer: no role
	}
	return context.WithValue(ctx, peerKey{}, known.peer)
}

// maxPerPeer bounds the connections of one user, so that nobody keeps the others out.
// Root has no bound. maxStrangers bounds those of all users together who have no role:
// one person can have thousands of user ids (subuid(5)).
const (
	maxPerPeer   = 64
	maxStrangers = 128
)

// perPeer accepts connections whose peer the kernel names, a bounded number for each.
type perPeer struct {
	*net.UnixListener
	roles Roles

	mu        sync.Mutex // guards all below
	open      map[uint32]int
	strangers int
}

type peerConn struct {
	*net.UnixConn
	peer   Peer
	closed sync.Once
	done   func()
}

func (c *peerConn) Close() error {
	c.closed.Do(c.done)
	return c.UnixConn.Close()
}

func (l *perPeer) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := peerOf(c)
		if err != nil || !l.enter(peer) {
			c.Close()
			continue
		}
		return &peerConn{UnixConn: c, peer: peer, done: func() { l.leave(peer) }}, nil
	}
}

// enter counts a connection in; false: its user, or those without a role, have too many.
func (l *perPeer) enter(p Peer) bool {
	stranger := l.roles.Role(p) == Nobody
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.UID != 0 && l.open[p.UID] >= maxPerPeer || stranger && l.strangers >= maxStrangers {
		return false
	}
	l.open[p.UID]++
	if stranger {
		l.strangers++
	}
	return true
}

// leave counts out one that entered.
func (l *perPeer) leave(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[p.UID]--; l.open[p.UID] <= 0 {
		delete(l.open, p.UID)
	}
	if l.roles.Role(p) == Nobody {
		l.strangers--
	}
}

func peerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// peerOf reads SO_PEERCRED and SO_PEERGROUPS (unix(7), Linux 4.13): the credentials
// at the time of connect, which the peer cannot forge.
func peerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p.UID, p.GID, p.PID = cred.Uid, cred.Gid, cred.Pid
		p.Groups, inner = peerGroups(int(fd))
	})
	if err == nil {
		err = inner
	}
	return p, err
}

func peerGroups(fd int) ([]uint32, error) {
	buf := make([]byte, 4*1024)
	for {
		size := uint32(len(buf))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == syscall.ERANGE && size > uint32(len(buf)) && size <= 4*65536:
			buf = make([]byte, size)
			continue
		case errno != 0:
			return nil, fmt.Errorf("read the peer's groups: %w", errno)
		}
		var groups []uint32
		for i := uint32(0); i+4 <= size; i += 4 {
			groups = append(groups, binary.NativeEndian.Uint32(buf[i:]))
		}
		return groups, nil
	}
}

// LookupGroup is the gid of a group, NoGroup when the host has none of that name. A
// number is taken as it is.
func LookupGroup(name string) uint32 {
	if name == "" {
		return NoGroup
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return NoGroup
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		return NoGroup
	}
	return uint32(n)
}
