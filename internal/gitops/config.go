package gitops

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tealops/teal/internal/trust"
)

// Defaults of Config.
const (
	DefaultBranch  = "main"
	DefaultPoll    = 15 * time.Second
	DefaultTimeout = time.Minute
)

// Config says what to follow. It comes from agent.yaml; the zero value is unusable.
type Config struct {
	// URL is an absolute local path (bare or not), file:///path, http://, https://,
	// ssh://user@host:port/path or user@host:path. Credentials in it are refused.
	URL string
	// Branch is followed as refs/heads/<Branch>; "" means DefaultBranch. It is the short
	// form of a Follow with this one branch.
	Branch string
	// Follow lists what says what is desired, at most MaxRefs refs in all; empty means
	// Branch. With Follow, Branch has to be empty.
	Follow []Follow
	// Evidence is the branch that approvals and attestations are read from; "" means the
	// one branch that is followed by name. It has to be given when there is not exactly
	// one, or when tags are followed: they are made before the approvals. All come from
	// one look.
	Evidence string
	// Environment is the one whose apps' directories are told apart when several refs are
	// followed (Ref.Seen); "" tells none apart.
	Environment string
	// Dir is our own directory (absolute): clone.git in it is a cache, accepted.json
	// is durable state. Open makes it.
	Dir string
	// RepoID must equal repoId of teal.yaml at the head (a lower-case UUID). With
	// another RepoID than the one recorded, history starts anew.
	RepoID string
	// Poll is the time between looks at the repository, ±20 %. 0 means DefaultPoll;
	// less than a second is refused.
	Poll time.Duration
	// Timeout bounds one look at the repository, the download included. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// TokenFile holds a bearer token. UsernameFile and PasswordFile hold basic
	// credentials instead (GitHub: x-access-token and the token; GitLab: oauth2 and the
	// token). All are read again at each fetch, must not be readable by others, and need
	// https or a loopback address.
	TokenFile, UsernameFile, PasswordFile string
	// CAFile holds PEM certificates that are trusted beside the system's, read again at
	// each fetch.
	CAFile string
	// Proxy is the forward proxy of an http or https address: http://host:port,
	// https://host:port, socks5://host:port, or ProxyEnvironment; "" means none. Its
	// credentials come from files, read as TokenFile is.
	Proxy                                string
	ProxyUsernameFile, ProxyPasswordFile string
	// KeyFile holds the private SSH key, without a passphrase and closed to others; it
	// is read again at each fetch. SSHAgent is the socket of an ssh-agent instead. An
	// ssh address needs one of them.
	KeyFile, SSHAgent string
	// HostKeys are the keys that an SSH server may have, "ssh-ed25519 AAAA…" each, and
	// KnownHostsFile an OpenSSH known_hosts file, read again at each fetch. An ssh
	// address needs one of them: a key that is not pinned is never trusted.
	HostKeys       []string
	KnownHostsFile string
	// Mirrors are further places of the same repository, asked in their order while URL
	// does not answer. They are held to the same rules.
	Mirrors []Mirror
	// Moved is told when another place answers than before, with the addresses and why;
	// nil: nobody is. It is called in the midst of a look and must not wait for one.
	Moved func(was, now, why string)
	// Limits bound what is read; zero fields mean their defaults.
	Limits Limits
	// Log takes what happens; nil discards it.
	Log *slog.Logger
}

// Limits bound what is taken from a repository. The zero value of a field means its
// default.
type Limits struct {
	File    int64 // bytes of one file that a Snapshot yields; default 1 MiB
	Report  int64 // bytes of one file below attestations/, which carries a scanner's report; default 16 MiB
	Entries int   // entries of one directory that a Snapshot yields; default 10,000
	Below   int   // entries anywhere below a directory given to Sub; default 100,000
	Depth   int   // path elements below a directory given to Sub; default 16
	Pack    int64 // bytes of one download; default 256 MiB
	Object  int64 // inflated bytes of any object in the repository; default 32 MiB
	Objects int   // objects of one download; default 1,000,000
}

func (l Limits) orDefault() Limits {
	set(&l.File, 1<<20)
	set(&l.Report, trust.MaxAttestation)
	set(&l.Entries, 10_000)
	set(&l.Below, 100_000)
	set(&l.Depth, 16)
	set(&l.Pack, 256<<20)
	set(&l.Object, 32<<20)
	set(&l.Objects, 1_000_000)
	return l
}

func set[T int | int64 | string | time.Duration](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) orDefault() Config {
	if len(c.Follow) == 0 {
		set(&c.Branch, DefaultBranch)
		c.Follow, c.Branch = []Follow{{Branch: c.Branch}}, ""
	}
	set(&c.Evidence, c.onlyBranch())
	set(&c.Poll, DefaultPoll)
	set(&c.Timeout, DefaultTimeout)
	c.Limits = c.Limits.orDefault()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// onlyBranch is the one branch that is followed by name; "" when there is none, more
// than one, or a tag.
func (c Config) onlyBranch() string {
	only := ""
	for _, f := range c.Follow {
		switch {
		case f.Tag != "" || f.Semver != "", f.Branch != "" && only != "" && only != f.Branch:
			return ""
		case f.Branch != "":
			only = f.Branch
		}
	}
	return only
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Validate returns every problem, joined. It reads no file.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	problems = append(problems, c.checkAccess()...)
	for i, m := range c.Mirrors {
		for _, err := range c.at(m).checkAccess() {
			bad("mirrors[%d]: %w", i, err)
		}
	}
	if len(c.Mirrors) > mirrorsMax {
		bad("mirrors: %d are too many; name at most %d", len(c.Mirrors), mirrorsMax)
	}
	for _, p := range c.FollowProblems() {
		field := p.Field
		if p.Index >= 0 {
			field = fmt.Sprintf("follow[%d]", p.Index)
		}
		bad("%s: %w", field, p.Err)
	}
	c = c.orDefault()
	if !filepath.IsAbs(c.Dir) {
		bad("dir: %q is not an absolute path", c.Dir)
	}
	if !uuid.MatchString(c.RepoID) {
		bad("repoId: %q is not a lower-case UUID; copy it from teal.yaml", c.RepoID)
	}
	if c.Poll < time.Second {
		bad("poll: %v is less than 1s", c.Poll)
	}
	if c.Timeout < time.Second {
		bad("timeout: %v is less than 1s", c.Timeout)
	}
	l := c.Limits
	if l.File < 0 || l.Entries < 0 || l.Below < 0 || l.Depth < 0 || l.Pack < 0 || l.Object < 0 || l.Objects < 0 {
		bad("limits: a limit is negative")
	}
	return errors.Join(problems...)
}

// checkAccess returns what is wrong with the address and the ways to reach it.
func (c Config) checkAccess() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	addr, err := parseAddress(c.URL)
	if err != nil {
		problems = append(problems, fmt.Errorf("url: %w", err))
	}
	secrets := map[string]string{"tokenFile": c.TokenFile, "usernameFile": c.UsernameFile, "passwordFile": c.PasswordFile}
	for field, path := range secrets {
		switch {
		case path == "":
		case !filepath.IsAbs(path):
			bad("%s: %q is not an absolute path", field, path)
		case err == nil && addr.local != "":
			bad("%s: a local repository takes no credentials", field)
		case err == nil && addr.ssh != nil:
			bad("%s: an ssh address logs in with keyFile or sshAgent", field)
		case err == nil && !addr.private:
			bad("%s: credentials would travel unencrypted; use https", field)
		case err == nil && c.Proxy != "" && c.Proxy != ProxyEnvironment && !strings.HasPrefix(addr.remote, "https:"):
			bad("%s: credentials would travel unencrypted to the proxy; use https, or no proxy for an address of this host", field)
		}
	}
	if c.TokenFile != "" && (c.UsernameFile != "" || c.PasswordFile != "") {
		bad("tokenFile: give either a token or user name and password, not both")
	}
	if (c.UsernameFile == "") != (c.PasswordFile == "") {
		bad("usernameFile, passwordFile: basic credentials need both")
	}
	if c.CAFile != "" && !filepath.IsAbs(c.CAFile) {
		bad("caFile: %q is not an absolute path", c.CAFile)
	}
	if err == nil {
		problems = append(problems, c.checkSSH(addr.ssh != nil)...)
		problems = append(problems, c.checkProxy(addr)...)
	}
	return problems
}

// FollowProblem is one problem of what is followed.
type FollowProblem struct {
	Field string // branch, follow or evidence
	Index int    // of Config.Follow; -1 when it is not about one entry
	Err   error
}

// FollowProblems are the problems of Branch, Follow and Evidence, for whoever reads them
// from a file and knows the lines. Validate reports them too.
func (c Config) FollowProblems() []FollowProblem {
	var out []FollowProblem
	bad := func(field string, i int, format string, args ...any) {
		out = append(out, FollowProblem{field, i, fmt.Errorf(format, args...)})
	}
	if c.Branch != "" && len(c.Follow) > 0 {
		bad("branch", -1, "give either branch or follow; branch: %s is the short form of follow: [{branch: %[1]s}]", escape(c.Branch, 100))
	}
	short := len(c.Follow) == 0
	c = c.orDefault()
	if len(c.Follow) > MaxRefs {
		bad("follow", -1, "%d entries; at most %d", len(c.Follow), MaxRefs)
	}
	sound, tags := true, false
	for i, f := range c.Follow {
		tags = tags || f.Tag != "" || f.Semver != ""
		err := f.validate()
		sound = sound && err == nil
		switch {
		case err == nil && slices.Contains(c.Follow[:i], f):
			bad("follow", i, "%s is there twice", f)
		case err != nil && short:
			bad("branch", -1, "%w", errors.Unwrap(err))
		case err != nil:
			bad("follow", i, "%w", err)
		}
	}
	switch {
	case c.Evidence == "" && !sound:
	case c.Evidence == "" && tags:
		bad("evidence", -1, "name the branch of approvals and attestations: they are made after the tag, so a tag cannot hold them")
	case c.Evidence == "":
		bad("evidence", -1, "name the branch of approvals and attestations: what is followed is not one branch")
	default:
		if err := checkBranch(c.Evidence); err != nil && !(short && !sound) {
			bad("evidence", -1, "%w", err)
		}
	}
	return out
}

// branchName is stricter than Git: it is a path below refs/heads, an argument of
// commands that messages propose, and a key of accepted.json.
var branchName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)

func checkBranch(name string) error {
	if len(name) > 200 || !branchName.MatchString(name) || plumbing.NewBranchReferenceName(name).Validate() != nil {
		return fmt.Errorf("%q is not a branch name that teal follows (letters, digits, dot, dash, underscore, slash)", name)
	}
	return nil
}
