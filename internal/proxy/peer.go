package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of the control socket, as the kernel says.
type peer struct {
	uid, gid uint32
	groups   []uint32
}

// NoGroup is the gid of no group.
const NoGroup = ^uint32(0)

// may reports whether the peer steers the proxy: root, the proxy's own user, and who is
// in the control group.
func (p peer) may(group uint32) bool {
	if p.uid == 0 || p.uid == uint32(os.Geteuid()) {
		return true
	}
	return group != NoGroup && (p.gid == group || slices.Contains(p.groups, group))
}

type peerKey struct{}

// withPeer asks for the peer once a connection. Without an answer there is none, and
// nothing is allowed.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	p, err := peerOf(u)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf reads SO_PEERCRED and SO_PEERGROUPS (unix(7)): the credentials at the time of
// connect, which the peer cannot forge.
func peerOf(c *net.UnixConn) (p peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p.uid, p.gid = cred.Uid, cred.Gid
		p.groups, inner = peerGroups(int(fd))
	})
	if err == nil {
		err = inner
	}
	return p, err
}

func peerGroups(fd int) ([]uint32, error) {
	const most = 65536 // NGROUPS_MAX
	for n := 64; n <= most; n *= 4 {
		buf := make([]byte, 4*n)
		size := uint32(len(buf))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == syscall.ERANGE {
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("read the peer's groups: %w", errno)
		}
		var groups []uint32
		for i := uint32(0); i+4 <= size; i += 4 {
			groups = append(groups, binary.NativeEndian.Uint32(buf[i:]))
		}
		return groups, nil
	}
	return nil, fmt.Errorf("read the peer's groups: %w", syscall.ERANGE)
}
