package gitops

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/tealops/teal/internal/release"
)

// address is a parsed Config.URL: a local path, an HTTP(S) or an SSH address.
type address struct {
	local   string      // absolute path, or ""
	remote  string      // HTTP(S) URL, or ""
	private bool        // credentials may travel: https, or http to this host
	ssh     *sshAddress // or nil
}

func parseAddress(s string) (address, error) {
	isURL := strings.Contains(s, "://")
	switch {
	case s == "":
		return address{}, errors.New("is empty; give a local path or an https address")
	case filepath.IsAbs(s):
		return address{local: filepath.Clean(s)}, nil
	case !isURL && strings.Contains(s, ":"): // user@host:path
		ssh, err := parseScp(s)
		return address{ssh: ssh}, err
	case !isURL:
		return address{}, fmt.Errorf("%q is not an absolute path", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		// The parse error repeats the address, which may hold a password.
		return address{}, errors.New("is not a valid address")
	}
	// The scheme first: ssh://git@host holds a user name as it should.
	switch u.Scheme { // lower case, by url.Parse
	case "file", "http", "https":
	case "ssh":
		ssh, err := parseSSH(u)
		return address{ssh: ssh}, err
	default:
		return address{}, notYet(u.Scheme)
	}
	switch {
	case u.User != nil:
		return address{}, errors.New("holds credentials; put them into a file and name it as tokenFile or passwordFile")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return address{}, errors.New("holds a query or fragment")
	}
	switch u.Scheme {
	case "file":
		if (u.Host != "" && u.Host != "localhost") || !filepath.IsAbs(u.Path) {
			return address{}, errors.New("file addresses are file:///absolute/path")
		}
		return address{local: filepath.Clean(u.Path)}, nil
	}
	if u.Hostname() == "" {
		return address{}, errors.New("has no host")
	}
	return address{remote: strings.TrimRight(u.String(), "/"), private: u.Scheme == "https" || loopback(u.Hostname())}, nil
}

func notYet(scheme string) error {
	return &Error{Code: release.NotSupportedYet, Detail: fmt.Sprintf("%s addresses are not supported yet; use a local path, https or ssh", escape(scheme, 20))}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
