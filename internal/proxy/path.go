package proxy

import (
	"errors"
	"net/url"
	"strings"
)

var (
	errNoPath    = errors.New("the request target is not a path")
	errDots      = errors.New("the path has a dot segment")
	errZero      = errors.New("the path has a zero byte")
	errAmbiguous = errors.New("the path can be read in two ways that lead to two apps or services")
)

// checkPath refuses what a target could resolve to another path than the one the
// route was chosen by: dot segments, raw, encoded, behind a backslash or with a
// parameter ("..;x", which Java servers read as "..").
func checkPath(u *url.URL) error {
	if u.Opaque != "" || !strings.HasPrefix(u.Path, "/") {
		return errNoPath
	}
	path := u.Path // decoded once, as the target will
	if strings.IndexByte(path, 0) >= 0 {
		return errZero
	}
	if strings.IndexByte(path, '.') < 0 {
		return nil
	}
	for start := 0; start <= len(path); {
		end := start + strings.IndexAny(path[start:], `/\`)
		if end < start {
			end = len(path)
		}
		segment, _, _ := strings.Cut(path[start:end], ";")
		if segment == "." || segment == ".." {
			return errDots
		}
		start = end + 1
	}
	return nil
}

// readings is the paths that other readers could make of u.Path, nil when there is
// only one way to read it.
func readings(u *url.URL) []string {
	path := u.Path
	if !strings.ContainsAny(path, `\;`) && !strings.Contains(path, "//") && !hasEncodedSlash(u.RawPath) {
		return nil
	}
	slashed := strings.ReplaceAll(path, `\`, "/")
	return []string{opaque(u), slashed, merged(path), bare(path), merged(bare(slashed))}
}

// opaque is the path of a reader that takes neither an encoded slash nor a backslash
// for a separator. A zero byte stands for them, which no route has.
func opaque(u *url.URL) string {
	raw := u.EscapedPath()
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' && i+2 < len(raw) {
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
			if c == '/' {
				c = 0
			}
		}
		if c == '\\' {
			c = 0
		}
		b.WriteByte(c)
	}
	return b.String()
}

// merged is the path of a reader that takes several slashes for one.
func merged(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b.WriteByte(path[i])
		}
	}
	return b.String()
}

// bare is the path of a reader that takes what follows a semicolon for parameters of
// the segment.
func bare(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

func hasEncodedSlash(raw string) bool {
	for i := strings.IndexByte(raw, '%'); i >= 0 && i+2 < len(raw); i++ {
		if raw[i] == '%' && raw[i+1] == '2' && (raw[i+2] == 'f' || raw[i+2] == 'F') {
			return true
		}
	}
	return false
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// strip takes a route's prefix off a path that it covers, in both forms of the path.
// What is left begins with a slash. No encoded slash stands in the prefix or right
// behind it: then two readers would have chosen two routes.
func strip(u *url.URL, prefix string) {
	n := len(strings.TrimSuffix(prefix, "/"))
	raw := u.RawPath
	u.Path = rooted(u.Path[n:])
	if raw == "" {
		return
	}
	for ; n > 0; n-- { // one byte of the decoded path is one byte or one %xx
		if raw[0] == '%' {
			raw = raw[2:]
		}
		raw = raw[1:]
	}
	u.RawPath = rooted(raw)
}

func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}
