package proxy

import (
	"net"
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

// hostOf is the name in a Host header: without port and final dot, in lower case.
func hostOf(header string) string {
	host := header
	if strings.IndexByte(header, ':') >= 0 {
		if h, _, err := net.SplitHostPort(header); err == nil {
			host = h
		}
	}
	return lower(strings.TrimSuffix(host, "."))
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
