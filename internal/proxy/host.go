package proxy

import (
	"net"
	"net/netip"
	"strings"
)

// lower is strings.ToLower for ASCII alone: host names know no other letters, and a
// Unicode rule could make two names one.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// hostOf is the name in a Host header: without port and final dot, in lower case. What
// stands behind the colon must be a port: apps split the header in other ways, and the
// rest of it reaches them. ok is false when it is not.
func hostOf(header string) (host string, ok bool) {
	host = header
	if strings.IndexByte(header, ':') >= 0 {
		h, port, err := net.SplitHostPort(header)
		if err != nil || !validPort(port) {
			return "", false
		}
		if header[0] == '[' {
			if a, err := netip.ParseAddr(h); err != nil || !a.Is6() {
				return "", false
			}
		}
		host = h
	}
	return lower(strings.TrimSuffix(host, ".")), true
}

func validPort(s string) bool {
	if len(s) > 5 {
		return false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n <= 65535
}

// validHost is a name or an address as a route claims it: letters, digits and inner
// dashes between dots, in lower case.
func validHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}
