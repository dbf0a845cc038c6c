package trust

import (
	"path"
	"slices"
	"strings"
)

// DefaultNever are the host paths that no policy can open to a manifest, whatever
// else the caller adds: teal's own, the engine's, and the kernel's. Each covers
// itself, all below it and every directory above it; "/" covers only itself, as it
// lies above all. A last element that ends in * covers every name that starts so.
func DefaultNever() []string {
	return []string{
		"/", "/proc", "/sys", "/dev",
		"/etc/teal", "/var/lib/teal*", "/run/teal*",
		"/run/docker.sock", "/run/docker", "/var/lib/docker", "/etc/docker",
		"/run/containerd", "/var/lib/containerd",
	}
}

// neverPaths are paths that can never be allowed.
type neverPaths []string

// newNeverPaths adds the caller's paths (config, state, sockets, engine data root as
// configured on this host) to the defaults.
func newNeverPaths(more []string) neverPaths {
	var all neverPaths
	for _, p := range append(DefaultNever(), more...) {
		p = strings.TrimPrefix(p, "unix://")
		if !path.IsAbs(p) {
			continue // not a path: an address of a remote engine, or not configured
		}
		if p = hostPath(p); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// covers says whether source is, lies below or lies above a path that can never be
// allowed, and which.
func (n neverPaths) covers(source string) (rule string, yes bool) {
	source = hostPath(source)
	for _, p := range n {
		switch stem, glob := strings.CutSuffix(p, "*"); {
		case source == p, p != "/" && above(p, source), above(source, p):
			return p, true
		case glob && strings.HasPrefix(source, stem):
			return p, true
		}
	}
	return "", false
}

// above reports whether dir is a proper ancestor of p.
func above(dir, p string) bool {
	return dir != p && (dir == "/" || strings.HasPrefix(p, dir+"/"))
}

// hostPath cleans a path and takes the links that every Linux host has: /var/run is
// /run, /var/lock is /run/lock.
func hostPath(p string) string {
	p = path.Clean(p)
	for from, to := range map[string]string{"/var/run": "/run", "/var/lock": "/run/lock"} {
		if p == from || strings.HasPrefix(p, from+"/") {
			return to + p[len(from):]
		}
	}
	return p
}

// neverDevice names devices that are the host itself.
func neverDevice(p string) bool {
	return slices.Contains([]string{"/dev", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kcore", "/dev/fd", "/dev/core"}, path.Clean(p))
}
