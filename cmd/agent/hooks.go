package main

import (
	"errors"
	"log/slog"

	"github.com/tealops/teal/internal/gitops"
	"github.com/tealops/teal/internal/webhook"
)

// WebhookConfig says where a hosting site may tell of a push. Without listen the
// repository is only polled.
type WebhookConfig struct {
	Listen  string        `yaml:"listen"` // ":7415" by custom
	TLS     TLSConfig     `yaml:"tls"`
	Secrets SendersConfig `yaml:"secrets"` // files
	Paths   SendersConfig `yaml:"paths"`   // default /hooks/github, /hooks/gitlab, /hooks/generic
}

// TLSConfig names a certificate and its key, read again when they change.
type TLSConfig struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// SendersConfig is one value for each kind of sender.
type SendersConfig struct {
	GitHub  string `yaml:"github"`
	GitLab  string `yaml:"gitlab"`
	Generic string `yaml:"generic"`
}

// server is the same in the package's words.
func (c WebhookConfig) server() webhook.Config {
	out := webhook.Config{Listen: c.Listen, CertFile: c.TLS.Cert, KeyFile: c.TLS.Key}
	for _, s := range []struct {
		kind         webhook.Kind
		secret, path string
	}{{webhook.GitHub, c.Secrets.GitHub, c.Paths.GitHub}, {webhook.GitLab, c.Secrets.GitLab, c.Paths.GitLab}, {webhook.Generic, c.Secrets.Generic, c.Paths.Generic}} {
		if s.secret == "" {
			continue
		}
		if s.path == "" {
			s.path = "/hooks/" + string(s.kind)
		}
		out.Senders = append(out.Senders, webhook.Sender{Kind: s.kind, Path: s.path, SecretFile: s.secret})
	}
	return out
}

func (c WebhookConfig) validate() error {
	if c == (WebhookConfig{}) {
		return nil
	}
	if c.Listen == "" {
		return errors.New("listen: is missing: \":7415\" is the custom")
	}
	cfg := c.server()
	cfg.Kick = func() {}
	return cfg.Validate()
}

// files are those that the listener is opened with: no manifest may mount one.
func (c WebhookConfig) files() []string {
	var out []string
	for _, path := range []string{c.TLS.Cert, c.TLS.Key, c.Secrets.GitHub, c.Secrets.GitLab, c.Secrets.Generic} {
		if path != "" {
			out = append(out, path)
		}
	}
	return out
}

// newHooks makes the listener, or nil when there is none.
func newHooks(c WebhookConfig, repo *gitops.Repo, log *slog.Logger) (*webhook.Server, error) {
	if c.Listen == "" {
		return nil, nil
	}
	cfg := c.server()
	cfg.Kick, cfg.Follows, cfg.Log = repo.Kick, repo.Follows, log
	return webhook.New(cfg)
}
