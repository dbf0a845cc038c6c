package main

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/journal"
	"github.com/tealops/teal/internal/release"
)

// gitops is what the repository's half of agent.yaml says, in gitops' words.
func (r RepositoryConfig) gitops() gitops.Config {
	out := gitops.Config{
		URL: r.URL, Branch: r.Branch, Follow: r.refs(), Evidence: r.Evidence, Poll: r.Poll, Timeout: r.Timeout,
		TokenFile: r.TokenFile, UsernameFile: r.UsernameFile, PasswordFile: r.PasswordFile, CAFile: r.CAFile,
		Proxy: r.Proxy, ProxyUsernameFile: r.ProxyUsernameFile, ProxyPasswordFile: r.ProxyPasswordFile,
		KeyFile: r.KeyFile, SSHAgent: r.SSHAgent, HostKeys: r.HostKeys, KnownHostsFile: r.KnownHostsFile,
	}
	for _, m := range r.Mirrors {
		out.Mirrors = append(out.Mirrors, gitops.Mirror(m))
	}
	return out
}

// files are those that the repository is read with: no manifest may mount one.
func (r RepositoryConfig) files() []string {
	all := []string{r.TokenFile, r.UsernameFile, r.PasswordFile, r.CAFile, r.ProxyUsernameFile, r.ProxyPasswordFile, r.KeyFile, r.SSHAgent, r.KnownHostsFile}
	for _, m := range r.Mirrors {
		all = append(all, m.TokenFile, m.UsernameFile, m.PasswordFile, m.CAFile, m.KeyFile, m.SSHAgent, m.KnownHostsFile)
	}
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}

// MirrorConfig is another place of the repository: an address alone, or with what only
// it needs.
type MirrorConfig struct {
	URL            string   `yaml:"url"`
	TokenFile      string   `yaml:"tokenFile"`
	UsernameFile   string   `yaml:"usernameFile"`
	PasswordFile   string   `yaml:"passwordFile"`
	CAFile         string   `yaml:"caFile"`
	KeyFile        string   `yaml:"keyFile"`
	SSHAgent       string   `yaml:"sshAgent"`
	HostKeys       []string `yaml:"hostKeys"`
	KnownHostsFile string   `yaml:"knownHostsFile"`
}

var mirrorKeys = []string{"url", "tokenFile", "usernameFile", "passwordFile", "caFile", "keyFile", "sshAgent", "hostKeys", "knownHostsFile"}

// UnmarshalYAML takes an address or a mapping. Unknown keys are looked for here, as the
// decoder does not pass its strictness on.
func (m *MirrorConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&m.URL)
	}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(mirrorKeys, key.Value) {
			return fmt.Errorf("line %d: field %s not found in a mirror", key.Line, strconv.Quote(key.Value))
		}
	}
	type plain MirrorConfig
	return n.Decode((*plain)(m))
}

// repositoryMoved writes down that the repository answers at another address.
func (a *agent) repositoryMoved(was, now, why string) {
	n := notice{Code: release.MirrorInUse, Ref: now, Detail: fmt.Sprintf("the repository answers at %s, no more at %s: %s", now, was, why)}
	if _, err := a.journal.Append("", noticeKind, n, journal.Forward); err != nil {
		a.log.Warn("notice not recorded", "err", err)
	}
}
