package main

import (
	"slices"

	"github.com/tealops/teal/internal/gitops"
)

// gitops is what the repository's half of agent.yaml says, in gitops' words.
func (r RepositoryConfig) gitops() gitops.Config {
	return gitops.Config{
		URL: r.URL, Branch: r.Branch, Follow: r.refs(), Evidence: r.Evidence, Poll: r.Poll, Timeout: r.Timeout,
		TokenFile: r.TokenFile, UsernameFile: r.UsernameFile, PasswordFile: r.PasswordFile, CAFile: r.CAFile,
		Proxy: r.Proxy, ProxyUsernameFile: r.ProxyUsernameFile, ProxyPasswordFile: r.ProxyPasswordFile,
		KeyFile: r.KeyFile, SSHAgent: r.SSHAgent, HostKeys: r.HostKeys, KnownHostsFile: r.KnownHostsFile,
	}
}

// files are those that the repository is read with: no manifest may mount one.
func (r RepositoryConfig) files() []string {
	all := []string{r.TokenFile, r.UsernameFile, r.PasswordFile, r.CAFile, r.ProxyUsernameFile, r.ProxyPasswordFile, r.KeyFile, r.SSHAgent, r.KnownHostsFile}
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}
