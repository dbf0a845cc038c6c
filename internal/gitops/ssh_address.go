package gitops

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// sshAddress is where a repository lies behind an SSH server.
type sshAddress struct {
	user, host string
	port       int
	path       string // as the server's git-upload-pack takes it
}

func (a sshAddress) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

func (a sshAddress) String() string {
	return fmt.Sprintf("ssh://%s@%s/%s", a.user, a.hostPort(), strings.TrimPrefix(a.path, "/"))
}

var (
	// sshUser and sshHost may not begin with a dash, nor hold what a shell or a log reads.
	sshUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$`)
	sshHost = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?$`)
)

func parseSSH(u *url.URL) (*sshAddress, error) {
	if _, has := u.User.Password(); has {
		return nil, errors.New("holds a password; ssh addresses log in with keyFile or sshAgent")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("holds a query or fragment")
	}
	a := &sshAddress{user: u.User.Username(), host: u.Hostname(), port: 22, path: u.Path}
	if p := u.Port(); p != "" {
		var err error
		if a.port, err = strconv.Atoi(p); err != nil || a.port < 1 || a.port > 65535 {
			return nil, errors.New("holds a port that is none")
		}
	}
	// ssh://host/~ann/x means ann's home, as Git reads it.
	if strings.HasPrefix(a.path, "/~") {
		a.path = a.path[1:]
	}
	return a, a.check()
}

// parseScp reads user@host:path, the form that hosting sites show. An IPv6 address
// stands in brackets.
func parseScp(s string) (*sshAddress, error) {
	user, rest, ok := strings.Cut(s, "@")
	if !ok {
		user, rest = "", s
	}
	var host, path string
	if strings.HasPrefix(rest, "[") {
		host, path, ok = strings.Cut(rest[1:], "]:")
	} else {
		host, path, ok = strings.Cut(rest, ":")
	}
	if !ok {
		return nil, errors.New("is neither an absolute path nor an address like git@host:path")
	}
	a := &sshAddress{user: user, host: host, port: 22, path: path}
	return a, a.check()
}

func (a *sshAddress) check() error {
	switch {
	case a.user == "":
		return errors.New("names no user; write git@host:path or ssh://git@host/path")
	case !sshUser.MatchString(a.user):
		return fmt.Errorf("holds a user name that is none: %s", escape(a.user, 60))
	case net.ParseIP(a.host) == nil && !sshHost.MatchString(a.host):
		return fmt.Errorf("holds a host name that is none: %s", escape(a.host, 60))
	case strings.Trim(a.path, "/") == "":
		return errors.New("has no path")
	case strings.HasPrefix(a.path, "-"):
		return errors.New("has a path that begins with a dash, which the server would read as an option")
	case len(a.path) > 1024 || plain(a.path, 2048) != a.path:
		return errors.New("has a path that is too long or not printable")
	}
	return nil
}

// command is what the server's shell runs; quoted as Git does, which servers that
// parse it themselves expect.
func (a sshAddress) command() string {
	return "git-upload-pack '" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(a.path) + "'"
}
