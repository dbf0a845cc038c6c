package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/release"
)

// Config is agent.yaml. Order: Default, the file, the environment (TEAL_*), flags.
type Config struct {
	APIVersion   string             `yaml:"apiVersion"`
	Kind         string             `yaml:"kind"`
	Environment  string             `yaml:"environment"`
	Host         string             `yaml:"host"`   // default: the machine's name
	Prefix       string             `yaml:"prefix"` // of every object's name: empty or ending in "-"
	State        string             `yaml:"state"`
	Trust        string             `yaml:"trust"` // path of trust.yaml
	Socket       string             `yaml:"socket"`
	LogLevel     string             `yaml:"logLevel"` // debug, info, warn, error
	Repository   RepositoryConfig   `yaml:"repository"`
	Engine       EngineConfig       `yaml:"engine"`
	Proxy        ProxyConfig        `yaml:"proxy"`
	Groups       GroupsConfig       `yaml:"groups"`
	Reserves     ReservesConfig     `yaml:"reserves"`
	Labels       HostLabels         `yaml:"labels"` // of the host; placement reads them
	Attestations AttestationsConfig `yaml:"attestations"`
	Webhook      WebhookConfig      `yaml:"webhook"`
	// Secrets are those that manifests call external: app → secret → where this host has it.
	Secrets map[string]map[string]SecretConfig `yaml:"secrets"`
	// Identity is the age identity file that opens sealed secrets; empty: none.
	Identity string `yaml:"identity"`
	// AutoRotate swaps a live release again when its secrets or host values change;
	// default false: an operator orders it.
	AutoRotate bool `yaml:"autoRotate"`
	// ApprovalWaitAlert is how long a release may wait for approval before that is an event.
	ApprovalWaitAlert time.Duration `yaml:"approvalWaitAlert"`

	file string // this file
}

// AttestationsConfig says where attestations come from besides Git.
type AttestationsConfig struct {
	Registry bool `yaml:"registry"` // asked when the policy wants scans or provenance; default true
}

// SecretConfig says where this host has a secret: one of the two.
type SecretConfig struct {
	File       string `yaml:"file,omitempty"`       // absolute path
	Credential string `yaml:"credential,omitempty"` // systemd credential of the agent's unit
}

// UnmarshalYAML refuses a value that stands where its place belongs, without saying it.
func (s *SecretConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: write {file: /path} or {credential: name}; a secret's value never stands in agent.yaml", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		to := map[string]*string{"file": &s.File, "credential": &s.Credential}[key.Value]
		if to == nil || value.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: write {file: /path} or {credential: name}", key.Line)
		}
		*to = value.Value
	}
	return nil
}

// RepositoryConfig says where the manifests are.
type RepositoryConfig struct {
	URL          string        `yaml:"url"`
	Branch       string        `yaml:"branch,omitempty"` // short for follow: [{branch: …}]; default main
	Follow       []FollowEntry `yaml:"follow,omitempty"`
	Evidence     string        `yaml:"evidence"` // default: the one branch that is followed by name
	Poll         time.Duration `yaml:"poll"`
	Timeout      time.Duration `yaml:"timeout"`
	UsernameFile string        `yaml:"usernameFile"`
	PasswordFile string        `yaml:"passwordFile"`
	TokenFile    string        `yaml:"tokenFile"`
	CAFile       string        `yaml:"caFile"`

	Proxy             string `yaml:"proxy"` // of an http address; "environment" takes HTTPS_PROXY and its like
	ProxyUsernameFile string `yaml:"proxyUsernameFile"`
	ProxyPasswordFile string `yaml:"proxyPasswordFile"`

	KeyFile        string   `yaml:"keyFile"`        // private key of an ssh address
	SSHAgent       string   `yaml:"sshAgent"`       // socket of an ssh-agent, instead of keyFile
	HostKeys       []string `yaml:"hostKeys"`       // "ssh-ed25519 AAAA…" each
	KnownHostsFile string   `yaml:"knownHostsFile"` // in OpenSSH's format

	Mirrors []MirrorConfig `yaml:"mirrors"` // asked in their order while url does not answer
}

// EngineConfig says which container engine and which edge network.
type EngineConfig struct {
	Host         string     `yaml:"host"`
	DockerConfig string     `yaml:"dockerConfig"` // directory of config.json with registry credentials
	Edge         EdgeConfig `yaml:"edge"`
}

// EdgeConfig is the network on which the proxy reaches routed containers.
type EdgeConfig struct {
	Network string `yaml:"network"`
	Subnet  string `yaml:"subnet"`
}

// ProxyConfig says how to reach teal-proxy.
type ProxyConfig struct {
	Socket    string `yaml:"socket"`
	FrontDoor string `yaml:"frontDoor"` // host:port where users enter, for smoke requests
}

// GroupsConfig names the groups of the control socket's roles.
type GroupsConfig struct {
	Operators string `yaml:"operators"`
	Viewers   string `yaml:"viewers"`
}

// ReservesConfig is the room that only going back may use, and the room that going
// forward needs, in bytes.
type ReservesConfig struct {
	Journal int64  `yaml:"journal"`
	Engine  int64  `yaml:"engine"`
	Dir     string `yaml:"dir"` // of the engine's reserve, on the filesystem of its data; default the state directory
	MinFree uint64 `yaml:"minFree"`
}

// Default is the configuration of a host with everything in its usual place.
func Default() Config {
	host, _ := os.Hostname()
	return Config{
		APIVersion: "teal/v1", Kind: "Agent", Host: host, State: "/var/lib/teal", Trust: "/etc/teal/trust.yaml",
		Socket: "/run/teal/agent.sock", LogLevel: "info",
		Repository: RepositoryConfig{Poll: 15 * time.Second, Timeout: time.Minute},
		Engine:     EngineConfig{Host: "unix:///var/run/docker.sock", Edge: EdgeConfig{Network: "teal-edge", Subnet: "172.31.240.0/24"}},
		Proxy:      ProxyConfig{Socket: "/run/teal-proxy/main.sock", FrontDoor: "127.0.0.1:80"},
		Groups:     GroupsConfig{Operators: "teal-operators", Viewers: "teal-viewers"},
		Reserves:   ReservesConfig{Journal: 1 << 20, Engine: 64 << 20, MinFree: 256 << 20},

		Attestations:      AttestationsConfig{Registry: true},
		ApprovalWaitAlert: 24 * time.Hour,
	}
}

const maxConfig = 1 << 20

var credentialName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$`)

// loadConfig reads a file over the defaults, then the environment.
func loadConfig(file string, env func(string) string) (Config, error) {
	c := Default()
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return c, fmt.Errorf("%s: no such file; write one, examples/agent.yaml is a start", file)
		}
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	if len(data) > maxConfig {
		return c, fmt.Errorf("%s: longer than %d bytes", file, maxConfig)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("%s: %w", file, cleanYAML(err))
	}
	overrides := []struct {
		name string
		to   *string
	}{{"TEAL_ENVIRONMENT", &c.Environment}, {"TEAL_HOST", &c.Host}, {"TEAL_STATE", &c.State}, {"TEAL_TRUST", &c.Trust}, {"TEAL_SOCKET", &c.Socket},
		{"TEAL_LOG_LEVEL", &c.LogLevel}, {"TEAL_REPOSITORY_URL", &c.Repository.URL}, {"TEAL_ENGINE_HOST", &c.Engine.Host},
		{"TEAL_PROXY_SOCKET", &c.Proxy.Socket}, {"TEAL_PROXY_FRONT_DOOR", &c.Proxy.FrontDoor}}
	for _, o := range overrides {
		if v := env(o.name); v != "" {
			*o.to = v
		}
	}
	c.file = file
	if c.Repository.Branch == "" && len(c.Repository.Follow) == 0 {
		c.Repository.Branch = gitops.DefaultBranch
	}
	if c.Reserves.Dir == "" {
		c.Reserves.Dir = c.State
	}
	return c, c.Validate(file)
}

// cleanYAML drops the library's own prefix; its lines already say "line N".
func cleanYAML(err error) error {
	return errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "in type main.Config", "in agent.yaml"))
}

// Validate reports every problem with its path.
func (c Config) Validate(file string) error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", file, path, fmt.Sprintf(format, args...)))
	}
	if c.APIVersion != "teal/v1" {
		bad("apiVersion", "is %q, write teal/v1", c.APIVersion)
	}
	if c.Kind != "Agent" {
		bad("kind", "is %q, write Agent", c.Kind)
	}
	if !release.ValidName(c.Environment) {
		bad("environment", "%q is not a name: lower-case letters, digits and dashes", c.Environment)
	}
	if c.Host == "" {
		bad("host", "is empty and the machine has no name")
	}
	if c.Prefix != "" && (!strings.HasSuffix(c.Prefix, "-") || !release.ValidName(strings.TrimSuffix(c.Prefix, "-"))) {
		bad("prefix", "%q must be a name that ends in a dash", c.Prefix)
	}
	for _, p := range []struct{ path, value string }{{"state", c.State}, {"trust", c.Trust}, {"socket", c.Socket}, {"proxy.socket", c.Proxy.Socket}, {"reserves.dir", c.Reserves.Dir}} {
		if !filepath.IsAbs(p.value) {
			bad(p.path, "%q is not an absolute path", p.value)
		}
	}
	if c.Repository.URL == "" {
		bad("repository.url", "is missing: the repository of release manifests")
	}
	c.Repository.validate(bad)
	if c.ApprovalWaitAlert < time.Second {
		bad("approvalWaitAlert", "%s is shorter than a second", c.ApprovalWaitAlert)
	}
	if c.Repository.Poll < time.Second {
		bad("repository.poll", "%s is shorter than a second", c.Repository.Poll)
	}
	if p, err := netip.ParsePrefix(c.Engine.Edge.Subnet); err != nil || !p.Addr().Is4() || p.Bits() > 28 || p.Bits() < 16 {
		bad("engine.edge.subnet", "%q is not an IPv4 network between /16 and /28", c.Engine.Edge.Subnet)
	}
	if c.Engine.Edge.Network == "" {
		bad("engine.edge.network", "is empty")
	}
	if _, _, ok := strings.Cut(c.Proxy.FrontDoor, ":"); !ok {
		bad("proxy.frontDoor", "%q is not host:port", c.Proxy.FrontDoor)
	}
	if _, ok := logLevels[c.LogLevel]; !ok {
		bad("logLevel", "%q is not debug, info, warn or error", c.LogLevel)
	}
	for _, app := range slices.Sorted(maps.Keys(c.Secrets)) {
		if !release.ValidApp(app) {
			bad("secrets", "%q is not the name of an app", app)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Secrets[app])) {
			at, s := "secrets."+app+"."+name, c.Secrets[app][name]
			switch {
			case (s.File == "") == (s.Credential == ""):
				bad(at, "write file: /path or credential: name, one of them")
			case s.File != "" && (!filepath.IsAbs(s.File) || filepath.Clean(s.File) != s.File):
				bad(at+".file", "%q is not a clean absolute path", s.File)
			case s.Credential != "" && !credentialName.MatchString(s.Credential):
				bad(at+".credential", "%q is not the name of a systemd credential", s.Credential)
			}
		}
	}
	if c.Identity != "" && !filepath.IsAbs(c.Identity) {
		bad("identity", "%q is not an absolute path", c.Identity)
	}
	if c.Reserves.Journal < 64<<10 {
		bad("reserves.journal", "%d bytes is too little to go back with; write at least %d", c.Reserves.Journal, 64<<10)
	}
	if err := c.Webhook.validate(); err != nil {
		bad("webhook", "%v", err)
	}
	return errors.Join(errs...)
}

// String is the effective configuration as YAML (`teal-agent -check`). It names files
// of secrets and holds none.
func (c Config) String() string {
	data, err := yaml.Marshal(c)
	if err != nil {
		return strconv.Quote(err.Error())
	}
	return string(data)
}
