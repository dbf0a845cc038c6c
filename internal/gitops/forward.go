package gitops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/tealops/teal/internal/release"
)

// ProxyEnvironment as Config.Proxy takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the
// agent's environment. Without it they are not looked at: who can set a variable
// should not choose the way.
const ProxyEnvironment = "environment"

// checkProxy returns what is wrong with the proxy's part of a Config.
func (c Config) checkProxy(at address) (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, f := range []struct{ field, path string }{{"proxyUsernameFile", c.ProxyUsernameFile}, {"proxyPasswordFile", c.ProxyPasswordFile}} {
		switch {
		case f.path == "":
		case !filepath.IsAbs(f.path):
			bad("%s: %q is not an absolute path", f.field, f.path)
		case c.Proxy == "" || c.Proxy == ProxyEnvironment:
			bad("%s: there is no proxy address that it belongs to", f.field)
		}
	}
	if (c.ProxyUsernameFile == "") != (c.ProxyPasswordFile == "") {
		bad("proxyUsernameFile, proxyPasswordFile: a login needs both")
	}
	switch {
	case c.Proxy == "":
		return problems
	case at.remote == "":
		bad("proxy: only an http or https address is reached through a proxy")
		return problems
	}
	if _, err := parseProxy(c.Proxy); err != nil {
		bad("proxy: %w", err)
	}
	return problems
}

// parseProxy gives nil for the environment's.
func parseProxy(s string) (*url.URL, error) {
	if s == ProxyEnvironment {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("is not a valid address") // the error repeats it, which may hold a password
	}
	switch u.Scheme {
	case "http", "https", "socks5":
	default:
		return nil, errors.New(`must be http://host:port, https://host:port, socks5://host:port, or the word "environment"`)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("holds credentials; put them into files and name them as proxyUsernameFile and proxyPasswordFile")
	case u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must be a scheme, a host and a port")
	}
	return u, nil
}

// proxy answers for each request which way it goes, with the credentials as they are
// now.
func (s *httpSource) proxy(req *http.Request) (*url.URL, error) {
	switch s.cfg.Proxy {
	case "":
		return nil, nil
	case ProxyEnvironment:
		return http.ProxyFromEnvironment(req)
	}
	u, err := parseProxy(s.cfg.Proxy)
	if err != nil || s.cfg.ProxyUsernameFile == "" {
		return u, err
	}
	user, err := readSecret("proxyUsernameFile", s.cfg.ProxyUsernameFile)
	if err != nil {
		return nil, err
	}
	password, err := readSecret("proxyPasswordFile", s.cfg.ProxyPasswordFile)
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(user, password)
	return u, nil
}

// proxyAnswered says in the operator's words why the proxy does not let us through.
func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusProxyAuthRequired:
		return refuse(release.RepoAuthRefused, "the proxy %s wants other credentials (status 407); check proxyUsernameFile and proxyPasswordFile", proxy.Host)
	}
	return refuse(release.RepoUnreachable, "the proxy %s does not connect to the server (status %d)", proxy.Host, res.StatusCode)
}
