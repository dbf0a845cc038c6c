package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/moby/moby/client"
)

// Subnet is a /24 that neither the engine nor an interface of this machine uses. It
// is drawn from 10.200.0.0/13, so that labs beside each other seldom meet; one lab
// never gives the same twice.
func (l *Lab) Subnet(ctx context.Context) (netip.Prefix, error) {
	var used []netip.Prefix
	networks, err := l.API.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find a free subnet: %w", err)
	}
	for _, n := range networks.Items {
		for _, c := range n.IPAM.Config {
			used = append(used, c.Subnet)
		}
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find a free subnet: %w", err)
	}
	for _, a := range local {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			used = append(used, p.Masked())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	used = append(used, l.subnets...)
	for range 100 {
		free := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(200 + rand.IntN(8)), byte(rand.IntN(256)), 0}), 24)
		if !overlaps(free, used) {
			l.subnets = append(l.subnets, free)
			return free, nil
		}
	}
	return netip.Prefix{}, errors.New("find a free subnet: 10.200.0.0/13 is full")
}

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}
