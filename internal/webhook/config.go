package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"time"
)

// Config says where to listen and who may say that something was pushed.
type Config struct {
	// Listen is host:port, ":7415" for every address. Without TLS it must be loopback,
	// for a reverse proxy on this machine.
	Listen string
	// CertFile and KeyFile hold the certificate chain and its key in PEM. They are read
	// again when they change; a pair that cannot be used leaves the old one in use.
	CertFile, KeyFile string
	// Senders are the hosting sites that are listened to, at least one.
	Senders []Sender
	// Follows reports whether a ref, by full name, is of interest; nil means that all are.
	Follows func(ref string) bool
	// Kick is called for each hook that is good. It must not wait; it may be called from
	// several goroutines.
	Kick func()
	// Log takes what happens; nil discards it.
	Log *slog.Logger

	now func() time.Time // of tests
}

// Kind is how a sender proves itself.
type Kind string

// GitHub signs the body (X-Hub-Signature-256), GitLab sends the secret itself
// (X-Gitlab-Token), and a generic sender signs a timestamp and the body
// (X-Teal-Timestamp, X-Teal-Signature).
const (
	GitHub  Kind = "github"
	GitLab  Kind = "gitlab"
	Generic Kind = "generic"
)

// Sender is one path and the secret that opens it.
type Sender struct {
	Kind       Kind
	Path       string // of the URL: "/hooks/github"
	SecretFile string // one secret of 16 bytes or more on a line; two while rotating; closed to others
}

var hookPath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)

// Validate returns every problem, joined. It reads no file.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil || port == "":
		bad("listen: %q is not host:port", c.Listen)
	case c.CertFile == "" && c.KeyFile == "" && !loopback(host):
		bad("tls: without a certificate secrets would travel unencrypted; name tls.cert and tls.key, or listen on 127.0.0.1 behind a proxy")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("tls: cert and key belong together")
	}
	for _, f := range []struct{ field, path string }{{"tls.cert", c.CertFile}, {"tls.key", c.KeyFile}} {
		if f.path != "" && !filepath.IsAbs(f.path) {
			bad("%s: %q is not an absolute path", f.field, f.path)
		}
	}
	if len(c.Senders) == 0 {
		bad("secrets: there is none, so no hook could be believed; name github, gitlab or generic")
	}
	seen := make(map[string]Kind)
	for _, s := range c.Senders {
		switch s.Kind {
		case GitHub, GitLab, Generic:
		default:
			bad("secrets: %q is not github, gitlab or generic", s.Kind)
		}
		if !filepath.IsAbs(s.SecretFile) {
			bad("secrets.%s: %q is not an absolute path", s.Kind, s.SecretFile)
		}
		if !hookPath.MatchString(s.Path) || len(s.Path) > 200 {
			bad("paths.%s: %q is not a path like /hooks/%s", s.Kind, s.Path, s.Kind)
		}
		if other, ok := seen[s.Path]; ok {
			bad("paths.%s: %s is that of %s too", s.Kind, s.Path, other)
		}
		seen[s.Path] = s.Kind
	}
	if c.Kick == nil {
		problems = append(problems, errors.New("kick: nobody would be told"))
	}
	return errors.Join(problems...)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
